/* The access log: what a request, an upgraded connection or a TCP connection leaves behind.
 *
 * An entry is made while the request is at hand, and holds its part of the line, rendered; the end adds the
 * rest.  Off, or not in the sample: no entry, and every call takes NULL.
 *
 * JSON, one object a line, in this order; what is unknown is left out:
 *   time (ISO, when it began), event (request | open | close), request_id, trace_id (where there is one), client, listener, route, cluster,
 *   endpoint, method, path (with the query), host, protocol (HTTP/1.1, HTTP/1.0, tcp), line (the first of
 *   what is no request), tls (version), status, bytes_in, bytes_out, duration_ms (three decimals), referer,
 *   user_agent, messages_in, messages_out, dropped_in, dropped_out (where not 0), close_code, closed_by (client | backend | proxy), reason, key (the
 *   configuration key of the reason, where it has one)
 * What a client sends is cut: path 8 KiB, referer 2 KiB, user agent 1 KiB, line 1 KiB.
 * For a plain request bytes are those of bodies and heads together; for a WebSocket those after the handshake.
 * Combined: CLIENT - - [TIME] "REQUEST LINE" STATUS BYTES_OUT "REFERER" "USER AGENT", always parseable; a
 * WebSocket's lines have status 101; a TCP connection's "TCP LISTENER" and "-". */
#ifndef PROXY_ACCESS_LOG_H
#define PROXY_ACCESS_LOG_H

#include "config/config.h"
#include "proxy/request.h"

struct access_entry; /* on the heap */

enum closed_by { CLOSED_BY_NONE, CLOSED_BY_CLIENT, CLOSED_BY_BACKEND, CLOSED_BY_PROXY };

/* What happened to it. */
struct access_end {
	const char *event;	      /* "request", "open", "close" */
	uint16_t status;	      /* 0: none */
	const char *cluster;	      /* NULL: none */
	const char *endpoint;	      /* NULL: none */
	uint64_t bytes_in, bytes_out; /* from and to the client */
	uint64_t body_out; /* of bytes_out, without the head */
	uint64_t duration_us;
	enum reason why; /* REASON_NONE: not said */
	bool is_websocket;
	uint64_t messages_in, messages_out;
	uint64_t dropped_in, dropped_out; /* messages of these that were not passed on */
	uint16_t close_code; /* 0: none */
	enum closed_by closed_by;
};

/* The entry of a request; its path is printed as it came.  NULL: off, not in the sample, or no memory. */
struct access_entry *access_request(const struct log_config *log, const struct request *r,
				    const char *tls_version);
/* Of bytes that are no request (the head could not be parsed): `text` is what can be told of its first
 * line. */
struct access_entry *access_malformed(const struct log_config *log, const struct listener_config *listener,
				      const struct addr *peer, const char *text, size_t len);
/* Of a connection of a tcp listener. */
struct access_entry *access_connection(const struct log_config *log, const struct listener_config *listener,
				       const struct addr *peer, const char *tls_version);

/* Writes the line.  Lines "open" and "close" heed log.access.events as they were when the entry was made. */
void access_write(const struct access_entry *e, const struct access_end *end);
void access_free(struct access_entry *e); /* accepts NULL */

#endif
