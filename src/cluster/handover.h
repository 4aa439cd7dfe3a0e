/* What a process that is upgraded tells the next one of its endpoints, and what that one makes of it.
 *
 * Modes, health, ejections, slow starts, and weights that were set by command; counts begin anew, as the connections that
 * they count stay behind.  Of endpoints that the next configuration does not name nothing is kept.
 * Called by: control/handover.  Locks: one cluster's at a time. */
#ifndef CLUSTER_HANDOVER_H
#define CLUSTER_HANDOVER_H

#include "cluster/cluster.h"

#define HANDOVER_NO_SLOW_START UINT64_MAX

/* Times are spans, since clocks of two processes need not agree; `since_ns` is the wall clock's. */
struct endpoint_state {
	const char *cluster, *endpoint;
	enum endpoint_mode mode;
	enum endpoint_health health;
	const char *why;
	uint64_t since_ns;
	uint32_t ejections;
	uint64_t ejected_for_ms; /* from now on; 0: it is not ejected */
	uint64_t slow_since_ms;	 /* how long it has started slowly; HANDOVER_NO_SLOW_START */
	int64_t weight;		 /* set by command; -1: it was not */
};

/* Visits every endpoint that the configuration in force names; the cluster's lock is held. */
void handover_each(struct clusters *registry, void (*visit)(const struct endpoint_state *state, void *user), void *user);
/* Before the endpoint is picked for the first time, and after a view names it.  false: nobody does. */
bool handover_restore(struct clusters *registry, const struct endpoint_state *state);

/* The secret of affinity cookies without a file: before the first view is made. */
void handover_secret(const struct clusters *registry, uint8_t out[STICKY_SECRET_LEN]);
void handover_set_secret(struct clusters *registry, const uint8_t secret[STICKY_SECRET_LEN]);

#endif
