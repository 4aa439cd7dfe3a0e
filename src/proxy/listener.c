#include "proxy/listener.h"

#include "base/counters.h"
#include "base/log.h"
#include "net/socket.h"
#include "net/stream.h"
#include "proxy/arrival.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ACCEPTS_A_TURN 64
#define REFUSED_TELL_MS 10000u
#define RETRY_MS       200u /* after descriptors or memory ran out */

static void listener_poll(struct listener *l)
{
	struct io_uring_sqe *sqe;

	if (l->is_polling || l->is_full || l->has_left || l->worker->is_stopping)
		return;
	sqe = ring_sqe(&l->worker->ring);
	io_uring_prep_poll_add(sqe, l->fd, POLLIN);
	ring_sqe_own(sqe, &l->poll_op);
	l->is_polling = true;
}

static void listener_pause(struct listener *l, int err)
{
	char at[ADDR_TEXT_MAX];

	if (!timer_is_armed(&l->retry)) {
		addr_print(&l->addr, at);
		log_warn("listener %s: %s: cannot accept: %s; %s", l->config->name, at, strerror(-err),
			 err == -EMFILE || err == -ENFILE ?
				 "clients wait until descriptors are free: raise the limit of open files (LimitNOFILE=)" :
				 "clients wait");
	}
	l->is_full = true;
	ring_timer_arm(&l->worker->ring, &l->retry, RETRY_MS);
}

/* ---- who may stay ---- */

void listener_refused(struct listener *l, const struct addr *peer, enum reason why)
{
	const struct reason_row *row = reason_of(why);
	uint64_t now_ms = l->worker->ring.now_ms;
	char who[ADDR_TEXT_MAX];

	counter_add(COUNTERS_REFUSED + why, 1);
	l->refused++;
	if (l->refused_told_ms != 0 && now_ms < l->refused_told_ms + REFUSED_TELL_MS)
		return;
	addr_print(peer, who);
	log_info("listener %s: %s: refused: %s (%s); %" PRIu64 " refused by worker %u since the last such line",
		 l->config->name, who, row->text, row->key, l->refused, l->worker->index);
	l->refused = 0;
	l->refused_told_ms = now_ms;
}

enum reason listener_admit(struct listener *l, const struct addr *peer, uint64_t *guest)
{
	struct guard_hold hold;
	enum reason why = guard_connection(l->view->snapshot->guard, l->index, peer, l->worker->ring.now_ms * 1000000,
					   &hold);

	*guest = guest_of(hold);
	return why;
}

/* Known by its socket's address, or only by the PROXY header to come. */
static enum reason client_admit(struct listener *l, const struct addr *peer, uint64_t *guest)
{
	enum reason why = REASON_NONE;

	*guest = 0;
	if (l->group != NULL && !place_group_take(l->group, l->config->limits.max_connections))
		return REASON_LISTENER_CONNECTIONS;
	if (l->config->proxy_protocol == PROXY_PROTOCOL_IN_OFF)
		why = listener_admit(l, peer, guest);
	if (why != REASON_NONE && l->group != NULL)
		place_group_give(l->group, 1);
	return why;
}

/* No stream, no memory: a reset, and the place is free again. */
static void client_refuse(struct listener *l, int fd, const struct addr *peer, enum reason why)
{
	socket_reset_on_close(fd);
	close(fd);
	place_give(l->worker);
	listener_refused(l, peer, why);
}

static void client_new(struct listener *l, int fd, const struct addr *peer)
{
	uint64_t guest;
	enum reason why = client_admit(l, peer, &guest);
	struct duplex *d;

	if (why != REASON_NONE) {
		client_refuse(l, fd, peer, why);
		return;
	}
	d = stream_accept(&l->worker->ring, fd);
	l->clients++;
	l->worker->connections++;
	if (d != NULL && guest != 0)
		stream_set_guest(d, guest);
	else if (guest != 0)
		l->worker->ring.guest_gone(&l->worker->ring, guest);
	if (d == NULL)
		listener_client_gone(l);
	else
		arrival_start(l, d, peer);
}

