/* Names in an array of structs. */
#include "config/names.h"

#include <stdlib.h>
#include <string.h>

static int entry_compare(const void *a, const void *b)
{
	const struct name_entry *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order != 0 ? order : x->index < y->index ? -1 : x->index > y->index;
}

bool names_init(struct names *n, const void *items, size_t count, size_t item_size, size_t offset)
{
	n->count = 0;
	n->sorted = calloc(count + 1, sizeof(*n->sorted));
	if (n->sorted == NULL)
		return false;
	for (size_t i = 0; i < count; i++) {
		const char *name;

		memcpy(&name, (const char *)items + i * item_size + offset, sizeof(name));
		if (name != NULL)
			n->sorted[n->count++] = (struct name_entry){ name, i };
	}
	qsort(n->sorted, n->count, sizeof(*n->sorted), entry_compare);
	return true;
}

void names_done(struct names *n)
{
	free(n->sorted);
	n->sorted = NULL;
	n->count = 0;
}

size_t names_find(const struct names *n, const char *name)
{
	size_t low = 0, high = n->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(n->sorted[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < n->count && strcmp(n->sorted[low].name, name) == 0 ? n->sorted[low].index : NAMES_NONE;
}
