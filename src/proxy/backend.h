/* A connection to an endpoint of a cluster, for one request or one client.
 *
 * Chooses an endpoint (cluster_pick), takes an idle connection to it or makes one, and where connecting fails tries
 * another, as the cluster's `retries` say.  Holds the endpoint's place until it is let go.  Embedded in its owner.
 * Called by: proxy/forward, proxy/tcp_relay. */
#ifndef PROXY_BACKEND_H
#define PROXY_BACKEND_H

#include "cluster/cluster.h"
#include "net/duplex.h"
#include "proxy/snapshot.h"
#include "proxy/worker.h"

struct waiter;

struct backend {
	struct worker *worker;
	const struct snapshot_cluster *cluster; /* borrowed: of the owner's view */
	struct endpoint *endpoint;		/* with its place; NULL: none */
	struct duplex *d;			/* NULL: none */
	struct pick pick;
	uint64_t kind;	     /* of the connection: see pool_put() */
	uint64_t connect_ns; /* when connecting began */
	uint32_t attempts_left;
	uint8_t why; /* enum reason: of the last endpoint that failed */
	bool may_reuse; /* an idle connection may serve */
	bool is_reused;
	bool is_open;
	bool is_pending; /* see max_pending: it counts as one without an answer */
	struct waiter *waiter; /* for a place (proxy/waiting); NULL: it does not wait */
	const struct duplex_events *events; /* the owner's, once it is open */
	void *user;
	const void *preface; /* see stream_target; the owner keeps it */
	uint32_t preface_len;
	/* It is open; its events are the owner's now.  May be called within backend_start(). */
	void (*on_ready)(struct backend *);
	/* There is none to be had. */
	void (*on_failed)(struct backend *, enum reason why);
};

/* worker, cluster, pick.hash, may_reuse, events, user, preface, on_ready and on_failed are set; the rest is zero. */
void backend_start(struct backend *b);

/* An endpoint has failed the request (`why` says how): the connection is closed, and another tried unless the attempts
 * are used up.  false: they are; the owner answers. */
bool backend_retry(struct backend *b, enum reason why);
/* A kept connection was stale: the same endpoint by a fresh one, at no attempt's cost. */
void backend_again(struct backend *b);

/* The connection can serve another request: back to the pool. */
void backend_keep(struct backend *b);
/* There is an answer: max_pending does not hold for it any more. */
void backend_answered(struct backend *b);
/* For proxy/waiting: chooses, and goes on with what was chosen (PICK_FULL: with nothing). */
enum pick_result backend_pick(struct backend *b);
void backend_go(struct backend *b, enum pick_result result);

/* A place is given back, and its reference: whoever waits for one is told.  In the worker's thread. */
void backend_place_give(struct worker *w, struct endpoint *e);

/* Closes it (why NONE: lets what is queued leave), gives the place back.  Accepts one that has none. */
void backend_drop(struct backend *b, enum reason why);
/* Gives connection and place to the caller: backend holds nothing any more. */
struct duplex *backend_give(struct backend *b, struct endpoint **endpoint);

#endif
