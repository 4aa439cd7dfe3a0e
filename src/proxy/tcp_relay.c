#include "proxy/tcp_relay.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "cluster/leaving.h"
#include "cluster/outlier.h"
#include "net/passage.h"
#include "net/stream.h"
#include "proxy/access_log.h"
#include "proxy/backend.h"
#include "proxy/counters.h"
#include "proxy/held.h"
#include "proxy/preface.h"
#include "wire/client_hello.h"

#include <stdlib.h>

/* Once one side has ended, the other may still speak this long without a byte. */
#define HALF_CLOSED_MS 300000u
/* What a client says before there is an endpoint. */
#define EARLY_MAX 65536u

/* Bulk goes straight through, so much at a time: what has become talk again is better relayed. */
#define PASSAGE_LEN (64u << 20)

enum { CLIENT, BACKEND };

/* While the cluster is not known: what the choice needs. */
struct hello_wait {
	struct addr peer;
};

struct tcp_relay {
	struct list link; /* of worker.tcp_relays */
	struct listener *listener;
	struct view *view;
	struct duplex *sides[2]; /* NULL: gone, or not there yet */
	uint64_t bytes[2];	 /* from each */
	bool has_eof[2];
	struct backend backend;
	struct endpoint *endpoint; /* once it is open, with its place */
	struct held early;
	struct hello_wait *hello; /* a ClientHello is awaited; NULL: the cluster is known */
	struct access_entry *log;
	struct timer timer;
	uint64_t began_ns;
	uint64_t active_ms;
	uint64_t close_at_ms; /* its endpoint leaves: the moment to close it; 0: none */
	uint32_t connection; /* its place in worker.open */
	uint8_t closed_by;
	struct preface preface;
};

const size_t tcp_relay_len = sizeof(struct tcp_relay);

static struct worker *worker_of(const struct tcp_relay *r)
{
	return r->listener->worker;
}

/* ---- the end ---- */

static void relay_log(struct tcp_relay *r, enum reason why)
{
	access_write(r->log, &(struct access_end){
				     .event = "close",
				     .cluster = r->backend.cluster != NULL ? r->backend.cluster->view->config->name : NULL,
				     .endpoint = r->endpoint != NULL ? r->endpoint->name : NULL,
				     .bytes_in = r->bytes[CLIENT],
				     .bytes_out = r->bytes[BACKEND],
				     .body_out = r->bytes[BACKEND],
				     .duration_us = (clock_now_ns() - r->began_ns) / 1000,
				     .why = why,
				     .closed_by = r->closed_by,
			     });
}

/* `why` NONE: what is queued leaves first.  A client for whom there is no endpoint sees an end, not a reset. */
static void relay_end(struct tcp_relay *r, enum reason why, enum closed_by by)
{
	struct listener *l = r->listener;

	if (r->closed_by == CLOSED_BY_NONE)
		r->closed_by = (uint8_t)by;
	for (int i = 0; i < 2; i++) {
		if (r->sides[i] != NULL && (why == REASON_NONE || r->endpoint == NULL))
			duplex_finish(r->sides[i]);
		else if (r->sides[i] != NULL)
			duplex_close(r->sides[i], why);
	}
	relay_log(r, why);
	if (why != REASON_NONE)
		counter_add(COUNTERS_REASONS + why, 1);
	if (r->endpoint != NULL) {
		counter_sub(PROXY_TCP_OPEN, 1);
		backend_place_give(l->worker, r->endpoint);
	}
	backend_drop(&r->backend, why);
	access_free(r->log);
	held_done(&r->early);
	free(r->hello);
	preface_done(&r->preface);
	connections_remove(&l->worker->open, r->connection);
	list_remove(&r->link);
	timer_cancel(&r->timer);
	view_unref(r->view);
	slab_free(&l->worker->tcp_slab, r);
	listener_client_gone(l);
}

/* ---- deadlines ---- */

static uint64_t idle_limit_ms(const struct tcp_relay *r)
{
	uint64_t idle_ms = r->listener->config->timeouts.idle_ms;

	if ((r->has_eof[CLIENT] || r->has_eof[BACKEND]) && (idle_ms == 0 || idle_ms > HALF_CLOSED_MS))
		return HALF_CLOSED_MS;
	return idle_ms;
}

