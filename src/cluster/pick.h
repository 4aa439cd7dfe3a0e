/* The table of algorithms, and what they choose from.
 *
 * A tier is the members of a view that compete: those of the proxy's zone, those of others, or the backups; weight 0 is
 * in none.  An
 * algorithm hears of every change of a member and keeps its own order, so that a pick costs the logarithm of the members.
 * It sees only who is open: what was tried and what is full, the cluster has closed before it asks.
 * Called by: cluster/cluster, cluster/view.  Locks: all but prepare() and forget() run under the cluster's. */
#ifndef CLUSTER_PICK_H
#define CLUSTER_PICK_H

#include "cluster/cluster.h"

#define PICK_NOBODY UINT32_MAX

struct algorithm;

struct cluster_tier {
	const struct algorithm *algorithm;
	const struct cluster_config *config;
	struct cluster_view *view;
	struct cluster_member **members; /* in the file's order; cluster_member.place is the index */
	uint32_t count;
	uint32_t present_count;
	uint32_t well_count;
	uint32_t candidates_count;
	uint32_t open_count;
	uint64_t open_active; /* sum of `active` over the open ones */
	void *prepared;	      /* the algorithm's */
};

struct algorithm {
	const char *name; /* the word of `balance` */
	bool hashes;	  /* looks at pick.hash */
	/* Makes t->prepared; the tier is not empty, and all its members are closed.  false: out of memory, and forget()
	 * still comes. */
	bool (*prepare)(struct cluster_tier *t);
	void (*forget)(struct cluster_tier *t); /* accepts what prepare() has left half built, NULL too */
	/* A member has opened or closed, or its `active` or its `share` is another. */
	void (*changed)(struct cluster_tier *t, uint32_t place);
	/* The place of an open member; at least one is.  The choice is counted afterwards, and changed() called.
	 * Allocates nothing. */
	uint32_t (*pick)(struct cluster_tier *t, const struct pick *p);
};

const struct algorithm *algorithm_find(const char *name); /* NULL: none */
/* NULL-terminated, static: for config_set_algorithms(). */
const char *const *algorithm_names(void);

/* The rows; each is a file of its own. */
extern const struct algorithm algorithm_round_robin;
extern const struct algorithm algorithm_least_connections;
extern const struct algorithm algorithm_random_two;
extern const struct algorithm algorithm_ip_hash;
extern const struct algorithm algorithm_consistent_hash;

#endif
