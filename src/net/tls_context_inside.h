/* What is inside a context: for net/tls and net/tls_context*, and for nobody else. */
#ifndef NET_TLS_CONTEXT_INSIDE_H
#define NET_TLS_CONTEXT_INSIDE_H

#include "net/tls.h"
#include "net/tls_context.h"
#include "net/tls_files.h"
#include "net/tls_sni.h"

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

/* Protocol names (RFC 7301). */
struct tls_alpn {
	char **names; /* NUL-terminated */
	size_t count;
	uint8_t *wire; /* each with its length before it */
	unsigned wire_len;
};

struct tls_context {
	atomic_uint refs;
	bool is_server;
	bool rejects_unknown; /* a server's: names that it has no certificate for */
	bool is_verifying; /* a client's: the chain, and the name */
	uint32_t records_per_key;

	/* One SSL_CTX for each set of certificates that serve together; [0] is the default, and the one that every
	 * connection begins with, so that it owns the tickets. */
	SSL_CTX **groups;
	size_t groups_count;
	struct tls_sni names; /* served_by: an SSL_CTX of the above, borrowed */

	struct tls_alpn alpn;
	struct tls_staple staple;
	struct tls_tickets *tickets; /* NULL: none */
	int64_t expiry_s;

	/* A client's: the newest session that a server gave, and the name that it was asked by. */
	pthread_mutex_t session_lock;
	SSL_SESSION *session;
	char *session_name;
};

/* The session to offer to the server of this name, or NULL: a copy (sessions in use are written to), to be freed. */
SSL_SESSION *tls_context_session(struct tls_context *c, const char *name);
/* Keeps it for later connections; takes the caller's reference. */
void tls_context_session_keep(struct tls_context *c, const char *name, SSL_SESSION *session);
/* Forgets what is kept: a handshake with it failed. */
void tls_context_session_forget(struct tls_context *c);

/* What servers and clients set alike; NULL and 0: the default. */
struct tls_common_options {
	enum tls_version min_version;
	const char *ciphers, *ciphersuites, *curves;
};

/* A context with nothing in it, and another SSL_CTX for it (borrowed) with the common settings.  NULL, and a fault said. */
struct tls_context *tls_context_make(bool is_server, uint32_t records_per_key, struct tls_fault *f);
SSL_CTX *tls_context_group(struct tls_context *c, const struct tls_common_options *o, struct tls_fault *f);

bool tls_alpn_init(struct tls_alpn *a, const char *const *names, size_t count, struct tls_fault *f);
/* The context's own copy of a negotiated protocol's name, or "". */
const char *tls_alpn_name(const struct tls_alpn *a, const uint8_t *name, size_t len);

/* The name under which the connection asks for a server's session: net/tls has it. */
const char *tls_session_name(const struct tls *t);

/* Of an X509 *, which may be NULL: net/tls_peer has it. */
long tls_certificate_print(void *certificate, const char *word, char *out, size_t cap);

#endif
