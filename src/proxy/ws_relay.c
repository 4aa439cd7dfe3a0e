#include "proxy/ws_relay.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "proxy/counters.h"
#include "wire/websocket.h"

#include <assert.h>
#include <stdio.h>

/* How long a peer may take to answer a Close, or the rest of a frame to come before ours is cut in. */
#define CLOSE_WAIT_MS 5000u

enum { CLIENT, BACKEND };

struct ws_side {
	struct duplex *d; /* NULL: gone, or finished */
	struct ws_tracker tracker; /* of what it sends */
	uint64_t bytes;		   /* from it */
	uint64_t messages;
	bool is_muted; /* a Close has gone to the other side for it: what it still sends is dropped */
	bool is_closed; /* it has sent a Close */
	bool is_within; /* what has been passed on from it ends within a frame */
};

struct ws_relay {
	struct list link; /* of worker.relays */
	struct ws_side sides[2];
	struct worker *worker;
	struct listener *listener;
	struct endpoint *endpoint;
	const struct route_config *route; /* of `view` */
	struct view *view;		  /* the one in force, which the worker holds; else a reference of its own */
	struct access_entry *log;
	struct timer timer;
	uint64_t began_ns;
	uint64_t message_ms; /* when the last data message went by */
	uint64_t close_at_ms; /* a drain's moment; 0: none */
	uint16_t close_code;  /* that went by, or that we sent */
	uint8_t why;	      /* enum reason; NONE: nothing is over */
	uint8_t closed_by;
	bool holds_view;
};

const size_t ws_relay_len = sizeof(struct ws_relay);

static const struct websocket_policy *policy_of(const struct ws_relay *r)
{
	return &r->route->websocket;
}

/* ---- the end ---- */

static void relay_log(struct ws_relay *r, const char *event)
{
	bool is_open = event[0] == 'o';

	access_write(r->log, &(struct access_end){
				     .event = event,
				     .status = 101,
				     .cluster = cluster_name(r->endpoint->cluster),
				     .endpoint = r->endpoint->name,
				     .bytes_in = r->sides[CLIENT].bytes,
				     .bytes_out = r->sides[BACKEND].bytes,
				     .duration_us = (clock_now_ns() - r->began_ns) / 1000,
				     .why = is_open ? REASON_NONE : r->why,
				     .is_websocket = !is_open,
				     .messages_in = r->sides[CLIENT].messages,
				     .messages_out = r->sides[BACKEND].messages,
				     .close_code = is_open ? 0 : r->close_code,
				     .closed_by = r->closed_by,
			     });
}

/* Both streams have been let go: logs, counts off, frees. */
static void relay_free(struct ws_relay *r)
{
	struct worker *w = r->worker;
	struct listener *l = r->listener;

	relay_log(r, "close");
	access_free(r->log);
	counter_sub(PROXY_WEBSOCKETS_OPEN, 1);
	if (r->why != REASON_NONE)
		counter_add(COUNTERS_REASONS + r->why, 1);
	list_remove(&r->link);
	timer_cancel(&r->timer);
	endpoint_release(r->endpoint);
	endpoint_unref(r->endpoint);
	if (r->holds_view)
		view_unref(r->view);
	slab_free(&w->relay_slab, r);
	listener_client_gone(l);
}

/* The first cause is the true one. */
static void relay_blame(struct ws_relay *r, enum reason why, int by)
{
	if (r->why != REASON_NONE)
		return;
	r->why = (uint8_t)why;
	r->closed_by = (uint8_t)by;
}

/* Lets both streams send what they have, and end. */
static void relay_finish(struct ws_relay *r)
{
	for (int i = 0; i < 2; i++)
		if (r->sides[i].d != NULL)
			duplex_finish(r->sides[i].d);
	relay_free(r);
}

/* Cuts both. */
static void relay_cut(struct ws_relay *r, enum reason why)
{
	for (int i = 0; i < 2; i++)
		if (r->sides[i].d != NULL)
			duplex_close(r->sides[i].d, why);
	relay_free(r);
}

/* ---- Close frames of our own ---- */

/* What stands in a Close frame: the key that caused it, or a clause. */
static const char *close_text(enum reason why, char *out, size_t cap)
{
	const struct reason_row *row = reason_of(why);

	if (row->key == NULL)
		return row->text;
	snprintf(out, cap, "%s: %s", row->key, row->text);
	return out;
}

