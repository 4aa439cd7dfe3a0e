/* HTTP fields and message heads: names, lists, and what a parsed head says.
 *
 * A `struct http_head` is filled by wire/http1_parse (later by HTTP/2 as well) and read by everything
 * above.  All text in it points into the parsed input, which must outlive it; the array of fields is the
 * caller's, so that a worker needs one for all its connections.  Nothing here allocates. */
#ifndef WIRE_HEADERS_H
#define WIRE_HEADERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* ---- names ---- */

/* The names that this program looks for, or that clients send so often that a quick match saves the check
 * of every character.  Rows: id, name in lower case, and its first, last but one and last character
 * (hashed in headers.c). */
#define HTTP_NAMES(X)                                                                           \
	X(HTTP_CONNECTION, "connection", 'c', 'o', 'n')                                         \
	X(HTTP_HOST, "host", 'h', 's', 't')                                                     \
	X(HTTP_CONTENT_LENGTH, "content-length", 'c', 't', 'h')                                 \
	X(HTTP_TRANSFER_ENCODING, "transfer-encoding", 't', 'n', 'g')                           \
	X(HTTP_UPGRADE, "upgrade", 'u', 'd', 'e')                                               \
	X(HTTP_EXPECT, "expect", 'e', 'c', 't')                                                 \
	X(HTTP_TE, "te", 't', 't', 'e')                                                         \
	X(HTTP_KEEP_ALIVE, "keep-alive", 'k', 'v', 'e')                                         \
	X(HTTP_PROXY_CONNECTION, "proxy-connection", 'p', 'o', 'n')                             \
	X(HTTP_PROXY_AUTHENTICATE, "proxy-authenticate", 'p', 't', 'e')                         \
	X(HTTP_PROXY_AUTHORIZATION, "proxy-authorization", 'p', 'o', 'n')                       \
	X(HTTP_HTTP2_SETTINGS, "http2-settings", 'h', 'g', 's')                                 \
	X(HTTP_TRAILER, "trailer", 't', 'e', 'r')                                               \
	X(HTTP_ACCEPT, "accept", 'a', 'p', 't')                                                 \
	X(HTTP_ACCEPT_ENCODING, "accept-encoding", 'a', 'n', 'g')                               \
	X(HTTP_ACCEPT_LANGUAGE, "accept-language", 'a', 'g', 'e')                               \
	X(HTTP_ACCEPT_RANGES, "accept-ranges", 'a', 'e', 's')                                   \
	X(HTTP_ACCESS_CONTROL_REQUEST_HEADERS, "access-control-request-headers", 'a', 'r', 's') \
	X(HTTP_ACCESS_CONTROL_REQUEST_METHOD, "access-control-request-method", 'a', 'o', 'd')   \
	X(HTTP_ALLOW, "allow", 'a', 'o', 'w')                                                   \
	X(HTTP_AUTHORIZATION, "authorization", 'a', 'o', 'n')                                   \
	X(HTTP_CACHE_CONTROL, "cache-control", 'c', 'o', 'l')                                   \
	X(HTTP_CONTENT_ENCODING, "content-encoding", 'c', 'n', 'g')                             \
	X(HTTP_CONTENT_RANGE, "content-range", 'c', 'g', 'e')                                   \
	X(HTTP_CONTENT_TYPE, "content-type", 'c', 'p', 'e')                                     \
	X(HTTP_COOKIE, "cookie", 'c', 'i', 'e')                                                 \
	X(HTTP_DATE, "date", 'd', 't', 'e')                                                     \
	X(HTTP_ETAG, "etag", 'e', 'a', 'g')                                                     \
	X(HTTP_EXPIRES, "expires", 'e', 'e', 's')                                               \
	X(HTTP_FORWARDED, "forwarded", 'f', 'e', 'd')                                           \
	X(HTTP_IF_MODIFIED_SINCE, "if-modified-since", 'i', 'c', 'e')                           \
	X(HTTP_IF_NONE_MATCH, "if-none-match", 'i', 'c', 'h')                                   \
	X(HTTP_LAST_EVENT_ID, "last-event-id", 'l', 'i', 'd')                                   \
	X(HTTP_LAST_MODIFIED, "last-modified", 'l', 'e', 'd')                                   \
	X(HTTP_LOCATION, "location", 'l', 'o', 'n')                                             \
	X(HTTP_ORIGIN, "origin", 'o', 'i', 'n')                                                 \
	X(HTTP_PRAGMA, "pragma", 'p', 'm', 'a')                                                 \
	X(HTTP_PRIORITY, "priority", 'p', 't', 'y')                                             \
	X(HTTP_RANGE, "range", 'r', 'g', 'e')                                                   \
	X(HTTP_REFERER, "referer", 'r', 'e', 'r')                                               \
	X(HTTP_RETRY_AFTER, "retry-after", 'r', 'e', 'r')                                       \
	X(HTTP_SEC_FETCH_DEST, "sec-fetch-dest", 's', 's', 't')                                 \
	X(HTTP_SEC_FETCH_MODE, "sec-fetch-mode", 's', 'd', 'e')                                 \
	X(HTTP_SEC_FETCH_SITE, "sec-fetch-site", 's', 't', 'e')                                 \
	X(HTTP_SEC_WEBSOCKET_ACCEPT, "sec-websocket-accept", 's', 'p', 't')                     \
	X(HTTP_SEC_WEBSOCKET_EXTENSIONS, "sec-websocket-extensions", 's', 'n', 's')             \
	X(HTTP_SEC_WEBSOCKET_KEY, "sec-websocket-key", 's', 'e', 'y')                           \
	X(HTTP_SEC_WEBSOCKET_PROTOCOL, "sec-websocket-protocol", 's', 'o', 'l')                 \
	X(HTTP_SEC_WEBSOCKET_VERSION, "sec-websocket-version", 's', 'o', 'n')                   \
	X(HTTP_SERVER, "server", 's', 'e', 'r')                                                 \
	X(HTTP_SET_COOKIE, "set-cookie", 's', 'i', 'e')                                         \
	X(HTTP_TRACEPARENT, "traceparent", 't', 'n', 't')                                       \
	X(HTTP_TRACESTATE, "tracestate", 't', 't', 'e')                                         \
	X(HTTP_USER_AGENT, "user-agent", 'u', 'n', 't')                                         \
	X(HTTP_VARY, "vary", 'v', 'r', 'y')                                                     \
	X(HTTP_VIA, "via", 'v', 'i', 'a')                                                       \
	X(HTTP_X_FORWARDED_FOR, "x-forwarded-for", 'x', 'o', 'r')                               \
	X(HTTP_X_FORWARDED_HOST, "x-forwarded-host", 'x', 's', 't')                             \
	X(HTTP_X_FORWARDED_PORT, "x-forwarded-port", 'x', 'r', 't')                             \
	X(HTTP_X_FORWARDED_PROTO, "x-forwarded-proto", 'x', 't', 'o')                           \
	X(HTTP_X_REAL_IP, "x-real-ip", 'x', 'i', 'p')                                           \
	X(HTTP_X_REQUEST_ID, "x-request-id", 'x', 'i', 'd')                                     \
	X(HTTP_X_REQUESTED_WITH, "x-requested-with", 'x', 't', 'h')

