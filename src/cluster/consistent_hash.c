/* Hashing: the same key to the same endpoint, in every process that knows the same endpoints.
 *
 * ip_hash and consistent_hash are one: what is hashed is the caller's affair (pick.hash).  consistent_hash also has
 * bounded loads (`hash_bound`; Mirrokni, Thorup, Zadimoghaddam 2016): no endpoint holds more than so many times its share
 * of the connections.  Where the table's member may not be picked, the key walks on: to what a few further hashes of it
 * say, then to a point among those who are open.  The walk depends on the key and on who is open, on nothing else. */
#include "base/hash.h"
#include "cluster/maglev.h"
#include "cluster/pick.h"
#include "cluster/weight_tree.h"

#include <stdlib.h>
#include <string.h>

#define PROBES 16

struct hashed {
	struct maglev table;	 /* of indexes of `order` */
	uint32_t *order;	 /* places in the tier, by id */
	uint32_t *index;	 /* the other way round */
	struct weight_tree open; /* by index */
};

/* By id, and by name where two ids should be equal. */
static int member_compare(const void *a, const void *b)
{
	const struct endpoint *x = (*(struct cluster_member *const *)a)->endpoint;
	const struct endpoint *y = (*(struct cluster_member *const *)b)->endpoint;

	if (x->id_hash != y->id_hash)
		return x->id_hash < y->id_hash ? -1 : 1;
	return strcmp(x->name, y->name);
}

static bool table_make(struct hashed *h, const struct cluster_tier *t, struct cluster_member **sorted,
		       struct maglev_member *members)
{
	memcpy(sorted, t->members, t->count * sizeof(struct cluster_member *));
	qsort(sorted, t->count, sizeof(struct cluster_member *), member_compare);
	for (uint32_t i = 0; i < t->count; i++) {
		h->order[i] = sorted[i]->place;
		h->index[sorted[i]->place] = i;
		members[i] = (struct maglev_member){ sorted[i]->endpoint->id_hash, sorted[i]->weight };
	}
	return maglev_init(&h->table, members, t->count);
}

static bool hash_prepare(struct cluster_tier *t)
{
	struct hashed *h = calloc(1, sizeof(*h));
	struct cluster_member **sorted = calloc(t->count, sizeof(struct cluster_member *));
	struct maglev_member *members = calloc(t->count, sizeof(*members));
	bool ok = h != NULL && sorted != NULL && members != NULL;

	t->prepared = h;
	if (ok) {
		h->order = calloc(t->count, sizeof(*h->order));
		h->index = calloc(t->count, sizeof(*h->index));
		ok = h->order != NULL && h->index != NULL && weight_tree_init(&h->open, t->count) &&
		     table_make(h, t, sorted, members);
	}
	free(sorted);
	free(members);
	return ok;
}

static void hash_forget(struct cluster_tier *t)
{
	struct hashed *h = t->prepared;

	if (h != NULL) {
		maglev_done(&h->table);
		weight_tree_done(&h->open);
		free(h->order);
		free(h->index);
	}
	free(h);
	t->prepared = NULL;
}

static void hash_changed(struct cluster_tier *t, uint32_t place)
{
	const struct cluster_member *m = t->members[place];
	struct hashed *h = t->prepared;

	weight_tree_set(&h->open, h->index[place], m->is_open ? m->weight : 0);
}

/* Whether it is open and stays within its bound: `share` is what one weight may hold, HUGE_VAL without a bound.  The
 * shares of all open members add up to more than they hold, so that one of them always may. */
static bool may_take(const struct cluster_tier *t, uint32_t place, double share)
{
	const struct cluster_member *m = t->members[place];

	return m->is_open && (double)m->active < share * m->weight;
}

/* In a slow start a member takes some of its keys only, more with time; which ones, key and member say alone. */
static bool is_taken_yet(const struct cluster_member *m, uint64_t key)
{
	return m->share >= ENDPOINT_FULL_SHARE ||
	       hash_mix(key ^ m->endpoint->id_hash) % ENDPOINT_FULL_SHARE < m->share;
}

static uint32_t hash_choose(struct cluster_tier *t, uint64_t hash, double share)
{
	const struct hashed *h = t->prepared;
	uint64_t before, key = hash;
	uint32_t index;

	for (unsigned i = 0; i < PROBES; i++) {
		uint32_t place = h->order[maglev_find(&h->table, hash)];

		if (may_take(t, place, share) && is_taken_yet(t->members[place], key))
			return place;
		hash = hash_mix(hash + 0x9e3779b97f4a7c15u);
	}
	index = weight_tree_find(&h->open, weight_tree_point(hash, weight_tree_sum(&h->open)), &before);
	for (uint32_t i = 0; i < t->count && !may_take(t, h->order[index], share); i++)
		index = index + 1 < t->count ? index + 1 : 0;
	return h->order[index];
}

static uint32_t ip_hash_pick(struct cluster_tier *t, const struct pick *p)
{
	return hash_choose(t, p->hash, __builtin_huge_val());
}

static uint32_t consistent_hash_pick(struct cluster_tier *t, const struct pick *p)
{
	const struct hashed *h = t->prepared;
	double share = __builtin_huge_val();

	if (t->config->hash_bound > 0)
		share = t->config->hash_bound * (double)(t->open_active + 1) /
			(double)weight_tree_sum(&h->open);
	return hash_choose(t, p->hash, share);
}

const struct algorithm algorithm_ip_hash = {
	.name = "ip_hash",
	.hashes = true,
	.prepare = hash_prepare,
	.forget = hash_forget,
	.changed = hash_changed,
	.pick = ip_hash_pick,
};

const struct algorithm algorithm_consistent_hash = {
	.name = "consistent_hash",
	.hashes = true,
	.prepare = hash_prepare,
	.forget = hash_forget,
	.changed = hash_changed,
	.pick = consistent_hash_pick,
};
