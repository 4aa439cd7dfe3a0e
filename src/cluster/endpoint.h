/* One server of a cluster, known by (cluster, address as written): what outlives reloads.
 *
 * Made by the control thread (cluster/view), counted and looked at by all workers, freed with the last reference (a
 * view's, a pick's), whoever drops it.  Counts are the process's, not a worker's.  `active` grows under the cluster's
 * lock (cluster_pick) and falls without it: who gives a place back never waits, the next pick hears of it. */
#ifndef CLUSTER_ENDPOINT_H
#define CLUSTER_ENDPOINT_H

#include "base/addr.h"
#include "base/list.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct cluster;

struct endpoint {
	struct cluster *cluster; /* a reference */
	char *name;		 /* "10.0.0.1:8080", as written */
	uint64_t id_hash;	 /* of the name alone: the same in every process, for consistent hashing */
	atomic_uint refcount;
	atomic_uint active;  /* connections and requests that it serves just now; places that were picked */
	atomic_ullong total; /* picks since it is known */
	atomic_ullong failures; /* connects that failed, resets before a response */

	/* under the cluster's lock */
	struct list members; /* what the views know it by: cluster_member.of_endpoint */
	struct addr *addrs;  /* the resolver's answers in their order; NULL: not resolved */
	uint32_t addrs_count;
	uint32_t addrs_at; /* the one in use */

	/* the cluster's stack of endpoints whose `active` has fallen since the last pick */
	struct endpoint *fallen_next;
	atomic_bool is_fallen; /* on that stack */
};

void endpoint_ref(struct endpoint *e);
void endpoint_unref(struct endpoint *e); /* accepts NULL */

/* Where it is just now.  false: its name has not been resolved. */
bool endpoint_addr(struct endpoint *e, struct addr *out);
/* This address did not answer: where the name has several, the next one is used from now on.  (A name that stands for
 * ::1 and 127.0.0.1 is served on one of them, commonly.) */
void endpoint_addr_failed(struct endpoint *e, const struct addr *failed);

/* Gives back the place that cluster_pick() took; before the pick's reference goes. */
void endpoint_release(struct endpoint *e);

#endif
