#include "proxy/carrier_http.h"

#include "base/random.h"
#include "base/str.h"
#include "proxy/counters.h"
#include "wire/event_stream.h"

#include <stdio.h>
#include <stdlib.h>

#define STREAM_BYTES_MAX (8u << 20)  /* then the client is asked to attach again: some boxes keep what they passed */
#define STREAM_LIFE_MS	 240000u     /* the same by time; give or take a fifth */
#define MOVE_WITHIN_MS	 2000u
#define MOVE_GRACE_MS	 10000u
#define BURST_BEAT_MS	 100u	     /* a box that holds a record until the next one comes */
#define ACK_MS		 1000u
#define COALESCE_MS	 2u
#define POLL_BYTES_MAX	 262144u     /* of an answer; one message may always pass */
#define PIECE_BYTES_MAX	 65536u	     /* of a stream's writes */
#define RETRY_FIELD	 "retry: 1000\n"

struct carrier_http {
	struct carrier carrier;
	struct exchange *x; /* NULL: answered */
	struct timer timer;
	uint64_t sent_bytes;
	uint64_t until_ms;  /* a stream's life, a poll's hold */
	uint64_t silent_ms; /* since then */
	uint64_t hold_ms;
	uint64_t beat_ms;   /* this time's */
	uint8_t kind;
	bool is_full;	 /* the client takes nothing more */
	bool is_moving;	 /* was asked to attach again */
	bool is_burst;	 /* messages have gone since the last beat */
	bool is_first;	 /* a poll that brings the first `open`: it does not wait */
};

static const struct exchange_handler handler;

static struct carrier_http *http_of(struct carrier *c)
{
	return container_of(c, struct carrier_http, carrier);
}

static struct ring *ring_of(const struct carrier_http *c)
{
	return &c->x->worker->ring;
}

/* ---- answers ---- */

struct adopted {
	struct buf buf;
};

static void adopted_release(struct buf *b)
{
	free(b->data);
	free(container_of(b, struct adopted, buf));
}

bool fallback_send(struct exchange *x, struct str *s)
{
	struct adopted *a = s->len > 0 && !s->is_cut ? malloc(sizeof(*a)) : NULL;
	struct slice out;

	if (a == NULL) {
		str_done(s);
		return true;
	}
	a->buf = (struct buf){ (uint8_t *)s->at, (uint32_t)s->cap, 1, adopted_release };
	out = (struct slice){ &a->buf, a->buf.data, (uint32_t)s->len };
	*s = (struct str){ 0 };
	return x->client_ops->body(x, out);
}

#define FIELD(name, value, id) { name, value, sizeof(value) - 1, sizeof(name) - 1, id }

static const struct http_field plain_fields[] = {
	FIELD("content-type", "text/plain; charset=utf-8", HTTP_CONTENT_TYPE),
	FIELD("cache-control", "no-store, no-transform", HTTP_CACHE_CONTROL),
};
static const struct http_field stream_fields[] = {
	FIELD("content-type", "text/event-stream", HTTP_CONTENT_TYPE),
	FIELD("cache-control", "no-store, no-transform", HTTP_CACHE_CONTROL),
	FIELD("x-accel-buffering", "no", HTTP_OTHER),
};

#define COOKIES_MAX 12u

/* The fields of an answer, and behind them what the endpoint's handshake brought. */
static uint32_t fields_fill(struct http_field *to, const struct http_field *from, uint32_t count, const char *cookies)
{
	memcpy(to, from, count * sizeof(*from));
	for (const char *end; count < 4 + COOKIES_MAX && (end = strchr(cookies, '\n')) != NULL; cookies = end + 1)
		to[count++] = (struct http_field){ "set-cookie", cookies, (uint32_t)(end - cookies), 10, HTTP_SET_COOKIE };
	return count;
}

static void answer_with(struct exchange *x, unsigned status, struct str *body, const char *cookies)
{
	struct http_field fields[4 + COOKIES_MAX];
	struct response_head head = { .status = (uint16_t)status, .own = fields, .framing = RESPONSE_LENGTH };

	head.own_count = fields_fill(fields, plain_fields, ARRAY_LEN(plain_fields), cookies);
	if (body->is_cut) {
		str_done(body);
		exchange_refuse(x, REASON_NO_MEMORY);
		return;
	}
	head.length = body->len;
	x->client_ops->head(x, &head);
	fallback_send(x, body);
	x->client_ops->end(x, NULL, 0);
}

void fallback_answer(struct exchange *x, unsigned status, struct str *body)
{
	answer_with(x, status, body, "");
}

/* ---- records ---- */

