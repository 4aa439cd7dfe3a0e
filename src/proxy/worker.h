/* A worker: one thread, one ring, and all that is done for the clients that came to it.
 *
 * The control thread makes workers, gives each its listening sockets and the snapshot in force, and speaks to it by mail:
 * worker_apply() (a new configuration), worker_drain() (SIGTERM), worker_stop().  Nothing of one worker is touched by
 * another.
 * Called by: control. */
#ifndef PROXY_WORKER_H
#define PROXY_WORKER_H

#include "base/hash.h"
#include "base/slab.h"
#include "cluster/pool.h"
#include "net/ring.h"
#include "proxy/connections.h"
#include "proxy/places.h"
#include "proxy/snapshot.h"
#include "wire/headers.h"

struct view;

/* A listening socket as control hands it over: one for each bind of each listener. */
struct worker_socket {
	struct addr addr;
	int fd; /* the worker's own (TCP), or shared by all (UNIX); stays control's to close */
	const struct listener_config *listener; /* of the snapshot it comes with */
	size_t listener_index;
};

/* How a worker leaves: SIGTERM, or another process has taken over. */
struct worker_leave {
	enum reason why;      /* what its clients are told */
	uint64_t grace_ms;
	bool is_endless;      /* nobody is closed for time: they end by themselves */
	bool is_served;	      /* who has come and not asked yet is still answered */
	const int *handed;    /* listening sockets that another process accepts from; sorted, kept until it has left */
	size_t handed_count;
};

struct worker {
	struct ring ring;
	pthread_t thread;
	unsigned index;
	struct worker *all; /* every worker: an array; for telling others */
	unsigned all_count;
	struct places *places;
	atomic_bool is_waiting; /* for a place */
	struct mail place_mail;
	struct mail heed_mail;
	atomic_bool heed_posted;
	struct view *view;	/* of the snapshot in force */
	struct limit_table *limits; /* the process's */
	struct list listeners;	/* struct listener */
	uint32_t arrivals_count;
	struct list arrivals;	/* clients that have not come past PROXY header and TLS */
	struct list h1_servers; /* HTTP/1 connections of clients */
	struct list relays;	/* WebSockets */
	struct list tcp_relays;
	struct list refreshes; /* struct auth_refresh: under way to other workers */
	struct list waiters; /* for a place in a full cluster (proxy/waiting) */
	struct timer waiting_timer;
	struct mail waiting_mail;
	atomic_bool waiting_posted;
	struct connections open; /* clients by number */
	struct session_table *sessions; /* of the fallback */
	struct pool pool;
	uint32_t next_source; /* of a cluster's source_addresses: they take turns */
	struct slab arrival_slab, h1_slab, exchange_slab, forward_slab, relay_slab, tcp_slab;
	uint32_t connections;	/* clients of this worker, of every kind */
	bool is_draining;
	bool is_stopping;	/* nothing new is begun any more */
	enum reason drain_why;
	uint64_t drain_until_ms; /* UINT64_MAX: without end */
	struct timer drain_timer;
	struct http_field *fields; /* for the request head that is being parsed */
	struct http_field *response_fields; /* for a backend's */
	uint32_t fields_cap;
	struct ws_recode_room *recode_room; /* of websockets with compression: terminate; made when needed */
	char *scratch;		   /* for what lives in one call */
	size_t scratch_cap;
	/* Called in the worker's thread when it is draining and its last client has gone; may be NULL. */
	void (*on_empty)(struct worker *, void *user);
	void *on_empty_user;
};

/* Prepares worker `index` of `all`; its ring is made, and not enabled.  0 or a negative errno. */
int worker_init(struct worker *w, unsigned index, struct worker *all, unsigned all_count, struct places *places,
		unsigned ring_entries);
/* The body of its thread: enables the ring, runs until worker_stop(), then closes all that is left (bounded) and frees
 * what it has. */
void worker_run(struct worker *w);
void worker_done(struct worker *w);

/* From the thread of `from`, another ring: endpoints have begun or ceased to close their connections (cluster/leaving);
 * the worker looks at all of its own. */
void worker_post_heed(struct worker *w, struct ring *from);

/* The following run in the worker's own thread: control posts mail that calls them.
 *
 * Puts a snapshot in force (takes one reference) with exactly these listening sockets (borrowed): those whose address the
 * worker listens on already go on, new ones begin, others are left after their queue has been emptied.  Open connections
 * are bound to their listeners and routes by name. */
void worker_apply(struct worker *w, struct snapshot *s, const struct worker_socket *sockets, size_t count);
/* Accepts no more, ends idle connections (is_served: lets them have one more request), closes WebSockets spread over
 * grace_ms, lets requests end; after the grace everything that is left is closed.  Once more: sooner, never later. */
void worker_drain(struct worker *w, const struct worker_leave *how);
/* When a WebSocket is to be closed, in a drain. */
uint64_t worker_goodbye_at(const struct worker *w);
/* The loop ends after this turn. */
void worker_stop(struct worker *w);

/* A client has gone: was it the last one that a drain waits for? */
void worker_check_empty(struct worker *w);

#endif
