/* What an application does with a WebSocket: one file, run with any class that says it is one.
 *
 * In Node and in browsers (a classic script: it leaves `application` in the global), over every carrier, through every box,
 * and with the browser's own WebSocket, which says what is right.  The backend is an ordinary WebSocket server that echoes
 * and obeys these texts: `close [CODE [REASON]]`, `terminate`, `count N [SIZE]`, `sleep MS`, `note KEY`, `recall KEY`, and `?path`;
 * it answers `/refuse` with 403 and chooses the first subprotocol that begins with "chat".
 *
 *     await application.run({ Socket, url, only, heavy, times, side, limit })   ->  [{ name, ms, opened, carrier, error }]
 */
'use strict';
(() => {
const list = [];
const test = (name, run) => list.push({ name, run });
const heavy = (name, run) => list.push({ name, run, isHeavy: true });   // many bytes, many messages: not through every box
const equal = (a, b, what) => {
	if (!Object.is(a, b))
		throw new Error(`${what || 'value'}: ${String(JSON.stringify(a) ?? a).slice(0, 80)}, not ${String(JSON.stringify(b) ?? b).slice(0, 80)}`);
};
const ok = (value, what) => equal(!!value, true, what);
const throws = (name, call, what) => {
	try {
		call();
	} catch (e) {
		return equal(e.name, name, what);
	}
	throw new Error(`${what || call}: nothing was thrown, not ${name}`);
};
const wait = (ms) => new Promise((r) => setTimeout(r, ms));
const bytes = (length, seed = 1) => Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8) * 7 + seed) & 255);
const same = (a, b) => {
	a = new Uint8Array(a);
	b = new Uint8Array(b);
	equal(a.length, b.length, 'length');
	for (let i = 0; i < a.length; i++)
		if (a[i] !== b[i])
			throw new Error(`byte ${i}: ${a[i]}, not ${b[i]}`);
};

/* What a test is handed: sockets that end with it. */
class Bench {
	constructor(options) {
		Object.assign(this, options);
		this.sockets = [];
		this.carriers = new Set();
	}

	make(path = '', protocols = []) {
		const s = new this.Socket(this.url + path, protocols);
		s.binaryType = 'arraybuffer';
		this.sockets.push(s);
		s.queue = [];
		s.addEventListener('message', (e) => s.waiting ? s.waiting(e.data) : s.queue.push(e.data));
		s.closing = new Promise((done) => s.addEventListener('close', (e) => {
			s.isDone = true;
			done(e);
			s.broken?.(new Error(`closed ${e.code} ${e.reason}`));
		}));
		const began = Date.now();
		s.addEventListener('open', () => { this.opened ??= Date.now() - began; });
		for (const type of ['open', 'attach'])
			s.addEventListener(type, () => this.carriers.add(s.carrier ?? 'native'));
		return s;
	}

	async open(path, protocols) {
		const s = this.make(path, protocols);
		await new Promise((done, failed) => {
			s.addEventListener('open', done);
			s.addEventListener('close', (e) => failed(new Error(`not opened: ${e.code} ${e.reason}`)));
		});
		return s;
	}

	/* The next message. */
	async next(s) {
		if (s.queue.length)
			return s.queue.shift();
		if (s.isDone)
			throw new Error('closed');
		return new Promise((done, failed) => {
			s.broken = failed;
			s.waiting = (data) => {
				s.waiting = null;
				done(data);
			};
		});
	}

	async echo(s, data) {
		s.send(data);
		return this.next(s);
	}

	async end() {
		for (const s of this.sockets)
			s.close();
		await Promise.race([Promise.all(this.sockets.map((s) => s.closing)), wait(1000)]);
	}
}

// ---- opening

test('readyState goes from CONNECTING to OPEN, with one open', async (b) => {
	const s = b.make();
	let opens = 0;
	equal(s.readyState, 0);
	s.onopen = () => opens++;
	await new Promise((done) => s.addEventListener('open', done));
	equal(s.readyState, 1);
	equal(await b.echo(s, 'x'), 'x');
	equal(opens, 1);
});

test('url, protocol, extensions, binaryType', async (b) => {
	const s = await b.open('where?a=b%20c');
	equal(s.url, b.url + 'where?a=b%20c');
	equal(s.protocol, '');
	equal(s.extensions, '');
	equal(new b.Socket(b.url + 'refuse').binaryType, 'blob');
	s.binaryType = 'nonsense';
	equal(s.binaryType, 'arraybuffer');
	equal(await b.echo(s, '?path'), '/where?a=b%20c');
});

test('the four constants are on the class and on its objects', async (b) => {
	const s = b.make();
	['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED'].forEach((name, i) => {
		equal(b.Socket[name], i);
		equal(s[name], i);
	});
	ok(s instanceof EventTarget);
});

