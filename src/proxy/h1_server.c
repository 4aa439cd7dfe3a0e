#include "proxy/h1_server.h"

#include "base/log.h"
#include "net/stream.h"
#include "proxy/counters.h"
#include "proxy/h1_inside.h"

#include <assert.h>

const size_t h1_server_len = sizeof(struct h1_server);

/* ---- the end ---- */

static void h1_free(struct h1_server *c)
{
	struct listener *l = c->listener;

	assert(c->x == NULL);
	slab_free(&l->worker->h1_slab, c);
	listener_client_gone(l);
}

void h1_detach(struct h1_server *c)
{
	c->state = H1_GONE;
	c->client = NULL;
	connections_remove(&h1_worker(c)->open, c->connection);
	list_remove(&c->link);
	timer_cancel(&c->timer);
	held_done(&c->held);
	http1_body_done(&c->body);
}

void h1_close(struct h1_server *c, enum reason why)
{
	struct exchange *x = c->x;

	if (c->state == H1_GONE)
		return;
	if (c->client != NULL && why == REASON_NONE)
		duplex_finish(c->client);
	else if (c->client != NULL)
		duplex_close(c->client, why);
	h1_detach(c);
	c->x = NULL;
	if (x != NULL) {
		if (x->why == REASON_NONE)
			x->why = (uint8_t)why;
		if (x->handler != NULL)
			x->handler->gone(x, why);
		exchange_free(x);
	}
	if (!c->is_running)
		h1_free(c);
}

/* ---- deadlines ---- */

static void enter(struct h1_server *c, enum h1_state state)
{
	const struct listener_timeouts *t = &c->listener->config->timeouts;

	c->state = (uint8_t)state;
	c->has_progress = true;
	c->active_ms = h1_worker(c)->ring.now_ms;
	switch (state) {
	case H1_IDLE:
		h1_arm(c, c->is_first ? t->header_ms : t->keep_alive_ms);
		break;
	case H1_HEAD:
		h1_arm(c, t->header_ms);
		break;
	default:
		h1_arm(c, t->body_ms);
	}
}

static void h1_refuse(struct h1_server *c, enum reason why);

/* Nothing of the queue has gone since the timer looked last. */
static bool is_stuck(struct h1_server *c)
{
	uint32_t queued = c->client->queued;
	bool stuck = queued > 0 && !c->has_progress && queued >= c->queued_seen;

	c->queued_seen = queued;
	c->has_progress = false;
	return stuck;
}

/* Nothing is owed to a connection without a request: it is finished, and only the log tells why. */
static void idle_end(struct h1_server *c, enum reason why)
{
	struct worker *w = h1_worker(c);
	struct connection_info about;

	counter_add(COUNTERS_REASONS + why, 1);
	connection_describe(&w->open, c->connection, w->ring.now_ms, &about);
	log_info("http %s: from %s: %s (%s)", about.id, about.client, reason_of(why)->text, reason_of(why)->key);
	h1_close(c, REASON_NONE);
}

static void on_timer(struct timer *timer)
{
	struct h1_server *c = container_of(timer, struct h1_server, timer);
	uint64_t body_ms = c->listener->config->timeouts.body_ms;
	uint64_t idle_ms = h1_worker(c)->ring.now_ms - c->active_ms;

	if (c->client == NULL) {
		h1_close(c, REASON_NO_MEMORY);
	} else if (c->state == H1_IDLE) {
		idle_end(c, c->is_first ? REASON_TIMEOUT_HEADER : REASON_TIMEOUT_KEEP_ALIVE);
	} else if (c->state == H1_HEAD) {
		h1_refuse(c, REASON_TIMEOUT_HEADER);
	} else if (is_stuck(c)) {
		counter_add(COUNTERS_REASONS + REASON_TIMEOUT_WRITE, 1);
		h1_close(c, REASON_TIMEOUT_WRITE);
	} else if (c->state == H1_BODY && idle_ms >= body_ms && !passage_is_blocked(c->client) && (c->takes_body || c->is_discarding)) {
		h1_refuse(c, REASON_TIMEOUT_BODY);
	} else {
		bool waits = c->state == H1_BODY && idle_ms < body_ms;

		h1_arm(c, waits ? body_ms - idle_ms : body_ms);
	}
}

