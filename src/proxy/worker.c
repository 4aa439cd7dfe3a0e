#include "proxy/worker.h"

#include "base/log.h"
#include "base/random.h"
#include "net/stream.h"
#include "proxy/arrival.h"
#include "proxy/auth_refresh.h"
#include "proxy/carrier_websocket.h"
#include "proxy/exchange.h"
#include "proxy/ferry.h"
#include "proxy/forward.h"
#include "proxy/h1_server.h"
#include "proxy/listener.h"
#include "proxy/session.h"
#include "proxy/tcp_relay.h"
#include "proxy/view.h"
#include "proxy/waiting.h"
#include "proxy/ws_relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SCRATCH_LEN   (128u * 1024u)
#define FIELDS_MIN    256u
#define STOP_TURNS_MS 15000u /* the operations of what was closed get so long to end */

static void on_drain_over(struct timer *t)
{
	struct worker *w = container_of(t, struct worker, drain_timer);
	enum reason why = w->drain_why != REASON_NONE ? w->drain_why : REASON_SHUTDOWN;

	arrivals_close(w, why);
	h1_servers_close(w, why);
	tcp_relays_close(w, why);
	ws_relays_close(w, why);
	if (w->sessions != NULL) {
		sessions_close(w);
		carrier_websockets_close(w);
	}
}

static void on_guest_gone(struct ring *ring, uint64_t guest)
{
	struct worker *w = ring->user;

	guard_gone(w->limits, guest_hold(guest), ring->now_ms * 1000000);
}

static void heed_arrived(struct mail *mail)
{
	struct worker *w = container_of(mail, struct worker, heed_mail);

	atomic_store(&w->heed_posted, false); /* before the look: what changes from now on is another mail */
	if (w->is_stopping)
		return;
	ws_relays_heed(w);
	tcp_relays_heed(w);
}

void worker_post_heed(struct worker *w, struct ring *from)
{
	if (!atomic_exchange(&w->heed_posted, true))
		ring_post(from, &w->ring, &w->heed_mail);
}

int worker_init(struct worker *w, unsigned index, struct worker *all, unsigned all_count, struct places *places,
		unsigned ring_entries)
{
	int err;

	memset(w, 0, sizeof(*w));
	w->index = index;
	w->all = all;
	w->all_count = all_count;
	w->places = places;
	connections_init(&w->open, index);
	w->heed_mail.run = heed_arrived;
	list_init(&w->listeners);
	list_init(&w->arrivals);
	list_init(&w->h1_servers);
	list_init(&w->relays);
	list_init(&w->tcp_relays);
	list_init(&w->refreshes);
	waiting_init(w);
	slab_init(&w->arrival_slab, arrival_len, 8);
	slab_init(&w->h1_slab, h1_server_len, 8);
	slab_init_of(&w->exchange_slab, struct exchange);
	slab_init(&w->forward_slab, forward_len, 8);
	slab_init(&w->relay_slab, ws_relay_len, 8);
	slab_init(&w->tcp_slab, tcp_relay_len, 8);
	timer_init(&w->drain_timer, on_drain_over);
	w->scratch_cap = SCRATCH_LEN;
	w->scratch = malloc(SCRATCH_LEN);
	if (w->scratch == NULL)
		return -ENOMEM;
	err = ring_init(&w->ring, ring_entries, true);
	if (err < 0) {
		free(w->scratch);
		w->scratch = NULL;
		return err;
	}
	w->ring.user = w;
	w->ring.guest_gone = on_guest_gone;
	w->ring.is_measured = true;
	if (!session_table_init(w)) {
		ring_done(&w->ring);
		free(w->scratch);
		w->scratch = NULL;
		return -ENOMEM;
	}
	pool_init(&w->pool, &w->ring);
	return 0;
}

/* Everything that lives is cut, and its operations are waited for. */
static void worker_close_all(struct worker *w)
{
	uint64_t until_ms = w->ring.now_ms + STOP_TURNS_MS;

	w->is_stopping = true;
	list_for_each_safe(node, next, &w->listeners)
		listener_leave(container_of(node, struct listener, link));
	on_drain_over(&w->drain_timer);
	pool_done(&w->pool);
	while (w->ring.owners > 0 && w->ring.now_ms < until_ms) {
		streams_end(&w->ring);
		ring_timer_arm(&w->ring, &w->drain_timer, 20); /* so that the turn ends */
		if (ring_turn(&w->ring) < 0)
			break;
	}
	timer_cancel(&w->drain_timer);
	timer_cancel(&w->waiting_timer);
	view_unref(w->view);
	w->view = NULL;
}

void worker_run(struct worker *w)
{
	int err = ring_enable(&w->ring);

	if (err == 0)
		err = ring_run(&w->ring);
	if (err < 0)
		log_error("worker %u: its ring failed: %s", w->index, strerror(-err));
	worker_close_all(w);
}

