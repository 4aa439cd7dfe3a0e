/* Weights in a row: their sum, and who stands at a given point of it.
 *
 * A binary tree of sums, so that weights come and go, and points are found, in the logarithm of their number.
 * Called by: random_two, consistent_hash.  Not for sharing between threads. */
#ifndef CLUSTER_WEIGHT_TREE_H
#define CLUSTER_WEIGHT_TREE_H

#include <stdbool.h>
#include <stdint.h>

struct weight_tree {
	uint32_t leaves; /* a power of two; they begin at this node */
	uint64_t *sums;	 /* node 1 is the root */
};

/* `count` > 0 weights, all 0.  false: out of memory; weight_tree_done() may follow. */
bool weight_tree_init(struct weight_tree *t, uint32_t count);
void weight_tree_done(struct weight_tree *t); /* accepts zeros */

void weight_tree_set(struct weight_tree *t, uint32_t index, uint64_t weight);
/* Whose stretch holds `point` (below the sum); `*before` gets the sum of the weights before it. */
uint32_t weight_tree_find(const struct weight_tree *t, uint64_t point, uint64_t *before);

static inline uint64_t weight_tree_sum(const struct weight_tree *t)
{
	return t->sums[1];
}
static inline uint64_t weight_tree_of(const struct weight_tree *t, uint32_t index)
{
	return t->sums[t->leaves + index];
}

/* A random 64-bit number as a point below `sum`. */
static inline uint64_t weight_tree_point(uint64_t random, uint64_t sum)
{
	return (uint64_t)(((unsigned __int128)random * sum) >> 64);
}

#endif
