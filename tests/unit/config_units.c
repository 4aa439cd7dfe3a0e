/* Numbers with units: read, written, and read again. */
#include "config/units.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/list.h"

static const struct {
	const char *text;
	enum units_error error;
	uint64_t ms;
	const char *printed;
} durations[] = {
	{ "0", UNITS_OK, 0, "0" },
	{ "0s", UNITS_OK, 0, "0" },
	{ "500ms", UNITS_OK, 500, "500ms" },
	{ "30s", UNITS_OK, 30000, "30s" },
	{ "90s", UNITS_OK, 90000, "90s" },
	{ "60s", UNITS_OK, 60000, "1m" },
	{ "5m", UNITS_OK, 300000, "5m" },
	{ "1h30m", UNITS_OK, 5400000, "90m" },
	{ "1d", UNITS_OK, 86400000, "1d" },
	{ "1d2h3m4s5ms", UNITS_OK, 93784005, "93784005ms" },
	{ "", UNITS_NOT_A_NUMBER, 0, NULL },
	{ "s", UNITS_NOT_A_NUMBER, 0, NULL },
	{ "-5s", UNITS_NOT_A_NUMBER, 0, NULL },
	{ "5", UNITS_NO_UNIT, 0, NULL },
	{ "1h5", UNITS_NO_UNIT, 0, NULL },
	{ "5x", UNITS_UNKNOWN_UNIT, 0, NULL },
	{ "5 s", UNITS_UNKNOWN_UNIT, 0, NULL },
	{ "1.5s", UNITS_UNKNOWN_UNIT, 0, NULL },
	{ "5S", UNITS_UNKNOWN_UNIT, 0, NULL },
	{ "1s1h", UNITS_UNKNOWN_UNIT, 0, NULL },
	{ "1s1s", UNITS_UNKNOWN_UNIT, 0, NULL },
	{ "106751991167d", UNITS_OK, 106751991167ull * 86400000, "106751991167d" },
	{ "106751991168d", UNITS_TOO_LARGE, 0, NULL },
	{ "99999999999999999999s", UNITS_TOO_LARGE, 0, NULL },
};

static void durations_are_read_and_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(durations); i++) {
		char text[UNITS_TEXT_MAX];
		uint64_t ms = 77;
		enum units_error error = units_parse_duration(durations[i].text, &ms);

		if (error != durations[i].error || ms != (error == UNITS_OK ? durations[i].ms : 77))
			fail_msg("%s: error %d, %" PRIu64, durations[i].text, (int)error, ms);
		if (error != UNITS_OK)
			continue;
		units_print_duration(ms, text);
		assert_string_equal(text, durations[i].printed);
	}
}

static const struct {
	const char *text;
	enum units_error error;
	uint64_t bytes;
	const char *printed;
} sizes[] = {
	{ "0", UNITS_OK, 0, "0" },
	{ "1B", UNITS_OK, 1, "1B" },
	{ "1024B", UNITS_OK, 1024, "1KiB" },
	{ "64KiB", UNITS_OK, 65536, "64KiB" },
	{ "1MiB", UNITS_OK, 1 << 20, "1MiB" },
	{ "1536KiB", UNITS_OK, 1536 << 10, "1536KiB" },
	{ "2GiB", UNITS_OK, 2ull << 30, "2GiB" },
	{ "1TiB", UNITS_OK, 1ull << 40, "1TiB" },
	{ "5", UNITS_NO_UNIT, 0, NULL },
	{ "5KB", UNITS_UNKNOWN_UNIT, 0, NULL },
	{ "5kib", UNITS_UNKNOWN_UNIT, 0, NULL },
	{ "5KiB3", UNITS_UNKNOWN_UNIT, 0, NULL },
	{ "1.5MiB", UNITS_UNKNOWN_UNIT, 0, NULL },
	{ "MiB", UNITS_NOT_A_NUMBER, 0, NULL },
	{ "8388607TiB", UNITS_OK, 8388607ull << 40, "8388607TiB" },
	{ "8388608TiB", UNITS_TOO_LARGE, 0, NULL },
	{ "99999999TiB", UNITS_TOO_LARGE, 0, NULL },
};

static void sizes_are_read_and_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		char text[UNITS_TEXT_MAX];
		uint64_t bytes = 77;
		enum units_error error = units_parse_size(sizes[i].text, &bytes);

		if (error != sizes[i].error || bytes != (error == UNITS_OK ? sizes[i].bytes : 77))
			fail_msg("%s: error %d, %" PRIu64, sizes[i].text, (int)error, bytes);
		if (error != UNITS_OK)
			continue;
		units_print_size(bytes, text);
		assert_string_equal(text, sizes[i].printed);
	}
}

static const struct {
	const char *text;
	enum units_error error;
	double per_s;
	const char *printed;
} rates[] = {
	{ "0", UNITS_OK, 0, "0" },
	{ "0/s", UNITS_OK, 0, "0" },
	{ "50/s", UNITS_OK, 50, "50/s" },
	{ "5/m", UNITS_OK, 5.0 / 60, "5/m" },
	{ "60/m", UNITS_OK, 1, "1/s" },
	{ "7/h", UNITS_OK, 7.0 / 3600, "7/h" },
	{ "999999999999/h", UNITS_OK, 999999999999.0 / 3600, "999999999999/h" },
	{ "50", UNITS_NO_UNIT, 0, NULL },
	{ "50/d", UNITS_UNKNOWN_UNIT, 0, NULL },
	{ "50/", UNITS_UNKNOWN_UNIT, 0, NULL },
	{ "50/ss", UNITS_UNKNOWN_UNIT, 0, NULL },
	{ "/s", UNITS_NOT_A_NUMBER, 0, NULL },
	{ "1000000000001/s", UNITS_TOO_LARGE, 0, NULL },
};

