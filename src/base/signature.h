/* Signatures as JSON Web Tokens bear them (RFC 7518 3, RFC 8037 3.1): keys made once, and verified by.
 *
 * A key is of one kind and serves the algorithms of that kind only, whatever a token says of itself: a public RSA key is
 * never taken for a shared secret.  With net/ and base/digest, a door to OpenSSL.
 * Called by: guard/jwt_keys, guard/jwt.  A key is read-only once it is made, and may be used by many threads. */
#ifndef BASE_SIGNATURE_H
#define BASE_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum signature_alg {
	SIGNATURE_HS256,
	SIGNATURE_HS384,
	SIGNATURE_HS512,
	SIGNATURE_RS256,
	SIGNATURE_RS384,
	SIGNATURE_RS512,
	SIGNATURE_PS256,
	SIGNATURE_PS384,
	SIGNATURE_PS512,
	SIGNATURE_ES256,
	SIGNATURE_ES384,
	SIGNATURE_ES512,
	SIGNATURE_EDDSA, /* Ed25519 and Ed448 */
	SIGNATURE_ALG_COUNT
};

/* Bytes of a part of a key: big-endian, as a JWK's members are once they are decoded. */
struct signature_bytes {
	const uint8_t *at;
	size_t len;
};

struct signature_key;

/* The algorithm of a JWS name ("ES256"), or SIGNATURE_ALG_COUNT. */
enum signature_alg signature_alg_of(const char *name, size_t len);

/* Each copies what it needs; NULL: no such key (a secret of less than 16 bytes, RSA below 2,048 bits, an unknown curve, a
 * point that is not on it), or memory is out. */
struct signature_key *signature_key_secret(struct signature_bytes secret);
struct signature_key *signature_key_rsa(struct signature_bytes n, struct signature_bytes e);
struct signature_key *signature_key_ec(const char *curve, struct signature_bytes x, struct signature_bytes y); /* "P-256" .. */
struct signature_key *signature_key_okp(const char *curve, struct signature_bytes x); /* "Ed25519", "Ed448" */
void signature_key_free(struct signature_key *k); /* accepts NULL; a secret is zeroed */

bool signature_key_fits(const struct signature_key *k, enum signature_alg alg);

/* Whether `sig` is this key's over `in`.  false as well where the key does not fit, or memory is out. */
bool signature_verify(const struct signature_key *k, enum signature_alg alg, struct signature_bytes in,
		      struct signature_bytes sig);

#endif
