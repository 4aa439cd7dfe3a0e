/* YAML as a tree: positions, aliases, merges, and the environment in it. */
#include "config/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/list.h"
#include "config/expand.h"

static struct config_memory *memory;
static struct config_errors errors;

static int setup(void **state)
{
	(void)state;
	memory = config_memory_new();
	config_errors_init(&errors);
	return memory == NULL;
}

static int teardown(void **state)
{
	(void)state;
	config_memory_free(memory);
	config_errors_done(&errors);
	return 0;
}

static struct node *parse(const char *text)
{
	struct node *n = tree_parse("t", text, strlen(text), memory, &errors);

	if (n == NULL)
		fail_msg("%s", errors.list[0].text);
	return n;
}

static void nodes_know_where_they_stand(void **state)
{
	struct node *root = parse("a: 1\nb:\n  - x\n  - y: \"\xc3\xa4\" \n    z: q\n");
	struct node *list = node_get(root, "b");

	(void)state;
	assert_int_equal(root->line, 1);
	assert_int_equal(list->kind, NODE_SEQUENCE);
	assert_int_equal(list->count, 2);
	assert_int_equal(node_at(list, 0)->line, 3);
	assert_int_equal(node_at(list, 0)->column, 5);
	assert_string_equal(node_get(node_at(list, 1), "z")->text, "q");
	assert_int_equal(node_get(node_at(list, 1), "z")->line, 5);
	assert_int_equal(node_get(node_at(list, 1), "z")->column, 8);
	assert_false(node_get(node_at(list, 1), "y")->is_plain);
	assert_null(node_at(list, 2));
	assert_ptr_equal(node_at(node_at(list, 0), 0), node_at(list, 0));
	assert_null(node_get(list, "a"));
	assert_null(node_get(NULL, "a"));
}

static void nothing_is_told_from_an_empty_text(void **state)
{
	struct node *root = parse("a:\nb: ~\nc: null\nd: \"\"\ne: \"null\"\nf: nulls\n");

	(void)state;
	assert_true(node_is_null(node_get(root, "a")));
	assert_true(node_is_null(node_get(root, "b")));
	assert_true(node_is_null(node_get(root, "c")));
	assert_false(node_is_null(node_get(root, "d")));
	assert_false(node_is_null(node_get(root, "e")));
	assert_false(node_is_null(node_get(root, "f")));
}

static void aliases_share_and_merges_fill_in(void **state)
{
	struct node *root = parse("a: &a {x: 1, y: 2}\nb: *a\nc: {<<: *a, y: 3, z: 4}\nd: {<<: [{q: 1}, *a], "
				  "x: 9}\n");

	(void)state;
	assert_ptr_equal(node_get(root, "a"), node_get(root, "b"));
	assert_int_equal(node_get(root, "c")->count, 3);
	assert_string_equal(node_get(node_get(root, "c"), "x")->text, "1");
	assert_string_equal(node_get(node_get(root, "c"), "y")->text, "3");
	assert_int_equal(node_get(root, "d")->count, 3);
	assert_string_equal(node_get(node_get(root, "d"), "x")->text, "9");
	assert_string_equal(node_get(node_get(root, "d"), "q")->text, "1");
}

static void utf8_is_checked_to_the_letter(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		bool is_good;
	} cases[] = {
		{ "", 0, true },
		{ "abc", 3, true },
		{ "\xc3\xa4", 2, true },
		{ "\xe2\x82\xac", 3, true },
		{ "\xf0\x9f\x98\x80", 4, true },
		{ "\xf4\x8f\xbf\xbf", 4, true },
		{ "\x80", 1, false },
		{ "\xc0\x80", 2, false },
		{ "\xc1\xbf", 2, false },
		{ "\xc3", 1, false },
		{ "\xe2\x82", 2, false },
		{ "\xe0\x80\x80", 3, false },
		{ "\xed\xa0\x80", 3, false },
		{ "\xf0\x80\x80\x80", 4, false },
		{ "\xf4\x90\x80\x80", 4, false },
		{ "\xf5\x80\x80\x80", 4, false },
		{ "a\xffz", 3, false },
		{ "\xc3z", 2, false },
	};
	size_t offset;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (utf8_check(cases[i].text, cases[i].len, &offset) != cases[i].is_good)
			fail_msg("case %zu", i);
	assert_false(utf8_check("ab\xff", 3, &offset));
	assert_int_equal(offset, 2);
}

