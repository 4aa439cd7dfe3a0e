/* The monitor: what is done for clusters once a process, on a thread and a ring of its own.
 *
 * Checks endpoints (cluster/health), and sees to it that those which leave are left (cluster/leaving).  Control tells it
 * which configuration is in force; it goes by that one until the next.
 * Called by: control. */
#ifndef CLUSTER_MONITOR_H
#define CLUSTER_MONITOR_H

#include "cluster/cluster.h"
#include "net/ring.h"
#include "net/tls_context.h"

struct monitor_cluster {
	struct cluster_view *view;
	struct tls_context *tls; /* to its endpoints; NULL: plain */
};

/* What is in force from now on. */
struct monitor_order {
	struct mail mail;
	struct monitor *monitor;
	struct monitor_cluster *clusters; /* on the heap; the order's */
	size_t clusters_count;
	void *held; /* what they belong to; given back with release() once another order is there */
	void (*release)(void *held);
};

struct monitor {
	struct ring ring;
	struct clusters *clusters; /* the registry; kept */
	pthread_t thread;
	bool has_ring, has_thread;
	struct monitor_order *order; /* in force; NULL: none yet */
	struct hash_map checks;	     /* struct check, by its endpoint's address in memory */
	struct timer leaving_timer;
	struct mail stop_mail, look_mail;
	atomic_bool look_posted;
	/* Endpoints have begun or ceased to close their connections: tells the workers, in the monitor's thread. */
	void (*tell)(struct ring *from, void *user);
	void *tell_user;
};

/* Makes its ring, before privileges are dropped.  0 or a negative errno; monitor_done() in any case. */
int monitor_init(struct monitor *m, struct clusters *clusters, unsigned ring_entries);
/* Starts the thread.  0 or a negative errno. */
int monitor_start(struct monitor *m);
/* Takes the order (malloc, and what is in it). */
void monitor_apply(struct monitor *m, struct ring *from, struct monitor_order *order);
/* Modes or weights of endpoints were changed by a command: looks at all of them. */
void monitor_look(struct monitor *m, struct ring *from);
/* The thread ends after its turn. */
void monitor_stop(struct monitor *m, struct ring *from);
/* Waits for its end, and frees all; accepts what is half made. */
void monitor_done(struct monitor *m);
void monitor_order_free(struct monitor_order *o); /* accepts NULL */

#endif
