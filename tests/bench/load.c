/* The load generator: puts one kind of work on a proxy, checks every byte that comes back, and says what
 * it took.
 *
 *   ws-echo    N WebSockets, one message in flight each, as fast as they return or at a fixed rate in all
 *   ws-idle    N WebSockets, one echo each, then held: prints "ready", and each line on standard input asks
 *              for another round of echoes; ends with the pipe
 *   ws-stall   N WebSockets to /push that read nothing behind the 101: prints "ready"; ends with the pipe
 *   handshake  connect, [TLS,] upgrade, Close, end of input; N at a time
 *   http       keep-alive GETs of `--size` bytes; N connections
 *   upload     keep-alive POSTs of `--size` bytes; N connections
 *
 * After a warm-up it measures for a window; with --count it ends after so many units instead.  At both ends
 * of the window it reads the CPU clocks of the processes named by --pids (all their threads, io_uring's too),
 * so that work and cost are taken at the same instant.  The result is one line of JSON.  The first byte that
 * differs, connection that ends or answer that is not the expected one ends the run with "error": a number
 * beside an error is none.
 *
 * One thread, epoll.  Usage: see options.c. */
#define _GNU_SOURCE
#include "common.h"
#include "conn.h"
#include "latency.h"
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define OPENING_MAX 64 /* handshakes at once while many connections are opened: below every listen queue */
#define EVENTS_MAX 512
#define STALL_S 10
#define HEAD_MAX_BYTES 16384u

/* The example of RFC 6455 1.3. */
#define WS_KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define WS_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

enum phase { PHASE_OPENING, PHASE_WARM, PHASE_WINDOW, PHASE_DONE };

enum client_state {
	CLIENT_CLOSED,
	CLIENT_UPGRADING, /* waits for 101 */
	CLIENT_QUIET,     /* a WebSocket with nothing in flight */
	CLIENT_ECHO,      /* waits for its message */
	CLIENT_CLOSE,     /* sent a Close, waits for the other */
	CLIENT_EOF,       /* waits for the end of input */
	CLIENT_UPLOAD,    /* sends a body */
	CLIENT_HEAD,      /* waits for a response head */
	CLIENT_BODY,
};
static const char *const state_names[] = { "closed", "upgrading", "quiet", "echo", "close",
					   "eof",    "upload",    "head",  "body" };

struct client {
	struct conn conn;
	enum client_state state;
	uint8_t *in; /* half a head or frame */
	size_t in_len;
	uint64_t began_ns;          /* of the unit of work under way */
	uint64_t message_at;        /* where in the pattern the message in flight begins */
	uint64_t body_at, body_len; /* CLIENT_BODY, CLIENT_UPLOAD */
};

/* What is compared between the two ends of the window. */
struct sample {
	uint64_t at_ns, units, bytes, pings, proxy_cpu_ns, own_cpu_ns;
};

static int epoll_fd;
static SSL_CTX *tls;
static struct client *clients;
static size_t opened, opening, next_to_open; /* connections that are up; under way; not yet begun */
static enum phase phase;
static uint64_t phase_ends_ns, progress_ns, now;
static uint64_t units, bytes, resumed, behind, pings;
static uint64_t due_ns, due_count; /* fixed rate: when the next message is due, how many were */
static struct sample window_begin, window_end;
static struct latency latency; /* of the window */
static char error[512];
static uint8_t scratch[HEAD_MAX_BYTES + MESSAGE_MAX_BYTES + WS_HEADER_MAX + SCRATCH_BYTES];

