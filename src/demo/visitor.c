#include "demo/visitor.h"

#include "demo/page.h"
#include "demo/servers.h"
#include "wire/http1_parse.h"
#include "wire/ws_handshake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS	     15000u
#define HTTP_IDLE_MS 120000u
#define PING_MS	     25000u
#define SILENCE_MS   60000u
#define FIELDS_MAX   100u
#define ANSWER_MAX   1024u

static struct ring *ring_of(const struct visitor *v)
{
	return &v->server->servers->ring;
}

/* ---- life ---- */

/* The duplex is over, or not ours any more. */
static void visitor_free(struct visitor *v)
{
	if (v->kind == VISITOR_CHAT)
		chat_leave(&v->server->servers->chat, v);
	timer_cancel(&v->timer);
	list_remove(&v->link);
	v->server->servers->visitors_count--;
	str_done(&v->message);
	free(v->head);
	free(v);
}

void visitor_drop(struct visitor *v)
{
	duplex_close(v->d, REASON_NONE);
	visitor_free(v);
}

/* What is queued still leaves. */
static void visitor_finish(struct visitor *v)
{
	duplex_finish(v->d);
	visitor_free(v);
}

/* ---- sending ---- */

struct slice visitor_frame(unsigned opcode, const void *payload, size_t len)
{
	const struct ws_frame f = { .payload_len = len, .opcode = (uint8_t)opcode, .is_final = true };
	struct buf *b = buf_new((uint32_t)len + WS_HEADER_MAX);
	int header_len;

	if (b == NULL)
		return SLICE_EMPTY;
	header_len = ws_frame_write_header(b->data, b->cap, &f);
	if (len > 0)
		memcpy(b->data + header_len, payload, len);
	return (struct slice){ b, b->data, (uint32_t)header_len + (uint32_t)len };
}

void visitor_send(struct visitor *v, struct slice frame)
{
	if (v->is_lost || duplex_is_full(v->d)) {
		slice_unref(frame);
		v->is_lost = true;
	} else if (!duplex_write(v->d, frame)) {
		v->is_lost = true;
	}
	if (v->is_lost)
		ring_timer_arm(ring_of(v), &v->timer, 0);
}

static void send_copy(struct visitor *v, const void *bytes, size_t len)
{
	struct slice s = ring_copy(ring_of(v), bytes, (uint32_t)len);

	if (s.len > 0)
		visitor_send(v, s);
}

/* Ends a WebSocket with a code of ours. */
static void visitor_close(struct visitor *v, uint16_t code, const char *why)
{
	uint8_t frame[WS_CONTROL_MAX];
	int len = ws_close_write(frame, sizeof(frame), code, why, NULL);

	if (len > 0)
		send_copy(v, frame, (size_t)len);
	visitor_finish(v);
}

/* ---- silence ---- */

static void on_tick(struct timer *t)
{
	struct visitor *v = container_of(t, struct visitor, timer);
	uint64_t silent_ms = ring_of(v)->now_ms - v->heard_ms;
	uint8_t frame[WS_CONTROL_MAX];
	int len;

	if (v->is_lost || silent_ms > (v->kind == VISITOR_HTTP ? HTTP_IDLE_MS : SILENCE_MS)) {
		visitor_drop(v);
		return;
	}
	ring_timer_arm(ring_of(v), &v->timer, TICK_MS);
	if (v->kind == VISITOR_HTTP || silent_ms < PING_MS)
		return;
	len = ws_ping_write(frame, sizeof(frame), NULL, 0, NULL);
	if (len > 0)
		send_copy(v, frame, (size_t)len);
}

/* ---- WebSocket ---- */

