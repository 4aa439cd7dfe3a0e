/* base/counters: no count is lost, whichever thread makes it, and whether or not it still lives. */
#include "base/counters.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

enum { COUNTER_ONE = COUNTERS_NET, COUNTER_GAP, COUNTER_TWO, COUNTER_OPEN };

static const struct counter_row rows[] = {
	{ "ones_total", "Ones.", "direction=\"in\"", false },
	{ NULL, NULL, NULL, false },
	{ "twos_total", "Twos.", NULL, false },
	{ "open", "Open now.", NULL, true },
};

#define ROUNDS 500000
#define THREADS 4 /* of each kind */

static pthread_barrier_t begin; /* all count at the same time */

static void *count_attached(void *unused)
{
	(void)unused;
	pthread_barrier_wait(&begin);
	if (counters_attach() != 0)
		return NULL;
	for (unsigned i = 0; i < ROUNDS; i++) {
		counter_add(COUNTER_ONE, 1);
		counter_add(COUNTER_TWO, 2);
		counter_add(COUNTER_OPEN, 1);
	}
	counters_detach();
	return NULL;
}

static void *count_shared(void *unused)
{
	(void)unused;
	pthread_barrier_wait(&begin);
	for (unsigned i = 0; i < ROUNDS; i++)
		counter_add(COUNTER_ONE, 1);
	return NULL;
}

static void sums_hold_every_count(void **state)
{
	uint64_t before = counter_sum(COUNTER_ONE), last = before;
	pthread_t threads[THREADS * 2];

	(void)state;
	assert_int_equal(pthread_barrier_init(&begin, NULL, THREADS * 2), 0);
	for (unsigned i = 0; i < THREADS * 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, i % 2 ? count_attached : count_shared, NULL), 0);
	/* a reader meanwhile never sees a counter go back */
	for (unsigned i = 0; i < 1000; i++) {
		uint64_t now = counter_sum(COUNTER_ONE);

		assert_true(now >= last);
		last = now;
	}
	for (unsigned i = 0; i < THREADS * 2; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(counter_sum(COUNTER_ONE) - before, 2 * THREADS * ROUNDS);
	assert_int_equal(counter_sum(COUNTER_TWO), 2 * THREADS * ROUNDS);
}

static void gauge_goes_down_in_another_thread(void **state)
{
	(void)state;
	assert_int_equal(counter_sum(COUNTER_OPEN), THREADS * ROUNDS);
	counter_sub(COUNTER_OPEN, THREADS * ROUNDS - 3);
	assert_int_equal(counter_sum(COUNTER_OPEN), 3);
	counter_sub(COUNTER_OPEN, 3);
	assert_int_equal(counter_sum(COUNTER_OPEN), 0);
}

static void *remember_cells(void *out)
{
	counters_attach();
	*(struct counters **)out = counters_mine;
	counter_add(COUNTER_GAP, 1);
	counters_detach();
	return NULL;
}

static void cells_of_a_thread_that_ended_are_used_again(void **state)
{
	struct counters *first = NULL, *second = NULL;
	pthread_t t;

	(void)state;
	pthread_create(&t, NULL, remember_cells, &first);
	pthread_join(t, NULL);
	pthread_create(&t, NULL, remember_cells, &second);
	pthread_join(t, NULL);
	assert_non_null(first);
	assert_ptr_equal(first, second);
	assert_int_equal((uintptr_t)first % 64, 0);
	assert_int_equal(counter_sum(COUNTER_GAP), 2);
}

struct visit {
	char text[256];
};

static void note_row(const struct counter_row *row, uint64_t sum, void *user)
{
	struct visit *v = user;
	size_t len = strlen(v->text);

	snprintf(v->text + len, sizeof(v->text) - len, "%s{%s}=%llu ", row->name, row->labels ? row->labels : "",
		 (unsigned long long)sum);
}

static void each_row_is_visited_in_order(void **state)
{
	struct visit v = { "" };
	char want[256];

	(void)state;
	counters_each(note_row, &v);
	snprintf(want, sizeof(want), "ones_total{direction=\"in\"}=%u twos_total{}=%u open{}=0 ", 2 * THREADS * ROUNDS,
		 2 * THREADS * ROUNDS);
	assert_string_equal(v.text, want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_hold_every_count),
		cmocka_unit_test(gauge_goes_down_in_another_thread),
		cmocka_unit_test(cells_of_a_thread_that_ended_are_used_again),
		cmocka_unit_test(each_row_is_visited_in_order),
	};

	counters_register(COUNTERS_NET, rows, sizeof(rows) / sizeof(rows[0]));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
