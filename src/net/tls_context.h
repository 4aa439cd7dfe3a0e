/* What TLS connections have in common: certificates, versions, tickets, verification.
 *
 * Built from plain options (config/ translates its snapshot), counted atomically: a reload makes a new context while
 * connections of the old one live on.  A server's context never changes; a client's keeps the newest session that a
 * backend gave, so that the next handshake is short.  Ticket keys are a thing of their own (net/tls_tickets): they
 * outlive reloads and are shared by all workers.
 * Certificates of one name and different key types (RSA, ECDSA) serve it together: the client's abilities choose. */
#ifndef NET_TLS_CONTEXT_H
#define NET_TLS_CONTEXT_H

#include "net/tls_tickets.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tls_context;

enum tls_version { TLS_VERSION_1_2 = 2, TLS_VERSION_1_3 = 3 };
enum tls_client_auth { TLS_CLIENT_AUTH_OFF, TLS_CLIENT_AUTH_OPTIONAL, TLS_CLIENT_AUTH_REQUIRE };

struct tls_certificate_files {
	const char *cert; /* PEM: leaf first, then the chain */
	const char *key;  /* PEM */
};

/* Everything is borrowed for the call; NULL and 0 are "the default". */
struct tls_server_options {
	const struct tls_certificate_files
		*certificates; /* the first is the default; others by SNI from their names */
	size_t certificates_count;
	bool rejects_unknown;	      /* a name that no certificate has, or none, gets an alert */
	enum tls_version min_version; /* default 1.2 */
	const char *ciphers;	      /* 1.2; default: AEAD with forward secrecy only */
	const char *ciphersuites;     /* 1.3 */
	const char *curves;	      /* default "X25519:P-256:P-384" */
	const char *const *alpn;      /* preferred first; none offered in common: no ALPN, never a failure */
	size_t alpn_count;
	enum tls_client_auth client_auth;
	const char *client_ca;	     /* PEM file */
	const char *ocsp_file;	     /* DER response to staple; NULL: none */
	struct tls_tickets *tickets; /* shares; NULL: no tickets */
	uint32_t records_per_key;    /* 1.3: new keys after so many records; default 2^23 (RFC 8446 5.5) */
};

struct tls_client_options {
	bool verify;	/* chain and name */
	const char *ca; /* PEM file; NULL: the system's store */
	const char *client_cert, *client_key;
	const char *const *alpn;
	size_t alpn_count;
	uint32_t records_per_key;
};

/* Gives a context with one reference, or NULL with a message that names the file and the cause
 * ("/etc/x.pem: no certificate in this file", "key does not match certificate").  *bad_file, when not NULL, is set to
 * the option string that was at fault, or NULL. */
struct tls_context *tls_context_new_server(const struct tls_server_options *o, char *error, size_t error_len,
					   const char **bad_file);
struct tls_context *tls_context_new_client(const struct tls_client_options *o, char *error, size_t error_len,
					   const char **bad_file);
struct tls_context *tls_context_ref(struct tls_context *c);
void tls_context_unref(struct tls_context *c); /* accepts NULL */

/* When the earliest of the server's certificates ends, seconds since the epoch; 0 for a client's context. */
int64_t tls_context_expiry(const struct tls_context *c);

/* The embedded demo: writes nothing to disk; a self-signed P-256 certificate for `names`, valid 30 days. */
struct tls_context *tls_context_new_self_signed(const char *const *names, size_t names_count,
						struct tls_tickets *t);

#endif
