/* wire/uri: paths as they are matched, queries, authorities. */
#include "wire/uri.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
	const char *path;
	const char *want; /* NULL: refused */
} paths[] = {
	{ "/", "/" },
	{ "/a/b", "/a/b" },
	{ "/a/b/", "/a/b/" },
	{ "//a//b//", "//a//b//" },
	{ "/%61%2D%7e%5F%2e", "/a-~_." },
	{ "/%c3%a9", "/%C3%A9" },
	{ "/a%2fb", "/a%2Fb" },
	{ "/a%5cb", "/a%5Cb" },
	{ "/%25", "/%25" },
	{ "/%2525", "/%2525" },
	{ "/%252e%252e/", "/%252e%252e/" },
	{ "/%20+", "/%20+" },
	{ "/%0a", "/%0A" },
	{ "/.", "/" },
	{ "/./", "/" },
	{ "/a/.", "/a/" },
	{ "/a/./b", "/a/b" },
	{ "/a/..", "/" },
	{ "/a/../", "/" },
	{ "/a/b/..", "/a/" },
	{ "/a/../b", "/b" },
	{ "/a/b/../../c", "/c" },
	{ "/a//../b", "/a/b" },
	{ "/a/%2e%2E/b", "/b" },
	{ "/a/.%2e/b", "/b" },
	{ "/a/%2e/b", "/a/b" },
	{ "/...", "/..." },
	{ "/.../..a/a..", "/.../..a/a.." },
	{ "/a/..;/b", "/a/..;/b" },
	{ "/{}|^`\"<>", "/{}|^`\"<>" },
	{ "/a..%2fb", "/a..%2Fb" },
	{ "", NULL },
	{ "a", NULL },
	{ "*", NULL },
	{ "/..", NULL },
	{ "/../a", NULL },
	{ "/./..", NULL },
	{ "/a/../..", NULL },
	{ "/a/../../b", NULL },
	{ "/%2e%2e/a", NULL },
	{ "/a/..%2fb", NULL },
	{ "/a/..%2Fb", NULL },
	{ "/a/%2e%2e%2fb", NULL },
	{ "/a%2f..", NULL },
	{ "/a%2f../b", NULL },
	{ "/a%5c..%5cb", NULL },
	{ "/a\\..\\b", NULL },
	{ "/..\\a", NULL },
	{ "/%00", NULL },
	{ "/a%00.html", NULL },
	{ "/%", NULL },
	{ "/%4", NULL },
	{ "/%4g", NULL },
	{ "/%g4", NULL },
	{ "/%%41", NULL },
	{ "/%+1", NULL },
	{ "/a b", NULL },
	{ "/a\tb", NULL },
	{ "/\xe9", NULL },
	{ "/a#b", NULL },
};

static void a_path_is_normalised_or_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		size_t len = strlen(paths[i].path);
		char *in = malloc(len + 1), *out = malloc(len + 1), again[64];
		long got;

		memcpy(in, paths[i].path, len); /* no NUL behind it */
		got = uri_path_normalise(in, len, out, len);
		if (paths[i].want == NULL) {
			if (got != -1)
				fail_msg("%s: %.*s", paths[i].path, (int)got, out);
		} else {
			if (got != (long)strlen(paths[i].want) ||
			    memcmp(out, paths[i].want, (size_t)got) != 0)
				fail_msg("%s: %.*s, want %s", paths[i].path, got > 0 ? (int)got : 0, out,
					 paths[i].want);
			assert_int_equal(uri_path_normalise(out, (size_t)got, again, sizeof again), got);
			assert_memory_equal(again, out, (size_t)got);
		}
		free(in);
		free(out);
	}
}

static void a_path_is_never_written_past_its_room(void **state)
{
	static const char path[] = "/a%20b/../%41c";
	(void)state;

	for (size_t cap = 0; cap < sizeof path; cap++) {
		char *out = malloc(cap + 1);
		long got = uri_path_normalise(path, sizeof path - 1, out, cap);

		assert_true(got == -1 || (got == 3 && memcmp(out, "/Ac", 3) == 0));
		free(out);
	}
}

