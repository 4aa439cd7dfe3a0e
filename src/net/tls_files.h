/* Certificates, keys and authorities out of their files, with words for everything that may be wrong with them.
 *
 * Called by: net/tls_context, while a configuration is loaded: these functions read files and may take milliseconds. */
#ifndef NET_TLS_FILES_H
#define NET_TLS_FILES_H

#include "net/tls_error.h"
#include "net/tls_sni.h"

#include <openssl/ssl.h>
#include <stdint.h>

/* A certificate that somebody can serve: with its chain and its private key. */
struct tls_identity {
	X509 *cert;
	STACK_OF(X509) * chain; /* what is sent behind it; may be empty */
	EVP_PKEY *key;		/* OpenSSL wipes it when it is freed */
	enum tls_key_type type;
};

void tls_identity_done(struct tls_identity *i);

/* Reads both files; `out` is whole, or unchanged and empty. */
bool tls_identity_load(struct tls_identity *out, const char *cert, const char *key, struct tls_fault *f);

/* Puts it into its slot of the context, which takes references. */
bool tls_identity_use(const struct tls_identity *i, SSL_CTX *ctx);

/* A secret's bytes; refused where everybody may read it. */
bool tls_secret_read(const char *path, uint8_t *out, size_t cap, size_t *len, struct tls_fault *f);

/* When it ends, seconds since the epoch. */
int64_t tls_identity_expiry(const struct tls_identity *i);

/* Authorities to verify with. */
struct tls_authorities {
	X509_STORE *store;
	STACK_OF(X509_NAME) * names; /* for a server's CertificateRequest */
	uint8_t digest[32];	     /* of the file: another set, another digest */
};

void tls_authorities_done(struct tls_authorities *a);
bool tls_authorities_load(struct tls_authorities *out, const char *path, struct tls_fault *f);

/* A response to staple (RFC 6066 8), for one of the certificates. */
struct tls_staple {
	uint8_t *der;
	size_t len;
	X509 *cert;	 /* whose status it tells */
	int64_t until_s; /* since the epoch; it is not sent from then on */
};

void tls_staple_done(struct tls_staple *s);
bool tls_staple_load(struct tls_staple *out, const char *path, const struct tls_identity *identities,
		     size_t count, struct tls_fault *f);

#endif