/* Takes clients out of the queue, at most so many.  false: it cannot take more just now. */
static bool listener_accept(struct listener *l, unsigned most)
{
	for (unsigned i = 0; i < most; i++) {
		struct addr peer;
		int fd;

		if (!place_take(l->worker)) {
			l->is_full = true;
			return false;
		}
		fd = socket_accept(l->fd, &peer);
		if (fd < 0) {
			place_give(l->worker);
			if (fd != -EAGAIN)
				listener_pause(l, fd);
			return false;
		}
		client_new(l, fd, &peer);
	}
	return true;
}

static void on_poll(struct op *op, int res, uint32_t flags)
{
	struct listener *l = container_of(op, struct listener, poll_op);

	(void)flags;
	l->is_polling = false;
	if (l->has_left || l->worker->is_stopping || res == -ECANCELED)
		return;
	listener_accept(l, ACCEPTS_A_TURN);
	listener_poll(l);
}

static void on_retry(struct timer *t)
{
	struct listener *l = container_of(t, struct listener, retry);
	bool was_full = l->is_full;

	/* Armed while it tries, so that one long shortage is told once. */
	l->is_full = false;
	if (!was_full || l->has_left)
		return;
	ring_timer_arm(&l->worker->ring, &l->retry, RETRY_MS);
	listener_accept(l, ACCEPTS_A_TURN);
	if (!l->is_full)
		timer_cancel(&l->retry);
	listener_poll(l);
}

void listeners_resume(struct worker *w)
{
	list_for_each_safe(node, next, &w->listeners) {
		struct listener *l = container_of(node, struct listener, link);

		if (timer_is_armed(&l->retry))
			continue; /* it waits for descriptors */
		l->is_full = false;
		listener_poll(l);
	}
}

static void listener_free(struct owner *o)
{
	struct listener *l = container_of(o, struct listener, owner);

	view_unref(l->view);
	place_group_unref(l->worker->places, l->group);
	free(l);
}

static void listener_close_if_over(struct listener *l)
{
	if (l->has_left && l->clients == 0)
		owner_close(&l->owner);
}

void listener_client_gone(struct listener *l)
{
	struct worker *w = l->worker;

	assert(l->clients > 0 && w->connections > 0);
	l->clients--;
	if (l->group != NULL)
		place_group_give(l->group, 1);
	w->connections--;
	place_give(w);
	listener_close_if_over(l);
	worker_check_empty(w);
}

struct listener *listener_new(struct worker *w, const struct worker_socket *socket)
{
	struct listener *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	owner_init(&l->owner, &w->ring, listener_free);
	op_init(&l->poll_op, &l->owner, on_poll);
	timer_init(&l->retry, on_retry);
	l->worker = w;
	l->addr = socket->addr;
	l->fd = socket->fd;
	list_append(&w->listeners, &l->link);
	listener_rebind(l, socket);
	return l;
}

/* The name may have changed: all of its clients move along. */
static void group_follow(struct listener *l)
{
	struct place_group *old = l->group, *now;

	if (old != NULL && strcmp(old->name, l->config->name) == 0)
		return;
	now = place_group_ref(l->worker->places, l->config->name);
	if (now == NULL)
		return;
	atomic_fetch_add(&now->used, l->clients);
	if (old != NULL)
		place_group_give(old, l->clients);
	place_group_unref(l->worker->places, old);
	l->group = now;
}

void listener_rebind(struct listener *l, const struct worker_socket *socket)
{
	struct view *old = l->view;

	l->view = view_ref(l->worker->view);
	l->config = socket->listener;
	l->index = socket->listener_index;
	group_follow(l);
	view_unref(old);
	listener_poll(l);
}

void listener_leave(struct listener *l)
{
	if (l->has_left)
		return;
	/* Who is in the queue has connected: closing the socket would reset them. */
	if (!l->worker->is_stopping && !l->is_handed)
		while (listener_accept(l, ACCEPTS_A_TURN))
			;
	l->has_left = true;
	list_remove(&l->link);
	timer_cancel(&l->retry);
	if (l->is_polling) {
		struct io_uring_sqe *sqe = ring_sqe(&l->worker->ring);

		io_uring_prep_cancel(sqe, &l->poll_op, 0);
		ring_sqe_forget(sqe);
	}
	listener_close_if_over(l);
}
