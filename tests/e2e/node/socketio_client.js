'use strict';
/* Two socket.io clients: begin with polling, upgrade to WebSocket, chat, leave; prints what was heard as JSON. */
const { io } = require('socket.io-client');

const url = process.argv[2];
const transports = process.argv[3].split(',');
const seen = { heard: [], acks: [], transports: [] };
const sockets = [0, 1].map(() => io(url, { transports, forceNew: true, reconnection: false }));
const fail = setTimeout(() => { seen.error = 'timeout'; finish(); }, 15000);

function finish()
{
	clearTimeout(fail);
	sockets.forEach((s) => s.close());
	console.log(JSON.stringify(seen));
	process.exit(0);
}

function settled(socket)
{
	const last = transports[transports.length - 1];
	return new Promise((resolve, reject) => {
		socket.on('connect_error', (e) => { seen.error = e.message; reject(e); });
		socket.on('connect', () => {
			if (socket.io.engine.transport.name === last)
				resolve();
			else
				socket.io.engine.on('upgrade', () => resolve());
		});
	});
}

Promise.all(sockets.map(settled)).then(() => {
	seen.transports = sockets.map((s) => s.io.engine.transport.name);
	sockets.forEach((s, i) => {
		s.on('heard', (text) => {
			seen.heard.push([i, text]);
			if (seen.heard.length === 4 && seen.acks.length === 2)
				finish();
		});
	});
	sockets.forEach((s, i) => s.emit('say', `hello from ${i}`, (n) => {
		seen.acks.push(n);
		if (seen.heard.length === 4 && seen.acks.length === 2)
			finish();
	}));
}).catch(finish);