void worker_done(struct worker *w)
{
	if (w->scratch == NULL)
		return;
	if (w->ring.owners > 0 && w->is_stopping) {
		/* The kernel may still write into what they own: it goes with the process. */
		log_error("worker %u: %u operations did not end in time", w->index, w->ring.owners);
		return;
	}
	ferry_mail_drop(w);
	session_table_done(w);
	ring_done(&w->ring);
	auth_refreshes_free(w);
	slab_done(&w->arrival_slab);
	slab_done(&w->h1_slab);
	slab_done(&w->exchange_slab);
	slab_done(&w->forward_slab);
	slab_done(&w->relay_slab);
	slab_done(&w->tcp_slab);
	connections_done(&w->open);
	free(w->fields);
	free(w->response_fields);
	ws_relays_done(w);
	free(w->scratch);
	w->scratch = NULL;
}

/* ---- mail ---- */

static struct listener *listener_find(struct worker *w, const struct worker_socket *s)
{
	list_for_each(node, &w->listeners) {
		struct listener *l = container_of(node, struct listener, link);

		if (l->fd == s->fd && addr_is_equal(&l->addr, &s->addr))
			return l;
	}
	return NULL;
}

static bool is_wanted(const struct listener *l, const struct worker_socket *sockets, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (sockets[i].fd == l->fd && addr_is_equal(&sockets[i].addr, &l->addr))
			return true;
	return false;
}

/* Room for as many fields as any listener allows. */
static bool fields_reserve(struct worker *w, const struct config *c)
{
	uint32_t cap = FIELDS_MIN;
	struct http_field *request, *response;

	for (size_t i = 0; i < c->listeners_count; i++)
		if (c->listeners[i].http.max_headers > cap)
			cap = c->listeners[i].http.max_headers;
	if (cap <= w->fields_cap)
		return true;
	request = malloc(cap * sizeof(*request));
	response = malloc(cap * sizeof(*response));
	if (request == NULL || response == NULL) {
		free(request);
		free(response);
		return w->fields_cap > 0;
	}
	free(w->fields);
	free(w->response_fields);
	w->fields = request;
	w->response_fields = response;
	w->fields_cap = cap;
	return true;
}

void worker_apply(struct worker *w, struct snapshot *s, const struct worker_socket *sockets, size_t count)
{
	struct view *old = w->view;
	struct view *now;

	if (w->is_draining || w->is_stopping) {
		snapshot_unref(s);
		return;
	}
	now = view_new(s);
	if (now == NULL || !fields_reserve(w, now->snapshot->config)) {
		log_error("worker %u: no memory for the new configuration: it goes by the old one", w->index);
		view_unref(now);
		return;
	}
	w->view = now;
	w->limits = now->snapshot->guard->table;
	list_for_each_safe(node, next, &w->listeners) {
		struct listener *l = container_of(node, struct listener, link);

		if (!is_wanted(l, sockets, count))
			listener_leave(l);
	}
	for (size_t i = 0; i < count; i++) {
		struct listener *l = listener_find(w, &sockets[i]);

		if (l != NULL)
			listener_rebind(l, &sockets[i]);
		else if (listener_new(w, &sockets[i]) == NULL)
			log_error("worker %u: no memory for a listener", w->index);
	}
	if (old != NULL)
		ws_relays_rebind(w, old);
	view_unref(old);
	listeners_resume(w);
}

/* The last fifth of the time is for their goodbyes. */
uint64_t worker_goodbye_at(const struct worker *w)
{
	uint64_t left_ms = w->drain_until_ms - w->ring.now_ms;

	if (w->drain_until_ms == UINT64_MAX)
		return 0;
	if (w->drain_until_ms <= w->ring.now_ms || left_ms - left_ms / 5 == 0)
		return w->ring.now_ms + 1;
	return w->ring.now_ms + 1 + random_fast() % (left_ms - left_ms / 5);
}

static int compare_fds(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

/* Whoever is in a queue that another process takes from is its client. */
static void listeners_leave(struct worker *w, const struct worker_leave *how)
{
	list_for_each_safe(node, next, &w->listeners) {
		struct listener *l = container_of(node, struct listener, link);

		l->is_handed = how->handed_count > 0 && bsearch(&l->fd, how->handed, how->handed_count, sizeof(l->fd),
								compare_fds) != NULL;
		listener_leave(l);
	}
}

void worker_drain(struct worker *w, const struct worker_leave *how)
{
	uint64_t until_ms = how->is_endless ? UINT64_MAX : w->ring.now_ms + how->grace_ms;

	if (w->is_stopping || (w->is_draining && until_ms >= w->drain_until_ms))
		return;
	w->is_draining = true;
	w->drain_why = how->why;
	w->drain_until_ms = until_ms;
	listeners_leave(w, how);
	if (!how->is_served) {
		arrivals_close(w, how->why);
		h1_servers_drain(w);
	}
	if (!how->is_endless) {
		ws_relays_drain(w);
		ring_timer_arm(&w->ring, &w->drain_timer, how->grace_ms);
	}
	worker_check_empty(w);
}

void worker_stop(struct worker *w)
{
	ring_stop(&w->ring);
}

void worker_check_empty(struct worker *w)
{
	if (w->is_draining && w->connections == 0 && w->on_empty != NULL) {
		void (*tell)(struct worker *, void *) = w->on_empty;

		w->on_empty = NULL;
		tell(w, w->on_empty_user);
	}
}
