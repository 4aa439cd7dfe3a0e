/* A WebSocket: two streams and a frame tracker for each direction.
 *
 * Bytes go out of the buffer they came in; headers are followed, so that messages are counted and limited, broken frames
 * end the connection, and a Close of the proxy's own stands between frames, never inside one.  It lives under no
 * snapshot: at each new configuration it is bound to its route by name; one whose route is gone keeps what it had.
 * Called by: proxy/forward (start), proxy/worker. */
#ifndef PROXY_WS_RELAY_H
#define PROXY_WS_RELAY_H

#include "cluster/endpoint.h"
#include "net/duplex.h"
#include "proxy/access_log.h"
#include "proxy/listener.h"
#include "wire/headers.h"
#include "wire/ws_handshake.h"

struct ws_relay_parts {
	struct worker *worker;
	struct listener *listener; /* its client is the relay's from now on */
	struct view *view;	   /* that `route` is of; a reference is taken */
	const struct route_config *route;
	struct duplex *client, *backend; /* taken */
	struct endpoint *endpoint;	 /* taken, with its place */
	struct access_entry *log;	 /* taken; may be NULL */
	struct live_token *token;	 /* taken; may be NULL */
	uint64_t began_ns;
	uint32_t connection; /* its place in worker.open, taken */
	unsigned rsv_allowed;
	const struct ws_deflate *deflate;    /* agreed with the client, on the endpoint's behalf; copied; NULL: nothing is */
	const struct limit_key *message_key; /* copied; NULL: its messages are counted by address, where they are */
};

/* What the proxy answers to the client's offers of permessage-deflate; false: nothing. */
bool ws_relay_compresses(const struct http_head *request, const struct websocket_policy *p, struct ws_deflate *out);

/* Takes over after the 101.  `from_client` and `from_backend` (borrowed) are bytes that came early. */
void ws_relay_start(const struct ws_relay_parts *parts, struct slice from_client, struct slice from_backend);

/* Another configuration is in force (worker.view); `old` was.  Binds all relays of the worker to it. */
void ws_relays_rebind(struct worker *w, struct view *old);
/* A drain: each is closed with its reason's code at a moment of its own (worker_goodbye_at). */
void ws_relays_drain(struct worker *w);
/* Endpoints have begun or ceased to close their connections: each gets its moment, or loses it. */
void ws_relays_heed(struct worker *w);
/* What relays of a worker have shared; there are none any more. */
void ws_relays_done(struct worker *w);
/* All of a worker's are cut. */
void ws_relays_close(struct worker *w, enum reason why);

extern const size_t ws_relay_len; /* bytes of one, for the worker's slab */

#endif
