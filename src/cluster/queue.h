/* The queue of a cluster in which every endpoint is full: who came first gets the next place, whatever worker it came to.
 *
 * Holds the order alone; how long somebody waits, and how he is told, is his own affair.
 * Called by: proxy/waiting.  Locks: the cluster's. */
#ifndef CLUSTER_QUEUE_H
#define CLUSTER_QUEUE_H

#include "cluster/cluster.h"

struct cluster_waiter {
	struct list link; /* of cluster.waiters; under its lock */
	void *worker;	  /* who is told when it is its turn */
};

/* How many wait.  Costs a load. */
uint32_t cluster_waiting(const struct cluster *c);

/* To the end of it; false: `max` wait already. */
bool cluster_queue_join(struct cluster *c, struct cluster_waiter *w, uint32_t max);
void cluster_queue_leave(struct cluster *c, struct cluster_waiter *w);
bool cluster_queue_is_first(struct cluster *c, const struct cluster_waiter *w);
/* The worker of the first; NULL: nobody waits. */
void *cluster_queue_first(struct cluster *c);

#endif
