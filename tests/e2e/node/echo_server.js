'use strict';
/* A ws server that echoes.  Options as JSON in argv[2]: { port, deflate, protocols, cert, key }.  Prints "ready PORT".
 * Texts it obeys: "close CODE REASON", "terminate", "fragments N" (an answer in N frames). */
const http = require('http');
const https = require('https');
const fs = require('fs');
const { WebSocketServer } = require('ws');

const options = JSON.parse(process.argv[2] || '{}');
const server = options.cert
	? https.createServer({ cert: fs.readFileSync(options.cert), key: fs.readFileSync(options.key) })
	: http.createServer();
const sockets = new WebSocketServer({
	server,
	perMessageDeflate: Boolean(options.deflate) && { threshold: 0 },
	maxPayload: 256 << 20,
	handleProtocols: (offered) => (options.protocols || []).find((p) => offered.has(p)) || false,
});

server.on('request', (request, response) => {
	response.writeHead(200, { 'content-type': 'text/plain' });
	response.end('node');
});

sockets.on('connection', (socket) => {
	socket.on('error', () => {});
	socket.on('message', (data, isBinary) => {
		const words = isBinary ? [] : data.toString().split(' ');
		if (words[0] === 'close')
			socket.close(Number(words[1]), words.slice(2).join(' '));
		else if (words[0] === 'terminate')
			socket.terminate();
		else if (words[0] === 'fragments')
			for (let i = 1; i <= Number(words[1]); i++)
				socket.send(`part ${i} `, { fin: i === Number(words[1]) });
		else
			socket.send(data, { binary: isBinary });
	});
});

server.listen(options.port || 0, '127.0.0.1', () => console.log(`ready ${server.address().port}`));
