#include "proxy/arrival.h"

#include "base/counters.h"
#include "base/log.h"
#include "net/stream.h"
#include "proxy/h1_server.h"
#include "proxy/tcp_relay.h"
#include "wire/proxy_protocol.h"

#include <string.h>

/* Bytes of a PROXY header that are waited for: version 2 with room for a certificate's TLVs. */
#define HEADER_MAX 4096u

struct arrival {
	struct list link; /* of worker.arrivals */
	struct listener *listener;
	struct duplex *client;
	struct addr peer;
	struct timer timer;
	struct buf *held; /* the beginning of a header */
	uint32_t held_len;
};

const size_t arrival_len = sizeof(struct arrival);

static void arrival_free(struct arrival *a)
{
	list_remove(&a->link);
	a->listener->worker->arrivals_count--;
	timer_cancel(&a->timer);
	buf_unref(a->held);
	slab_free(&a->listener->worker->arrival_slab, a);
}

static void arrival_failed(struct arrival *a, enum reason why)
{
	const struct reason_row *row = reason_of(why);
	char who[ADDR_TEXT_MAX], cause[256] = "";

	addr_print(&a->peer, who);
	stream_error_text(a->client, cause, sizeof(cause));
	counter_add(COUNTERS_REFUSED + why, 1);
	log_info("listener %s: %s: %s%s%s%s%s%s", a->listener->config->name, who, row->text, row->key != NULL ? " (" : "",
		 row->key != NULL ? row->key : "", row->key != NULL ? ")" : "", cause[0] != '\0' ? ": " : "", cause);
}

/* Over before it began: closes what is left and frees. */
static void arrival_drop(struct arrival *a, enum reason why)
{
	struct listener *l = a->listener;

	arrival_failed(a, why);
	duplex_close(a->client, why);
	arrival_free(a);
	listener_client_gone(l);
}

static void hand_on(struct listener *l, struct duplex *d, const struct addr *peer, struct slice first)
{
	if (l->config->protocol == LISTENER_TCP)
		tcp_relay_start(l, d, peer, first);
	else
		h1_server_start(l, d, peer, first);
}

static void arrival_done(struct arrival *a, struct slice first)
{
	struct listener *l = a->listener;
	struct duplex *d = a->client;
	struct addr peer = a->peer;

	slice_ref(first);
	arrival_free(a);
	hand_on(l, d, &peer, first);
	slice_unref(first);
}

static uint64_t left_ms(const struct arrival *a)
{
	uint64_t due = a->timer.at_tick * TIMER_TICK_MS, now = a->listener->worker->ring.now_ms;

	return due > now ? due - now : 1;
}

/* The header is behind us. */
static void tls_or_done(struct arrival *a, struct slice first)
{
	struct tls_context *ctx = listener_tls(a->listener);
	uint64_t timeout_ms = timer_is_armed(&a->timer) ? left_ms(a) : a->listener->config->timeouts.handshake_ms;

	timer_cancel(&a->timer);
	if (ctx == NULL)
		arrival_done(a, first);
	else if (!stream_start_tls(a->client, ctx, first, timeout_ms))
		arrival_drop(a, REASON_NO_MEMORY);
}

/* ---- the PROXY header ---- */

static void peer_of_header(struct addr *peer, const struct pp_header *h)
{
	*peer = (struct addr){ .len = 0 };
	if (h->family == PP_FAMILY_INET) {
		peer->len = sizeof(peer->in);
		peer->in.sin_family = AF_INET;
		memcpy(&peer->in.sin_addr, h->src_ip, 4);
		addr_set_port(peer, h->src_port);
	} else if (h->family == PP_FAMILY_INET6) {
		peer->len = sizeof(peer->in6);
		peer->in6.sin6_family = AF_INET6;
		memcpy(&peer->in6.sin6_addr, h->src_ip, 16);
		addr_set_port(peer, h->src_port);
	} else if (h->family == PP_FAMILY_UNIX) {
		peer->len = sizeof(sa_family_t);
		peer->sa.sa_family = AF_UNIX;
	}
	addr_unmap(peer);
}

/* Appends to what is held.  false: out of memory, or too much. */
static bool hold(struct arrival *a, struct slice in)
{
	if (a->held == NULL)
		a->held = buf_new(HEADER_MAX + 1);
	if (a->held == NULL || a->held_len + in.len > a->held->cap)
		return false;
	memcpy(a->held->data + a->held_len, in.at, in.len);
	a->held_len += in.len;
	return true;
}

/* As if it had been reset when it came: counted, and told of now and then. */
static void arrival_refuse(struct arrival *a, enum reason why)
{
	struct listener *l = a->listener;

	listener_refused(l, &a->peer, why);
	duplex_close(a->client, why);
	arrival_free(a);
	listener_client_gone(l);
}

