/* base/str: numbers, escapes, and what happens at the end of the room. */
#include "base/str.h"

#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static void numbers_are_printed_as_printf_does(void **state)
{
	static const uint64_t values[] = { 0,     1,      9,	10,	     99,	 100,
					   101,   999,    1000, 65535,	     99999,	 100000,
					   1u << 31, UINT32_MAX, 10000000000u, INT64_MAX, (uint64_t)INT64_MAX + 1,
					   UINT64_MAX };
	char buf[64], want[64];
	struct str s;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		str_init(&s, buf, sizeof(buf));
		str_dec(&s, values[i]);
		snprintf(want, sizeof(want), "%llu", (unsigned long long)values[i]);
		assert_string_equal(str_text(&s), want);
		str_reset(&s);
		str_dec_signed(&s, (int64_t)values[i]);
		snprintf(want, sizeof(want), "%lld", (long long)values[i]);
		assert_string_equal(str_text(&s), want);
		str_reset(&s);
		str_hex(&s, values[i]);
		snprintf(want, sizeof(want), "%llx", (unsigned long long)values[i]);
		assert_string_equal(str_text(&s), want);
		for (unsigned width = 0; width <= 20; width++) {
			str_reset(&s);
			str_dec_padded(&s, values[i], width);
			snprintf(want, sizeof(want), "%0*llu", (int)width, (unsigned long long)values[i]);
			assert_string_equal(str_text(&s), width == 0 && values[i] == 0 ? "0" : want);
		}
	}
}

static void decimals_stand_behind_the_point(void **state)
{
	static const struct {
		uint64_t value;
		unsigned decimals;
		const char *want;
	} cases[] = {
		{ 0, 0, "0" },	     { 0, 3, "0.000" },	  { 7, 3, "0.007" },
		{ 1234, 3, "1.234" }, { 1000, 3, "1.000" }, { 123456789, 6, "123.456789" },
		{ 42, 0, "42" },      { UINT64_MAX, 19, "1.8446744073709551615" },
	};
	char buf[64];
	struct str s;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		str_init(&s, buf, sizeof(buf));
		str_dec_point(&s, cases[i].value, cases[i].decimals);
		assert_string_equal(str_text(&s), cases[i].want);
	}
}

static void hex_bytes_have_two_digits_each(void **state)
{
	char buf[16];
	struct str s;

	(void)state;
	str_init(&s, buf, sizeof(buf));
	str_hex_bytes(&s, "\x00\x0f\xf0\xff", 4);
	assert_string_equal(str_text(&s), "000ff0ff");
	str_hex_bytes(&s, "12345", 5);
	assert_true(s.is_cut);
	assert_int_equal(s.len, 8);
}

static const struct {
	const char *name, *in;
	size_t len;
	const char *json, *combined, *plain;
} escapes[] = {
	{ "empty", "", 0, "", "", "" },
	{ "plain", "GET /a?b=c", 10, "GET /a?b=c", "GET /a?b=c", "GET /a?b=c" },
	{ "quotes", "a\"b\\c", 5, "a\\\"b\\\\c", "a\\\"b\\\\c", "a\"b\\c" },
	{ "line ends", "a\nb\rc\td", 7, "a\\nb\\rc\\td", "a\\x0ab\\x0dc\\x09d", "a\\nb\\rc\\td" },
	{ "NUL", "a\0b", 3, "a\\u0000b", "a\\x00b", "a\\x00b" },
	{ "escape and DEL", "\x1b[2J\x7f", 5, "\\u001b[2J\\u007f", "\\x1b[2J\\x7f", "\\x1b[2J\\x7f" },
	{ "UTF-8 of 2, 3 and 4 bytes", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9,
	  "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\\xc3\\xa9\\xe2\\x82\\xac\\xf0\\x9f\\x98\\x80",
	  "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80" },
	{ "C1 control", "\xc2\x9b", 2, "\\u009b", "\\xc2\\x9b", "\\xc2\\x9b" },
	{ "next line", "\xc2\x85", 2, "\\u0085", "\\xc2\\x85", "\\xc2\\x85" },
	{ "line separator", "\xe2\x80\xa8", 3, "\\u2028", "\\xe2\\x80\\xa8", "\\xe2\\x80\\xa8" },
	{ "lone continuation", "\x80", 1, "\\ufffd", "\\x80", "\\x80" },
	{ "cut sequence", "\xe2\x82", 2, "\\ufffd\\ufffd", "\\xe2\\x82", "\\xe2\\x82" },
	{ "cut by a quote", "\xe2\"", 2, "\\ufffd\\\"", "\\xe2\\\"", "\\xe2\"" },
	{ "overlong", "\xc0\xaf", 2, "\\ufffd\\ufffd", "\\xc0\\xaf", "\\xc0\\xaf" },
	{ "overlong of 3", "\xe0\x80\x8a", 3, "\\ufffd\\ufffd\\ufffd", "\\xe0\\x80\\x8a", "\\xe0\\x80\\x8a" },
	{ "surrogate", "\xed\xa0\x80", 3, "\\ufffd\\ufffd\\ufffd", "\\xed\\xa0\\x80", "\\xed\\xa0\\x80" },
	{ "beyond U+10FFFF", "\xf4\x90\x80\x80", 4, "\\ufffd\\ufffd\\ufffd\\ufffd", "\\xf4\\x90\\x80\\x80",
	  "\\xf4\\x90\\x80\\x80" },
};