/* May a frame be put behind what has gone to this side? */
static bool may_inject(const struct ws_relay *r, int to)
{
	return !r->sides[!to].is_within;
}

static void close_inject(struct ws_relay *r, int to, uint16_t code, const char *text)
{
	struct ring *ring = &r->worker->ring;
	uint8_t *at = ring_bump(ring, WS_CONTROL_MAX);
	uint8_t key[4];
	int len;

	if (at == NULL || r->sides[to].d == NULL)
		return;
	if (to == BACKEND)
		random_bytes(key, sizeof(key));
	len = ws_close_write(at, WS_CONTROL_MAX, code, text, to == BACKEND ? key : NULL);
	if (len > 0)
		duplex_write(r->sides[to].d, ring_bump_take(ring, (uint32_t)len));
}

/* Tells a side once that it is over, if a frame may stand there. */
static void side_tell(struct ws_relay *r, int to, uint16_t code, const char *text)
{
	struct ws_side *from = &r->sides[!to];

	if (!from->is_muted && !from->is_closed && may_inject(r, to))
		close_inject(r, to, code, text);
	from->is_muted = true;
}

/* The proxy closes: both are told and ended.  `text` NULL: the reason's. */
static void relay_close(struct ws_relay *r, enum reason why, uint16_t code, const char *text, int by)
{
	char room[WS_CLOSE_REASON_MAX + 1];

	relay_blame(r, why, by);
	if (text == NULL)
		text = close_text(why, room, sizeof(room));
	if (r->close_code == 0)
		r->close_code = code;
	side_tell(r, CLIENT, code, text);
	side_tell(r, BACKEND, code, text);
	relay_finish(r);
}

/* The proxy wants to close, with nothing wrong: each side is told where a frame ends. */
static bool is_closing_gently(const struct ws_relay *r)
{
	return r->why != REASON_NONE && r->closed_by == CLOSED_BY_PROXY;
}

/* A side that is within a frame is told at its end (relay_bytes), and is cut when that does not come in time.  false: the
 * relay is gone. */
static bool relay_close_gently(struct ws_relay *r, enum reason why)
{
	uint64_t now = r->worker->ring.now_ms;
	char room[WS_CLOSE_REASON_MAX + 1];
	const char *text = close_text(why, room, sizeof(room));
	uint16_t code = reason_of(why)->close_code;

	if (r->why == REASON_NONE)
		r->close_at_ms = now;
	relay_blame(r, why, CLOSED_BY_PROXY);
	r->close_code = code;
	for (int to = 0; to < 2; to++)
		if (may_inject(r, to) || now >= r->close_at_ms + CLOSE_WAIT_MS)
			side_tell(r, to, code, text);
	if (!r->sides[CLIENT].is_muted || !r->sides[BACKEND].is_muted)
		return true;
	relay_finish(r);
	return false;
}

/* ---- deadlines ---- */

static uint64_t age_ms(const struct ws_relay *r)
{
	return (clock_now_ns() - r->began_ns) / 1000000;
}

static void timer_set(struct ws_relay *r)
{
	const struct websocket_policy *p = policy_of(r);
	uint64_t now = r->worker->ring.now_ms, at = UINT64_MAX;

	if (r->why != REASON_NONE) /* closing: looks for a boundary, or for the answer to a Close */
		at = now + 100;
	else if (r->close_at_ms > 0)
		at = r->close_at_ms;
	if (p->idle_timeout_ms > 0 && r->message_ms + p->idle_timeout_ms < at)
		at = r->message_ms + p->idle_timeout_ms;
	if (p->max_lifetime_ms > 0) {
		uint64_t age = age_ms(r), left = age < p->max_lifetime_ms ? p->max_lifetime_ms - age : 0;

		if (now + left < at)
			at = now + left;
	}
	if (at == UINT64_MAX)
		timer_cancel(&r->timer);
	else
		ring_timer_arm(&r->worker->ring, &r->timer, at > now ? at - now : 0);
}

static enum reason deadline_passed(const struct ws_relay *r)
{
	const struct websocket_policy *p = policy_of(r);
	uint64_t now = r->worker->ring.now_ms;

