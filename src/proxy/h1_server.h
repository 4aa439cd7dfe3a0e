/* A client's HTTP/1 connection: reads requests one after the other, feeds each to an exchange, and writes its response.
 *
 * Pipelined requests wait until the one before is over; then, and while a handler does not take a body, the client is not
 * read.  Bytes of one receive are looked at where they lie; only what has to wait is copied.
 * Called by: proxy/arrival (start), proxy/exchange (as its client's half), proxy/worker. */
#ifndef PROXY_H1_SERVER_H
#define PROXY_H1_SERVER_H

#include "net/duplex.h"
#include "proxy/listener.h"

/* Takes the duplex, which is open, and the listener's client; `first` (borrowed) was read already. */
void h1_server_start(struct listener *l, struct duplex *d, const struct addr *peer, struct slice first);

/* A drain has begun: idle connections are finished, the others say Connection: close and end with their exchange. */
void h1_servers_drain(struct worker *w);
/* All of a worker's are closed. */
void h1_servers_close(struct worker *w, enum reason why);

extern const size_t h1_server_len; /* bytes of one, for the worker's slab */

#endif
