/* What a request is told apart by, where hashing, affinity or limits ask for it: the bytes behind ip, uri, header:NAME,
 * cookie:NAME, query:NAME.
 *
 * Called by: proxy/forward (hash_on, affinity.learn), the request limits.  Keeps nothing, allocates nothing. */
#ifndef PROXY_REQUEST_KEY_H
#define PROXY_REQUEST_KEY_H

#include "proxy/request.h"

#define REQUEST_KEY_SCRATCH 1024 /* enough for all but monsters, which are taken as they stand */

/* The key's bytes, in the request, in the configuration's strings or in `scratch`: borrowed as long as all three live.
 *
 *   ip      the client's address as text, without port (request.client)
 *   uri     the normalised path, without the query
 *   header  the first field of the name      cookie  the first cookie of the name
 *   query   the first argument of the name, decoded; one that has no decoding, or more than `cap` bytes, as it stands
 *   claim   of the token that admitted the request (auth.jwt)
 *
 * False: the request has none.  An empty value is none, too: it tells nobody apart. */
bool request_key_find(const struct request_key *k, const struct request *r, char *scratch, size_t cap, const char **out,
		      size_t *out_len);

#endif
