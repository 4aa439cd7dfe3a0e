/* Two TLS engines joined in memory; or one of them and OpenSSL's own client, which can be made to misbehave. */
#ifndef TESTS_TLS_PAIR_H
#define TESTS_TLS_PAIR_H

#include "net/tls.h"
#include "net/tls_context.h"

#include "tls_certs.h"

#include <openssl/ssl.h>

struct bytes {
	uint8_t *at;
	size_t len, cap;
};
void bytes_add(struct bytes *b, const void *at, size_t len);
void bytes_done(struct bytes *b);

struct side {
	struct tls *tls;
	struct bytes wire;  /* what it has sent and nobody has read */
	struct bytes plain; /* what it has opened */
	long result;	    /* the last tls_open() <= 0 */
	size_t plain_cap;   /* how much tls_open() may give at once; 0: 4096 */
};

struct tls_sink side_sink(struct side *s);
/* Feeds bytes, `cut` at a time (0: all at once), until they are used or the engine has failed.  Asserts what always
 * holds: no error is left in OpenSSL's queue, all input is used unless the engine has failed. */
void side_feed(struct side *s, const uint8_t *bytes, size_t len, size_t cut);
void side_done(struct side *s);

struct pair {
	struct side client, server;
};
/* Makes both and starts the client; moves nothing. */
void pair_init(struct pair *p, struct tls_context *client, struct tls_context *server, const char *sni);
/* Moves bytes both ways until none are left; true when both are established. */
bool pair_pump(struct pair *p, size_t cut);
void pair_done(struct pair *p);
void side_seal(struct side *s, const void *bytes, size_t len);

/* OpenSSL's client against a server's engine. */
struct raw {
	SSL_CTX *ctx;
	SSL *ssl;
	BIO *in, *out;
	struct side server;
};
void raw_init(struct raw *r, struct tls_context *server, int version);
/* Drives the handshake, SSL_read and what it has to say, until nothing moves; the bytes read are added to `plain`. */
void raw_pump(struct raw *r, struct bytes *plain);
void raw_done(struct raw *r);

/* Contexts that must come out; `o` says all but the certificates, and may be NULL. */
struct tls_context *server_from(const struct tls_server_options *o);
struct tls_context *server_with(const struct tls_server_options *o, size_t count,
				const struct test_cert *const *certs);
struct tls_context *server_of(const struct test_cert *cert, const struct tls_server_options *o);
struct tls_context *client_from(const struct tls_client_options *o);

/* One connection: what both sides said of it.  The contexts are kept. */
struct outcome {
	bool is_established;
	struct tls_info client, server; /* strings are copied */
	char text[8][64];
	char client_error[128], server_error[128];
	long client_result, server_result;
};
struct outcome outcome_of(struct tls_context *client, struct tls_context *server, const char *name);

#endif
