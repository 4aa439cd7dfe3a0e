/* The application tests in Node: node application_node.js CLIENT_DIRECTORY JSON_OPTIONS -> a line of JSON. */
'use strict';
const path = require('node:path');
const { WebSocket } = require('ws');

const directory = process.argv[2], { carriers, native, ...options } = JSON.parse(process.argv[3]);
const Holdfast = require(path.join(directory, 'holdfast.min.js'));
const application = require(path.join(directory, 'test', 'application.js'));

Holdfast.options = { WebSocket, ...(carriers && { carriers }) };
application.run({ Socket: native ? WebSocket : Holdfast, ...options }).then((results) => {
	console.log(JSON.stringify(results));
	process.exit(0);
});