enum http_id {
	HTTP_OTHER, /* a name that is not in the table */
#define X(id, name, first, last_but_one, last) id,
	HTTP_NAMES(X)
#undef X
		HTTP_ID_COUNT
};
_Static_assert(HTTP_ID_COUNT <= 64, "a set of ids is one word");

/* A set of ids, for http_head.seen and for what a writer leaves out. */
#define HTTP_BIT(id) (UINT64_C(1) << (id))

/* Fields of one hop (RFC 9110 7.6.1), never forwarded: the next hop gets its own.  Those that Connection
 * names come on top: http_field_is_hop_by_hop(). */
#define HTTP_HOP_BY_HOP_SET                                                                      \
	(HTTP_BIT(HTTP_CONNECTION) | HTTP_BIT(HTTP_TRANSFER_ENCODING) | HTTP_BIT(HTTP_UPGRADE) | \
	 HTTP_BIT(HTTP_TE) | HTTP_BIT(HTTP_KEEP_ALIVE) | HTTP_BIT(HTTP_PROXY_CONNECTION) |       \
	 HTTP_BIT(HTTP_PROXY_AUTHENTICATE) | HTTP_BIT(HTTP_PROXY_AUTHORIZATION) |                \
	 HTTP_BIT(HTTP_HTTP2_SETTINGS))

enum { HTTP_NAME_KNOWN_MAX = 32 }; /* no name in the table is longer */

/* The id of a name in any case; HTTP_OTHER if it is not in the table. */
enum http_id http_id_of(const char *name, size_t len);
/* The name of an id in lower case, NUL-terminated; "" for HTTP_OTHER. */
const char *http_id_name(enum http_id id);

/* ---- fields ---- */

struct http_field {
	const char *name;  /* as it was sent, not NUL-terminated */
	const char *value; /* without white space around it; may be empty, never NULL */
	uint32_t value_len;
	uint16_t name_len;
	uint8_t id; /* enum http_id */
};

/* Compares without regard to ASCII case. */
bool http_text_is(const char *text, size_t len, const char *want, size_t want_len);
/* A whole value against a literal, without regard to case. */
#define http_text_is_literal(text, len, literal) http_text_is((text), (len), "" literal, sizeof(literal) - 1)

bool http_char_is_token(uint8_t c); /* tchar, RFC 9110 5.6.2 */
bool http_text_is_token(const char *text, size_t len);
/* A field value may hold it: no control characters but HTAB (RFC 9110 5.5). */
bool http_text_is_field_value(const char *text, size_t len);

/* ---- lists (RFC 9110 5.6.1) ---- */

/* The next element of the list *list, *len, which move on; empty elements are skipped, commas within
 * quotes do not separate.  False at the end. */
bool http_list_next(const char **list, size_t *len, const char **element, size_t *element_len);
/* Is one element of the list this token, in any case?  Elements with parameters are other elements. */
bool http_list_has(const char *list, size_t len, const char *token, size_t token_len);

