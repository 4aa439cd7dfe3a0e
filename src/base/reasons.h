/* Why something was refused, failed or closed: one table.
 *
 * A row gives the word in the logs and metric labels, the HTTP status a client is owed where a response is still
 * possible, the WebSocket close code where frames flow, and the configuration key that caused it, if one did. */
#ifndef BASE_REASONS_H
#define BASE_REASONS_H

#include <stdint.h>

enum reason {
	REASON_NONE,	      /* nothing went wrong: a normal end */
	REASON_CLIENT_CLOSED, /* the client ended its side where that ends the whole */
	REASON_CLIENT_RESET,
	REASON_BACKEND_CLOSED,
	REASON_BACKEND_RESET,
	REASON_SHUTDOWN, /* the process ends */
	REASON_UPGRADED, /* another process has taken over (upgrade.drain) */
	REASON_NO_MEMORY,
	REASON_NO_DESCRIPTORS,
	REASON_INTERNAL,
	/* what a client sent */
	REASON_BAD_REQUEST,
	REASON_BODY_TOO_LARGE,
	REASON_URI_TOO_LONG,
	REASON_EXPECTATION,
	REASON_HEADERS_TOO_LARGE,
	REASON_HEADERS_MANY,
	REASON_METHOD_UNKNOWN, /* CONNECT, or not implemented */
	REASON_TRANSFER_CODING,
	REASON_VERSION,
	REASON_NO_ROUTE,
	REASON_UPGRADE_BAD,    /* a WebSocket handshake that breaks RFC 6455 4.2.1 */
	REASON_UPGRADE_VERSION, /* Sec-WebSocket-Version is not 13 */
	REASON_REGEX_LIMIT,
	REASON_TLS_ERROR,
	REASON_TLS_ALERT,
	REASON_PROXY_PROTOCOL,
	REASON_CLIENT_HELLO,
	REASON_NO_SERVER_NAME, /* none of the listener's `sni`, and there is no `cluster` */
	/* deadlines, each with its key */
	REASON_TIMEOUT_HANDSHAKE,
	REASON_TIMEOUT_HEADER,
	REASON_TIMEOUT_BODY,
	REASON_TIMEOUT_KEEP_ALIVE,
	REASON_TIMEOUT_CONNECT,
	REASON_TIMEOUT_RESPONSE,
	REASON_TIMEOUT_IDLE_BACKEND, /* a response body that stalls */
	REASON_TIMEOUT_IDLE,	     /* tcp listeners */
	REASON_TIMEOUT_WS_IDLE,
	REASON_TIMEOUT_WRITE, /* a peer that takes nothing */
	REASON_TIMEOUT_LINGER,
	REASON_TIMEOUT_HALF_CLOSED,
	REASON_WS_LIFETIME,
	/* the cluster's side */
	REASON_NO_ENDPOINT,
	REASON_CLUSTER_FULL,
	REASON_QUEUE_FULL,
	REASON_QUEUE_TIMEOUT,
	REASON_CONNECT_FAILED,
	REASON_BACKEND_TLS,
	REASON_BACKEND_BAD_RESPONSE,
	REASON_BACKEND_TRUNCATED,
	REASON_ENDPOINT_REMOVED, /* connections to it are closed; so the next ones */
	REASON_ENDPOINT_DRAINING,
	REASON_ENDPOINT_UNHEALTHY,
	REASON_REBALANCE,
	REASON_BACKEND_UPGRADE, /* 101 with a wrong or missing Sec-WebSocket-Accept, or unasked */
	/* WebSocket frames */
	REASON_WS_PROTOCOL,
	REASON_WS_TOO_BIG,
	REASON_WS_CLOSED,      /* a Close handshake went through */
	REASON_WS_PEER_GONE,   /* a side ended without a Close frame */
	REASON_WS_CLIENT_DEAD, /* no answer to the proxy's pings */
	REASON_WS_BACKEND_DEAD,
	REASON_WS_MESSAGE_RATE,
	REASON_WS_BYTE_RATE,
	REASON_WS_KEY_MESSAGE_RATE, /* of a route's key, over all its connections */
	REASON_WS_KEY_BYTE_RATE,
	REASON_WS_OPCODE, /* a kind of message that the route does not take */
	REASON_WS_SLOW,	  /* the client takes its messages too slowly */
	/* limits */
	REASON_MAX_CONNECTIONS,
	REASON_MAX_HANDSHAKES,
	REASON_DENIED,
	REASON_ACCESS, /* the lists of a listener or a route */
	REASON_ORIGIN,
	REASON_DENY_RULE,
	REASON_TOKEN_MISSING,
	REASON_TOKEN_BAD,
	REASON_TOKEN_EXPIRED,
	REASON_TOKEN_CLAIMS,
	REASON_TOKEN_REVOKED,
	REASON_LISTENER_CONNECTIONS,
	REASON_PER_IP_CONNECTIONS,
	REASON_PER_IP_CONNECTION_RATE,
	REASON_PER_IP_REQUEST_RATE,
	REASON_REQUEST_RATE, /* a route's */
	REASON_ROUTE_GONE,
	REASON_LISTENER_GONE,
	REASON_KILLED,
	/* sessions of the fallback */
	REASON_SESSION_UNKNOWN, /* never was, is over, or is somebody else's */
	REASON_SESSION_GRAMMAR, /* a body, record or control that is none; an acknowledgement of the future */
	REASON_SESSION_GAP,
	REASON_SESSION_CARRIER, /* the route does not take this one */
	REASON_SESSION_LOST,	/* nobody came for it */
	REASON_SESSION_FULL,
	REASON_SESSION_MEMORY,
	REASON_COUNT
};

struct reason_row {
	const char *word;    /* "timeout_header": logs and metric labels */
	const char *key;     /* the configuration key that caused it ("timeouts.header"), or NULL */
	const char *text;    /* one clause for people */
	uint16_t status;     /* HTTP status, 0 where none can be sent */
	uint16_t close_code; /* WebSocket close code, 0 where none is sent */
};

/* The row of a reason; never NULL. */
const struct reason_row *reason_of(enum reason why);

#endif
