/* The tables of keys, and what is made of them: -T, the schema, the manual, and the examples in conf/. */
#include "config/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/list.h"
#include "config/load.h"
#include "config/tree.h"
#include "config/values.h"

static void visit(const struct key *keys, const char *path, void (*f)(const struct key *, const char *))
{
	for (; keys->name != NULL; keys++) {
		char below[256];

		snprintf(below, sizeof(below), "%s.%s", path, keys->name);
		f(keys, below);
		if (keys->keys != NULL)
			visit(keys->keys, below, f);
	}
}

/* --- rows --- */

static bool bound_is_read(struct config_memory *memory, const struct key *row, const char *text)
{
	union {
		uint32_t u32;
		uint64_t u64;
		double d;
	} value;
	struct value_input in = { .memory = memory, .row = row, .text = text, .len = strlen(text) };

	return row->type->number != NULL && row->type->parse(&in, &value);
}

static void check_row(const struct key *row, const char *path)
{
	struct config_memory *memory = config_memory_new();
	size_t doc_len = row->doc == NULL ? 0 : strlen(row->doc);

	assert_non_null(memory);
	if (doc_len == 0 || (row->doc[doc_len - 1] != '.' && row->doc[doc_len - 1] != ','))
		fail_msg("%s: its doc is no sentence", path);
	if ((row->min != NULL && !bound_is_read(memory, row, row->min)) ||
	    (row->max != NULL && !bound_is_read(memory, row, row->max)))
		fail_msg("%s: its bounds are no values", path);
	if (row->def != NULL && row->shape != KEY_VALUE && row->shape != KEY_LIST && row->shape != KEY_FLAGS)
		fail_msg("%s: a mapping has no default of its own", path);
	if (row->shape == KEY_ITEMS && row->item_word == NULL)
		fail_msg("%s: what is one of them called?", path);
	if ((row->shape == KEY_VALUE || row->shape == KEY_LIST || row->shape == KEY_FLAGS) !=
	    (row->type != NULL))
		fail_msg("%s: a type, or keys", path);
	if (row->type == &type_enum && row->words == NULL)
		fail_msg("%s: no words", path);
	config_memory_free(memory);
}

static void every_row_is_whole(void **state)
{
	(void)state;
	visit(root_keys, "", check_row);
}

/* A default must be something that the file could hold. */
static void check_default(const struct key *row, const char *path)
{
	char text[256];
	struct key table[2] = { *row };
	struct config_memory *memory = config_memory_new();
	struct config_errors errors;
	struct loader l = { "default", memory, memory, &errors, 1 };
	struct node *n;
	void *base;

	if (row->def == NULL) {
		config_memory_free(memory);
		return;
	}
	config_errors_init(&errors);
	snprintf(text, sizeof(text), row->shape == KEY_VALUE ? "%s: \"%s\"" : "%s: [%s]", row->name,
		 row->def);
	n = tree_parse("default", text, strlen(text), memory, &errors);
	base = config_memory_alloc(memory, 65536);
	assert_non_null(n);
	assert_non_null(base);
	table[0].applies = NULL;
	load_mapping(&l, table, n, base, "x");
	if (errors.errors_count > 0)
		fail_msg("%s: %s", path, errors.list[0].text);
	config_errors_done(&errors);
	config_memory_free(memory);
}

static void every_default_is_a_good_value(void **state)
{
	(void)state;
	visit(root_keys, "", check_default);
}

/* --- files --- */

static char *file_text(const char *name)
{
	const char *dir = getenv("srcdir");
	char path[512];
	char *text;
	size_t len;
	FILE *in;

	snprintf(path, sizeof(path), "%s/%s", dir == NULL ? "." : dir, name);
	in = fopen(path, "r");
	if (in == NULL)
		fail_msg("%s is not there", path);
	text = calloc(1, 262144);
	assert_non_null(text);
	len = fread(text, 1, 262143, in);
	assert_true(len > 0);
	fclose(in);
	return text;
}

/* Switches on what is switched off ("#key:", "#  # text", "#  - item"), and lets every file in it be
 * /dev/null, every directory /dev/shm. */
static char *uncomment(const char *text)
{
	char *out = calloc(1, 2 * strlen(text) + 1), *to = out;

	assert_non_null(out);
	while (*text != '\0') {
		size_t line_len = strcspn(text, "\n"), indent = strspn(text, " ");
		const char *end = text + line_len;
		bool is_off = text[indent] == '#' && indent + 1 < line_len &&
			      (text[indent + 1] != ' ' || strncmp(text + indent, "#  ", 3) == 0);

		memcpy(to, text, indent);
		to += indent;
		text += indent + is_off;
		while (text < end) {
			if (strncmp(text, "/etc/holdfast/", 14) == 0) {
				bool is_directory = strncmp(text, "/etc/holdfast/certs", 19) == 0;

				memcpy(to, is_directory ? "/dev/shm" : "/dev/null", 9);
				to += is_directory ? 8 : 9;
				text += strcspn(text, " ,}\n");
			} else {
				*to++ = *text++;
			}
		}
		*to++ = '\n';
		text = end + (*end == '\n');
	}
	return out;
}

