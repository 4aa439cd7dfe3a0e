/* cluster/tournament, cluster/weight_tree: the same answers as counting it all. */
#include "cluster/tournament.h"
#include "cluster/weight_tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

static const uint32_t sizes[] = { 1, 2, 3, 5, 8, 13, 31, 32, 33, 100 };

static unsigned dice = 1;

static unsigned roll(unsigned below)
{
	return (dice = dice * 1664525 + 1013904223) / 65536 % below;
}

static uint32_t first_of(const struct tournament *t)
{
	uint32_t first = PICK_NOBODY;

	for (uint32_t i = 0; i < t->count; i++) {
		const struct rank *a = &t->ranks[i], *b = first == PICK_NOBODY ? NULL : &t->ranks[first];

		if (tournament_has(t, i) &&
		    (b == NULL || a->first < b->first || (a->first == b->first && a->second < b->second)))
			first = i;
	}
	return first;
}

static void the_lowest_rank_wins_whatever_changes(void **state)
{
	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(sizes); n++) {
		struct tournament t;

		assert_true(tournament_init(&t, sizes[n]));
		assert_int_equal(tournament_first(&t), PICK_NOBODY);
		for (unsigned step = 0; step < 3000; step++) {
			uint32_t i = roll(sizes[n]);

			if (roll(3) == 0) {
				tournament_leave(&t, i);
			} else {
				t.ranks[i] = (struct rank){ roll(5), roll(5) };
				tournament_enter(&t, i);
			}
			assert_int_equal(tournament_first(&t), first_of(&t));
		}
		tournament_done(&t);
	}
}

static void every_point_belongs_to_its_weight(void **state)
{
	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(sizes); n++) {
		struct weight_tree t;
		uint64_t before, want_before;

		assert_true(weight_tree_init(&t, sizes[n]));
		for (unsigned step = 0; step < 300; step++) {
			weight_tree_set(&t, roll(sizes[n]), roll(4));
			want_before = 0;
			for (uint32_t i = 0; i < sizes[n]; i++) {
				for (uint64_t k = 0; k < weight_tree_of(&t, i); k++) {
					assert_int_equal(weight_tree_find(&t, want_before + k, &before), i);
					assert_int_equal(before, want_before);
				}
				want_before += weight_tree_of(&t, i);
			}
			assert_int_equal(weight_tree_sum(&t), want_before);
		}
		weight_tree_done(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_lowest_rank_wins_whatever_changes),
		cmocka_unit_test(every_point_belongs_to_its_weight),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
