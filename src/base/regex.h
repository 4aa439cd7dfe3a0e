/* Regular expressions: PCRE2 with JIT, and a bound on what one match may cost.  The only door to pcre2.h. */
#ifndef BASE_REGEX_H
#define BASE_REGEX_H

#include <stddef.h>
#include <stdint.h>

struct regex;

enum { REGEX_NO_MATCH = 0, REGEX_MATCH = 1, REGEX_LIMIT = -1 }; /* limit: the pattern gave up at its match limit */

/* Compiles; gives (regex_free).  NULL on error: `error` gets a message, *offset the byte of the pattern. */
struct regex *regex_new(const char *pattern, char *error, size_t error_len, size_t *offset);
void regex_free(struct regex *r);
/* Safe from several threads at once (match data is per thread). */
int regex_match(const struct regex *r, const char *subject, size_t len);
/* Matches, and on a match writes `replacement` with $0..$9 replaced by the groups ($$ is a dollar sign).
 * Returns the length written, 0 for no match (out untouched), -1 at the limit or where it would not fit. */
long regex_replace(const struct regex *r, const char *subject, size_t len, const char *replacement, char *out,
		   size_t out_cap);

#endif
