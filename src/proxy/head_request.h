/* The head of a request, as it leaves for a backend. */
#ifndef PROXY_HEAD_REQUEST_H
#define PROXY_HEAD_REQUEST_H

#include "proxy/request.h"

/* Writes the whole head into `out`: request line (rewritten, origin form; `OPTIONS *` stays), Host (head->host), the
 * client's fields without those of its hop, without its own X-Forwarded-*, Forwarded and X-Real-IP unless it is
 * trusted, then
 *   X-Forwarded-For   the peer, behind what a trusted peer sent
 *   X-Forwarded-Proto, -Host, -Port   a trusted peer's, else how it came in (port: of the listener's socket)
 *   Forwarded         for, proto, host (RFC 7239; a new element behind a trusted peer's; quoted where needed)
 *   X-Request-Id      r->id
 *   Traceparent       where a trace begins here (tracing.traceparent: make); else what the client sent
 * then the route's request_headers (remove, set, add; they win over the above), and how the body is framed: a
 * Content-Length stays as it came, chunked is written anew (there is a body where head says so).
 * `is_upgrade`: Connection: Upgrade and Upgrade: websocket, and Sec-WebSocket-Extensions filtered (ws_extensions_filter;
 * permessage-deflate stays unless the route strips it; offers in several fields become one).
 * An UNIX peer is "unix:" in Forwarded ("unknown") and left out of X-Forwarded-For.
 * The length, or -1: it would not fit in `cap`; -2: the rewritten path is none. */
long head_request_write(uint8_t *out, size_t cap, const struct request *r, bool is_upgrade);

#endif
