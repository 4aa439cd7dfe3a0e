'use strict';
/* A ws client that sends random messages of the given sizes, compares each echo, closes, and prints what it saw as JSON.
 * Options as JSON in argv[2]: { url, ca, protocols, deflate, sizes, say, close: [code, reason] }. */
const crypto = require('crypto');
const fs = require('fs');
const WebSocket = require('ws');

const options = JSON.parse(process.argv[2]);
const seen = { echoed: 0, bytes: 0, mismatches: 0, texts: [] };
const socket = new WebSocket(options.url, options.protocols || [], {
	ca: options.ca && fs.readFileSync(options.ca),
	perMessageDeflate: Boolean(options.deflate) && { threshold: 0 },
	maxPayload: 256 << 20,
});
const waiting = [];

function leave()
{
	if (options.close)
		socket.close(...options.close);
	else if (!options.say)
		socket.close();
}

socket.on('open', () => {
	seen.protocol = socket.protocol;
	seen.extensions = socket.extensions;
	for (const size of options.sizes || []) {
		const data = crypto.randomBytes(size);
		waiting.push(data);
		socket.send(data);
	}
	if (options.say)
		socket.send(options.say);
	else if (!waiting.length)
		leave();
});
socket.on('message', (data, isBinary) => {
	if (!isBinary) {
		seen.texts.push(data.toString());
		return;
	}
	const want = waiting.shift();
	seen.echoed++;
	seen.bytes += data.length;
	seen.mismatches += want === undefined || Buffer.compare(want, data) !== 0 ? 1 : 0;
	if (!waiting.length)
		leave();
});
socket.on('unexpected-response', (_request, response) => {
	seen.status = response.statusCode;
	socket.terminate();
});
socket.on('error', (error) => { seen.error = error.message; });
socket.on('close', (code, reason) => {
	seen.close = [code, reason.toString()];
	console.log(JSON.stringify(seen));
	process.exit(0);
});
