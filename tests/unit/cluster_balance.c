/* cluster/round_robin, least_connections, random_two: who gets how much, to the connection. */
#include "cluster_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define MAX_MEMBERS 16

static const struct {
	const char *name;
	unsigned count;
	uint32_t weights[MAX_MEMBERS];
	const char *order; /* of one period; NULL: any */
} rounds[] = {
	{ "one", 1, { 3 }, "aaa" },
	{ "equal ones go in the file's order", 3, { 1, 1, 1 }, "abc" },
	{ "equal weights are as even as ones", 3, { 7, 7, 7 }, "abcabcabcabcabcabcabc" },
	{ "the heavy one is not served in a row", 3, { 5, 1, 1 }, "abaaaca" },
	{ "1 2 3", 3, { 1, 2, 3 }, "cbcabc" },
	{ "weight 0 gets nothing", 3, { 1, 0, 1 }, "ac" },
	{ "one heavy, many light", 11, { 10, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 }, "abacadaeafagahaiajak" },
	{ "large and odd", 4, { 997, 1, 503, 64 }, NULL },
	{ "a million to one", 2, { 1000000, 1 }, NULL },
};

/* In every period exact; and at every moment of it within a connection or two of the exact share. */
static void round_robin_is_exact_and_smooth(void **state)
{
	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rounds); n++) {
		struct clusters *clusters = clusters_new();
		struct fixture *f = fixture_new("round_robin", rounds[n].count, rounds[n].weights);
		struct cluster_view *v = cluster_view_new(clusters, &f->config);
		uint64_t counts[MAX_MEMBERS] = { 0 }, sum = 0;

		for (unsigned i = 0; i < rounds[n].count; i++)
			sum += rounds[n].weights[i];
		for (uint64_t k = 0; k < 3 * sum; k++) {
			struct endpoint *e = pick_one(v, 0);
			uint32_t i = index_of(v, e);

			counts[i]++;
			pick_over(e);
			if (rounds[n].order != NULL && (char)('a' + i) != rounds[n].order[k % sum])
				fail_msg("%s: pick %lu is %c", rounds[n].name, (unsigned long)k,
					 'a' + (int)i);
			for (i = 0; i < rounds[n].count; i++) {
				int64_t off = (int64_t)(counts[i] * sum) -
					      (int64_t)((k + 1) * rounds[n].weights[i]);

				if (llabs(off) > 2 * (int64_t)sum || ((k + 1) % sum == 0 && off != 0))
					fail_msg("%s: after %lu picks member %u has %lu", rounds[n].name,
						 (unsigned long)k + 1, i, (unsigned long)counts[i]);
			}
		}
		cluster_view_free(v);
		clusters_free(clusters);
		free(f);
	}
}

static void round_robin_does_not_make_up_for_absence(void **state)
{
	struct clusters *clusters = clusters_new();
	struct fixture *f = fixture_new("round_robin", 4, NULL);
	static const uint32_t others[] = { 3, 0, 1 };
	struct cluster_view *v;
	struct endpoint *held = NULL, *e;

	(void)state;
	f->endpoints[2].max_connections = 1;
	v = cluster_view_new(clusters, &f->config);
	for (unsigned i = 0; i < 3; i++) {
		held = pick_one(v, 0);
		if (i < 2)
			pick_over(held);
	}
	assert_int_equal(index_of(v, held), 2);
	for (unsigned i = 0; i < 3 * 100; i++) { /* the other three share, turn by turn */
		e = pick_one(v, 0);
		assert_int_equal(index_of(v, e), others[i % 3]);
		pick_over(e);
	}
	pick_over(held);
	for (unsigned i = 0; i < 4 * 10; i++) { /* back, with its one turn in four: 2 3 0 1 ... */
		e = pick_one(v, 0);
		assert_int_equal(index_of(v, e), (i + 2) % 4);
		pick_over(e);
	}
	cluster_view_free(v);
	clusters_free(clusters);
	free(f);
}

static const struct {
	unsigned count;
	uint32_t weights[MAX_MEMBERS];
	unsigned picks;
	uint32_t want[MAX_MEMBERS];
} leasts[] = {
	{ 3, { 1, 2, 3 }, 12, { 2, 4, 6 } },
	{ 4, { 1, 1, 1, 1 }, 10000, { 2500, 2500, 2500, 2500 } },
	{ 2, { 100, 300 }, 4000, { 1000, 3000 } },
	{ 3, { 1, 0, 1 }, 8, { 4, 0, 4 } },
	{ 4, { 1, 1, 1, 1 }, 10000, { 2500, 2500, 2500, 2500 } },
	{ 4, { 1, 1, 1, 1 }, 10001, { 2501, 2500, 2500, 2500 } },
};