static void a_target_is_split_at_the_first_mark(void **state)
{
	static const struct {
		const char *target;
		int path_len, query_at; /* -1: no query */
	} cases[] = { { "", 0, -1 },  { "/a", 2, -1 },	  { "/a?b", 2, 3 },
		      { "/?", 1, 2 }, { "/a?b?c", 2, 3 }, { "?", 0, 1 } };
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *target = cases[i].target, *path, *query;
		size_t path_len, query_len;

		uri_split(target, strlen(target), &path, &path_len, &query, &query_len);
		assert_ptr_equal(path, target);
		assert_int_equal(path_len, cases[i].path_len);
		if (cases[i].query_at < 0) {
			assert_null(query);
			assert_int_equal(query_len, 0);
		} else {
			assert_ptr_equal(query, target + cases[i].query_at);
			assert_int_equal(query_len, strlen(query));
		}
	}
}

static const struct {
	const char *query, *name, *value; /* NULL: none */
} parameters[] = {
	{ "a=1", "a", "1" },	   { "a=1&b=2", "b", "2" },   { "a=1&a=2", "a", "1" },
	{ "a=1=2", "a", "1=2" },   { "a", "a", "" },	      { "a&b", "b", "" },
	{ "a=", "a", "" },	   { "&&a=1&&", "a", "1" },   { "%61=%31", "a", "%31" },
	{ "a+b=1", "a b", "1" },   { "a%20b=1", "a b", "1" }, { "ab=1", "a", NULL },
	{ "a=1", "ab", NULL },	   { "a=1", "", NULL },	      { "=1", "", "1" },
	{ "=1", "a", NULL },	   { "", "a", NULL },	      { "%6=1", "a", NULL },
	{ "%zz=1&a=2", "a", "2" }, { "A=1", "a", NULL },      { "b;a=1", "a", NULL },
};

static void a_parameter_is_found_by_its_name(void **state)
{
	const char *value;
	size_t len;
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(parameters); i++) {
		bool found = uri_query_find(parameters[i].query, strlen(parameters[i].query),
					    parameters[i].name, strlen(parameters[i].name), &value, &len);

		if (found != (parameters[i].value != NULL) ||
		    (found &&
		     (len != strlen(parameters[i].value) || memcmp(value, parameters[i].value, len) != 0)))
			fail_msg("%s in %s", parameters[i].name, parameters[i].query);
	}
	assert_false(uri_query_find(NULL, 0, "a", 1, &value, &len));
}

static void escapes_are_decoded(void **state)
{
	char out[16];
	(void)state;

	assert_int_equal(uri_decode("a%20b+c", 7, true, out, sizeof out), 5);
	assert_memory_equal(out, "a b c", 5);
	assert_int_equal(uri_decode("a+b", 3, false, out, sizeof out), 3);
	assert_memory_equal(out, "a+b", 3);
	assert_int_equal(uri_decode("%00", 3, false, out, sizeof out), 1);
	assert_int_equal(uri_decode("", 0, false, out, 0), 0);
	assert_int_equal(uri_decode("a", 1, false, out, 0), -1);
	assert_int_equal(uri_decode("%4", 2, false, out, sizeof out), -1);
	assert_int_equal(uri_decode("%x4", 3, false, out, sizeof out), -1);
}

