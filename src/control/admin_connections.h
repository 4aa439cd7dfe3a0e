/* Open connections: listed, and ended.
 *
 * A walk asks one worker at a time for a slice of its list, and writes that slice to the client before it asks for the
 * next one: whatever the number of connections, memory is bounded by a slice, and no worker is kept longer than a slice
 * takes.  One that comes or goes meanwhile may be missing; one that stays is there once.
 * Called by: control/admin_commands, control/admin_text. */
#ifndef CONTROL_ADMIN_CONNECTIONS_H
#define CONTROL_ADMIN_CONNECTIONS_H

#include "control/admin_job.h"
#include "proxy/connections.h"

#define WALK_FILTER_MAX 256

/* All that are given must match; "" is any. */
struct walk_filter {
	char cluster[WALK_FILTER_MAX], endpoint[WALK_FILTER_MAX], listener[WALK_FILTER_MAX], route[WALK_FILTER_MAX];
	char ip[WALK_FILTER_MAX], kind[32];
	struct token_names token; /* one name of its token; zeroes: any */
};

struct walk_options {
	struct walk_filter filter;
	uint64_t limit; /* matches; UINT64_MAX: all */
	bool is_ending;
	struct connection_end end; /* for is_ending */
	/* How one is written, in the worker's thread; `is_first` of the whole answer.  NULL for is_ending. */
	void (*print)(struct str *out, const struct connection_info *info, bool is_first);
	/* The walk is over (the peer may be gone): writes the rest, and ends the request. */
	void (*done)(struct admin_client *, uint64_t count);
};

/* Walks over all workers; the answer has been begun. */
void walk_start(struct admin_client *c, const struct walk_options *options);
/* One worker's one connection by its id; false: it is no id. */
bool walk_end_one(struct admin_client *c, const char *id, const struct connection_end *end,
		  void (*done)(struct admin_client *, uint64_t count));

#endif
