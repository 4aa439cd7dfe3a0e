/* base/regex: matching, replacing, the bound on what a match may cost. */
#include "base/regex.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct regex *make(const char *pattern)
{
	char error[128];
	size_t offset;
	struct regex *r = regex_new(pattern, error, sizeof(error), &offset);

	if (r == NULL)
		fail_msg("%s: %s at %zu", pattern, error, offset);
	return r;
}

static int match(const char *pattern, const char *subject)
{
	struct regex *r = make(pattern);
	int got = regex_match(r, subject, strlen(subject));

	regex_free(r);
	return got;
}

static void pattern_matches_what_it_says(void **state)
{
	(void)state;
	assert_int_equal(match("^/ws/[0-9]+$", "/ws/12"), REGEX_MATCH);
	assert_int_equal(match("^/ws/[0-9]+$", "/ws/12x"), REGEX_NO_MATCH);
	assert_int_equal(match("b+", "abba"), REGEX_MATCH);
	assert_int_equal(match("(?i)chat", "CHAT"), REGEX_MATCH);
	assert_int_equal(match("^$", ""), REGEX_MATCH);
	assert_int_equal(match("a$", "a\n"), REGEX_NO_MATCH); /* the end is the end */
	assert_int_equal(match("^.$", "\xff"), REGEX_MATCH);  /* bytes, not UTF-8 */
	assert_int_equal(match("(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)(k)(l)", "abcdefghijkl"), REGEX_MATCH);
}

static void match_ends_where_the_subject_ends(void **state)
{
	struct regex *r = make("^ab$");

	(void)state;
	assert_int_equal(regex_match(r, "abc", 2), REGEX_MATCH);
	assert_int_equal(regex_match(r, "abc", 3), REGEX_NO_MATCH);
	assert_int_equal(regex_match(r, NULL, 0), REGEX_NO_MATCH);
	regex_free(r);
	regex_free(NULL);
}

static void error_has_a_place_and_a_text(void **state)
{
	char error[64], tiny[8];
	size_t offset = 99;

	(void)state;
	assert_null(regex_new("ab(c", error, sizeof(error), &offset));
	assert_int_equal(offset, 4);
	assert_non_null(strstr(error, "parenthesis"));
	assert_null(regex_new("ab(c", tiny, sizeof(tiny), &offset));
	assert_in_range(strlen(tiny), 0, sizeof(tiny) - 1);
	assert_null(regex_new("[z-a]", error, sizeof(error), &offset));
}

static void catastrophe_is_bounded(void **state)
{
	char subject[41];

	(void)state;
	memset(subject, 'a', sizeof(subject) - 1);
	subject[sizeof(subject) - 1] = '\0';
	assert_int_equal(match("^(a+)+$", "aaaa"), REGEX_MATCH);
	subject[sizeof(subject) - 2] = 'b';
	assert_int_equal(match("^(a+)+$", subject), REGEX_LIMIT);
	assert_int_equal(match("(*NO_JIT)^(a+)+$", subject), REGEX_LIMIT);
	assert_int_equal(match("(*NO_JIT)^(?:(a)|b)*c", subject), REGEX_NO_MATCH);
}

/* clang-format off */
static const struct { const char *pattern, *subject, *replacement, *want; } replacements[] = {
	{ "^/ws/(.*)$", "/ws/room/1", "/socket/$1", "/socket/room/1" },
	{ "^/(a)/(b)", "/a/b/c", "$2$1-$0", "ba-/a/b" },
	{ "x(y)?", "x", "[$1]", "[]" },	   /* took no part */
	{ "x", "x", "[$9]", "[]" },	   /* is not there */
	{ "x", "x", "$$1 $", "$1 $" },	   /* a dollar sign */
	{ "x", "x", "$a", "$a" },
	{ "(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)(k)", "abcdefghijk", "$9$10", "ia0" },
	{ "x", "x", "", "" },
	{ "(?=ab\\K)", "ab", "<$0>", "<>" }, /* begins behind its end */
};
/* clang-format on */

static void replacement_has_its_groups(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(replacements) / sizeof(replacements[0]); i++) {
		char error[128], out[32];
		size_t offset, len = strlen(replacements[i].want);
		const char *subject = replacements[i].subject;
		struct regex *r = regex_new(replacements[i].pattern, error, sizeof(error), &offset);

		if (r == NULL && strstr(replacements[i].pattern, "\\K") != NULL)
			continue; /* PCRE2 from 10.38 on refuses it */
		assert_non_null(r);
		assert_int_equal(regex_replace(r, subject, strlen(subject), replacements[i].replacement, out,
					       sizeof(out)),
				 len);
		assert_memory_equal(out, replacements[i].want, len);
		assert_int_equal(
			regex_replace(r, subject, strlen(subject), replacements[i].replacement, out, len),
			len);
		if (len > 0)
			assert_int_equal(regex_replace(r, subject, strlen(subject),
						       replacements[i].replacement, out, len - 1),
					 -1);
		regex_free(r);
	}
}

static void groups_of_an_earlier_match_are_gone(void **state)
{
	struct regex *many = make("(.)(.)(.)(.)(.)(.)(.)(.)(.)"), *one = make("(x)");
	char out[32] = "untouched";

	(void)state;
	assert_int_equal(regex_match(many, "123456789", 9), REGEX_MATCH);
	assert_int_equal(regex_replace(one, "x", 1, "$1$5$9", out, sizeof(out)), 1);
	assert_int_equal(out[0], 'x');
	memcpy(out, "untouched", 9);
	assert_int_equal(regex_replace(one, "y", 1, "$1", out, sizeof(out)), 0);
	assert_memory_equal(out, "untouched", 9);
	regex_free(many);
	regex_free(one);
}

static void *match_often(void *arg)
{
	for (int i = 0; i < 2000; i++) {
		char subject[16] = "/ws/", out[16];

		subject[4] = (char)('a' + i % 26);
		if (regex_replace(arg, subject, 5, "$1", out, sizeof(out)) != 1 || out[0] != subject[4])
			return arg;
	}
	return NULL;
}

static void threads_share_a_pattern(void **state)
{
	struct regex *r = make("^/ws/(.)$");
	pthread_t threads[4];
	void *failed;

	(void)state;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, match_often, r), 0);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	regex_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pattern_matches_what_it_says),
		cmocka_unit_test(match_ends_where_the_subject_ends),
		cmocka_unit_test(error_has_a_place_and_a_text),
		cmocka_unit_test(catastrophe_is_bounded),
		cmocka_unit_test(replacement_has_its_groups),
		cmocka_unit_test(groups_of_an_earlier_match_are_gone),
		cmocka_unit_test(threads_share_a_pattern),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
