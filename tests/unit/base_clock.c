/* base/clock: dates, against those of the C library. */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

static void expect_date(uint64_t seconds, unsigned ms)
{
	uint64_t wall_ns = seconds * 1000000000u + ms * 1000000u + 999999u;
	char got[CLOCK_ISO_MAX], want[64];
	time_t t = (time_t)seconds;
	struct tm tm;
	size_t len;

	gmtime_r(&t, &tm);
	len = strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(want + len, sizeof(want) - len, ".%03uZ", ms);
	assert_int_equal(clock_print_iso(wall_ns, got), strlen(want));
	assert_string_equal(got, want);
	strftime(want, sizeof(want), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	assert_int_equal(clock_print_http(wall_ns, got), strlen(want));
	assert_string_equal(got, want);
	strftime(want, sizeof(want), "%d/%b/%Y:%H:%M:%S +0000", &tm);
	assert_int_equal(clock_print_clf(wall_ns, got), strlen(want));
	assert_string_equal(got, want);
}

static void every_day_is_the_librarys(void **state)
{
	(void)state;
	/* up to the end of what 64 bits of nanoseconds hold, in the year 2554 */
	for (uint64_t day = 0; day < UINT64_MAX / 1000000000u / 86400; day++)
		expect_date(day * 86400 + day * 7919 % 86400, (unsigned)(day % 1000));
}

static void days_change_at_midnight(void **state)
{
	static const uint64_t midnights[] = { 86400, 951782400, 951868800, 1709164800, 1709251200, 4107542400 };

	(void)state;
	expect_date(0, 0);
	for (size_t i = 0; i < sizeof(midnights) / sizeof(midnights[0]); i++) {
		expect_date(midnights[i] - 1, 999);
		expect_date(midnights[i], 0);
	}
	expect_date(UINT64_MAX / 1000000000u - 1, 0);
}

static void clocks_go_forward(void **state)
{
	uint64_t before_ns = clock_now_ns(), before_ms = clock_now_ms();

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		uint64_t now_ns = clock_now_ns();

		assert_true(now_ns >= before_ns);
		before_ns = now_ns;
	}
	assert_true(clock_now_ms() >= before_ms);
	assert_true(clock_wall_ns() / 1000000000u - (uint64_t)time(NULL) + 1 <= 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_day_is_the_librarys),
		cmocka_unit_test(days_change_at_midnight),
		cmocka_unit_test(clocks_go_forward),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
