/* Endpoints that leave, and what becomes of their connections.
 *
 * One leaves when the configuration does not name it any more, when it was told to drain, or when it is unhealthy and
 * `health.on_unhealthy` says so.  Its connections are left alone until drain.timeout is over, then closed at drain.rate,
 * which holds for the cluster over all workers.  When the cause is gone, so is the closing.
 * Called by: cluster/monitor and cluster/health, in the monitor's thread; proxy's relays, in their workers. */
#ifndef CLUSTER_LEAVING_H
#define CLUSTER_LEAVING_H

#include "cluster/monitor.h"

/* Looks at all endpoints: who leaves, who stays, whose time is over. */
void leaving_look(struct monitor *m);

/* Why connections to it are to be closed; NONE: they are not.  Costs a load. */
static inline enum reason endpoint_closing(const struct endpoint *e)
{
	return (enum reason)atomic_load_explicit(&e->closing, memory_order_relaxed);
}
/* The moment at which one more connection is closed: drain.rate, or that of the rebalancing, keeps them apart. */
uint64_t endpoint_close_at(struct endpoint *e, enum reason why, uint64_t now_ms);
uint16_t endpoint_close_code(const struct endpoint *e);

#endif
