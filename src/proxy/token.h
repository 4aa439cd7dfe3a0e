/* Where a request carries its token (auth.jwt.from).
 *
 * Called by: proxy/exchange. */
#ifndef PROXY_TOKEN_H
#define PROXY_TOKEN_H

#include "proxy/request.h"

/* The first that is there: borrowed from the request or from `scratch`.  false: none. */
bool token_find(const struct jwt_config *c, const struct request *r, char *scratch, size_t cap, const char **token,
		size_t *len);

#endif
