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
	bool looks_up;	   /* a view looks up names that are new to it (blocking) */
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
	atomic_uint eject_after;      /* failures in a row; 0: never (policy, outlier.consecutive_failures) */
	atomic_ullong due_ms;	      /* when an ejection or a step of a slow start is over; 0: nothing waits */
	uint64_t close_next_us;	      /* under the lock: when the next connection may be closed (cluster/leaving) */
	uint64_t rebalance_at_ms;     /* under the lock; 0: nothing has come that it is for */
	bool was_in_force;	      /* under the lock: the last configuration had it */
	struct list waiters;	      /* under the lock: cluster_waiter.link, see cluster/queue */
	atomic_uint waiting;	      /* how many those are */
	struct list views;	      /* under the lock: cluster_view.of_cluster, the newest last */
};

/* The living cluster, or a new one; gives a reference.  NULL: out of memory. */
struct cluster *cluster_find(struct clusters *registry, const char *name);
/* Visits all, each with a reference and no lock held. */
void clusters_each(struct clusters *registry, void (*visit)(struct cluster *c, void *user), void *user);
void cluster_ref(struct cluster *c);
void cluster_unref(struct cluster *c);

/* Under the lock: the configuration of the newest view; NULL: there is none. */
const struct cluster_config *cluster_policy(const struct cluster *c);
struct cluster_view *cluster_newest(const struct cluster *c);

/* Under the lock: what the members know of the endpoint becomes true again. */
void cluster_hear_endpoint(struct endpoint *e);
/* Under the lock: the same for all endpoints that have given places back. */
void cluster_hear_fallen(struct cluster *c);

/* Under the lock: all members of a view, which is new, hear of their endpoints. */
void cluster_hear_view(struct cluster_view *v);
/* Under the lock: ends ejections and goes on with slow starts whose time has come. */
void cluster_clock(struct cluster *c, uint64_t now_ms);

/* Under the lock: how long the connections of one that leaves are left alone. */
uint64_t endpoint_close_after_ms(const struct endpoint *e);
/* Under the lock: says once that one which leaves has no connections any more. */
void endpoint_say_left(struct endpoint *e, uint64_t now_ms);

/* The living endpoint, or a new one; gives a reference.  NULL: out of memory. */
struct endpoint *endpoint_find(struct cluster *c, const char *name);
#endif
