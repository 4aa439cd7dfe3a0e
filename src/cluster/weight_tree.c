#include "cluster/weight_tree.h"

#include <stdlib.h>

bool weight_tree_init(struct weight_tree *t, uint32_t count)
{
	t->leaves = 1;
	while (t->leaves < count)
		t->leaves *= 2;
	t->sums = calloc(2 * (size_t)t->leaves, sizeof(*t->sums));
	return t->sums != NULL;
}

void weight_tree_done(struct weight_tree *t)
{
	free(t->sums);
	*t = (struct weight_tree){ 0 };
}

void weight_tree_set(struct weight_tree *t, uint32_t index, uint64_t weight)
{
	uint64_t change = weight - weight_tree_of(t, index);

	if (change == 0)
		return;
	for (uint32_t node = t->leaves + index; node >= 1; node /= 2)
		t->sums[node] += change; /* modulo 2^64: falls, too */
}

uint32_t weight_tree_find(const struct weight_tree *t, uint64_t point, uint64_t *before)
{
	uint32_t node = 1;
	uint64_t left = 0;

	while (node < t->leaves) {
		uint64_t sum = t->sums[2 * node];

		node *= 2;
		if (point >= sum) {
			point -= sum;
			left += sum;
			node++;
		}
	}
	*before = left;
	return node - t->leaves;
}
