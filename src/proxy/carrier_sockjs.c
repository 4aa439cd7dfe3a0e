#include "proxy/carrier_sockjs.h"

#include "base/str.h"
#include "proxy/carrier_http.h"
#include "proxy/counters.h"
#include "wire/sockjs.h"

#include <stdlib.h>

#define COALESCE_MS    2u
#define ANSWER_BYTES_MAX 1048576u
#define FIELDS_MAX     10u

struct carrier_sockjs {
	struct carrier carrier;
	struct exchange *x;
	struct timer timer;
	struct sockjs_ask ask;
	uint64_t sent_bytes; /* of frames */
	uint64_t beat_at_ms;
	bool is_full;
	bool is_coalescing;
	bool has_begun; /* of a streaming answer */
};

static const struct exchange_handler handler;

static const struct {
	const char *type;
	bool is_streaming;
} transports[] = {
	[SOCKJS_XHR] = { "application/javascript; charset=UTF-8", false },
	[SOCKJS_XHR_STREAMING] = { "application/javascript; charset=UTF-8", true },
	[SOCKJS_EVENTSOURCE] = { "text/event-stream", true },
	[SOCKJS_HTMLFILE] = { "text/html; charset=UTF-8", true },
	[SOCKJS_JSONP] = { "application/javascript; charset=UTF-8", false },
};

static struct carrier_sockjs *of(struct carrier *c)
{
	return container_of(c, struct carrier_sockjs, carrier);
}

/* ---- answers ---- */

#define PUT(fields, n, name, text, id) \
	((fields)[(n)++] = (struct http_field){ name, text, (uint32_t)strlen(text), sizeof(name) - 1, id })

/* The fields of every answer: never cached, readable by the page that may. */
static uint32_t fields_fill(struct http_field *to, const struct sockjs_ask *ask, const char *type)
{
	uint32_t n = 0;

	if (type != NULL)
		PUT(to, n, "content-type", type, HTTP_CONTENT_TYPE);
	if (!ask->is_cached)
		PUT(to, n, "cache-control", "no-store, no-cache, no-transform, must-revalidate, max-age=0", HTTP_CACHE_CONTROL);
	if (!ask->has_origin)
		PUT(to, n, "access-control-allow-origin", "*", HTTP_OTHER);
	if (ask->cookie[0] != '\0')
		PUT(to, n, "set-cookie", ask->cookie, HTTP_SET_COOKIE);
	if (ask->transport == SOCKJS_JSONP)
		PUT(to, n, "x-content-type-options", "nosniff", HTTP_OTHER);
	return n;
}

void sockjs_answer(struct exchange *x, const struct sockjs_ask *ask, unsigned status, const char *type,
		   const struct http_field *more, uint32_t more_count, const void *body, size_t len)
{
	struct http_field fields[2 * FIELDS_MAX];
	struct response_head head = { .status = (uint16_t)status, .own = fields, .framing = RESPONSE_LENGTH, .length = len };

	head.own_count = fields_fill(fields, ask, type);
	for (uint32_t i = 0; i < more_count && i < FIELDS_MAX; i++)
		fields[head.own_count++] = more[i];
	if (status == 204 || status == 304)
		head.framing = RESPONSE_NO_BODY;
	x->client_ops->head(x, &head);
	if (len > 0 && x->method != HTTP_METHOD_HEAD)
		x->client_ops->body(x, slice_copy(body, len));
	x->client_ops->end(x, NULL, 0);
}

void sockjs_answer_taken(struct exchange *x, const struct sockjs_ask *ask)
{
	static const char frame[] = "c[2010,\"Another connection still open\"]";
	struct str s;

	str_init_heap(&s, 8192);
	sockjs_write_prelude(&s, ask->transport, ask->callback);
	sockjs_write_frame(&s, ask->transport, ask->callback, frame, sizeof(frame) - 1);
	sockjs_answer(x, ask, 200, transports[ask->transport].type, NULL, 0, s.at, s.is_cut ? 0 : s.len);
	str_done(&s);
}

/* ---- the end ---- */

static void carrier_free(struct carrier_sockjs *c)
{
	timer_cancel(&c->timer);
	free(c);
}

void carrier_sockjs_drop(struct carrier *carrier)
{
	struct carrier_sockjs *c = of(carrier);

	c->x->handler = NULL;
	carrier_free(c);
}

/* The answer is whole: the session waits for the next receiver. */
static void answer_end(struct carrier_sockjs *c)
{
	struct exchange *x = c->x;

	session_detach(&c->carrier);
	x->handler = NULL;
	carrier_free(c);
	x->client_ops->end(x, NULL, 0);
}

/* ---- frames ---- */

static void beat_arm(struct carrier_sockjs *c)
{
	c->beat_at_ms = c->x->worker->ring.now_ms + c->ask.heartbeat_ms;
	ring_timer_arm(&c->x->worker->ring, &c->timer, c->ask.heartbeat_ms);
}

/* One frame.  false: the answer is over, and the carrier gone. */
static bool frame_send(struct carrier_sockjs *c, const char *frame, size_t len)
{
	enum sockjs_transport t = c->ask.transport;
	struct exchange *x = c->x;
	struct sockjs_ask ask = c->ask;
	struct str s;

	str_init_heap(&s, SIZE_MAX);
	sockjs_write_frame(&s, t, c->ask.callback, frame, len);
	if (!transports[t].is_streaming) {
		session_detach(&c->carrier);
		x->handler = NULL;
		carrier_free(c);
		sockjs_answer(x, &ask, 200, transports[t].type, NULL, 0, s.at, s.is_cut ? 0 : s.len);
		str_done(&s);
		return false;
	}
	c->sent_bytes += s.len;
	c->is_full = !fallback_send(x, &s);
	if (c->sent_bytes < c->ask.limit) {
		beat_arm(c);
		return true;
	}
	answer_end(c);
	return false;
}

