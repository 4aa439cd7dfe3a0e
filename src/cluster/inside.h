/* What the rooms of this floor share about a living cluster; nobody else includes it. */
#ifndef CLUSTER_INSIDE_H
#define CLUSTER_INSIDE_H

#include "cluster/cluster.h"
#include "cluster/learned.h"
#include "cluster/pick.h"

#include <pthread.h>

/* Lives until the last cluster of it is gone. */
struct clusters {
	pthread_mutex_t lock; /* held alone, never with a cluster's */
	struct hash_map by_name;
	struct list found; /* what discovery has found, by the clusters' names */
	uint32_t refcount; /* the owner's, and one a cluster; under the lock */
	uint8_t sticky_secret[STICKY_SECRET_LEN]; /* of clusters without a file; made once, so that a reload keeps it */
};

struct cluster {
	struct clusters *registry;
	char *name;
	uint32_t refcount; /* views and endpoints; under the registry's lock */
	pthread_mutex_t lock;
	struct hash_map endpoints; /* by name; borrowed: the last reference takes itself out */
	atomic_uint active;	   /* over all endpoints */
	struct endpoint *_Atomic fallen;
	struct learned learned;
};

/* The living cluster, or a new one; gives a reference.  NULL: out of memory. */
struct cluster *cluster_find(struct clusters *registry, const char *name);
void cluster_ref(struct cluster *c);
void cluster_unref(struct cluster *c);

/* Under the lock: what the members know of the endpoint becomes true again. */
void cluster_hear_endpoint(struct endpoint *e);
/* Under the lock: the same for all endpoints that have given places back. */
void cluster_hear_fallen(struct cluster *c);

/* The living endpoint, or a new one; gives a reference.  NULL: out of memory. */
struct endpoint *endpoint_find(struct cluster *c, const char *name);
/* Takes the array (malloc).  Where nothing has changed, the one in use stays the one in use. */
void endpoint_set_addrs(struct endpoint *e, struct addr *addrs, uint32_t count);

#endif