	if (r->why != REASON_NONE)
		return r->why;
	if (r->close_at_ms > 0 && now >= r->close_at_ms)
		return REASON_SHUTDOWN;
	if (p->idle_timeout_ms > 0 && now >= r->message_ms + p->idle_timeout_ms)
		return REASON_TIMEOUT_WS_IDLE;
	if (p->max_lifetime_ms > 0 && age_ms(r) >= p->max_lifetime_ms)
		return REASON_WS_LIFETIME;
	return REASON_NONE;
}

static void on_timer(struct timer *t)
{
	struct ws_relay *r = container_of(t, struct ws_relay, timer);
	enum reason why = deadline_passed(r);

	if (r->sides[CLIENT].is_closed || r->sides[BACKEND].is_closed) {
		/* A Close has gone by, and its answer has not come in time. */
		if (r->worker->ring.now_ms >= r->message_ms + CLOSE_WAIT_MS) {
			relay_finish(r);
			return;
		}
	} else if (why != REASON_NONE && !relay_close_gently(r, why)) {
		return;
	}
	timer_set(r);
}

/* ---- relaying ---- */

/* A rule was broken by `from`: what was good has been passed on, both ends get a Close. */
static void relay_violation(struct ws_relay *r, int from, int error)
{
	bool is_big = ws_close_code_of(error) == WS_CLOSE_TOO_BIG;
	enum reason why = is_big ? REASON_WS_TOO_BIG : REASON_WS_PROTOCOL;
	const struct websocket_policy *p = policy_of(r);
	char text[WS_CLOSE_REASON_MAX + 1];

	if (is_big)
		snprintf(text, sizeof(text), "%s", p->max_message_size_bytes > 0 ? "websocket.max_message_size" :
										   "websocket.max_frame_size");
	else
		snprintf(text, sizeof(text), "%s: %s", from == CLIENT ? "client" : "endpoint", ws_error_text(error));
	log_info("websocket: %s to %s: %s", from == CLIENT ? "from a client" : "from an endpoint", r->endpoint->name,
		 ws_error_text(error));
	relay_close(r, why, ws_close_code_of(error), text, from == CLIENT ? CLOSED_BY_CLIENT : CLOSED_BY_BACKEND);
}

/* A Close has gone by whole.  false: it was the answer to one, and the relay is gone. */
static bool close_passed(struct ws_relay *r, int from, uint16_t code)
{
	struct ws_side *s = &r->sides[from];

	s->is_closed = true;
	if (r->close_code == 0)
		r->close_code = code;
	relay_blame(r, REASON_WS_CLOSED, from == CLIENT ? CLOSED_BY_CLIENT : CLOSED_BY_BACKEND);
	r->message_ms = r->worker->ring.now_ms; /* CLOSE_WAIT_MS from now */
	if (r->sides[!from].is_closed) {
		relay_finish(r);
		return false;
	}
	timer_set(r);
	return true;
}

static void side_write(struct ws_side *to, struct slice s)
{
	if (to->d != NULL)
		duplex_write(to->d, s);
	else
		slice_unref(s);
}

/* Passes on what may be passed of a run.  Bytes of a header that is not whole stay in the tracker, so that no side is
 * ever left within a header. */
static void pass(struct ws_relay *r, int from, struct slice in, const uint8_t *held, size_t held_len, size_t used,
		 size_t kept)
{
	struct ws_side *to = &r->sides[!from];

	if (kept >= used + held_len)
		return;
	if (held_len > 0)
		side_write(to, ring_copy(&r->worker->ring, held, (uint32_t)held_len));
	if (used > kept)
		side_write(to, slice_ref(slice_sub(in, 0, (uint32_t)(used - kept))));
}

static void count(struct ws_relay *r, int from, const struct ws_summary *sum, size_t used)
{
	struct ws_side *s = &r->sides[from];

	s->bytes += used;
	s->messages += sum->message_count;
	if (sum->data_frame_count > 0 || sum->message_count > 0)
		r->message_ms = r->worker->ring.now_ms;
	if (sum->message_count > 0)
		counter_add(from == CLIENT ? PROXY_MESSAGES_IN : PROXY_MESSAGES_OUT, sum->message_count);
}