void carrier_open_print(struct str *s, struct session *session)
{
	const struct fallback_times *t = session_times(session);
	char token[SESSION_TOKEN_MAX];

	session_token_write(session, token);
	str_cstr(s, "{\"s\":\"");
	str_cstr(s, token);
	str_cstr(s, "\",\"protocol\":");
	str_json(s, session_protocol(session), strlen(session_protocol(session)));
	str_cstr(s, ",\"got\":");
	str_dec(s, session_tell_ack(session));
	str_cstr(s, ",\"window\":");
	str_dec(s, session_window(session));
	str_cstr(s, ",\"beat\":");
	str_dec_point(s, t->beat_ms, 3);
	str_cstr(s, ",\"keep\":");
	str_dec_point(s, t->keep_ms, 3);
	str_char(s, '}');
}

void carrier_close_print(struct str *s, const struct message *m)
{
	str_char(s, '[');
	if (m->len >= 2) {
		str_dec(s, (unsigned)m->bytes[0] << 8 | m->bytes[1]);
		if (m->len > 2) {
			str_char(s, ',');
			str_json(s, m->bytes + 2, m->len - 2);
		}
	}
	str_char(s, ']');
}

static void open_write(struct str *s, struct carrier_http *c)
{
	char token[SESSION_TOKEN_MAX];

	if (c->kind == CARRIER_EVENTSOURCE) { /* so that a browser has a Last-Event-ID before the first message */
		session_token_write(c->carrier.session, token);
		str_cstr(s, RETRY_FIELD "id: ");
		str_cstr(s, token);
		str_char(s, '.');
		str_dec(s, session_acked(c->carrier.session));
		str_char(s, '\n');
	}
	str_cstr(s, "event: open\ndata: ");
	carrier_open_print(s, c->carrier.session);
	str_cstr(s, "\n\n");
}

static void close_write(struct str *s, const struct message *m)
{
	str_cstr(s, "event: close\ndata: ");
	carrier_close_print(s, m);
	str_cstr(s, "\n\n");
}

static void message_write(struct str *s, const struct message *m, const char *prefix, uint64_t number)
{
	event_write_id(s, prefix, number);
	if (m->kind == MESSAGE_TEXT)
		event_write_text(s, m->bytes, m->len);
	else if (m->kind == MESSAGE_BINARY)
		event_write_binary(s, m->bytes, m->len);
	else
		close_write(s, m);
}

/* As many messages as fit into `max` bytes, and one in any case.  How many. */
static unsigned messages_write(struct str *s, struct carrier_http *c, size_t max)
{
	const struct message *m;
	char token[SESSION_TOKEN_MAX];
	unsigned count = 0;
	uint64_t number;

	if (c->kind == CARRIER_EVENTSOURCE)
		session_token_write(c->carrier.session, token);
	while ((count == 0 || s->len < max) && (m = session_next(c->carrier.session, &number)) != NULL) {
		message_write(s, m, c->kind == CARRIER_EVENTSOURCE ? token : NULL, number);
		count++;
	}
	return count;
}

/* ---- the end ---- */

static void carrier_free(struct carrier_http *c)
{
	timer_cancel(&c->timer);
	free(c);
}

static void stream_end(struct carrier_http *c)
{
	struct exchange *x = c->x;

	session_detach(&c->carrier);
	x->handler = NULL;
	carrier_free(c);
	x->client_ops->end(x, NULL, 0);
}

void carrier_http_drop(struct carrier *carrier)
{
	struct carrier_http *c = http_of(carrier);

	c->x->handler = NULL;
	carrier_free(c);
}

static void gone_write(struct str *s)
{
	event_write_value(s, "gone", "null", 4);
}

static void gone_say(struct carrier_http *c)
{
	struct exchange *x = c->x;
	struct str s;

	str_init_heap(&s, 256);
	gone_write(&s);
	x->handler = NULL;
	carrier_free(c);
	if (x->response_begun) {
		fallback_send(x, &s);
		x->client_ops->end(x, NULL, 0);
	} else {
		fallback_answer(x, 200, &s);
	}
}

void carrier_http_stale(struct carrier *carrier)
{
	gone_say(http_of(carrier));
}

/* ---- a stream's writes ---- */

static void timer_set(struct carrier_http *c);

static void stream_write(struct carrier_http *c, struct str *s)
{
	c->sent_bytes += s->len;
	c->silent_ms = ring_of(c)->now_ms;
	c->is_full = !fallback_send(c->x, s);
}

static void beat_next(struct carrier_http *c)
{
	c->beat_ms = random_jitter(session_times(c->carrier.session)->beat_ms, 20);
}

