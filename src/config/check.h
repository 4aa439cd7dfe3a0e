/* What the keys mean together: names, references, what excludes what; and the fields that follow from others.
 *
 * Works on structs that config/load has filled, also where it found errors (then texts may be NULL), and on
 * the tree for positions.  config/check.c is the whole and the listeners; check_route.c and check_cluster.c
 * are theirs. */
#ifndef CONFIG_CHECK_H
#define CONFIG_CHECK_H

#include "config/load.h"
#include "config/names.h"

#define CHECK_LABEL_MAX 160

struct checker {
	struct loader *load;
	struct config *config;
	struct names clusters;
};

/* Everything; borrows.  The snapshot is whole if this added no error. */
void check_config(struct loader *l, struct config *c, struct node *root);

void check_cluster(struct checker *k, struct cluster_config *c, struct node *n);
void check_routes(struct checker *k, struct listener_config *l, struct node *n);

/* The cluster of that name, or NULL after an error at `at`.  NULL for NULL. */
const struct cluster_config *check_reference(struct checker *k, const char *name, const struct node *at);
/* An error for every name that was there before.  `list` holds the items, `key` their names (or an item is
 * its name). */
void check_duplicates(struct checker *k, const struct names *names, struct node *list, const char *key,
		      const char *what);
/* `listener "web"`, or `this listener` where it has no name; gives `out`. */
const char *check_label(char out[CHECK_LABEL_MAX], const char *what, const char *name);
/* The value under a key, else the mapping: where to point when the key may be missing. */
const struct node *check_place(const struct node *n, const char *key);

/* A list that stands in a file of its own. */
void check_endpoint_list(struct loader *l, struct endpoint_list *list, struct node *n);
/* host, port and addr_literal of an address that is one. */
bool endpoint_config_resolve(struct endpoint_config *e, struct config_memory *memory);

#endif