test('a URL that is none, and subprotocols that are none, throw SyntaxError', async (b) => {
	for (const url of ['ws://', 'ftp://example.com/', b.url + '#part', b.url + '#'])
		throws('SyntaxError', () => new b.Socket(url), url);
	for (const p of ['', 'a b', 'a,b', 'ä', ['a', 'a']])
		throws('SyntaxError', () => new b.Socket(b.url, p), JSON.stringify(p));
});

test('send before open throws InvalidStateError', async (b) => {
	const s = b.make();
	throws('InvalidStateError', () => s.send('early'));
});

test('close before open: error, then close 1006, and no open', async (b) => {
	const s = b.make(), seen = [];
	for (const type of ['open', 'error', 'close'])
		s.addEventListener(type, () => seen.push(type));
	s.close();
	equal(s.readyState, 2);
	const e = await s.closing;
	await wait(0);                                         // in browsers promises go on between two listeners
	equal(e.code, 1006);
	equal(e.wasClean, false);
	equal(seen.join(), 'error,close');
	equal(s.readyState, 3);
});

test('a refusal is an error and a close 1006', async (b) => {
	const s = b.make('refuse'), seen = [];
	for (const type of ['open', 'error', 'close'])
		s.addEventListener(type, () => seen.push(type));
	const e = await s.closing;
	await wait(0);
	equal(e.code, 1006);
	equal(e.wasClean, false);
	equal(seen.join(), 'error,close');
});

test('the backend chooses among the subprotocols', async (b) => {
	const s = await b.open('', ['superchat', 'chat2', 'chat']);
	equal(s.protocol, 'chat2');
	equal(await b.echo(s, 'x'), 'x');
});

test('one subprotocol may be given as a string', async (b) => {
	equal((await b.open('', 'chat')).protocol, 'chat');
});

// ---- messages

test('text comes back', async (b) => {
	const s = await b.open();
	equal(await b.echo(s, 'hello'), 'hello');
	equal(await b.echo(s, ''), '');
	equal(await b.echo(s, 42), '42');
});

test('text of every kind comes back', async (b) => {
	const s = await b.open();
	for (const text of ['ünïcödé 漢字 🦀', '\u2028\u2029\ufeff', 'a\nb\r\nc\n\nd', 'data: x\n\nevent: close\ndata: []\n\n', '"quoted\\"', '\u007f\u0001\u001f', '\ufeffbom'])
		equal(await b.echo(s, text), text);
});

test('text that begins with NUL is text', async (b) => {
	const s = await b.open();
	for (const text of ['\0', '\0ack 12', '\0\0', '\0close [1000]', '\0open {}', 'a\0b'])
		equal(await b.echo(s, text), text);
});

test('a lone surrogate becomes U+FFFD', async (b) => {
	equal(await b.echo(await b.open(), 'a\ud800b'), 'a\ufffdb');
});

test('binary comes back as an ArrayBuffer', async (b) => {
	const s = await b.open(), sent = bytes(256), got = await b.echo(s, sent.buffer);
	ok(got instanceof ArrayBuffer);
	same(got, sent);
	equal((await b.echo(s, new ArrayBuffer(0))).byteLength, 0);
});

test('binary comes back as a Blob', async (b) => {
	const s = await b.open();
	s.binaryType = 'blob';
	const got = await b.echo(s, bytes(1000));
	ok(got instanceof Blob);
	same(await got.arrayBuffer(), bytes(1000));
});

test('a view sends its part, as it is at the moment', async (b) => {
	const s = await b.open(), all = bytes(100);
	same(await b.echo(s, all.subarray(10, 20)), all.subarray(10, 20));
	same(await b.echo(s, new DataView(all.buffer, 5, 3)), all.subarray(5, 8));
	same(await b.echo(s, new Uint16Array([1, 258])), [1, 0, 2, 1]);
	const mine = Uint8Array.of(1, 2, 3);
	s.send(mine);
	mine.fill(9);
	same(await b.next(s), [1, 2, 3]);
});

test('a Blob keeps its place', async (b) => {
	const s = await b.open();
	s.send('first');
	s.send(new Blob(['sec', 'ond']));
	s.send('third');
	s.send(new Blob([]));
	s.send('fifth');
	equal(await b.next(s), 'first');
	same(await b.next(s), new TextEncoder().encode('second'));
	equal(await b.next(s), 'third');
	equal((await b.next(s)).byteLength, 0);
	equal(await b.next(s), 'fifth');
});

test('1 MiB of text', async (b) => {
	const s = await b.open(), text = 'häß\n'.repeat(174762) + 'abcd';  // of six bytes each
	ok(await b.echo(s, text) === text, 'the same');
});

