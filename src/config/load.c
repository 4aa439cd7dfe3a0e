/* From the tree to the structs. */
#include "config/load.h"

#include <stdarg.h>
#include <string.h>

#include "config/expand.h"
#include "config/keys.h"
#include "config/suggest.h"
#include "config/values.h"

static void load_key(struct loader *l, const struct key *row, const char *name, struct node *n, void *base);

static void complain(struct loader *l, const struct node *n, bool is_warning, const char *format,
		     va_list args) __attribute__((format(printf, 4, 0)));

static void complain(struct loader *l, const struct node *n, bool is_warning, const char *format,
		     va_list args)
{
	char text[640];

	vsnprintf(text, sizeof(text), format, args);
	config_errors_add(l->errors, l->file, n == NULL ? 0 : n->line, n == NULL ? 0 : n->column, is_warning,
			  "%s", text);
}

void load_error(struct loader *l, const struct node *n, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain(l, n, false, format, args);
	va_end(args);
}

void load_warning(struct loader *l, const struct node *n, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain(l, n, true, format, args);
	va_end(args);
}

static void *field_at(void *base, size_t offset)
{
	return (char *)base + offset;
}

/* Pointer and count of a list, whatever its items are. */
static void list_set(const struct key *row, void *base, void *items, size_t count)
{
	memcpy(field_at(base, row->offset), &items, sizeof(items));
	memcpy(field_at(base, row->count_offset), &count, sizeof(count));
}

/* --- single values --- */

/* A bound of the row, read by its own type. */
static bool bound_read(struct value_input *in, const char *text, double *out)
{
	union {
		uint32_t u32;
		uint64_t u64;
		double d;
	} value = { 0 };
	struct value_input bound = {
		.memory = in->memory, .row = in->row, .text = text, .len = strlen(text)
	};

	if (!in->row->type->parse(&bound, &value))
		return false;
	*out = in->row->type->number(&value);
	return true;
}

static bool value_is_in_range(struct value_input *in, const void *value)
{
	const struct key *row = in->row;
	double number, bound;

	if (row->type->number == NULL)
		return true;
	number = row->type->number(value);
	if (!(number > 0)) {
		if (row->flags & KEY_NOT_ZERO)
			return value_refuse(in, "0 is not allowed here: at least %s",
					    row->min != NULL ? row->min : "1");
		return true;
	}
	if (row->min != NULL && bound_read(in, row->min, &bound) && number < bound)
		return value_refuse(in, "%.80s is too small: at least %s", in->text, row->min);
	if (row->max != NULL && bound_read(in, row->max, &bound) && number > bound)
		return value_refuse(in, "%.80s is too large: at most %s", in->text, row->max);
	return true;
}

const char *load_text(struct loader *l, struct node *n, const char *name)
{
	char error[384];

	if (n->kind != NODE_SCALAR) {
		load_error(l, n, "\"%.80s\" must be a single value, not %s", name, node_kind_text(n));
		return NULL;
	}
	if (node_is_null(n)) {
		load_error(l, n, "\"%.80s\" has no value: give one, or leave the key out", name);
		return NULL;
	}
	if (n->expanded == NULL)
		n->expanded = expand_text(n->text, l->tree_memory, error, sizeof(error));
	if (n->expanded == NULL)
		load_error(l, n, "%.80s: %s", name, error);
	return n->expanded;
}

static void warn_later(struct loader *l, const struct node *n, const char *name)
{
	if (l->quiet == 0)
		load_warning(l, n, "%.120s is not yet in effect", name);
}

/* Reads one value of a type into `out`, which keeps what it had on failure. */
static bool load_value(struct loader *l, const struct key *row, const struct value_type *type,
		       const char *name, struct node *n, void *out)
{
	struct value_input in = { .memory = l->memory, .row = row };
	char later[160];

	in.text = load_text(l, n, name);
	if (in.text == NULL)
		return false;
	in.len = strlen(in.text);
	if (!type->parse(&in, out) || (type == row->type && !value_is_in_range(&in, out))) {
		load_error(l, n, "%.80s: %s", name, in.error);
		return false;
	}
	if (in.is_later) {
		snprintf(later, sizeof(later), "%.60s \"%.80s\"", name, in.text);
		warn_later(l, n, later);
	}
	return true;
}

/* --- several values --- */

static bool is_list_of_values(struct loader *l, const char *name, const struct node *n)
{
	if (n->kind != NODE_MAPPING)
		return true;
	load_error(l, n, "\"%.80s\" must be a list or a single value, not a mapping", name);
	return false;
}

static size_t values_count(const struct node *n)
{
	return n->kind == NODE_SEQUENCE ? n->count : !node_is_null(n);
}

static void load_list(struct loader *l, const struct key *row, const char *name, struct node *n, void *base)
{
	size_t count = values_count(n);
	char *items;

	if (!is_list_of_values(l, name, n))
		return;
	items = config_memory_array(l->memory, count, row->item_size);
	if (items == NULL)
		return;
	for (size_t i = 0; i < count; i++)
		load_value(l, row, row->type, name, node_at(n, i), items + i * row->item_size);
	list_set(row, base, items, count);
}

