/* Digests and encodings: SHA-1, SHA-256, HMAC, base64, hex.  With net/ and base/signature, the only door to OpenSSL. */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void digest_sha1(const void *in, size_t len, uint8_t out[20]);
void digest_sha256(const void *in, size_t len, uint8_t out[32]);
void digest_hmac_sha256(const void *key, size_t key_len, const void *in, size_t len, uint8_t out[32]);
/* Constant time. */
bool digest_is_equal(const void *a, const void *b, size_t len);

/* Padded base64 (RFC 4648 4): `out` needs 4 * ((len + 2) / 3) + 1 bytes, NUL-terminated; returns the length. */
size_t base64_encode(const void *in, size_t len, char *out);
/* Unpadded, URL-safe (RFC 4648 5). */
size_t base64url_encode(const void *in, size_t len, char *out);
/* Strict: padding right, no other characters, unused bits zero.  Returns the length, or -1; out needs len / 4 * 3. */
long base64_decode(const char *in, size_t len, void *out);
/* Lower-case; out needs 2 * len + 1. */
void hex_encode(const void *in, size_t len, char *out);

#endif
