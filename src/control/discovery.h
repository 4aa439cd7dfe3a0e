/* Endpoints that are looked up: `discover` of each cluster of the configuration in force.
 *
 * A finder a cluster asks DNS by the records' TTL, or watches a file; what it has found goes to the registry of clusters,
 * and the configuration in force is made anew with it (reload_refresh).  What fails keeps the last good answer, is said
 * once, and is tried again.
 * Called by: control, reload.  Control's thread and ring. */
#ifndef CONTROL_DISCOVERY_H
#define CONTROL_DISCOVERY_H

#include "cluster/cluster.h"
#include "control/watch.h"
#include "net/resolver.h"

#define DISCOVERY_ENDPOINTS_MAX 4096u /* of one cluster */

struct control;

struct discovery {
	struct control *control;
	struct list finders;
	struct resolver resolver;
};

/* Files are read before the first views are made, so that nobody finds a cluster empty that is not. */
void discovery_prepare(struct clusters *clusters, const struct config *config);

/* Before the ring runs. */
void discovery_init(struct discovery *d, struct control *control);
/* The configuration in force: finders that it still wants go on, others go, new ones begin. */
void discovery_follow(struct discovery *d, const struct config *config);
/* Before the ring goes, and after it; accept what was never begun. */
void discovery_stop(struct discovery *d);
void discovery_done(struct discovery *d);

#endif
