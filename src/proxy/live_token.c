#include "proxy/live_token.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

struct live_token *live_token_new(const struct jwt *token)
{
	struct live_token *t = malloc(sizeof(*t));

	if (t != NULL)
		*t = (struct live_token){ token->until_s, token->names };
	return t;
}

uint64_t live_token_due_ms(const struct live_token *t, const struct jwt_config *c, uint64_t now_ms)
{
	uint64_t wall_ms, end_ms;

	if (t == NULL || t->until_s == 0 || c == NULL || c->on_expiry == JWT_EXPIRY_IGNORE)
		return UINT64_MAX;
	wall_ms = clock_wall_ns() / 1000000;
	end_ms = t->until_s * 1000 + c->expiry_grace_ms;
	return now_ms + (end_ms > wall_ms ? end_ms - wall_ms : 0);
}

const struct guard_route *live_token_route(const struct view *v, const char *listener, const struct route_config *route)
{
	const struct config *c = v->snapshot->config;
	const struct listener_config *l = config_find_listener(c, listener);
	const struct guard_request q = { .listener = l != NULL ? (size_t)(l - c->listeners) : 0,
					 .route = l != NULL ? (size_t)(route - l->routes) : 0 };

	return l != NULL && q.route < l->routes_count ? guard_route_of(v->snapshot->guard, &q) : NULL;
}

bool live_token_is_revoked(const struct live_token *t, const struct guard_route *route)
{
	return t != NULL && route != NULL && route->jwt != NULL &&
	       jwt_is_revoked(route->jwt, &t->names, clock_wall_ns() / 1000000000);
}

bool live_token_renew(struct live_token *t, const struct guard_route *route, const struct token_renewal *n)
{
	if (t == NULL || route == NULL || t->names.at[TOKEN_SUB] == 0 || n->names.at[TOKEN_SUB] != t->names.at[TOKEN_SUB])
		return false;
	for (unsigned i = 0; i < n->count; i++) {
		if (n->scopes[i] != route->scope)
			continue;
		/* One that ends earlier is no harm, and changes nothing. */
		if (t->until_s != 0 && (n->until_s[i] == 0 || n->until_s[i] > t->until_s))
			*t = (struct live_token){ n->until_s[i], n->names };
		return true;
	}
	return false;
}
