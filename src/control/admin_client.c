#include "control/admin_client.h"

#include "base/clock.h"
#include "base/log.h"
#include "control/admin_commands.h"
#include "control/admin_text.h"
#include "control/control.h"
#include "net/stream.h"
#include "wire/http1_write.h"
#include "wire/uri.h"

#include <assert.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>

#define HEAD_MAX      16384u
#define FIELDS_MAX    64u
#define HELD_MAX      (ADMIN_BODY_MAX + HEAD_MAX)
#define REQUEST_MS    10000u /* for a request to come whole */
#define IDLE_MS	      60000u
#define STALL_MS      30000u /* a peer that takes nothing of an answer */
#define TEXT_LINE_MAX 1024u

static void client_run(struct admin_client *c);

/* ---- life ---- */

static void client_free(struct owner *o)
{
	struct admin_client *c = container_of(o, struct admin_client, owner);

	held_done(&c->held);
	http1_body_done(&c->body);
	str_done(&c->body_text);
	free(c);
}

/* The peer is let go; whoever answers still holds the client. */
static void client_part(struct admin_client *c, enum reason why)
{
	struct duplex *d = c->d;

	c->d = NULL;
	timer_cancel(&c->timer);
	if (d != NULL && why == REASON_NONE)
		duplex_finish(d);
	else if (d != NULL)
		duplex_close(d, why);
}

static void client_over(struct admin_client *c)
{
	if (c->owner.is_closing || c->is_answering)
		return;
	list_remove(&c->link);
	c->admin->clients_count--;
	owner_close(&c->owner);
}

static void client_close(struct admin_client *c, enum reason why)
{
	client_part(c, why);
	if (c->is_answering && c->resume != NULL)
		c->resume(c); /* it sees that nobody is there */
	else
		client_over(c);
}

void admin_client_drop(struct admin_client *c)
{
	client_part(c, REASON_SHUTDOWN);
	c->is_answering = false;
	client_over(c);
}

static void arm(struct admin_client *c, uint64_t ms)
{
	c->queued_seen = c->d != NULL ? c->d->queued : 0;
	ring_timer_arm(&admin_control(c)->ring, &c->timer, ms);
}

static void on_timer(struct timer *t)
{
	struct admin_client *c = container_of(t, struct admin_client, timer);
	uint32_t queued = c->d != NULL ? c->d->queued : 0;

	/* an answer that waits for workers, or a stream with nothing to say, is not stalled */
	if (c->is_answering && (queued == 0 || queued != c->queued_seen))
		arm(c, STALL_MS);
	else
		client_close(c, c->is_answering ? REASON_TIMEOUT_WRITE : REASON_NONE);
}

/* ---- answers ---- */

static void client_write(struct admin_client *c, const void *bytes, size_t len)
{
	struct slice s;

	if (c->d == NULL || len == 0)
		return;
	s = slice_copy(bytes, len);
	if (s.buf == NULL || !duplex_write(c->d, s))
		client_part(c, REASON_NO_MEMORY);
}

static void head_write(struct admin_client *c, int status, const char *type, int64_t length)
{
	char room[1024], date[CLOCK_HTTP_MAX];
	struct str s;

	c->has_begun = true;
	c->is_chunked = length < 0 && !c->is_http10;
	if (length < 0 && c->is_http10)
		c->keep_alive = false;
	clock_print_http(clock_wall_ns(), date);
	str_init(&s, room, sizeof(room));
	str_cstr(&s, "HTTP/1.1 ");
	str_dec(&s, (uint64_t)status);
	str_char(&s, ' ');
	str_cstr(&s, http_reason_phrase(status));
	str_cstr(&s, "\r\ndate: ");
	str_cstr(&s, date);
	str_cstr(&s, "\r\nserver: holdfast\r\nx-frame-options: DENY\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\ncontent-type: ");
	str_cstr(&s, type);
	if (length >= 0) {
		str_cstr(&s, "\r\ncontent-length: ");
		str_dec(&s, (uint64_t)length);
	} else if (c->is_chunked) {
		str_cstr(&s, "\r\ntransfer-encoding: chunked");
	}
	if (status == 405 && c->args[0][0] != '\0') {
		str_cstr(&s, "\r\nallow: ");
		str_cstr(&s, c->args[0]);
	}
	if (!c->keep_alive)
		str_cstr(&s, "\r\nconnection: close");
	str_cstr(&s, "\r\n\r\n");
	assert(!s.is_cut);
	client_write(c, s.at, s.len);
}

void admin_answer(struct admin_client *c, int status, const char *type, const void *text, size_t len)
{
	if (c->is_text) {
		client_write(c, text, len);
	} else {
		head_write(c, status, type, (int64_t)len);
		if (c->method != HTTP_METHOD_HEAD)
			client_write(c, text, len);
	}
	admin_end(c);
}

