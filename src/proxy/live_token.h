/* What a live connection keeps of the token it was let in by: when it runs out, and what it is revoked by.
 *
 * A connection is looked at again when its time has come, when a configuration (or the files of one) is in force, and
 * when the administrator revokes: then its carrier asks live_token_is_revoked().
 * Called by: proxy/exchange (makes), ws_relay and sessions (keep one each), auth_refresh (renews). */
#ifndef PROXY_LIVE_TOKEN_H
#define PROXY_LIVE_TOKEN_H

#include "guard/jwt.h"
#include "proxy/view.h"

struct live_token {
	uint64_t until_s; /* since the epoch, leeway included; 0: no end */
	struct token_names names;
};

/* On the heap, free() is enough.  NULL: memory is out. */
struct live_token *live_token_new(const struct jwt *token);

/* When the connection is to be closed for REASON_TOKEN_EXPIRED, on the ring's clock; UINT64_MAX: never.  `t` may be NULL.
 * `c` is the route's; NULL: it asks for no token any more. */
uint64_t live_token_due_ms(const struct live_token *t, const struct jwt_config *c, uint64_t now_ms);

/* What the view says of the route, by the listener's name; NULL: it does not know it. */
const struct guard_route *live_token_route(const struct view *v, const char *listener, const struct route_config *route);
/* `t` or `route` may be NULL: then no. */
bool live_token_is_revoked(const struct live_token *t, const struct guard_route *route);

/* A new token that has been checked: by the rules of these routes it is good, until then. */
#define RENEWAL_ROUTES_MAX 8u
struct token_renewal {
	struct token_names names;
	uint64_t scopes[RENEWAL_ROUTES_MAX]; /* guard_route.scope */
	uint64_t until_s[RENEWAL_ROUTES_MAX];
	unsigned count;
};

/* It takes the old one's place.  false: it is not good on this route, or another subject's, or neither has a subject by which
 * that could be told.  `t` and `route` may be NULL. */
bool live_token_renew(struct live_token *t, const struct guard_route *route, const struct token_renewal *n);

#endif
