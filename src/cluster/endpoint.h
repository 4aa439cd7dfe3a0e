/* One server of a cluster, known by (cluster, address as written): what outlives reloads.
 *
 * Made by the control thread (cluster/view), counted and looked at by all workers, freed with the last reference (a
 * view's, a pick's), whoever drops it.  Counts are the process's, not a worker's.  `active` grows under the cluster's
 * lock (cluster_pick) and falls without it: who gives a place back never waits, the next pick hears of it. */
#ifndef CLUSTER_ENDPOINT_H
#define CLUSTER_ENDPOINT_H

#include "base/addr.h"
#include "base/list.h"
#include "base/reasons.h"
#include "config/config.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct cluster;

/* What was asked for it. */
enum endpoint_mode {
	ENDPOINT_READY,
	ENDPOINT_DRAINING, /* nothing new; what it has is closed once drain.timeout is over */
	ENDPOINT_DISABLED, /* nothing new; what it has is left alone */
};

/* What active checks have found. */
enum endpoint_health {
	ENDPOINT_UNCHECKED, /* counts as well */
	ENDPOINT_UP,
	ENDPOINT_DOWN,
};

#define ENDPOINT_WHY_MAX   120
#define ENDPOINT_FULL_SHARE 1000u

/* How fit it is to be picked; changed under the cluster's lock, by cluster/fitness alone. */
struct endpoint_fitness {
	enum endpoint_mode mode;
	enum endpoint_health health;
	uint32_t ejections;	   /* in the recent past: the next one lasts so many times longer */
	uint64_t ejections_total;
	uint32_t share;		   /* of its weight, in thousandths: less than all in a slow start */
	uint64_t slow_from_ms;	   /* 0: no slow start is under way */
	uint64_t pace_ms;	   /* slow_start_rate: the begin of the interval that `paced` is of */
	uint32_t paced;		   /* connections in that interval */
	bool is_paced_out;	   /* they are as many as may be */
	uint64_t ejected_until_ms; /* 0: it is not ejected */
	uint64_t readmitted_ms;	   /* when the last ejection ended */
	uint64_t since_ns;	   /* wall clock: of the last change of mode, health or ejection */
	char why[ENDPOINT_WHY_MAX]; /* of that change; "" at first */
};

/* What cluster/leaving knows of it; under the cluster's lock. */
struct endpoint_leaving {
	enum reason cause; /* NONE: it stays */
	uint64_t from_ms;
	bool is_unnamed;   /* by the configuration in force; also before the first */
	bool is_empty;	   /* its last connection has gone, and that was said */
	/* policies of the last configuration that named it */
	uint64_t timeout_ms;
	double rate_per_s, shed_rate_per_s;
	enum on_unhealthy on_unhealthy;
};

struct endpoint {
	struct cluster *cluster; /* a reference */
	char *name;		 /* "10.0.0.1:8080", as written */
	uint64_t id_hash;	 /* of the name alone: the same in every process, for consistent hashing */
	atomic_uint refcount;
	atomic_uint active;  /* connections and requests that it serves just now; places that were picked */
	atomic_uint pending; /* of these, those who have had no answer; counted where max_pending is set */
	atomic_ullong total; /* picks since it is known */
	atomic_ullong failures; /* see cluster/outlier */
	atomic_uint streak;	/* failures since something went well */
	atomic_uchar closing;	/* enum reason: see endpoint_closing() */
	atomic_ushort close_code;
	atomic_uint shed_total, shed_left, shed_of; /* see cluster/rebalance */
	atomic_uint connect_us; /* connecting took so long, the last few times more than the rest; 0: not known */
	atomic_uint addr_turn;	/* changes with the address in use */
	atomic_uint idle;	/* connections that wait in the workers' pools */
	atomic_bool is_dying;	/* the last one was a WebSocket that died in its first second */

	/* under the cluster's lock */
	struct list members; /* what the views know it by: cluster_member.of_endpoint */
	struct endpoint_fitness fitness;
	struct endpoint_leaving leaving;
	struct addr *addrs;  /* the resolver's answers in their order; NULL: not resolved */
	uint32_t addrs_count;
	uint32_t addrs_at; /* the one in use */
	bool was_looked_up; /* by a view; from then on control/hostnames sees to it.  Control thread */

	/* the cluster's stack of endpoints whose `active` has fallen since the last pick */
	struct endpoint *fallen_next;
	atomic_bool is_fallen; /* on that stack */
};

void endpoint_ref(struct endpoint *e);
void endpoint_unref(struct endpoint *e); /* accepts NULL */

/* Where it is just now.  false: its name has not been resolved. */
bool endpoint_addr(struct endpoint *e, struct addr *out);
/* Where it is from now on: takes the array (malloc), of at least one.  The address in use stays in use where it is still
 * among them.  true: another one is. */
bool endpoint_set_addrs(struct endpoint *e, struct addr *addrs, uint32_t count);
/* What the admin interface is told of it: why it is as it is. */
void endpoint_say(struct endpoint *e, const char *why);
/* This address did not answer: where the name has several, the next one is used from now on.  (A name that stands for
 * ::1 and 127.0.0.1 is served on one of them, commonly.) */
void endpoint_addr_failed(struct endpoint *e, const struct addr *failed);

/* Connecting to it took so long. */
void endpoint_connected(struct endpoint *e, uint64_t took_us);

/* Whoever has picked it has an answer now: not pending any more.  Only where the cluster's max_pending is set. */
void endpoint_answered(struct endpoint *e);

/* Gives back the place that cluster_pick() took; before the pick's reference goes. */
void endpoint_release(struct endpoint *e);

#endif
