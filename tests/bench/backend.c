/* The server behind the proxies: echoes WebSocket messages, serves and swallows bodies.
 *
 *   GET with Upgrade: websocket   101, then every message comes back unmasked, a ping as a pong, a Close as a
 *                                 Close; after that this side closes first, so that no proxy collects
 *                                 TIME_WAIT
 *   GET /push with Upgrade        101, then 100 messages of a KiB a second, as long as the socket takes them
 *   GET /bytes/N                  N bytes of the pattern
 *   POST /sink                    compares the body with the pattern: 200 "ok", or 409 "different"
 *
 * One thread, epoll, plain TCP, no logs: it must cost less than what it measures.  A connection owns memory
 * only while half a frame or an unsent answer waits.  A peer that breaks the protocol is closed; the client
 * sees it and the number is void.
 * Usage: backend PORT; prints "ready" once it listens; ends with the pipe on its standard input. */
#define _GNU_SOURCE
#include "common.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <signal.h>
#include <sys/epoll.h>
#include <time.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_MAX_BYTES 16384u
#define FRAME_MAX_BYTES (128u * 1024)
#define EVENTS_MAX 512

enum conn_state { CONN_HEAD, CONN_ECHO, CONN_FLOOD, CONN_SINK };

struct conn {
	int fd;
	enum conn_state state;
	uint32_t events;    /* what epoll watches */
	bool close_flushed; /* close once `out` has left */
	bool is_different;  /* a byte of the upload was wrong */
	uint8_t *in;        /* half a head or frame */
	size_t in_len;
	uint8_t *out; /* what the socket did not take; nothing is read meanwhile */
	size_t out_len;
	uint64_t body_at, body_len; /* CONN_FLOOD, CONN_SINK */
	bool is_pushed;
	struct conn *next, **to_me; /* of those that are pushed */
};

#define PUSH_NS 10000000u
#define PUSH_BYTES 1024u

static struct conn *pushed;
static uint64_t push_at_ns;

static int epoll_fd;
static uint8_t scratch[HEAD_MAX_BYTES + FRAME_MAX_BYTES + SCRATCH_BYTES];

static void conn_free(struct conn *c)
{
	if (c->is_pushed) {
		*c->to_me = c->next;
		if (c->next != NULL)
			c->next->to_me = c->to_me;
	}
	close(c->fd);
	free(c->in);
	free(c->out);
	free(c);
}

static void conn_watch(struct conn *c, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = c };

	if (c->events == events)
		return;
	c->events = events;
	epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &e);
}

/* Keeps a copy of what could not be used or sent now.  Returns -1 when memory is out. */
static int bytes_keep(uint8_t **kept, size_t *kept_len, const uint8_t *bytes, size_t len)
{
	uint8_t *more = realloc(*kept, *kept_len + len);

	if (more == NULL)
		return -1;
	memcpy(more + *kept_len, bytes, len);
	*kept = more;
	*kept_len += len;
	return 0;
}

/* Sends now what the socket takes and keeps the rest.  Returns -1 when the connection is lost. */
static int conn_send(struct conn *c, const uint8_t *bytes, size_t len)
{
	ssize_t sent = 0;

	if (c->out_len == 0) {
		sent = send(c->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent == (ssize_t)len)
			return 0;
		if (sent < 0 && errno != EAGAIN)
			return -1;
		if (sent < 0)
			sent = 0;
	}
	conn_watch(c, EPOLLOUT);
	return bytes_keep(&c->out, &c->out_len, bytes + sent, len - (size_t)sent);
}

static int conn_answer(struct conn *c, const char *status, const char *body)
{
	char head[256];
	int len = snprintf(head, sizeof(head),
			   "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n%s", status,
			   strlen(body), body);

	return conn_send(c, (uint8_t *)head, (size_t)len);
}

static int conn_upgrade(struct conn *c, const char *head)
{
	const char *key = strcasestr(head, "\r\nsec-websocket-key:");
	unsigned char digest[SHA_DIGEST_LENGTH];
	char joined[24 + sizeof(WS_GUID)], accept[32], answer[192];
	int len;

	if (key == NULL)
		return -1;
	key += strlen("\r\nsec-websocket-key:");
	key += strspn(key, " \t");
	if (strcspn(key, " \t\r") != 24)
		return -1;
	memcpy(joined, key, 24);
	memcpy(joined + 24, WS_GUID, sizeof(WS_GUID));
	SHA1((const unsigned char *)joined, strlen(joined), digest);
	EVP_EncodeBlock((unsigned char *)accept, digest, sizeof(digest));
	len = snprintf(answer, sizeof(answer),
		       "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		       "Sec-WebSocket-Accept: %s\r\n\r\n",
		       accept);
	c->state = CONN_ECHO;
	c->is_pushed = strncmp(head, "GET /push", 9) == 0;
	if (c->is_pushed) {
		c->next = pushed;
		c->to_me = &pushed;
		if (pushed != NULL)
			pushed->to_me = &c->next;
		pushed = c;
	}
	return conn_send(c, (uint8_t *)answer, (size_t)len);
}

