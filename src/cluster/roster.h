/* The roster: what the admin interface sees of clusters and their endpoints, and what it may order.
 *
 * For the rest it has endpoint_set_mode() (cluster/fitness); after either, monitor_look().
 * Called by: control.  Locks: one cluster's at a time. */
#ifndef CLUSTER_ROSTER_H
#define CLUSTER_ROSTER_H

#include "cluster/cluster.h"

struct endpoint_row {
	struct endpoint *of; /* a reference: what the texts belong to */
	const char *cluster, *endpoint;
	const char *
		state; /* "removed", "unresolved", "draining", "disabled", "ejected", "down", "up", "ready" (nobody
			    * checks it): the first that holds */
	enum endpoint_mode mode;
	enum endpoint_health health;
	char why[ENDPOINT_WHY_MAX]; /* of the last change; "": there was none */
	uint64_t since_ns;	    /* wall clock: of that change; 0: there was none */
	uint64_t ejected_for_ms;    /* from now on */
	uint64_t ejections;	    /* since it is known */
	uint64_t close_in_ms;	 /* it leaves: until its connections are closed; 0: they are being closed */
	double close_rate_per_s; /* then so many; 0: all at once */
	uint32_t weight;	 /* in the newest configuration, or as it was set since */
	uint32_t configured_weight; /* as it stands there */
	uint32_t share;		    /* of the weight, in thousandths: a slow start */
	uint32_t max_connections;
	uint32_t active;
	uint32_t pending;   /* without an answer; counted where max_pending is set */
	uint32_t idle;	    /* connections that wait in the workers' pools */
	uint32_t shed_left; /* connections that a rebalancing has yet to close */
	uint64_t total, failures;
	uint32_t connect_us;	/* how long connecting took, lately; 0: not known */
	enum reason leaving;	/* why it is to be left by its connections; NONE: it stays */
	enum reason closing;	/* they are being closed; NONE: they are not */
	struct addr addr;	/* len 0: it is not resolved */
	uint32_t sources_count; /* addresses that it is connected to from; at least 1 */
	bool is_backup;
	bool is_usable; /* something new may be given to it */
	bool is_added;	/* at run time, and stands nowhere else */
};

struct roster {
	struct endpoint_row
		*rows; /* each cluster's together; what its configuration names first, in that order */
	size_t count, max;
};

/* The endpoints of one cluster (NULL: of all), those too that have been removed and still have connections.  Without
 * memory for them some are missing.  roster_done() in any case. */
void roster_take(struct roster *r, struct clusters *registry, const char *cluster);
void roster_done(struct roster *r);
/* NULL: there is none of that name. */
const struct endpoint_row *roster_row(const struct roster *r, const char *cluster, const char *endpoint);

/* With a reference (endpoint_unref), or NULL. */
struct endpoint *roster_find(struct clusters *registry, const char *cluster, const char *endpoint);

/* Its weight from now on, until a reload; 0: nothing new for it.  0, or -ENOMEM: all is as it was. */
int endpoint_set_weight(struct endpoint *e, uint32_t weight);

/* Begins to shed what endpoints have above their share; how many connections that are (then the workers are to be told,
 * monitor.tell), or -1: there is no such cluster. */
long cluster_rebalance(struct clusters *registry, const char *cluster);

#endif
