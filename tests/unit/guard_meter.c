/* guard/meter: token buckets as a moment in time. */
#include "guard/meter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define S UINT64_C(1000000000)

static const struct {
	const char *name;
	double per_s;
	uint32_t burst;
	uint32_t at_once; /* so many are there at first */
	uint64_t next_ns; /* and the next one so long after */
} cases[] = {
	{ "ten a second, a second's worth", 10, 0, 10, S / 10 },
	{ "ten a second, three at once", 10, 3, 3, S / 10 },
	{ "one a minute", 1.0 / 60, 0, 1, 60 * S },
	{ "one a minute, two at once", 1.0 / 60, 2, 2, 60 * S },
	{ "a million a second", 1e6, 5, 5, 1000 },
};

static void what_is_there_at_once_and_when_the_next(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct meter_rate rate = meter_rate_of(cases[i].per_s, cases[i].burst);
		uint64_t full = 0, now = 7 * S, wait;

		for (uint32_t n = 0; n < cases[i].at_once; n++) {
			if (meter_wait_ns(full, &rate, now) != 0)
				fail_msg("%s: only %u", cases[i].name, n);
			meter_charge(&full, &rate, now, 1);
		}
		wait = meter_wait_ns(full, &rate, now);
		if (wait + 2 < cases[i].next_ns || wait > cases[i].next_ns + 2)
			fail_msg("%s: the next after %llu ns", cases[i].name, (unsigned long long)wait);
		assert_int_equal(meter_wait_ns(full, &rate, now + wait), 0);
	}
}

static void a_rate_of_zero_is_none(void **state)
{
	struct meter_rate rate = meter_rate_of(0, 5);
	uint64_t full = 0;

	(void)state;
	meter_charge(&full, &rate, S, 1u << 30);
	assert_int_equal(meter_wait_ns(full, &rate, S), 0);
}

/* Whatever is asked for and whenever: never more than the burst and what has come in since. */
static void debts_are_paid(void **state)
{
	struct meter_rate rate = meter_rate_of(1000, 0);
	uint64_t full = 0, now = S;

	(void)state;
	meter_charge(&full, &rate, now, 5000); /* five seconds' worth, one of which was there */
	assert_in_range(meter_wait_ns(full, &rate, now), 4 * S, 4 * S + S / 500);
	assert_int_equal(meter_wait_ns(full, &rate, now + 4 * S + S / 500), 0);
	meter_charge(&full, &rate, now, UINT64_MAX); /* no overflow */
	assert_true(meter_wait_ns(full, &rate, now) > S);
	assert_true(meter_wait_ns(full, &rate, now + 3600 * S) > S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_there_at_once_and_when_the_next),
		cmocka_unit_test(a_rate_of_zero_is_none),
		cmocka_unit_test(debts_are_paid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