static void load_flags(struct loader *l, const struct key *row, const char *name, struct node *n, void *base)
{
	uint32_t all = 0, one = 0;

	if (!is_list_of_values(l, name, n))
		return;
	for (size_t i = 0; i < values_count(n); i++)
		if (load_value(l, row, row->type, name, node_at(n, i), &one))
			all |= one;
	memcpy(field_at(base, row->offset), &all, sizeof(all));
}

/* --- mappings --- */

static void load_section(struct loader *l, const struct key *row, const char *name, struct node *n,
			 void *inner)
{
	if (n->kind != NODE_MAPPING && !node_is_null(n)) {
		load_error(l, n, "\"%.80s\" must be a mapping, not %s: its keys stand below it, indented",
			   name, node_kind_text(n));
		return;
	}
	load_mapping(l, row->keys, n, inner, name);
}

static bool is_word(const struct node *n, const char *a, const char *b)
{
	return n->kind == NODE_SCALAR && (strcmp(n->text, a) == 0 || strcmp(n->text, b) == 0);
}

static void load_optional(struct loader *l, const struct key *row, const char *name, struct node *n,
			  void *base)
{
	void *inner = NULL;

	if (!(row->flags & KEY_CAN_BE_OFF) || !is_word(n, "off", "false")) {
		inner = config_memory_alloc(l->memory, row->item_size);
		if (inner == NULL)
			return;
		load_defaults(l, row->keys, inner);
		if (!(row->flags & KEY_CAN_BE_OFF) || !is_word(n, "on", "true"))
			load_section(l, row, name, n, inner);
	}
	memcpy(field_at(base, row->offset), &inner, sizeof(inner));
}

static const struct key *row_find(const struct key *keys, const char *name)
{
	for (; keys->name != NULL; keys++)
		if (strcmp(keys->name, name) == 0)
			return keys;
	return NULL;
}

static void load_item(struct loader *l, const struct key *row, struct node *n, void *item)
{
	load_defaults(l, row->keys, item);
	if (n->kind == NODE_SCALAR && row->scalar_key != NULL) {
		const struct key *inner = row_find(row->keys, row->scalar_key);

		load_key(l, inner, row->item_word, n, item);
	} else if (n->kind != NODE_MAPPING) {
		load_error(l, n, "each %s must be a mapping, not %s", row->item_word, node_kind_text(n));
	} else {
		load_mapping(l, row->keys, n, item, row->item_word);
	}
}

static void load_items(struct loader *l, const struct key *row, const char *name, struct node *n, void *base)
{
	char *items;

	if (node_is_null(n))
		return;
	if (n->kind != NODE_SEQUENCE) {
		load_error(l, n, "\"%.80s\" must be a list, not %s: begin each %s with \"- \"", name,
			   node_kind_text(n), row->item_word);
		return;
	}
	items = config_memory_array(l->memory, n->count, row->item_size);
	if (items == NULL)
		return;
	for (size_t i = 0; i < n->count; i++) {
		char *item = items + i * row->item_size;

		load_item(l, row, n->items[i], item);
		if (row->place_offset != 0)
			*(struct config_place *)field_at(item, row->place_offset) =
				(struct config_place){ n->items[i]->line, n->items[i]->column };
	}
	list_set(row, base, items, n->count);
}

static void load_map_entry(struct loader *l, const struct key *row, const struct node_entry *e, void *item)
{
	struct value_input in = {
		.memory = l->memory, .row = row, .text = e->key->text, .len = e->key->text_len
	};

	load_defaults(l, row->keys, item);
	if (!row->name_type->parse(&in, item)) /* `name` is the first member */
		load_error(l, e->key, "%.80s: %s", row->name, in.error);
	load_key(l, &row->keys[0], e->key->text, e->value, item);
}

static void load_map(struct loader *l, const struct key *row, const char *name, struct node *n, void *base)
{
	char *items;

	if (node_is_null(n))
		return;
	if (n->kind != NODE_MAPPING) {
		load_error(l, n, "\"%.80s\" must be a mapping, not %s: write { NAME: VALUE }", name,
			   node_kind_text(n));
		return;
	}
	items = config_memory_array(l->memory, n->count, row->item_size);
	if (items == NULL)
		return;
	for (size_t i = 0; i < n->count; i++)
		load_map_entry(l, row, &n->entries[i], items + i * row->item_size);
	list_set(row, base, items, n->count);
}

