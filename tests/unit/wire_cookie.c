/* wire/cookie: pairs out of any bytes. */
#include "wire/cookie.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "wire/http1_parse.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
	const char *list;
	const char *pairs; /* each in angle brackets */
} lists[] = {
	{ "", "" },
	{ ";;; ;", "" },
	{ "a=1", "<a|1>" },
	{ "a=1; b=2", "<a|1><b|2>" },
	{ "a=1;b=2;", "<a|1><b|2>" },
	{ " a = 1 ;\tb=2", "<a|1><b|2>" },
	{ "a=", "<a|>" },
	{ "a", "" },
	{ "=1; a=2", "<a|2>" },
	{ "a=b=c", "<a|b=c>" },
	{ "a=\"x y\"", "<a|\"x y\">" },
	{ "a=1, b=2", "<a|1, b=2>" },
	{ "a=1; a=2", "<a|1><a|2>" },
	{ "x\x01=\xff\xfe; b=2", "<x\x01|\xff\xfe><b|2>" },
};

static void pairs_are_told_apart_whatever_stands_between_them(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		const char *list = lists[i].list;
		size_t len = strlen(list), at = 0;
		struct cookie c;
		char got[256] = "";

		while (cookie_next(&list, &len, &c))
			at += (size_t)snprintf(got + at, sizeof(got) - at, "<%.*s|%.*s>", (int)c.name_len, c.name,
					       (int)c.value_len, c.value);
		if (strcmp(got, lists[i].pairs) != 0)
			fail_msg("%s: %s, want %s", lists[i].list, got, lists[i].pairs);
	}
}

static void all_of_a_name_are_found_over_several_fields(void **state)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: x\r\nCookie: a=1; b=2; a=3\r\nX: y\r\nCookie: c=4; a=\r\n"
				   "cookie: aa=5; a=6; A=7\r\n\r\n";
	static const char *const want[] = { "1", "3", "", "6" };
	struct http_field fields[16];
	struct http_head head;
	struct cookie c, *after = NULL;

	(void)state;
	http_head_init(&head, fields, ARRAY_LEN(fields));
	assert_int_equal(http1_parse_request((const uint8_t *)text, sizeof(text) - 1, &(struct http1_limits){ 0 }, NULL,
					     &head),
			 sizeof(text) - 1);
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		assert_true(cookie_find(&head, "a", 1, after, &c));
		assert_int_equal(c.value_len, strlen(want[i]));
		assert_memory_equal(c.value, want[i], c.value_len);
		after = &c;
	}
	assert_false(cookie_find(&head, "a", 1, after, &c));
	assert_false(cookie_find(&head, "d", 1, NULL, &c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pairs_are_told_apart_whatever_stands_between_them),
		cmocka_unit_test(all_of_a_name_are_found_over_several_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