static void timer_set(struct tcp_relay *r)
{
	uint64_t limit_ms = idle_limit_ms(r), now_ms = worker_of(r)->ring.now_ms, at_ms = UINT64_MAX;

	if (limit_ms > 0)
		at_ms = r->active_ms + limit_ms;
	if (r->close_at_ms != 0 && r->close_at_ms < at_ms)
		at_ms = r->close_at_ms;
	if (at_ms != UINT64_MAX)
		ring_timer_arm(&worker_of(r)->ring, &r->timer, at_ms > now_ms ? at_ms - now_ms : 0);
	else
		timer_cancel(&r->timer);
}

static void on_timer(struct timer *t)
{
	struct tcp_relay *r = container_of(t, struct tcp_relay, timer);
	uint64_t limit_ms = idle_limit_ms(r);
	bool is_half = r->has_eof[CLIENT] || r->has_eof[BACKEND];

	if (r->hello != NULL) {
		relay_end(r, REASON_TIMEOUT_HANDSHAKE, CLOSED_BY_PROXY);
		return;
	}
	if (r->close_at_ms != 0 && worker_of(r)->ring.now_ms >= r->close_at_ms && endpoint_closing(r->endpoint) != REASON_NONE)
		relay_end(r, endpoint_closing(r->endpoint), CLOSED_BY_PROXY);
	else if (limit_ms > 0 && worker_of(r)->ring.now_ms - r->active_ms >= limit_ms)
		relay_end(r, is_half && limit_ms == HALF_CLOSED_MS ? REASON_TIMEOUT_HALF_CLOSED : REASON_TIMEOUT_IDLE,
			  CLOSED_BY_PROXY);
	else
		timer_set(r);
}

/* ---- relaying ---- */

static int side_of(const struct tcp_relay *r, const struct duplex *d)
{
	return r->sides[CLIENT] == d ? CLIENT : BACKEND;
}

static void on_open(struct duplex *d)
{
	(void)d;
}

static void hello_look(struct tcp_relay *r);

static void passed(struct tcp_relay *r, int from, uint64_t len)
{
	r->bytes[from] += len;
	counter_add(from == CLIENT ? PROXY_BYTES_TCP_IN : PROXY_BYTES_TCP_OUT, len);
	r->active_ms = worker_of(r)->ring.now_ms;
}

static void on_passed_in(void *user, uint64_t len)
{
	passed(user, CLIENT, len);
}

static void on_passed_out(void *user, uint64_t len)
{
	passed(user, BACKEND, len);
}

static void on_passage_done(void *user)
{
	(void)user;
}

static const struct passage_events passages[] = {
	[CLIENT] = { on_passed_in, on_passage_done },
	[BACKEND] = { on_passed_out, on_passage_done },
};

static void on_bytes(struct duplex *d, struct slice in)
{
	struct tcp_relay *r = d->user;
	int from = side_of(r, d);
	struct duplex *to = r->sides[!from];

	r->bytes[from] += in.len;
	counter_add(from == CLIENT ? PROXY_BYTES_TCP_IN : PROXY_BYTES_TCP_OUT, in.len);
	r->active_ms = worker_of(r)->ring.now_ms;
	if (to == NULL) { /* the client speaks first, and nobody listens yet */
		if (!held_append(&r->early, in))
			relay_end(r, REASON_NO_MEMORY, CLOSED_BY_PROXY);
		else if (r->hello != NULL)
			hello_look(r);
		else if (r->early.len >= EARLY_MAX)
			duplex_read(d, false);
		return;
	}
	if (passage_is_from(d))
		passage_less(d, in.len); /* it was under way before the passage */
	duplex_write(to, slice_ref(in));
	if (stream_is_bulk(d) && !passage_is_from(d) && !r->has_eof[!from])
		passage_start(d, to, PASSAGE_LEN, &passages[from], r);
	if (duplex_is_full(to))
		duplex_read(d, false);
}

static void on_eof(struct duplex *d)
{
	struct tcp_relay *r = d->user;
	int side = side_of(r, d);

	r->has_eof[side] = true;
	if (r->closed_by == CLOSED_BY_NONE)
		r->closed_by = side == CLIENT ? CLOSED_BY_CLIENT : CLOSED_BY_BACKEND;
	if (r->hello != NULL) {
		relay_end(r, REASON_CLIENT_HELLO, CLOSED_BY_CLIENT);
		return;
	}
	if (r->has_eof[!side]) {
		relay_end(r, REASON_NONE, CLOSED_BY_NONE);
		return;
	}
	r->active_ms = worker_of(r)->ring.now_ms;
	timer_set(r);
	if (r->sides[!side] != NULL)
		duplex_shutdown(r->sides[!side]);
}

