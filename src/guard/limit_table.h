/* What is counted by key: open connections, and a token bucket.
 *
 * One table for the process, in 64 shards, each with a lock held for one look-up.  It never grows past its capacity, and
 * pages of it that were never used cost no memory.  An entry that says nothing (no connection open, bucket full) makes
 * room for another; where there is none of those, the coldest of some neighbours that no connection holds and that was
 * not refused lately does.  Entries of clients that are being refused are not pushed out: when the table is full of
 * those, a new key is let pass uncounted (GUARD_TABLE_FULL counts), since to refuse it would hand the service to
 * whoever fills the table.
 * Called by: guard/guard, at accept and close, and at each request of a route with a rate.  Knows nothing of sockets and
 * clocks.  Locks: one shard, never two. */
#ifndef GUARD_LIMIT_TABLE_H
#define GUARD_LIMIT_TABLE_H

#include "guard/bucket.h"
#include "guard/meter.h"

#include <stddef.h>

struct limit_table;

/* Both halves from secret hashes (limit_key_of): who chooses the bytes cannot choose the place, nor meet another's. */
struct limit_key {
	uint64_t high, low;
};

struct limit_rules {
	uint32_t connections; /* 0: no limit */
	struct bucket_rate rate;
};

enum limit_result { LIMIT_OK, LIMIT_CONNECTIONS, LIMIT_RATE };

/* Room for `capacity` entries (64 at least).  NULL: memory is out. */
struct limit_table *limit_table_new(uint32_t capacity);
void limit_table_free(struct limit_table *t); /* accepts NULL */

/* `scope` tells uses of the same bytes apart. */
struct limit_key limit_key_of(const struct limit_table *t, uint64_t scope, const void *bytes, size_t len);

/* A connection more.  *held (0: nothing) is owed to limit_connection_gone(); set on LIMIT_OK only. */
enum limit_result limit_connection(struct limit_table *t, const struct limit_key *key, const struct limit_rules *rules,
				   uint64_t now_ns, uint32_t *held);
void limit_connection_gone(struct limit_table *t, uint32_t held, uint64_t now_ns); /* held 0: nothing */

/* A token.  false: there is none, for *wait_ns from now. */
bool limit_take(struct limit_table *t, const struct limit_key *key, const struct bucket_rate *rate, uint64_t now_ns,
		uint64_t *wait_ns);

/* What is counted of messages: how many, and their bytes. */
struct limit_meters {
	struct meter_rate messages, bytes;
};
enum limit_meter { LIMIT_MESSAGES, LIMIT_BYTES };

/* A frame of so many bytes; `begins`: a message, or a control frame.  0: it was charged.  Else the time until another may
 * begin, nothing was charged, and *which says of what there is too much. */
uint64_t limit_frame(struct limit_table *t, const struct limit_key *key, const struct limit_meters *m, uint64_t now_ns,
		     bool begins, uint64_t bytes, enum limit_meter *which);

/* Entries in use, over all shards: for tests and the metrics. */
uint32_t limit_table_used(struct limit_table *t);

#endif
