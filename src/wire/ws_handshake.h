/* The WebSocket opening handshake (RFC 6455 4) and the negotiation of permessage-deflate (RFC 7692 7).
 *
 * Pure checks: keys, extension and subprotocol lists as strings, and whole heads.
 * Called by: proxy/upgrade (both sides), cluster/probe_websocket (as a client).  Allocates nothing. */
#ifndef WIRE_WS_HANDSHAKE_H
#define WIRE_WS_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_head;

enum {
	WS_KEY_LEN = 24,    /* base64 of 16 bytes */
	WS_ACCEPT_LEN = 28, /* base64 of a SHA-1 */
	WS_VERSION = 13
};

/* ---- key and accept ---- */

/* Base64 of exactly 16 bytes (4.2.1); the four bits that the last letter has too many may be anything. */
bool ws_key_is_valid(const char *key, size_t len);
/* A client's key from 16 fresh random bytes; NUL-terminated. */
void ws_key_make(const uint8_t random[16], char out[WS_KEY_LEN + 1]);
/* Sec-WebSocket-Accept of a key (4.2.2), which must be WS_KEY_LEN bytes; NUL-terminated. */
void ws_accept_compute(const char *key, char out[WS_ACCEPT_LEN + 1]);
/* `key` as above; false for an accept of any other length. */
bool ws_accept_matches(const char *key, const char *accept, size_t accept_len);

/* ---- Sec-WebSocket-Extensions (9.1) ----
 * The functions take one field value at a time: where there are several, call them for each in turn. */

/* One element of the list, in the input. */
struct ws_extension {
	const char *name;
	size_t name_len;
	const char *params; /* behind the name, from its first ';': for ws_param_next */
	size_t params_len;
};

struct ws_param {
	const char *name;
	size_t name_len;
	const char *value; /* NULL: none; without the quotes, which may only surround a token (9.1) */
	size_t value_len;
};

/* The next element of *list, *len, which move on; empty elements are skipped (RFC 9110 5.6.1).  1, 0 at the
 * end, or -1 where the grammar is broken anywhere in the element. */
int ws_extension_next(const char **list, size_t *len, struct ws_extension *out);
/* The next parameter of *params, *len.  1, 0 at the end, or -1. */
int ws_param_next(const char **params, size_t *len, struct ws_param *out);

enum ws_negotiation { WS_OFFER, WS_ANSWER };

/* The parameters of permessage-deflate (RFC 7692 7.1). */
struct ws_deflate {
	uint8_t server_max_window_bits; /* 8..15; 0: absent */
	uint8_t client_max_window_bits; /* the same; WS_DEFLATE_BITS_OPEN: in an offer, without a value */
	bool server_no_context_takeover;
	bool client_no_context_takeover;
};
#define WS_DEFLATE_BITS_OPEN 1

/* The first permessage-deflate in one field value.  1 and `out`, 0 if there is none, or -1 where the list is
 * malformed.  In an offer one with parameters that RFC 7692 7.1 does not know is passed over (the next may
 * do); in an answer such a one, or a second one, is -1. */
int ws_deflate_find(const char *list, size_t len, enum ws_negotiation side, struct ws_deflate *out);

/* One element of a list.  false: it is something else, or a permessage-deflate that is to be passed over. */
bool ws_deflate_read(const struct ws_extension *e, enum ws_negotiation side, struct ws_deflate *out);

/* Writes an element for permessage-deflate; WS_DEFLATE_TEXT_MAX is always enough.  The length, or -1. */
enum { WS_DEFLATE_TEXT_MAX = 160 };
int ws_deflate_write(char *out, size_t cap, const struct ws_deflate *deflate);

/* Copies a list without the extensions that the frame tracker does not know: permessage-deflate stays if
 * `keep_deflate`, anything else goes, since it might give the reserved bits and opcodes a meaning.  Returns
 * the length (0: leave the field out), or -1 where the list is malformed or would not fit in `cap`; `len` is
 * always enough. */
long ws_extensions_filter(const char *list, size_t len, bool keep_deflate, char *out, size_t cap);

/* Does the list name the extension?  Malformed: false. */
bool ws_extensions_contain(const char *list, size_t len, const char *name, size_t name_len);

/* ---- Sec-WebSocket-Protocol and other lists of tokens ---- */

struct ws_token {
	const char *at; /* in the input */
	size_t len;
};

/* The next token of *list, *len, which move on; empty elements are skipped.  1, 0 at the end, or -1 at what
 * is none. */
int ws_token_next(const char **list, size_t *len, struct ws_token *out);
/* Is the subprotocol in the list?  Case counts.  Malformed: false. */
bool ws_protocols_contain(const char *list, size_t len, const char *name, size_t name_len);

/* ---- whole heads ---- */

enum ws_handshake_result {
	WS_HANDSHAKE_OK,
	WS_HANDSHAKE_NONE,	   /* a request without `Upgrade: websocket`: not an attempt */
	WS_HANDSHAKE_METHOD,	   /* not GET */
	WS_HANDSHAKE_HTTP_VERSION, /* not HTTP/1.1 */
	WS_HANDSHAKE_HOST,	   /* none, or several */
	WS_HANDSHAKE_CONNECTION,   /* no `upgrade` among the tokens of Connection */
	WS_HANDSHAKE_BODY,	   /* a request body, which could be read as frames */
	WS_HANDSHAKE_VERSION,	   /* not 13: 426, with `Sec-WebSocket-Version: 13` */
	WS_HANDSHAKE_KEY,	   /* none, several, or not base64 of 16 bytes */
	WS_HANDSHAKE_PROTOCOL,	   /* malformed, or in the answer: none of the offered */
	WS_HANDSHAKE_EXTENSIONS,   /* malformed, or in the answer: not offered, or wrongly answered */
	WS_HANDSHAKE_STATUS,	   /* the answer is not 101: a plain response, to be passed on */
	WS_HANDSHAKE_UPGRADE,	   /* a 101 to something else than websocket */
	WS_HANDSHAKE_ACCEPT,	   /* Sec-WebSocket-Accept missing, several, or wrong */
	WS_HANDSHAKE_RESULT_COUNT
};

/* What was agreed; points into the heads. */
struct ws_agreement {
	const char *protocol; /* NULL: none */
	size_t protocol_len;
	struct ws_deflate deflate; /* when has_deflate */
	bool has_deflate;
	uint8_t rsv_allowed; /* for ws_tracker_init, both directions */
};

/* Is this head a client's opening handshake (4.2.1)? */
enum ws_handshake_result ws_handshake_check_request(const struct http_head *request);

/* Does `response` complete the handshake that `request` began (4.1)?  `request` is the one that was sent to
 * that server, with its extensions as they were offered there.  `out` is set on WS_HANDSHAKE_OK. */
enum ws_handshake_result ws_handshake_check_response(const struct http_head *request,
						     const struct http_head *response,
						     struct ws_agreement *out);

/* One clause for the log; never NULL. */
const char *ws_handshake_text(enum ws_handshake_result result);

#endif
