/* Sessions that endpoints have named: which one made up "sid", for as long as somebody asks for it.
 *
 * Two generations of a table: what is asked for moves into the young one; when that is full, or old enough, it becomes the
 * old one, and what nobody has asked for since is gone.  So memory is bounded, and a session that is alive stays known.
 * Names are kept as secretly seeded hashes.  One a cluster, across reloads and workers; locks: its own, for one look-up. */
#ifndef CLUSTER_LEARNED_H
#define CLUSTER_LEARNED_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LEARNED_MAX	   196608u /* sessions of a generation: 4 MiB of table */
#define LEARNED_GENERATION_MS 600000u

struct learned_slot {
	uint64_t session; /* 0: free */
	uint64_t endpoint;
};

struct learned_table {
	struct learned_slot *slots;
	uint32_t mask; /* slots - 1; 0: none */
	uint32_t count;
};

struct learned {
	pthread_mutex_t lock;
	uint64_t seed;
	uint64_t young_since_ms;
	struct learned_table young, old;
};

void learned_init(struct learned *l);
void learned_done(struct learned *l);

/* The session is of this endpoint (endpoint.id_hash).  Out of memory: it is not learned. */
void learned_put(struct learned *l, const void *session, size_t len, uint64_t endpoint, uint64_t now_ms);
/* The endpoint that it is of; false: it is not known. */
bool learned_find(struct learned *l, const void *session, size_t len, uint64_t *endpoint, uint64_t now_ms);

#endif