heavy('1 MiB of binary', async (b) => {
	const s = await b.open(), data = bytes(1 << 20);
	same(await b.echo(s, data), data);
});

heavy('four times 1 MiB at once', async (b) => {
	const s = await b.open(), all = [1, 2, 3, 4].map((i) => bytes(1 << 20, i));
	all.forEach((data) => s.send(data));
	for (const data of all)
		same(await b.next(s), data);
});

heavy('a burst of 10,000 comes back in order', async (b) => {
	const s = await b.open();
	for (let i = 0; i < 10000; i++)
		s.send(`m${i}`);
	for (let i = 0; i < 10000; i++)
		equal(await b.next(s), `m${i}`);
});

heavy('a burst of 10,000 from the backend is in order', async (b) => {
	const s = await b.open();
	s.send('count 10000');
	for (let i = 0; i < 10000; i++)
		equal(await b.next(s), `${i} `);
});

test('text and binary keep their order', async (b) => {
	const s = await b.open();
	for (let i = 0; i < 200; i++)
		s.send(i % 3 ? `t${i}` : bytes(i, i));
	for (let i = 0; i < 200; i++) {
		const got = await b.next(s);
		if (i % 3)
			equal(got, `t${i}`);
		else
			same(got, bytes(i, i));
	}
});

test('one after the other, twenty times', async (b) => {
	const s = await b.open();
	for (let i = 0; i < 20; i++)
		equal(await b.echo(s, `n${i}`), `n${i}`);
});

test('two sockets are two', async (b) => {
	const [one, two] = await Promise.all([b.open('one'), b.open('two')]);
	for (let i = 0; i < 5; i++) {
		one.send(`one ${i}`);
		two.send(`two ${i}`);
	}
	for (let i = 0; i < 5; i++) {
		equal(await b.next(one), `one ${i}`);
		equal(await b.next(two), `two ${i}`);
	}
	equal(await b.echo(one, '?path'), '/one');
	equal(await b.echo(two, '?path'), '/two');
});

test('both sides talk at once', async (b) => {
	const s = await b.open(), up = [], down = [];
	s.send('count 500 100');
	for (let i = 0; i < 500; i++)
		s.send(`up ${i}`);
	for (let i = 0; i < 1000; i++) {
		const got = await b.next(s);
		(got.startsWith('up') ? up : down).push(got);
	}
	equal(up.join(), Array.from({ length: 500 }, (_, i) => `up ${i}`).join());
	equal(down.map(parseFloat).join(), Array.from({ length: 500 }, (_, i) => i).join());
});

// ---- what waits

test('bufferedAmount grows with send, and falls to 0', async (b) => {
	const s = await b.open();
	equal(s.bufferedAmount, 0);
	s.send('abc');
	s.send('ä');
	s.send(new ArrayBuffer(10));
	ok(s.bufferedAmount >= 15, `at least 15: ${s.bufferedAmount}`);
	for (let i = 0; i < 3; i++)
		await b.next(s);
	for (let i = 0; s.bufferedAmount && i < 200; i++)
		await wait(10);
	equal(s.bufferedAmount, 0);
});

test('after close, send is discarded and counted', async (b) => {
	const s = await b.open();
	s.close();
	const before = s.bufferedAmount;
	s.send('12345');
	s.send(new ArrayBuffer(5));
	s.send('ä');
	const grown = s.bufferedAmount - before;
	ok(grown >= 12 && grown <= 12 + 3 * 18, `12 bytes, and browsers count frames with them: ${grown}`);
	await s.closing;
	const last = s.bufferedAmount;
	s.send('123');
	ok(s.bufferedAmount - last >= 3, 'also when closed');
});

heavy('a backend that does not read for a while gets everything', async (b) => {
	const s = await b.open(), data = bytes(1 << 16);
	s.send('sleep 500');
	for (let i = 0; i < 48; i++)
		s.send(data);
	for (let i = 0; i < 48; i++)
		equal((await b.next(s)).byteLength, 1 << 16);
});

heavy('an application that does not read for a while gets everything', async (b) => {
	const s = await b.open();
	s.send('count 64 65536');
	equal((await b.next(s)).length, 65536);
	for (const end = Date.now() + 400; Date.now() < end;);
	for (let i = 1; i < 64; i++)
		equal(parseInt(await b.next(s)), i);
});

// ---- closing

test('close() without a code is 1005', async (b) => {
	const s = await b.open();
	s.close();
	equal(s.readyState, 2);
	const e = await s.closing;
	equal(e.code, 1005);
	equal(e.reason, '');
	equal(e.wasClean, true);
	equal(s.readyState, 3);
});

