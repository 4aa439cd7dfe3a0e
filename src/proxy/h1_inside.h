/* What the two rooms of a client's HTTP/1 connection share: the connection itself, and who does what to it.
 *
 *   h1_server  its requests, deadlines, start and end
 *   h1_reply   its responses: the client's half of an exchange
 *
 * Included by these rooms alone. */
#ifndef PROXY_H1_INSIDE_H
#define PROXY_H1_INSIDE_H

#include "proxy/exchange.h"
#include "proxy/h1_server.h"
#include "proxy/held.h"
#include "wire/http1_body.h"
#include "wire/http1_parse.h"

/* A request body that nobody wants is read up to this, so that the connection can be kept. */
#define DISCARD_MAX 65536u

enum h1_state {
	H1_IDLE, /* no byte of the next request yet */
	H1_HEAD, /* some of it */
	H1_BODY,
	H1_WAIT, /* the request is over, the response is not */
	H1_GONE, /* freed as soon as nobody above on the stack uses it */
};

struct h1_server {
	struct list link; /* of worker.h1_servers */
	struct listener *listener;
	struct duplex *client;
	struct exchange *x; /* NULL: between requests */
	struct timer timer;
	struct held held; /* what came and has to wait */
	struct http1_scan scan;
	struct http1_body body;
	struct addr peer;
	uint64_t body_len;	/* payload of the request so far */
	uint64_t active_ms;	/* when the last byte of a body came */
	uint32_t connection;	/* its place in worker.open; CONNECTION_NONE once an upgrade has taken it along */
	uint32_t queued_seen;	/* of the client's queue, when the timer looked last */
	uint8_t state;
	const char *tls_version; /* "" for plain; static */
	bool is_running : 1;	 /* h1_run() is on the stack */
	bool is_first : 1;	 /* no request was read yet */
	bool keep_alive : 1;
	bool takes_body : 1; /* the handler does */
	bool expects_continue : 1; /* the body may never come */
	bool is_discarding : 1;
	bool has_eof : 1;
	bool is_chunked : 1; /* the response */
	bool has_progress : 1; /* the client took something since the timer looked */
};

static inline struct worker *h1_worker(const struct h1_server *c)
{
	return c->listener->worker;
}

static inline void h1_arm(struct h1_server *c, uint64_t timeout_ms)
{
	if (timeout_ms > 0)
		ring_timer_arm(&h1_worker(c)->ring, &c->timer, timeout_ms);
	else
		timer_cancel(&c->timer);
}

/* The rest of what came, then `in` (borrowed), as far as it goes; may free the connection, unless it is running already. */
void h1_run(struct h1_server *c, struct slice in);
/* Ends it from our side: `why` NONE lets what is queued leave, and waits for the client's end.  Frees as h1_run() does. */
void h1_close(struct h1_server *c, enum reason why);
/* The connection is somebody else's, or over.  The listener's client goes along. */
void h1_detach(struct h1_server *c);
/* Reads the client, or not, as the state wants it. */
void h1_reading_update(struct h1_server *c);

extern const struct exchange_client h1_reply;

#endif
