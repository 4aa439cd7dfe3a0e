/* SockJS, server side, for clients that change nothing: the pages around it, and which session a request means.
 *
 * Sessions are those of the fallback, named by what the client has made up; a transport is one more carrier, without
 * resumption, for the protocol has none (proxy/carrier_sockjs).
 * Called by: proxy/fallback. */
#ifndef PROXY_SOCKJS_H
#define PROXY_SOCKJS_H

#include "proxy/fallback.h"

/* Does the route speak SockJS at this path? */
bool sockjs_takes(const struct request *r, bool is_upgrade);
void sockjs_start(struct exchange *x, const struct request *r);
/* On the worker that has the session; borrows the call. */
void sockjs_serve(struct exchange *x, struct fallback_call *call);

#endif