typedef void (*escape_fn)(struct str *s, const void *bytes, size_t len);

static void expect_escape(const char *name, escape_fn escape, const char *in, size_t len, const char *want)
{
	size_t want_len = strlen(want);
	char buf[256];
	struct str s;

	/* in room of every size: whole, or nothing */
	for (size_t cap = 0; cap <= want_len + 2; cap++) {
		memset(buf, '#', sizeof(buf));
		str_init(&s, buf, cap);
		escape(&s, in, len);
		if (s.is_cut != (cap < want_len))
			fail_msg("%s: cut wrongly with room for %zu", name, cap);
		if (s.len != (cap < want_len ? 0 : want_len) || memcmp(buf, want, s.len) != 0)
			fail_msg("%s: \"%.*s\", want \"%s\"", name, (int)s.len, buf, want);
		if (buf[cap] != '#')
			fail_msg("%s: written past the end", name);
	}
}

static void escapes_are_as_each_format_wants(void **state)
{
	char quoted[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(escapes); i++) {
		const char *in = escapes[i].in;
		size_t len = escapes[i].len;

		expect_escape(escapes[i].name, str_json_part, in, len, escapes[i].json);
		expect_escape(escapes[i].name, str_combined, in, len, escapes[i].combined);
		expect_escape(escapes[i].name, str_plain, in, len, escapes[i].plain);
		snprintf(quoted, sizeof(quoted), "\"%s\"", escapes[i].json);
		expect_escape(escapes[i].name, str_json, in, len, quoted);
	}
}

static void every_byte_is_harmless_once_escaped(void **state)
{
	(void)state;
	for (unsigned first = 0; first < 256; first++)
		for (unsigned second = 0; second < 256; second++) {
			const char in[2] = { (char)first, (char)second };
			char buf[64];
			struct str s;

			for (unsigned which = 0; which < 3; which++) {
				str_init(&s, buf, sizeof(buf));
				(which == 0 ? str_json_part : which == 1 ? str_combined : str_plain)(&s, in, 2);
				assert_false(s.is_cut);
				for (size_t i = 0; i < s.len; i++) {
					assert_true((uint8_t)buf[i] >= 0x20);
					assert_int_not_equal((uint8_t)buf[i], 0x7f);
					/* a quote only behind a backslash */
					if (which != 2 && buf[i] == '"')
						assert_true(i > 0 && buf[i - 1] == '\\');
				}
			}
		}
}

static void nothing_is_appended_after_a_cut(void **state)
{
	char buf[8];
	struct str s;

	(void)state;
	str_init(&s, buf, sizeof(buf));
	str_cstr(&s, "1234");
	str_cstr(&s, "56789");
	assert_true(s.is_cut);
	str_char(&s, '5');
	str_dec(&s, 6);
	assert_int_equal(s.len, 4);
	assert_string_equal(str_text(&s), "1234");
	assert_true(s.is_cut);
	str_rewind(&s, 2);
	str_cstr(&s, "abcdef");
	assert_false(s.is_cut);
	assert_memory_equal(buf, "12abcdef", 8);
	assert_string_equal(str_text(&s), "");
	str_reset(&s);
	assert_string_equal(str_text(&s), "");
}

static void heap_string_grows_up_to_its_bound(void **state)
{
	struct str s;

	(void)state;
	str_init_heap(&s, 1000);
	for (unsigned i = 0; i < 1000; i++)
		str_char(&s, (char)('a' + i % 26));
	assert_false(s.is_cut);
	assert_int_equal(s.len, 1000);
	str_char(&s, '!');
	assert_true(s.is_cut);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(s.at[i], 'a' + i % 26);
	str_done(&s);
	str_init_heap(&s, SIZE_MAX);
	str_cstr(&s, "x");
	assert_false(str_reserve(&s, SIZE_MAX));
	assert_true(s.is_cut);
	str_done(&s);
	str_done(&s);
	str_init_heap(&s, 10);
	str_cstr(&s, "0123456789");
	assert_false(s.is_cut);
	assert_int_equal(s.cap, 10);
	str_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_printed_as_printf_does),
		cmocka_unit_test(decimals_stand_behind_the_point),
		cmocka_unit_test(hex_bytes_have_two_digits_each),
		cmocka_unit_test(escapes_are_as_each_format_wants),
		cmocka_unit_test(every_byte_is_harmless_once_escaped),
		cmocka_unit_test(nothing_is_appended_after_a_cut),
		cmocka_unit_test(heap_string_grows_up_to_its_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
