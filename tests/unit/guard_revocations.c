/* Revocations: who is meant, how many there may be, and what a file of them may say. */
#include "guard/revocations.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/list.h"

static struct token_names names_of(const struct revocations *r, const char *jti, const char *sub)
{
	return (struct token_names){ { jti != NULL ? token_name_hash(r, TOKEN_JTI, jti, strlen(jti)) : 0,
				       sub != NULL ? token_name_hash(r, TOKEN_SUB, sub, strlen(sub)) : 0 } };
}

static bool has(struct revocations *r, const char *jti, const char *sub, uint64_t now_s)
{
	struct token_names n = names_of(r, jti, sub);

	return revocations_has(r, &n, now_s);
}

static void a_name_is_of_one_kind_and_ends_in_time(void **state)
{
	struct revocations *r = revocations_new();

	(void)state;
	assert_false(has(r, "a", "b", 10));
	assert_int_equal(revocations_add(r, TOKEN_JTI, "a", 0, 10), 0);
	assert_int_equal(revocations_add(r, TOKEN_SUB, "b", 20, 10), 0);
	assert_true(has(r, "a", NULL, 10));
	assert_false(has(r, NULL, "a", 10));
	assert_false(has(r, "b", NULL, 10));
	assert_true(has(r, "x", "b", 19));
	assert_false(has(r, "x", "b", 20));
	assert_true(has(r, "a", "b", UINT64_MAX));
	assert_false(has(r, NULL, NULL, 10));
	assert_int_equal(revocations_add(r, TOKEN_SUB, "b", 0, 30), 0); /* again, for good */
	assert_true(has(r, NULL, "b", 40));
	assert_true(revocations_remove(r, TOKEN_SUB, "b"));
	assert_false(revocations_remove(r, TOKEN_SUB, "b"));
	assert_false(has(r, NULL, "b", 40));
	assert_int_equal(revocations_add(r, TOKEN_SUB, "", 0, 0), -EINVAL);
	revocations_free(r);
	revocations_free(NULL);
}

static void a_full_table_takes_more_only_for_those_that_are_over(void **state)
{
	struct revocations *r = revocations_new();
	char name[32];

	(void)state;
	for (unsigned i = 0; i < REVOCATIONS_MAX; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		assert_int_equal(revocations_add(r, TOKEN_JTI, name, i < 3 ? 100 : 0, 1), 0);
	}
	assert_int_equal(revocations_add(r, TOKEN_JTI, "more", 0, 99), -ENOSPC);
	assert_int_equal(revocations_add(r, TOKEN_JTI, "n7", 0, 99), 0); /* is there */
	assert_int_equal(revocations_add(r, TOKEN_JTI, "more", 0, 100), 0);
	assert_true(has(r, "more", NULL, 100));
	assert_true(has(r, "n7", NULL, 100));
	assert_false(has(r, "n1", NULL, 100));
	revocations_free(r);
}

static const struct {
	const char *text;
	const char *jti, *sub; /* NULL, NULL: the file is refused */
	size_t count;
} files[] = {
	{ "", "no", "no", 0 },
	{ "jti a\nsub b\n", "a", "b", 2 },
	{ "  jti \t a b  \r\n# jti c\n\nsub auth0|b#1 # left", "a b", "auth0|b#1", 2 },
	{ "jti a\nuser b\n", NULL, NULL, 0 },
	{ "jti\n", NULL, NULL, 0 },
	{ "jti   \n", NULL, NULL, 0 },
	{ "jtia\n", NULL, NULL, 0 },
};

static bool file_read(struct revoked_file *f, const char *text, size_t len)
{
	char path[] = "/tmp/hf-revoked-XXXXXX";
	int fd = mkstemp(path);
	struct config_errors errors;
	bool is_good;

	assert_true(fd >= 0 && write(fd, text, len) == (ssize_t)len);
	close(fd);
	config_errors_init(&errors);
	is_good = revoked_file_read(f, path, NULL, &errors);
	assert_true(is_good == (errors.errors_count == 0));
	config_errors_done(&errors);
	unlink(path);
	return is_good;
}

static void files_say_who_is_meant(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		struct revoked_file f;
		struct token_names jti, sub;

		if (file_read(&f, files[i].text, strlen(files[i].text)) != (files[i].jti != NULL))
			fail_msg("%s", files[i].text);
		if (files[i].jti == NULL)
			continue;
		jti = names_of(NULL, files[i].jti, NULL);
		sub = names_of(NULL, NULL, files[i].sub);
		assert_int_equal(f.count, files[i].count);
		assert_true(revoked_file_has(&f, &jti) == (f.count > 0));
		assert_true(revoked_file_has(&f, &sub) == (f.count > 0));
		revoked_file_done(&f);
	}
}

static void a_line_is_bounded(void **state)
{
	char text[REVOCATION_TEXT_MAX + 200];
	struct revoked_file f;

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text, "jti ", 4);
	assert_true(file_read(&f, text, REVOCATION_TEXT_MAX + 4));
	revoked_file_done(&f);
	assert_false(file_read(&f, text, REVOCATION_TEXT_MAX + 5));
	assert_false(file_read(&f, text, sizeof(text)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_is_of_one_kind_and_ends_in_time),
		cmocka_unit_test(a_full_table_takes_more_only_for_those_that_are_over),
		cmocka_unit_test(files_say_who_is_meant),
		cmocka_unit_test(a_line_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
