/* What a pick costs, for callgrind to count (tests/bench/pick-cost): ENDPOINTS endpoints, PICKS picks, each with the
 * place of an older one given back.
 *
 *     pick_cost ALGORITHM ENDPOINTS PICKS
 *
 * Fails where a pick allocates: malloc and its kin are wrapped. */
#include "base/log.h"
#include "../unit/cluster_fixture.h"

#include <stddef.h>

#define HELD 2048u

static unsigned long allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *at, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *at, size_t size);

void *__wrap_malloc(size_t size)
{
	allocations++;
	return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	allocations++;
	return __real_calloc(count, size);
}

void *__wrap_realloc(void *at, size_t size)
{
	allocations++;
	return __real_realloc(at, size);
}

int main(int argc, char **argv)
{
	static struct endpoint *held[HELD];
	unsigned endpoints = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 1000;
	unsigned picks = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 10000;
	struct clusters *clusters = clusters_new();
	struct fixture *f = fixture_new(argc > 1 ? argv[1] : "round_robin", 0, NULL);
	struct cluster_view *v;
	unsigned long before;

	log_set_level(LOG_LEVEL_ERROR);
	for (unsigned i = 0; i < endpoints && i < FIXTURE_MAX; i++)
		fixture_add(f, i, 1 + i % 3);
	v = cluster_view_new(clusters, &f->config);
	for (unsigned i = 0; i < HELD; i++)
		held[i] = pick_one(v, hash_mix(i));
	before = allocations;
	for (unsigned i = 0; i < picks; i++) {
		unsigned at = (unsigned)hash_mix(i) % HELD;

		if (held[at] == NULL)
			return 1;
		pick_over(held[at]);
		held[at] = pick_one(v, hash_mix(i + HELD));
	}
	if (allocations != before) {
		fprintf(stderr, "%lu allocations in %u picks\n", allocations - before, picks);
		return 1;
	}
	for (unsigned i = 0; i < HELD; i++)
		pick_over(held[i]);
	cluster_view_free(v);
	clusters_free(clusters);
	free(f);
	return 0;
}
