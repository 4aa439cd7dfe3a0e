/* Idle connections to endpoints, kept by each worker for the next request.
 *
 * The newest goes first.  One that the endpoint ends, or sends anything on, or that was idle too long, is closed.
 * Called by: proxy/backend.  One thread; belongs to a ring. */
#ifndef CLUSTER_POOL_H
#define CLUSTER_POOL_H

#include "base/hash.h"
#include "base/slab.h"
#include "cluster/endpoint.h"
#include "config/config.h"
#include "net/duplex.h"
#include "net/ring.h"

struct pool {
	struct ring *ring;
	struct hash_map by_endpoint; /* struct pool_shelf, by the endpoint's address in memory */
	struct slab idles;
	struct slab shelves;
	uint32_t count; /* idle connections */
};

void pool_init(struct pool *p, struct ring *ring);
/* Closes all; the ring still has to run until their operations are over. */
void pool_done(struct pool *p);

/* Keeps an idle connection: takes the duplex, and makes a reference of its own to the endpoint.  `kind`: what it is, as
 * cluster_connection_kind() says: only a connection of the same kind may serve.  Closed when idle_ms (0: no limit) are
 * over; the oldest is closed when there are more than `max_idle` for the endpoint. */
void pool_put(struct pool *p, struct endpoint *e, uint64_t kind, struct duplex *d, uint32_t max_idle,
	      uint64_t idle_ms);
/* The newest of that kind, or NULL; it does not read (duplex_read is off), has no user, and its events are the
 * caller's to set.  Others of the endpoint with another kind are closed. */
struct duplex *pool_take(struct pool *p, struct endpoint *e, uint64_t kind);

/* What a connection to this cluster is: a hash of all that is said when connecting (TLS options with the contents' file
 * names, proxy_protocol, protocol, source_addresses). */
uint64_t cluster_connection_kind(const struct cluster_config *c);

#endif