/* What a frame's payload is gathered for.  The tracker has seen to it that it fits. */
static void take_payload(struct visitor *v, const uint8_t *bytes, size_t len)
{
	bool is_control = ws_opcode_is_control(v->frame.opcode);
	uint8_t *to;

	if (is_control)
		to = v->control + v->frame_at;
	else if (str_reserve(&v->message, len))
		to = (uint8_t *)v->message.at + v->message.len;
	else
		return; /* is_cut tells */
	memcpy(to, bytes, len);
	ws_mask(to, len, v->frame.key, v->frame_at);
	v->frame_at += len;
	if (!is_control)
		v->message.len += len;
}

/* The following return false when the visitor has gone. */

static bool take_message(struct visitor *v)
{
	bool may_stay = true;

	if (v->message.is_cut) {
		visitor_close(v, WS_CLOSE_INTERNAL, "out of memory");
		return false;
	}
	if (v->kind == VISITOR_ECHO) {
		struct slice frame = visitor_frame(v->message_opcode, v->message.at, v->message.len);

		if (frame.len > 0)
			visitor_send(v, frame);
	} else if (v->message_opcode == WS_OP_TEXT) {
		may_stay = chat_hear(&v->server->servers->chat, v, v->message.at, v->message.len);
	}
	if (!may_stay) {
		visitor_close(v, WS_CLOSE_POLICY, "slower, please");
		return false;
	}
	/* an idle visitor holds nothing */
	str_done(&v->message);
	str_init_heap(&v->message, VISITOR_MESSAGE_MAX);
	return true;
}

static bool take_control(struct visitor *v, uint16_t close_code)
{
	uint8_t frame[WS_CONTROL_MAX];
	int len = 0;

	if (v->frame.opcode == WS_OP_CLOSE) {
		visitor_close(v, close_code == WS_CLOSE_NO_STATUS ? 0 : close_code, NULL);
		return false;
	}
	if (v->frame.opcode == WS_OP_PING)
		len = ws_pong_write(frame, sizeof(frame), v->control, v->frame_at, NULL);
	if (len > 0)
		send_copy(v, frame, (size_t)len);
	return true;
}

static bool take_frame_end(struct visitor *v, const struct ws_event *ev)
{
	if (ws_opcode_is_control(v->frame.opcode))
		return take_control(v, ev->close_code);
	return !ev->ends_message || take_message(v);
}

static bool take_frames(struct visitor *v, const uint8_t *at, size_t len)
{
	static const struct ws_limits limits = { .max_message_len = VISITOR_MESSAGE_MAX };

	for (;;) {
		bool was_in_frame = v->tracker.in_frame;
		struct ws_event ev;
		size_t used = ws_tracker_next(&v->tracker, &limits, at, len, &ev);

		if (was_in_frame && used > 0)
			take_payload(v, at, used);
		at += used;
		len -= used;
		switch (ev.kind) {
		case WS_EVENT_FRAME:
			v->frame = ev.frame;
			v->frame_at = 0;
			if (ev.frame.opcode == WS_OP_TEXT || ev.frame.opcode == WS_OP_BINARY)
				v->message_opcode = ev.frame.opcode;
			break;
		case WS_EVENT_FRAME_END:
			if (!take_frame_end(v, &ev))
				return false;
			break;
		case WS_EVENT_ERROR:
			visitor_close(v, ws_close_code_of(ev.error), ws_error_text(ev.error));
			return false;
		case WS_EVENT_MORE:
		case WS_EVENT_CLOSED:
			return true;
		}
	}
}

/* ---- HTTP ---- */

struct answer {
	int status;
	const char *status_text;
	const char *type;
	const char *more; /* whole field lines, or "" */
	const void *body; /* outlives every use */
	uint32_t body_len;
};

#define TEXT_ANSWER(status, text, more)                                                           \
	{                                                                                         \
		status, text, "text/plain; charset=utf-8", more, text "\n", sizeof(text "\n") - 1 \
	}

static const struct answer not_found = TEXT_ANSWER(404, "Not Found", "");
static const struct answer not_allowed = TEXT_ANSWER(405, "Method Not Allowed", "allow: GET, HEAD\r\n");
static const struct answer bad_request = TEXT_ANSWER(400, "Bad Request", "");
static const struct answer upgrade_wanted =
	TEXT_ANSWER(426, "Upgrade Required", "upgrade: websocket\r\nsec-websocket-version: 13\r\n");
