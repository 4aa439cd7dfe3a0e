/* The client against the reference server: what an application must not notice, and what the network does meanwhile. */
'use strict';
const { test, describe, before, after } = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const { createHash } = require('node:crypto');
const zlib = require('node:zlib');
const { WebSocket } = require('ws');

const Holdfast = require('../holdfast.js');
const application = require('./application.js');
const { start } = require('./reference.js');
const { backend } = require('./backend.js');
const { build, target } = require('../build.js');

const once = (target, type) => new Promise((done) => target.addEventListener(type, done, { once: true }));
let origin;

before(async () => { origin = await backend(); });
after(() => {
	for (const ws of origin.clients)
		ws.terminate();
	origin.close();
});

/* Makes a server for one test, and sockets to it. */
async function scene(t, options) {
	const server = await start(origin.url, options), sockets = [];
	t.after(async () => {
		const closed = sockets.map((s) => s.readyState == 3 || once(s, 'close'));
		sockets.forEach((s) => s.close());
		await Promise.race([Promise.all(closed), pause(500)]);
		server.close();
	});
	return {
		server,
		make(more, path = '', protocols = []) {
			const s = new Holdfast(server.url + path, protocols, { WebSocket, ...more });
			s.binaryType = 'arraybuffer';
			s.got = [];
			s.events = [];
			s.addEventListener('message', (e) => s.got.push(e.data));
			for (const type of ['open', 'attach', 'detach', 'error', 'close'])
				s.addEventListener(type, (e) => s.events.push(type == 'attach' ? s.carrier : type == 'close' ? e.code : type));
			sockets.push(s);
			return s;
		},
	};
}

/* `count` echoes, whatever happens in between; all of them once and in order. */
async function echoes(s, count, each = () => {}) {
	const from = s.got.length, all = new Promise((done) => s.addEventListener('message', () => s.got.length >= from + count && done()));
	for (let i = 0; i < count; i++) {
		s.send(`e${i}`);
		await each(i);
	}
	await Promise.race([all, once(s, 'close').then((e) => assert.fail(`closed ${e.code} ${e.reason}`))]);
	assert.deepEqual(s.got.slice(from), Array.from({ length: count }, (_, i) => `e${i}`));
}

const pause = (ms) => new Promise((r) => setTimeout(r, ms));

/* WebSockets as bad networks make them. */
class Fake extends EventTarget {
	constructor() {
		super();
		this.bufferedAmount = 0;
		setTimeout(() => this.begin());
	}

	begin() {}
	send() {}
	close() {}
}
class Hole extends Fake {}
class Swallowed extends Fake {
	begin() {
		this.protocol = 'holdfast.1';
		this.onopen();
	}
}
class Refused extends Fake {
	begin() {
		this.onerror({});
		this.onclose({ code: 1006, reason: '', wasClean: false });
	}
}
/* An answer's body that comes only when it is whole. */
async function buffering(url, init) {
	const answer = await fetch(url, init), body = await answer.arrayBuffer();
	return new Response(body, { status: answer.status, headers: answer.headers });
}

describe('the application tests', () => {
	for (const carrier of ['websocket', 'stream', 'poll'])
		test(`over ${carrier}`, async (t) => {
			const { server } = await scene(t);
			class Socket extends Holdfast {
				constructor(url, protocols) {
					super(url, protocols, { carriers: [carrier], WebSocket });
				}
			}
			const results = await application.run({ Socket, url: server.url, side: 2 });
			assert.deepEqual(results.filter((r) => r.error), []);
			assert.deepEqual(results.filter((r) => r.carrier && r.carrier != carrier), []);
			assert.ok(results.length >= 30);
		});
});