/* One request head, NUL-terminated, without its last line.  Returns -1 to close. */
static int conn_request(struct conn *c, char *head)
{
	const char *length = strcasestr(head, "\r\ncontent-length:");

	if (strcasestr(head, "\r\nupgrade: websocket") != NULL)
		return conn_upgrade(c, head);
	if (strncmp(head, "GET /bytes/", 11) == 0) {
		char answer[128];
		int len;

		c->body_at = 0;
		c->body_len = strtoull(head + 11, NULL, 10);
		len = snprintf(answer, sizeof(answer),
			       "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %llu\r\n\r\n",
			       (unsigned long long)c->body_len);
		if (c->body_len <= sizeof(answer)) {
			uint8_t whole[2 * sizeof(answer)]; /* a small answer leaves in one segment */

			memcpy(whole, answer, (size_t)len);
			memcpy(whole + len, pattern_at(0), c->body_len);
			return conn_send(c, whole, (size_t)len + c->body_len);
		}
		c->state = CONN_FLOOD;
		if (conn_send(c, (uint8_t *)answer, (size_t)len) != 0)
			return -1;
		conn_watch(c, EPOLLOUT);
		return 0;
	}
	if (strncmp(head, "POST /sink", 10) == 0 && length != NULL) {
		c->state = CONN_SINK;
		c->is_different = false;
		c->body_at = 0;
		c->body_len = strtoull(length + strlen("\r\ncontent-length:"), NULL, 10);
		return 0;
	}
	return conn_answer(c, "404 Not Found", "not here\n");
}

/* One whole frame, its payload unmasked in place.  The answer's header fits where the request's longer one
 * was. */
static int conn_frame(struct conn *c, uint8_t *payload, const struct ws_frame *frame)
{
	enum ws_opcode opcode = (enum ws_opcode)(frame->first & 0x0f);
	uint8_t header[WS_HEADER_MAX];
	size_t header_len;

	if (!frame->is_masked)
		return -1;
	if (opcode == WS_PONG)
		return 0;
	ws_mask(payload, frame->payload_len, frame->mask);
	header_len = ws_header_put(header, opcode == WS_PING ? WS_PONG : opcode, frame->payload_len, NULL);
	header[0] = opcode == WS_PING ? header[0] : frame->first;
	memcpy(payload - header_len, header, header_len);
	if (opcode == WS_CLOSE)
		c->close_flushed = true;
	return conn_send(c, payload - header_len, header_len + frame->payload_len);
}

/* Takes one unit (head, frame, piece of a body) from `in`.  Returns its length, 0 for more, -1 to close. */
static ssize_t conn_take(struct conn *c, uint8_t *in, size_t len)
{
	if (c->state == CONN_HEAD) {
		uint8_t *end = memmem(in, len, "\r\n\r\n", 4);

		if (end == NULL)
			return len > HEAD_MAX_BYTES ? -1 : 0;
		end[2] = '\0';
		return conn_request(c, (char *)in) != 0 ? -1 : end + 4 - in;
	}
	if (c->state == CONN_ECHO) {
		struct ws_frame frame;

		if (!ws_header_get(in, len, &frame))
			return 0;
		if (frame.payload_len > FRAME_MAX_BYTES)
			return -1;
		if (len < frame.header_len + frame.payload_len)
			return 0;
		if (conn_frame(c, in + frame.header_len, &frame) != 0)
			return -1;
		return (ssize_t)(frame.header_len + frame.payload_len);
	}
	if (c->state == CONN_SINK) {
		uint64_t left = c->body_len - c->body_at;
		size_t n = len < left ? len : left;

		n = n < SCRATCH_BYTES ? n : SCRATCH_BYTES;
		if (memcmp(in, pattern_at(c->body_at), n) != 0)
			c->is_different = true;
		c->body_at += n;
		if (c->body_at == c->body_len) {
			c->state = CONN_HEAD;
			if (conn_answer(c, c->is_different ? "409 Conflict" : "200 OK",
					c->is_different ? "different" : "ok") != 0)
				return -1;
		}
		return (ssize_t)n;
	}
	return -1; /* bytes of a client that does not wait for its answer */
}

