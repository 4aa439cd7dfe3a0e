/* One request as the proxy sees it: the parsed head, and what was found out about it.
 *
 * Lives while the head is looked at, in the call in which it was parsed: everything points into the input or into the
 * worker's scratch.  What is needed later (the log's line, the head for the backend) is written out before.
 * Called by: proxy/exchange; read by route, template, rewrite, head_request, access_log. */
#ifndef PROXY_REQUEST_H
#define PROXY_REQUEST_H

#include "base/addr.h"
#include "base/reasons.h"
#include "config/config.h"
#include "wire/headers.h"
#include "wire/trace_context.h"

#define REQUEST_ID_LEN 32 /* hexadecimal digits */

struct duplex;
struct jwt;

struct request {
	const struct http_head *head;
	const struct config *config; /* of the snapshot in force */
	const struct listener_config *listener;
	const struct route_config *route; /* NULL: not found yet, or none */
	const struct jwt *token;	  /* that was checked; NULL: none */
	const struct addr *peer;	  /* who is connected: the socket's or the PROXY header's; unmapped */
	const struct addr *local;	  /* where it came in */
	bool is_tls;
	bool is_forwarded; /* the client is another than the peer: a trusted peer says so */
	const struct duplex *connection;  /* its connection: what TLS has told; NULL: not known */
	bool is_trusted; /* the peer is one of trusted_proxies, or a UNIX socket's while any are configured */
	/* Normalised (uri_path_normalise): what routes look at.  "*" for OPTIONS *. */
	const char *path;
	size_t path_len;
	/* Lower case, without port and without the dot at the end; IPv6 in brackets; len 0: none (HTTP/1.0). */
	const char *host;
	size_t host_len;
	/* Whose request it is: the peer's address, or what a trusted peer's X-Forwarded-For says (from the right, the first
	 * that is not trusted itself).  Text without port. */
	char client[ADDR_TEXT_MAX];
	size_t client_len;
	struct addr client_addr;
	char id[REQUEST_ID_LEN + 1];
	struct trace_context trace; /* that it belongs to */
	bool is_trace_begun;	    /* here: the client has none */
};

/* Fills in path, host, is_trusted, client, id (fresh) and trace from head, config, peer.  `scratch` needs head->path_len +
 * head->host_len bytes and is borrowed as long as `r` is used.  REASON_NONE, or why it cannot be routed
 * (REASON_BAD_REQUEST: a path that has two readings); then the path is "", and all else is filled in.  So is it for
 * CONNECT, which is not refused here. */
enum reason request_prepare(struct request *r, char *scratch, size_t cap);

/* "http" or "https": what a trusted peer's X-Forwarded-Proto says, else how it came in. */
const char *request_scheme(const struct request *r);

#endif