/* A run of bytes from one side.  false: the relay is gone. */
static bool relay_bytes(struct ws_relay *r, int from, struct slice in)
{
	struct ws_side *s = &r->sides[from];
	const struct websocket_policy *p = policy_of(r);
	struct ws_limits limits = { p->max_frame_size_bytes, p->max_message_size_bytes };
	uint8_t held[sizeof(s->tracker.held)];
	size_t held_len = s->tracker.in_frame ? 0 : ws_tracker_held_len(&s->tracker), kept;
	struct ws_summary sum;
	int error;

	if (s->is_muted || s->is_closed)
		return true;
	if (held_len > 0)
		memcpy(held, s->tracker.held, held_len);
	error = ws_tracker_feed(&s->tracker, &limits, in.at, in.len, &sum);
	kept = s->tracker.in_frame ? 0 : ws_tracker_held_len(&s->tracker);
	if (error != 0) { /* nothing of the frame that is wrong, be it that its header began in an earlier run */
		kept = sum.used_len == 0 ? held_len : 0;
		s->is_within = s->is_within && sum.boundary == WS_NO_BOUNDARY;
	} else if (is_closing_gently(r) && sum.boundary != WS_NO_BOUNDARY) {
		kept = sum.used_len - sum.boundary; /* here the proxy's Close will stand */
		s->is_within = false;
	} else {
		s->is_within = s->tracker.in_frame;
	}
	pass(r, from, in, held, held_len, sum.used_len, kept);
	count(r, from, &sum, sum.used_len);
	if (error != 0) {
		relay_violation(r, from, error);
		return false;
	}
	if (ws_tracker_is_closed(&s->tracker))
		return close_passed(r, from, sum.close_code);
	if (is_closing_gently(r) && sum.boundary != WS_NO_BOUNDARY) {
		char room[WS_CLOSE_REASON_MAX + 1];

		close_inject(r, !from, r->close_code, close_text(r->why, room, sizeof(room)));
		s->is_muted = true;
		return relay_close_gently(r, r->why);
	}
	if (r->sides[!from].d != NULL && duplex_is_full(r->sides[!from].d))
		duplex_read(s->d, false);
	return true;
}

/* ---- events ---- */

/* A side has ended, or is gone.  Without a Close before it the other one is told. */
static void side_ended(struct ws_relay *r, int side, enum reason why)
{
	static const enum reason vanished[] = { [CLIENT] = REASON_CLIENT_CLOSED, [BACKEND] = REASON_BACKEND_CLOSED };
	bool is_proper = r->sides[CLIENT].is_closed || r->sides[BACKEND].is_closed;

	if (is_proper) {
		relay_finish(r);
		return;
	}
	if (why == REASON_NONE)
		why = vanished[side];
	if (r->close_code == 0)
		r->close_code = WS_CLOSE_ABNORMAL;
	relay_close(r, why, reason_of(why)->close_code, NULL, side == CLIENT ? CLOSED_BY_CLIENT : CLOSED_BY_BACKEND);
}

static int side_of(const struct ws_relay *r, const struct duplex *d)
{
	return r->sides[CLIENT].d == d ? CLIENT : BACKEND;
}

static void on_open(struct duplex *d)
{
	(void)d;
}

static void on_bytes(struct duplex *d, struct slice in)
{
	struct ws_relay *r = d->user;

	relay_bytes(r, side_of(r, d), in);
}

static void on_eof(struct duplex *d)
{
	struct ws_relay *r = d->user;
	int side = side_of(r, d);

	/* It has said Close and ends without waiting for the answer, which may still come: the timer bounds that. */
	if (!r->sides[side].is_closed || r->sides[!side].is_closed)
		side_ended(r, side, REASON_NONE);
}

static void on_room(struct duplex *d)
{
	struct ws_relay *r = d->user;
	struct ws_side *source = &r->sides[!side_of(r, d)];

	if (source->d != NULL)
		duplex_read(source->d, true);
}

static void on_closed(struct duplex *d, enum reason why)
{
	struct ws_relay *r = d->user;
	int side = side_of(r, d);

	r->sides[side].d = NULL;
	side_ended(r, side, why);
}

static const struct duplex_events events = { on_open, on_bytes, on_eof, on_room, on_closed };

/* ---- configurations ---- */

