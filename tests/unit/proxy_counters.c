/* proxy/counters: closes are counted by value. */
#include "proxy/counters.h"

#include "base/histogram.h"
#include "proxy/access_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* The cell with this name among the close codes of one initiator; the unused value is no cell. */
static unsigned cell_of(const char *code, unsigned by)
{
	for (unsigned i = 0; i < PROXY_CLOSE_CODES; i++) {
		char text[8];

		proxy_close_code_print(i, text);
		if (strcmp(text, code) == 0)
			return COUNTERS_CLOSES + by * PROXY_CLOSE_CODES + i;
	}
	fail_msg("there is no close code %s", code);
	return 0;
}

static const struct {
	uint16_t code;
	const char *name;
} closes[] = {
	{ 0, "1006" },	  { 1000, "1000" }, { 1001, "1001" }, { 1005, "1005" }, { 1009, "1009" }, { 1014, "1014" },
	{ 1015, "1015" }, { 2999, "other" }, { 3000, "3xxx" }, { 3999, "3xxx" }, { 4000, "4xxx" }, { 4999, "4xxx" },
	{ 5000, "other" },
};

static void a_close_counts_once_under_its_code_and_initiator(void **state)
{
	static const struct {
		enum closed_by by;
		const char *name;
	} initiators[] = { { CLOSED_BY_CLIENT, "client" }, { CLOSED_BY_BACKEND, "backend" }, { CLOSED_BY_PROXY, "proxy" } };

	(void)state;
	for (unsigned by = 0; by < PROXY_CLOSE_INITIATORS; by++) {
		assert_string_equal(proxy_close_initiator(by), initiators[by].name);
		for (size_t i = 0; i < sizeof(closes) / sizeof(closes[0]); i++) {
			unsigned cell = cell_of(closes[i].name, by);
			uint64_t before = counter_sum(cell);

			proxy_count_close(closes[i].code, initiators[by].by);
			if (counter_sum(cell) != before + 1)
				fail_msg("%u is not under %s", closes[i].code, closes[i].name);
		}
	}
}

static void a_duration_counts_in_every_bucket_above_it(void **state)
{
	static const uint64_t us[] = { 100, 101, 40000, 2000000, 90000000 };
	static const struct {
		uint64_t bound_us, want;
	} buckets[] = { { 100, 1 }, { 250, 2 }, { 25000, 2 }, { 50000, 3 }, { 2500000, 4 }, { 10000000, 4 } };
	struct histogram_sum sum;

	(void)state;
	for (size_t i = 0; i < sizeof(us) / sizeof(us[0]); i++)
		histogram_add_us(HISTOGRAM_PING_RTT, us[i]);
	histogram_read(HISTOGRAM_PING_RTT, &sum);
	assert_int_equal(sum.count, 5);
	assert_int_equal(sum.sum, 92040201);
	for (size_t i = 0; i < sizeof(buckets) / sizeof(buckets[0]); i++)
		for (unsigned b = 0; b < HISTOGRAM_BOUNDS; b++)
			if (histogram_bounds_us[b] == buckets[i].bound_us)
				assert_int_equal(sum.upto[b], buckets[i].want);
	histogram_read(HISTOGRAM_CONNECT, &sum);
	assert_int_equal(sum.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_close_counts_once_under_its_code_and_initiator),
		cmocka_unit_test(a_duration_counts_in_every_bucket_above_it),
	};

	proxy_counters_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
