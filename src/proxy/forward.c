#include "proxy/forward.h"

#include "base/clock.h"
#include "base/histogram.h"
#include "cluster/outlier.h"
#include "net/stream.h"
#include "proxy/counters.h"
#include "proxy/forward_inside.h"
#include "proxy/head_request.h"
#include "proxy/listener.h"
#include "proxy/ws_relay.h"
#include "wire/http1_write.h"

#include <stdlib.h>

#define RESPONSE_HEAD_MAX 65536u

const size_t forward_len = sizeof(struct forward);

static const struct exchange_handler handler;

void forward_free(struct forward *f)
{
	timer_cancel(&f->timer);
	held_done(&f->held);
	held_done(&f->learn);
	http1_body_done(&f->body);
	slice_unref(f->head);
	preface_done(&f->preface);
	slab_free(&forward_worker(f)->forward_slab, f);
}

/* What an endpoint is to blame for; not that it has closed a connection that was idle. */
static bool is_its_fault(const struct forward *f, enum reason why)
{
	static const bool is_fault[REASON_COUNT] = {
		[REASON_BACKEND_CLOSED] = true,	   [REASON_BACKEND_RESET] = true,
		[REASON_BACKEND_TRUNCATED] = true, [REASON_BACKEND_BAD_RESPONSE] = true,
		[REASON_BACKEND_UPGRADE] = true,   [REASON_TIMEOUT_RESPONSE] = true,
	};

	return f->backend.endpoint != NULL && is_fault[why] && (f->has_answered || !f->backend.is_reused);
}

void forward_fail(struct forward *f, enum reason why)
{
	struct exchange *x = f->x;

	if (is_its_fault(f, why))
		outlier_failed(f->backend.endpoint, why);
	backend_drop(&f->backend, why);
	forward_free(f);
	exchange_refuse(x, why);
}

/* ---- deadlines ---- */

static void arm(struct forward *f, uint64_t timeout_ms)
{
	f->active_ms = forward_worker(f)->ring.now_ms;
	if (timeout_ms > 0)
		ring_timer_arm(&forward_worker(f)->ring, &f->timer, timeout_ms);
	else
		timer_cancel(&f->timer);
}

static void on_timer(struct timer *t)
{
	struct forward *f = container_of(t, struct forward, timer);
	uint64_t idle_ms = forward_config(f)->timeouts.idle_ms, now = forward_worker(f)->ring.now_ms;
	bool waits_for_client = f->is_paused || (!f->x->request_over && f->backend.d->queued == 0);

	if (!f->head_seen && f->x->request_over)
		forward_fail(f, REASON_TIMEOUT_RESPONSE);
	else if (waits_for_client)
		arm(f, idle_ms);
	else if (now - f->active_ms >= idle_ms)
		forward_fail(f, REASON_TIMEOUT_IDLE_BACKEND);
	else
		ring_timer_arm(&forward_worker(f)->ring, &f->timer, idle_ms - (now - f->active_ms));
}

/* ---- the response ---- */

/* May the request be sent once more after an endpoint has failed it? */
static bool is_repeatable(const struct forward *f)
{
	return !f->has_answered && !f->body_begun && http_method_is_idempotent(f->x->method);
}

/* Before another try: nothing more of a body until somebody is there to take it. */
static void request_hold(struct forward *f)
{
	timer_cancel(&f->timer);
	if (!f->x->request_over)
		f->x->client_ops->read(f->x, false);
}

/* The endpoint's connection is over before a response was. */
static void backend_lost(struct forward *f, enum reason why)
{
	if (!f->head_seen && is_repeatable(f)) {
		request_hold(f);
		if (f->backend.is_reused) {
			backend_again(&f->backend); /* it was closed while it was idle */
			return;
		}
		if (forward_config(f)->retries.on & RETRY_ON_RESET) {
			outlier_failed(f->backend.endpoint, why);
			if (backend_retry(&f->backend, why))
				return;
		}
	}
	forward_fail(f, why);
}

