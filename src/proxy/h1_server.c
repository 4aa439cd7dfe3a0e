#include "proxy/h1_server.h"

#include "net/stream.h"
#include "proxy/counters.h"
#include "proxy/exchange.h"
#include "proxy/held.h"
#include "wire/http1_body.h"
#include "wire/http1_parse.h"
#include "wire/http1_write.h"

#include <assert.h>

/* A request body that nobody wants is read up to this, so that the connection can be kept. */
#define DISCARD_MAX 65536u

enum h1_state {
	H1_IDLE, /* no byte of the next request yet */
	H1_HEAD, /* some of it */
	H1_BODY,
	H1_WAIT, /* the request is over, the response is not */
	H1_GONE, /* freed as soon as nobody above on the stack uses it */
};

struct h1_server {
	struct list link; /* of worker.h1_servers */
	struct listener *listener;
	struct duplex *client;
	struct exchange *x; /* NULL: between requests */
	struct timer timer;
	struct held held; /* what came and has to wait */
	struct http1_scan scan;
	struct http1_body body;
	struct addr peer;
	uint64_t body_len;	/* payload of the request so far */
	uint64_t active_ms;	/* when the last byte of a body came */
	uint32_t connection;	/* its place in worker.open; CONNECTION_NONE once an upgrade has taken it along */
	uint32_t queued_seen;	/* of the client's queue, when the timer looked last */
	uint8_t state;
	const char *tls_version; /* "" for plain; static */
	bool is_running : 1;	 /* h1_run() is on the stack */
	bool is_first : 1;	 /* no request was read yet */
	bool keep_alive : 1;
	bool takes_body : 1; /* the handler does */
	bool expects_continue : 1; /* the body may never come */
	bool is_discarding : 1;
	bool has_eof : 1;
	bool is_chunked : 1; /* the response */
	bool has_progress : 1; /* the client took something since the timer looked */
};

const size_t h1_server_len = sizeof(struct h1_server);

static const struct exchange_client client_ops;

static struct worker *worker_of(const struct h1_server *c)
{
	return c->listener->worker;
}

/* ---- the end ---- */

static void h1_free(struct h1_server *c)
{
	struct listener *l = c->listener;

	assert(c->x == NULL);
	slab_free(&l->worker->h1_slab, c);
	listener_client_gone(l);
}

/* The connection is somebody else's, or over.  The listener's client goes along. */
static void h1_detach(struct h1_server *c)
{
	c->state = H1_GONE;
	c->client = NULL;
	connections_remove(&worker_of(c)->open, c->connection);
	list_remove(&c->link);
	timer_cancel(&c->timer);
	held_done(&c->held);
	http1_body_done(&c->body);
}

/* Ends it from our side: `why` NONE lets what is queued leave, and waits for the client's end. */
static void h1_close(struct h1_server *c, enum reason why)
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

static void arm(struct h1_server *c, uint64_t timeout_ms)
{
	if (timeout_ms > 0)
		ring_timer_arm(&worker_of(c)->ring, &c->timer, timeout_ms);
	else
		timer_cancel(&c->timer);
}

static void enter(struct h1_server *c, enum h1_state state)
{
	const struct listener_timeouts *t = &c->listener->config->timeouts;

	c->state = (uint8_t)state;
	c->has_progress = true;
	c->active_ms = worker_of(c)->ring.now_ms;
	switch (state) {
	case H1_IDLE:
		arm(c, c->is_first ? t->header_ms : t->keep_alive_ms);
		break;
	case H1_HEAD:
		arm(c, t->header_ms);
		break;
	default:
		arm(c, t->body_ms);
	}
}

static void h1_run(struct h1_server *c, struct slice in);
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

static void on_timer(struct timer *timer)
{
	struct h1_server *c = container_of(timer, struct h1_server, timer);
	uint64_t body_ms = c->listener->config->timeouts.body_ms;
	uint64_t idle_ms = worker_of(c)->ring.now_ms - c->active_ms;

	if (c->client == NULL) {
		h1_close(c, REASON_NO_MEMORY);
	} else if (c->state == H1_IDLE) {
		counter_add(COUNTERS_REASONS + (c->is_first ? REASON_TIMEOUT_HEADER : REASON_TIMEOUT_KEEP_ALIVE), 1);
		h1_close(c, REASON_NONE);
	} else if (c->state == H1_HEAD) {
		h1_refuse(c, REASON_TIMEOUT_HEADER);
	} else if (is_stuck(c)) {
		counter_add(COUNTERS_REASONS + REASON_TIMEOUT_WRITE, 1);
		h1_close(c, REASON_TIMEOUT_WRITE);
	} else if (c->state == H1_BODY && idle_ms >= body_ms && (c->takes_body || c->is_discarding)) {
		h1_refuse(c, REASON_TIMEOUT_BODY);
	} else {
		bool waits = c->state == H1_BODY && idle_ms < body_ms;

		arm(c, waits ? body_ms - idle_ms : body_ms);
	}
}

