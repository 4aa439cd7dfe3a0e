/* Which certificates serve which name.
 *
 * Names are a certificate's own: the DNS names of its subjectAltName, or its common name where it has none (RFC 6125
 * 6.4.4), exact ("chat.example.com") or with a wildcard for the whole first label ("*.example.com", RFC 6125 6.4.3).  An
 * exact name wins over a wildcard.  Certificates of different key types for the same name serve it together; of one type,
 * the first given wins.
 * Called by: net/tls_context: filled while it is built, only read afterwards, by all threads. */
#ifndef NET_TLS_SNI_H
#define NET_TLS_SNI_H

#include "base/hash.h"

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>

/* The slots that an SSL_CTX has for certificates. */
enum tls_key_type { TLS_KEY_RSA, TLS_KEY_RSA_PSS, TLS_KEY_EC, TLS_KEY_ED25519, TLS_KEY_ED448, TLS_KEY_TYPES };

/* Certificates that serve together, by their numbers; -1: none of this type. */
struct tls_choice {
	int by_type[TLS_KEY_TYPES];
};

struct tls_sni_name {
	struct tls_choice choice;
	void *served_by; /* whatever the builder puts here; NULL at first */
	char name[];	 /* lower-case */
};

struct tls_sni {
	struct hash_map names; /* of struct tls_sni_name */
};

void tls_sni_init(struct tls_sni *s);
void tls_sni_done(struct tls_sni *s);

/* Adds the names of certificate `number`.  How many it has, or -1: out of memory. */
int tls_sni_add(struct tls_sni *s, const X509 *cert, enum tls_key_type type, int number);

/* Who serves all the names of a certificate that was added: itself, and those of other types that have every one. */
void tls_sni_common(const struct tls_sni *s, const X509 *cert, enum tls_key_type type, int number,
		    struct tls_choice *out);

/* The names in no order: begin with *cursor 0; NULL at the end. */
struct tls_sni_name *tls_sni_next(const struct tls_sni *s, size_t *cursor);

/* The entry for a name that a client asks for, in any case; NULL: none. */
struct tls_sni_name *tls_sni_find(const struct tls_sni *s, const char *name);

#endif
