/* Carries a client to another worker: an exchange to the one that has its session, or a WebSocket's stream.
 *
 * The connection stays where it came in; what it says and is told goes across as mail, in order, a bounded amount at a
 * time.  Over there stands an exchange, or a duplex, that looks like any other.  Each end belongs to its worker; the one
 * thing they share is freed when each has told the other that it is over.
 * Called by: proxy/fallback, proxy/carrier_websocket, proxy/worker (what is left at the end). */
#ifndef PROXY_FERRY_H
#define PROXY_FERRY_H

#include "proxy/exchange.h"
#include "proxy/fallback.h"

/* The exchange, whose request is over, is served over there by fallback_serve().  Takes the call's body. */
void ferry_exchange(struct exchange *x, struct worker *to, struct fallback_call *call);

/* A client's stream goes over: `arrived` gets a duplex there, with the bytes that came first, and `call`. */
struct ferry_stream {
	struct duplex *d; /* taken; read, at least once */
	struct slice early; /* borrowed */
	struct fallback_call call; /* without body */
	void (*arrived)(struct worker *w, struct duplex *d, struct slice early, struct fallback_call *call);
	/* Here, when the stream is over: whoever gave it lets go of what belongs to it. */
	void (*over)(void *user);
	void *user;
};
/* false: memory is out, nothing was taken. */
bool ferry_stream(struct worker *from, struct worker *to, const struct ferry_stream *what);

/* No worker runs any more: mail that was not read. */
void ferry_mail_drop(struct worker *w);

#endif