static void stream_beat(struct carrier_http *c)
{
	struct str s;

	str_init_heap(&s, 256);
	event_write_number(&s, "beat", session_told(c->carrier.session));
	c->is_burst = false;
	beat_next(c);
	stream_write(c, &s);
}

static void stream_move(struct carrier_http *c)
{
	struct str s;
	char value[32];

	str_init_heap(&s, 256);
	event_write_value(&s, "move", value, (size_t)snprintf(value, sizeof(value), "{\"in\":%u}", MOVE_WITHIN_MS));
	c->is_moving = true;
	c->until_ms = ring_of(c)->now_ms + MOVE_GRACE_MS;
	stream_write(c, &s);
}

static void stream_opened(struct carrier_http *c)
{
	struct http_field fields[4 + COOKIES_MAX];
	struct response_head head = { .status = 200, .own = fields, .framing = RESPONSE_CHUNKED };
	struct exchange *x = c->x;
	struct str s;

	head.own_count = fields_fill(fields, stream_fields, ARRAY_LEN(stream_fields), session_cookies(c->carrier.session));
	x->client_ops->head(x, &head);
	str_init_heap(&s, 8192);
	open_write(&s, c);
	/* A compressor holds the first kilobytes; and one antivirus the first record until there is a second. */
	str_char(&s, ':');
	for (int i = 0; i < 2048; i++)
		str_char(&s, ' ');
	str_cstr(&s, "\n\n");
	event_write_number(&s, "beat", session_told(c->carrier.session));
	beat_next(c);
	c->until_ms = ring_of(c)->now_ms + random_jitter(STREAM_LIFE_MS, 20);
	stream_write(c, &s);
	timer_set(c);
}

static void stream_flush(struct carrier_http *c)
{
	struct session *session = c->carrier.session;
	bool has_more = session_has_next(session);
	struct str s;

	while (!c->is_full && session_has_next(session)) {
		str_init_heap(&s, SIZE_MAX);
		if (session_owes_ack(session))
			event_write_number(&s, "ack", session_tell_ack(session));
		messages_write(&s, c, PIECE_BYTES_MAX);
		if (s.is_cut) { /* it was not sent, and the session thinks it was: another carrier has it again */
			str_done(&s);
			stream_end(c);
			return;
		}
		c->is_burst = true;
		stream_write(c, &s);
	}
	if (c->kind == CARRIER_EVENTSOURCE)
		session_ack_silently(session);
	if (session_is_said(session)) {
		stream_end(c);
		return;
	}
	if (c->sent_bytes > STREAM_BYTES_MAX && !c->is_moving && c->kind == CARRIER_STREAM)
		stream_move(c);
	if (has_more || session_owes_ack(session))
		timer_set(c);
}

static void stream_timer(struct carrier_http *c)
{
	uint64_t now = ring_of(c)->now_ms;
	struct str s;

	if (now >= c->until_ms) {
		if (c->is_moving || c->kind == CARRIER_EVENTSOURCE) { /* the latter comes again by itself */
			stream_end(c);
			return;
		}
		stream_move(c);
	}
	if (session_owes_ack(c->carrier.session) && now >= c->silent_ms + ACK_MS) {
		str_init_heap(&s, 256);
		event_write_number(&s, "ack", session_tell_ack(c->carrier.session));
		stream_write(c, &s);
	}
	if (!c->is_full && (now >= c->silent_ms + c->beat_ms || (c->is_burst && now >= c->silent_ms + BURST_BEAT_MS)))
		stream_beat(c);
	timer_set(c);
}

/* ---- a poll ---- */

static void poll_answer(struct carrier_http *c)
{
	struct session *session = c->carrier.session;
	struct exchange *x = c->x;
	char *cookies = NULL;
	struct str s;

	if (c->is_first && session_cookies(session)[0] != '\0')
		cookies = strdup(session_cookies(session));
	str_init_heap(&s, SIZE_MAX);
	open_write(&s, c);
	messages_write(&s, c, POLL_BYTES_MAX);
	event_write_number(&s, "beat", session_told(session));
	session_detach(&c->carrier);
	x->handler = NULL;
	carrier_free(c);
	answer_with(x, 200, &s, cookies != NULL ? cookies : "");
	free(cookies);
}

static void poll_opened(struct carrier_http *c)
{
	const struct fallback_times *t = session_times(c->carrier.session);
	uint64_t hold_ms = c->hold_ms < t->hold_ms ? c->hold_ms : t->hold_ms;

	c->until_ms = ring_of(c)->now_ms + (c->is_first ? 0 : hold_ms);
	timer_set(c);
}

