/* Clusters: the living ones, and what a snapshot of the configuration makes of each.
 *
 * A cluster and its endpoints are known by name and live across reloads, with their counts (struct clusters, one a
 * process).  A view is a cluster as one snapshot describes it: its members in the file's order with their weights, and
 * the algorithm's state; made by the control thread, picked from by every worker, freed with its snapshot.
 * Called by: proxy/snapshot (views), proxy/backend (picks).  Locks: one cluster's, held for one pick; never two. */
#ifndef CLUSTER_CLUSTER_H
#define CLUSTER_CLUSTER_H

#include "base/hash.h"
#include "cluster/endpoint.h"
#include "cluster/sticky.h"
#include "config/config.h"

struct clusters;
struct cluster_tier; /* cluster/pick.h */

/* What may be asked of whom: `is_present` is for long (weight, an address, neither draining nor disabled), `is_well` is
 * that and neither unhealthy nor ejected, `is_candidate` is who is well, or in a panic who is present, `is_open` is the
 * moment's (not full, not tried by the pick under way); changed by cluster/cluster alone. */
struct cluster_member {
	struct endpoint *endpoint; /* a reference */
	const struct endpoint_config *config;
	uint32_t weight;	  /* 0: not picked */
	uint32_t max_connections; /* 0: no limit */
	bool is_backup;
	char token[STICKY_TOKEN_LEN + 1]; /* "": the cluster has no affinity.cookie */
	bool is_remote; /* in another zone than the proxy */
	bool is_added;	/* at run time: neither configured nor discovered */

	/* under the cluster's lock */
	bool is_present;
	bool is_well;
	bool is_candidate;
	bool is_open;
	bool is_tried;
	uint32_t active;	   /* endpoint.active as last heard of */
	uint32_t share;		   /* of its weight, in thousandths: algorithms heed it */
	uint32_t place;		   /* in tier->members */
	struct cluster_tier *tier; /* NULL: weight 0 */
	struct list of_endpoint;   /* endpoint.members */
};

/* Each is asked only where nobody in those before it may be. */
enum cluster_tier_kind { TIER_LOCAL, TIER_REMOTE, TIER_BACKUP, TIER_COUNT };

struct cluster_view {
	struct cluster *cluster;	     /* a reference */
	struct list of_cluster;		     /* cluster.views */
	const struct cluster_config *config; /* of the snapshot that the view belongs to */
	struct cluster_member *members;
	uint32_t members_count;
	struct endpoint_list *discovered; /* whose endpoints are members, too; NULL: none */
	struct endpoint_list *added;	  /* the same, of those that were added at run time */
	struct hash_map by_endpoint; /* members by their endpoint's address in memory */
	struct hash_map by_token;    /* members by what a cookie may show; empty without affinity.cookie */
	struct hash_map by_id;	     /* members by endpoint.id_hash; empty without affinity.learn */
	struct cluster_tier *tiers[TIER_COUNT];
	bool is_panicking; /* too few are well: all who are present are candidates */
};

struct clusters *clusters_new(void);
/* All views are gone; endpoints may still be referenced, and go by themselves. */
void clusters_free(struct clusters *c); /* accepts NULL */

/* Whether a view looks up names that are new to it, which blocks (the default), or leaves them to somebody else.  Control
 * thread. */
void clusters_set_lookup(struct clusters *c, bool looks_up);

/* What was found for a cluster with `discover`: views that are made from now on have it.  Takes the list; kept by name, also
 * before there is such a cluster, so that a reload goes by the last good answer.  0 or -ENOMEM.  Control thread. */
int clusters_set_discovered(struct clusters *c, const char *cluster, struct endpoint_list *list);
/* The last one, borrowed until the next is set; NULL: none. */
struct endpoint_list *clusters_discovered(struct clusters *c, const char *cluster);

/* The same for endpoints that were added by command: members beside the configured and the discovered ones, across reloads,
 * until they are taken out. */
int clusters_set_added(struct clusters *c, const char *cluster, struct endpoint_list *list);
struct endpoint_list *clusters_added(struct clusters *c, const char *cluster);

/* The view of one cluster; finds the living cluster and endpoints by name or makes them.  Names of hosts that are new are
 * looked up (blocking, control thread); one that cannot be resolved is logged, stays, and is not picked until somebody
 * finds its address (control/hostnames).  Keeps config until cluster_view_free().  NULL: out of memory. */
struct cluster_view *cluster_view_new(struct clusters *c, const struct cluster_config *config);
/* The same configuration again, since endpoints have come or gone: weights that were set stay set. */
struct cluster_view *cluster_view_again(struct clusters *c, const struct cluster_view *old);
/* Endpoints that no view names any more go with their last reference.  In any thread. */
void cluster_view_free(struct cluster_view *v); /* accepts NULL */

const char *cluster_name(const struct cluster *c);
/* Over all its endpoints. */
uint32_t cluster_active(const struct cluster *c);

/* What a pick goes by. */
#define PICK_TRIED_MAX 16
struct pick {
	uint64_t hash; /* of what the configuration hashes on; for algorithms that hash */
	const struct cluster_member *wanted; /* of the view: who served this client before; NULL: nobody */
	const struct endpoint *tried[PICK_TRIED_MAX]; /* passed over: they failed this request already */
	uint32_t tried_count;
};

enum pick_result {
	PICK_OK,
	PICK_NONE,  /* nobody is there to ask: no members, all weights 0, none resolved */
	PICK_TRIED, /* all that could be asked were tried */
	PICK_FULL,  /* some were not tried: they are at max_connections, or the cluster is */
};

/* Chooses, and counts the choice at once: endpoint_release() ends it.  `out` gets a reference (endpoint_unref).
 * May be picked: not tried, weight > 0, resolved, below max_connections; backups only where no other may, or where the
 * client comes from one.  Who is wanted comes first; where it may not be picked, the algorithm chooses.  Allocates
 * nothing. */
enum pick_result cluster_pick(struct cluster_view *v, const struct pick *p, struct endpoint **out);

/* Who is meant by an affinity cookie's value, any bytes; NULL: nobody of this view. */
const struct cluster_member *cluster_view_by_token(const struct cluster_view *v, const char *token, size_t len);

/* affinity.learn: the endpoint has named a session; who has named it.  NULL: nobody knows it, or its endpoint has left. */
void cluster_session_learn(struct cluster_view *v, const void *session, size_t len, const struct endpoint *e,
			   uint64_t now_ms);
const struct cluster_member *cluster_session_find(struct cluster_view *v, const void *session, size_t len,
						  uint64_t now_ms);

/* The member's configuration (for the TLS name, say), or NULL when the view does not name it. */
const struct cluster_member *cluster_view_member(const struct cluster_view *v, const struct endpoint *e);

#endif
