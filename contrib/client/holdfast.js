/* Holdfast: a WebSocket that outlives its connections.
 *
 *   new Holdfast(url, protocols)     the standard WebSocket interface, in browsers and in Node (18 and later)
 *
 * The session is the thing; a WebSocket, a stream (one long answer to a POST) and polls are its carriers.  Each side
 * counts its messages and keeps what it has sent until the other has acknowledged it; a new carrier begins where the last
 * one ended.  So an application sees one unbroken socket while networks change, proxies are replaced, and boxes on the way
 * forbid WebSocket.  The protocol is described in doc/fallback.md; the numbers below are from there.
 *
 * One object owns: the log of what was sent (from `acked` + 1 on), the highest number it has `got`, its turn, at most one
 * current carrier, and while it attaches some that are being tried.  Every timer is in `timers` and ends with the session. */
(() => {
'use strict';

const g = globalThis, doc = g.document, KINDS = ['websocket', 'stream', 'poll'];
const Native = g.WebSocket, decoder = new TextDecoder(), encoder = new TextEncoder();
const NAME = 'holdfast.1', TYPE = 'text/plain;holdfast=1', KEY = 'holdfast:';
const HOLD = 25000, ROUND = 20000;                                      // all kinds together
const LOG_MAX = 16 << 20, MEMORY = 864e5, UPGRADES = [1e4, 6e4, 3e5, 18e5];
const YOUNG = 1e4, HEALTHY = 3e4;                         // lives of a carrier: too short, and long enough to forget failures
const NOWHERE = [400, 404, 405, 406, 415, 426, 501];      // answers of a server that knows no fallback
const UP = {};                                            // in place of a carrier: the answer to an `up`
const memory = new Map();                                 // where there is no localStorage
const now = () => Date.now();
const fault = (text, name) => new DOMException(text, name);

const CloseEvent = g.CloseEvent || class CloseEvent extends Event {
	constructor(type, { code = 0, reason = '', wasClean = false } = {}) {
		super(type);
		Object.assign(this, { code, reason, wasClean });
	}
};

/* Bytes to base64 and back: in runs, for a call has only so many arguments. */
function toBase64(bytes) {
	let text = '';
	for (let i = 0; i < bytes.length; i += 8192)
		text += String.fromCharCode(...bytes.subarray(i, i + 8192));
	return btoa(text);
}

function fromBase64(text) {
	const binary = atob(text), bytes = new Uint8Array(binary.length);
	for (let i = 0; i < bytes.length; i++)
		bytes[i] = binary.charCodeAt(i);
	return bytes.buffer;
}

const record = (event, data, id) => (id ? `id: ${id}\n` : '') + (event ? `event: ${event}\n` : '') + `data: ${data}\n\n`;

/* A reader of records: feed it text however it is cut; it calls take(event, data, id) for each. */
function reader(take) {
	let rest = '', from = 0;
	return (text) => {
		rest += text;
		for (let end; (end = rest.indexOf('\n\n', from)) >= 0; from = 0) {
			const fields = { event: '', id: 0 };
			for (const line of rest.slice(0, end).split('\n')) {
				const at = line.indexOf(': ');
				if (at > 0)
					fields[line.slice(0, at)] = line.slice(at + 2);
			}
			rest = rest.slice(end + 2);
			if ('data' in fields)
				take(fields.event, fields.data, +fields.id);
		}
		from = Math.max(0, rest.length - 1);
	};
}

class Holdfast extends EventTarget {
	#url; #http; #options; #Native; #kinds; #protocols;
	#state = 0; #protocol = ''; #binaryType = 'blob'; #handlers = {}; #lost = 0;
	#nonce = toBase64(crypto.getRandomValues(new Uint8Array(16))).replace(/\W/g, 'x');
	#token; #window = 262144; #beat = 15; #keep = 60;
	#turn = 0; #got = 0; #acked = 0; #sent = 0; #last = 0;   // sent: given to the current carrier; last: the newest in the log
	#log = []; #logBytes = 0; #flying = 0;                   // flying: bytes given and not acknowledged
	#owed = 0; #ackTimer; #due = false; #posting = false; #soon; // bytes received and not acknowledged
	#carrier = null; #trying = new Set(); #round = null; #plain = false;
	#failures = 0; #early = 0; #detachedAt = 0; #retryAfter = 0; #rtt = 0; #ticked = 0; #behind; #again; #upgrade; #step = 0;
	#slot; #isNarrow = false; #timers = new Set(); #listening = [];

	constructor(url, protocols = [], options = {}) {
		super();
		try {
			url = new URL(url, doc ? doc.baseURI : undefined);
		} catch {
			throw fault(`the URL '${url}' is invalid`, 'SyntaxError');
		}
		url.protocol = url.protocol.replace('http', 'ws');
		if (!/^wss?:$/.test(url.protocol) || url.hash || /#$/.test(url.href))
			throw fault(`the URL '${url}' is not one of a WebSocket`, 'SyntaxError');
		protocols = [].concat(protocols).map(String);
		if (new Set(protocols).size < protocols.length || protocols.some((p) => !/^[!#$%&'*+.^`|~\w-]+$/.test(p)))
			throw fault('the subprotocols are invalid', 'SyntaxError');
		this.#url = url;
		this.#http = url.href.replace('ws', 'http');
		this.#protocols = protocols;
		this.#options = { upgrade: UPGRADES, buffer: LOG_MAX, ...Holdfast.options, ...options };
		this.#Native = this.#options.WebSocket || Native;
		this.#kinds = KINDS.filter((k) => (this.#options.carriers || KINDS).includes(k) && (k != 'websocket' || this.#Native));
		this.#listen();
		// As with a WebSocket: nothing happens before the caller had the time to listen.
		queueMicrotask(() => this.#state < 2 && this.#begin(this.#remembered()));
	}

	get url() { return this.#url.href; }
	get readyState() { return this.#state; }
	get protocol() { return this.#protocol; }
	get extensions() { return ''; }
	get binaryType() { return this.#binaryType; }
	set binaryType(type) {
		if (type == 'blob' || type == 'arraybuffer')
			this.#binaryType = type;
	}

	/* What no carrier has been given, or has yet to write. */
	get bufferedAmount() {
		return this.#lost + this.#logBytes - this.#flying + (this.#carrier?.ws?.bufferedAmount || 0);
	}
	/* The kind of the carrier in use, or '' while detached. */
	get carrier() { return this.#carrier ? this.#carrier.kind : ''; }
	/* How many messages nobody has acknowledged: what is in doubt after a close 1006. */
	get unacked() { return this.#log.filter((e) => e.name != 'close').length; }

	send(data) {
		if (!this.#state)
			throw fault('still in CONNECTING state', 'InvalidStateError');
		const e = { size: 0 };
		if (data instanceof Blob) {
			e.size = data.size;
			e.wait = data.arrayBuffer().then((buffer) => {
				e.data = new Uint8Array(buffer);
				e.wait = 0;
				this.#flush();
			});
		} else if (data instanceof ArrayBuffer || ArrayBuffer.isView(data)) {
			// A copy: the caller may write into it the moment we return.
			e.data = new Uint8Array(data instanceof ArrayBuffer ? data.slice() : data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength));
			e.size = e.data.length;
		} else {
			const bytes = encoder.encode(e.data = String(data));
			e.size = bytes.length;
			if (/[\ud800-\udfff]/.test(e.data))             // a lone surrogate becomes U+FFFD
				e.data = decoder.decode(bytes);
		}
		if (this.#state > 1) {
			this.#lost += e.size;
			return;
		}
		if (this.#logBytes + e.size > this.#options.buffer) {
			this.#lost += e.size;
			return this.#finish(1009, 'the buffer is full', false, true);
		}
		this.#push(e);
	}

	close(code, reason = '') {
		if (code !== undefined && (code = Math.round(code) || 0) != 1000 && !(code >= 3000 && code < 5000))
			throw fault(`the close code ${code} is neither 1000 nor between 3000 and 4999`, 'InvalidAccessError');
		reason = String(reason);
		if (encoder.encode(reason).length > 123)
			throw fault('the reason is longer than 123 bytes', 'SyntaxError');
		if (this.#state > 1)
			return;
		if (!this.#token && !this.#plain) {
			this.#state = 2;
			this.#after(0, () => this.#finish(1006, '', false, true));
			return;
		}
		this.#state = 2;
		this.#push({ name: 'close', data: JSON.stringify(code === undefined ? [] : [code, reason]), size: 0 });
		// An answer that does not come is not waited for, unless something else is still on its way.
		this.#after((this.#log.length > 1 ? this.#keep * 1000 : 0) + 1e4, () => this.#finish(1006, '', false));
	}

	// ---- time

	#after(ms, then) {
		const timer = setTimeout(() => {
			this.#timers.delete(timer);
			then();
		}, ms);
		this.#timers.add(timer);
		return timer;
	}

	#cancel(timer) {
		clearTimeout(timer);
		this.#timers.delete(timer);
	}

	/* At least so long; longer where one round trip takes long. */
	#patience(ms) { return Math.max(ms, Math.min(4 * this.#rtt, 1e4)); }

	/* Every half beat: is the carrier still heard?  A gap in our own time is a sleep. */
	#tick() {
		const c = this.#carrier, gap = now() - this.#ticked, beat = this.#beat * 1000;
		this.#ticked = now();
		if (c && c.kind != 'poll' && c.kind != 'plain') {
			const silence = now() - c.heard;
			if (silence > 2.5 * beat || (gap > 2 * beat && silence > 1.5 * beat))
				this.#ended(c);
		}
		this.#after(beat / 2, () => this.#tick());
	}

	// ---- what the page is told from outside

	#listen() {
		if (!doc)
			return;
		const on = (target, type, then) => {
			target.addEventListener(type, then);
			this.#listening.push(() => target.removeEventListener(type, then));
		};
		const wake = () => {
			if (this.#token && !this.#carrier && doc.visibilityState != 'hidden' && !this.#trying.size)
				this.#begin(this.#remembered());
		};
		on(g, 'online', () => {
			this.#forget();
			this.#early = 0;
			this.#step = 0;
			if (this.#carrier)
				return this.#tryUpgrade();
			for (const c of this.#trying)
				this.#drop(c);                                 // of a network that is no more
			wake();
		});
		on(g, 'pageshow', wake);
		on(doc, 'visibilitychange', wake);
		on(g, 'pagehide', (event) => event.persisted || this.#unload());
	}

	/* The page goes: one close, which does not wait for anything. */
	#unload() {
		if (!this.#token || this.#state != 1)
			return;
		const c = this.#carrier;
		this.#push({ name: 'close', data: '[1001]', size: 0 });
		if (c?.ws)
			this.#flush();
		else
			navigator.sendBeacon(this.#http, new Blob([this.#batch(6e4).body], { type: TYPE }));
	}

	// ---- memory: which kind passed here last time

	#remembered() {
		try {
			const { carrier, until, isNarrow } = JSON.parse(g.localStorage ? localStorage.getItem(KEY + this.#url.host) : memory.get(KEY + this.#url.host));
			if (until < now() || !this.#kinds.includes(carrier))
				return this.#kinds[0];
			this.#isNarrow = isNarrow;
			return carrier;
		} catch {
			return this.#kinds[0];
		}
	}

	#remember(carrier) {
		const value = JSON.stringify({ carrier, until: now() + MEMORY, isNarrow: this.#isNarrow });
		try {
			localStorage.setItem(KEY + this.#url.host, value);
		} catch {
			memory.set(KEY + this.#url.host, value);
		}
	}

	#forget() {
		memory.delete(KEY + this.#url.host);
		try {
			localStorage.removeItem(KEY + this.#url.host);
		} catch { /* no storage, nothing to forget */ }
	}

	// ---- attaching: kinds are tried in order, each with a head start; the first that opens wins

	#begin(first) {
		const at = this.#kinds.indexOf(first);
		this.#try({ kinds: [...this.#kinds.slice(at), ...this.#kinds.slice(0, at)] });
	}

	/* Another kind, or the same anew, while the old one still serves. */
	#change(kind) {
		if (!this.#round)
			this.#try({ kinds: [kind] });
	}

	#try(round) {
		this.#cancel(this.#again);
		this.#round = round;
		this.#next(round);
	}

	#next(round) {
		if (this.#state > 2 || round != this.#round)
			return;
		const kind = round.kinds.shift();
		if (kind)
			return this.#launch(kind, round);
		for (const c of this.#trying)
			if (c.round == round)
				return;                                        // somebody may still open
		this.#round = null;
		if (this.#carrier)                                     // a change that did not come about
			return this.#carrier.isGone && this.#ended(this.#carrier);
		if (!this.#token) {
			if (this.#Native && this.#kinds.includes('websocket') && !round.isPlain && this.#state < 2
				&& (NOWHERE.includes(round.status) || !this.#kinds[1])) {
				return this.#try({ kinds: ['plain'], isPlain: true, status: round.status });
			}
			return this.#finish(1006, round.status ? String(round.status) : '', false, true);
		}
		if (now() - this.#detachedAt > this.#keep * 1000)
			return this.#finish(1006, 'session lost', false);
		this.#reattach(0, this.#failures++ > 2 ? this.#kinds[0] : this.#remembered());
	}

	#launch(kind, round) {
		const c = { kind, round, isFallback: round.isTried, turn: 0, asked: 0, at: now(), heard: now(), n: this.#got, stop() {} };
		c.advance = () => {
			c.advance = () => {};
			this.#next(round);
		};
		round.isTried = true;
		this.#trying.add(c);
		// A WebSocket may still come behind the others; a stream that is late is one that somebody keeps until its end.
		if (kind == 'websocket')
			c.timer = this.#after(2000, () => c.advance());
		else if (kind == 'stream')
			c.timer = this.#after(this.#patience(3000), () => this.#ended(c));
		c.limit = this.#after(ROUND, () => c.isOpen || this.#ended(c));
		if (kind == 'stream')
			this.#stream(c);
		else if (kind == 'poll')
			this.#poll(c);
		else
			this.#socket(c);
	}

	/* A carrier is over, in use or not yet; `status` is the answer that refused it. */
	#ended(c, status) {
		if (c.isOver || c.isGone && this.#trying.size && c == this.#carrier)
			return;                                            // replaced by one of ours, which is about to say so
		this.#drop(c);
		if (this.#state > 2)
			return;
		if (c.kind == 'plain' && c.isOpen)
			return this.#finish(...c.closed);
		if (status)
			this.#refused(c.round, status);
		if (this.#state > 2)
			return;
		if (c.isOpen)
			return this.#detached(c);
		if (c.kind == 'websocket')
			this.#rtt ||= now() - c.at;
		c.advance();
		if (!c.round.kinds.length)
			this.#next(c.round);
	}

	#refused(round, status) {
		round.status = status;
		if (this.#token) {
			if (status < 500 && status != 408 && status != 429)
				this.#finish(1006, 'session lost', false);
		} else if (status == 401 || status == 403)
			this.#finish(1006, String(status), false, true);
		else if (NOWHERE.includes(status))
			round.kinds = round.kinds.filter((k) => k == 'websocket');
	}

	#drop(c) {
		c.isOver = true;
		this.#trying.delete(c);
		this.#cancel(c.timer);
		this.#cancel(c.limit);
		c.stop();
	}

	/* The proxy has answered `open` on c: it is the carrier from now on. */
	#adopt(c, { s, protocol, got, window, beat, keep } = {}) {
		const old = this.#carrier;
		if (old == c) {
			this.#confirm(got);
			return true;
		}
		if (old && old.turn > c.turn || this.#state > 2) {
			this.#ended(c);
			return false;
		}
		const isFirst = !this.#token;
		if (s) {
			this.#token = s;
			this.#window = window || this.#window;
			this.#beat = beat || this.#beat;
			this.#keep = keep || this.#keep;
		}
		c.isOpen = true;
		c.openedAt = now();
		this.#carrier = c;
		for (const other of [...this.#trying, old])
			if (other && other != c)
				this.#drop(other);
		this.#trying.clear();
		this.#cancel(c.timer);
		this.#cancel(c.limit);
		this.#cancel(this.#behind);
		this.#round = this.#behind = null;
		if (c.kind != 'stream' && c.kind != 'poll')
			this.#release();
		if (c.kind == 'websocket' && this.#early < 2)
			this.#forget();
		else if (c.isFallback && this.#kinds[0] == 'websocket' && !c.isCrowded)
			this.#remember(c.kind);                            // something before it failed
		this.#rewind();
		this.#confirm(got, true);
		this.#due = false;
		if (isFirst) {
			this.#protocol = protocol || '';
			this.#ticked = now();
			this.#tick();
			if (this.#state == 0) {
				this.#state = 1;
				this.dispatchEvent(new Event('open'));
			}
		}
		if (this.#state > 2)
			return false;
		this.dispatchEvent(new Event('attach'));
		this.#planUpgrade();
		this.#flush();
		return true;
	}

	#detached(c) {
		const life = now() - c.openedAt;
		this.#carrier = null;
		this.#rewind();
		this.#detachedAt = now();
		if (c.isUseful || life > HEALTHY)
			this.#failures = 0;
		if (c.kind == 'websocket') {
			this.#early = life < YOUNG && !c.isGone ? this.#early + 1 : 0;
			if (this.#early > 1 && this.#kinds.length > 1)
				this.#remember(this.#kinds[1]);                // it opens, and dies: no use
		}
		this.dispatchEvent(new Event('detach'));
		if (this.#state > 2 || this.#round || c.moveAt > now())
			return;
		this.#reattach(this.#failures++ ? 0 : 250, c.kind == 'websocket' || this.#isNarrow ? this.#remembered() : c.kind);
	}

	/* Soon after the first break; after more of them without any use between, later and later. */
	#reattach(soon, kind) {
		const delay = this.#retryAfter || Math.random() * (soon || Math.min(3e4, 500 * 2 ** this.#failures));
		this.#retryAfter = 0;
		this.#cancel(this.#again);
		this.#again = this.#after(delay, () => this.#begin(kind));
	}

	#planUpgrade() {
		if (this.#carrier.kind == 'websocket') {
			this.#cancel(this.#upgrade);
			this.#upgrade = null;
			this.#step = 0;
		} else if (this.#kinds[0] == 'websocket') {
			const waits = this.#options.upgrade;
			this.#upgrade ??= this.#after(waits[Math.min(this.#step++, waits.length - 1)], () => {
				this.#upgrade = null;
				this.#tryUpgrade();
			});
		}
	}

	#tryUpgrade() {
		if (!this.#carrier)
			return;
		this.#early = 0;
		if (this.#kinds[0] == 'websocket' && !this.#carrier.ws)
			this.#change('websocket');
		this.#planUpgrade();
	}

	// ---- the session

	#push(e) {
		e.n = ++this.#last;
		this.#log.push(e);
		this.#logBytes += e.size;
		// Not at once: until the caller's turn ends, bufferedAmount says what it sent.
		this.#soon ??= queueMicrotask(() => {
			this.#soon = undefined;
			this.#flush();
		}) || true;
	}

	#rewind() {
		this.#sent = this.#acked;
		this.#flying = 0;
	}

	#given(e) {
		this.#sent = e.n;
		this.#flying += e.size;
	}

	/* The proxy has everything up to n; with isAll, and nothing of what came after. */
	#confirm(n, isAll) {
		if (!(n >= this.#acked && n <= this.#last) || n == this.#acked && !isAll)
			return;
		for (; this.#acked < n; this.#acked++) {
			const e = this.#log.shift();
			this.#logBytes -= e.size;
			if (e.n <= this.#sent)
				this.#flying -= e.size;
		}
		if (isAll || this.#sent < n)
			this.#rewind();
		this.#carrier.isUseful = true;
		this.#flush();
	}

	/* A numbered record has come: the next one is taken, what was there before is not taken twice. */
	#take(c, n, name, data, size) {
		if (c != this.#carrier || n <= this.#got || this.#state > 2)
			return;
		if (n > this.#got + 1)
			return this.#ended(c);
		this.#got = n;
		c.isUseful = true;
		if (name == 'close') {
			const [code, reason] = JSON.parse(data);
			this.#farewell(c);
			return this.#finish(code || 1005, reason || '', code != 1006);
		}
		this.#owe(size + this.#window / 1024);
		if (this.#state == 1)
			this.#deliver(data);
	}

	#deliver(data) {
		if (typeof data != 'string' && this.#binaryType == 'blob')
			data = new Blob([data]);
		this.dispatchEvent(new MessageEvent('message', { data, origin: this.#url.origin }));
	}

	/* Acknowledge after a quarter of the window, or after a second; `due` is read by whoever sends next. */
	#owe(bytes) {
		this.#owed += bytes;
		if (this.#owed >= this.#window / 4)
			this.#acknowledge();
		else
			this.#ackTimer ??= this.#after(1000, () => this.#acknowledge());
	}

	#acknowledge() {
		this.#cancel(this.#ackTimer);
		this.#ackTimer = undefined;
		this.#owed = 0;
		const c = this.#carrier;
		if (c && c.kind == 'websocket')
			c.ws.send(`\0ack ${this.#got}`);
		else if (c && (c.kind == 'stream' || this.#sent > this.#acked)) {
			this.#due = true;
			this.#post();
		}
	}

	/* A control record, on any carrier and in any answer. */
	#control(c, name, value) {
		if (name == 'open')
			return this.#adopt(c, value);
		if (c != this.#carrier && c != UP) {
			// A word in place of `open`: the proxy knows no such session, or the backend refused.
			if (name == 'close')
				this.#finish(1006, this.#token ? 'session lost' : String(value[1] || ''), false, !this.#token);
			else if (name == 'gone')
				value ? this.#finish(1006, 'session lost', false) : this.#ended(c);
			return;
		}
		if (name == 'ack')
			this.#confirm(value);
		else if (name == 'beat')
			this.#compare(c, value);
		else if (name == 'move')
			this.#move(c, value.in);
		else if (name == 'gone' && c != UP) {
			// Ours is the newest, so a racing sibling that we have dropped took the session: a higher turn takes it back.
			c.isGone = true;
			this.#ended(c);
		}
	}

	#move(c, within) {
		const delay = Math.random() * within;
		c.moveAt = now() + delay;
		this.#again = this.#after(delay, () => this.#carrier ? this.#change(c.kind) : this.#begin(c.kind));
	}

	/* The proxy has sent up to n.  A stream that is behind for 3 s and brings nothing is being buffered by somebody. */
	#compare(c, n) {
		const stream = this.#carrier;
		if (c == stream && !c.hasBeat) {
			c.hasBeat = true;
			this.#cancel(c.beatTimer);
		}
		if (!stream || stream.kind != 'stream' || n <= this.#got || this.#behind)
			return;
		const check = () => {
			this.#behind = null;
			if (this.#carrier != stream || this.#got >= n)
				return;
			if (now() - stream.heard < 2900)
				this.#behind = this.#after(3000, check);        // a large record is on its way
			else
				this.#buffered();
		};
		this.#behind = this.#after(3000, check);
	}

	#buffered() {
		if (!this.#kinds.includes('poll'))
			return;
		this.#remember('poll');
		this.#change('poll');
	}

	#finish(code, reason, wasClean, isError) {
		if (this.#state > 2)
			return;
		this.#state = 3;
		for (const c of [...this.#trying, this.#carrier])
			if (c)
				this.#drop(c);
		this.#carrier = this.#round = null;
		this.#release();
		for (const t of this.#timers)
			clearTimeout(t);
		for (const off of this.#listening)
			off();
		if (isError)
			this.dispatchEvent(new Event('error'));
		this.dispatchEvent(new CloseEvent('close', { code, reason, wasClean }));
	}

	/* The proxy's close has come: say so, that it need not keep it. */
	#farewell(c) {
		if (c.ws)
			c.ws.send(`\0ack ${this.#got}`);
		else
			this.#fetch(this.#batch(0).body, 'text/plain').catch(() => {});
	}

	// ---- sending

	/* Ready to go: not given yet, not waiting for a Blob, and within the window: bytes, of which one
	 * message may always have more, and messages. */
	*#ready(limit) {
		let flying = this.#flying;
		for (let i = this.#sent - this.#acked, e; (e = this.#log[i]) && !e.wait && i < 1000 && (!flying || flying + e.size <= limit); i++) {
			flying += e.size;
			yield e;
		}
	}

	#flush() {
		const c = this.#carrier;
		if (!c)
			return;
		if (!c.ws)
			return this.#post();
		for (const e of this.#ready(c.kind == 'plain' ? Infinity : this.#window)) {
			this.#given(e);
			if (c.kind == 'plain')
				e.name ? c.ws.close(...JSON.parse(e.data)) : c.ws.send(e.data);
			else if (e.name)
				c.ws.send(`\0${e.name} ${e.data}`);
			else
				c.ws.send(e.data[0] === '\0' ? '\0' + e.data : e.data);
		}
		if (c.kind == 'plain')
			this.#confirm(this.#sent);
	}

	/* The body of an `up`: its head, and messages from the first not given on, up to so many bytes. */
	#batch(bytes) {
		const body = [record('up', JSON.stringify({ s: this.#token, got: this.#got, from: this.#sent + 1 }))], given = [];
		let size = 0;
		if (bytes)
			for (const e of this.#ready(this.#window)) {
				if (size && size + e.size + 64 > bytes || body.length > 512)
					break;
				size += e.size + 64;
				given.push(e);
				body.push(e.name ? record(e.name, e.data, e.n) : typeof e.data == 'string' ? record('', JSON.stringify(e.data), e.n)
					: record('b', toBase64(e.data), e.n));
			}
		return { body: body.join(''), given };
	}

	/* One POST at a time; what is sent meanwhile goes with the next. */
	async #post() {
		if (this.#posting)
			return;
		this.#posting = true;
		await null;                                            // the rest of what this turn of the application sends
		for (let c, failures = 0; (c = this.#carrier) && !c.ws && this.#state < 3;) {
			const { body, given } = this.#batch(c.batch ??= this.#window / 2);
			if (!given.length && !this.#due)
				break;
			this.#due = false;
			this.#cancel(this.#ackTimer);
			this.#ackTimer = undefined;
			this.#owed = 0;
			const status = await this.#up(c, body, given);
			if (c != this.#carrier)
				continue;
			if (status == 200)
				failures = 0;
			else if (status == 409 && failures++ < 8)
				await new Promise((r) => this.#after(failures > 1 ? 50 * 2 ** failures : 0, r));
			else if (status == 413 && given.length > 1)
				c.batch /= 4;
			else {
				if (status == 413)
					this.#finish(1009, 'too big', false, true);
				else if (status >= 400 && status < 500 && status != 408 && status != 429)
					this.#finish(1006, status == 410 ? 'session lost' : String(status), false);
				else
					this.#ended(c);
				break;
			}
		}
		this.#posting = false;
		const c = this.#carrier;
		if (c && !c.ws && this.#sent < this.#last && !this.#ready(this.#window).next().done)
			this.#post();
		else if (this.#sent > this.#acked)
			this.#ackTimer ??= this.#after(1000, () => this.#acknowledge());  // a held poll brings no ack: ask
	}

	async #up(c, body, given) {
		// One connection for each client: the answer that is being held is in the way of what we send.
		const blocked = this.#after(this.#patience(4000) + body.length / 16, () => {
			if (c != this.#carrier || this.#isNarrow || !this.#kinds.includes('poll'))
				return;
			this.#isNarrow = true;
			this.#remember('poll');
			this.#ended(c);
		});
		if (this.#isNarrow && c.kind == 'poll') {
			c.isYielding = true;
			c.stop();
		}
		try {
			const began = now(), answer = await this.#fetch(body, 'text/plain'), text = await answer.text();
			this.#rtt = now() - began;
			if (c != this.#carrier)
				return answer.status;
			if (answer.status == 200)
				for (const e of given)
					if (e.n > this.#sent)
						this.#given(e);
			this.#noteRetry(answer);
			reader((name, data) => {
				data = JSON.parse(data);
				if (name == 'ack' && answer.status == 409)
					this.#confirm(data, true);
				else
					this.#control(UP, name, data);
			})(text);
			return answer.status;
		} catch {
			return 0;
		} finally {
			this.#cancel(blocked);
		}
	}

	#noteRetry(answer) {
		this.#retryAfter = Math.min(60, +answer.headers.get('retry-after') || 0) * 1000;
	}

	#fetch(body, accept, signal) {
		return (this.#options.fetch || g.fetch)(this.#http, {
			method: 'POST', body, signal, credentials: 'include', headers: { 'content-type': TYPE, accept },
		});
	}

	// ---- the carriers

	/* The turn is taken at the last moment: the polls of a current carrier take theirs meanwhile. */
	#hello(c, more) {
		c.turn = ++this.#turn;
		c.asked = now();
		return this.#token ? ['resume', JSON.stringify({ s: this.#token, turn: c.turn, got: this.#got, ...more })]
			: ['open', JSON.stringify({ protocols: this.#protocols, nonce: this.#nonce, turn: c.turn, ...more })];
	}

	#socket(c) {
		const isPlain = c.kind == 'plain';
		let ws;
		try {
			ws = new this.#Native(this.#url.href, isPlain ? this.#protocols : [NAME, ...this.#protocols]);
		} catch {
			return queueMicrotask(() => this.#ended(c));
		}
		c.ws = ws;
		ws.binaryType = 'arraybuffer';
		c.stop = () => {
			ws.onopen = ws.onmessage = ws.onclose = null;
			ws.onerror = () => {};                              // ws reports what it was told to give up
			ws.close();
		};
		ws.onopen = () => {
			if (isPlain || ws.protocol != NAME)
				return this.#openPlain(c);
			c.n = this.#got;
			ws.send('\0' + this.#hello(c).join(' '));
		};
		ws.onmessage = ({ data }) => {
			c.heard = now();
			if (c.kind == 'plain')
				return this.#state == 1 && this.#deliver(data);
			try {
				this.#message(c, data);
			} catch {
				this.#ended(c);
			}
		};
		ws.onerror = () => { c.isError = true; };
		ws.onclose = (e) => {
			c.closed = [e.code, e.reason, e.wasClean, c.isError];
			this.#ended(c);
		};
	}

	/* Of a WebSocket that speaks holdfast.1: a text that begins with NUL is a control, with two it is one of the application. */
	#message(c, data) {
		if (data[0] === '\0' && data[1] != '\0') {
			const at = data.indexOf(' '), name = data.slice(1, at);
			if (name == 'close' && c.isOpen)
				this.#take(c, ++c.n, name, data.slice(at), 0);
			else
				this.#control(c, name, JSON.parse(data.slice(at)));
		} else
			this.#take(c, ++c.n, '', data[0] === '\0' ? data.slice(1) : data, data.length ?? data.byteLength);
	}

	/* The server chose another subprotocol than ours, or none: it is an ordinary WebSocket, with one life. */
	#openPlain(c) {
		this.#plain = true;
		c.kind = 'plain';
		this.#token = '';
		this.#protocol = c.ws.protocol;
		this.#carrier = c;
		c.isOpen = true;
		for (const other of this.#trying)
			if (other != c)
				this.#drop(other);
		this.#cancel(c.timer);
		this.#cancel(c.limit);
		this.#round = null;
		this.#state = 1;
		this.dispatchEvent(new Event('open'));
		this.#flush();
	}

	/* A record of a stream or a poll. */
	#record(c, name, data, id) {
		if (!name || name == 'b')
			this.#take(c, id, '', name ? fromBase64(data) : JSON.parse(data), data.length);
		else if (id)
			this.#take(c, id, name, data, 0);
		else
			this.#control(c, name, JSON.parse(data));
	}

	async #request(c, accept, more, each) {
		const abort = new AbortController();
		c.stop = () => abort.abort();
		const answer = await this.#fetch(record(...this.#hello(c, more)), accept, abort.signal);
		if (answer.status != 200) {
			this.#noteRetry(answer);
			this.#ended(c, answer.status);
			return false;
		}
		const feed = reader((...r) => this.#record(c, ...r));
		if (each) {
			const body = answer.body.getReader(), text = new TextDecoder();
			for (let part; !(part = await body.read()).done && !c.isOver;) {
				c.heard = now();
				feed(text.decode(part.value, { stream: true }));
			}
		} else
			feed(await answer.text());
		return true;
	}

	async #stream(c) {
		try {
			if (await this.#isCrowded())
				c.isCrowded = true;
			else {
				c.beatTimer = this.#after(this.#patience(3000), () => c == this.#carrier && !c.hasBeat && this.#buffered());
				await this.#request(c, 'text/event-stream', {}, true);
			}
		} catch { /* a network that fails, records that are none: over either way */ }
		this.#ended(c);
	}

	async #poll(c) {
		for (let pause = 0; !c.isOver; pause && await new Promise((r) => { c.timer = this.#after(pause, r); })) {
			const began = now(), got = this.#got;
			try {
				// Somebody else has just asked for the session: another poll would take it back.
				while ([...this.#trying].some((t) => t != c && now() - t.asked < 1000))
					await new Promise((r) => this.#after(20, r));
				const wasCrowded = c.isCrowded, crowd = await this.#isCrowded();
				if (c.isOver)
					return;
				c.isCrowded = crowd;
				if (wasCrowded && !crowd && this.#kinds.includes('stream')) {
					this.#change('stream');                     // a place has become free
					pause = 1000;
					continue;
				}
				const hold = !c.isOpen || crowd == 1 ? 0 : crowd || this.#isNarrow ? 1000 : HOLD, limit = this.#after(hold + YOUNG, () => c.stop());
				const isGood = await this.#request(c, 'text/plain', { hold });
				this.#cancel(limit);
				if (!isGood || c.isOver)
					return;
				if (!c.isOpen && !this.#token || !c.isOpen && !this.#adopt(c))
					return this.#ended(c);
				pause = crowd == 1 ? 1000 + 1000 * Math.random() : hold && got == this.#got && now() - began < 20 ? 500 : 0;
			} catch {
				if (!c.isYielding)
					return this.#ended(c);
				pause = 0;
			}
			c.isYielding = false;
		}
	}

	// ---- tabs: browsers open six HTTP/1.1 connections to a host, so at most three tabs hold one of them

	/* 0: there is a place; 1: none is free; 2: nobody can tell (an insecure page). */
	async #isCrowded() {
		if (!doc || this.#slot || this.#isMultiplexed())
			return 0;
		if (!navigator.locks)
			return 2;
		for (let i = 0; i < 3 && !this.#slot; i++)
			await new Promise((answer) => {
				navigator.locks.request(`${KEY}${this.#url.host}:${i}`, { ifAvailable: true }, (lock) => {
					if (!lock || this.#slot || this.#state > 2)
						return answer();
					return new Promise((release) => {
						this.#slot = release;
						answer();
					});
				}).catch(answer);
			});
		return this.#slot ? 0 : 1;
	}

	#isMultiplexed() {
		return performance.getEntriesByName(this.#http).some((e) => /^h[23]/.test(e.nextHopProtocol));
	}

	#release() {
		if (this.#slot)
			this.#slot();
		this.#slot = null;
	}
}

/* onopen and the like: one listener each, as the attributes of a WebSocket. */
for (const type of ['open', 'message', 'error', 'close', 'detach', 'attach']) {
	const handlers = new WeakMap();
	Object.defineProperty(Holdfast.prototype, 'on' + type, {
		configurable: true, enumerable: true,
		get() { return handlers.get(this)?.now || null; },
		set(handler) {
			let box = handlers.get(this);
			if (!box) {
				handlers.set(this, box = {});
				this.addEventListener(type, (event) => box.now?.call(this, event));
			}
			box.now = typeof handler == 'function' ? handler : null;
		},
	});
}
['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED'].forEach((name, value) => {
	for (const target of [Holdfast, Holdfast.prototype])
		Object.defineProperty(target, name, { value, enumerable: true });
});

g.Holdfast = Holdfast;
if (typeof module == 'object' && module.exports)
	module.exports = Object.assign(Holdfast, { Holdfast });
/* <script src="/.holdfast/client.js?as=WebSocket">: an application that knows nothing of this uses it. */
const script = doc && doc.currentScript;
if (script) {
	const query = new URL(script.src || 'http://-').searchParams, name = query.get('as'), carriers = query.get('carriers');
	if (name)
		g[name] = Holdfast;
	if (carriers)
		Holdfast.options = { carriers: carriers.split(',') };
}
})();