describe('a session', () => {
	for (const carrier of ['websocket', 'stream', 'poll'])
		test(`over ${carrier} outlives its connections`, async (t) => {
			const { server, make } = await scene(t), s = make({ carriers: [carrier] });
			await once(s, 'open');
			await echoes(s, 600, async (i) => {
				if (i % 100 == 50)
					server.cut();
				if (i % 10 == 0)
					await pause(3);
			});
			assert.ok(s.events.includes('detach'));
			assert.equal(server.opened, 1, 'one connection to the backend');
			s.close(1000, 'end');
			assert.deepEqual([(await once(s, 'close')).code, s.unacked], [1000, 0]);
		});

	test('moves between carriers, and loses and doubles nothing', async (t) => {
		const { server, make } = await scene(t);
		const kinds = ['poll', 'stream', 'websocket'];
		const s = make({ carriers: kinds });               // in this order: poll first, upgrades do not apply
		await once(s, 'open');
		await echoes(s, 200, (i) => i % 5 == 0 && pause(2));
		const w = make({ upgrade: [30], WebSocket: class { constructor(...a) { return w && w.readyState ? new WebSocket(...a) : new Refused(); } } });
		await once(w, 'open');
		assert.equal(w.carrier, 'stream');
		await echoes(w, 400, () => pause(1));
		assert.equal(w.carrier, 'websocket');
		assert.deepEqual(w.events, ['open', 'stream', 'websocket'], 'the stream served until the WebSocket did');
		assert.equal(server.opened, 2);
	});

	test('that nobody knows any more is a close 1006', async (t) => {
		for (const carrier of ['websocket', 'stream', 'poll']) {
			const { server, make } = await scene(t), s = make({ carriers: [carrier] });
			await once(s, 'open');
			server.sessions.clear();
			server.cut();
			const e = await once(s, 'close');
			assert.deepEqual([e.code, e.reason, e.wasClean], [1006, 'session lost', false]);
		}
	});

	test('that cannot attach for longer than `keep` is a close 1006', async (t) => {
		const { server, make } = await scene(t, { keep: 0.3 }), s = make();
		await once(s, 'open');
		server.http.close();
		server.cut();
		assert.equal((await once(s, 'close')).code, 1006);
	});

	test('says what is in doubt', async (t) => {
		const { server, make } = await scene(t, { keep: 0.2 }), s = make();
		await once(s, 'open');
		server.http.close();
		server.cut();
		await once(s, 'detach');
		s.send('one');
		s.send('three');
		assert.deepEqual([s.unacked, s.bufferedAmount, s.carrier], [2, 8, '']);
		await once(s, 'close');
		assert.equal(s.unacked, 2);
	});

	test('whose log is full is a close 1009', async (t) => {
		const { server, make } = await scene(t), s = make({ buffer: 1000 });
		await once(s, 'open');
		server.http.close();
		server.cut();
		await once(s, 'detach');
		const end = once(s, 'close');
		s.send('x'.repeat(900));
		s.send('x'.repeat(200));
		assert.equal((await end).code, 1009);
		assert.equal(s.bufferedAmount, 1100);
	});

	test('goes to another carrier when told to move', async (t) => {
		const { server, make } = await scene(t, { streamMax: 2000 }), s = make({ carriers: ['stream'] });
		await once(s, 'open');
		await echoes(s, 500, () => pause(0));
		assert.ok(server.carriers.stream > 2, 'several streams');
	});

	test('whose carrier is silent for 2.5 beats gets another', async (t) => {
		const { server, make } = await scene(t, { beat: 0.1 }), s = make({ carriers: ['websocket'] });
		await once(s, 'open');
		for (const socket of server.sockets)
			socket.pause();
		for (const ws of server.wss.clients)
			ws.send = () => {};
		await once(s, 'detach');
		await echoes(s, 3);
	});
});

