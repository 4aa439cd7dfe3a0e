/* A connection of a tcp listener: bytes both ways, half-closes carried through.
 *
 * Called by: proxy/arrival (start), proxy/worker. */
#ifndef PROXY_TCP_RELAY_H
#define PROXY_TCP_RELAY_H

#include "net/duplex.h"
#include "proxy/listener.h"

/* Takes the duplex and the listener's client; `first` (borrowed) was read already. */
void tcp_relay_start(struct listener *l, struct duplex *d, const struct addr *peer, struct slice first);

void tcp_relays_close(struct worker *w, enum reason why);
/* Endpoints have begun or ceased to close their connections: each gets its moment, or loses it. */
void tcp_relays_heed(struct worker *w);

extern const size_t tcp_relay_len; /* bytes of one, for the worker's slab */

#endif