test('close with a code and a reason', async (b) => {
	for (const [code, reason] of [[1000, 'bye'], [3000, ''], [4999, 'gründe, 123 ' + 'x'.repeat(100)]]) {
		const s = await b.open();
		s.close(code, reason);
		const e = await s.closing;
		equal(e.code, code);
		equal(e.reason, reason);
		equal(e.wasClean, true);
		ok(e instanceof Event && e.type == 'close');
	}
});

test('close has two exceptions, and may be called twice', async (b) => {
	const s = await b.open();
	for (const code of [0, 999, 1001, 1005, 1006, 2999, 5000, 70000, -1, null])
		throws('InvalidAccessError', () => s.close(code), String(code));
	throws('SyntaxError', () => s.close(1000, 'x'.repeat(124)));
	throws('SyntaxError', () => s.close(1000, 'ä'.repeat(62)));
	equal(s.readyState, 1);
	s.close(1000, 'one');
	s.close(3000, 'two');
	equal((await s.closing).code, 1000);
	s.close();
});

test('the backend closes with a code and a reason', async (b) => {
	for (const [code, reason] of [[1000, 'done'], [1011, 'oh'], [4000, 'ünïcode']]) {
		const s = await b.open();
		s.send(`close ${code} ${reason}`);
		const e = await s.closing;
		equal(e.code, code);
		equal(e.reason, reason);
		equal(e.wasClean, true);
	}
});

test('the backend vanishes', async (b) => {
	const s = await b.open();
	s.send('terminate');
	const e = await s.closing;
	ok(e.code == 1006 && !e.wasClean || e.code == 1012, `1006, or what a proxy says of it, 1012: ${e.code}`);
	equal(s.readyState, 3);
});

test('what the backend sent before it closed arrives before the close', async (b) => {
	const s = await b.open();
	s.send('count 300 500');
	s.send('close 4001 after');
	const e = await s.closing;
	equal(e.code, 4001);
	equal(s.queue.length, 300);
});

test('what was sent before close() reaches the backend', async (b) => {
	const s = await b.open(), key = Math.random().toString(36).slice(2);
	for (let i = 0; i < 300; i++)
		s.send(`note ${key}`);
	s.close(1000);
	equal((await s.closing).code, 1000);
	equal(await b.echo(await b.open(), `recall ${key}`), '300');
});

test('after close() no message comes', async (b) => {
	const s = await b.open();
	s.send('count 20');
	s.close();
	await s.closing;
	equal(s.queue.length, 0);
});

// ---- events

test('events: listeners, attributes, origin, target', async (b) => {
	const s = await b.open(), seen = [];
	const heard = (e) => seen.push(e);
	s.onmessage = heard;
	equal(s.onmessage, heard);
	s.addEventListener('message', heard, { once: true });
	await b.echo(s, 'x');
	await wait(0);
	equal(seen.length, 2);
	equal(seen[0].target, s);
	equal(seen[0].origin, new URL(b.url).origin);
	ok(seen[0] instanceof MessageEvent);
	s.onmessage = null;
	equal(s.onmessage, null);
	await b.echo(s, 'y');
	await wait(0);
	equal(seen.length, 2, 'once, and taken away');
	s.onmessage = 'nothing';
	equal(s.onmessage, null);
	s.onclose = function () { seen.push(this); };
	s.close();
	await s.closing;
	await wait(0);
	equal(seen.at(-1), s);
});

test('a listener that throws does no harm', async (b) => {
	if (!globalThis.document)
		return;
	const s = await b.open(), stop = (e) => e.preventDefault();
	addEventListener('error', stop);
	s.addEventListener('message', () => { throw new Error('on purpose'); });
	equal(await b.echo(s, 'x'), 'x');
	equal(await b.echo(s, 'y'), 'y');
	removeEventListener('error', stop);
});

async function one({ name, run }, options) {
	const bench = new Bench(options), began = Date.now(), result = { name };
	let timer;
	try {
		await Promise.race([run(bench), new Promise((_, failed) => {
			timer = setTimeout(() => failed(new Error(`not done after ${options.limit} ms`)), options.limit);
		})]);
	} catch (e) {
		result.error = `${e.name}: ${e.message}`;
	}
	clearTimeout(timer);
	result.ms = Date.now() - began;
	await bench.end();
	return { ...result, opened: bench.opened, carrier: [...bench.carriers].join('+') };
}

/* As many at once as `side` says. */
async function run(options) {
	options = { limit: 20000, side: 1, ...options };
	const left = Array.from({ length: options.times || 1 }, () => list).flat().filter((t) => (!options.only || t.name.includes(options.only)) && (options.heavy !== false || !t.isHeavy)), results = [];
	await Promise.all(Array.from({ length: options.side }, async () => {
		for (let t; (t = left.shift());)
			results.push(await one(t, options));
	}));
	return results;
}

globalThis.application = { run, list };
if (typeof module == 'object')
	module.exports = globalThis.application;
})();