static const struct answer too_large = TEXT_ANSWER(431, "Request Header Fields Too Large", "");

/* false: the connection ends with it, and the visitor has gone. */
static bool answer(struct visitor *v, const struct answer *a, bool with_body, bool keep_alive)
{
	char head[ANSWER_MAX];
	int len = snprintf(head, sizeof(head),
			   "HTTP/1.1 %d %s\r\ncontent-type: %s\r\ncontent-length: %u\r\nx-served-by: %s\r\n"
			   "cache-control: no-store\r\n%s%s\r\n",
			   a->status, a->status_text, a->type, a->body_len, v->server->name, a->more,
			   keep_alive ? "" : "connection: close\r\n");

	send_copy(v, head, (size_t)len);
	if (with_body && !v->is_lost)
		visitor_send(v, slice_static(a->body, a->body_len));
	if (!keep_alive)
		visitor_finish(v);
	return keep_alive;
}

static bool answer_page(struct visitor *v, bool with_body, bool keep_alive)
{
	const struct answer page = {
		.status = 200,
		.status_text = "OK",
		.type = "text/html; charset=utf-8",
		.more = "content-security-policy: default-src 'none'; style-src 'unsafe-inline'; "
			"script-src 'unsafe-inline'; connect-src 'self' wss: ws:; img-src data:; base-uri "
			"'none'; "
			"form-action 'none'; frame-ancestors 'none'\r\n"
			"x-content-type-options: nosniff\r\nreferrer-policy: no-referrer\r\n",
		.body = demo_page,
		.body_len = demo_page_len(),
	};

	return answer(v, &page, with_body, keep_alive);
}

static bool is_path(const struct http_head *h, const char *path)
{
	return h->path_len == strlen(path) && memcmp(h->path, path, h->path_len) == 0;
}

static bool become_websocket(struct visitor *v, const struct http_head *h, enum visitor_kind kind)
{
	char head[ANSWER_MAX], accept[WS_ACCEPT_LEN + 1];
	const struct http_field *key;
	int len;

	if (ws_handshake_check_request(h) != WS_HANDSHAKE_OK)
		return answer(v, &upgrade_wanted, h->method_id != HTTP_METHOD_HEAD, false);
	key = http_head_find(h, HTTP_SEC_WEBSOCKET_KEY, NULL);
	ws_accept_compute(key->value, accept);
	len = snprintf(head, sizeof(head),
		       "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
		       "sec-websocket-accept: %s\r\n\r\n",
		       accept);
	send_copy(v, head, (size_t)len);
	ws_tracker_init(&v->tracker, WS_FROM_CLIENT, 0);
	v->kind = kind;
	if (kind == VISITOR_CHAT)
		chat_join(&v->server->servers->chat, v);
	return true;
}

static bool take_request(struct visitor *v, const struct http_head *h)
{
	bool is_head = h->method_id == HTTP_METHOD_HEAD;
	uint64_t length;

	if ((!is_head && h->method_id != HTTP_METHOD_GET) ||
	    http1_request_body(h, &length) != HTTP1_BODY_NONE)
		return answer(v, &not_allowed, !is_head, false);
	if (is_path(h, "/ws"))
		return become_websocket(v, h, VISITOR_CHAT);
	if (is_path(h, "/echo"))
		return become_websocket(v, h, VISITOR_ECHO);
	if (is_path(h, "/"))
		return answer_page(v, !is_head, h->keep_alive);
	return answer(v, &not_found, !is_head, h->keep_alive);
}