static void on_room(struct duplex *d)
{
	struct tcp_relay *r = d->user;
	struct duplex *source = r->sides[!side_of(r, d)];

	r->active_ms = worker_of(r)->ring.now_ms;
	if (source != NULL)
		duplex_read(source, true);
}

static void on_closed(struct duplex *d, enum reason why)
{
	struct tcp_relay *r = d->user;
	int side = side_of(r, d);

	r->sides[side] = NULL;
	relay_end(r, why, side == CLIENT ? CLOSED_BY_CLIENT : CLOSED_BY_BACKEND);
}

static const struct duplex_events events = { on_open, on_bytes, on_eof, on_room, on_closed };

/* true: the deadline is another. */
static bool relay_heed(struct tcp_relay *r)
{
	enum reason why = r->endpoint == NULL ? REASON_NONE : endpoint_closing(r->endpoint);

	if ((why == REASON_NONE) == (r->close_at_ms == 0))
		return false;
	r->close_at_ms = why == REASON_NONE ? 0 : endpoint_close_at(r->endpoint, why, worker_of(r)->ring.now_ms);
	return true;
}

static void on_ready(struct backend *b)
{
	struct tcp_relay *r = container_of(b, struct tcp_relay, backend);
	struct slice early = slice_ref(held_slice(&r->early));

	r->sides[BACKEND] = backend_give(b, &r->endpoint);
	outlier_succeeded(r->endpoint);
	counter_add(PROXY_TCP_CONNECTIONS, 1);
	counter_add(PROXY_TCP_OPEN, 1);
	held_done(&r->early);
	preface_done(&r->preface);
	if (early.len > 0)
		duplex_write(r->sides[BACKEND], early);
	if (r->has_eof[CLIENT])
		duplex_shutdown(r->sides[BACKEND]);
	duplex_read(r->sides[CLIENT], true);
	duplex_read(r->sides[BACKEND], true);
	r->active_ms = worker_of(r)->ring.now_ms;
	relay_heed(r);
	timer_set(r);
}

static void on_failed(struct backend *b, enum reason why)
{
	struct tcp_relay *r = container_of(b, struct tcp_relay, backend);

	relay_end(r, why, CLOSED_BY_PROXY);
}

/* ---- start ---- */

/* The cluster is known. */
static void relay_begin(struct tcp_relay *r, const struct cluster_config *c, const struct preface_from *from)
{
	char who[ADDR_TEXT_MAX];
	size_t who_len = addr_print_host(from->peer, who);

	r->backend = (struct backend){
		.worker = worker_of(r),
		.cluster = &r->view->snapshot->clusters[c->index],
		.pick.hash = hash64(who, who_len, 0),
		.events = &events,
		.user = r,
		.on_ready = on_ready,
		.on_failed = on_failed,
	};
	if (!preface_make(&r->preface, c, from)) {
		relay_end(r, REASON_NO_MEMORY, CLOSED_BY_PROXY);
		return;
	}
	r->backend.preface = r->preface.bytes;
	r->backend.preface_len = r->preface.len;
	backend_start(&r->backend);
}

/* The first in the file that fits.  NULL: nobody serves that name. */
static const struct cluster_config *cluster_of_name(const struct listener_config *l, const char *name, size_t len)
{
	for (size_t i = 0; len > 0 && i < l->sni_count; i++)
		if (pattern_match(&l->sni[i].host, name, len) == 1)
			return l->sni[i].resolved;
	return l->cluster_resolved;
}

/* What has come so far may be a whole ClientHello, its beginning, or neither. */
static void hello_look(struct tcp_relay *r)
{
	struct slice in = held_slice(&r->early);
	const struct cluster_config *c;
	struct client_hello hello;
	struct hello_wait *wait = r->hello;
	int got = client_hello_peek(in.at, in.len, &hello);

	if (got == 0)
		return;
	if (got < 0) {
		relay_end(r, REASON_CLIENT_HELLO, CLOSED_BY_PROXY);
		return;
	}
	/* a reload may have come while we waited: by what is in force now */
	view_unref(r->view);
	r->view = view_ref(r->listener->view);
	c = cluster_of_name(r->listener->config, hello.name, hello.name_len);
	if (c == NULL) {
		relay_end(r, REASON_NO_SERVER_NAME, CLOSED_BY_PROXY);
		return;
	}
	timer_cancel(&r->timer);
	r->hello = NULL;
	relay_begin(r, c, &(struct preface_from){ .peer = &wait->peer, .local = &r->listener->addr, .sni = hello.name });
	free(wait);
}