static void response_done(struct forward *f, bool has_rest)
{
	struct exchange *x = f->x;
	struct http_field trailers[64];
	uint32_t count = 0;

	if (http1_body_has_trailers(&f->body))
		count = http1_body_trailers(&f->body, trailers, ARRAY_LEN(trailers));
	timer_cancel(&f->timer);
	if (f->keep_alive && x->request_over && !has_rest)
		backend_keep(&f->backend);
	else
		backend_drop(&f->backend, has_rest ? REASON_BACKEND_BAD_RESPONSE : REASON_NONE);
	x->handler = NULL;
	x->client_ops->end(x, trailers, count);
	forward_free(f);
}

static void pause_if_full(struct forward *f)
{
	if (f->is_paused || !f->is_full)
		return;
	f->is_paused = true;
	duplex_read(f->backend.d, false);
}

static enum response_framing framing_of(const struct http_head *head, enum http1_body_kind kind, enum http_method method)
{
	switch (kind) {
	case HTTP1_BODY_LENGTH:
		return RESPONSE_LENGTH;
	case HTTP1_BODY_CHUNKED:
		return RESPONSE_CHUNKED;
	case HTTP1_BODY_UNTIL_CLOSE:
		return RESPONSE_UNTIL_CLOSE;
	default:
		return head->content_length == 0 && method != HTTP_METHOD_HEAD && head->status != 204 ? RESPONSE_LENGTH :
												       RESPONSE_NO_BODY;
	}
}

static uint32_t retry_bit(unsigned status)
{
	switch (status) {
	case 500:
		return RETRY_ON_500;
	case 502:
		return RETRY_ON_502;
	case 503:
		return RETRY_ON_503;
	case 504:
		return RETRY_ON_504;
	default:
		return 0;
	}
}

/* A status that another endpoint may better; true: it is being asked. */
static bool retried_for_status(struct forward *f, const struct http_head *head)
{
	if (!(forward_config(f)->retries.on & retry_bit(head->status)) || f->body_begun || f->backend.attempts_left == 0 ||
	    !http_method_is_idempotent(f->x->method))
		return false;
	request_hold(f);
	outlier_failed_status(f->backend.endpoint, head->status);
	return backend_retry(&f->backend, REASON_BACKEND_BAD_RESPONSE);
}

static void response_begin(struct forward *f, const struct http_head *head)
{
	struct exchange *x = f->x;
	struct response_head out = forward_response(head);
	char cookie[AFFINITY_COOKIE_MAX];
	struct str text;
	struct http_field field;
	uint64_t length;
	enum http1_body_kind kind = http1_response_body(head, x->method, &length);

	if (head->status >= 500)
		outlier_failed_status(f->backend.endpoint, head->status);
	else
		outlier_succeeded(f->backend.endpoint);
	f->head_seen = true;
	backend_answered(&f->backend);
	histogram_add_us(HISTOGRAM_RESPONSE, (clock_now_ns() - x->began_ns) / 1000);
	f->keep_alive = head->keep_alive && kind != HTTP1_BODY_UNTIL_CLOSE && f->backend.preface_len == 0;
	http1_body_init(&f->body, kind, length, HTTP1_TRAILER_MAX);
	out.framing = framing_of(head, kind, x->method);
	out.length = length;
	str_init(&text, cookie, sizeof(cookie));
	forward_cookie_add(f, &out, &field, &text);
	forward_learn_head(f, head);
	x->client_ops->head(x, &out);
	arm(f, forward_config(f)->timeouts.idle_ms);
}

/* What a step through the response's bytes came to. */
enum step {
	STEP_ON,
	STEP_MORE, /* more bytes are needed */
	STEP_OVER, /* the forward is gone, or asks another endpoint: these bytes are of no use any more */
};

static enum step head_step(struct forward *f, struct slice in, uint32_t *used)
{
	static const struct http1_limits limits = { .head_bytes = RESPONSE_HEAD_MAX };
	struct worker *w = forward_worker(f);
	struct response_head out;
	struct http_head head;
	int got;