void admin_answer_json(struct admin_client *c, int status, struct json_t *value)
{
	char *text = value != NULL ? json_dumps(value, JSON_INDENT(2)) : NULL;
	size_t len = text != NULL ? strlen(text) : 0;

	json_decref(value);
	if (text == NULL) {
		admin_problem(c, 503, "memory is exhausted");
		return;
	}
	text[len] = '\n'; /* in place of the NUL, which nobody needs */
	admin_answer(c, status, status >= 400 ? "application/problem+json" : "application/json", text, len + 1);
	free(text);
}

void admin_problem_with(struct admin_client *c, int status, const char *detail, struct json_t *errors)
{
	json_t *problem = json_pack("{s:s, s:s, s:i, s:s}", "type", "about:blank", "title", http_reason_phrase(status),
				    "status", status, "detail", detail);
	char *text;

	if (errors != NULL && problem != NULL)
		json_object_set_new(problem, "errors", errors);
	else
		json_decref(errors);
	text = problem != NULL ? json_dumps(problem, JSON_INDENT(2)) : NULL;
	json_decref(problem);
	if (c->is_text)
		admin_answer(c, status, "", detail, strlen(detail));
	else if (text != NULL)
		admin_answer(c, status, "application/problem+json", text, strlen(text));
	else
		admin_answer(c, status, "application/problem+json", "{\"status\":503}", 14);
	free(text);
}

void admin_problem(struct admin_client *c, int status, const char *format, ...)
{
	char detail[512];
	va_list args;

	va_start(args, format);
	vsnprintf(detail, sizeof(detail), format, args);
	va_end(args);
	admin_problem_with(c, status, detail, NULL);
}

void admin_begin(struct admin_client *c, int status, const char *type)
{
	if (!c->is_text)
		head_write(c, status, type, -1);
}

bool admin_write(struct admin_client *c, const void *bytes, size_t len)
{
	char line[HTTP1_CHUNK_LINE_MAX];

	if (c->d == NULL)
		return false;
	if (len == 0 || c->method == HTTP_METHOD_HEAD)
		return true;
	if (c->is_chunked) {
		long used = http1_write_chunk_line((uint8_t *)line, sizeof(line), len);

		client_write(c, line, (size_t)used);
	}
	client_write(c, bytes, len);
	if (c->is_chunked)
		client_write(c, "\r\n", 2);
	return c->d != NULL && !duplex_is_full(c->d);
}

void admin_end(struct admin_client *c)
{
	assert(c->is_answering);
	if (c->is_chunked && c->method != HTTP_METHOD_HEAD)
		client_write(c, "0\r\n\r\n", 5);
	c->is_answering = c->has_head = c->has_begun = c->is_chunked = false;
	c->resume = NULL;
	c->user = NULL;
	http1_body_done(&c->body);
	str_reset(&c->body_text);
	if (c->d == NULL) {
		client_over(c);
		return;
	}
	if (!c->keep_alive || c->is_text || c->has_eof) {
		client_close(c, REASON_NONE);
		return;
	}
	arm(c, IDLE_MS);
	duplex_read(c->d, true);
	client_run(c);
}

/* ---- requests ---- */

bool admin_param(const struct admin_client *c, const char *name, char *out, size_t cap)
{
	const char *value;
	size_t len;
	long used;

	if (!uri_query_find(c->query, strlen(c->query), name, strlen(name), &value, &len))
		return false;
	used = uri_decode(value, len, true, out, cap - 1);
	if (used < 0)
		return false;
	out[used] = '\0';
	return true;
}

static void refuse_head(struct admin_client *c, int status, const char *detail)
{
	c->is_answering = true;
	c->keep_alive = false;
	admin_problem(c, status, "%s", detail);
}

static bool copy_text(char *to, size_t cap, const char *text, size_t len)
{
	if (len >= cap)
		return false;
	if (len > 0)
		memcpy(to, text, len);
	to[len] = '\0';
	return true;
}