/* The first error is the true one; always returns -1. */
__attribute__((format(printf, 1, 2))) static int fail(const char *format, ...)
{
	va_list args;

	if (error[0] == '\0') {
		va_start(args, format);
		vsnprintf(error, sizeof(error), format, args);
		va_end(args);
	}
	phase = PHASE_DONE;
	return -1;
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	if (clock_gettime(clock, &t) != 0)
		return 0;
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void sample_take(struct sample *s)
{
	s->at_ns = now_ns();
	s->units = units;
	s->bytes = bytes;
	s->pings = pings;
	s->own_cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	s->proxy_cpu_ns = 0;
	for (size_t i = 0; i < options.proxy_count; i++) {
		uint64_t ns = clock_ns(options.proxy_clocks[i]);

		if (ns == 0)
			fail("a process of the proxy is gone");
		s->proxy_cpu_ns += ns;
	}
}

static void phase_enter(enum phase next, double seconds)
{
	phase = next;
	phase_ends_ns = now + (uint64_t)(seconds * 1e9);
	if (next == PHASE_WINDOW)
		sample_take(&window_begin);
	if (next == PHASE_DONE)
		sample_take(&window_end);
}

static int client_send(struct client *c, const uint8_t *out, size_t len)
{
	int res = conn_send(&c->conn, epoll_fd, c, out, len);

	return res == 0 ? 0 : fail("send while %s: %s", state_names[c->state], strerror(-res));
}

static int client_send_text(struct client *c, const char *text)
{
	return client_send(c, (const uint8_t *)text, strlen(text));
}

/* Sends a masked frame with a piece of the pattern. */
static int client_send_frame(struct client *c, enum ws_opcode opcode, const uint8_t *payload, size_t len)
{
	static uint32_t random = 0x9e3779b9u;
	static uint8_t frame[WS_HEADER_MAX + MESSAGE_MAX_BYTES];
	uint8_t mask[4];
	size_t header_len;

	random ^= random << 13;
	random ^= random >> 17;
	random ^= random << 5;
	memcpy(mask, &random, 4);
	header_len = ws_header_put(frame, opcode, len, mask);
	memcpy(frame + header_len, payload, len);
	ws_mask(frame + header_len, len, mask);
	return client_send(c, frame, header_len + len);
}

/* Every connection and message has its own piece, so that a mix-up shows. */
static int client_send_message(struct client *c, uint64_t began_ns)
{
	c->message_at += 1 + (uint64_t)(c - clients) * 7919;
	c->began_ns = began_ns;
	c->state = CLIENT_ECHO;
	return client_send_frame(c, WS_BINARY, pattern_at(c->message_at), options.size);
}

/* Sends at most one buffer's worth a turn, so that one upload leaves the others their share. */
static int client_continue_upload(struct client *c)
{
	uint64_t stop = c->body_at + SCRATCH_BYTES < c->body_len ? c->body_at + SCRATCH_BYTES : c->body_len;

	while (c->body_at < stop) {
		ssize_t n = conn_write(&c->conn, epoll_fd, c, pattern_at(c->body_at), stop - c->body_at);

		if (n == -EAGAIN)
			return 0;
		if (n <= 0)
			return fail("upload: %s", strerror((int)-n));
		c->body_at += (uint64_t)n;
		bytes += (uint64_t)n;
		progress_ns = now;
	}
	if (c->body_at < c->body_len)
		return 0;
	c->state = CLIENT_HEAD;
	return conn_flush(&c->conn, epoll_fd, c) == 0 ? 0 : fail("upload"); /* stops watching for room */
}

static int client_request(struct client *c)
{
	char head[256];

	c->began_ns = now;
	snprintf(head, sizeof(head),
		 options.mode == MODE_UPLOAD
			 ? "POST /sink HTTP/1.1\r\nHost: localhost\r\nUser-Agent: load\r\n"
			   "Content-Type: text/plain\r\nContent-Length: %llu\r\n\r\n"
			 : "GET /bytes/%llu HTTP/1.1\r\nHost: localhost\r\nUser-Agent: load\r\n"
			   "Accept: */*\r\n\r\n",
		 (unsigned long long)options.size);
	c->body_at = 0;
	c->body_len = options.size;
	c->state = options.mode == MODE_UPLOAD ? CLIENT_UPLOAD : CLIENT_HEAD;
	if (client_send_text(c, head) != 0)
		return -1;
	/* Nothing may overtake the head: it waits only while TLS shakes hands. */
	return c->state == CLIENT_UPLOAD && c->conn.out_len == 0 ? client_continue_upload(c) : 0;
}

static int client_open(struct client *c)
{
	int res = conn_open(&c->conn, epoll_fd, options.port, tls, c);

	if (res != 0)
		return fail("connect: %s", strerror(-res));
	if (options.mode == MODE_WS_STALL) /* the kernel, too, holds little for it */
		setsockopt(c->conn.fd, SOL_SOCKET, SO_RCVBUF, &(int){ 8192 }, sizeof(int));
	c->began_ns = now_ns();
	c->in_len = 0;
	if (options.mode == MODE_HTTP || options.mode == MODE_UPLOAD)
		return client_request(c);
	c->state = CLIENT_UPGRADING;
	return client_send_text(
		c,
		options.mode == MODE_WS_STALL ?
		"GET /push HTTP/1.1\r\nHost: localhost\r\nUser-Agent: load\r\nUpgrade: websocket\r\n"
		"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " WS_KEY "\r\n\r\n" :
		"GET /ws HTTP/1.1\r\nHost: localhost\r\nUser-Agent: load\r\nUpgrade: websocket\r\n"
		"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " WS_KEY "\r\n\r\n");
}

/* Opens the next connections of those wanted, a few at a time. */
static int clients_open_more(void)
{
	while (next_to_open < options.connections && opening < OPENING_MAX) {
		opening++;
		if (client_open(&clients[next_to_open++]) != 0)
			return -1;
	}
	return 0;
}

/* One more connection works; with the last of them the warm-up begins. */
static int client_is_up(void)
{
	opening--;
	opened++;
	if (clients_open_more() != 0)
		return -1;
	if (opened < options.connections)
		return 0;
	now = now_ns();
	due_ns = now;
	if (options.count > 0)
		phase_enter(PHASE_WINDOW, 1e6);
	else
		phase_enter(PHASE_WARM, options.warmup_s);
	for (size_t i = 0; options.mode == MODE_WS_ECHO && options.rate_per_s == 0 && i < options.connections;
	     i++)
		if (client_send_message(&clients[i], now) != 0)
			return -1;
	return 0;
}

static void unit_done(struct client *c)
{
	units++;
	if (phase == PHASE_WINDOW)
		latency_add(&latency, now - c->began_ns);
	if (options.count > 0 && units == options.count)
		phase_enter(PHASE_DONE, 0);
}

/* After 101. */
static int client_upgraded(struct client *c)
{
	static const uint8_t close_code[] = { 1000 >> 8, 1000 & 0xff };

	if (tls != NULL && SSL_session_reused(c->conn.ssl) == 1)
		resumed++;
	if (options.mode == MODE_WS_IDLE)
		return client_send_message(c, now);
	if (options.mode == MODE_HANDSHAKE) {
		if (options.resume && phase >= PHASE_WARM && SSL_session_reused(c->conn.ssl) != 1 &&
		    units > 2 * options.connections)
			return fail("a session was not resumed");
		unit_done(c);
		c->state = CLIENT_CLOSE;
		if (phase == PHASE_OPENING && opened < options.connections && client_is_up() != 0)
			return -1;
		return client_send_frame(c, WS_CLOSE, close_code, sizeof(close_code));
	}
	c->state = CLIENT_QUIET;
	if (options.mode == MODE_WS_STALL) {
		epoll_ctl(epoll_fd, EPOLL_CTL_DEL, c->conn.fd, NULL); /* whatever comes from now on */
		opening--;
		opened++;
		return clients_open_more();
	}
	return client_is_up();
}

/* A response head, NUL-terminated.  Returns -1 when it is not the expected one. */
static int client_head(struct client *c, char *head)
{
	int status = strncmp(head, "HTTP/1.1 ", 9) == 0 ? atoi(head + 9) : 0;
	const char *field;

	if (c->state == CLIENT_UPGRADING) {
		field = strcasestr(head, "\r\nsec-websocket-accept:");
		if (status != 101 || field == NULL || strstr(field, WS_ACCEPT) == NULL)
			return fail("upgrade: %.160s", head);
		return client_upgraded(c);
	}
	field = strcasestr(head, "\r\ncontent-length:");
	if (status != 200 || field == NULL)
		return fail("response: %.160s", head);
	c->body_at = 0;
	c->body_len = strtoull(field + strlen("\r\ncontent-length:"), NULL, 10);
	if (c->body_len != (options.mode == MODE_UPLOAD ? 2 : options.size))
		return fail("response of %llu bytes", (unsigned long long)c->body_len);
	c->state = CLIENT_BODY;
	return 0;
}

static int client_body(struct client *c, const uint8_t *in, size_t len)
{
	if (memcmp(in,
		   options.mode == MODE_UPLOAD ? (const uint8_t *)"ok" + c->body_at : pattern_at(c->body_at),
		   len) != 0)
		return fail("a body differs near byte %llu", (unsigned long long)c->body_at);
	c->body_at += len;
	if (options.mode == MODE_HTTP)
		bytes += len;
	if (c->body_at < c->body_len)
		return 0;
	unit_done(c);
	if (phase == PHASE_DONE)
		return 0;
	return client_request(c);
}

static int client_frame(struct client *c, const struct ws_frame *frame, const uint8_t *payload)
{
	unsigned opcode = frame->first & 0x0f;

	if (frame->is_masked || (frame->first & 0x70) != 0)
		return fail("a frame begins with %02x%s", frame->first, frame->is_masked ? ", masked" : "");
	pings += opcode == WS_PING;
	if (opcode == WS_PING)
		return client_send_frame(c, WS_PONG, payload, frame->payload_len);
	if (opcode == WS_CLOSE && c->state == CLIENT_CLOSE) {
		c->state = CLIENT_EOF;
		return 0;
	}
	if (opcode == WS_CLOSE && frame->payload_len >= 2)
		return fail("closed with %d %.*s", payload[0] << 8 | payload[1], (int)frame->payload_len - 2,
			    payload + 2);
	if (c->state != CLIENT_ECHO || frame->first != (0x80 | WS_BINARY))
		return fail("a frame begins with %02x while %s", frame->first, state_names[c->state]);
	if (frame->payload_len != options.size ||
	    memcmp(payload, pattern_at(c->message_at), options.size) != 0)
		return fail("an echo of %zu bytes differs", frame->payload_len);
	c->state = CLIENT_QUIET;
	bytes += options.size;
	unit_done(c);
	if (options.mode == MODE_WS_IDLE)
		return phase == PHASE_OPENING ? client_is_up() : 0;
	if (options.rate_per_s > 0 || phase == PHASE_DONE)
		return 0;
	return client_send_message(c, now);
}

/* Takes one unit (head, frame, piece of a body).  Returns its length, 0 for more, -1 after fail(). */
static ssize_t client_take(struct client *c, uint8_t *in, size_t len)
{
	struct ws_frame frame;

	switch (c->state) {
	case CLIENT_UPGRADING:
	case CLIENT_HEAD: {
		uint8_t *end = memmem(in, len, "\r\n\r\n", 4);

		if (end == NULL)
			return len > HEAD_MAX_BYTES ? fail("an endless head") : 0;
		end[2] = '\0';
		return client_head(c, (char *)in) != 0 ? -1 : end + 4 - in;
	}
	case CLIENT_BODY: {
		uint64_t left = c->body_len - c->body_at;
		size_t n = len < left ? len : left;

		n = n < SCRATCH_BYTES ? n : SCRATCH_BYTES;
		return client_body(c, in, n) != 0 ? -1 : (ssize_t)n;
	}
	case CLIENT_QUIET:
	case CLIENT_ECHO:
	case CLIENT_CLOSE:
		if (options.mode == MODE_WS_STALL) /* what came with the 101 */
			return (ssize_t)len;
		if (!ws_header_get(in, len, &frame))
			return 0;
		if (frame.payload_len > MESSAGE_MAX_BYTES)
			return fail("a frame of %zu bytes", frame.payload_len);
		if (len < frame.header_len + frame.payload_len)
			return 0;
		if (client_frame(c, &frame, in + frame.header_len) != 0)
			return -1;
		return (ssize_t)(frame.header_len + frame.payload_len);
	default:
		in[len < 64 ? len : 64] = '\0';
		return fail("bytes that nobody asked for while %s: %s", state_names[c->state], (char *)in);
	}
}

static int client_ended(struct client *c, ssize_t res)
{
	if (c->state != CLIENT_EOF)
		return fail("connection ended while %s: %s", state_names[c->state],
			    res == 0 ? "end of input" : strerror((int)-res));
	conn_close(&c->conn);
	return client_open(c);
}

/* Reads what there is and takes what is whole.  Returns -1 after fail(). */
static int client_readable(struct client *c)
{
	do {
		size_t have = c->in_len, at = 0;
		ssize_t n, used = 1;

		if (have > 0)
			memcpy(scratch, c->in, have);
		n = conn_read(&c->conn, scratch + have, SCRATCH_BYTES);
		if (n == -EAGAIN)
			return 0;
		if (n <= 0)
			return client_ended(c, n);
		now = now_ns();
		progress_ns = now;
		free(c->in);
		c->in = NULL;
		c->in_len = 0;
		have += (size_t)n;
		for (; at < have && used > 0; at += (size_t)used) {
			used = client_take(c, scratch + at, have - at);
			if (used < 0)
				return -1;
		}
		if (at < have) {
			c->in = malloc(have - at);
			if (c->in == NULL)
				return fail("out of memory");
			memcpy(c->in, scratch + at, have - at);
			c->in_len = have - at;
		}
	} while (conn_has_pending(&c->conn) && phase != PHASE_DONE);
	return 0;
}

static int client_event(struct client *c, uint32_t events)
{
	if (c->conn.out_len > 0) {
		int res = conn_flush(&c->conn, epoll_fd, c);

		if (res != 0)
			return fail("send while %s: %s", state_names[c->state], strerror(-res));
	}
	if (c->state == CLIENT_UPLOAD && c->conn.out_len == 0 && client_continue_upload(c) != 0)
		return -1;
	return (events & ~(uint32_t)EPOLLOUT) != 0 ? client_readable(c) : 0;
}

/* Fixed rate: sends what is due, connection after connection.  Latency counts from when it was due. */
static int messages_send_due(void)
{
	while (due_ns <= now) {
		struct client *c = &clients[due_count++ % options.connections];

		if (c->state != CLIENT_QUIET)
			behind++;
		else if (client_send_message(c, due_ns) != 0)
			return -1;
		due_ns += (uint64_t)(1e9 / options.rate_per_s);
	}
	return 0;
}

/* ws-idle: a line asks for another round of echoes; returns false at the end of input. */
static bool command_take(void)
{
	char line[64];
	ssize_t n = read(STDIN_FILENO, line, sizeof(line));

	if (n <= 0 || options.mode == MODE_WS_STALL)
		return false;
	for (size_t i = 0; i < options.connections; i++) {
		if (client_send_message(&clients[i], now) != 0)
			return false;
		if (i % OPENING_MAX == 0)
			usleep(1000); /* a burst of thousands would measure the queues */
	}
	return true;
}

/* Moves from phase to phase by the clock, and notices when nothing moves. */
static void phase_check(void)
{
	static uint64_t said;

	if (options.mode == MODE_WS_IDLE) {
		/* Ready as often as all have echoed. */
		if (phase != PHASE_OPENING && units == options.connections * (said + 1)) {
			if (said++ == 0) { /* before that a line would find connections half open */
				struct epoll_event e = { .events = EPOLLIN };

				epoll_ctl(epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &e);
			}
			printf("ready\n");
			fflush(stdout);
		}
		if (phase != PHASE_OPENING && units == options.connections * said)
			progress_ns = now;
	} else if (options.mode == MODE_WS_STALL) {
		if (opened == options.connections && said++ == 0) {
			struct epoll_event e = { .events = EPOLLIN };

			epoll_ctl(epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &e);
			printf("ready\n");
			fflush(stdout);
		}
		if (said > 0)
			progress_ns = now;
	} else if (now >= phase_ends_ns && phase == PHASE_WARM) {
		phase_enter(PHASE_WINDOW, options.seconds);
	} else if (now >= phase_ends_ns && phase == PHASE_WINDOW) {
		phase_enter(PHASE_DONE, 0);
	}
	if (now - progress_ns > STALL_S * NS_PER_S)
		fail("nothing came for %d s; %zu of %zu connections up, %llu units", STALL_S, opened,
		     options.connections, (unsigned long long)units);
}

static void run(void)
{
	struct epoll_event events[EVENTS_MAX];

	now = progress_ns = now_ns();
	if (options.mode <= MODE_HANDSHAKE) {
		if (clients_open_more() != 0)
			return;
	} else { /* HTTP begins to work at once */
		opening = next_to_open = options.connections;
		for (size_t i = 0; i < options.connections; i++)
			if (client_open(&clients[i]) != 0 || client_is_up() != 0)
				return;
	}
	while (phase != PHASE_DONE) {
		struct timespec wait = { 0, 100 * 1000 * 1000 };
		int n;

		if (options.rate_per_s > 0 && phase != PHASE_OPENING)
			wait.tv_nsec = due_ns <= now
					       ? 0
					       : (long)(due_ns - now < 100000000 ? due_ns - now : 100000000);
		n = epoll_pwait2(epoll_fd, events, EVENTS_MAX, &wait, NULL);
		now = now_ns();
		for (int i = 0; i < n && phase != PHASE_DONE; i++) {
			if (events[i].data.ptr == NULL) {
				if (!command_take())
					return;
			} else if (client_event(events[i].data.ptr, events[i].events) != 0) {
				return;
			}
		}
		if (options.rate_per_s > 0 && phase != PHASE_OPENING && messages_send_due() != 0)
			return;
		if (phase != PHASE_DONE)
			phase_check();
	}
}

static void report(void)
{
	const struct sample *a = &window_begin, *b = &window_end;

	printf("{\"mode\": \"%s\", \"units\": %llu, \"bytes\": %llu, \"seconds\": %.6f, \"proxy_cpu_s\": "
	       "%.9f, "
	       "\"client_cpu_s\": %.6f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"resumed\": %llu, \"behind\": "
	       "%llu, \"pings\": %llu, \"error\": \"",
	       mode_names[options.mode], (unsigned long long)(b->units - a->units),
	       (unsigned long long)(b->bytes - a->bytes), (double)(b->at_ns - a->at_ns) / 1e9,
	       (double)(b->proxy_cpu_ns - a->proxy_cpu_ns) / 1e9,
	       (double)(b->own_cpu_ns - a->own_cpu_ns) / 1e9, latency_quantile_us(&latency, 0.5),
	       latency_quantile_us(&latency, 0.99), (unsigned long long)resumed, (unsigned long long)behind,
	       (unsigned long long)(b->pings - a->pings));
	for (const char *p = error; *p != '\0'; p++)
		putchar(isprint((unsigned char)*p) && *p != '"' && *p != '\\' ? *p : ' ');
	puts("\"}");
}

/* --wait: everything loaded, nothing begun; pages shared with the proxy weigh the same from here on. */
static bool wait_for_line(void)
{
	char line[64];

	puts("waiting");
	fflush(stdout);
	return read(STDIN_FILENO, line, sizeof(line)) > 0;
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	options_parse(argc, argv);
	files_raise();
	pattern_init();
	if (options.tls) {
		tls = conn_tls_new();
		if (tls == NULL)
			die("load: no TLS");
		conn_tls_resume(options.resume);
	}
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	clients = calloc(options.connections, sizeof(*clients));
	if (clients == NULL)
		die("load: out of memory");
	if (options.wait && !wait_for_line())
		return 1;
	run();
	report();
	return error[0] != '\0';
}
