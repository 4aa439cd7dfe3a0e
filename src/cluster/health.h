/* Active health checks: each endpoint of a cluster with `health` is probed, at an interval with jitter.
 *
 * So many good or bad checks in a row change its state; while they are gathered it is checked more often.  One probe of
 * an endpoint runs at a time, and has a deadline.
 * Called by: cluster/monitor, in its thread. */
#ifndef CLUSTER_HEALTH_H
#define CLUSTER_HEALTH_H

#include "cluster/monitor.h"

/* The order in force is another: checks what it names, and nothing else. */
void health_follow(struct monitor *m);
/* Ends all. */
void health_done(struct monitor *m);

#endif