/* Whether a head was there, or it was refused: false waits for more. */
static bool head_read(struct admin_client *c)
{
	const struct http1_limits limits = { .head_bytes = HEAD_MAX };
	struct http_field fields[FIELDS_MAX];
	struct slice in = held_slice(&c->held);
	struct http_head head;
	uint64_t length;
	enum http1_body_kind kind;
	int used;

	http_head_init(&head, fields, FIELDS_MAX);
	used = http1_parse_request(in.at, in.len, &limits, &c->scan, &head);
	if (used == 0)
		return false;
	c->scan = (struct http1_scan){ 0, 0 };
	if (used < 0) {
		refuse_head(c, 400, "this is no HTTP/1.1 request");
		return false;
	}
	c->method = head.method_id;
	c->keep_alive = head.keep_alive && !c->admin->is_handed; /* the next request is for the other process */
	c->is_http10 = head.version_minor == 0;
	c->is_from_page = http_head_find_name(&head, "origin", 6, NULL) != NULL;
	c->has_head = true;
	kind = http1_request_body(&head, &length);
	http1_body_init(&c->body, kind, length, 1024);
	if (!copy_text(c->path, sizeof(c->path), head.path, head.path_len) ||
	    !copy_text(c->query, sizeof(c->query), head.query, head.query == NULL ? 0 : head.query_len))
		refuse_head(c, 414, "the request target is too long");
	else if (kind == HTTP1_BODY_LENGTH && length > ADMIN_BODY_MAX)
		refuse_head(c, 413, "a body has 64 KiB at most");
	else if (head.expect_continue)
		client_write(c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	held_consume(&c->held, (uint32_t)used);
	return !c->is_answering && c->d != NULL;
}

/* Whether the body is there. */
static bool body_read(struct admin_client *c)
{
	while (!http1_body_is_over(&c->body) && c->held.len > 0) {
		struct slice in = held_slice(&c->held);
		const uint8_t *data;
		size_t data_len;
		long used = http1_body_decode(&c->body, in.at, in.len, &data, &data_len);

		if (used < 0) {
			refuse_head(c, 400, "the body is malformed");
			return false;
		}
		str_bytes(&c->body_text, data, data_len);
		held_consume(&c->held, (uint32_t)used);
		if (c->body_text.is_cut) {
			refuse_head(c, 413, "a body has 64 KiB at most");
			return false;
		}
		if (used == 0)
			break;
	}
	return http1_body_is_over(&c->body);
}

/* The HAProxy commands begin in lower case, as no method does. */
static bool looks_like_text(const struct admin_client *c)
{
	const uint8_t first = c->held.len > 0 ? held_slice(&c->held).at[0] : 0;

	return c->door == ADMIN_UNIX && !c->has_head && first >= 'a' && first <= 'z';
}

static void text_run(struct admin_client *c)
{
	struct slice in = held_slice(&c->held);
	const uint8_t *end = memchr(in.at, '\n', in.len);
	size_t len = end != NULL ? (size_t)(end - in.at) : in.len;
	char line[TEXT_LINE_MAX];

	if (end == NULL && !c->has_eof && in.len < TEXT_LINE_MAX)
		return;
	c->is_text = c->is_answering = true;
	c->keep_alive = false;
	if (len > 0 && in.at[len - 1] == '\r')
		len--;
	if (!copy_text(line, sizeof(line), (const char *)in.at, len))
		line[0] = '\0';
	held_done(&c->held);
	arm(c, STALL_MS);
	admin_text_run(c, line);
}

static void request_run(struct admin_client *c)
{
	c->is_answering = true;
	duplex_read(c->d, false);
	arm(c, STALL_MS);
	admin_dispatch(c);
}

static void client_run(struct admin_client *c)
{
	if (c->is_running)
		return;
	c->is_running = true;
	while (!c->is_answering && c->d != NULL && c->held.len > 0) {
		if (looks_like_text(c)) {
			text_run(c);
			break;
		}
		if (!c->has_head && !head_read(c))
			break;
		if (c->is_answering || c->d == NULL || !body_read(c))
			break;
		request_run(c);
	}
	c->is_running = false;
	if (c->has_eof && !c->is_answering && c->d != NULL)
		client_close(c, REASON_NONE);
}

/* ---- events ---- */

static void on_open(struct duplex *d)
{
	(void)d;
}

static void on_bytes(struct duplex *d, struct slice in)
{
	struct admin_client *c = d->user;

	if (!c->is_answering && !c->has_head && c->held.len == 0)
		arm(c, REQUEST_MS);
	if (c->held.len + in.len > HELD_MAX || !held_append(&c->held, in))
		client_close(c, REASON_NO_MEMORY);
	else
		client_run(c);
}

static void on_closed(struct duplex *d, enum reason why)
{
	struct admin_client *c = d->user;

	(void)why;
	c->d = NULL;
	client_close(c, REASON_CLIENT_CLOSED);
}

static void on_eof(struct duplex *d)
{
	struct admin_client *c = d->user;

	c->has_eof = true; /* an answer may still be wanted: `socat` ends its side at once */
	if (c->is_endless) {
		duplex_close(d, REASON_NONE);
		on_closed(d, REASON_CLIENT_CLOSED);
		return;
	}
	client_run(c);
}

static void on_room(struct duplex *d)
{
	struct admin_client *c = d->user;

	if (c->is_answering && c->resume != NULL)
		c->resume(c);
}

static const struct duplex_events events = { on_open, on_bytes, on_eof, on_room, on_closed };

void admin_client_start(struct admin *a, enum admin_door door, int fd)
{
	struct duplex *d = stream_accept(&a->control->ring, fd);
	struct admin_client *c = d != NULL ? calloc(1, sizeof(*c)) : NULL;

	if (c == NULL) {
		if (d != NULL)
			duplex_close(d, REASON_NO_MEMORY);
		return;
	}
	owner_init(&c->owner, &a->control->ring, client_free);
	c->admin = a;
	c->door = door;
	c->d = d;
	str_init_heap(&c->body_text, ADMIN_BODY_MAX);
	timer_init(&c->timer, on_timer);
	list_append(&a->clients, &c->link);
	a->clients_count++;
	duplex_use(d, &events, c);
	arm(c, REQUEST_MS);
	duplex_read(d, true);
}