/* Now that it is known who comes.  false: it is refused, and all is gone. */
static bool admitted(struct arrival *a)
{
	struct listener *l = a->listener;
	uint64_t guest;
	enum reason why = listener_admit(l, &a->peer, &guest);

	if (why == REASON_NONE) {
		if (guest != 0 && !stream_set_guest(a->client, guest))
			l->worker->ring.guest_gone(&l->worker->ring, guest);
		return true;
	}
	arrival_refuse(a, why);
	return false;
}

static void header_bytes(struct arrival *a, struct slice in)
{
	struct pp_header header;
	struct slice rest;
	uint32_t held_before = a->held_len;
	int used;

	if (held_before > 0) {
		/* Only as much as a header may have is joined; what follows it is passed on from where it lies. */
		uint32_t room = a->held->cap - held_before, part = in.len < room ? in.len : room;

		hold(a, slice_sub(in, 0, part));
		used = pp_parse(a->held->data, a->held_len, HEADER_MAX, &header);
	} else {
		used = pp_parse(in.at, in.len, HEADER_MAX, &header);
	}
	if (used == 0 && a->held_len < HEADER_MAX && (held_before > 0 || hold(a, in)))
		return;
	if (used <= 0) {
		arrival_drop(a, REASON_PROXY_PROTOCOL);
		return;
	}
	if (!header.is_local)
		peer_of_header(&a->peer, &header);
	if (!admitted(a))
		return;
	rest = slice_sub(in, (uint32_t)used - held_before, in.len - ((uint32_t)used - held_before));
	a->held_len = 0;
	tls_or_done(a, rest);
}

/* ---- events ---- */

static void on_open(struct duplex *d)
{
	arrival_done(d->user, SLICE_EMPTY);
}

static void on_bytes(struct duplex *d, struct slice in)
{
	header_bytes(d->user, in);
}

static void on_eof(struct duplex *d)
{
	arrival_drop(d->user, REASON_CLIENT_CLOSED);
}

static void on_room(struct duplex *d)
{
	(void)d;
}

static void on_closed(struct duplex *d, enum reason why)
{
	struct arrival *a = d->user;
	struct listener *l = a->listener;

	arrival_failed(a, why);
	arrival_free(a);
	listener_client_gone(l);
}

static const struct duplex_events events = { on_open, on_bytes, on_eof, on_room, on_closed };

static void on_timer(struct timer *t)
{
	arrival_drop(container_of(t, struct arrival, timer), REASON_TIMEOUT_HANDSHAKE);
}

/* Who has taken longest is least likely to be honest: a handshake takes some milliseconds. */
static void arrivals_bound(struct worker *w)
{
	uint32_t max = w->view->snapshot->config->limits.max_handshakes;

	max = max > 0 && max < w->all_count ? 1 : max / w->all_count;
	while (max > 0 && w->arrivals_count > max)
		arrival_refuse(container_of(w->arrivals.next, struct arrival, link), REASON_MAX_HANDSHAKES);
}

void arrival_start(struct listener *l, struct duplex *d, const struct addr *peer)
{
	const struct listener_config *c = l->config;
	bool wants_header = c->proxy_protocol != PROXY_PROTOCOL_IN_OFF;
	struct arrival *a;

	if (!wants_header && listener_tls(l) == NULL) {
		hand_on(l, d, peer, SLICE_EMPTY);
		return;
	}
	a = slab_alloc_zeroed(&l->worker->arrival_slab);
	if (a == NULL) {
		duplex_close(d, REASON_NO_MEMORY);
		listener_client_gone(l);
		return;
	}
	a->listener = l;
	a->client = d;
	a->peer = *peer;
	list_append(&l->worker->arrivals, &a->link);
	l->worker->arrivals_count++;
	arrivals_bound(l->worker);
	timer_init(&a->timer, on_timer);
	duplex_use(d, &events, a);
	if (!wants_header) {
		tls_or_done(a, SLICE_EMPTY);
		return;
	}
	if (c->proxy_protocol_from_count > 0 &&
	    !cidr_list_contains(c->proxy_protocol_from, c->proxy_protocol_from_count, peer)) {
		arrival_drop(a, REASON_PROXY_PROTOCOL);
		return;
	}
	if (c->timeouts.handshake_ms > 0)
		ring_timer_arm(&l->worker->ring, &a->timer, c->timeouts.handshake_ms);
	duplex_read(d, true);
}

void arrivals_close(struct worker *w, enum reason why)
{
	list_for_each_safe(node, next, &w->arrivals)
		arrival_drop(container_of(node, struct arrival, link), why);
}
