/* The table of limits: exact, bounded, and forgetful only of those whom it may forget. */
#include "guard/limit_table.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/list.h"

#define SECOND UINT64_C(1000000000)
#define START  (1000 * SECOND)
/* So that no two of a few keys meet in a full shard, whatever the seeds. */
#define ROOMY 65536u

static struct limit_key key_of(const struct limit_table *t, uint32_t who)
{
	return limit_key_of(t, 1, &who, sizeof(who));
}

static const struct {
	const char *name;
	double per_s;
	uint32_t burst;
	unsigned at_once, after_second; /* how many pass at once, and of as many again a second later */
} rates[] = {
	{ "a second's worth is the burst", 10, 0, 10, 10 },
	{ "a burst above the rate", 2, 5, 5, 2 },
	{ "a burst below the rate: no more than that at once", 10, 3, 3, 3 },
	{ "less than one a second", 0.5, 0, 1, 0 },
	{ "many", 100000, 0, 100000, 100000 },
};

static unsigned take_many(struct limit_table *t, const struct limit_key *k, const struct bucket_rate *r, uint64_t now_ns)
{
	uint64_t wait_ns;
	unsigned passed = 0;

	while (passed < 1000000 && limit_take(t, k, r, now_ns, &wait_ns))
		passed++;
	return passed;
}

static void rates_are_exact(void **state)
{
	struct limit_table *t = limit_table_new(ROOMY);

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rates); i++) {
		struct limit_key k = key_of(t, i);
		struct bucket_rate r = bucket_rate_of(rates[i].per_s, rates[i].burst);
		unsigned first = take_many(t, &k, &r, START), second = take_many(t, &k, &r, START + SECOND);

		if (first != rates[i].at_once || second != rates[i].after_second)
			fail_msg("%s: %u, then %u", rates[i].name, first, second);
	}
	limit_table_free(t);
}

static void who_is_refused_is_told_for_how_long(void **state)
{
	struct limit_table *t = limit_table_new(ROOMY);
	struct bucket_rate r = bucket_rate_of(0.1, 2);
	struct limit_key k = key_of(t, 1);
	uint64_t wait_ns;

	(void)state;
	assert_true(limit_take(t, &k, &r, START, &wait_ns));
	assert_true(limit_take(t, &k, &r, START, &wait_ns));
	assert_false(limit_take(t, &k, &r, START + 3 * SECOND, &wait_ns));
	assert_int_equal(wait_ns, 7 * SECOND);
	assert_false(limit_take(t, &k, &r, START + 10 * SECOND - 1, &wait_ns));
	assert_true(limit_take(t, &k, &r, START + 10 * SECOND, &wait_ns));
	limit_table_free(t);
}

static void connections_are_counted_and_forgotten(void **state)
{
	struct limit_table *t = limit_table_new(ROOMY);
	const struct limit_rules rules = { .connections = 2 };
	struct limit_key k = key_of(t, 1), other = key_of(t, 2);
	uint32_t a, b, c;

	(void)state;
	assert_int_equal(limit_connection(t, &k, &rules, START, &a), LIMIT_OK);
	assert_int_equal(limit_connection(t, &k, &rules, START, &b), LIMIT_OK);
	assert_int_equal(limit_connection(t, &k, &rules, START, &c), LIMIT_CONNECTIONS);
	assert_int_equal(limit_connection(t, &other, &rules, START, &c), LIMIT_OK);
	assert_int_equal(limit_table_used(t), 2);
	limit_connection_gone(t, a, START);
	assert_int_equal(limit_connection(t, &k, &rules, START, &a), LIMIT_OK);
	limit_connection_gone(t, a, START);
	limit_connection_gone(t, b, START);
	limit_connection_gone(t, c, START);
	assert_int_equal(limit_table_used(t), 0);
	limit_table_free(t);
}

/* Ten million addresses come: the table stays as large as it is, those that are held keep their counts, and those that are
 * being refused stay refused. */
static void a_flood_of_addresses_pushes_out_nobody_who_is_held_or_refused(void **state)
{
	enum { CAPACITY = 4096, KEPT = 500, FLOOD = 10000000 };
	struct limit_table *t = limit_table_new(CAPACITY);
	const struct limit_rules rules = { .connections = 1 };
	struct bucket_rate slow = bucket_rate_of(1.0 / 3600, 1), quick = bucket_rate_of(10, 10);
	static uint32_t held[KEPT];
	uint64_t wait_ns;

	(void)state;
	for (uint32_t i = 0; i < KEPT; i++) {
		struct limit_key k = key_of(t, i), refused = key_of(t, i + KEPT);

		assert_int_equal(limit_connection(t, &k, &rules, START, &held[i]), LIMIT_OK);
		limit_take(t, &refused, &slow, START, &wait_ns);
		assert_false(limit_take(t, &refused, &slow, START, &wait_ns));
	}
	for (uint32_t i = 0; i < FLOOD; i++) {
		struct limit_key k = key_of(t, 2 * KEPT + i);

		limit_take(t, &k, &quick, START + i, &wait_ns);
	}
	assert_true(limit_table_used(t) <= CAPACITY);
	for (uint32_t i = 0; i < KEPT; i++) {
		struct limit_key k = key_of(t, i), refused = key_of(t, i + KEPT);
		uint32_t more;

		assert_int_equal(limit_connection(t, &k, &rules, START + SECOND, &more), LIMIT_CONNECTIONS);
		assert_false(limit_take(t, &refused, &slow, START + SECOND, &wait_ns));
		limit_connection_gone(t, held[i], START + SECOND);
	}
	limit_table_free(t);
}

