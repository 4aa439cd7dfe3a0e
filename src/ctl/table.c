#include "ctl/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void table_init(struct table *t, const char *const *names, unsigned columns)
{
	*t = (struct table){ .names = names, .columns = columns };
}

void table_add(struct table *t, enum table_colour colour, const char *format, ...)
{
	va_list args;
	char *text;

	if (t->cells_count == t->cells_cap) {
		size_t cap = t->cells_cap > 0 ? t->cells_cap * 2 : 64;
		struct table_cell *cells = realloc(t->cells, cap * sizeof(*cells));

		if (cells == NULL) {
			t->is_short = true;
			return;
		}
		t->cells = cells;
		t->cells_cap = cap;
	}
	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	t->cells[t->cells_count++] = (struct table_cell){ text, colour };
}

static const char *text_of(const struct table_cell *c)
{
	return c->text != NULL ? c->text : "?";
}

static void print_cell(FILE *out, const char *text, size_t width, bool is_right, bool is_last)
{
	if (is_right)
		fprintf(out, "%*s", (int)width, text);
	else if (is_last)
		fputs(text, out);
	else
		fprintf(out, "%-*s", (int)width, text);
}

void table_print(const struct table *t, FILE *out, bool has_colour)
{
	static const char *const colours[] = { "", "\033[32m", "\033[33m", "\033[31m", "\033[2m" };
	size_t widths[TABLE_COLUMNS_MAX];

	for (unsigned c = 0; c < t->columns; c++)
		widths[c] = strlen(t->names[c] + (t->names[c][0] == '>'));
	for (size_t i = 0; i < t->cells_count; i++)
		if (strlen(text_of(&t->cells[i])) > widths[i % t->columns])
			widths[i % t->columns] = strlen(text_of(&t->cells[i]));
	fputs(has_colour ? "\033[1m" : "", out);
	for (unsigned c = 0; c < t->columns; c++) {
		fputs(c > 0 ? "  " : "", out);
		print_cell(out, t->names[c] + (t->names[c][0] == '>'), widths[c], t->names[c][0] == '>',
			   c + 1 == t->columns);
	}
	fputs(has_colour ? "\033[0m\n" : "\n", out);
	for (size_t i = 0; i < t->cells_count; i++) {
		unsigned c = (unsigned)(i % t->columns);
		enum table_colour colour = has_colour ? t->cells[i].colour : TABLE_PLAIN;

		fputs(c > 0 ? "  " : "", out);
		fputs(colours[colour], out);
		print_cell(out, text_of(&t->cells[i]), widths[c], t->names[c][0] == '>', c + 1 == t->columns);
		fputs(colour != TABLE_PLAIN ? "\033[0m" : "", out);
		if (c + 1 == t->columns)
			fputc('\n', out);
	}
}

void table_done(struct table *t)
{
	for (size_t i = 0; i < t->cells_count; i++)
		free(t->cells[i].text);
	free(t->cells);
}

/* ---- numbers ---- */

static const char *scaled(double n, double step, const char *const *units, char out[16])
{
	unsigned i = 0;

	while (n >= step && units[i + 1] != NULL) {
		n /= step;
		i++;
	}
	snprintf(out, 16, i > 0 && n < 10 ? "%.1f%s" : "%.0f%s", n, units[i]);
	return out;
}

const char *table_count(double n, char out[16])
{
	static const char *const units[] = { "", "k", "M", "G", "T", NULL };

	return scaled(n, 1000, units, out);
}

const char *table_bytes(double n, char out[16])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", NULL };

	return scaled(n, 1024, units, out);
}

const char *table_duration(double seconds, char out[16])
{
	unsigned long s = seconds > 0 ? (unsigned long)seconds : 0;

	if (s >= 86400)
		snprintf(out, 16, "%lud%luh", s / 86400 % 100000, s / 3600 % 24);
	else if (s >= 3600)
		snprintf(out, 16, "%luh%lum", s / 3600, s / 60 % 60);
	else if (s >= 60)
		snprintf(out, 16, "%lum%lus", s / 60, s % 60);
	else
		snprintf(out, 16, "%lus", s);
	return out;
}
