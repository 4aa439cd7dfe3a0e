/* wire/trace_context: what is a traceparent, and what is as if it were not there. */
#include "wire/trace_context.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define ID     "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"

static const struct {
	const char *name, *value;
	int want; /* -1: none; else whether it is sampled */
} cases[] = {
	{ "sampled", "00-" ID "-" PARENT "-01", 1 },
	{ "not sampled", "00-" ID "-" PARENT "-00", 0 },
	{ "flags that are not known yet", "00-" ID "-" PARENT "-fe", 0 },
	{ "a version to come", "01-" ID "-" PARENT "-01", 1 },
	{ "a version to come with more in it", "cc-" ID "-" PARENT "-01-what-ever", 1 },
	{ "a version to come that goes on without a dash", "cc-" ID "-" PARENT "-01.what", -1 },
	{ "version 00 has nothing more", "00-" ID "-" PARENT "-01-", -1 },
	{ "version ff is none", "ff-" ID "-" PARENT "-01", -1 },
	{ "upper case", "00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT "-01", -1 },
	{ "no trace", "00-00000000000000000000000000000000-" PARENT "-01", -1 },
	{ "no parent", "00-" ID "-0000000000000000-01", -1 },
	{ "no digit", "00-" ID "-00f067aa0ba902bx-01", -1 },
	{ "no digit in the flags", "00-" ID "-" PARENT "-0x", -1 },
	{ "no dash", "00_" ID "-" PARENT "-01", -1 },
	{ "too short", "00-" ID "-" PARENT "-0", -1 },
	{ "nothing", "", -1 },
};

static void fields_are_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct trace_context t = { .id = "" };
		bool got = trace_context_parse(cases[i].value, strlen(cases[i].value), &t);

		if (got != (cases[i].want >= 0) || (got && t.is_sampled != (cases[i].want == 1)) ||
		    strcmp(t.id, got ? ID : "") != 0)
			fail_msg("%s", cases[i].name);
	}
}

static void what_is_written_is_read(void **state)
{
	struct trace_context t = { ID, PARENT, true }, again = { .id = "" };
	char text[TRACE_FIELD_LEN];

	(void)state;
	trace_context_write(&t, text);
	assert_memory_equal(text, "00-" ID "-" PARENT "-01", TRACE_FIELD_LEN);
	assert_true(trace_context_parse(text, sizeof(text), &again));
	assert_string_equal(again.id, ID);
	assert_string_equal(again.parent, PARENT);
	assert_true(again.is_sampled);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_read),
		cmocka_unit_test(what_is_written_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