static void depth_has_a_bound(void **state)
{
	char text[2 * TREE_MAX_DEPTH + 3] = "";

	(void)state;
	memset(text, '[', TREE_MAX_DEPTH);
	memset(text + TREE_MAX_DEPTH, ']', TREE_MAX_DEPTH);
	assert_non_null(parse(text));
	memset(text, '[', TREE_MAX_DEPTH + 1);
	memset(text + TREE_MAX_DEPTH + 1, ']', TREE_MAX_DEPTH + 1);
	assert_null(tree_parse("t", text, strlen(text), memory, &errors));
	assert_string_equal(errors.list[0].text, "t:1:65: nested too deep: at most 64 levels");
}

static void anchors_and_merges_have_a_bound(void **state)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	assert_non_null(out);
	for (int i = 0; i <= TREE_MAX_ANCHORS; i++)
		fprintf(out, "k%d: &a%d v\n", i, i);
	assert_int_equal(fclose(out), 0);
	assert_null(tree_parse("t", text, size, memory, &errors));
	assert_string_equal(errors.list[0].text, "t:1001:8: too many anchors: at most 1000 in one file");
	free(text);
}

static const struct {
	const char *text, *want;
} expansions[] = {
	{ "plain", "plain" },
	{ "$host and $1 and $", "$host and $1 and $" },
	{ "${HF_TEST_SET}", "value" },
	{ "a${HF_TEST_SET}b${HF_TEST_SET}", "avaluebvalue" },
	{ "${HF_TEST_SET:-other}", "value" },
	{ "${HF_TEST_UNSET:-other}", "other" },
	{ "${HF_TEST_UNSET:-}", "" },
	{ "${HF_TEST_EMPTY:-other}", "other" },
	{ "${HF_TEST_EMPTY}", "" },
	{ "$${HF_TEST_SET}", "${HF_TEST_SET}" },
	{ "$$${HF_TEST_SET}", "$${HF_TEST_SET}" },
	{ "${HF_TEST_UNSET:-a:-b}", "a:-b" },
	{ "${HF_TEST_UNSET}", NULL },
	{ "${", NULL },
	{ "${}", NULL },
	{ "${9}", NULL },
	{ "${A-B}", NULL },
	{ "${HF_TEST_BYTES}", NULL },
};

static void the_environment_comes_in(void **state)
{
	(void)state;
	setenv("HF_TEST_SET", "value", 1);
	setenv("HF_TEST_EMPTY", "", 1);
	setenv("HF_TEST_BYTES", "\xff", 1);
	unsetenv("HF_TEST_UNSET");
	for (size_t i = 0; i < ARRAY_LEN(expansions); i++) {
		char copy[64], error[256] = "", *got;

		snprintf(copy, sizeof(copy), "%s", expansions[i].text);
		got = expand_text(copy, memory, error, sizeof(error));
		if ((got == NULL) != (expansions[i].want == NULL) ||
		    (got != NULL && strcmp(got, expansions[i].want) != 0))
			fail_msg("%s: %s %s", expansions[i].text, got == NULL ? "(null)" : got, error);
		assert_true(got != NULL || error[0] != '\0');
	}
}

static void a_bomb_of_variables_is_refused(void **state)
{
	char *big = malloc(600001), *text, error[256];

	(void)state;
	assert_non_null(big);
	memset(big, 'x', 600000);
	big[600000] = '\0';
	setenv("HF_TEST_SET", big, 1);
	text = config_memory_text(memory, "${HF_TEST_SET}${HF_TEST_SET}", 28);
	assert_null(expand_text(text, memory, error, sizeof(error)));
	assert_string_equal(error, "longer than 1 MiB with its environment variables");
	unsetenv("HF_TEST_SET");
	free(big);
}

static void memory_is_bounded_and_says_so(void **state)
{
	(void)state;
	assert_non_null(config_memory_alloc(memory, 0));
	assert_false(config_memory_has_failed(memory));
	assert_null(config_memory_alloc(memory, CONFIG_MEMORY_MAX_BYTES + 1));
	assert_true(config_memory_has_failed(memory));
	assert_null(config_memory_array(memory, SIZE_MAX / 2, 16));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nodes_know_where_they_stand, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_is_told_from_an_empty_text, setup, teardown),
		cmocka_unit_test_setup_teardown(aliases_share_and_merges_fill_in, setup, teardown),
		cmocka_unit_test_setup_teardown(utf8_is_checked_to_the_letter, setup, teardown),
		cmocka_unit_test_setup_teardown(depth_has_a_bound, setup, teardown),
		cmocka_unit_test_setup_teardown(anchors_and_merges_have_a_bound, setup, teardown),
		cmocka_unit_test_setup_teardown(the_environment_comes_in, setup, teardown),
		cmocka_unit_test_setup_teardown(a_bomb_of_variables_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(memory_is_bounded_and_says_so, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
