/* A small server of the fallback's protocol: a second reading of the specification, for the client's own tests.
 *
 * It stands between clients and an ordinary WebSocket backend as the proxy does: sessions, four carriers, one log each way.
 * It knows no routes, no Origins and no limits, and can be told to be a worse server than it is (`options`).
 *
 *     node reference.js BACKEND_URL [JSON_OPTIONS]     prints "ready PORT"
 */
'use strict';
const http = require('node:http');
const { randomBytes } = require('node:crypto');
const { WebSocket, WebSocketServer } = require('ws');

const USUAL = { window: 262144, beat: 15, keep: 60, hold: 25, streamMax: 8 << 20, ack: 0.05, holdfast: true, fallback: true };
const PRELUDE = ':' + ' '.repeat(2046) + '\n\n';

const record = (event, data, id) => (id ? `id: ${id}\n` : '') + (event ? `event: ${event}\n` : '') + `data: ${data}\n\n`;

function parse(body) {
	return body.split('\n\n').filter((r) => /^data:/m.test(r)).map((r) => {
		const fields = Object.fromEntries(r.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]));
		return { event: fields.event || '', data: fields.data, id: +fields.id || 0 };
	});
}

class Session {
	constructor(server, path, protocols) {
		this.server = server;
		this.token = 'ref.' + randomBytes(16).toString('base64url');
		this.got = this.acked = this.last = this.sent = this.turn = this.bytes = 0;
		this.log = [];
		this.ready = new Promise((done) => { this.isReady = done; });
		server.opened++;
		this.backend = new WebSocket(new URL(path, server.backend), protocols, { perMessageDeflate: false });
		this.backend.on('open', () => this.isReady());
		this.backend.on('unexpected-response', (_, response) => this.refuse(response.statusCode));
		this.backend.on('error', () => this.refuse(502));
		this.backend.on('message', (data, isBinary) => this.push({ data: isBinary ? data : data.toString(), isBinary }));
		this.backend.on('close', (code, reason) => {
			this.refuse(502);
			this.push({ name: 'close', data: code == 1005 ? '[]' : JSON.stringify(code == 1006 ? [1006] : [code, reason.toString()]) });
			this.isClosed = true;
		});
		this.detach();
	}

	refuse(status) {
		if (this.backend.readyState == WebSocket.OPEN || this.last)
			return;
		this.refused ??= status;
		this.isReady();
	}

	open() {
		const { window, beat, keep } = this.server.options;
		return JSON.stringify({ s: this.token, protocol: this.backend.protocol, got: this.got, window, beat, keep });
	}

	/* Down: to the log, and to the carrier; a full log holds the backend. */
	push(e) {
		e.n = ++this.last;
		this.log.push(e);
		this.bytes += e.size = Buffer.byteLength(e.data);
		if (this.isFull())
			this.backend.pause();
		this.carrier?.wake();
	}

	isFull() { return this.bytes >= this.server.options.window || this.log.length >= 1024; }

	confirm(n) {
		if (n > this.last)
			throw new Error('an ack of the future');
		while (this.log.length && this.log[0].n <= n)
			this.bytes -= this.log.shift().size;
		if (!this.isFull() && this.backend.readyState == WebSocket.OPEN)
			this.backend.resume();
		if (this.isClosed && !this.log.length)
			this.end();
	}

	/* Up: number got + 1 is taken, what was there is not taken twice, a gap is refused. */
	take(n, name, data, isBinary) {
		if (n <= this.got)
			return true;
		if (n > this.got + 1)
			return false;
		this.got = n;
		if (name == 'close') {
			const [code, reason] = JSON.parse(data);
			this.backend.close(...(code === undefined ? [] : [code == 1001 ? 1000 : code, reason]));
		} else if (this.backend.readyState == WebSocket.OPEN)
			this.backend.send(data, { binary: isBinary });
		return true;
	}

	attach(carrier, turn, got) {
		if (turn <= this.turn)
			return false;
		this.turn = turn;
		this.carrier?.gone();
		clearTimeout(this.timer);
		this.carrier = carrier;
		carrier.session = this;
		if (got !== undefined) {
			this.confirm(got);
			this.sent = got;
		}
		this.server.carriers[carrier.kind]++;
		return true;
	}

	detach(carrier) {
		if (carrier != this.carrier)
			return;
		this.carrier = null;
		clearTimeout(this.timer);
		this.timer = setTimeout(() => this.end(1001), this.server.options.keep * 1000);
		this.timer.unref();
	}

	end() {
		clearTimeout(this.timer);
		this.server.sessions.delete(this.token);
		this.backend.on('error', () => {});
		this.backend.terminate();
	}

	*next() {
		while (this.carrier) {
			const e = this.log[this.sent - (this.log.length ? this.log[0].n - 1 : this.sent)];
			if (!e)
				return;
			this.sent = e.n;
			yield e;
		}
	}
}

