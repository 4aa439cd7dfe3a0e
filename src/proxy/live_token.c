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

const struct jwt_rules *live_token_rules(const struct view *v, const char *listener, const struct route_config *route)
{
	const struct config *c = v->snapshot->config;
	const struct listener_config *l = config_find_listener(c, listener);
	const struct guard_request q = { .listener = l != NULL ? (size_t)(l - c->listeners) : 0,
					 .route = l != NULL ? (size_t)(route - l->routes) : 0 };

	return l != NULL && q.route < l->routes_count ? guard_route_of(v->snapshot->guard, &q)->jwt : NULL;
}

bool live_token_is_revoked(const struct live_token *t, const struct jwt_rules *rules)
{
	return t != NULL && rules != NULL && jwt_is_revoked(rules, &t->names, clock_wall_ns() / 1000000000);
}

bool live_token_renew(struct live_token *t, uint64_t until_s, const struct token_names *names)
{
	if (names->at[TOKEN_SUB] == 0 || names->at[TOKEN_SUB] != t->names.at[TOKEN_SUB])
		return false;
	/* An older one that is still good is no harm, and changes nothing. */
	if (t->until_s != 0 && (until_s == 0 || until_s > t->until_s))
		*t = (struct live_token){ until_s, *names };
	return true;
}