/* ---- reading ---- */

void h1_reading_update(struct h1_server *c)
{
	bool on;

	if (c->state == H1_GONE || c->client == NULL)
		return;
	if (c->state == H1_BODY)
		on = c->takes_body || c->is_discarding;
	else
		on = c->x == NULL || c->held.len == 0;
	duplex_read(c->client, on && !c->has_eof);
}

static struct exchange_from from_of(const struct h1_server *c)
{
	return (struct exchange_from){ c->listener, &c->peer, &c->listener->addr, c->tls_version[0] != '\0', c->tls_version,
				       c->client };
}

static bool exchange_make(struct h1_server *c)
{
	c->x = exchange_new(h1_worker(c), &h1_reply, c);
	if (c->x != NULL) {
		c->x->connection = c->connection;
		return true;
	}
	h1_close(c, REASON_NO_MEMORY);
	return false;
}

static enum reason reason_of_error(int error)
{
	switch (error) {
	case HTTP1_ERR_METHOD_LONG:
		return REASON_METHOD_UNKNOWN;
	case HTTP1_ERR_TARGET_LONG:
		return REASON_URI_TOO_LONG;
	case HTTP1_ERR_HEAD_LONG:
	case HTTP1_ERR_TRAILER_LONG:
		return REASON_HEADERS_TOO_LARGE;
	case HTTP1_ERR_FIELDS_MANY:
		return REASON_HEADERS_MANY;
	case HTTP1_ERR_VERSION:
		return REASON_VERSION;
	case HTTP1_ERR_CODING_UNKNOWN:
		return REASON_TRANSFER_CODING;
	case HTTP1_ERR_NO_MEMORY:
		return REASON_NO_MEMORY;
	default:
		return REASON_BAD_REQUEST;
	}
}

/* What came is no request: says so, and the connection ends. */
static void head_malformed(struct h1_server *c, const uint8_t *in, size_t len, enum reason why)
{
	struct exchange_from from = from_of(c);
	const uint8_t *line_end = len > 0 ? memchr(in, '\n', len) : NULL;

	if (!exchange_make(c))
		return;
	c->keep_alive = false;
	c->x->request_over = true;
	enter(c, H1_WAIT);
	exchange_malformed(c->x, &from, (const char *)in, line_end != NULL ? (size_t)(line_end - in) : len, why);
}

