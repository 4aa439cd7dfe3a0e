/* Which cluster of its route a request goes to, and who served its client before.
 *
 * A client that shows a cookie of one of the route's clusters stays in it, whatever the weights of a split say, as long as
 * that cluster has any; others are spread.  Then, in this order: the cookie's endpoint, the endpoint that named the
 * session which the request shows (affinity.learn), what `hash_on` says.
 * Called by: proxy/forward.  Keeps nothing but what the living cluster learns; allocates nothing. */
#ifndef PROXY_AFFINITY_H
#define PROXY_AFFINITY_H

#include "base/str.h"
#include "proxy/request.h"
#include "proxy/snapshot.h"

#define AFFINITY_COOKIE_MAX  2048 /* of a Set-Cookie; config/check bounds what goes into it */
#define AFFINITY_SESSION_MAX 256  /* a session's name */
#define AFFINITY_BODY_MAX    2048 /* of a response, that is looked at for one */

struct affinity {
	const struct snapshot_cluster *cluster;
	uint64_t hash;
	const struct cluster_member *wanted; /* NULL: nobody */
	bool has_cookie;		     /* it is wanted because of a cookie */
	bool has_session;		     /* the request shows what `learn.match` looks for */
};

/* Where the request goes; r->route leads to clusters. */
void affinity_find(struct affinity *a, const struct snapshot *s, const struct request *r, uint64_t now_ms);

/* The value of Set-Cookie that brings the client back to the member; false: it does not fit, or there is none to set. */
bool affinity_cookie_write(struct str *out, const struct affinity_cookie *c, const struct cluster_member *m);

/* The text of the first member `key` of JSON in a body's beginning: in {"sid":"abc"}, or 0{"sid":"abc"}, abc.  One with
 * escapes, an empty or an overlong one is none.  False: none, or not yet whole. */
bool affinity_session_scan(const uint8_t *body, size_t len, const char *key, const char **out, size_t *out_len);

#endif