const asRecord = (e) => e.name ? record(e.name, e.data, e.n)
	: e.isBinary ? record('b', e.data.toString('base64'), e.n) : record('', JSON.stringify(e.data), e.n);

class Server {
	constructor(backend, options = {}) {
		this.backend = backend;
		this.options = { ...USUAL, ...options };
		this.sessions = new Map();
		this.nonces = new Map();
		this.carriers = { websocket: 0, stream: 0, poll: 0, eventsource: 0, up: 0 };
		this.opened = 0;
		this.sockets = new Set();
		this.http = http.createServer((q, a) => this.request(q, a));
		this.http.on('connection', (s) => {
			this.sockets.add(s);
			s.setNoDelay();
			s.on('close', () => this.sockets.delete(s));
		});
		this.http.keepAliveTimeout = 60000;
		this.wss = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: 0, handleProtocols: (offered) => offered.has('holdfast.1') ? 'holdfast.1' : false });
		this.http.on('upgrade', (q, socket, head) => this.upgrade(q, socket, head));
	}

	listen(port = 0) {
		return new Promise((done) => this.http.listen(port, '127.0.0.1', () => {
			this.port = this.http.address().port;
			this.url = `ws://127.0.0.1:${this.port}/`;
			done(this);
		}));
	}

	close() {
		for (const s of [...this.sessions.values()])
			s.end();
		for (const s of this.sockets)
			s.destroy();
		this.http.close();
	}

	/* As a network that goes: every connection of every client at once. */
	cut() {
		for (const s of this.sockets)
			s.destroy();
	}

	/* Finds or makes the session that a carrier's first record asks for; a status if there is none. */
	async session(carrier, path, name, value) {
		let s;
		if (name == 'open') {
			s = this.nonces.get(value.nonce);
			if (!s) {
				s = new Session(this, path, value.protocols);
				this.nonces.set(value.nonce, s);
				setTimeout(() => this.nonces.delete(value.nonce), 30000).unref();
			}
			await s.ready;
			if (s.refused)
				return s.refused;
			this.sessions.set(s.token, s);
		} else
			s = this.sessions.get(value.s);
		if (!s)
			return 410;
		return s.attach(carrier, value.turn, value.got) ? s : 'gone';
	}

	upgrade(q, socket, head) {
		const isOurs = this.options.holdfast && /holdfast\.1/.test(q.headers['sec-websocket-protocol']);
		if (!isOurs)
			return this.pass(q, socket, head);
		this.wss.handleUpgrade(q, socket, head, (ws) => {
			const carrier = {
				kind: 'websocket',
				wake: () => {
					for (const e of carrier.session.next()) {
						if (e.name)
							ws.send(`\0ack ${carrier.session.got}`);
						ws.send(e.name ? `\0${e.name} ${e.data}` : !e.isBinary && e.data[0] == '\0' ? '\0' + e.data : e.data, { binary: !!e.isBinary });
					}
				},
				gone() {
					ws.send('\0gone null');
					ws.close();
				},
			};
			let n = 0, beat, ack;
			ws.on('message', async (data, isBinary) => {
				let text = isBinary ? null : data.toString();
				if (text?.[0] == '\0' && text[1] != '\0') {
					const at = text.indexOf(' '), name = text.slice(1, at), value = text.slice(at + 1);
					if (name == 'ack')
						return carrier.session?.confirm(+value);
					if (name == 'close')
						return carrier.session.take(++n, name, value);
					const s = await this.session(carrier, q.url, name, JSON.parse(value));
					if (s == 'gone')
						return carrier.gone();
					if (!(s instanceof Session))
						return ws.send(`\0close [1006,"${s}"]`);
					n = s.got;
					ws.send('\0open ' + s.open());
					beat = setInterval(() => ws.send(`\0beat ${s.sent}`), this.options.beat * 1000).unref();
					return carrier.wake();
				}
				const s = carrier.session;
				if (s.carrier != carrier)
					return;
				s.take(++n, '', text === null ? data : text[0] == '\0' ? text.slice(1) : text, isBinary);
				ack ??= setTimeout(() => {
					ack = null;
					ws.send(`\0ack ${s.got}`);
				}, this.options.ack * 1000);
			});
			ws.on('error', () => {});
			ws.on('close', () => {
				clearInterval(beat);
				clearTimeout(ack);
				carrier.session?.detach(carrier);
			});
		});
	}

	/* Without holdfast.1: bytes both ways, as a proxy without fallback. */
	pass(q, socket, head) {
		const { hostname, port } = new URL(this.backend);
		const back = require('node:net').connect(port, hostname, () => {
			back.write(`GET ${q.url} HTTP/1.1\r\n` + Object.entries(q.headers).map(([k, v]) => `${k}: ${v}\r\n`).join('') + '\r\n');
			back.write(head);
			back.pipe(socket).pipe(back);
		});
		back.on('error', () => socket.destroy());
		socket.on('error', () => back.destroy());
		socket.on('close', () => back.destroy());
	}

	request(q, a) {
		a.setHeader('Access-Control-Allow-Origin', q.headers.origin || '*');
		a.setHeader('Access-Control-Allow-Credentials', 'true');
		if (q.method == 'GET') {
			const { hostname, port } = new URL(this.backend), { host, accept } = q.headers;
			return http.get({ hostname, port, path: q.url, headers: { host, accept: accept || '*/*' } }, (b) => {
				a.writeHead(b.statusCode, { 'content-type': b.headers['content-type'] || 'text/plain' });
				b.pipe(a);
			}).on('error', () => a.writeHead(502).end());
		}
		if (!this.options.fallback || q.method != 'POST')
			return a.writeHead(404, { 'Content-Length': 0 }).end();
		const parts = [];
		q.on('data', (d) => parts.push(d));
		q.on('end', () => this.answer(q, a, parse(Buffer.concat(parts).toString())).catch((e) => {
			a.writeHead(400);
			a.end(String(e));
		}));
	}

	async answer(q, a, records) {
		const head = records.shift(), value = JSON.parse(head.data);
		if (head.event == 'up')
			return this.up(a, value, records);
		const isStream = q.headers.accept == 'text/event-stream', isFirst = head.event == 'open';
		const carrier = isStream ? this.stream(a) : this.poll(a, Math.min(value.hold ?? 25000, this.options.hold * 1000), isFirst);
		a.on('close', () => carrier.session?.detach(carrier));
		const s = await this.session(carrier, q.url, head.event, value);
		if (s == 'gone')
			return a.end(record('gone', 'null'));
		if (!(s instanceof Session)) {
			a.writeHead(s);
			return a.end();
		}
		carrier.begin(s);
		carrier.wake();
	}

	stream(a) {
		let size = 0, beat;
		const end = (more) => {
			clearInterval(beat);
			a.end(more);
		};
		const carrier = {
			kind: 'stream',
			begin: (s) => {
				a.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store, no-transform', 'X-Accel-Buffering': 'no' });
				a.write(record('open', s.open()));
				a.write(PRELUDE);
				a.write(record('beat', s.sent));
				beat = setInterval(() => a.write(record('beat', s.sent)), this.options.beat * 1000).unref();
				a.on('close', () => clearInterval(beat));
				carrier.ack = s.got;
			},
			wake: () => {
				for (const e of carrier.session.next()) {
					const text = asRecord(e);
					a.write(text);
					size += text.length;
				}
				if (size > this.options.streamMax && !carrier.isEnding) {
					carrier.isEnding = true;
					carrier.session.detach(carrier);
					end(record('move', '{"in":0}'));
				}
			},
			gone: () => end(record('gone', 'null')),
		};
		return carrier;
	}

	poll(a, hold) {
		let timer;
		const carrier = {
			kind: 'poll',
			begin: (s) => {
				carrier.open = record('open', s.open());
				timer = setTimeout(() => carrier.end(), hold);
				a.on('close', () => clearTimeout(timer));
			},
			end: () => {
				clearTimeout(timer);
				const s = carrier.session, text = carrier.open + [...s.next()].map(asRecord).join('');
				carrier.wake = () => {};
				s.detach(carrier);
				a.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': Buffer.byteLength(text) });
				a.end(text);
			},
			wake: () => {
				if (carrier.open && carrier.session.last > carrier.session.sent && !carrier.isDue) {
					carrier.isDue = true;
					setTimeout(() => carrier.session.carrier == carrier && carrier.end(), 2);
				}
			},
			gone: () => {
				clearTimeout(timer);
				a.end(record('gone', 'null'));
			},
		};
		return carrier;
	}

	up(a, { s: token, got, from }, records) {
		const s = this.sessions.get(token);
		if (!s) {
			a.writeHead(410);
			return a.end();
		}
		this.carriers.up++;
		s.confirm(got);
		let n = from;
		const status = records.every((r) => s.take(n++, r.event == 'b' ? '' : r.event,
			r.event == 'b' ? Buffer.from(r.data, 'base64') : r.event ? r.data : JSON.parse(r.data), r.event == 'b')) ? 200 : 409;
		a.writeHead(status, { 'Content-Type': 'text/plain' });
		a.end(record('ack', s.got) + record('beat', s.sent));
	}
}

module.exports = { Server, start: (backend, options) => new Server(backend, options).listen(options?.port) };
if (require.main == module)
	module.exports.start(process.argv[2], JSON.parse(process.argv[3] || '{}')).then((s) => console.log(`ready ${s.port}`));
