/* YAML as a tree with positions.
 *
 * One document; scalars are text, with what was quoted and what was not; every node knows its line and
 * column.  Aliases share the node they name, and "<<" merges mappings.  Bounded: size, depth, anchors, and
 * how much aliases may stand for, so that a small file cannot unfold into a large one. The only door to
 * yaml.h.  Knows nothing of keys.  Owned by the config_memory it was made in. */
#ifndef CONFIG_TREE_H
#define CONFIG_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "config/errors.h"
#include "config/memory.h"

#define TREE_MAX_BYTES	   ((size_t)16 << 20)
#define TREE_MAX_DEPTH	   64
#define TREE_MAX_ANCHORS   1000
#define TREE_MAX_MERGED	   1000	  /* keys that one mapping takes by "<<" */
#define TREE_MAX_ALIAS_SUM 200000 /* nodes that all aliases together stand for */

enum node_kind { NODE_SCALAR, NODE_SEQUENCE, NODE_MAPPING };

struct node_entry {
	struct node *key; /* a scalar */
	struct node *value;
};

struct node {
	enum node_kind kind;
	bool is_plain;	  /* a scalar without quotes */
	bool is_complete; /* false while it is being built: an alias to it would be a circle */
	unsigned line, column;
	size_t weight; /* nodes in it, itself too, aliases unfolded */
	char *text;    /* scalar; NUL-terminated, and no NUL inside */
	size_t text_len;
	char *expanded; /* kept by config/expand */
	size_t count;	/* of items or entries */
	struct node **items;
	struct node_entry *entries;
};

/* The root, or NULL after an error was added.  Borrows all but `memory`, which owns the result. */
struct node *tree_parse(const char *file, const char *bytes, size_t len, struct config_memory *memory,
			struct config_errors *errors);

/* The value under `key` of a mapping, or NULL; NULL too for NULL and for what is no mapping. */
struct node *node_get(const struct node *n, const char *key);
/* The item `index` of a sequence; anything else is its own item 0.  NULL when there is none. */
struct node *node_at(struct node *n, size_t index);
/* Nothing was written: `key:`, `key: ~` or `key: null`. */
bool node_is_null(const struct node *n);
/* "a mapping", "a list", "a single value": for messages. */
const char *node_kind_text(const struct node *n);

/* Whether `text` is UTF-8 (RFC 3629); *offset is set to the first byte that is not. */
bool utf8_check(const char *text, size_t len, size_t *offset);

#endif