static void streaming_begin(struct carrier_sockjs *c)
{
	struct http_field fields[FIELDS_MAX];
	struct response_head head = { .status = 200, .own = fields, .framing = RESPONSE_CHUNKED };
	struct str s;

	c->has_begun = true;
	head.own_count = fields_fill(fields, &c->ask, transports[c->ask.transport].type);
	c->x->client_ops->head(c->x, &head);
	str_init_heap(&s, 8192);
	sockjs_write_prelude(&s, c->ask.transport, c->ask.callback);
	fallback_send(c->x, &s);
}

/* Everything that waits, in one array; a Close alone, after it. */
static void messages_send(struct carrier_sockjs *c)
{
	struct session *session = c->carrier.session;
	const struct message *m;
	uint64_t number = 0;
	struct str s;

	if (c->is_full || !session_has_next(session))
		return;
	str_init_heap(&s, SIZE_MAX);
	if (session_next_is_close(session)) {
		m = session_next(session, &number);
		sockjs_write_close(&s, m->len >= 2 ? (unsigned)m->bytes[0] << 8 | m->bytes[1] : 0, m->bytes + 2,
				   m->len > 2 ? m->len - 2 : 0);
		if (frame_send(c, s.at, s.len))
			answer_end(c);
		str_done(&s);
		return;
	}
	str_cstr(&s, "a[");
	while (session_has_next(session) && !session_next_is_close(session) && s.len < ANSWER_BYTES_MAX) {
		if (s.len > 2)
			str_char(&s, ',');
		m = session_next(session, &number);
		sockjs_write_string(&s, m->bytes, m->len);
	}
	str_char(&s, ']');
	session_ack(session, number); /* the protocol has no other */
	if (!s.is_cut && frame_send(c, s.at, s.len) && session_has_next(session))
		session_touch(session);
	str_done(&s);
}

/* ---- what the session calls ---- */

static void on_opened(struct carrier *carrier)
{
	struct carrier_sockjs *c = of(carrier);
	bool is_first = session_turn(c->carrier.session) == 1;

	if (transports[c->ask.transport].is_streaming)
		streaming_begin(c);
	beat_arm(c);
	if (is_first)
		frame_send(c, "o", 1);
}

static void on_refused(struct carrier *carrier, enum reason why, unsigned status)
{
	struct carrier_sockjs *c = of(carrier);
	struct exchange *x = c->x;

	x->handler = NULL;
	carrier_free(c);
	exchange_refuse_with(x, why, (uint16_t)status, NULL, 0);
}

static void on_flush(struct carrier *carrier)
{
	struct carrier_sockjs *c = of(carrier);

	if (!session_has_next(c->carrier.session))
		return;
	if (transports[c->ask.transport].is_streaming) {
		messages_send(c);
	} else if (!c->is_coalescing) {
		c->is_coalescing = true;
		ring_timer_arm(&c->x->worker->ring, &c->timer, COALESCE_MS);
	}
}

static void on_gone(struct carrier *carrier, bool is_over)
{
	struct carrier_sockjs *c = of(carrier);
	struct exchange *x = c->x;

	(void)is_over;
	x->handler = NULL;
	carrier_free(c);
	if (x->response_begun)
		x->client_ops->end(x, NULL, 0);
	else
		exchange_refuse(x, REASON_SHUTDOWN);
}

static const struct carrier_ops ops = { "sockjs", on_opened, on_refused, on_flush, on_gone };

static void on_timer(struct timer *t)
{
	struct carrier_sockjs *c = container_of(t, struct carrier_sockjs, timer);

	if (c->is_coalescing)
		messages_send(c);
	else if (!c->is_full)
		frame_send(c, "h", 1);
	else
		beat_arm(c);
}

/* ---- what the exchange calls ---- */

static void on_room(struct exchange *x)
{
	struct carrier_sockjs *c = x->handler_user;

	c->is_full = false;
	if (c->carrier.session != NULL)
		session_touch(c->carrier.session);
}

/* An aborted receiver is how a client closes: no request says so. */
static void on_client_gone(struct exchange *x, enum reason why)
{
	struct carrier_sockjs *c = x->handler_user;
	struct session *s = c->carrier.session;

	(void)why;
	x->handler = NULL;
	session_detach(&c->carrier);
	carrier_free(c);
	if (s != NULL)
		session_forget(s, REASON_CLIENT_CLOSED);
}

static void on_client_eof(struct exchange *x)
{
	on_client_gone(x, REASON_CLIENT_CLOSED);
	x->client_ops->abort(x, REASON_CLIENT_CLOSED);
}

static const struct exchange_handler handler = {
	.body = exchange_ignore_body,
	.end = exchange_ignore_end,
	.room = on_room,
	.gone = on_client_gone,
	.eof = on_client_eof,
};

struct carrier *carrier_sockjs_new(struct exchange *x, const struct sockjs_ask *ask)
{
	struct carrier_sockjs *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->carrier.ops = &ops;
	c->x = x;
	c->ask = *ask;
	timer_init(&c->timer, on_timer);
	x->handler = &handler;
	x->handler_user = c;
	counter_add(PROXY_CARRIERS + 4, 1);
	return &c->carrier;
}
