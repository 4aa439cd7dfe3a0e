/* Sessions over carriers that somebody keeps cutting: node loss.js CLIENT_DIRECTORY JSON_OPTIONS -> a line of JSON.
 *
 * Every session counts: its messages are 0, 1, 2... and come back from an echo, each once and in order, or the session ends with a
 * `close` that says so.  Options: url, sessions, messages (of all sessions), carriers (of all kinds together: go on until so many
 * have served), limit_ms. */
'use strict';
const path = require('node:path');
const { WebSocket } = require('ws');

const directory = process.argv[2], options = JSON.parse(process.argv[3]);
const Holdfast = require(path.join(directory, 'holdfast.min.js'));

const KINDS = [['websocket'], ['stream'], ['poll'], ['websocket', 'stream', 'poll']];
const OUTSTANDING = 200, BATCH = 50;
const total = { sent: 0, received: 0, lost: 0, doubled: 0, disordered: 0, closes: [], carriers: { websocket: 0, stream: 0, poll: 0 } };
const ends = Date.now() + options.limit_ms;

const served = () => Object.values(total.carriers).reduce((a, b) => a + b);
const isEnough = () => total.sent >= options.messages && served() >= options.carriers || Date.now() > ends;

/* As long as there is to be said something; then what is on its way is waited for. */
function session(number) {
	return new Promise((done) => {
		const more = number % 2 ? '' : '.'.repeat(100);
		let s, sent = 0, next = 0, isOpen = false;
		const finish = (missing) => {
			clearInterval(timer);
			total.lost += missing;
			done();
		};
		const talk = () => {
			while (!isEnough() && sent - next < OUTSTANDING && s.readyState == 1) {
				for (let i = 0; i < BATCH; i++)
					s.send(`${number} ${sent++} ${more}`);
				total.sent += BATCH;
			}
			if (isEnough() && next == sent && s.readyState == 1)
				s.close(1000);
			if (Date.now() > ends + 15000) {                   // nothing came, and nobody said why
				total.stuck = [...total.stuck || [], [number, s.carrier, s.readyState, s.unacked, s.bufferedAmount, sent, next]];
				finish(sent - next);
			}
		};
		const timer = setInterval(talk, 20);
		/* A start that is cut is a refusal, as with a WebSocket: the application tries again. */
		const begin = () => {
			s = new Holdfast(options.url, [], { WebSocket, carriers: KINDS[number % KINDS.length] });
			s.onopen = () => {
				if (s.carrier == 'plain')                          // it was cut before holdfast.1 was agreed upon
					return s.close();
				isOpen = true;
				talk();
			};
			s.onattach = () => total.carriers[s.carrier]++;
			s.onmessage = ({ data }) => {
				const [who, n] = data.split(' ').map(Number);
				if (who != number || n > next)
					total.disordered++;
				else if (n < next)
					total.doubled++;
				else
					next++;
				total.received++;
				if (next % BATCH == 0)
					talk();
			};
			s.onclose = ({ code, reason }) => {
				if (!isOpen)
					return void setTimeout(begin, 50);
				if (code != 1000)
					total.closes.push(`${code} ${reason}`);    // it was told: what is missing is not lost without a word
				finish(code == 1000 ? sent - next : 0);
			};
		};
		begin();
	});
}

Promise.all(Array.from({ length: options.sessions }, (_, i) => session(i))).then(() => {
	console.log(JSON.stringify(total));
	process.exit(0);
});