static void rates_are_read_and_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
		char text[UNITS_TEXT_MAX];
		double per_s = -1;
		enum units_error error = units_parse_rate(rates[i].text, &per_s);

		if (error != rates[i].error || per_s != (error == UNITS_OK ? rates[i].per_s : -1))
			fail_msg("%s: error %d, %g", rates[i].text, (int)error, per_s);
		if (error != UNITS_OK)
			continue;
		units_print_rate(per_s, text);
		assert_string_equal(text, rates[i].printed);
	}
}

/* A reload must not take 7/m for another rate than 7/m. */
static void every_rate_survives_printing(void **state)
{
	static const char *const units[] = { "s", "m", "h" };

	(void)state;
	for (unsigned n = 1; n < 20000; n += 7)
		for (size_t u = 0; u < ARRAY_LEN(units); u++) {
			char text[UNITS_TEXT_MAX];
			double before, after;

			snprintf(text, sizeof(text), "%u/%s", n, units[u]);
			assert_int_equal(units_parse_rate(text, &before), UNITS_OK);
			units_print_rate(before, text);
			assert_int_equal(units_parse_rate(text, &after), UNITS_OK);
			assert_true(before == after);
		}
}

static void byte_rates_are_read_and_written(void **state)
{
	char text[UNITS_TEXT_MAX];
	double rate = -1;

	(void)state;
	assert_int_equal(units_parse_byte_rate("0", &rate), UNITS_OK);
	assert_true(rate == 0);
	units_print_byte_rate(rate, text);
	assert_string_equal(text, "0");
	assert_int_equal(units_parse_byte_rate("64KiB/s", &rate), UNITS_OK);
	assert_true(rate == 65536);
	units_print_byte_rate(rate, text);
	assert_string_equal(text, "64KiB/s");
	assert_int_equal(units_parse_byte_rate("1MiB/m", &rate), UNITS_OK);
	units_print_byte_rate(rate, text);
	assert_string_equal(text, "1MiB/m");
	assert_int_equal(units_parse_byte_rate("64KiB", &rate), UNITS_NO_UNIT);
	assert_int_equal(units_parse_byte_rate("64/s", &rate), UNITS_NO_UNIT);
	assert_int_equal(units_parse_byte_rate("64KiB/x", &rate), UNITS_UNKNOWN_UNIT);
	assert_int_equal(units_parse_byte_rate("2TiB/s", &rate), UNITS_TOO_LARGE);
}

static void decimals_are_read_and_written(void **state)
{
	static const char *const good[] = { "0",	"1",	     "1.25", "0.5",
					    "0.000001", "99.999999", "100",  "1000000000.000001" };
	static const char *const bad[] = { "", ".5", "1.", "1.0000001", "1e3", "-1", "1,5", "nan", "inf" };
	char text[UNITS_TEXT_MAX];
	double value;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(units_parse_decimal(good[i], &value), UNITS_OK);
		units_print_decimal(value, text);
		assert_string_equal(text, good[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(units_parse_decimal(bad[i], &value), UNITS_NOT_A_NUMBER);
	assert_int_equal(units_parse_percent("12.5%", &value), UNITS_OK);
	assert_true(value == 12.5);
	units_print_percent(value, text);
	assert_string_equal(text, "12.5%");
	assert_int_equal(units_parse_percent("0", &value), UNITS_OK);
	assert_int_equal(units_parse_percent("5", &value), UNITS_NO_UNIT);
	assert_int_equal(units_parse_percent("5%%", &value), UNITS_UNKNOWN_UNIT);
}

static void whole_numbers_have_digits_only(void **state)
{
	uint64_t value = 0;

	(void)state;
	assert_int_equal(units_parse_uint("4294967295", UINT32_MAX, &value), UNITS_OK);
	assert_int_equal(value, UINT32_MAX);
	assert_int_equal(units_parse_uint("4294967296", UINT32_MAX, &value), UNITS_TOO_LARGE);
	assert_int_equal(units_parse_uint("0x10", UINT32_MAX, &value), UNITS_NOT_A_NUMBER);
	assert_int_equal(units_parse_uint(" 1", UINT32_MAX, &value), UNITS_NOT_A_NUMBER);
	assert_int_equal(units_parse_uint("+1", UINT32_MAX, &value), UNITS_NOT_A_NUMBER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations_are_read_and_written),
		cmocka_unit_test(sizes_are_read_and_written),
		cmocka_unit_test(rates_are_read_and_written),
		cmocka_unit_test(every_rate_survives_printing),
		cmocka_unit_test(byte_rates_are_read_and_written),
		cmocka_unit_test(decimals_are_read_and_written),
		cmocka_unit_test(whole_numbers_have_digits_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
