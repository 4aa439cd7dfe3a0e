/* Where a request carries its token (auth.jwt.from).
 *
 * Called by: proxy/exchange. */
#ifndef PROXY_TOKEN_H
#define PROXY_TOKEN_H

#include "proxy/request.h"
#include "wire/ws_handshake.h"

/* The first that is there: borrowed from the request or from `scratch`.  false: none. */
bool token_find(const struct jwt_config *c, const struct request *r, char *scratch, size_t cap, const char **token,
		size_t *len);

/* The same at a refresh: also Authorization: Bearer, whatever the route's places are. */
bool token_find_new(const struct jwt_config *c, const struct request *r, char *scratch, size_t cap, const char **token,
		    size_t *len);

/* A token among the subprotocols that are offered: its element, as it is or behind a prefix that ends with a dot
 * ("bearer.ey..."), and the word before it in the list where that only announces it ("bearer"; len 0: none).  Both are not
 * meant for the backend. */
struct token_offer {
	struct ws_token element, marker;
	const char *token;
	size_t token_len;
};
bool token_offer_find(const struct http_head *head, struct token_offer *out);

#endif
