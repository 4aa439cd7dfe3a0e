/* Tokens that are good no more: named by their jti, or by their sub.
 *
 * Names are known by 64 bits of a keyed hash: an open connection keeps those of its token (16 bytes) and not the text.
 * Two sources: what the administrator has said (`struct revocations`, one for the process: it outlives configurations,
 * and is bounded), and the file of a route (`struct revoked_file`, read with each snapshot).
 * Called by: guard/jwt (asks), control (says).  Locks: one, for a look-up at a handshake; none where nothing is revoked. */
#ifndef GUARD_REVOCATIONS_H
#define GUARD_REVOCATIONS_H

#include "config/errors.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum token_name { TOKEN_JTI, TOKEN_SUB, TOKEN_NAMES };

#define REVOCATIONS_MAX	   65536u
#define REVOCATION_TEXT_MAX 1024u /* bytes of a name */

/* What a token is known by: hashes, 0 where it has no such claim. */
struct token_names {
	uint64_t at[TOKEN_NAMES];
};

struct revocations;

struct revocations *revocations_new(void); /* NULL: memory is out */
void revocations_free(struct revocations *r); /* accepts NULL */

/* Never 0.  `r` NULL (tests): a seed of 0. */
uint64_t token_name_hash(const struct revocations *r, enum token_name by, const char *text, size_t len);

/* Until then (seconds since the epoch; 0: for good).  0, -ENOSPC (REVOCATIONS_MAX), -EINVAL (empty or too long) or
 * -ENOMEM.  One that is there already gets the new end. */
int revocations_add(struct revocations *r, enum token_name by, const char *text, uint64_t until_s, uint64_t now_s);
/* false: it was not there. */
bool revocations_remove(struct revocations *r, enum token_name by, const char *text);
bool revocations_has(struct revocations *r, const struct token_names *names, uint64_t now_s);
/* Each one that is in force, in no order; under the lock: `fn` must not come back here. */
void revocations_each(struct revocations *r, uint64_t now_s,
		      void (*fn)(void *user, enum token_name by, const char *text, uint64_t until_s), void *user);

/* Lines "jti NAME" or "sub NAME"; empty lines and what follows a # at the begin of a line or behind white space are
 * nothing. */
struct revoked_file {
	uint64_t *hashes; /* sorted */
	size_t count;
};

/* false: what is wrong is in `errors`, and nothing is given. */
bool revoked_file_read(struct revoked_file *f, const char *path, const struct revocations *seed,
		       struct config_errors *errors);
void revoked_file_done(struct revoked_file *f);
bool revoked_file_has(const struct revoked_file *f, const struct token_names *names);

#endif
