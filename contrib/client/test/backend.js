/* The application's server in the client's own tests: echoes, and obeys what a text begins with. */
'use strict';
const { WebSocketServer } = require('ws');

function backend() {
	return new Promise((done) => {
		const notes = new Map();
		const server = new WebSocketServer({
			port: 0, host: '127.0.0.1', perMessageDeflate: false, maxPayload: 0,
			handleProtocols: (offered) => [...offered].find((p) => p.startsWith('chat')) || false,
			verifyClient: ({ req }, answer) => req.url == '/refuse' ? answer(false, 403, 'no') : answer(true),
		}, () => done(Object.assign(server, { url: `ws://127.0.0.1:${server.address().port}/` })));
		server.closes = [];
		const commands = {
			close: (ws, code, ...reason) => ws.close(...(code ? [+code, reason.join(' ')] : [])),
			terminate: (ws) => ws.terminate(),
			count(ws, n, size = 0) {
				for (let i = 0; i < +n; i++)
					ws.send(`${i} `.padEnd(+size, '.'));
			},
			sleep(ws, ms) {
				ws.pause();
				setTimeout(() => ws.resume(), +ms);
			},
			note: (ws, key) => notes.set(key, (notes.get(key) || 0) + 1),
			recall: (ws, key) => ws.send(String(notes.get(key) || 0)),
			'?path': (ws) => ws.send(ws.path),
		};
		server.on('connection', (ws, request) => {
			ws.path = request.url;
			ws.on('message', (data, isBinary) => {
				const [name, ...words] = isBinary ? [] : data.toString().split(' ');
				if (commands[name])
					commands[name](ws, ...words);
				else
					ws.send(data, { binary: isBinary });
			});
			ws.on('close', (code, reason) => server.closes.push([code, reason.toString()]));
		});
	});
}

module.exports = { backend };
