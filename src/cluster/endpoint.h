/* One server of a cluster, known by (cluster, address as written): what outlives reloads.
 *
 * Made and forgotten by the control thread (cluster/cluster); counted and looked at by all workers.  Counts are the
 * process's, not a worker's.  `active` changes under the cluster's lock when it grows (cluster_pick) and without it when
 * it falls. */
#ifndef CLUSTER_ENDPOINT_H
#define CLUSTER_ENDPOINT_H

#include "base/addr.h"
#include "base/list.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct cluster;

struct endpoint {
	struct list link; /* of the cluster's endpoints; control thread */
	struct cluster *cluster; /* keeps */
	char *name;		 /* "10.0.0.1:8080", as written */
	uint64_t id_hash;	 /* of the name alone: the same in every process, for consistent hashing */
	atomic_uint refcount;
	atomic_uint active;	/* connections and requests that it serves just now; places that were picked */
	atomic_ullong total;	/* picks since it is known */
	atomic_ullong failures; /* connects that failed, resets before a response */
};

void endpoint_ref(struct endpoint *e);
void endpoint_unref(struct endpoint *e); /* accepts NULL */

/* Where it is just now.  false: its name has not been resolved. */
bool endpoint_addr(struct endpoint *e, struct addr *out);

/* Gives back the place that cluster_pick() took. */
void endpoint_release(struct endpoint *e);

#endif