static void timer_set(struct carrier_http *c)
{
	uint64_t now = ring_of(c)->now_ms, at = c->until_ms;
	struct session *session = c->carrier.session;

	if (c->kind == CARRIER_POLL) {
		if (session_has_next(session) && at > now + COALESCE_MS)
			at = now + COALESCE_MS;
		ring_timer_arm(ring_of(c), &c->timer, at > now ? at - now : 0);
		return;
	}
	if (c->is_full) { /* whoever owns the connection sees that nothing leaves */
		ring_timer_arm(ring_of(c), &c->timer, at > now ? at - now : 0);
		return;
	}
	if (c->silent_ms + c->beat_ms < at)
		at = c->silent_ms + c->beat_ms;
	if (c->is_burst && c->silent_ms + BURST_BEAT_MS < at)
		at = c->silent_ms + BURST_BEAT_MS;
	if (session_owes_ack(session) && c->silent_ms + ACK_MS < at)
		at = c->silent_ms + ACK_MS;
	ring_timer_arm(ring_of(c), &c->timer, at > now ? at - now : 0);
}

/* ---- what the session calls ---- */

static void on_opened(struct carrier *carrier)
{
	struct carrier_http *c = http_of(carrier);

	if (c->kind == CARRIER_POLL)
		poll_opened(c);
	else
		stream_opened(c);
}

static void on_refused(struct carrier *carrier, enum reason why, unsigned status)
{
	struct carrier_http *c = http_of(carrier);
	struct exchange *x = c->x;

	x->handler = NULL;
	carrier_free(c);
	if (status != 0)
		exchange_refuse_with(x, why, (uint16_t)status, NULL, 0);
	else
		exchange_refuse(x, why);
}

static void on_flush(struct carrier *carrier)
{
	struct carrier_http *c = http_of(carrier);

	if (c->kind != CARRIER_POLL)
		stream_flush(c);
	else if (session_has_next(c->carrier.session))
		timer_set(c);
}

static void on_gone(struct carrier *carrier, bool is_over)
{
	struct carrier_http *c = http_of(carrier);
	struct exchange *x = c->x;

	if (!is_over) {
		gone_say(c);
		return;
	}
	x->handler = NULL;
	carrier_free(c);
	if (x->response_begun)
		x->client_ops->end(x, NULL, 0);
	else
		exchange_refuse(x, REASON_SHUTDOWN);
}

static const struct carrier_ops ops[] = {
	[CARRIER_STREAM] = { "stream", on_opened, on_refused, on_flush, on_gone },
	[CARRIER_POLL] = { "poll", on_opened, on_refused, on_flush, on_gone },
	[CARRIER_EVENTSOURCE] = { "eventsource", on_opened, on_refused, on_flush, on_gone },
};

static void on_timer(struct timer *t)
{
	struct carrier_http *c = container_of(t, struct carrier_http, timer);

	if (c->carrier.session == NULL)
		return;
	if (c->kind == CARRIER_POLL)
		poll_answer(c);
	else
		stream_timer(c);
}

/* ---- what the exchange calls ---- */

static void on_room(struct exchange *x)
{
	struct carrier_http *c = x->handler_user;

	c->is_full = false;
	if (c->carrier.session == NULL)
		return;
	session_touch(c->carrier.session);
	if (timer_is_armed(&c->timer))
		timer_set(c);
}

static void on_client_gone(struct exchange *x, enum reason why)
{
	struct carrier_http *c = x->handler_user;

	(void)why;
	x->handler = NULL;
	session_detach(&c->carrier);
	carrier_free(c);
}

/* The client has closed its side: nobody reads an answer that is still to come. */
static void on_client_eof(struct exchange *x)
{
	struct carrier_http *c = x->handler_user;

	session_detach(&c->carrier);
	x->handler = NULL;
	carrier_free(c);
	x->client_ops->abort(x, REASON_CLIENT_CLOSED);
}

static const struct exchange_handler handler = {
	.body = exchange_ignore_body,
	.end = exchange_ignore_end,
	.room = on_room,
	.gone = on_client_gone,
	.eof = on_client_eof,
};

struct carrier *carrier_http_new(struct exchange *x, enum carrier_http_kind kind, uint64_t hold_ms, bool is_first)
{
	struct carrier_http *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->carrier.ops = &ops[kind];
	c->x = x;
	c->kind = (uint8_t)kind;
	c->hold_ms = hold_ms;
	c->is_first = is_first;
	timer_init(&c->timer, on_timer);
	x->handler = &handler;
	x->handler_user = c;
	counter_add(PROXY_CARRIERS + (unsigned)kind, 1);
	return &c->carrier;
}
