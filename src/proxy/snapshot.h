/* What a configuration becomes when it is to be run: contexts, cluster views, and a number for everything.
 *
 * Made whole by the control thread or not at all; read-only afterwards; counted atomically, and freed by whoever drops the
 * last reference.
 * Called by: control (makes), proxy/worker (each worker holds one reference to the one in force, and one to each older
 * one that a request of it still goes by). */
#ifndef PROXY_SNAPSHOT_H
#define PROXY_SNAPSHOT_H

#include "cluster/cluster.h"
#include "config/config.h"
#include "guard/guard.h"
#include "net/tls_context.h"

#include <stdatomic.h>

struct snapshot_cluster {
	struct cluster_view *view;
	struct tls_context *tls; /* to its endpoints; NULL: plain */
	uint64_t kind;		 /* cluster_connection_kind() */
};

struct snapshot {
	atomic_uint refcount;
	struct config *config;		    /* a reference */
	struct tls_context **listener_tls;  /* one for each of config->listeners; NULL: plain */
	struct guard *guard;
	struct snapshot_cluster *clusters;  /* one for each of config->clusters (cluster_config.index) */
};

/* What lives longer than snapshots and is put into each. */
struct snapshot_sources {
	struct clusters *clusters;
	struct limit_table *limits;
	struct revocations *revocations;
	struct tls_tickets *tickets; /* shared by all listeners; made with the first configuration's rotate */
	/* The demo: a listener of this name gets this context although the file gives it no `tls`; NULL: none. */
	const char *own_tls_listener;
	struct tls_context *own_tls;
};

/* Gives a snapshot with one reference, and takes a reference on the configuration.  NULL: certificates that cannot be
 * read and their like are added to `errors` as "FILE: ..." (file:0:0), all of them. */
struct snapshot *snapshot_new(struct config *config, const struct snapshot_sources *sources, struct config_errors *errors);
/* The same configuration and contexts with new views: the endpoints of a cluster are others.  NULL: out of memory. */
struct snapshot *snapshot_again(const struct snapshot *s, struct clusters *clusters);
struct snapshot *snapshot_ref(struct snapshot *s);
void snapshot_unref(struct snapshot *s); /* accepts NULL */

#endif
