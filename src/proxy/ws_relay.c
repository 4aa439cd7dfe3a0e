#include "proxy/ws_relay.h"

#include "base/clock.h"
#include "base/histogram.h"
#include "base/random.h"
#include "proxy/backend.h"
#include "proxy/counters.h"
#include "proxy/session.h"
#include "proxy/ws_inside.h"

#include <stdlib.h>

const size_t ws_relay_len = sizeof(struct ws_relay);

/* ---- events ---- */

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

bool side_eof(struct ws_relay *r, int side)
{
	/* It has said Close and ends without waiting for the answer, which may still come: the timer bounds that. */
	if (r->sides[side].is_closed && !r->sides[!side].is_closed)
		return true;
	return side_ended(r, side, REASON_NONE);
}

static void on_eof(struct duplex *d)
{
	struct ws_relay *r = d->user;
	int side = side_of(r, d);

	if (side == CLIENT && (rates_keeps(r) || compress_keeps(r)))
		r->care->has_eof = true;
	else
		side_eof(r, side);
}

/* The endpoint takes more of what has been inflated for it.  false: nothing is to be read yet, or the relay is gone. */
static bool relay_pump(struct ws_relay *r)
{
	int error;

	compress_pump(r);
	error = compress_error(r);
	if (error != 0) {
		relay_violation(r, CLIENT, error);
		return false;
	}
	if (compress_keeps(r))
		return false;
	if (!r->care->has_eof || rates_keeps(r))
		return true;
	r->care->has_eof = false;
	return side_eof(r, CLIENT);
}

