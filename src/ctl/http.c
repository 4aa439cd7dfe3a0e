#include "ctl/http.h"

#include "base/addr.h"
#include "wire/http1_body.h"
#include "wire/http1_parse.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define BODY_MAX   ((size_t)256 << 20)
#define HEAD_MAX   65536u
#define FIELDS_MAX 64u
#define TIMEOUT_S  90 /* for the next bytes of an answer: a reload may look up names */

struct asking {
	struct http_answer *out;
	bool (*on_part)(void *, const void *, size_t);
	void *user;
	struct http1_body body;
	bool has_head;
	bool is_unwanted;
};

static int dial(const char *path, char *error, size_t error_len)
{
	struct timeval timeout = { .tv_sec = TIMEOUT_S };
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd, err;

	if (strlen(path) >= sizeof(to.sun_path)) {
		snprintf(error, error_len, "%s: a socket's path has %zu bytes at most", path, sizeof(to.sun_path) - 1);
		return -ENAMETOOLONG;
	}
	memcpy(to.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0) {
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
		return fd;
	}
	err = errno;
	if (fd >= 0)
		close(fd);
	snprintf(error, error_len, "%s: %s%s", path, strerror(err),
		 err == ENOENT	       ? " (is holdfast running, with `admin: {socket: ...}`? -s names another socket)" :
		 err == ECONNREFUSED ? " (holdfast has ended)" :
		 err == EACCES	       ? " (admin.mode and admin.group say who may)" :
				       "");
	return -err;
}

static bool send_all(int fd, const char *at, size_t len)
{
	while (len > 0) {
		ssize_t sent = send(fd, at, len, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return false;
		at += sent;
		len -= (size_t)sent;
	}
	return true;
}

static bool send_request(int fd, const char *method, const char *target, const char *body)
{
	struct str s;
	bool is_sent;

	str_init_heap(&s, 1u << 20);
	str_cstr(&s, method);
	str_char(&s, ' ');
	str_cstr(&s, target);
	str_cstr(&s, " HTTP/1.1\r\nhost: holdfast\r\nconnection: close\r\n");
	if (body != NULL) {
		str_cstr(&s, "content-type: application/json\r\ncontent-length: ");
		str_dec(&s, strlen(body));
		str_cstr(&s, "\r\n");
	}
	str_cstr(&s, "\r\n");
	if (body != NULL)
		str_cstr(&s, body);
	is_sent = !s.is_cut && send_all(fd, s.at, s.len);
	str_done(&s);
	return is_sent;
}

/* Bytes used, or -1. */
static long head_read(struct asking *a, const uint8_t *in, size_t len)
{
	const struct http1_limits limits = { .head_bytes = HEAD_MAX };
	struct http_field fields[FIELDS_MAX];
	struct http_head head;
	uint64_t length;
	enum http1_body_kind kind;
	int used;

	http_head_init(&head, fields, FIELDS_MAX);
	used = http1_parse_response(in, len, &limits, NULL, &head);
	if (used <= 0)
		return used;
	a->has_head = true;
	a->out->status = head.status;
	kind = http1_response_body(&head, HTTP_METHOD_GET, &length);
	http1_body_init(&a->body, kind, length, 0);
	return used;
}

static void part(struct asking *a, const void *bytes, size_t len)
{
	if (a->on_part == NULL || a->out->status >= 400)
		str_bytes(&a->out->body, bytes, len);
	else if (len > 0 && !a->on_part(a->user, bytes, len))
		a->is_unwanted = true;
}

/* As far as it goes; bytes used, or -1. */
static long feed(struct asking *a, const uint8_t *in, size_t len)
{
	size_t at = 0;

	if (!a->has_head) {
		long used = head_read(a, in, len);

		if (used <= 0)
			return used;
		at = (size_t)used;
	}
	while (at < len && !http1_body_is_over(&a->body)) {
		const uint8_t *data;
		size_t data_len;
		long used = http1_body_decode(&a->body, in + at, len - at, &data, &data_len);

		if (used < 0)
			return -1;
		part(a, data, data_len);
		at += (size_t)used;
		if (used == 0)
			break;
	}
	return (long)at;
}

static int receive(int fd, struct asking *a)
{
	uint8_t in[HEAD_MAX];
	size_t held = 0;

	for (;;) {
		ssize_t got = recv(fd, in + held, sizeof(in) - held, 0);
		long used;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		held += (size_t)got;
		used = feed(a, in, held);
		if (used < 0)
			return -EPROTO;
		memmove(in, in + used, held - (size_t)used);
		held -= (size_t)used;
		if (a->is_unwanted || (a->has_head && http1_body_is_over(&a->body)))
			return 0;
		if (got == 0)
			return a->has_head && http1_body_eof(&a->body) == HTTP1_OK ? 0 : -ECONNRESET;
		if (held == sizeof(in))
			return -EPROTO;
	}
}

int http_ask(const char *path, const char *method, const char *target, const char *body, struct http_answer *out,
	     bool (*on_part)(void *user, const void *bytes, size_t len), void *user, char *error, size_t error_len)
{
	struct asking a = { .out = out, .on_part = on_part, .user = user };
	int err, fd = dial(path, error, error_len);

	out->status = 0;
	str_init_heap(&out->body, BODY_MAX);
	if (fd < 0)
		return fd;
	err = send_request(fd, method, target, body) ? receive(fd, &a) : -errno;
	http1_body_done(&a.body);
	close(fd);
	if (err < 0)
		snprintf(error, error_len, "%s: %s", path, strerror(-err));
	return err;
}

void http_encode(struct str *out, const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:";

	for (; *text != '\0'; text++) {
		if (strchr(plain, *text) != NULL) {
			str_char(out, *text);
		} else {
			str_char(out, '%');
			str_hex_bytes(out, text, 1);
		}
	}
}
