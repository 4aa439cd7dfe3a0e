/* The reference manual: the tables of keys as Markdown, and as a page for man(7). */
#include <errno.h>
#include <string.h>

#include "config/keys.h"
#include "config/values.h"

/* How the two kinds of page differ. */
struct page {
	FILE *out;
	void (*heading)(FILE *out, const char *path, const char *doc, bool is_later);
	void (*row)(FILE *out, const struct key *row, const char *type, const char *def);
	void (*end)(FILE *out);
};

/* "list of networks", "mapping, may be off", "a, b or c". */
static void type_text(const struct key *row, char *out, size_t size)
{
	const char *off = row->flags & KEY_CAN_BE_OFF ? ", or off" : "";
	char words[200];

	if (row->type == &type_enum) {
		value_words_text(row->words, words, sizeof(words));
		snprintf(out, size, "%s%s", row->shape == KEY_FLAGS ? "any of " : "", words);
	} else if (row->type == &type_algorithm) {
		size_t used = 0;

		for (const char *const *n = config_known_algorithms(); *n != NULL && used < size; n++)
			used += (size_t)snprintf(out + used, size - used, "%s%s", used == 0 ? "" : ", ", *n);
	} else if (row->shape == KEY_VALUE) {
		snprintf(out, size, "%s", row->type->name);
	} else if (row->shape == KEY_LIST) {
		snprintf(out, size, "list of: %s", row->type->name);
	} else if (row->shape == KEY_MAP) {
		snprintf(out, size, "mapping: %s to %s", row->name_type->name, row->keys[0].type->name);
	} else {
		snprintf(out, size, "%s%s", row->shape == KEY_ITEMS ? "list of mappings" : "mapping", off);
	}
	if (row->min != NULL || row->max != NULL) {
		size_t used = strlen(out);

		snprintf(out + used, size - used, " (%s%s%s%s)", row->min != NULL ? row->min : "",
			 row->min != NULL && row->max != NULL ? " to "
			 : row->min != NULL		      ? " at least"
							      : "",
			 row->max != NULL ? row->max : "", row->min == NULL ? " at most" : "");
	}
}

static const char *default_text(const struct key *row)
{
	if (row->flags & KEY_REQUIRED)
		return "must be given";
	if (row->def != NULL && row->def[0] != '\0')
		return row->def;
	if (row->shape == KEY_SECTION)
		return "see below";
	if (row->flags & KEY_IS_ON)
		return "on";
	return row->flags & KEY_CAN_BE_OFF ? "off" : "absent";
}

static void page_mapping(const struct page *p, const struct key *keys, const char *path, const char *doc,
			 bool is_later)
{
	p->heading(p->out, path, doc, is_later);
	for (const struct key *row = keys; row->name != NULL; row++) {
		char type[320];

		type_text(row, type, sizeof(type));
		p->row(p->out, row, type, default_text(row));
	}
	p->end(p->out);
	for (const struct key *row = keys; row->name != NULL; row++) {
		char below[200];

		if (row->keys == NULL || row->shape == KEY_MAP)
			continue;
		snprintf(below, sizeof(below), "%s%s%s%s", path, *path == '\0' ? "" : ".", row->name,
			 row->shape == KEY_ITEMS ? "[]" : "");
		page_mapping(p, row->keys, below, row->doc, is_later || (row->flags & KEY_LATER));
	}
}

/* --- Markdown --- */

static void markdown_text(FILE *out, const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '|' || *text == '*' || *text == '<')
			fputc('\\', out);
		fputc(*text, out);
	}
}

static void markdown_heading(FILE *out, const char *path, const char *doc, bool is_later)
{
	fprintf(out, "\n## %s\n\n", *path == '\0' ? "The file" : path);
	markdown_text(out, doc);
	if (is_later)
		fputs(" *Not yet in effect.*", out);
	fputs("\n\n| key | type | default | |\n|---|---|---|---|\n", out);
}

static void markdown_row(FILE *out, const struct key *row, const char *type, const char *def)
{
	bool is_text = row->def == NULL || row->def[0] == '\0' || (row->flags & KEY_REQUIRED);

	fprintf(out, "| `%s` | ", row->name);
	markdown_text(out, type);
	fprintf(out, " | %s%s%s | ", is_text ? "" : "`", def, is_text ? "" : "`");
	markdown_text(out, row->doc);
	fputs(row->flags & KEY_LATER ? " *Not yet in effect.* |\n" : " |\n", out);
}

static void markdown_end(FILE *out)
{
	(void)out;
}

int config_print_markdown(FILE *out)
{
	const struct page page = { out, markdown_heading, markdown_row, markdown_end };

	fputs("# Configuration reference\n\n"
	      "Generated from the tables that read the file. Durations carry a unit (`500ms`, `30s`, `5m`, "
	      "`1h`, `1d`), sizes "
	      "too (`64KiB`, `1MiB`), rates are `N/s`, `N/m` or `N/h`; 0 needs none. A limit, rate or "
	      "timeout of 0 is none. "
	      "Where a list is expected, one value alone is a list of one. `${NAME}` and `${NAME:-default}` "
	      "in values are "
	      "environment variables (`$${` is a plain `${`). Top-level keys that begin with `x-` are "
	      "ignored: a place for "
	      "YAML anchors. Names of files are relative to the directory that holdfast was started in.\n",
	      out);
	page_mapping(&page, root_keys, "", "The keys of the whole file.", false);
	return ferror(out) ? -EIO : 0;
}

/* --- man(7) --- */

static void man_text(FILE *out, const char *text)
{
	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '\\')
			fputs("\\e", out);
		else if (*p == '-')
			fputs("\\-", out);
		else if (p == text && (*p == '.' || *p == '\''))
			fprintf(out, "\\&%c", *p);
		else
			fputc(*p, out);
	}
}

static void man_heading(FILE *out, const char *path, const char *doc, bool is_later)
{
	fputs(".SS ", out);
	man_text(out, *path == '\0' ? "The file" : path);
	fputs("\n", out);
	man_text(out, doc);
	fputs(is_later ? "\n.I Not yet in effect.\n" : "\n", out);
}

static void man_row(FILE *out, const struct key *row, const char *type, const char *def)
{
	fputs(".TP\n.B ", out);
	man_text(out, row->name);
	fputs("\n", out);
	man_text(out, row->doc);
	fputs("\n(", out);
	man_text(out, type);
	fputs("; default: ", out);
	man_text(out, def);
	fputs(row->flags & KEY_LATER ? "; not yet in effect)\n" : ")\n", out);
}

static void man_end(FILE *out)
{
	fputs(".PP\n", out);
}

int config_print_man(FILE *out)
{
	const struct page page = { out, man_heading, man_row, man_end };

	fputs(".TH HOLDFAST.YAML 5\n.SH NAME\nholdfast.yaml \\- configuration of holdfast(8)\n.SH "
	      "DESCRIPTION\n"
	      "Durations carry a unit (500ms, 30s, 5m, 1h, 1d), sizes too (64KiB, 1MiB), rates are N/s, N/m "
	      "or N/h; 0 needs "
	      "none. A limit, rate or timeout of 0 is none. Where a list is expected, one value alone is a "
	      "list of one. "
	      "${NAME} and ${NAME:\\-default} in values are environment variables.\n.SH KEYS\n",
	      out);
	page_mapping(&page, root_keys, "", "The keys of the whole file.", false);
	fputs(".SH SEE ALSO\n.BR holdfast (8)\n", out);
	return ferror(out) ? -EIO : 0;
}