describe('the start', () => {
	const timed = async (s) => {
		const began = Date.now();
		await once(s, 'open');
		return Date.now() - began;
	};

	test('takes the WebSocket where there is one', async (t) => {
		const { server, make } = await scene(t), s = make({}, '', ['chat1']);
		await timed(s);
		assert.deepEqual([s.carrier, s.protocol, server.opened], ['websocket', 'chat1', 1]);
	});

	test('begins with the stream where there is no WebSocket', async (t) => {
		const { make } = await scene(t), s = make({ WebSocket: undefined });
		await timed(s);
		assert.equal(s.carrier, globalThis.WebSocket ? 'websocket' : 'stream');
	});

	for (const [name, Socket, fetcher, carrier] of [['refused', Refused, undefined, 'stream'], ['a black hole', Hole, undefined, 'stream'],
		['opened and mute', Swallowed, undefined, 'stream'], ['refused, and streams are buffered', Refused, buffering, 'poll']])
		test(`goes on where the WebSocket is ${name}, and remembers`, async (t) => {
			const { server, make } = await scene(t), s = make({ WebSocket: Socket, ...(fetcher && { fetch: fetcher }) });
			await timed(s);
			assert.equal(s.carrier, carrier);
			await echoes(s, 20);
			assert.equal(server.opened, 1);
			const again = make({ WebSocket: Socket, ...(fetcher && { fetch: fetcher }) });
			await timed(again);
			assert.deepEqual([again.carrier, again.events], [carrier, ['open', carrier]]);
			assert.equal(server.carriers.websocket, 0, 'nobody waited for one');
		});

	test('opens one connection to the backend, whoever wins', async (t) => {
		// The WebSocket answers just as the stream begins: both carry one nonce.
		class Late extends WebSocket {
			set onmessage(then) { super.onmessage = then && ((e) => setTimeout(() => this.onmessage && then(e), 2050)); }
			get onmessage() { return super.onmessage; }
		}
		const { server, make } = await scene(t), s = make({ WebSocket: Late });
		await timed(s);
		await echoes(s, 10);
		assert.equal(server.opened, 1);
	});

	test('finds a stream that is buffered later, and polls', async (t) => {
		let isBuffering = false;
		const gate = async (url, init) => {
			const answer = await fetch(url, init);
			if (!answer.body || init.headers.accept != 'text/event-stream')
				return answer;
			const held = new TransformStream({ transform: (chunk, to) => { isBuffering || to.enqueue(chunk); } });
			return new Response(answer.body.pipeThrough(held), { status: answer.status, headers: answer.headers });
		};
		const { make } = await scene(t), s = make({ carriers: ['stream', 'poll'], fetch: gate });
		await timed(s);
		await echoes(s, 5);
		isBuffering = true;
		await echoes(s, 5);
		assert.deepEqual(s.events.filter((e) => e != 'detach'), ['open', 'stream', 'poll']);
	});

	test('is a plain WebSocket where nobody knows holdfast.1', async (t) => {
		const { make } = await scene(t, { holdfast: false, fallback: false });
		for (const protocols of [[], ['chat']]) {
			const s = make({}, '', protocols);
			await timed(s);
			assert.deepEqual([s.carrier, s.protocol], ['plain', protocols.join()]);
			await echoes(s, 50);
			s.close(3003, 'plain');
			const e = await once(s, 'close');
			assert.deepEqual([e.code, e.reason, e.wasClean, s.unacked], [3003, 'plain', true, 0]);
		}
	});

	test('fails where nobody answers', async (t) => {
		const { server, make } = await scene(t), s = make();
		server.http.close();
		const e = await once(s, 'close');
		assert.deepEqual([e.code, s.events], [1006, ['error', 1006]]);
	});
});

describe('the file', () => {
	test('is what build.js makes of the source', async () => {
		const made = await build(), kept = fs.readFileSync(target, 'utf8');
		const digest = (text) => createHash('sha256').update(text).digest('hex');
		assert.equal(digest(kept), digest(made), 'run `node build.js`');
	});

	test('is at most 8 KiB compressed', (t) => {
		const size = zlib.gzipSync(fs.readFileSync(target), { level: 9 }).length;
		t.diagnostic(`${size} bytes`);
		assert.ok(size <= 8192, `${size} bytes`);
	});

	test('needs nothing, and its types name all there is', () => {
		assert.ok(!/\brequire\(|\bimport\b/.test(fs.readFileSync(target, 'utf8')));
		const types = fs.readFileSync(require.resolve('../holdfast.d.ts'), 'utf8');
		for (const name of Object.getOwnPropertyNames(Holdfast.prototype))
			assert.match(types, new RegExp(`\\b${name}\\b`), name);
	});

	test('takes the place of WebSocket when asked', () => {
		const window = {}, code = fs.readFileSync(target, 'utf8');
		const scope = { ...Object.fromEntries(['URL', 'Event', 'EventTarget', 'TextDecoder', 'TextEncoder', 'Map'].map((n) => [n, globalThis[n]])) };
		Object.assign(window, scope, { document: { currentScript: { src: 'http://a/.holdfast/client.js?as=WebSocket&carriers=poll' } }, WebSocket: Fake });
		require('node:vm').runInNewContext(code, Object.assign(window, { globalThis: window }));
		assert.equal(window.WebSocket, window.Holdfast);
		assert.deepEqual([...window.Holdfast.options.carriers], ['poll']);
	});
});