static void on_room(struct duplex *d)
{
	struct ws_relay *r = d->user;
	int source = !side_of(r, d);

	if (source == CLIENT && compress_keeps(r) && !relay_pump(r))
		return;
	if (source == BACKEND) {
		slow_pump(r, false);
		if (slow_is_full(r))
			return;
		slow_ended(r);
	}
	if (r->sides[source].is_held) {
		r->sides[source].is_held = false;
		r->sides[source].heard_ms = (uint32_t)ring_of(r)->now_ms; /* it could not be heard before */
	}
	side_read(r, source);
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

/* Files may say of its token what they did not before. */
static void token_heed(struct ws_relay *r)
{
	if (r->token != NULL && r->why == REASON_NONE &&
	    live_token_is_revoked(r->token, live_token_route(r->view, r->listener->config->name, r->route)))
		close_plan(r, REASON_TOKEN_REVOKED, ring_of(r)->now_ms);
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
	heartbeat_rebind(r);
	rates_rebind(r);
	slow_rebind(r);
	token_heed(r);
	if (r->why == REASON_NONE)
		relay_timer_set(r);
}

/* ---- looked at from outside ---- */

static void describe(const void *object, struct connection_info *out)
{
	const struct ws_relay *r = object;
	const struct ws_side *client = &r->sides[CLIENT], *backend = &r->sides[BACKEND];

	out->listener = r->listener->config->name;
	out->route = r->route->name;
	out->cluster = cluster_name(r->endpoint->cluster);
	out->endpoint = r->endpoint->name;
	out->state = r->why == REASON_NONE ? "open" : "closing";
	out->transport = session_transport_of(client->d);
	out->bytes_in = client->bytes;
	out->bytes_out = backend->bytes;
	out->messages_in = client->messages;
	out->messages_out = backend->messages;
	if (r->token != NULL)
		out->token = r->token->names;
	out->dropped_in = r->care != NULL ? r->care->dropped[CLIENT] : 0;
	out->dropped_out = r->care != NULL ? r->care->dropped[BACKEND] : 0;
	out->rtt_us = client->has_rtt && !client->is_pinged ? client->ping_us : 0;
	out->queued_client = (client->d != NULL ? client->d->queued : 0) + slow_waiting(r);
	out->queued_backend = backend->d != NULL ? backend->d->queued : 0;
}

static bool end_asked(void *object, const struct connection_end *how)
{
	struct ws_relay *r = object;

	if (r->why != REASON_NONE)
		return false;
	if (how->close_code != 0 || how->words[0] != '\0')
		close_with(r, how->close_code, how->words);
	if (relay_close_gently(r, how->why))
		relay_timer_set(r);
	return true;
}

static bool renew(void *object, const struct token_renewal *n)
{
	struct ws_relay *r = object;

	if (r->why != REASON_NONE || !r->route->auth.refresh ||
	    !live_token_renew(r->token, live_token_route(r->view, r->listener->config->name, r->route), n))
		return false;
	relay_timer_set(r);
	return true;
}

static bool mirror_asked(void *object, struct ws_mirror *m)
{
	struct ws_relay *r = object;
	struct ws_care *care = ws_care_of(r);

	if (care == NULL || care->mirror != NULL)
		return false;
	ws_mirror_attach(m, &care->mirror, &r->sides[CLIENT].tracker, &r->sides[BACKEND].tracker, ring_of(r)->now_ms);
	return true;
}

static const struct connection_face face = { "websocket", describe, end_asked, renew, mirror_asked };

/* ---- start ---- */

static void parts_drop(const struct ws_relay_parts *p)
{
	if (p->client != NULL)
		duplex_close(p->client, REASON_NO_MEMORY);
	duplex_close(p->backend, REASON_NO_MEMORY);
	backend_place_give(p->worker, p->endpoint);
	access_free(p->log);
	free(p->token);
	connections_remove(&p->worker->open, p->connection);
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
	r->token = p->token;
	r->connection = p->connection;
	connections_move(&w->open, r->connection, &face, r);
	r->listener->websockets++;
	r->began_ns = p->began_ns;
	r->message_ms = w->ring.now_ms;
	r->sides[CLIENT].heard_ms = r->sides[BACKEND].heard_ms = (uint32_t)w->ring.now_ms;
	r->sides[CLIENT].d = p->client;
	r->sides[BACKEND].d = p->backend;
	ws_tracker_init(&r->sides[CLIENT].tracker, WS_FROM_CLIENT, p->rsv_allowed);
	ws_tracker_init(&r->sides[BACKEND].tracker, WS_FROM_SERVER, p->rsv_allowed);
	timer_init(&r->timer, relay_timer_fired);
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
	counter_add(PROXY_HANDSHAKES_DONE, 1);
	histogram_add_us(HISTOGRAM_HANDSHAKE, (clock_now_ns() - r->began_ns) / 1000);
	relay_log(r, "open");
	duplex_use(r->sides[CLIENT].d, &events, r);
	duplex_use(r->sides[BACKEND].d, &events, r);
	if (parts->deflate != NULL && !compress_begin(r, parts->deflate)) { /* and the 101 has said that it would */
		relay_blame(r, REASON_NO_MEMORY, CLOSED_BY_PROXY);
		relay_cut(r, REASON_NO_MEMORY);
		return;
	}
	slow_rebind(r);
	rates_begin(r, parts->message_key);
	duplex_read(r->sides[CLIENT].d, true);
	duplex_read(r->sides[BACKEND].d, true);
	if (w->is_draining)
		close_plan(r, w->drain_why, w->drain_why == REASON_SHUTDOWN ? w->ring.now_ms : worker_goodbye_at(w));
	else
		leaving_heed(r);
	if (r->holds_view)
		relay_rebind(r, r->view);
	token_heed(r); /* revoked while the handshake was under way */
	relay_timer_set(r);
	if (from_backend.len > 0 && !relay_bytes(r, BACKEND, from_backend))
		return;
	if (from_client.len > 0)
		relay_bytes(r, CLIENT, from_client);
}

/* ---- of all ---- */

void ws_relays_done(struct worker *w)
{
	compress_room_free(w);
}

void ws_relays_rebind(struct worker *w, struct view *old)
{
	list_for_each(node, &w->relays)
		relay_rebind(container_of(node, struct ws_relay, link), old);
}

void ws_relays_drain(struct worker *w)
{
	list_for_each(node, &w->relays) {
		struct ws_relay *r = container_of(node, struct ws_relay, link);

		uint64_t at_ms = worker_goodbye_at(w);

		if (r->why != REASON_NONE || (r->close_at_ms != 0 && r->close_at_ms <= at_ms))
			continue;
		close_plan(r, w->drain_why, at_ms);
		relay_timer_set(r);
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