/* Answers what is whole, one after the other, as long as the client takes the answers. */
static bool take_requests(struct visitor *v)
{
	static const struct http1_limits limits = { .head_bytes = VISITOR_HEAD_MAX,
						    .field_count = FIELDS_MAX };

	while (v->kind == VISITOR_HTTP && v->head_len > 0 && !duplex_is_full(v->d)) {
		struct http_field fields[FIELDS_MAX];
		struct http_head h;
		int used;

		http_head_init(&h, fields, FIELDS_MAX);
		used = http1_parse_request((const uint8_t *)v->head, v->head_len, &limits, NULL, &h);
		if (used < 0)
			return answer(v, &bad_request, true, false);
		if (used == 0 && v->head_len == VISITOR_HEAD_MAX)
			return answer(v, &too_large, true, false);
		if (used == 0)
			return true;
		if (!take_request(v, &h))
			return false;
		v->head_len -= (uint32_t)used;
		memmove(v->head, v->head + used, v->head_len);
	}
	return true;
}

/* Once it is no longer HTTP, what came behind the head is frames; else an idle visitor holds nothing. */
static bool settle(struct visitor *v)
{
	char *head = v->head;
	uint32_t len = v->head_len;
	bool is_here = true;

	if (v->kind == VISITOR_HTTP && len > 0)
		return true;
	v->head = NULL;
	v->head_len = 0;
	if (v->kind != VISITOR_HTTP && len > 0)
		is_here = take_frames(v, (const uint8_t *)head, len);
	free(head);
	return is_here;
}

static bool take_http(struct visitor *v, const uint8_t *at, size_t len)
{
	while (len > 0) {
		size_t n;

		if (v->kind != VISITOR_HTTP)
			return take_frames(v, at, len);
		if (v->head == NULL)
			v->head = malloc(VISITOR_HEAD_MAX);
		n = VISITOR_HEAD_MAX - v->head_len;
		if (v->head == NULL || n == 0) {
			visitor_drop(v); /* no memory, or it sends on and on and takes no answer */
			return false;
		}
		n = n < len ? n : len;
		memcpy(v->head + v->head_len, at, n);
		v->head_len += (uint32_t)n;
		at += n;
		len -= n;
		if (!take_requests(v) || !settle(v))
			return false;
	}
	return true;
}

/* ---- events ---- */

static void on_bytes(struct duplex *d, struct slice s)
{
	struct visitor *v = d->user;

	v->heard_ms = ring_of(v)->now_ms;
	if (v->is_lost)
		return;
	if (v->kind == VISITOR_HTTP ? take_http(v, s.at, s.len) : take_frames(v, s.at, s.len))
		duplex_read(d, !duplex_is_full(d));
}

static void on_room(struct duplex *d)
{
	struct visitor *v = d->user;

	if (v->is_lost)
		return;
	if (take_requests(v) && settle(v))
		duplex_read(d, !duplex_is_full(d));
}

static void on_eof(struct duplex *d)
{
	visitor_finish(d->user);
}

static void on_closed(struct duplex *d, enum reason why)
{
	(void)why;
	visitor_free(d->user);
}

static void on_open(struct duplex *d)
{
	(void)d; /* it was, when it came */
}

static const struct duplex_events events = {
	.on_open = on_open, .on_bytes = on_bytes, .on_eof = on_eof, .on_room = on_room, .on_closed = on_closed
};

bool visitor_new(struct server *s, struct duplex *d)
{
	struct visitor *v = calloc(1, sizeof(*v));

	if (v == NULL) {
		duplex_close(d, REASON_NO_MEMORY);
		return false;
	}
	v->server = s;
	v->d = d;
	v->heard_ms = s->servers->ring.now_ms;
	list_init(&v->seat.link);
	list_append(&s->servers->visitors, &v->link);
	s->servers->visitors_count++;
	str_init_heap(&v->message, VISITOR_MESSAGE_MAX);
	timer_init(&v->timer, on_tick);
	ring_timer_arm(&s->servers->ring, &v->timer, TICK_MS);
	duplex_use(d, &events, v);
	duplex_read(d, true);
	return true;
}
