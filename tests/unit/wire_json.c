/* wire/json: values read one after the other. */
#include "wire/json.h"

#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define T(literal) literal, sizeof(literal) - 1

static const struct {
	const char *name, *in;
	size_t in_len;
	const char *want; /* NULL: it is none */
	size_t want_len;
} strings[] = {
	{ "plain", T("\"abc\""), T("abc") },
	{ "empty", T("\"\""), T("") },
	{ "escapes", T("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), T("\"\\/\b\f\n\r\t") },
	{ "NUL is a character", T("\"a\\u0000b\""), T("a\0b") },
	{ "two bytes", T("\"\\u00e9\""), T("\xc3\xa9") },
	{ "three bytes", T("\"\\u20ac\""), T("\xe2\x82\xac") },
	{ "a pair", T("\"\\ud83d\\ude00\""), T("\xf0\x9f\x98\x80") },
	{ "a lone high surrogate", T("\"\\ud83dx\""), T("\xef\xbf\xbdx") },
	{ "a high one before another escape", T("\"\\ud83d\\u0041\""), T("\xef\xbf\xbd" "A") },
	{ "two high ones", T("\"\\ud83d\\ud83d\\ude00\""), T("\xef\xbf\xbd\xf0\x9f\x98\x80") },
	{ "a lone low one", T("\"\\ude00\""), T("\xef\xbf\xbd") },
	{ "raw UTF-8", T("\"\xe2\x82\xac\xf0\x9f\x98\x80\""), T("\xe2\x82\xac\xf0\x9f\x98\x80") },
	{ "overlong", T("\"\xc0\xaf\""), NULL, 0 },
	{ "overlong in three", T("\"\xe0\x80\xaf\""), NULL, 0 },
	{ "a surrogate in UTF-8", T("\"\xed\xa0\x80\""), NULL, 0 },
	{ "above U+10FFFF", T("\"\xf4\x90\x80\x80\""), NULL, 0 },
	{ "cut UTF-8", T("\"\xe2\x82\""), NULL, 0 },
	{ "a control character", T("\"a\nb\""), NULL, 0 },
	{ "a bare NUL", T("\"a\0b\""), NULL, 0 },
	{ "no end", T("\"abc"), NULL, 0 },
	{ "an escape of nothing", T("\"abc\\"), NULL, 0 },
	{ "an unknown escape", T("\"\\x41\""), NULL, 0 },
	{ "short digits", T("\"\\u00e\""), NULL, 0 },
	{ "no string", T("12"), NULL, 0 },
};

static void strings_come_out_decoded(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(strings); i++) {
		char *own = malloc(strings[i].in_len); /* exactly: what is read beyond shows */
		struct json j;
		size_t len = 0;
		bool ok;

		memcpy(own, strings[i].in, strings[i].in_len);
		j = json_of(own, strings[i].in_len);
		ok = json_string(&j, own, &len) && json_is_done(&j);
		if (ok != (strings[i].want != NULL) ||
		    (ok && (len != strings[i].want_len || memcmp(own, strings[i].want, len) != 0)))
			fail_msg("%s", strings[i].name);
		free(own);
		j = json_of(strings[i].in, strings[i].in_len);
		if (json_skip(&j) && json_is_done(&j) && strings[i].want == NULL && strings[i].in[0] == '"')
			fail_msg("%s: skipped", strings[i].name);
	}
}

static const struct {
	const char *text;
	bool is_good;
} values[] = {
	{ "{}", true }, { "[]", true }, { " [ ] ", true }, { "[1,2,3]", true }, { "{\"a\":{\"b\":[null,true,false]}}", true },
	{ "-0.5e+10", true }, { "0", true }, { "1E5", true }, { "\"x\"", true },
	{ "", false }, { "[1,]", false }, { "[,1]", false }, { "{\"a\"}", false }, { "{\"a\":}", false }, { "{a:1}", false },
	{ "[1 2]", false }, { "[1", false }, { "]", false }, { "[1}", false }, { "{\"a\":1]", false }, { "01", false },
	{ "1.", false }, { ".5", false }, { "1e", false }, { "+1", false }, { "nul", false }, { "[]x", false },
	{ "{\"a\":1,}", false },
};

static void only_values_are_skipped(void **state)
{
	char deep[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		struct json j = json_of(values[i].text, strlen(values[i].text));

		if ((json_skip(&j) && json_is_done(&j)) != values[i].is_good)
			fail_msg("%s", values[i].text);
	}
	memset(deep, '[', sizeof(deep));
	for (size_t depth = 30; depth < 36; depth++) {
		char text[100];
		struct json j;

		memset(text, '[', depth);
		memset(text + depth, ']', depth);
		j = json_of(text, 2 * depth);
		assert_int_equal(json_skip(&j), depth <= JSON_DEPTH_MAX);
	}
}

static const struct {
	const char *text;
	bool is_good;
	uint64_t want;
} numbers[] = {
	{ "0", true, 0 }, { "12", true, 12 }, { "9007199254740991", true, 9007199254740991 }, { "9007199254740992", false, 0 },
	{ "-1", false, 0 }, { "1.0", false, 0 }, { "1e3", false, 0 }, { "99999999999999999999", false, 0 }, { "007", false, 0 },
	{ "\"1\"", false, 0 },
};

static void numbers_are_whole_and_exact(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		struct json j = json_of(numbers[i].text, strlen(numbers[i].text));
		uint64_t got = 0;

		if (json_uint(&j, &got) != numbers[i].is_good || got != numbers[i].want)
			fail_msg("%s", numbers[i].text);
	}
}

static void members_are_walked(void **state)
{
	const char text[] = "{\"protocols\":[\"chat\",\"v2\"],\"a very long name that nobody knows\":[1,{}],\"turn\":7}";
	struct json j = json_of(text, sizeof(text) - 1);
	char name[16], word[16];
	size_t len;
	uint64_t turn = 0;
	unsigned words = 0;
	bool first = true;

	(void)state;
	json_enter(&j);
	while (json_next(&j, &first)) {
		assert_true(json_name(&j, name, sizeof(name), &len));
		if (len == 4 && memcmp(name, "turn", 4) == 0) {
			assert_true(json_uint(&j, &turn));
		} else if (len == 9) {
			bool first_word = true;

			json_enter(&j);
			while (json_next(&j, &first_word)) {
				assert_true(json_string_room(&j) <= sizeof(word) && json_string(&j, word, &len));
				words++;
			}
		} else {
			assert_true(json_skip(&j));
		}
	}
	assert_true(json_is_done(&j));
	assert_int_equal(turn, 7);
	assert_int_equal(words, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings_come_out_decoded),
		cmocka_unit_test(only_values_are_skipped),
		cmocka_unit_test(numbers_are_whole_and_exact),
		cmocka_unit_test(members_are_walked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
