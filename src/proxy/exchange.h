/* One request and its response.
 *
 * Between a client's half (an HTTP/1 connection, later an HTTP/2 stream) and a handler (proxy/forward: a cluster; or the
 * exchange itself: fixed answers and refusals).  The client's half makes it, feeds it the request's body, and writes what
 * the handler gives; exchange_start() chooses the route and the handler.
 * After end(), abort(), exchange_refuse() and upgrade() the handler must not touch the exchange again: it may be gone.
 * Called by: proxy/h1_server, proxy/forward. */
#ifndef PROXY_EXCHANGE_H
#define PROXY_EXCHANGE_H

#include "base/slice.h"
#include "net/duplex.h"
#include "net/passage.h"
#include "proxy/access_log.h"
#include "proxy/head_response.h"
#include "proxy/view.h"
#include "proxy/worker.h"
#include "wire/ws_handshake.h"

struct exchange;
struct listener;

/* The client's half. */
struct exchange_client {
	/* A response's head: interim ones any number of times, the final one once.  The client's half decides keep_alive,
	 * framing for HTTP/1.0, and the bytes; borrowed. */
	void (*head)(struct exchange *, struct response_head *);
	/* A piece of the response's body; takes the slice.  false: the client takes no more just now, the handler has to
	 * stop its source until `room`. */
	bool (*body)(struct exchange *, struct slice);
	/* The next `len` bytes of the body, straight from a stream that brings nothing else meanwhile (net/passage).
	 * false: not here; they come by `body`. */
	bool (*pass)(struct exchange *, struct duplex *from, uint64_t len, const struct passage_events *, void *user);
	/* The response is whole.  The exchange is over when the request is, too. */
	void (*end)(struct exchange *, const struct http_field *trailers, uint32_t count);
	/* A response that has begun cannot be completed: the client must see that. */
	void (*abort)(struct exchange *, enum reason why);
	/* Whether the handler takes the request's body; off at first. */
	void (*read)(struct exchange *, bool on);
	/* After a 101: the client's stream, whose user the caller becomes, and the bytes that came early (takes none:
	 * a reference for the caller).  The exchange and the client's half are gone when exchange_free() was called. */
	struct duplex *(*upgrade)(struct exchange *, struct slice *early);
};

/* Who answers.  Called by the client's half. */
struct exchange_handler {
	/* Payload of the request's body; borrowed.  Only while read(on). */
	void (*body)(struct exchange *, struct slice);
	/* Where the body may be passed on to as it is, without `body`; NULL, or no such call: nowhere. */
	struct duplex *(*sink)(struct exchange *);
	/* The request is whole. */
	void (*end)(struct exchange *, const struct http_field *trailers, uint32_t count);
	/* The client takes more again. */
	void (*room)(struct exchange *);
	/* The client is gone, or its request cannot be completed: the handler lets go of the exchange at once. */
	void (*gone)(struct exchange *, enum reason why);
	/* The client has ended its side while the response is still to come: for one who would wait for long.  NULL: it may
	 * have the rest. */
	void (*eof)(struct exchange *);
};

/* For handlers whom a body, its end, or room do not concern. */
void exchange_ignore_body(struct exchange *x, struct slice s);
void exchange_ignore_end(struct exchange *x, const struct http_field *trailers, uint32_t count);
void exchange_ignore_room(struct exchange *x);

struct exchange {
	struct worker *worker;
	struct listener *listener;
	struct view *view;
	const struct route_config *route; /* NULL: none */
	const struct exchange_client *client_ops;
	const struct exchange_handler *handler; /* NULL: none, or it has let go */
	void *client;	    /* the client's half */
	void *handler_user; /* the handler's */
	struct access_entry *log;
	char *cors; /* the Origin of a page that may read the answer; NULL: none is told */
	char **edit_values; /* of the route's response_headers, one heap block; NULL: none */
	struct ws_deflate deflate; /* what the proxy answers of it; when has_deflate */
	struct limit_key message_key; /* of a WebSocket; when has_message_key */
	char *own_protocol; /* to be chosen where the backend chooses none: of an offer that carried a token; NULL: none */
	struct live_token *token; /* of an upgrade: whoever carries the connection takes it; NULL: none */
	uint64_t guest; /* of a WebSocket whose client a trusted proxy names; 0: none */
	uint64_t began_ns;
	uint64_t bytes_in, bytes_out; /* from and to the client */
	uint32_t head_out;	      /* of bytes_out: heads */
	char *cluster, *endpoint;     /* for the log; the endpoint's name is a heap copy */
	uint32_t connection;	      /* its place in worker.open; an upgrade takes it along */
	uint16_t status;	      /* of the final response; 0: not yet */
	uint8_t method;		      /* enum http_method */
	uint8_t version_minor;
	uint8_t why; /* enum reason: for the log */
	uint8_t fallback; /* enum fallback_kind */
	bool is_upgrade : 1; /* a good WebSocket handshake */
	bool has_body : 1;
	bool is_chunked : 1; /* the request's body, when it has one */
	bool request_over : 1;
	bool response_begun : 1;
	bool response_over : 1;
	bool prefers_json : 1;
	bool is_logged : 1;
	bool has_message_key : 1;
	bool has_deflate : 1;
};

/* Who is asking, as far as the client's half knows it. */
struct exchange_from {
	struct listener *listener;
	const struct addr *peer;
	const struct addr *local;
	bool is_tls;
	const char *tls_version;
	const struct duplex *connection;
};

/* An exchange of nothing yet.  NULL: memory is out. */
struct exchange *exchange_new(struct worker *w, const struct exchange_client *ops, void *client);
/* Routes it and begins to answer: may call client_ops at once, also to the end. */
void exchange_start(struct exchange *x, const struct exchange_from *from, const struct http_head *head);
/* The same for a request that is refused whatever its route. */
void exchange_start_refused(struct exchange *x, const struct exchange_from *from, const struct http_head *head,
			    enum reason why);
/* Of bytes that are no request: what can be said of them for the log; then a refusal. */
void exchange_malformed(struct exchange *x, const struct exchange_from *from, const char *text, size_t len, enum reason why);

/* Answers with the reason's page, or aborts what has begun.  The handler is left out of it from then on. */
void exchange_refuse(struct exchange *x, enum reason why);
/* The same with another status or fields of its own. */
void exchange_refuse_with(struct exchange *x, enum reason why, uint16_t status, const struct http_field *own,
			  uint32_t own_count);

/* 429, with what the client has to wait for. */
void exchange_refuse_rate(struct exchange *x, enum reason why, const struct guard_rate *told);
/* 401 or 403, with WWW-Authenticate. */
void exchange_refuse_token(struct exchange *x, enum reason why);
/* May pages of the request's Origin use the route? */
bool exchange_origin_passes(const struct route_config *route, const struct http_head *head);

/* Writes the line of the access log, once. */
void exchange_log(struct exchange *x);
/* Writes the line, if that is still to be done, and frees.  The handler has let go. */
void exchange_free(struct exchange *x);

#endif
