'use strict';
/* Many socket.io clients, each by polling and then WebSocket, each with what cookies it was given when the third argument
 * is "cookies"; prints, as JSON, how many said something and were answered, and what went wrong. */
const { io } = require('socket.io-client');

const [url, mode, count] = [process.argv[2], process.argv[3], Number(process.argv[4])];
const seen = { answered: 0, transports: {}, errors: [] };

function one(i)
{
	const socket = io(url, { transports: ['polling', 'websocket'], forceNew: true, reconnection: false,
		withCredentials: mode === 'cookies' });
	return new Promise((resolve) => {
		const timer = setTimeout(() => failed(new Error('timeout')), 20000);
		let done = false;
		function over()
		{
			done = true;
			clearTimeout(timer);
			socket.close();
			resolve();
		}
		function failed(e)
		{
			if (done)
				return;
			seen.errors.push(e.message || String(e));
			over();
		}
		function speak()
		{
			socket.emit('say', `hello from ${i}`, (n) => {
				const name = socket.io.engine.transport.name;
				seen.answered += n === `hello from ${i}`.length;
				seen.transports[name] = (seen.transports[name] || 0) + 1;
				over();
			});
		}
		socket.on('connect_error', failed);
		socket.on('disconnect', failed);
		socket.on('connect', () => {
			if (socket.io.engine.transport.name === 'websocket')
				speak();
			else
				socket.io.engine.once('upgrade', speak);
		});
	});
}

(async () => {
	for (let i = 0; i < count; i += 6)
		await Promise.all(Array.from({ length: Math.min(6, count - i) }, (_, j) => one(i + j)));
	console.log(JSON.stringify(seen));
	process.exit(0);
})();
