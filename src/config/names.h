/* Names in an array of structs: sorted once, found by halving, and which are there twice. */
#ifndef CONFIG_NAMES_H
#define CONFIG_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#define NAMES_NONE ((size_t)-1)

struct name_entry {
	const char *name;
	size_t index; /* of the item it belongs to */
};

struct names {
	struct name_entry *sorted; /* by name, then by index */
	size_t count;
};

/* Borrows the items until names_done(); each has a `char *` at `offset`, and those with NULL are left out.
 * False when there is no memory. */
bool names_init(struct names *n, const void *items, size_t count, size_t item_size, size_t offset);
void names_done(struct names *n);
/* The first item of that name, or NAMES_NONE. */
size_t names_find(const struct names *n, const char *name);

#endif
