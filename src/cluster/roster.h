/* The roster: what the admin interface sees of clusters and their endpoints, and what it may order.
 *
 * For the rest it has endpoint_set_mode() (cluster/fitness); after either, monitor_look().
 * Called by: control.  Locks: one cluster's at a time. */
#ifndef CLUSTER_ROSTER_H
#define CLUSTER_ROSTER_H

#include "cluster/cluster.h"

/* Valid within the visit. */
struct endpoint_row {
	const char *cluster, *endpoint;
	const char *state; /* "removed", "draining", "disabled", "ejected", "down", "up", "unchecked": the first that holds */
	const char *why;   /* of the last change; "": there was none */
	uint64_t since_ns; /* wall clock: of that change; 0: there was none */
	uint64_t ejected_for_ms; /* from now on */
	uint32_t weight;	 /* in the newest configuration, or as it was set since */
	uint32_t share;		 /* of the weight, in thousandths: a slow start */
	uint32_t active;
	uint64_t total, failures;
	enum reason closing; /* its connections are being closed; NONE: they are not */
	bool is_backup;
};

/* Every endpoint of every cluster, those too that have been removed and still have connections.  The cluster's lock is
 * held: the visit is short and asks nothing of clusters. */
void roster_each(struct clusters *registry, void (*visit)(const struct endpoint_row *row, void *user), void *user);
/* With a reference (endpoint_unref), or NULL. */
struct endpoint *roster_find(struct clusters *registry, const char *cluster, const char *endpoint);

/* Its weight from now on, until a reload; 0: nothing new for it.  0, or -ENOMEM: all is as it was. */
int endpoint_set_weight(struct endpoint *e, uint32_t weight);

/* Begins to shed what endpoints have above their share; how many connections that are (then the workers are to be told,
 * monitor.tell), or -1: there is no such cluster. */
long cluster_rebalance(struct clusters *registry, const char *cluster);

#endif
