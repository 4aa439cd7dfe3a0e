#include "proxy/waiting.h"

#include "cluster/queue.h"

#include <stdlib.h>

/* So often is looked where nobody has said anything. */
#define LOOK_MS	     50u
#define CLUSTERS_MAX 8 /* that one look keeps apart; of more, each is asked more often than needed */

struct waiter {
	struct cluster_waiter of_cluster;
	struct list of_worker; /* worker.waiters */
	struct backend *backend;
	struct timer deadline;
};

static struct cluster *cluster_of(const struct backend *b)
{
	return b->cluster->view->cluster;
}

static void look_in(struct worker *w, uint64_t ms)
{
	ring_timer_arm(&w->ring, &w->waiting_timer, ms);
}

/* ---- whose turn it is ---- */

/* The first of those here who is the first of his cluster and for whom there is a place, or a reason to give up. */
static struct backend *next_served(struct worker *w, enum pick_result *result)
{
	const struct cluster *seen[CLUSTERS_MAX];
	unsigned seen_count = 0;

	list_for_each (node, &w->waiters) {
		struct waiter *x = container_of(node, struct waiter, of_worker);
		struct cluster *c = cluster_of(x->backend);
		unsigned i = 0;

		while (i < seen_count && seen[i] != c)
			i++;
		if (i < seen_count)
			continue; /* one before him was not served */
		if (seen_count < CLUSTERS_MAX)
			seen[seen_count++] = c;
		if (!cluster_queue_is_first(c, &x->of_cluster))
			continue;
		*result = backend_pick(x->backend);
		if (*result != PICK_FULL)
			return x->backend;
	}
	return NULL;
}

static void look(struct worker *w)
{
	enum pick_result result;
	struct backend *b;

	while (!w->is_stopping && (b = next_served(w, &result)) != NULL) {
		struct cluster *c = cluster_of(b);

		waiting_leave(b);
		waiting_tell(w, c); /* there may be room for the next one, too, who may be another worker's */
		backend_go(b, result);
	}
	if (!list_is_empty(&w->waiters) && !timer_is_armed(&w->waiting_timer))
		look_in(w, LOOK_MS);
}

static void on_look(struct timer *t)
{
	look(container_of(t, struct worker, waiting_timer));
}

static void mail_arrived(struct mail *mail)
{
	struct worker *w = container_of(mail, struct worker, waiting_mail);

	atomic_store(&w->waiting_posted,
		     false); /* before the look: a place that comes from now on is another mail */
	look(w);
}

void waiting_tell(struct worker *w, struct cluster *c)
{
	struct worker *first = cluster_waiting(c) > 0 ? cluster_queue_first(c) : NULL;

	if (first == w)
		look_in(w, 0); /* not within the call: who gives the place back has not finished */
	else if (first != NULL && !atomic_exchange(&first->waiting_posted, true))
		ring_post(&w->ring, &first->ring, &first->waiting_mail);
}

/* ---- coming and going ---- */

static void on_deadline(struct timer *t)
{
	struct backend *b = container_of(t, struct waiter, deadline)->backend;

	waiting_leave(b);
	b->on_failed(b, REASON_QUEUE_TIMEOUT);
}

enum reason waiting_join(struct backend *b)
{
	const struct queue_config *q = &b->cluster->view->config->queue;
	struct worker *w = b->worker;
	struct waiter *x = q->max > 0 ? calloc(1, sizeof(*x)) : NULL;

	if (x == NULL)
		return q->max == 0 ? REASON_CLUSTER_FULL : REASON_NO_MEMORY;
	x->backend = b;
	x->of_cluster.worker = w;
	if (!cluster_queue_join(cluster_of(b), &x->of_cluster, q->max)) {
		free(x);
		return REASON_QUEUE_FULL;
	}
	list_append(&w->waiters, &x->of_worker);
	timer_init(&x->deadline, on_deadline);
	ring_timer_arm(&w->ring, &x->deadline, q->timeout_ms);
	b->waiter = x;
	/* a place that was given back just before he joined has been told to nobody */
	look_in(w, 0);
	return REASON_NONE;
}

void waiting_leave(struct backend *b)
{
	struct waiter *x = b->waiter;

	if (x == NULL)
		return;
	b->waiter = NULL;
	timer_cancel(&x->deadline);
	list_remove(&x->of_worker);
	cluster_queue_leave(cluster_of(b), &x->of_cluster);
	free(x);
	if (list_is_empty(&b->worker->waiters))
		timer_cancel(&b->worker->waiting_timer);
}

void waiting_init(struct worker *w)
{
	list_init(&w->waiters);
	timer_init(&w->waiting_timer, on_look);
	w->waiting_mail.run = mail_arrived;
}
