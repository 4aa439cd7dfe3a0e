/* Whether a page of this origin may open a WebSocket (RFC 6455 10.2): browsers let any page try, and send cookies along.
 *
 * Called by: guard/guard. */
#ifndef GUARD_ORIGIN_H
#define GUARD_ORIGIN_H

#include <stdbool.h>
#include <stddef.h>

/* One of the list's: "https://example.com" (with its port, where that is not the usual one) or "https://" "*.example.com",
 * which is any name below it and not itself.  In any case of letters; "null" is an origin that has to be listed, and
 * cannot be. */
bool origin_is_listed(char *const *list, size_t count, const char *origin, size_t len);

#endif