	http_head_init(&head, w->response_fields, w->fields_cap);
	got = http1_parse_response(in.at, in.len, &limits, &f->scan, &head);
	if (got == 0)
		return STEP_MORE;
	f->scan = (struct http1_scan){ 0, 0 };
	if (got < 0) {
		forward_fail(f, REASON_BACKEND_BAD_RESPONSE);
		return STEP_OVER;
	}
	if (head.status == 101) {
		forward_upgrade(f, &head, slice_sub(in, (uint32_t)got, in.len - (uint32_t)got));
		return STEP_OVER;
	}
	if (retried_for_status(f, &head))
		return STEP_OVER;
	*used += (uint32_t)got;
	if (head.status >= 200) {
		response_begin(f, &head);
		return STEP_ON;
	}
	out = forward_response(&head);
	f->x->client_ops->head(f->x, &out);
	return STEP_ON;
}

static enum step body_step(struct forward *f, struct slice in, uint32_t *used)
{
	const uint8_t *data = NULL;
	size_t data_len = 0;
	long got;

	if (http1_body_is_over(&f->body)) {
		response_done(f, in.len > 0);
		return STEP_OVER;
	}
	if (in.len == 0)
		return STEP_MORE;
	got = http1_body_decode(&f->body, in.at, in.len, &data, &data_len);
	if (got < 0) {
		forward_fail(f, REASON_BACKEND_BAD_RESPONSE);
		return STEP_OVER;
	}
	if (data_len > 0 && f->learns)
		forward_learn_body(f, slice_sub(in, (uint32_t)(data - in.at), (uint32_t)data_len));
	if (data_len > 0 && passage_is_from(f->backend.d))
		passage_less(f->backend.d, data_len); /* it was under way before the passage */
	if (data_len > 0)
		f->is_full = !f->x->client_ops->body(
			f->x, slice_ref(slice_sub(in, (uint32_t)(data - in.at), (uint32_t)data_len)));
	*used += (uint32_t)got;
	return got > 0 ? STEP_ON : STEP_MORE;
}

static enum step consume(struct forward *f, struct slice in, uint32_t *used)
{
	enum step step = STEP_ON;

	while (step == STEP_ON) {
		struct slice rest = slice_sub(in, *used, in.len - *used);

		if (f->head_seen)
			step = body_step(f, rest, used);
		else
			step = rest.len > 0 ? head_step(f, rest, used) : STEP_MORE;
	}
	return step;
}

/* ---- long bodies, straight through ---- */

static void on_passed(void *user, uint64_t len)
{
	struct forward *f = user;

	http1_body_skip(&f->body, len);
	f->x->bytes_out += len;
	f->active_ms = forward_worker(f)->ring.now_ms;
}

static void on_passage_done(void *user)
{
	struct forward *f = user;

	if (http1_body_is_over(&f->body))
		response_done(f, false);
}

static const struct passage_events body_passage = { on_passed, on_passage_done };

/* Much of a body is still to come, and nothing of it is here: it may go without us. */
static void pass_if_long(struct forward *f)
{
	uint64_t left = http1_body_left_bytes(&f->body);

	if (f->head_seen && f->body.kind == HTTP1_BODY_LENGTH && left >= PASSAGE_MIN && f->held.len == 0 &&
	    stream_is_bulk(f->backend.d) && !passage_is_from(f->backend.d))
		f->x->client_ops->pass(f->x, f->backend.d, left, &body_passage, f);
}

/* ---- the endpoint's events ---- */

static void on_bytes(struct duplex *d, struct slice in)
{
	struct forward *f = d->user;
	bool was_held = f->held.len > 0;
	uint32_t used = 0;
	enum step step;

	f->has_answered = true;
	f->active_ms = forward_worker(f)->ring.now_ms;
	if (was_held && !held_append(&f->held, in)) {
		forward_fail(f, REASON_NO_MEMORY);
		return;
	}
	if (was_held)
		in = held_slice(&f->held);
	slice_ref(in);
	step = consume(f, in, &used);
	if (step == STEP_MORE) {
		if (was_held)
			held_consume(&f->held, used);
		else if (used < in.len && !held_append(&f->held, slice_sub(in, used, in.len - used)))
			forward_fail(f, REASON_NO_MEMORY), step = STEP_OVER;
	}
	slice_unref(in);
	if (step != STEP_MORE)
		return;
	pass_if_long(f);
	pause_if_full(f);
}