static void long_lived_connections_are_spread_by_weight(void **state)
{
	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(leasts); n++) {
		struct clusters *clusters = clusters_new();
		struct fixture *f = fixture_new("least_connections", leasts[n].count, leasts[n].weights);
		struct cluster_view *v = cluster_view_new(clusters, &f->config);

		for (unsigned i = 0; i < leasts[n].picks; i++)
			endpoint_unref(pick_one(v, 0)); /* the place stays taken */
		for (unsigned i = 0; i < leasts[n].count; i++) {
			assert_int_equal(v->members[i].endpoint->active, leasts[n].want[i]);
			while (v->members[i].endpoint->active > 0)
				endpoint_release(v->members[i].endpoint);
		}
		cluster_view_free(v);
		clusters_free(clusters);
		free(f);
	}
}

/* Connections come and go at random; whenever one comes, it goes to one who has fewest. */
static void the_least_loaded_is_chosen_whatever_leaves(void **state)
{
	enum { COUNT = 37, HELD = 400 };
	struct clusters *clusters = clusters_new();
	struct fixture *f = fixture_new("least_connections", COUNT, NULL);
	struct cluster_view *v = cluster_view_new(clusters, &f->config);
	struct endpoint *held[HELD] = { NULL };
	unsigned dice = 1;

	(void)state;
	for (unsigned step = 0; step < 20000; step++) {
		unsigned i = (dice = dice * 1664525 + 1013904223) / 7 % HELD;
		uint32_t least = UINT32_MAX;

		if (held[i] != NULL) {
			pick_over(held[i]);
			held[i] = NULL;
			continue;
		}
		for (unsigned k = 0; k < COUNT; k++)
			least = v->members[k].endpoint->active < least ? v->members[k].endpoint->active
								       : least;
		held[i] = pick_one(v, 0);
		assert_int_equal(held[i]->active, least + 1);
	}
	for (unsigned i = 0; i < HELD; i++) {
		if (held[i] != NULL)
			pick_over(held[i]);
	}
	cluster_view_free(v);
	clusters_free(clusters);
	free(f);
}

static void equal_members_share_short_requests(void **state)
{
	struct clusters *clusters = clusters_new();
	struct fixture *f = fixture_new("least_connections", 5, NULL);
	struct cluster_view *v = cluster_view_new(clusters, &f->config);

	(void)state;
	for (unsigned i = 0; i < 500; i++) { /* never two at once: all are empty each time */
		struct endpoint *e = pick_one(v, 0);

		assert_int_equal(index_of(v, e), i % 5);
		pick_over(e);
	}
	cluster_view_free(v);
	clusters_free(clusters);
	free(f);
}

/* Balls into bins with two choices: the fullest is above the mean by the logarithm of a logarithm. */
static void random_two_is_nearly_even(void **state)
{
	const uint32_t weights[4] = { 1, 2, 3, 4 };
	const unsigned picks = 20000;
	struct clusters *clusters = clusters_new();
	struct fixture *f = fixture_new("random_two", 4, weights);
	struct cluster_view *v = cluster_view_new(clusters, &f->config);

	(void)state;
	for (unsigned i = 0; i < picks; i++)
		endpoint_unref(pick_one(v, 0));
	for (unsigned i = 0; i < 4; i++) {
		struct endpoint *e = v->members[i].endpoint;
		int want = (int)(picks * weights[i] / 10);

		if (abs((int)e->active - want) > 20)
			fail_msg("weight %u: %u of %u", weights[i], e->active, picks);
		while (e->active > 0)
			endpoint_release(e);
	}
	cluster_view_free(v);
	clusters_free(clusters);
	free(f);
}

/* The two are distinct: of two members the emptier one always gets it. */
static void random_two_asks_two(void **state)
{
	struct clusters *clusters = clusters_new();
	struct fixture *f = fixture_new("random_two", 2, NULL);
	struct cluster_view *v = cluster_view_new(clusters, &f->config);

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		endpoint_unref(pick_one(v, 0));
		assert_true(abs((int)v->members[0].endpoint->active - (int)v->members[1].endpoint->active) <=
			    1);
	}
	for (unsigned i = 0; i < 2; i++) {
		while (v->members[i].endpoint->active > 0)
			endpoint_release(v->members[i].endpoint);
	}
	cluster_view_free(v);
	clusters_free(clusters);
	free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_robin_is_exact_and_smooth),
		cmocka_unit_test(round_robin_does_not_make_up_for_absence),
		cmocka_unit_test(long_lived_connections_are_spread_by_weight),
		cmocka_unit_test(the_least_loaded_is_chosen_whatever_leaves),
		cmocka_unit_test(equal_members_share_short_requests),
		cmocka_unit_test(random_two_is_nearly_even),
		cmocka_unit_test(random_two_asks_two),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