/* The same route in another configuration, by the names of listener and route. */
static const struct route_config *route_again(const struct config *c, const struct ws_relay *r)
{
	const struct listener_config *l = config_find_listener(c, r->listener->config->name);

	return l != NULL ? config_find_route(l, r->route->name) : NULL;
}

static void relay_rebind(struct ws_relay *r, struct view *old)
{
	struct view *now = r->worker->view;
	const struct route_config *route = route_again(now->snapshot->config, r);

	if (route == NULL) { /* it keeps what it was born with */
		if (!r->holds_view)
			r->view = view_ref(old);
		r->holds_view = true;
		return;
	}
	if (r->holds_view)
		view_unref(r->view);
	r->holds_view = false;
	r->view = now;
	r->route = route;
	if (r->why == REASON_NONE)
		timer_set(r);
}

/* ---- start ---- */

static void parts_drop(const struct ws_relay_parts *p)
{
	if (p->client != NULL)
		duplex_close(p->client, REASON_NO_MEMORY);
	duplex_close(p->backend, REASON_NO_MEMORY);
	endpoint_release(p->endpoint);
	endpoint_unref(p->endpoint);
	access_free(p->log);
	listener_client_gone(p->listener);
}

static struct ws_relay *relay_new(const struct ws_relay_parts *p)
{
	struct worker *w = p->worker;
	struct ws_relay *r = p->client != NULL ? slab_alloc_zeroed(&w->relay_slab) : NULL;

	if (r == NULL)
		return NULL;
	r->worker = w;
	r->listener = p->listener;
	r->endpoint = p->endpoint;
	r->route = p->route;
	r->view = p->view;
	r->holds_view = p->view != w->view;
	if (r->holds_view)
		view_ref(r->view);
	r->log = p->log;
	r->began_ns = p->began_ns;
	r->message_ms = w->ring.now_ms;
	r->sides[CLIENT].d = p->client;
	r->sides[BACKEND].d = p->backend;
	ws_tracker_init(&r->sides[CLIENT].tracker, WS_FROM_CLIENT, p->rsv_allowed);
	ws_tracker_init(&r->sides[BACKEND].tracker, WS_FROM_SERVER, p->rsv_allowed);
	timer_init(&r->timer, on_timer);
	list_append(&w->relays, &r->link);
	return r;
}

void ws_relay_start(const struct ws_relay_parts *parts, struct slice from_client, struct slice from_backend)
{
	struct worker *w = parts->worker;
	struct ws_relay *r = relay_new(parts);

	if (r == NULL) {
		parts_drop(parts);
		return;
	}
	counter_add(PROXY_WEBSOCKETS, 1);
	counter_add(PROXY_WEBSOCKETS_OPEN, 1);
	relay_log(r, "open");
	duplex_use(r->sides[CLIENT].d, &events, r);
	duplex_use(r->sides[BACKEND].d, &events, r);
	duplex_read(r->sides[CLIENT].d, true);
	duplex_read(r->sides[BACKEND].d, true);
	if (w->is_draining)
		r->close_at_ms = w->ring.now_ms;
	if (r->holds_view)
		relay_rebind(r, r->view);
	timer_set(r);
	if (from_backend.len > 0 && !relay_bytes(r, BACKEND, from_backend))
		return;
	if (from_client.len > 0)
		relay_bytes(r, CLIENT, from_client);
}

/* ---- of all ---- */

void ws_relays_rebind(struct worker *w, struct view *old)
{
	list_for_each(node, &w->relays)
		relay_rebind(container_of(node, struct ws_relay, link), old);
}

void ws_relays_drain(struct worker *w, uint64_t spread_ms)
{
	list_for_each(node, &w->relays) {
		struct ws_relay *r = container_of(node, struct ws_relay, link);

		if (r->why != REASON_NONE)
			continue;
		r->close_at_ms = w->ring.now_ms + 1 + (spread_ms > 0 ? random_fast() % spread_ms : 0);
		timer_set(r);
	}
}

void ws_relays_close(struct worker *w, enum reason why)
{
	list_for_each_safe(node, next, &w->relays) {
		struct ws_relay *r = container_of(node, struct ws_relay, link);

		relay_blame(r, why, CLOSED_BY_PROXY);
		relay_cut(r, why);
	}
}