/* ---- heads ---- */

enum http_method {
	HTTP_METHOD_OTHER, /* any other token: its text says which */
	HTTP_METHOD_GET,
	HTTP_METHOD_HEAD,
	HTTP_METHOD_POST,
	HTTP_METHOD_PUT,
	HTTP_METHOD_DELETE,
	HTTP_METHOD_CONNECT,
	HTTP_METHOD_OPTIONS,
	HTTP_METHOD_TRACE,
	HTTP_METHOD_PATCH,
	HTTP_METHOD_COUNT
};

/* RFC 9112 3.2 */
enum http_target_form {
	HTTP_TARGET_NONE, /* a response */
	HTTP_TARGET_ORIGIN,
	HTTP_TARGET_ABSOLUTE,
	HTTP_TARGET_AUTHORITY, /* CONNECT, always */
	HTTP_TARGET_ASTERISK   /* OPTIONS */
};

struct http_head {
	/* Set by http_head_init(); the parser fills the array. */
	struct http_field *fields;
	uint32_t field_cap;
	uint32_t field_count;
	uint64_t seen; /* HTTP_BIT() of every id present (bit 0: some other name) */

	/* Requests */
	const char *method;
	const char *target; /* as it was sent */
	const char *path;   /* as sent, not decoded; "/" where an absolute target has none; "*"; "" of CONNECT */
	const char *query; /* behind the '?'; NULL: none */
	/* The authority: of an absolute target or CONNECT, else Host (RFC 9112 3.2.2); NULL: none, only in
	 * HTTP/1.0 and responses.  Checked: a name of letters, digits, "-._~", or "[IPv6]", and perhaps
	 * ":port". */
	const char *host;
	uint32_t target_len;
	uint32_t path_len;
	uint32_t query_len;
	uint16_t host_len;
	uint16_t host_name_len; /* the host alone, with the brackets of an IPv6 literal */
	uint16_t host_port;	/* 0: none given */
	uint8_t method_id;	/* enum http_method */
	uint8_t method_len;
	uint8_t target_form;   /* enum http_target_form */
	uint8_t version_minor; /* 0 or 1; a higher one counts as 1 (RFC 9110 2.5) */

	/* Responses */
	uint16_t status;     /* 100..999; 0: a request */
	uint32_t reason_len; /* 0: none */
	const char *reason;

	/* What the fields say */
	const char *fields_end;	 /* in the input: the line end that closes the section */
	int64_t content_length;	 /* -1: none */
	bool is_chunked;	 /* Transfer-Encoding: chunked */
	bool keep_alive;	 /* by version and Connection alone (RFC 9112 9.3) */
	bool has_upgrade;	 /* an Upgrade field */
	bool connection_upgrade; /* Connection has `upgrade` */
	bool connection_names;	 /* Connection names other fields, which are of this hop only */
	bool upgrade_websocket;	 /* Upgrade has `websocket` */
	bool expect_continue;	 /* Expect: 100-continue, in HTTP/1.1 */
	bool expect_unknown;	 /* another expectation: 417 (RFC 9110 10.1.1) */
	bool te_trailers;	 /* TE has `trailers` */
};

/* `fields` is kept, and filled by the parser. */
static inline void http_head_init(struct http_head *head, struct http_field *fields, uint32_t field_cap)
{
	memset(head, 0, sizeof *head);
	head->fields = fields;
	head->field_cap = field_cap;
	head->content_length = -1;
}

static inline bool http_head_has(const struct http_head *head, enum http_id id)
{
	return (head->seen & HTTP_BIT(id)) != 0;
}

/* The first field with the id at or behind `from` (NULL: from the first), or NULL.  For all of them:
 * for (f = http_head_find(h, id, NULL); f != NULL; f = http_head_find(h, id, f + 1)) */
const struct http_field *http_head_find(const struct http_head *head, enum http_id id,
					const struct http_field *from);
/* The same by a name in any case, known or not. */
const struct http_field *http_head_find_name(const struct http_head *head, const char *name, size_t name_len,
					     const struct http_field *from);
/* How many fields have the id. */
uint32_t http_head_count(const struct http_head *head, enum http_id id);
/* Is the token, in any case, in the list that all fields with the id make together? */
bool http_head_list_has(const struct http_head *head, enum http_id id, const char *token, size_t token_len);

/* Must the field stay on this hop (RFC 9110 7.6.1)?  Of the fixed set, or named by Connection; but a peer
 * cannot take away Host, Content-Length or Cache-Control by naming them there. */
bool http_field_is_hop_by_hop(const struct http_head *head, const struct http_field *field);
/* May the field be in a trailer section (RFC 9110 6.5.1)?  Not what frames, routes or authenticates a
 * message. */
bool http_field_may_trail(const struct http_field *field);

enum http_method http_method_of(const char *text, size_t len);
/* "GET"; "" for HTTP_METHOD_OTHER. */
const char *http_method_name(enum http_method method);
/* RFC 9110 9.2.2: the effect of several is that of one. */
bool http_method_is_idempotent(enum http_method method);

#endif
