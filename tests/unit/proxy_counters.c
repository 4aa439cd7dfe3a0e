/* proxy/counters: the rows that are counted by value. */
#include "proxy/counters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct search {
	const char *name, *labels;
	uint64_t sum;
	unsigned found;
};

static void visit(const struct counter_row *row, uint64_t sum, void *user)
{
	struct search *s = user;

	if (strcmp(row->name, s->name) != 0 || strcmp(row->labels != NULL ? row->labels : "", s->labels) != 0)
		return;
	s->sum = sum;
	s->found++;
}

static uint64_t sum_of(const char *name, const char *labels)
{
	struct search s = { name, labels, 0, 0 };

	counters_each(visit, &s);
	if (s.found != 1)
		fail_msg("%s{%s}: %u rows", name, labels, s.found);
	return s.sum;
}

static const struct {
	uint16_t code;
	const char *labels;
} closes[] = {
	{ 0, "code=\"1006\"" },	   { 1000, "code=\"1000\"" }, { 1001, "code=\"1001\"" }, { 1005, "code=\"1005\"" },
	{ 1009, "code=\"1009\"" }, { 1014, "code=\"1014\"" }, { 2999, "code=\"other\"" }, { 3000, "code=\"3xxx\"" },
	{ 3999, "code=\"3xxx\"" }, { 4000, "code=\"4xxx\"" }, { 4999, "code=\"4xxx\"" }, { 1015, "code=\"other\"" },
};

static void a_close_counts_once_under_its_code(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(closes) / sizeof(closes[0]); i++) {
		uint64_t before = sum_of("websocket_closes_total", closes[i].labels);

		proxy_close_count(closes[i].code);
		if (sum_of("websocket_closes_total", closes[i].labels) != before + 1)
			fail_msg("%u is not under %s", closes[i].code, closes[i].labels);
	}
}

static void a_round_trip_counts_in_every_bucket_above_it(void **state)
{
	static const struct {
		const char *labels;
		uint64_t want; /* of 500 us, 1 ms, 40 ms, 2 s, 9 s */
	} buckets[] = {
		{ "le=\"0.001\"", 2 }, { "le=\"0.025\"", 2 }, { "le=\"0.05\"", 3 },
		{ "le=\"1\"", 3 },     { "le=\"5\"", 4 },     { "le=\"+Inf\"", 5 },
	};
	static const uint32_t us[] = { 500, 1000, 40000, 2000000, 9000000 };

	(void)state;
	for (size_t i = 0; i < sizeof(us) / sizeof(us[0]); i++)
		proxy_rtt_count(us[i]);
	for (size_t i = 0; i < sizeof(buckets) / sizeof(buckets[0]); i++)
		assert_int_equal(sum_of("websocket_ping_rtt_seconds_bucket", buckets[i].labels), buckets[i].want);
	assert_int_equal(sum_of("websocket_ping_rtt_seconds_count", ""), 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_close_counts_once_under_its_code),
		cmocka_unit_test(a_round_trip_counts_in_every_bucket_above_it),
	};

	proxy_counters_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
