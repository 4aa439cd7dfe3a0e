/* Origins: which pages are meant by which entry. */
#include "guard/origin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/list.h"

static const struct {
	const char *entry, *origin;
	bool is_listed;
} cases[] = {
	{ "https://example.com", "https://example.com", true },
	{ "https://example.com", "HTTPS://Example.COM", true },
	{ "https://example.com", "http://example.com", false },
	{ "https://example.com", "https://example.com:8443", false },
	{ "https://example.com:8443", "https://example.com:8443", true },
	{ "https://example.com", "https://example.com.evil.net", false },
	{ "https://example.com", "https://evil-example.com", false },
	{ "https://example.com", "null", false },
	{ "https://example.com", "", false },
	{ "https://*.example.com", "https://a.example.com", true },
	{ "https://*.example.com", "https://a.b.example.com", true },
	{ "https://*.example.com", "https://example.com", false },
	{ "https://*.example.com", "https://.example.com", false },
	{ "https://*.example.com", "https://evilexample.com", false },
	{ "https://*.example.com", "https://evil.net/.example.com", false },
	{ "https://*.example.com", "https://evil.net#.example.com", false },
	{ "https://*.example.com", "https://user@a.example.com", false },
	{ "https://*.example.com", "http://a.example.com", false },
	{ "https://*.example.com", "https://a.example.com:444", false },
	{ "https://*.example.com:444", "https://a.example.com:444", true },
};

static void origins_are_told_apart(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *list[] = { (char *)(uintptr_t)"https://other.net", (char *)(uintptr_t)cases[i].entry };

		if (origin_is_listed(list, 2, cases[i].origin, strlen(cases[i].origin)) != cases[i].is_listed)
			fail_msg("%s, %s", cases[i].entry, cases[i].origin);
	}
	assert_false(origin_is_listed(NULL, 0, "https://example.com", 19));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(origins_are_told_apart) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
