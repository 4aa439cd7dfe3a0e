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

/* The route's rules as they stand in the view; NULL: none. */
const struct jwt_rules *live_token_rules(const struct view *v, const char *listener, const struct route_config *route);
/* `t` or `rules` may be NULL: then no. */
bool live_token_is_revoked(const struct live_token *t, const struct jwt_rules *rules);

/* A newer token of the same subject takes its place.  false: it is another's, or neither has a subject by which that could
 * be told. */
bool live_token_renew(struct live_token *t, uint64_t until_s, const struct token_names *names);

#endif
