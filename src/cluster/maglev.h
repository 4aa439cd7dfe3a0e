/* Maglev's table: from a hash to a member, evenly, and hardly moved when a member comes or goes.
 *
 * Eisenbud and others, "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016, section 3.4.  Made of the
 * members' ids and weights alone: the same in every process whatever the order of the file.
 * Called by: consistent_hash. */
#ifndef CLUSTER_MAGLEV_H
#define CLUSTER_MAGLEV_H

#include <stdbool.h>
#include <stdint.h>

struct maglev_member {
	uint64_t id_hash;
	uint32_t weight; /* > 0 */
};

struct maglev {
	uint32_t size;	   /* entries, a prime */
	uint32_t *entries; /* indexes of members */
};

/* `members` > 0, in an order that is the same everywhere; borrowed.  Each gets its share of the entries, to the nearest
 * whole one; a share far below one may get none.  false: out of memory; maglev_done() may follow. */
bool maglev_init(struct maglev *m, const struct maglev_member *members, uint32_t count);
void maglev_done(struct maglev *m); /* accepts zeros */

static inline uint32_t maglev_find(const struct maglev *m, uint64_t hash)
{
	return m->entries[hash % m->size];
}

#endif
