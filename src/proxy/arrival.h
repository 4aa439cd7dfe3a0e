/* A client that has been accepted and cannot speak yet: its PROXY header is read, then TLS is negotiated.
 *
 * Called by: proxy/listener. */
#ifndef PROXY_ARRIVAL_H
#define PROXY_ARRIVAL_H

#include "net/duplex.h"
#include "proxy/listener.h"

/* Takes the duplex, and the listener's client that was counted for it.  Hands both on to proxy/h1_server or
 * proxy/tcp_relay, at once where there is nothing to wait for. */
void arrival_start(struct listener *l, struct duplex *d, const struct addr *peer);
/* All that a worker has are closed. */
void arrivals_close(struct worker *w, enum reason why);

extern const size_t arrival_len; /* bytes of one, for the worker's slab */

#endif