static void load_key(struct loader *l, const struct key *row, const char *name, struct node *n, void *base)
{
	switch (row->shape) {
	case KEY_VALUE:
		load_value(l, row, row->type, name, n, field_at(base, row->offset));
		break;
	case KEY_LIST:
		load_list(l, row, name, n, base);
		break;
	case KEY_FLAGS:
		load_flags(l, row, name, n, base);
		break;
	case KEY_SECTION:
		load_section(l, row, name, n, field_at(base, row->offset));
		break;
	case KEY_OPTIONAL:
		load_optional(l, row, name, n, base);
		break;
	case KEY_ITEMS:
		load_items(l, row, name, n, base);
		break;
	case KEY_MAP:
		load_map(l, row, name, n, base);
		break;
	}
}

static void load_entry(struct loader *l, const struct key *keys, const struct node_entry *e, void *base)
{
	const struct key *row = row_find(keys, e->key->text);
	char text[160];

	if (row == NULL) {
		/* A place for anchors, and for what other tools want to keep in the file. */
		if (keys == root_keys && strncmp(e->key->text, "x-", 2) == 0)
			return;
		suggest_key(e->key->text, keys, text, sizeof(text));
		load_error(l, e->key, "unknown key \"%.80s\"%s", e->key->text, text);
		return;
	}
	if (row->flags & KEY_LATER) {
		snprintf(text, sizeof(text), "key \"%s\"", row->name);
		warn_later(l, e->key, text);
		l->quiet++;
	}
	load_key(l, row, row->name, e->value, base);
	if (row->flags & KEY_LATER)
		l->quiet--;
}

/* "listener "web" lacks ...": which one, where it has a name. */
static void complain_missing(struct loader *l, const struct node *n, const char *what, const char *key)
{
	const struct node *name = node_get(n, "name");

	if (name != NULL && name->kind == NODE_SCALAR)
		load_error(l, n, "%.80s \"%.80s\" lacks \"%s\": it must be given", what, name->text, key);
	else
		load_error(l, n, "%.80s lacks \"%s\": it must be given", what, key);
}

/* Only once all keys are read is it known which of them have a meaning. */
static void complain_if_foreign(struct loader *l, const struct key *keys, const struct node *key,
				const void *base)
{
	const struct key *row = row_find(keys, key->text);

	if (row != NULL && row->applies != NULL && !row->applies(base))
		load_error(l, key, "\"%s\" %s", row->name, row->otherwise);
}

void load_mapping(struct loader *l, const struct key *keys, struct node *n, void *base, const char *what)
{
	for (size_t i = 0; n->kind == NODE_MAPPING && i < n->count; i++)
		load_entry(l, keys, &n->entries[i], base);
	for (size_t i = 0; n->kind == NODE_MAPPING && i < n->count; i++)
		complain_if_foreign(l, keys, n->entries[i].key, base);
	for (const struct key *row = keys; row->name != NULL; row++)
		if ((row->flags & KEY_REQUIRED) && node_get(n, row->name) == NULL)
			complain_missing(l, n, what, row->name);
}

/* --- defaults --- */

static bool default_read(struct loader *l, const struct key *row, const char *text, size_t len, void *out)
{
	struct value_input in = { .memory = l->memory, .row = row, .len = len };

	in.text = config_memory_text(l->memory, text, len);
	return in.text != NULL && row->type->parse(&in, out);
}

/* "a, b": calls for each part, and gives their number. */
static size_t default_read_all(struct loader *l, const struct key *row, char *items, uint32_t *flags)
{
	size_t count = 0;

	for (const char *p = row->def; *p != '\0'; count++) {
		size_t len = strcspn(p, ",");
		uint32_t one = 0;

		if (items != NULL)
			default_read(l, row, p, len, items + count * row->item_size);
		else if (flags != NULL && default_read(l, row, p, len, &one))
			*flags |= one;
		p += len;
		p += strspn(p, ", ");
	}
	return count;
}

static void default_list(struct loader *l, const struct key *row, void *base)
{
	size_t count = default_read_all(l, row, NULL, NULL);
	char *items = config_memory_array(l->memory, count, row->item_size);

	if (items == NULL)
		return;
	default_read_all(l, row, items, NULL);
	list_set(row, base, items, count);
}

static void default_optional(struct loader *l, const struct key *row, void *base)
{
	void *inner = config_memory_alloc(l->memory, row->item_size);

	if (inner == NULL)
		return;
	load_defaults(l, row->keys, inner);
	memcpy(field_at(base, row->offset), &inner, sizeof(inner));
}

void load_defaults(struct loader *l, const struct key *keys, void *base)
{
	for (const struct key *row = keys; row->name != NULL; row++) {
		void *field = field_at(base, row->offset);

		if (row->shape == KEY_SECTION)
			load_defaults(l, row->keys, field);
		else if (row->shape == KEY_OPTIONAL && (row->flags & KEY_IS_ON))
			default_optional(l, row, base);
		else if (row->def == NULL)
			continue;
		else if (row->shape == KEY_VALUE)
			default_read(l, row, row->def, strlen(row->def), field);
		else if (row->shape == KEY_LIST)
			default_list(l, row, base);
		else if (row->shape == KEY_FLAGS)
			default_read_all(l, row, NULL, field);
	}
}