static struct config *load(const char *text, bool may_warn)
{
	struct config_errors errors;
	struct config *c;

	config_errors_init(&errors);
	c = config_load_bytes("t", text, strlen(text), &errors);
	for (size_t i = 0; i < errors.list_count; i++)
		if (!may_warn || !errors.list[i].is_warning)
			fail_msg("%s", errors.list[i].text);
	config_errors_done(&errors);
	assert_non_null(c);
	return c;
}

static char *print(const struct config *c)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	assert_int_equal(config_print(c, out), 0);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void check_round_trip(const char *text)
{
	struct config *first = load(text, true), *second;
	char *printed = print(first), *again;

	second = load(printed, true);
	again = print(second);
	assert_string_equal(printed, again);
	assert_true(config_is_equal(first, second));
	config_unref(first);
	config_unref(second);
	free(printed);
	free(again);
}

static void the_examples_are_good_and_print_to_what_they_are(void **state)
{
	static const char *const names[] = { "conf/holdfast.yaml", "conf/demo.yaml", "conf/minimal.yaml" };

	(void)state;
	setenv("HOLDFAST_DEMO_CERT", "/dev/null", 1);
	setenv("HOLDFAST_DEMO_KEY", "/dev/null", 1);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char *text = file_text(names[i]);

		config_unref(load(text, false));
		check_round_trip(text);
		free(text);
	}
}

static void the_long_example_is_good_with_everything_switched_on(void **state)
{
	char *text = file_text("conf/holdfast.yaml"), *all = uncomment(text);

	(void)state;
	config_unref(load(all, true));
	check_round_trip(all);
	free(text);
	free(all);
}

/* Whether any mapping that stands for `keys` has the key; lists are gone through. */
static bool tree_has(struct node *n, const struct key *const *way, size_t way_count)
{
	struct node *value;

	if (n == NULL)
		return false;
	if (n->kind == NODE_SEQUENCE) {
		for (size_t i = 0; i < n->count; i++)
			if (tree_has(n->items[i], way, way_count))
				return true;
		return false;
	}
	value = node_get(n, way[0]->name);
	return value != NULL && (way_count == 1 || tree_has(value, way + 1, way_count - 1));
}

static void find_all(struct node *root, const struct key *keys, const struct key **way, size_t depth)
{
	for (; keys->name != NULL; keys++) {
		way[depth] = keys;
		if (!tree_has(root, way, depth + 1))
			fail_msg("conf/holdfast.yaml lacks %s (in %s)", keys->name,
				 depth == 0 ? "the file" : way[depth - 1]->name);
		if (keys->keys != NULL && keys->shape != KEY_MAP)
			find_all(root, keys->keys, way, depth + 1);
	}
}

static void the_long_example_shows_every_key(void **state)
{
	char *text = file_text("conf/holdfast.yaml"), *all = uncomment(text);
	struct config_memory *memory = config_memory_new();
	const struct key *way[16];
	struct config_errors errors;
	struct node *root;

	(void)state;
	config_errors_init(&errors);
	root = tree_parse("t", all, strlen(all), memory, &errors);
	assert_non_null(root);
	find_all(root, root_keys, way, 0);
	config_errors_done(&errors);
	config_memory_free(memory);
	free(text);
	free(all);
}

/* --- -T --- */

static void odd_texts_survive_printing(void **state)
{
	(void)state;
	check_round_trip("user: \"a\\\\b\\\"c \xc3\xa4 \\u2028 \\u0085 \\uFEFF $${X} $$${Y} : # - ' %\"\n"
			 "listeners:\n"
			 "- name: \"w\xc3\xa4hl:%@\"\n"
			 "  bind: [\"unix:/run/a b\", \"*:81\", \"[::1]:82\"]\n"
			 "  routes:\n"
			 "  - host: [\"~ ^a\\\\.b\\\"$\", \"*.x\", Y]\n"
			 "    path: \"~ ^/(a|b)\\\\d+$\"\n"
			 "    headers: {X-A: \"~ \\\\$\\\\{\", X-B: \"\", x-c: \"$${X}\"}\n"
			 "    query: {\"a: b\": \"~ x\", \"${NOT}\": \"1\"}\n"
			 "    respond: {body: \"line\\nline $$ $host \\t\", headers: {a: \"b\\tc\"}}\n"
			 "  - {path: \"= /a\", respond: {}}\n");
}