/* ---- reading ---- */

static void reading_update(struct h1_server *c)
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
	c->x = exchange_new(worker_of(c), &client_ops, c);
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
	case HTTP1_ERR_FIELDS_MANY:
	case HTTP1_ERR_TRAILER_LONG:
		return REASON_HEADERS_TOO_LARGE;
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
	struct worker *w = worker_of(c);
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
	c->active_ms = worker_of(c)->ring.now_ms;
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
}

/* ---- long bodies, straight through ---- */

static void on_passed(void *user, uint64_t len)
{
	struct h1_server *c = user;

	http1_body_skip(&c->body, len);
	c->body_len += len;
	c->x->bytes_in += len;
	c->active_ms = worker_of(c)->ring.now_ms;
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
	    !stream_is_bulk(c->client) || c->x->handler == NULL)
		return;
	to = c->x->handler->sink(c->x);
	if (to != NULL)
		passage_start(c->client, to, http1_body_left_bytes(&c->body), &body_passage, c);
}

static void h1_run(struct h1_server *c, struct slice in)
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
	reading_update(c);
}

/* ---- the client's half of the exchange ---- */

/* Whether another request may follow on this connection. */
static bool may_keep(const struct h1_server *c)
{
	const struct exchange *x = c->x;

	if (!c->keep_alive || worker_of(c)->is_draining || c->listener->has_left || (c->has_eof && c->held.len == 0))
		return false;
	/* The rest of a body that nobody will read has to be discarded; one that is announced may never come. */
	return x->request_over || (c->takes_body && x->handler != NULL) ||
	       (!x->is_chunked && !c->expects_continue && http1_body_left_bytes(&c->body) <= DISCARD_MAX);
}

static void client_write(struct h1_server *c, struct slice out)
{
	c->x->bytes_out += out.len;
	if (c->client != NULL)
		duplex_write(c->client, out);
	else
		slice_unref(out);
}

/* Memory is out in the midst of a response: the client sees a reset; the rest follows by the timer, since who calls us
 * still uses the exchange. */
static void client_fail(struct h1_server *c)
{
	if (c->client == NULL)
		return;
	duplex_close(c->client, REASON_NO_MEMORY);
	c->client = NULL;
	c->x->why = REASON_NO_MEMORY;
	arm(c, 1);
}

/* Writes by `print` into the bump block, or, where it does not fit, into blocks of their own. */
static struct slice head_print(struct h1_server *c, const struct response_head *h, const struct response_edits *e)
{
	struct ring *r = &worker_of(c)->ring;
	size_t need = 1024 + (h->from != NULL && h->from->field_count > 0 ?
				      (size_t)(h->from->fields_end - h->from->fields[0].name) :
				      0);
	uint8_t *at = need <= RING_BUMP_SIZE ? ring_bump(r, (uint32_t)need) : NULL;
	long len = at != NULL ? head_response_write(at, ring_bump_room(r), h, e) : -1;

	if (len >= 0)
		return ring_bump_take(r, (uint32_t)len);
	for (uint32_t cap = 32768; cap <= (1u << 22); cap *= 4) {
		struct buf *b = buf_new(cap);

		if (b == NULL)
			break;
		len = head_response_write(b->data, cap, h, e);
		if (len >= 0)
			return (struct slice){ b, b->data, (uint32_t)len };
		buf_unref(b);
	}
	return SLICE_EMPTY;
}

