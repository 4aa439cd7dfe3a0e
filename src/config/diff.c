#include "config/diff.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "config/tree.h"

#define PATH_MAX_LEN 1024u
#define TEXT_MAX_LEN 4096u

struct differ {
	config_diff_fn *visit;
	void *user;
	struct str path;
};

static void compare(struct differ *d, const struct node *a, const struct node *b);

/* A value in one line: scalars, and lists of them; "" for anything larger. */
static const char *value_text(const struct node *n, struct str *out)
{
	str_reset(out);
	if (n->kind == NODE_SCALAR) {
		str_bytes(out, n->text, n->text_len);
	} else if (n->kind == NODE_SEQUENCE) {
		for (size_t i = 0; i < n->count; i++) {
			if (n->items[i]->kind != NODE_SCALAR)
				return "";
			str_cstr(out, i > 0 ? ", " : "");
			str_bytes(out, n->items[i]->text, n->items[i]->text_len);
		}
	}
	return str_text(out);
}

static void tell(struct differ *d, const struct node *a, const struct node *b)
{
	char from_room[TEXT_MAX_LEN], to_room[TEXT_MAX_LEN];
	struct str from, to;

	str_init(&from, from_room, sizeof(from_room));
	str_init(&to, to_room, sizeof(to_room));
	d->visit(d->user, str_text(&d->path), a != NULL ? value_text(a, &from) : NULL,
		 b != NULL ? value_text(b, &to) : NULL);
}

/* One step down; `step` may hold dots (addresses do), and stays readable. */
static void below(struct differ *d, const char *step, const struct node *a, const struct node *b)
{
	size_t len = d->path.len;

	str_cstr(&d->path, len > 0 ? "." : "");
	str_cstr(&d->path, step);
	if (a != NULL && b != NULL)
		compare(d, a, b);
	else
		tell(d, a, b);
	str_rewind(&d->path, len);
}

static void compare_mappings(struct differ *d, const struct node *a, const struct node *b)
{
	for (size_t i = 0; i < a->count; i++)
		below(d, a->entries[i].key->text, a->entries[i].value, node_get(b, a->entries[i].key->text));
	for (size_t i = 0; i < b->count; i++)
		if (node_get(a, b->entries[i].key->text) == NULL)
			below(d, b->entries[i].key->text, NULL, b->entries[i].value);
}

/* What an item is known by; NULL: its place only. */
static const char *item_name(const struct node *n)
{
	static const char *const keys[] = { "name", "address", "cert" };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const struct node *v = node_get(n, keys[i]);

		if (v != NULL && v->kind == NODE_SCALAR)
			return v->text;
	}
	return NULL;
}

static const struct node *item_find(const struct node *list, const char *name)
{
	for (size_t i = 0; i < list->count; i++) {
		const char *its = item_name(list->items[i]);

		if (its != NULL && strcmp(its, name) == 0)
			return list->items[i];
	}
	return NULL;
}

static bool has_mappings(const struct node *n)
{
	return n->count > 0 && n->items[0]->kind == NODE_MAPPING;
}

static void compare_items(struct differ *d, const struct node *a, const struct node *b)
{
	for (size_t i = 0; i < a->count; i++) {
		const char *name = item_name(a->items[i]);

		if (name != NULL)
			below(d, name, a->items[i], item_find(b, name));
		else
			below(d, "?", a->items[i], i < b->count ? b->items[i] : NULL);
	}
	for (size_t i = 0; i < b->count; i++) {
		const char *name = item_name(b->items[i]);

		if (name != NULL ? item_find(a, name) == NULL : i >= a->count)
			below(d, name != NULL ? name : "?", NULL, b->items[i]);
	}
}

static void compare(struct differ *d, const struct node *a, const struct node *b)
{
	char a_room[TEXT_MAX_LEN], b_room[TEXT_MAX_LEN];
	struct str a_text, b_text;

	if (a->kind == NODE_MAPPING && b->kind == NODE_MAPPING) {
		compare_mappings(d, a, b);
		return;
	}
	if (a->kind == NODE_SEQUENCE && b->kind == NODE_SEQUENCE && (has_mappings(a) || has_mappings(b))) {
		compare_items(d, a, b);
		return;
	}
	str_init(&a_text, a_room, sizeof(a_room));
	str_init(&b_text, b_room, sizeof(b_room));
	if (a->kind != b->kind || a->count != b->count ||
	    strcmp(value_text(a, &a_text), value_text(b, &b_text)) != 0)
		tell(d, a, b);
}

static struct node *print_and_parse(const struct config *c, struct config_memory *memory)
{
	struct config_errors errors;
	struct node *root = NULL;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (out == NULL)
		return NULL;
	config_errors_init(&errors);
	if (config_print(c, out) == 0 && fclose(out) == 0)
		root = tree_parse("configuration", text, size, memory, &errors);
	config_errors_done(&errors);
	free(text);
	return root;
}

int config_diff(const struct config *a, const struct config *b, config_diff_fn *visit, void *user)
{
	struct config_memory *memory = config_memory_new();
	struct differ d = { .visit = visit, .user = user };
	char room[PATH_MAX_LEN];
	struct node *x = NULL, *y = NULL;

	if (memory != NULL) {
		x = print_and_parse(a, memory);
		y = print_and_parse(b, memory);
	}
	str_init(&d.path, room, sizeof(room));
	if (x != NULL && y != NULL)
		compare(&d, x, y);
	config_memory_free(memory);
	return x != NULL && y != NULL ? 0 : -ENOMEM;
}
