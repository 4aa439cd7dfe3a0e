/* Random two: of two members drawn at random by weight, the one that it makes the less loaded.
 *
 * Nearly as even as least_connections, and several proxies before one cluster do not all fall upon the same endpoint. */
#include "base/random.h"
#include "cluster/pick.h"
#include "cluster/weight_tree.h"

#include <stdlib.h>

static bool two_prepare(struct cluster_tier *t)
{
	struct weight_tree *open = calloc(1, sizeof(*open));

	t->prepared = open;
	return open != NULL && weight_tree_init(open, t->count);
}

static void two_forget(struct cluster_tier *t)
{
	if (t->prepared != NULL)
		weight_tree_done(t->prepared);
	free(t->prepared);
	t->prepared = NULL;
}

/* In thousandths: in a slow start it has but a share of its own. */
static uint64_t weight_of(const struct cluster_member *m)
{
	return (uint64_t)m->weight * m->share;
}

static void two_changed(struct cluster_tier *t, uint32_t place)
{
	const struct cluster_member *m = t->members[place];

	weight_tree_set(t->prepared, place, m->is_open ? weight_of(m) : 0);
}

/* (active + 1) / weight of each, without the division. */
static bool is_lighter(const struct cluster_member *a, const struct cluster_member *b)
{
	return (unsigned __int128)(a->active + 1ull) * weight_of(b) <
	       (unsigned __int128)(b->active + 1ull) * weight_of(a);
}

static uint32_t two_pick(struct cluster_tier *t, const struct pick *p)
{
	const struct weight_tree *open = t->prepared;
	uint64_t sum = weight_tree_sum(open), before, none, point;
	uint32_t a = weight_tree_find(open, weight_tree_point(random_fast(), sum), &before), b;

	(void)p;
	sum -= weight_tree_of(open, a);
	if (sum == 0)
		return a;
	point = weight_tree_point(random_fast(), sum);
	if (point >= before) /* as if the first one's stretch were cut out */
		point += weight_tree_of(open, a);
	b = weight_tree_find(open, point, &none);
	return is_lighter(t->members[b], t->members[a]) ? b : a;
}

const struct algorithm algorithm_random_two = {
	.name = "random_two",
	.prepare = two_prepare,
	.forget = two_forget,
	.changed = two_changed,
	.pick = two_pick,
};
