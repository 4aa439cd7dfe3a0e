/* JSON Web Tokens (RFC 7519) in their signed form (RFC 7515, compact): keys from a file, and what a route asks of a token.
 *
 * The algorithms are the route's choice, never the token's; a key is one of a kind and serves no other kind's algorithm.
 * Sans I/O but for the key file, which is read when a configuration is loaded.
 * Called by: guard/guard (makes), proxy/exchange (asks). */
#ifndef GUARD_JWT_H
#define GUARD_JWT_H

#include "base/reasons.h"
#include "config/config.h"
#include "config/errors.h"
#include "guard/revocations.h"

#define JWT_MAX_LEN 8192u /* of a token: longer ones are refused unread */

struct jwt_rules;

/* What a good token says; it lives until jwt_done(). */
struct jwt {
	void *claims;	    /* json_t *, an object */
	uint64_t until_s;   /* since the epoch, leeway included; 0: no exp */
	struct token_names names;
};

/* Gives the rules of a route; NULL: what is wrong with its files is in `errors`.  `revocations` is kept, and may be NULL. */
struct jwt_rules *jwt_rules_new(const struct jwt_config *c, struct revocations *revocations, struct config_errors *errors);
void jwt_rules_free(struct jwt_rules *r); /* accepts NULL */

/* REASON_NONE, and `out` is set and owed to jwt_done(); or why it is refused. */
enum reason jwt_check(const struct jwt_rules *r, const char *token, size_t len, uint64_t now_s, struct jwt *out);
void jwt_done(struct jwt *j); /* accepts what is zero */

/* Has a token of these names been revoked, by the administrator or by the route's file? */
bool jwt_is_revoked(const struct jwt_rules *r, const struct token_names *names, uint64_t now_s);

/* A claim as text: a string as it is, numbers and booleans printed, a list of strings with commas between.  Writes to
 * `out` what fits; the length, or -1: it is absent, something else, too long, or holds what no header field may. */
long jwt_claim(const struct jwt *j, const char *name, char *out, size_t cap);

#endif
