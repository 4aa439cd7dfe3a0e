/* The table of algorithms. */
#ifndef CLUSTER_PICK_H
#define CLUSTER_PICK_H

#include "cluster/cluster.h"

struct algorithm {
	const char *name; /* the word of `balance` */
	bool hashes;	  /* looks at pick.hash */
	/* Makes what the algorithm wants to have at hand (a table, a sum); NULL: nothing.  false: out of memory. */
	bool (*prepare)(struct cluster_view *v);
	void (*forget)(struct cluster_view *v); /* frees v->prepared */
	/* The index of one of the candidates, or -1 for none.  `may` says for each member whether it may be picked; at
	 * least one may.  Under the cluster's lock, allocates nothing. */
	int (*pick)(struct cluster_view *v, const struct pick *p, const uint8_t *may);
};

const struct algorithm *algorithm_find(const char *name); /* NULL: none */
/* NULL-terminated, static: for config_set_algorithms(). */
const char *const *algorithm_names(void);

#endif