/* When everybody in it has to stay, a new one passes and is not counted; nothing is overwritten. */
static void a_table_full_of_held_ones_lets_new_ones_pass(void **state)
{
	enum { MANY = 10000 };
	struct limit_table *t = limit_table_new(64);
	const struct limit_rules rules = { .connections = 1 };
	static uint32_t held[MANY];
	unsigned uncounted = 0;

	(void)state;
	for (uint32_t i = 0; i < MANY; i++) {
		struct limit_key k = key_of(t, i);

		assert_int_equal(limit_connection(t, &k, &rules, START, &held[i]), LIMIT_OK);
		uncounted += held[i] == 0;
	}
	assert_int_equal(limit_table_used(t) + uncounted, MANY);
	for (uint32_t i = 0; i < MANY; i++)
		limit_connection_gone(t, held[i], START);
	assert_int_equal(limit_table_used(t), 0);
	limit_table_free(t);
}

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 20000, LIMIT = 7 };

static struct shared {
	struct limit_table *t;
	atomic_uint open, most;
} shared;

static void *open_and_close(void *user)
{
	const struct limit_rules rules = { .connections = LIMIT };
	struct limit_key k = key_of(shared.t, 1);

	(void)user;
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint32_t held[3] = { 0 };
		unsigned now, most;

		for (unsigned j = 0; j < 3; j++) {
			if (limit_connection(shared.t, &k, &rules, START, &held[j]) != LIMIT_OK)
				continue;
			now = atomic_fetch_add(&shared.open, 1) + 1;
			most = atomic_load(&shared.most);
			while (now > most && !atomic_compare_exchange_weak(&shared.most, &most, now))
				;
		}
		for (unsigned j = 0; j < 3; j++) {
			if (held[j] == 0)
				continue;
			atomic_fetch_sub(&shared.open, 1);
			limit_connection_gone(shared.t, held[j], START);
		}
	}
	return NULL;
}

static void a_limit_is_exact_over_threads(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	shared.t = limit_table_new(64);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, open_and_close, NULL), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_true(atomic_load(&shared.most) <= LIMIT);
	assert_int_equal(limit_table_used(shared.t), 0);
	limit_table_free(shared.t);
}

/* Five messages of ten bytes are within both meters, whichever connection brings them; what is refused costs nothing. */
static void messages_and_bytes_of_a_key(void **state)
{
	struct limit_table *t = limit_table_new(ROOMY);
	const struct limit_meters by_count = { .messages = meter_rate_of(1, 5) };
	const struct limit_meters by_bytes = { .bytes = meter_rate_of(50, 0) };
	const struct limit_meters both = { meter_rate_of(1, 5), meter_rate_of(50, 0) };
	const struct limit_meters *const cases[] = { &by_count, &by_bytes, &both };
	const enum limit_meter refusers[] = { LIMIT_MESSAGES, LIMIT_BYTES, LIMIT_MESSAGES };

	(void)state;
	for (uint32_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct limit_key k = key_of(t, i), other = key_of(t, 100 + i);
		enum limit_meter which = LIMIT_MESSAGES;
		uint64_t wait = 0;

		for (unsigned n = 0; n < 5; n++)
			assert_int_equal(limit_frame(t, &k, cases[i], START, true, 10, &which), 0);
		for (unsigned n = 0; n < 3; n++)
			wait = limit_frame(t, &k, cases[i], START, true, 10, &which);
		assert_true(wait > 0 && wait <= SECOND);
		assert_int_equal(which, refusers[i]);
		assert_int_equal(limit_frame(t, &other, cases[i], START, true, 10, &which), 0);
		assert_int_equal(limit_frame(t, &k, cases[i], START + wait, true, 10, &which), 0);
	}
	limit_table_free(t);
}

/* A message longer than a second's bytes passes once, and is paid for; its further frames are never refused. */
static void bytes_may_run_into_debt(void **state)
{
	struct limit_table *t = limit_table_new(ROOMY);
	const struct limit_meters m = { .bytes = meter_rate_of(100, 0) };
	struct limit_key k = key_of(t, 1);
	enum limit_meter which;

	(void)state;
	assert_int_equal(limit_frame(t, &k, &m, START, true, 200, &which), 0);
	assert_int_equal(limit_frame(t, &k, &m, START, false, 200, &which), 0);
	assert_int_not_equal(limit_frame(t, &k, &m, START + 2 * SECOND, true, 1, &which), 0);
	assert_int_equal(limit_frame(t, &k, &m, START + 4 * SECOND, true, 1, &which), 0);
	limit_table_free(t);
}

/* One entry of a key never takes the other's place. */
static void meters_of_a_full_table(void **state)
{
	struct limit_table *t = limit_table_new(64);
	const struct limit_meters m = { meter_rate_of(1, 2), meter_rate_of(1000, 0) };
	enum limit_meter which;

	(void)state;
	for (uint32_t i = 0; i < 10000; i++) {
		struct limit_key k = key_of(t, i);

		limit_frame(t, &k, &m, START, true, 10, &which);
	}
	assert_true(limit_table_used(t) <= 64);
	limit_table_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rates_are_exact),
		cmocka_unit_test(who_is_refused_is_told_for_how_long),
		cmocka_unit_test(connections_are_counted_and_forgotten),
		cmocka_unit_test(a_flood_of_addresses_pushes_out_nobody_who_is_held_or_refused),
		cmocka_unit_test(a_table_full_of_held_ones_lets_new_ones_pass),
		cmocka_unit_test(a_limit_is_exact_over_threads),
		cmocka_unit_test(messages_and_bytes_of_a_key),
		cmocka_unit_test(bytes_may_run_into_debt),
		cmocka_unit_test(meters_of_a_full_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
