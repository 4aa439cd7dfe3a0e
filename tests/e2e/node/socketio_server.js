'use strict';
/* A socket.io chat: what one says, all hear.  Prints "ready PORT". */
const http = require('http');
const { Server } = require('socket.io');

const server = http.createServer();
const io = new Server(server);

io.on('connection', (socket) => {
	socket.on('say', (text, done) => {
		io.emit('heard', text, socket.conn.transport.name);
		done(text.length);
	});
});
server.listen(0, '127.0.0.1', () => console.log(`ready ${server.address().port}`));
