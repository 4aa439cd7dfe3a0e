/* The reference manual in the tree is what the tables of keys say.
 *
 *   config_manual             compares doc/configuration.md and doc/man/holdfast.yaml.5 with the tables
 *   config_manual markdown    prints the first (`make manual` writes both)
 *   config_manual man         prints the second */
#include "config/config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static char *printed(int (*print)(FILE *))
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	assert_int_equal(print(out), 0);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void file_is(const char *name, int (*print)(FILE *))
{
	const char *srcdir = getenv("HF_SRCDIR");
	char path[4096], *want = printed(print), *found;
	size_t len = strlen(want), got;
	FILE *in;

	snprintf(path, sizeof(path), "%s/%s", srcdir != NULL ? srcdir : ".", name);
	in = fopen(path, "r");
	if (in == NULL)
		fail_msg("%s: %s", path, strerror(errno));
	found = malloc(len + 2);
	assert_non_null(found);
	got = fread(found, 1, len + 1, in);
	fclose(in);
	if (got != len || memcmp(found, want, len) != 0)
		fail_msg("%s is not what the tables say: `make manual` writes it", path);
	free(found);
	free(want);
}

static void the_reference_is_current(void **state)
{
	(void)state;
	file_is("doc/configuration.md", config_print_markdown);
}

static void the_manual_page_is_current(void **state)
{
	(void)state;
	file_is("doc/man/holdfast.yaml.5", config_print_man);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_reference_is_current),
		cmocka_unit_test(the_manual_page_is_current),
	};

	if (argc > 1)
		return (strcmp(argv[1], "man") == 0 ? config_print_man : config_print_markdown)(stdout) != 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
