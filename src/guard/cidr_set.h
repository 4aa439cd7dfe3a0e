/* A set of networks that is asked often: is this address in one of them?
 *
 * Networks that touch or lie in one another are joined, so that ranges remain which are sorted and apart: one search by
 * halves answers, at 100,000 networks in 17 steps that branch on nothing.  Eight bytes for an IPv4 range and 32 for an
 * IPv6 one, in two arrays: a trie of the same networks would be several times that, and slower where the cache is not
 * large.  Never changes once it is made.
 * Called by: guard/guard. */
#ifndef GUARD_CIDR_SET_H
#define GUARD_CIDR_SET_H

#include "config/cidr.h"

__extension__ typedef unsigned __int128 cidr_v6;

struct cidr_set {
	uint32_t *v4_first, *v4_last; /* of each range, both ends in it */
	cidr_v6 *v6_first, *v6_last;
	size_t v4_count, v6_count;
};

struct cidr_list {
	const struct cidr *at;
	size_t count;
};

/* Of all networks of some lists (borrowed).  false: memory is out; the set is empty then. */
bool cidr_set_init(struct cidr_set *s, const struct cidr_list *lists, size_t count);
void cidr_set_done(struct cidr_set *s);

/* A UNIX address is in none; a mapped IPv4 one is the IPv4 one. */
bool cidr_set_has(const struct cidr_set *s, const struct addr *a);

static inline bool cidr_set_is_empty(const struct cidr_set *s)
{
	return s->v4_count + s->v6_count == 0;
}

#endif
