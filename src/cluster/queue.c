#include "cluster/queue.h"

#include "cluster/inside.h"

#include <assert.h>

uint32_t cluster_waiting(const struct cluster *c)
{
	return atomic_load(&c->waiting);
}

bool cluster_queue_join(struct cluster *c, struct cluster_waiter *w, uint32_t max)
{
	bool has_room;

	pthread_mutex_lock(&c->lock);
	has_room = atomic_load(&c->waiting) < max;
	if (has_room) {
		list_append(&c->waiters, &w->link);
		atomic_fetch_add(&c->waiting, 1);
	}
	pthread_mutex_unlock(&c->lock);
	return has_room;
}

void cluster_queue_leave(struct cluster *c, struct cluster_waiter *w)
{
	pthread_mutex_lock(&c->lock);
	assert(atomic_load(&c->waiting) > 0);
	list_remove(&w->link);
	atomic_fetch_sub(&c->waiting, 1);
	pthread_mutex_unlock(&c->lock);
}

bool cluster_queue_is_first(struct cluster *c, const struct cluster_waiter *w)
{
	bool is_first;

	pthread_mutex_lock(&c->lock);
	is_first = c->waiters.next == &w->link;
	pthread_mutex_unlock(&c->lock);
	return is_first;
}

void *cluster_queue_first(struct cluster *c)
{
	void *worker = NULL;

	pthread_mutex_lock(&c->lock);
	if (!list_is_empty(&c->waiters))
		worker = container_of(c->waiters.next, struct cluster_waiter, link)->worker;
	pthread_mutex_unlock(&c->lock);
	return worker;
}