static void hello_await(struct tcp_relay *r, const struct addr *peer)
{
	uint64_t limit_ms = r->listener->config->timeouts.handshake_ms;

	r->hello = malloc(sizeof(*r->hello));
	if (r->hello == NULL) {
		relay_end(r, REASON_NO_MEMORY, CLOSED_BY_PROXY);
		return;
	}
	r->hello->peer = *peer;
	if (limit_ms > 0)
		ring_timer_arm(&worker_of(r)->ring, &r->timer, limit_ms);
	if (r->early.len > 0)
		hello_look(r);
}

static void relay_choose(struct tcp_relay *r, const struct addr *peer, const struct tls_info *tls)
{
	const struct listener_config *l = r->listener->config;

	if (l->sni_count > 0)
		hello_await(r, peer);
	else
		relay_begin(r, l->cluster_resolved,
			    &(struct preface_from){ .peer = peer,
						    .local = &r->listener->addr,
						    .sni = tls->sni,
						    .alpn = tls->alpn,
						    .tls_version = tls->version,
						    .has_certificate = tls->has_peer_certificate });
}
/* ---- looked at from outside ---- */

static void describe(const void *object, struct connection_info *out)
{
	const struct tcp_relay *r = object;

	out->listener = r->listener->config->name;
	out->cluster = r->backend.cluster != NULL ? r->backend.cluster->view->config->name : NULL; /* its name is awaited */
	out->endpoint = r->endpoint != NULL ? r->endpoint->name : NULL;
	out->state = r->endpoint != NULL ? "open" : "connecting";
	out->bytes_in = r->bytes[CLIENT];
	out->bytes_out = r->bytes[BACKEND];
	out->queued_client = r->sides[CLIENT] != NULL ? r->sides[CLIENT]->queued : 0;
	out->queued_backend = r->sides[BACKEND] != NULL ? r->sides[BACKEND]->queued : 0;
}

static bool end_asked(void *object, const struct connection_end *how)
{
	relay_end(object, how->why, CLOSED_BY_PROXY);
	return true;
}

static const struct connection_face face = { "tcp", describe, end_asked, NULL, NULL };

void tcp_relay_start(struct listener *l, struct duplex *d, const struct addr *peer, struct slice first)
{
	struct worker *w = l->worker;
	struct tcp_relay *r = slab_alloc_zeroed(&w->tcp_slab);
	struct tls_info info;

	if (r == NULL) {
		duplex_close(d, REASON_NO_MEMORY);
		listener_client_gone(l);
		return;
	}
	stream_tls_info(d, &info);
	r->listener = l;
	r->view = view_ref(l->view);
	r->sides[CLIENT] = d;
	r->began_ns = clock_now_ns();
	r->active_ms = w->ring.now_ms;
	r->log = access_connection(&r->view->snapshot->config->log, l->config, peer, info.version);
	timer_init(&r->timer, on_timer);
	list_append(&w->tcp_relays, &r->link);
	r->connection = connections_add(&w->open, &face, r, peer, w->ring.now_ms);
	duplex_use(d, &events, r);
	duplex_read(d, true);
	r->bytes[CLIENT] += first.len;
	if (first.len > 0 && !held_append(&r->early, first))
		relay_end(r, REASON_NO_MEMORY, CLOSED_BY_PROXY);
	else
		relay_choose(r, peer, &info);
}

void tcp_relays_close(struct worker *w, enum reason why)
{
	list_for_each_safe(node, next, &w->tcp_relays)
		relay_end(container_of(node, struct tcp_relay, link), why, CLOSED_BY_PROXY);
}

void tcp_relays_heed(struct worker *w)
{
	list_for_each(node, &w->tcp_relays) {
		struct tcp_relay *r = container_of(node, struct tcp_relay, link);

		if (relay_heed(r))
			timer_set(r);
	}
}
