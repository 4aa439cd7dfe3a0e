/* Waiting for a place in a cluster whose endpoints are all full.
 *
 * The order is the cluster's (cluster/queue), over all workers; each worker has its own that wait, with a deadline each.
 * Whoever gives a place back tells the worker of the first; since places come in other ways, too (an endpoint recovers, or
 * its pace allows one more), a worker also looks from time to time while somebody waits.
 * Called by: proxy/backend, proxy/worker. */
#ifndef PROXY_WAITING_H
#define PROXY_WAITING_H

#include "base/reasons.h"
#include "proxy/backend.h"

/* It waits (NONE), and goes on or fails by itself; or why it may not. */
enum reason waiting_join(struct backend *b);
/* It is not wanted any more; accepts one that does not wait. */
void waiting_leave(struct backend *b);

/* A place of the cluster may be free: in the thread of `w`. */
void waiting_tell(struct worker *w, struct cluster *c);

void waiting_init(struct worker *w);

#endif
