/* POST /.holdfast/auth: a new token for live connections.
 *
 * The token is checked by the rules of each route of the listener that asks for one (and whose access lists and origins let
 * the request pass); then the workers are visited one after the other, by mail and in slices, and connections of those
 * routes whose token has the same sub take the new end.  ?connection=ID means one of them alone.
 * Called by: proxy/exchange. */
#ifndef PROXY_AUTH_REFRESH_H
#define PROXY_AUTH_REFRESH_H

#include "proxy/exchange.h"
#include "proxy/request.h"

/* The path is meant, and a route of the listener may be refreshed. */
bool auth_refresh_is_meant(const struct request *r);
/* Answers, now or later. */
void auth_refresh_start(struct exchange *x, struct request *r);

/* What was under way when the threads ended. */
void auth_refreshes_free(struct worker *w);

#endif
