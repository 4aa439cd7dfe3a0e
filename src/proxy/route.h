/* Which route takes a request, and which of its clusters. */
#ifndef PROXY_ROUTE_H
#define PROXY_ROUTE_H

#include "proxy/request.h"

/* The first of the listener's routes that matches: r->route.  REASON_NONE, REASON_NO_ROUTE, or
 * REASON_REGEX_LIMIT: a pattern gave up. */
enum reason route_find(struct request *r);

/* One of the route's targets by weight (targets_weight > 0); `random` is uniform over 64 bits. */
const struct cluster_config *route_target(const struct route_config *route, uint64_t random);

/* The path and query for the backend: the target as it came (without scheme and authority), or rewritten.
 * Rewriting works on the normalised path; what does not match stays as it came.  Writes the path (never a
 * query) into `out`. The length; -1: it would not fit; -2: it would not be a path ('/' first, visible
 * ASCII but '#' and '?'), or the pattern gave up. */
long route_rewrite(const struct request *r, char *out, size_t cap);

#endif
