/* From the tree to the structs, by the tables of keys.
 *
 * Knows rows and types, and no key by name.  Goes on after an error, so that one run finds all of them: what
 * could not be read keeps its default, or is zero in a list, whose items keep their places.  References and
 * what several keys mean together are config/check's matter. */
#ifndef CONFIG_LOAD_H
#define CONFIG_LOAD_H

#include "config/errors.h"
#include "config/key.h"
#include "config/tree.h"

struct loader {
	const char *file;
	struct config_memory *memory;	   /* of the snapshot */
	struct config_memory *tree_memory; /* of what is freed after the load */
	struct config_errors *errors;
	unsigned quiet; /* inside a mapping that was said to be not yet in effect */
};

/* Fills `base`, a zeroed struct of the table `keys`, from the mapping `n`; `what` names it in messages. */
void load_mapping(struct loader *l, const struct key *keys, struct node *n, void *base, const char *what);
/* Defaults alone. */
void load_defaults(struct loader *l, const struct key *keys, void *base);
/* The text of a scalar with the environment in it; NULL after an error was added. */
const char *load_text(struct loader *l, struct node *n, const char *name);

/* The whole of a file, at most one byte more than a tree may have; the caller frees.  False after an error was added. */
bool config_file_read(const char *path, char **bytes, size_t *len, struct config_errors *errors);

void load_error(struct loader *l, const struct node *n, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void load_warning(struct loader *l, const struct node *n, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
