/* base/random: ranges and an even spread; bounds are so wide that a sound generator never leaves them. */
#include "base/random.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static void bytes_fill_every_length(void **state)
{
	(void)state;
	for (size_t len = 0; len <= 600; len++) {
		uint8_t out[608], seen[600] = { 0 };

		/* every byte is written: none stays zero in all of 20 rounds (2^-160) */
		for (unsigned round = 0; round < 20; round++) {
			memset(out, 0, sizeof(out));
			random_bytes(out, len);
			for (size_t i = 0; i < len; i++)
				seen[i] |= out[i];
			for (size_t i = len; i < sizeof(out); i++)
				assert_int_equal(out[i], 0);
		}
		for (size_t i = 0; i < len; i++)
			assert_int_not_equal(seen[i], 0);
	}
}

static void bytes_do_not_repeat(void **state)
{
	uint8_t ids[256][16];

	(void)state;
	for (unsigned i = 0; i < 256; i++) {
		random_bytes(ids[i], sizeof(ids[i]));
		for (unsigned j = 0; j < i; j++)
			assert_memory_not_equal(ids[i], ids[j], sizeof(ids[i]));
	}
}

static void *take_fast(void *out)
{
	*(uint64_t *)out = random_fast();
	return NULL;
}

static void threads_have_their_own_sequence(void **state)
{
	uint64_t a = random_fast(), b = 0;
	pthread_t t;

	(void)state;
	assert_int_equal(pthread_create(&t, NULL, take_fast, &b), 0);
	pthread_join(t, NULL);
	assert_int_not_equal(a, b);
	assert_int_not_equal(b, random_fast());
}

static void below_is_even(void **state)
{
	static const uint32_t bounds[] = { 1, 2, 3, 7, 10, 64 };

	(void)state;
	for (size_t b = 0; b < sizeof(bounds) / sizeof(bounds[0]); b++) {
		uint32_t counts[64] = { 0 };

		for (unsigned i = 0; i < bounds[b] * 10000; i++) {
			uint32_t got = random_below(bounds[b]);

			assert_true(got < bounds[b]);
			counts[got]++;
		}
		for (uint32_t i = 0; i < bounds[b]; i++)
			assert_in_range(counts[i], 9000, 11000); /* 10 standard deviations */
	}
	for (unsigned i = 0; i < 1000; i++)
		assert_true(random_below(0xc0000000u) < 0xc0000000u);
}

static void below_is_even_near_the_top(void **state)
{
	unsigned lowest = 0, multiples = 0;

	(void)state;
	/* 2^32 numbers for 3 * 2^30 places: some places come twice as often, unless what is too many is thrown away;
	 * by a remainder the lowest third, by a product every third one */
	for (unsigned i = 0; i < 90000; i++) {
		uint32_t got = random_below(0xc0000000u);

		lowest += got < 0x40000000u;
		multiples += got % 3 == 0;
	}
	assert_in_range(lowest, 28000, 32000);
	assert_in_range(multiples, 28000, 32000);
}

static void jitter_stays_within_its_percentage(void **state)
{
	uint64_t least = UINT64_MAX, most = 0;

	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		uint64_t got = random_jitter(1000, 10);

		assert_in_range(got, 900, 1100);
		least = got < least ? got : least;
		most = got > most ? got : most;
		assert_in_range(random_jitter(50, 100), 0, 100);
		assert_in_range(random_jitter(50, 1000), 0, 100);
		assert_int_equal(random_jitter(1000, 0), 1000);
		assert_int_equal(random_jitter(0, 50), 0);
		assert_int_equal(random_jitter(3, 10), 3);
		assert_true(random_jitter(UINT64_MAX, 50) >= UINT64_MAX / 2);
	}
	assert_true(least < 910);
	assert_true(most > 1090);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_fill_every_length),
		cmocka_unit_test(bytes_do_not_repeat),
		cmocka_unit_test(threads_have_their_own_sequence),
		cmocka_unit_test(below_is_even),
		cmocka_unit_test(below_is_even_near_the_top),
		cmocka_unit_test(jitter_stays_within_its_percentage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