static const struct {
	const char *text;
	int host_len; /* 0: refused */
	int port;
	bool is_ipv6;
} authorities[] = {
	{ "a", 1, 0, false },
	{ "a:80", 1, 80, false },
	{ "a:65535", 1, 65535, false },
	{ "a:00080", 1, 80, false },
	{ "a:", 1, 0, false },
	{ "A-b_c~d.e.", 10, 0, false },
	{ "192.0.2.1:1", 9, 1, false },
	{ "[::]", 4, 0, true },
	{ "[::1]:443", 5, 443, true },
	{ "[1::]", 5, 0, true },
	{ "[1:2:3:4:5:6:7:8]", 17, 0, true },
	{ "[1:2:3:4:5:6:7::]", 17, 0, true },
	{ "[::2:3:4:5:6:7:8]", 17, 0, true },
	{ "[1:2:3:4:5:6:192.0.2.1]", 23, 0, true },
	{ "[::ffff:192.0.2.1]", 18, 0, true },
	{ "[2001:DB8::f]", 13, 0, true },
	{ "", 0, 0, false },
	{ ":80", 0, 0, false },
	{ "a:b", 0, 0, false },
	{ "a:65536", 0, 0, false },
	{ "a:000080", 0, 0, false },
	{ "a:0", 0, 0, false },
	{ "a:-1", 0, 0, false },
	{ "a:8 ", 0, 0, false },
	{ "a:80:", 0, 0, false },
	{ "u@a", 0, 0, false },
	{ "a/b", 0, 0, false },
	{ "a,b", 0, 0, false },
	{ "a%62", 0, 0, false },
	{ "a b", 0, 0, false },
	{ "::1", 0, 0, false },
	{ "[]", 0, 0, false },
	{ "[", 0, 0, false },
	{ "[:]", 0, 0, false },
	{ "[:::]", 0, 0, false },
	{ "[1]", 0, 0, false },
	{ "[1:]", 0, 0, false },
	{ "[:1]", 0, 0, false },
	{ "[1::2::3]", 0, 0, false },
	{ "[12345::]", 0, 0, false },
	{ "[1:2:3:4:5:6:7]", 0, 0, false },
	{ "[1:2:3:4:5:6:7:8:9]", 0, 0, false },
	{ "[1:2:3:4::5:6:7:8]", 0, 0, false },
	{ "[1:2:3:4:5:6:7:192.0.2.1]", 0, 0, false },
	{ "[::192.0.2]", 0, 0, false },
	{ "[::192.0.2.256]", 0, 0, false },
	{ "[::192.0.2.01]", 0, 0, false },
	{ "[::192.0.2.1:1]", 0, 0, false },
	{ "[192.0.2.1]", 0, 0, false },
	{ "[fe80::1%25eth0]", 0, 0, false },
	{ "[v1.a]", 0, 0, false },
	{ "[::1", 0, 0, false },
	{ "[::1]a", 0, 0, false },
	{ "[::1]80", 0, 0, false },
};

static void an_authority_is_parsed_or_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(authorities); i++) {
		size_t len = strlen(authorities[i].text);
		char *in = malloc(len + 1);
		struct uri_authority a = { 0 };
		bool is_valid;

		memcpy(in, authorities[i].text, len + 1);
		is_valid = uri_authority_parse(in, len, &a);
		if (is_valid != (authorities[i].host_len > 0) || (int)a.host_len != authorities[i].host_len ||
		    a.port != authorities[i].port || a.is_ipv6 != authorities[i].is_ipv6)
			fail_msg("%s: %d, host of %zu bytes, port %d", authorities[i].text, is_valid,
				 a.host_len, a.port);
		free(in);
	}
}

static void hosts_are_compared_without_case_and_final_dot(void **state)
{
	(void)state;
	assert_true(uri_host_is("Example.COM", 11, "example.com", 11));
	assert_true(uri_host_is("example.com.", 12, "example.com", 11));
	assert_true(uri_host_is("example.com", 11, "example.com.", 12));
	assert_false(uri_host_is("example.com..", 13, "example.com", 11));
	assert_false(uri_host_is("example.co", 10, "example.com", 11));
	assert_true(uri_host_is_below("a.Example.com", 13, ".example.com", 12));
	assert_true(uri_host_is_below("a.b.example.com.", 16, ".example.com", 12));
	assert_false(uri_host_is_below("example.com", 11, ".example.com", 12));
	assert_false(uri_host_is_below(".example.com", 12, ".example.com", 12));
	assert_false(uri_host_is_below("aexample.com", 12, ".example.com", 12));
	assert_false(uri_host_is_below("a.example.org", 13, ".example.com", 12));
	assert_false(uri_host_is_below("a.example.com", 13, "example.com", 11));
	assert_false(uri_host_is_below("a", 1, "", 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_is_normalised_or_refused),
		cmocka_unit_test(a_path_is_never_written_past_its_room),
		cmocka_unit_test(a_target_is_split_at_the_first_mark),
		cmocka_unit_test(a_parameter_is_found_by_its_name),
		cmocka_unit_test(escapes_are_decoded),
		cmocka_unit_test(an_authority_is_parsed_or_refused),
		cmocka_unit_test(hosts_are_compared_without_case_and_final_dot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
