/* The errors of a load: a list of texts with positions. */
#include "config/errors.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void config_errors_init(struct config_errors *e)
{
	memset(e, 0, sizeof(*e));
}

void config_errors_done(struct config_errors *e)
{
	if (e == NULL)
		return;
	for (size_t i = 0; i < e->list_count; i++)
		free(e->list[i].text);
	free(e->list);
	memset(e, 0, sizeof(*e));
}

static bool errors_reserve(struct config_errors *e)
{
	size_t cap = e->list_cap == 0 ? 16 : e->list_cap * 2;
	struct config_error *list;

	if (e->list_count < e->list_cap)
		return true;
	list = realloc(e->list, cap * sizeof(*list));
	if (list == NULL)
		return false;
	e->list = list;
	e->list_cap = cap;
	return true;
}

/* A message is one line, whatever the file holds. */
static void text_make_printable(char *text)
{
	for (unsigned char *p = (unsigned char *)text; *p != '\0'; p++)
		if (*p < 0x20 || *p == 0x7f)
			*p = '?';
}

void config_errors_add(struct config_errors *e, const char *file, unsigned line, unsigned column,
		       bool is_warning, const char *format, ...)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out;
	va_list args;

	e->errors_count += !is_warning;
	if (e->list_count >= CONFIG_ERRORS_MAX || !errors_reserve(e))
		return;
	out = open_memstream(&text, &size);
	if (out == NULL)
		return;
	fputs(file, out);
	if (line > 0)
		fprintf(out, ":%u:%u", line, column);
	fputs(is_warning ? ": warning: " : ": ", out);
	va_start(args, format);
	vfprintf(out, format, args);
	va_end(args);
	if (fclose(out) != 0 || text == NULL) {
		free(text);
		return;
	}
	text_make_printable(text);
	e->list[e->list_count++] = (struct config_error){ line, column, is_warning, text };
}

static int error_compare(const void *a, const void *b)
{
	const struct config_error *x = a, *y = b;

	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	if (x->column != y->column)
		return x->column < y->column ? -1 : 1;
	return strcmp(x->text, y->text);
}

void config_errors_sort(struct config_errors *e)
{
	size_t kept = 0;

	if (e->list_count == 0)
		return;
	qsort(e->list, e->list_count, sizeof(*e->list), error_compare);
	for (size_t i = 0; i < e->list_count; i++) {
		if (kept > 0 && error_compare(&e->list[kept - 1], &e->list[i]) == 0) {
			e->errors_count -= !e->list[i].is_warning;
			free(e->list[i].text);
			continue;
		}
		e->list[kept++] = e->list[i];
	}
	e->list_count = kept;
}

void config_errors_print(const struct config_errors *e, FILE *out)
{
	size_t shown = 0;

	for (size_t i = 0; i < e->list_count; i++) {
		fprintf(out, "%s\n", e->list[i].text);
		shown += !e->list[i].is_warning;
	}
	if (e->errors_count > shown)
		fprintf(out, "and %zu more\n", e->errors_count - shown);
}
