/* A look at a TLS ClientHello (RFC 8446 4.1.2) for the name and protocols asked for, without terminating it.
 *
 * Called by: proxy/tcp_relay, to route by SNI.  Allocates nothing. */
#ifndef WIRE_CLIENT_HELLO_H
#define WIRE_CLIENT_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	CLIENT_HELLO_MAX = 16384, /* bytes of the handshake message; post-quantum ones have about 2,000 */
	CLIENT_HELLO_INPUT_MAX = 17408, /* ... with its record headers: more is never looked at */
	CLIENT_HELLO_NAME_MAX = 255,
	CLIENT_HELLO_ALPN_MAX = 256
};

enum client_hello_error {
	CLIENT_HELLO_OK,
	CLIENT_HELLO_ERR_NOT_TLS,  /* the first bytes are no TLS record with a ClientHello */
	CLIENT_HELLO_ERR_SYNTAX,   /* TLS, but a length inside runs over, or an extension comes twice */
	CLIENT_HELLO_ERR_TOO_LONG, /* over CLIENT_HELLO_MAX, or cut in too many records */
	CLIENT_HELLO_ERR_NAME,	   /* a server_name that is no host name */
	CLIENT_HELLO_ERR_COUNT
};

struct client_hello {
	uint16_t name_len;		      /* 0: no SNI */
	uint16_t alpn_len;		      /* bytes in alpn; 0: no ALPN */
	char name[CLIENT_HELLO_NAME_MAX + 1]; /* SNI, lower-case, NUL-terminated */
	uint8_t alpn[CLIENT_HELLO_ALPN_MAX];  /* as on the wire: each name behind its length; those that did
					       * not fit are left out */
};

/* Reads a ClientHello from the first bytes of a connection, which may be cut into several records.
 *
 *   in, len   borrowed; all bytes from the first on
 *   out       a copy; set only when the result is > 0
 *
 * Returns the bytes up to the end of the ClientHello, 0 if more are needed, or -CLIENT_HELLO_ERR_*. */
int client_hello_peek(const uint8_t *in, size_t len, struct client_hello *out);

/* Is this protocol among those offered? */
bool client_hello_has_alpn(const struct client_hello *hello, const char *protocol, size_t len);

/* One clause for the log; takes an error as returned or positive; never NULL. */
const char *client_hello_error_text(int error);

#endif
