/* The resumable WebSocket, subprotocol holdfast.1, as a carrier of a session.
 *
 * The proxy answers 101 by itself; the first message says which session is meant.  Data messages travel as they are; a
 * text that begins with NUL is a control, one of the application's that does so gets one NUL more.
 * Called by: proxy/fallback (starts), proxy/worker (closes). */
#ifndef PROXY_CARRIER_WEBSOCKET_H
#define PROXY_CARRIER_WEBSOCKET_H

#include "proxy/exchange.h"
#include "proxy/request.h"

/* Answers an Upgrade that offers holdfast.1. */
void carrier_websocket_start(struct exchange *x, const struct request *r);
/* The same for a WebSocket of SockJS, whose frames travel in its messages; `head_make` gives the endpoint's handshake. */
void carrier_websocket_start_sockjs(struct exchange *x, const struct request *r,
				    char *(*head_make)(const struct request *, size_t *));
/* Those of a worker that carry no session yet. */
void carrier_websockets_close(struct worker *w);

#endif
