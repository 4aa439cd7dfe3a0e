/* One TLS connection without a socket: bytes in, bytes out.
 *
 * The stream feeds what arrived and takes plaintext; what has to be sent (handshake flights, records, alerts, answers
 * to KeyUpdate) leaves through a sink during the call.  OpenSSL never sees a descriptor, and reads straight out of the
 * receive buffer.  No call blocks, none does I/O.  A connection and its calls belong to one thread; a context may be
 * shared by all.
 *
 * Called by: net/stream.  Knows nothing of rings, sockets or configuration. */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tls;
struct tls_context; /* net/tls_context.h */

/* Where ciphertext leaves: called 0 or more times during a call, with borrowed bytes.  It may use other connections, but
 * not the one it is called for. */
struct tls_sink {
	void (*emit)(void *user, const uint8_t *bytes, size_t len);
	void *user;
};

/* What arrived; each call moves `at` and `len` past what it used. */
struct tls_input {
	const uint8_t *at;
	size_t len;
};

enum tls_result {
	TLS_MORE = 0,	     /* all input used, no plaintext: feed more */
	TLS_CLOSED = -1,     /* close_notify came: no more plaintext will (input behind it is ignored) */
	TLS_ERROR = -2,	     /* fatal; an alert has been emitted where one is due; see tls_error_text() */
	TLS_PEER_ALERT = -3, /* the peer sent a fatal alert */
};

/* A server's or a client's connection; takes a reference on the context.  NULL: out of memory.
 * `sni` (borrowed) is the name that a client asks for and, where the context verifies, checks; an address is checked, but
 * never sent (RFC 6066 3).  NULL: nothing is sent, and the chain alone is verified. */
struct tls *tls_new_server(struct tls_context *ctx);
struct tls *tls_new_client(struct tls_context *ctx, const char *sni);
void tls_free(struct tls *t); /* accepts NULL */

/* A client's first flight.  0 or TLS_ERROR.  Servers wait for tls_open() and need no start. */
int tls_start(struct tls *t, struct tls_sink sink);

/* Takes input, drives the handshake, and opens records into out[0..cap), cap >= 1.
 * Returns the number of plaintext bytes (> 0: call again, there may be more even with in->len == 0), or a tls_result.
 * Plaintext is never lost when `cap` is small. */
long tls_open(struct tls *t, struct tls_input *in, uint8_t *out, size_t cap, struct tls_sink sink);

/* Seals len bytes of plaintext into records of at most 16 KiB.  Only when established, and before close_notify.  0 or
 * TLS_ERROR. */
int tls_seal(struct tls *t, const uint8_t *bytes, size_t len, struct tls_sink sink);

/* Emits close_notify, once, and nothing before the handshake is done.  What still comes can be opened; nothing is
 * emitted any more. */
void tls_close_notify(struct tls *t, struct tls_sink sink);

bool tls_is_established(const struct tls *t);

/* What was negotiated; strings live as long as the connection, or are static; "" where there is none. */
struct tls_info {
	const char *version; /* "TLSv1.3" */
	const char *cipher;
	const char *sni;
	const char *alpn; /* NUL-terminated; "" when none was negotiated */
	bool is_resumed;
	bool has_peer_certificate;
};
void tls_info(const struct tls *t, struct tls_info *out);

/* Whether opened plaintext waits for the next tls_open(). */
bool tls_has_more(const struct tls *t);

/* Whether it failed since the client speaks plain HTTP. */
bool tls_is_plain_http(const struct tls *t);

/* What the peer's certificate says: subject, cn, issuer, serial, fingerprint, dns or uri.  The length, or -1: it has shown
 * none, or it does not say that, or it does not fit.  Whoever puts it into a header checks that it may stand there. */
long tls_peer_print(const struct tls *t, const char *word, char *out, size_t cap);

/* Why the last call failed, for the log: "certificate verify failed: self-signed certificate".  Always NUL-terminated. */
void tls_error_text(const struct tls *t, char *out, size_t cap);

#endif