/* Reads once and takes what is whole.  Returns -1 to close. */
static int conn_readable(struct conn *c)
{
	size_t have = c->in_len, at = 0;
	ssize_t n, used;

	if (have > 0)
		memcpy(scratch, c->in, have);
	n = recv(c->fd, scratch + have, SCRATCH_BYTES, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN ? 0 : -1;
	if (n == 0)
		return -1;
	free(c->in);
	c->in = NULL;
	c->in_len = 0;
	have += (size_t)n;
	while (at < have) {
		used = conn_take(c, scratch + at, have - at);
		if (used < 0)
			return -1;
		if (used == 0)
			return bytes_keep(&c->in, &c->in_len, scratch + at, have - at);
		at += (size_t)used;
	}
	return c->close_flushed && c->out_len == 0 ? -1 : 0;
}

/* Sends what waits, then at most one piece of a body a turn.  Returns -1 to close. */
static int conn_writable(struct conn *c)
{
	ssize_t n;

	if (c->out_len > 0) {
		n = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
		c->out_len -= (size_t)n;
		memmove(c->out, c->out + n, c->out_len);
		if (c->out_len > 0)
			return 0;
		free(c->out);
		c->out = NULL;
	}
	if (c->close_flushed)
		return -1;
	if (c->state == CONN_FLOOD) {
		uint64_t left = c->body_len - c->body_at;

		n = send(c->fd, pattern_at(c->body_at), left < SCRATCH_BYTES ? left : SCRATCH_BYTES,
			 MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
		c->body_at += (uint64_t)n;
		if (c->body_at < c->body_len)
			return 0;
		c->state = CONN_HEAD;
	}
	conn_watch(c, EPOLLIN);
	return 0;
}

/* A message to each that has taken the last one; milliseconds until the next turn, -1: nobody is pushed. */
static int push_due(void)
{
	static uint8_t frame[WS_HEADER_MAX + PUSH_BYTES];
	struct timespec t;
	uint64_t now;
	size_t len;

	if (pushed == NULL)
		return -1;
	clock_gettime(CLOCK_MONOTONIC, &t);
	now = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
	if (now < push_at_ns)
		return (int)((push_at_ns - now) / 1000000 + 1);
	push_at_ns = now + PUSH_NS;
	len = ws_header_put(frame, WS_BINARY, PUSH_BYTES, NULL);
	memcpy(frame + len, pattern_at(now), PUSH_BYTES);
	for (struct conn *c = pushed, *next; c != NULL; c = next) {
		next = c->next;
		if (c->out_len == 0 && conn_send(c, frame, len + PUSH_BYTES) != 0)
			conn_free(c);
	}
	return PUSH_NS / 1000000;
}

static void listener_readable(int listen_fd)
{
	for (int i = 0; i < 64; i++) {
		int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct conn *c;
		struct epoll_event e = { .events = EPOLLIN };

		if (fd < 0)
			return;
		c = calloc(1, sizeof(*c));
		if (c == NULL) {
			close(fd);
			return;
		}
		c->fd = fd;
		c->events = EPOLLIN;
		e.data.ptr = c;
		epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e);
	}
}

static int listener_open(uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* accepted sockets inherit it */
	if (bind(fd, (struct sockaddr *)&to, sizeof(to)) != 0 || listen(fd, 4096) != 0)
		die("backend: port %u: %s", port, strerror(errno));
	return fd;
}

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS_MAX];
	struct epoll_event e = { .events = EPOLLIN };
	int listen_fd;

	if (argc != 2)
		die("usage: backend PORT");
	signal(SIGPIPE, SIG_IGN);
	files_raise();
	pattern_init();
	listen_fd = listener_open((uint16_t)atoi(argv[1]));
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	e.data.ptr = &listen_fd;
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &e);
	e.data.ptr = &epoll_fd; /* stands for standard input */
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &e);
	puts("ready");
	fflush(stdout);
	for (;;) {
		int n = epoll_wait(epoll_fd, events, EVENTS_MAX, push_due());

		for (int i = 0; i < n; i++) {
			struct conn *c = events[i].data.ptr;

			if (events[i].data.ptr == &epoll_fd)
				return 0;
			if (events[i].data.ptr == &listen_fd)
				listener_readable(listen_fd);
			else if ((c->events & EPOLLOUT ? conn_writable(c) : conn_readable(c)) != 0)
				conn_free(c);
		}
	}
}