static uint32_t limit_u32(uint64_t value)
{
	return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

/* A body whose length is known to be too much is refused before any of it is read. */
static bool body_fits(struct h1_server *c, uint64_t len)
{
	uint64_t max = c->listener->config->http.max_body_size_bytes;

	return max == 0 || len <= max;
}

static void request_begin(struct h1_server *c, const struct http_head *head)
{
	struct exchange_from from = from_of(c);
	uint64_t length;
	enum http1_body_kind kind = http1_request_body(head, &length);

	c->is_first = false;
	c->keep_alive = head->keep_alive;
	c->takes_body = c->is_discarding = c->is_chunked = false;
	c->expects_continue = head->expect_continue;
	c->body_len = 0;
	http1_body_init(&c->body, kind, length, limit_u32(c->listener->config->http.max_header_size_bytes));
	c->x->has_body = kind != HTTP1_BODY_NONE;
	c->x->is_chunked = kind == HTTP1_BODY_CHUNKED;
	c->x->request_over = kind == HTTP1_BODY_NONE;
	enter(c, c->x->has_body ? H1_BODY : H1_WAIT);
	if (kind == HTTP1_BODY_LENGTH && !body_fits(c, length))
		exchange_start_refused(c->x, &from, head, REASON_BODY_TOO_LARGE);
	else
		exchange_start(c->x, &from, head);
}

/* Bytes used: the whole head, or 0 when more are needed or it was refused (all is then discarded by the state). */
static uint32_t head_read(struct h1_server *c, struct slice in)
{
	struct worker *w = h1_worker(c);
	const struct http_limits *http = &c->listener->config->http;
	struct http1_limits limits = {
		.head_bytes = limit_u32(http->max_header_size_bytes),
		.target_bytes = limit_u32(http->max_header_size_bytes),
		.field_count = http->max_headers,
	};
	struct http_head head;
	int used;

	http_head_init(&head, w->fields, w->fields_cap);
	used = http1_parse_request(in.at, in.len, &limits, &c->scan, &head);
	if (used == 0) {
		if (c->state == H1_IDLE)
			enter(c, H1_HEAD);
		return 0;
	}
	c->scan = (struct http1_scan){ 0, 0 };
	if (used < 0) {
		head_malformed(c, in.at, in.len, reason_of_error(-used));
		return 0;
	}
	if (!exchange_make(c))
		return 0;
	c->x->bytes_in = (uint64_t)used;
	request_begin(c, &head);
	return (uint32_t)used;
}

static void request_over(struct h1_server *c)
{
	struct exchange *x = c->x;
	struct http_field trailers[64];
	uint32_t count = 0;

	x->request_over = true;
	c->is_discarding = false;
	if (http1_body_has_trailers(&c->body))
		count = http1_body_trailers(&c->body, trailers, ARRAY_LEN(trailers));
	enter(c, H1_WAIT);
	if (x->handler != NULL)
		x->handler->end(x, trailers, count);
}

static uint32_t body_read(struct h1_server *c, struct slice in)
{
	struct exchange *x = c->x;
	const uint8_t *data = NULL;
	size_t data_len = 0;
	long used = http1_body_decode(&c->body, in.at, in.len, &data, &data_len);

	if (used < 0) {
		h1_refuse(c, reason_of_error((int)-used));
		return 0;
	}
	c->active_ms = h1_worker(c)->ring.now_ms;
	x->bytes_in += (uint64_t)used;
	c->body_len += data_len;
	if (!body_fits(c, c->body_len)) {
		h1_refuse(c, REASON_BODY_TOO_LARGE);
		return 0;
	}
	if (c->is_discarding && c->body_len > DISCARD_MAX) {
		h1_close(c, REASON_NONE);
		return 0;
	}
	if (data_len > 0 && passage_is_from(c->client))
		passage_less(c->client, data_len); /* it was under way before the passage */
	if (data_len > 0 && x->handler != NULL)
		x->handler->body(x, slice_sub(in, (uint32_t)(data - in.at), (uint32_t)data_len));
	if (c->state == H1_BODY && http1_body_is_over(&c->body))
		request_over(c);
	return (uint32_t)used;
}

/* The request is refused in mid-course: the handler lets go, the client is told where it still can be. */
static void h1_refuse(struct h1_server *c, enum reason why)
{
	bool is_outermost = !c->is_running;
	struct exchange *x = c->x;

	c->is_running = true;
	if (x == NULL) { /* a head that did not come to its end */
		struct slice held = held_slice(&c->held);

		head_malformed(c, held.at, held.len, why);
	} else {
		c->keep_alive = false;
		if (x->handler != NULL)
			x->handler->gone(x, why);
		if (x->response_over)
			h1_close(c, REASON_NONE);
		else
			exchange_refuse(x, why);
	}
	if (!is_outermost)
		return;
	c->is_running = false;
	if (c->state == H1_GONE)
		h1_free(c);
	else
		h1_run(c, SLICE_EMPTY);
}

/* The response is written.  The next request, or the end. */
static void exchange_done(struct h1_server *c)
{
	struct exchange *x = c->x;

	c->x = NULL;
	exchange_free(x);
	http1_body_done(&c->body);
	if (!c->keep_alive)
		h1_close(c, REASON_NONE);
	else
		enter(c, H1_IDLE);
}

/* What to do once the response is over and the request is not. */
static void rest_discard(struct h1_server *c)
{
	if (!c->keep_alive) {
		h1_close(c, REASON_NONE);
		return;
	}
	exchange_log(c->x); /* the rest may be long in coming */
	c->is_discarding = true;
}

/* One step; the bytes it used.  *goes_on: whether another may follow. */
static uint32_t step(struct h1_server *c, struct slice in, bool *goes_on)
{
	struct exchange *x = c->x;
	uint32_t used = 0;

	*goes_on = true;
	if (x != NULL && x->response_over && x->request_over)
		exchange_done(c);
	else if (x != NULL && x->response_over && !c->is_discarding)
		rest_discard(c);
	else if ((c->state == H1_IDLE || c->state == H1_HEAD) && in.len > 0)
		*goes_on = (used = head_read(c, in)) > 0 || c->x != NULL;
	else if (c->state == H1_BODY && in.len > 0 && (c->takes_body || c->is_discarding))
		used = body_read(c, in);
	else
		*goes_on = false;
	return used;
}

/* As far as it goes with these bytes.  Returns what was used of them. */
static uint32_t consume(struct h1_server *c, struct slice in)
{
	uint32_t used = 0;
	bool goes_on = true;

	while (goes_on && c->state != H1_GONE)
		used += step(c, slice_sub(in, used, in.len - used), &goes_on);
	return used;
}

static void eof_look(struct h1_server *c)
{
	if (!c->has_eof || c->state == H1_GONE)
		return;
	if (c->state == H1_IDLE || c->state == H1_HEAD)
		h1_close(c, REASON_NONE);
	else if (c->state == H1_BODY && (c->takes_body || c->is_discarding))
		h1_close(c, REASON_CLIENT_CLOSED); /* the rest will not come */
	else if (c->state == H1_WAIT && c->x != NULL && c->x->handler != NULL && c->x->handler->eof != NULL)
		c->x->handler->eof(c->x);
}

/* ---- long bodies, straight through ---- */

static void on_passed(void *user, uint64_t len)
{
	struct h1_server *c = user;

	http1_body_skip(&c->body, len);
	c->body_len += len;
	c->x->bytes_in += len;
	c->active_ms = h1_worker(c)->ring.now_ms;
}

static void on_passage_done(void *user)
{
	struct h1_server *c = user;

	if (c->state == H1_BODY && http1_body_is_over(&c->body))
		request_over(c);
	h1_run(c, SLICE_EMPTY);
}

static const struct passage_events body_passage = { on_passed, on_passage_done };

/* Much of a body is still to come, and nothing of it is here: it may go without us. */
static void body_pass(struct h1_server *c)
{
	struct duplex *to;

	if (c->state != H1_BODY || !c->takes_body || c->held.len > 0 || c->has_eof || c->body.kind != HTTP1_BODY_LENGTH ||
	    http1_body_left_bytes(&c->body) < PASSAGE_MIN || c->client == NULL || passage_is_from(c->client) ||
	    !stream_is_bulk(c->client) || c->x->handler == NULL || c->x->handler->sink == NULL)
		return;
	to = c->x->handler->sink(c->x);
	if (to != NULL)
		passage_start(c->client, to, http1_body_left_bytes(&c->body), &body_passage, c);
}

void h1_run(struct h1_server *c, struct slice in)
{
	if (c->is_running) {
		if (in.len > 0 && !held_append(&c->held, in))
			h1_close(c, REASON_NO_MEMORY);
		return;
	}
	if (c->state == H1_GONE)
		return;
	c->is_running = true;
	if (c->held.len > 0 && in.len > 0 && !held_append(&c->held, in))
		h1_close(c, REASON_NO_MEMORY);
	if (c->held.len > 0) {
		struct slice held = slice_ref(held_slice(&c->held));
		uint32_t used = consume(c, held);

		slice_unref(held);
		if (c->state != H1_GONE)
			held_consume(&c->held, used);
	} else {
		uint32_t used = consume(c, in);

		if (used < in.len && c->state != H1_GONE && !held_append(&c->held, slice_sub(in, used, in.len - used)))
			h1_close(c, REASON_NO_MEMORY);
	}
	eof_look(c);
	c->is_running = false;
	if (c->state == H1_GONE) {
		h1_free(c);
		return;
	}
	body_pass(c);
	h1_reading_update(c);
}

/* ---- the client's events ---- */

static void on_open(struct duplex *d)
{
	(void)d;
}

static void on_bytes(struct duplex *d, struct slice in)
{
	h1_run(d->user, in);
}

static void on_eof(struct duplex *d)
{
	struct h1_server *c = d->user;

	c->has_eof = true;
	h1_run(c, SLICE_EMPTY);
}

static void on_room(struct duplex *d)
{
	struct h1_server *c = d->user;

	c->has_progress = true;
	if (c->x != NULL && c->x->handler != NULL)
		c->x->handler->room(c->x);
}

static void on_closed(struct duplex *d, enum reason why)
{
	struct h1_server *c = d->user;

	c->client = NULL;
	if (why == REASON_TLS_ERROR || why == REASON_TLS_ALERT)
		counter_add(COUNTERS_REASONS + why, 1);
	h1_close(c, why);
}

static const struct duplex_events events = { on_open, on_bytes, on_eof, on_room, on_closed };

/* ---- looked at from outside ---- */

static void describe(const void *object, struct connection_info *out)
{
	const struct h1_server *c = object;
	const struct exchange *x = c->x;

	out->listener = c->listener->config->name;
	out->state = c->state == H1_IDLE ? "idle" : c->state == H1_WAIT ? "response" : "request";
	out->queued_client = c->client != NULL ? c->client->queued : 0;
	if (x == NULL)
		return;
	out->route = x->route != NULL ? x->route->name : NULL;
	out->cluster = x->cluster;
	out->endpoint = x->endpoint;
	out->bytes_in = x->bytes_in;
	out->bytes_out = x->bytes_out;
}

static bool end_asked(void *object, const struct connection_end *how)
{
	h1_close(object, how->why);
	return true;
}

static const struct connection_face face = { "http", describe, end_asked, NULL, NULL };

/* ---- start, drain ---- */

void h1_server_start(struct listener *l, struct duplex *d, const struct addr *peer, struct slice first)
{
	struct worker *w = l->worker;
	struct h1_server *c = slab_alloc_zeroed(&w->h1_slab);
	struct tls_info info;

	if (c == NULL) {
		duplex_close(d, REASON_NO_MEMORY);
		listener_client_gone(l);
		return;
	}
	stream_tls_info(d, &info);
	c->tls_version = info.version;
	c->listener = l;
	c->client = d;
	c->peer = *peer;
	c->is_first = true;
	c->connection = connections_add(&w->open, &face, c, peer, w->ring.now_ms);
	timer_init(&c->timer, on_timer);
	list_append(&w->h1_servers, &c->link);
	duplex_use(d, &events, c);
	enter(c, H1_IDLE);
	duplex_read(d, true);
	if (first.len > 0)
		h1_run(c, first);
}

void h1_servers_drain(struct worker *w)
{
	list_for_each_safe(node, next, &w->h1_servers) {
		struct h1_server *c = container_of(node, struct h1_server, link);

		if (c->state == H1_IDLE)
			h1_close(c, REASON_NONE);
	}
}

void h1_servers_close(struct worker *w, enum reason why)
{
	list_for_each_safe(node, next, &w->h1_servers)
		h1_close(container_of(node, struct h1_server, link), why);
}
