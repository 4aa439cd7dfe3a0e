/* Tables for people: columns as wide as what stands in them, colour on a terminal.
 *
 * Called by: ctl/commands, ctl/top. */
#ifndef CTL_TABLE_H
#define CTL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define TABLE_COLUMNS_MAX 16

enum table_colour { TABLE_PLAIN, TABLE_GOOD, TABLE_WARN, TABLE_BAD, TABLE_DIM };

struct table_cell {
	char *text; /* on the heap */
	enum table_colour colour;
};

struct table {
	const char *const *names; /* of the columns; those that begin with '>' are set to the right */
	unsigned columns;
	struct table_cell *cells;
	size_t cells_count, cells_cap;
	bool is_short; /* memory was out: not whole */
};

void table_init(struct table *t, const char *const *names, unsigned columns);
/* The next cell of the present row. */
void table_add(struct table *t, enum table_colour colour, const char *format, ...) __attribute__((format(printf, 3, 4)));
void table_print(const struct table *t, FILE *out, bool has_colour);
void table_done(struct table *t);

/* "1.2M", "830": at most four digits; and bytes as "1.2MiB", durations as "3d4h", "5m2s". */
const char *table_count(double n, char out[16]);
const char *table_bytes(double n, char out[16]);
const char *table_duration(double seconds, char out[16]);

#endif
