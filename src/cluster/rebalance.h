/* Rebalancing: after a scale-out old endpoints are full and new ones empty.  Each that holds more than its share of the
 * cluster's connections sheds the excess, its least recently active WebSockets first.
 *
 * Here is said how many; which ones, each worker finds among its own, in proportion.
 * Called by: cluster/leaving (rebalance.after), control (by command); proxy/ws_relay. */
#ifndef CLUSTER_REBALANCE_H
#define CLUSTER_REBALANCE_H

#include "cluster/cluster.h"

/* Under the lock of the view's cluster: begins a round; how many connections are to be shed. */
uint32_t rebalance_locked(const struct cluster_view *v);

/* How many of the `count` connections that a worker has to `e` it sheds; takes them off the round. */
uint32_t rebalance_claim(struct endpoint *e, uint32_t count);
static inline bool rebalance_is_on(const struct endpoint *e)
{
	return atomic_load_explicit(&e->shed_left, memory_order_relaxed) > 0;
}

#endif
