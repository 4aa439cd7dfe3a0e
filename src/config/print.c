/* -T: a snapshot as YAML, by the tables of keys.
 *
 * What is printed loads again to the same snapshot: every default is written out, what is absent is left out,
 * and so are keys that are not yet in effect where they have their defaults. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/keys.h"
#include "config/load.h"
#include "config/values.h"

static void print_mapping(FILE *out, const struct key *keys, const void *base, unsigned indent,
			  bool is_first_placed);
static void print_value_of(FILE *out, const struct key *row, const void *base, unsigned indent);

static const void *field_at(const void *base, size_t offset)
{
	return (const char *)base + offset;
}

static const void *pointer_at(const void *base, const struct key *row)
{
	const void *p;

	memcpy(&p, field_at(base, row->offset), sizeof(p));
	return p;
}

static size_t count_at(const void *base, const struct key *row)
{
	size_t n;

	memcpy(&n, field_at(base, row->count_offset), sizeof(n));
	return n;
}

/* A row as text; gives (free), or NULL. */
static char *row_text(const struct key *row, const void *base)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (out == NULL)
		return NULL;
	print_value_of(out, row, base, 0);
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

/* How far into its struct a row reaches. */
static size_t row_end(const struct key *row)
{
	size_t end = row->offset + sizeof(void *);

	if (row->shape == KEY_SECTION)
		end = row->offset + row->item_size;
	else if (row->shape == KEY_VALUE)
		end = row->offset + row->type->size;
	return end > row->count_offset + sizeof(size_t) ? end : row->count_offset + sizeof(size_t);
}

/* Whether a row prints as its default does. */
static bool row_is_default(const struct key *row, const void *base)
{
	struct config_memory *memory = config_memory_new();
	struct key table[2] = { *row };
	struct loader l = { .memory = memory };
	char *mine = NULL, *theirs = NULL;
	void *scratch = memory == NULL ? NULL : config_memory_alloc(memory, row_end(row));
	bool is_default;

	if (scratch != NULL) {
		load_defaults(&l, table, scratch);
		mine = row_text(row, base);
		theirs = row_text(row, scratch);
	}
	is_default = mine != NULL && theirs != NULL && strcmp(mine, theirs) == 0;
	free(mine);
	free(theirs);
	config_memory_free(memory);
	return is_default;
}

/* Whether there is anything to write for a row. */
static bool row_is_set(const struct key *row, const void *base)
{
	if (row->applies != NULL && !row->applies(base))
		return false;
	if ((row->flags & KEY_LATER) && row_is_default(row, base))
		return false;
	switch (row->shape) {
	case KEY_VALUE:
		return row->type->is_set == NULL || row->type->is_set(field_at(base, row->offset));
	case KEY_LIST:
		return count_at(base, row) > 0 || row->def != NULL;
	case KEY_OPTIONAL:
		return pointer_at(base, row) != NULL || (row->flags & KEY_IS_ON);
	case KEY_ITEMS:
	case KEY_MAP:
		return count_at(base, row) > 0;
	case KEY_FLAGS:
	case KEY_SECTION:
		return true;
	}
	return false;
}

static void print_indent(FILE *out, unsigned indent)
{
	fprintf(out, "%*s", (int)indent * 2, "");
}

static void print_list(FILE *out, const struct key *row, const void *base)
{
	const char *items = pointer_at(base, row);

	fputs(" [", out);
	for (size_t i = 0; i < count_at(base, row); i++) {
		fputs(i == 0 ? "" : ", ", out);
		row->type->print(out, row, items + i * row->item_size);
	}
	fputs("]\n", out);
}

static void print_flags(FILE *out, const struct key *row, const void *base)
{
	const char *joint = "";
	uint32_t all;

	memcpy(&all, field_at(base, row->offset), sizeof(all));
	fputs(" [", out);
	for (const struct key_word *w = row->words; w->word != NULL; w++)
		if (all & w->value) {
			fputs(joint, out);
			value_print_quoted(out, w->word);
			joint = ", ";
		}
	fputs("]\n", out);
}

static bool mapping_is_empty(const struct key *keys, const void *base)
{
	for (; keys->name != NULL; keys++)
		if (row_is_set(keys, base))
			return false;
	return true;
}

static void print_section(FILE *out, const struct key *keys, const void *base, unsigned indent)
{
	if (mapping_is_empty(keys, base)) {
		fputs(" {}\n", out);
		return;
	}
	fputc('\n', out);
	print_mapping(out, keys, base, indent + 1, false);
}

static void print_items(FILE *out, const struct key *row, const void *base, unsigned indent)
{
	const char *items = pointer_at(base, row);

	fputc('\n', out);
	for (size_t i = 0; i < count_at(base, row); i++) {
		const void *item = items + i * row->item_size;

		print_indent(out, indent + 1);
		fputs("- ", out);
		if (mapping_is_empty(row->keys, item))
			fputs("{}\n", out);
		else
			print_mapping(out, row->keys, item, indent + 2, true);
	}
}

static void print_value_of(FILE *out, const struct key *row, const void *base, unsigned indent)
{
	const void *field = field_at(base, row->offset);

	switch (row->shape) {
	case KEY_VALUE:
		fputc(' ', out);
		row->type->print(out, row, field);
		fputc('\n', out);
		break;
	case KEY_LIST:
		print_list(out, row, base);
		break;
	case KEY_FLAGS:
		print_flags(out, row, base);
		break;
	case KEY_SECTION:
		print_section(out, row->keys, field, indent);
		break;
	case KEY_OPTIONAL:
		if (pointer_at(base, row) == NULL)
			fputs(" off\n", out);
		else
			print_section(out, row->keys, pointer_at(base, row), indent);
		break;
	case KEY_ITEMS:
		print_items(out, row, base, indent);
		break;
	case KEY_MAP: {
		const char *items = pointer_at(base, row);

		fputc('\n', out);
		for (size_t i = 0; i < count_at(base, row); i++) {
			const char *item = items + i * row->item_size;

			print_indent(out, indent + 1);
			value_print_json(out,
					 *(char *const *)(const void *)item); /* names are not expanded */
			fputc(':', out);
			print_value_of(out, &row->keys[0], item, indent + 1);
		}
		break;
	}
	}
}

static void print_mapping(FILE *out, const struct key *keys, const void *base, unsigned indent,
			  bool is_first_placed)
{
	for (; keys->name != NULL; keys++) {
		if (!row_is_set(keys, base))
			continue;
		if (!is_first_placed)
			print_indent(out, indent);
		is_first_placed = false;
		fprintf(out, "%s:", keys->name);
		print_value_of(out, keys, base, indent);
	}
}

int config_print(const struct config *c, FILE *out)
{
	print_mapping(out, root_keys, c, 0, false);
	return ferror(out) ? -EIO : 0;
}

/* Printed alike is equal: the printer writes every field that a row has. */
static char *config_text(const struct config *c)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	bool is_good;

	if (out == NULL)
		return NULL;
	is_good = config_print(c, out) == 0;
	if (fclose(out) != 0 || !is_good) {
		free(text);
		return NULL;
	}
	return text;
}

bool config_is_equal(const struct config *a, const struct config *b)
{
	char *x = config_text(a), *y = config_text(b);
	bool is_equal = x != NULL && y != NULL && strcmp(x, y) == 0;

	free(x);
	free(y);
	return is_equal;
}