static void what_differs_is_not_equal(void **state)
{
	static const char *const variants[] = {
		"",
		"workers: 2\n",
		"log: {level: debug}\n",
		"shutdown: {grace: 1s}\n",
		"trusted_proxies: [10.0.0.0/8]\n",
		"limits: {per_ip: {connections: 5}}\n",
	};
	static const char rest[] = "listeners: [{name: w, bind: \"127.0.0.1:80\", routes: [{respond: "
				   "{}}]}]\n";
	struct config *loaded[ARRAY_LEN(variants)];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(variants); i++) {
		char text[512];

		snprintf(text, sizeof(text), "%s%s", variants[i], rest);
		loaded[i] = load(text, true);
	}
	for (size_t i = 0; i < ARRAY_LEN(variants); i++)
		for (size_t j = 0; j < ARRAY_LEN(variants); j++)
			assert_int_equal(config_is_equal(loaded[i], loaded[j]), i == j);
	for (size_t i = 0; i < ARRAY_LEN(variants); i++)
		config_unref(loaded[i]);
}

/* A default that is not yet in effect would be a lie in "the effective configuration". */
static void what_is_to_come_is_printed_only_when_it_was_given(void **state)
{
	struct config *c =
		load("listeners: [{name: w, bind: \"127.0.0.1:80\", routes: [{respond: {}}]}]\n", false);
	char *text = print(c);

	(void)state;
	assert_null(strstr(text, "on_expiry"));
	assert_non_null(strstr(text, "max_message_size: 1MiB"));
	assert_non_null(strstr(text, "  grace: 30s\n"));
	config_unref(load(text, false));
	free(text);
	config_unref(c);
}

/* --- schema and manual --- */

static char *print_by(int (*print_it)(FILE *))
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	assert_int_equal(print_it(out), 0);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void check_schema_object(const json_t *object, const struct key *keys)
{
	const json_t *properties = json_object_get(object, "properties");

	assert_true(json_is_false(json_object_get(object, "additionalProperties")));
	for (; keys->name != NULL; keys++) {
		const json_t *property = json_object_get(properties, keys->name), *below, *branches;

		if (property == NULL)
			fail_msg("the schema lacks %s", keys->name);
		assert_string_equal(json_string_value(json_object_get(property, "description")), keys->doc);
		assert_int_equal(json_object_get(property, "default") != NULL, keys->def != NULL);
		if (keys->keys == NULL || keys->shape == KEY_MAP)
			continue;
		below = json_array_get(json_object_get(property, "allOf"), 0);
		branches = keys->shape == KEY_ITEMS ? json_object_get(json_object_get(below, "items"), "anyO"
												       "f")
						    : json_object_get(below, "anyOf");
		check_schema_object(json_array_get(branches, 0), keys->keys);
	}
}

static void the_schema_is_json_and_has_every_key(void **state)
{
	char *text = print_by(config_print_schema);
	json_error_t error;
	json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, &error);

	(void)state;
	if (json == NULL)
		fail_msg("line %d: %s", error.line, error.text);
	assert_string_equal(json_string_value(json_object_get(json, "$schema")), "https://json-schema.org/"
										 "draft/2020-12/schema");
	check_schema_object(json, root_keys);
	json_decref(json);
	free(text);
}

static const char *manual;

static void check_in_manual(const struct key *row, const char *path)
{
	char cell[128];

	if (strcmp(row->name, "value") == 0 || strstr(path, ".claims.") != NULL ||
	    strstr(path, ".sni.") != NULL)
		return; /* of a mapping with the user's names */
	snprintf(cell, sizeof(cell), "| `%s` |", row->name);
	if (strstr(manual, cell) == NULL)
		fail_msg("the manual lacks %s", path);
}

static void the_manual_has_every_key(void **state)
{
	char *markdown = print_by(config_print_markdown), *page = print_by(config_print_man);

	(void)state;
	manual = markdown;
	visit(root_keys, "", check_in_manual);
	assert_int_equal(strncmp(page, ".TH HOLDFAST.YAML 5\n", 20), 0);
	free(markdown);
	free(page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_is_whole),
		cmocka_unit_test(every_default_is_a_good_value),
		cmocka_unit_test(the_examples_are_good_and_print_to_what_they_are),
		cmocka_unit_test(the_long_example_is_good_with_everything_switched_on),
		cmocka_unit_test(the_long_example_shows_every_key),
		cmocka_unit_test(odd_texts_survive_printing),
		cmocka_unit_test(what_differs_is_not_equal),
		cmocka_unit_test(what_is_to_come_is_printed_only_when_it_was_given),
		cmocka_unit_test(the_schema_is_json_and_has_every_key),
		cmocka_unit_test(the_manual_has_every_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