static void on_eof(struct duplex *d)
{
	struct forward *f = d->user;

	if (!f->head_seen)
		backend_lost(f, f->held.len > 0 ? REASON_BACKEND_TRUNCATED : REASON_BACKEND_CLOSED);
	else if (http1_body_eof(&f->body) == HTTP1_OK)
		response_done(f, false);
	else
		forward_fail(f, REASON_BACKEND_TRUNCATED);
}

static void on_room(struct duplex *d)
{
	struct forward *f = d->user;

	f->active_ms = forward_worker(f)->ring.now_ms;
	if (!f->x->request_over)
		f->x->client_ops->read(f->x, true);
}

static void on_closed(struct duplex *d, enum reason why)
{
	struct forward *f = d->user;

	f->backend.d = NULL;
	backend_lost(f, f->head_seen ? REASON_BACKEND_TRUNCATED : why);
}

static void on_open(struct duplex *d)
{
	(void)d;
}

static const struct duplex_events backend_events = { on_open, on_bytes, on_eof, on_room, on_closed };

static void on_ready(struct backend *b)
{
	struct forward *f = container_of(b, struct forward, backend);
	struct exchange *x = f->x;

	if (x->log != NULL) {
		free(x->endpoint);
		x->endpoint = strdup(b->endpoint->name);
	}
	f->has_answered = false;
	f->scan = (struct http1_scan){ 0, 0 };
	held_done(&f->held);
	duplex_write(b->d, slice_ref(f->head));
	duplex_read(b->d, true);
	arm(f, x->request_over ? forward_config(f)->timeouts.response_ms : forward_config(f)->timeouts.idle_ms);
	if (!x->request_over)
		x->client_ops->read(x, true);
}

static void on_failed(struct backend *b, enum reason why)
{
	struct forward *f = container_of(b, struct forward, backend);

	forward_fail(f, why);
}

/* ---- the exchange's calls ---- */

static void request_body(struct exchange *x, struct slice s)
{
	struct forward *f = x->handler_user;
	struct duplex *d = f->backend.d;
	struct ring *r = &forward_worker(f)->ring;

	f->body_begun = true;
	if (x->is_chunked) {
		uint8_t *line = ring_bump(r, HTTP1_CHUNK_LINE_MAX);

		if (line == NULL) {
			forward_fail(f, REASON_NO_MEMORY);
			return;
		}
		duplex_write(d, ring_bump_take(r, (uint32_t)http1_write_chunk_line(line, HTTP1_CHUNK_LINE_MAX, s.len)));
	}
	duplex_write(d, slice_ref(s));
	if (x->is_chunked)
		duplex_write(d, slice_static("\r\n", 2));
	if (duplex_is_full(d))
		x->client_ops->read(x, false);
}

static void request_end(struct exchange *x, const struct http_field *trailers, uint32_t count)
{
	struct forward *f = x->handler_user;
	struct buf *b;
	long len;

	if (x->is_chunked) {
		b = buf_new(HTTP1_TRAILER_MAX + 64);
		len = b != NULL ? http1_write_last_chunk(b->data, b->cap, trailers, count) : -1;
		if (len < 0) {
			buf_unref(b);
			forward_fail(f, REASON_NO_MEMORY);
			return;
		}
		f->body_begun = true;
		duplex_write(f->backend.d, (struct slice){ b, b->data, (uint32_t)len });
	}
	if (!f->head_seen)
		arm(f, forward_config(f)->timeouts.response_ms);
}

static struct duplex *request_sink(struct exchange *x)
{
	struct forward *f = x->handler_user;

	if (x->is_chunked || f->backend.d == NULL)
		return NULL;
	f->body_begun = true;
	return f->backend.d;
}

static void client_room(struct exchange *x)
{
	struct forward *f = x->handler_user;

	f->is_full = false;
	if (!f->is_paused)
		return;
	f->is_paused = false;
	f->active_ms = forward_worker(f)->ring.now_ms;
	duplex_read(f->backend.d, true);
}

