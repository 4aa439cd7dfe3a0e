/* The handler of a request that goes to a cluster.
 *
 * Called by: proxy/exchange. */
#ifndef PROXY_FORWARD_H
#define PROXY_FORWARD_H

#include "proxy/exchange.h"

/* Writes the head for the backend, chooses an endpoint, and begins.  The request is borrowed for the call. */
void forward_start(struct exchange *x, const struct request *r);

extern const size_t forward_len; /* bytes of one, for the worker's slab */

#endif
