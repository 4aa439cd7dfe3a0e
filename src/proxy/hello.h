/* What a fallback request says first: the record or control `open`, `resume` or `up`.  No socket: text in, values out.
 *
 * Called by: proxy/fallback, proxy/carrier_websocket. */
#ifndef PROXY_HELLO_H
#define PROXY_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HELLO_TOKEN_MAX	    48
#define HELLO_PROTOCOLS_MAX 512
#define HELLO_NONCE_MAX	    64
#define HELLO_NONCE_MIN	    8

enum hello_kind { HELLO_OPEN, HELLO_RESUME, HELLO_UP };

struct hello {
	uint64_t turn, got, from;
	uint64_t hold_ms; /* UINT64_MAX: not said */
	uint8_t kind;	  /* enum hello_kind */
	uint8_t token_len, nonce_len;
	char token[HELLO_TOKEN_MAX];
	char nonce[HELLO_NONCE_MAX + 1];
	char protocols[HELLO_PROTOCOLS_MAX]; /* as in Sec-WebSocket-Protocol, NUL-terminated; "": none */
};

/* `name` is the record's; its value is one JSON object, whose unknown members are passed over.  false: it is none of
 * them, or something is missing or wrong. */
bool hello_parse(const char *name, size_t name_len, const char *json, size_t len, struct hello *out);

/* The value of a `close`: [], [code] or [code, "reason"], as the payload of a Close frame into `out` (125 bytes).  Its
 * length, or -1. */
int hello_close_parse(const char *json, size_t len, uint8_t *out);

#endif