static void client_gone(struct exchange *x, enum reason why)
{
	struct forward *f = x->handler_user;

	/* A request that was cut short must not look whole: the endpoint sees a reset. */
	backend_drop(&f->backend, why != REASON_NONE ? why : REASON_CLIENT_CLOSED);
	x->handler = NULL;
	forward_free(f);
}

static const struct exchange_handler handler = {
	.body = request_body,
	.sink = request_sink,
	.end = request_end,
	.room = client_room,
	.gone = client_gone,
};

/* ---- start ---- */

/* The head as it leaves, in the bump block or in a block of its own.  0, or a reason. */
static enum reason head_make(struct forward *f, const struct request *r)
{
	const struct http_head *head = r->head;
	struct ring *ring = &forward_worker(f)->ring;
	size_t need = 2048 + (size_t)(head->fields_end - head->method);
	uint8_t *at = need <= RING_BUMP_SIZE ? ring_bump(ring, (uint32_t)need) : NULL;
	long len = at != NULL ? head_request_write(at, ring_bump_room(ring), r, f->x->is_upgrade) : -1;

	if (len > 0) {
		f->head = ring_bump_take(ring, (uint32_t)len);
		return REASON_NONE;
	}
	for (uint32_t cap = 65536; len == -1 && cap <= (1u << 22); cap *= 4) {
		struct buf *b = buf_new(cap);

		if (b == NULL)
			return REASON_NO_MEMORY;
		len = head_request_write(b->data, cap, r, f->x->is_upgrade);
		if (len > 0) {
			f->head = (struct slice){ b, b->data, (uint32_t)len };
			return REASON_NONE;
		}
		buf_unref(b);
	}
	return len == -2 ? REASON_BAD_REQUEST : REASON_HEADERS_TOO_LARGE;
}

static bool preface_of(struct forward *f, const struct request *r)
{
	struct preface_from from = { .peer = r->peer, .local = r->local };
	struct tls_info info;

	if (forward_config(f)->proxy_protocol == PROXY_PROTOCOL_OUT_OFF)
		return true;
	if (r->is_tls && r->connection != NULL) {
		stream_tls_info(r->connection, &info);
		from.sni = info.sni;
		from.alpn = info.alpn;
		from.tls_version = info.version;
		from.has_certificate = info.has_peer_certificate;
	}
	if (!preface_make(&f->preface, forward_config(f), &from))
		return false;
	f->backend.preface = f->preface.bytes;
	f->backend.preface_len = f->preface.len;
	return true;
}

void forward_start(struct exchange *x, const struct request *r)
{
	struct worker *w = x->worker;
	struct forward *f = slab_alloc_zeroed(&w->forward_slab);
	const struct cluster_config *c;
	struct affinity a;
	enum reason why;

	if (f == NULL) {
		exchange_refuse(x, REASON_NO_MEMORY);
		return;
	}
	affinity_find(&a, x->view->snapshot, r, w->ring.now_ms);
	c = a.cluster->view->config;
	f->x = x;
	f->backend = (struct backend){
		.worker = w,
		.cluster = a.cluster,
		.pick = { .hash = a.hash, .wanted = a.wanted },
		.may_reuse = c->proxy_protocol == PROXY_PROTOCOL_OUT_OFF,
		.events = &backend_events,
		.user = f,
		.on_ready = on_ready,
		.on_failed = on_failed,
	};
	f->has_cookie = a.has_cookie;
	f->has_session = a.has_session;
	timer_init(&f->timer, on_timer);
	x->cluster = c->name;
	why = preface_of(f, r) ? head_make(f, r) : REASON_NO_MEMORY;
	if (why != REASON_NONE) {
		forward_free(f);
		exchange_refuse(x, why);
		return;
	}
	x->has_deflate = x->is_upgrade && ws_relay_compresses(r->head, &x->route->websocket, &x->deflate);
	x->handler = &handler;
	x->handler_user = f;
	backend_start(&f->backend);
}
