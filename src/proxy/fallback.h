/* Requests of the fallback: which are, what they ask for, and whose session they mean.
 *
 * A POST of the fallback's own type is read whole; its first record says `open`, `resume` or `up`.  The session may live
 * on another worker: then the exchange is carried there (proxy/ferry), and served as if it had come in there.
 * Called by: proxy/exchange, after a request was judged like an Upgrade. */
#ifndef PROXY_FALLBACK_H
#define PROXY_FALLBACK_H

#include "proxy/exchange.h"
#include "proxy/hello.h"
#include "proxy/request.h"

enum fallback_kind {
	FALLBACK_NONE,
	FALLBACK_POST,
	FALLBACK_EVENTSOURCE,
	FALLBACK_WEBSOCKET, /* an Upgrade that offers holdfast.1 */
	FALLBACK_SOCKJS,
	FALLBACK_KIND_COUNT
};

#define FALLBACK_PROTOCOL "holdfast.1"

/* What the request is to its route. */
enum fallback_kind fallback_kind_of(const struct request *r, bool is_upgrade);
/* Answers a request of the kind; the exchange was admitted. */
void fallback_start(struct exchange *x, const struct request *r, enum fallback_kind kind);

/* What a SockJS request wants of its answer. */
struct sockjs_ask {
	uint8_t transport; /* enum sockjs_transport */
	bool is_set;
	bool has_origin; /* a page asks */
	bool is_cached;
	char callback[33];
	char cookie[120]; /* to be set; "": none */
	uint32_t limit;	  /* of a streaming answer, bytes of frames */
	uint32_t heartbeat_ms;
};

/* What a request says, free of where it came in. */
struct fallback_call {
	struct hello hello;
	uint64_t bind;
	struct buf *body; /* owned; NULL: none */
	uint32_t body_len;
	uint32_t rest_at; /* behind the first record */
	uint8_t carrier;  /* enum carrier_http_kind */
	uint8_t secret[16];
	uint64_t name;	  /* of an `open` that another request has claimed */
	struct sockjs_ask sockjs;
};
/* On the worker that has the session; takes the body. */
void fallback_serve(struct exchange *x, struct fallback_call *call);

/* ---- for carriers that begin in another way ---- */

/* What a client has to show again: route, Origin, principal. */
uint64_t fallback_bind(const struct exchange *x, const struct request *r);
/* The handshake for the endpoint as text on the heap (free), without protocols and end: fallback_head_end() adds them. */
char *fallback_head_copy(const struct request *r, size_t *len);
struct str;
void fallback_head_end(struct str *out, const char *head, size_t len, const char *protocols);

#endif