static void client_head(struct exchange *x, struct response_head *h)
{
	struct h1_server *c = x->client;
	struct response_edits edits = { x->route != NULL ? &x->route->response_headers : NULL,
					(const char *const *)x->edit_values };
	bool is_interim = h->status < 200 && h->status != 101;
	struct slice out;

	if (is_interim && x->version_minor == 0)
		return;
	h->version_minor = x->version_minor;
	if (!is_interim) {
		x->status = h->status;
		x->response_begun = true;
		if (h->framing == RESPONSE_UNTIL_CLOSE || h->framing == RESPONSE_CHUNKED)
			h->framing = x->version_minor == 0 ? RESPONSE_UNTIL_CLOSE : RESPONSE_CHUNKED;
		c->keep_alive = may_keep(c) && h->framing != RESPONSE_UNTIL_CLOSE;
		c->is_chunked = h->framing == RESPONSE_CHUNKED && x->method != HTTP_METHOD_HEAD;
		h->keep_alive = c->keep_alive;
	}
	out = head_print(c, h, &edits);
	if (out.len > 0)
		client_write(c, out);
	else
		client_fail(c);
}

static bool client_body(struct exchange *x, struct slice s)
{
	struct h1_server *c = x->client;
	struct ring *r = &worker_of(c)->ring;
	uint8_t *line;
	long len;

	if (s.len == 0 || c->state == H1_GONE) {
		slice_unref(s);
		return true;
	}
	if (!c->is_chunked) {
		client_write(c, s);
		return c->client == NULL || !duplex_is_full(c->client);
	}
	line = ring_bump(r, HTTP1_CHUNK_LINE_MAX);
	len = line != NULL ? http1_write_chunk_line(line, HTTP1_CHUNK_LINE_MAX, s.len) : -1;
	if (len < 0) {
		slice_unref(s);
		client_fail(c);
		return true;
	}
	client_write(c, ring_bump_take(r, (uint32_t)len));
	client_write(c, s);
	client_write(c, slice_static("\r\n", 2));
	return c->client == NULL || !duplex_is_full(c->client);
}

static bool client_pass(struct exchange *x, struct duplex *from, uint64_t len, const struct passage_events *e, void *user)
{
	struct h1_server *c = x->client;

	return !c->is_chunked && c->client != NULL && passage_start(from, c->client, len, e, user);
}

static void last_chunk_write(struct h1_server *c, const struct http_field *trailers, uint32_t count)
{
	struct buf *b;
	long len;

	if (count == 0) {
		client_write(c, slice_static("0\r\n\r\n", 5));
		return;
	}
	b = buf_new(HTTP1_TRAILER_MAX + 64);
	len = b != NULL ? http1_write_last_chunk(b->data, b->cap, trailers, count) : -1;
	if (len < 0) {
		buf_unref(b);
		client_fail(c);
		return;
	}
	client_write(c, (struct slice){ b, b->data, (uint32_t)len });
}

static void client_end(struct exchange *x, const struct http_field *trailers, uint32_t count)
{
	struct h1_server *c = x->client;

	if (c->state == H1_GONE)
		return;
	if (c->is_chunked)
		last_chunk_write(c, trailers, count);
	x->response_over = true;
	x->handler = NULL;
	h1_run(c, SLICE_EMPTY);
}

static void client_abort(struct exchange *x, enum reason why)
{
	struct h1_server *c = x->client;

	x->why = (uint8_t)why;
	x->handler = NULL;
	h1_close(c, why);
}

static void client_read(struct exchange *x, bool on)
{
	struct h1_server *c = x->client;
	bool was_on = c->takes_body;

	/* During a passage all that still comes up goes on at once, or it would come behind what the passage brings. */
	if (c->state == H1_GONE || (c->client != NULL && passage_is_from(c->client)))
		return;
	c->takes_body = on;
	c->active_ms = worker_of(c)->ring.now_ms;
	if (on && !was_on && !c->is_running && (c->held.len > 0 || c->has_eof))
		h1_run(c, SLICE_EMPTY);
	else if (!c->is_running)
		reading_update(c);
}

static struct duplex *client_upgrade(struct exchange *x, struct slice *early)
{
	struct h1_server *c = x->client;
	struct duplex *d = c->client;

	assert(!c->is_running);
	*early = slice_ref(held_slice(&c->held));
	c->connection = CONNECTION_NONE; /* the exchange's now */
	h1_detach(c);
	slab_free(&worker_of(c)->h1_slab, c); /* the listener's client goes with the stream */
	return d;
}

static const struct exchange_client client_ops = {
	.head = client_head,
	.body = client_body,
	.pass = client_pass,
	.end = client_end,
	.abort = client_abort,
	.read = client_read,
	.upgrade = client_upgrade,
};

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

static const struct connection_face face = { "http", describe, end_asked };

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
