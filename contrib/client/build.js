/* Makes holdfast.min.js, which is what /.holdfast/client.js serves, out of holdfast.js.  The same source and the same terser
 * (package.json names one version) give the same bytes; a test compares.
 *
 *     node build.js
 */
'use strict';
const fs = require('node:fs');
const path = require('node:path');

const source = path.join(__dirname, 'holdfast.js'), target = path.join(__dirname, 'holdfast.min.js');

async function build() {
	const { minify } = require('terser');
	const { code } = await minify(fs.readFileSync(source, 'utf8'), {
		ecma: 2020, toplevel: true, compress: { passes: 3, unsafe_arrows: true }, mangle: true,
		format: { preamble: '/* holdfast-client; MIT; source: contrib/client/holdfast.js */' },
	});
	return code + '\n';
}

module.exports = { build, source, target };
if (require.main == module)
	build().then((code) => fs.writeFileSync(target, code));
