/* Digests and encodings.
 *
 * SHA-1 and SHA-256 go through OpenSSL's low-level functions: they keep their state on our stack and so
 * cannot fail, where the EVP ones allocate and look algorithms up by name, each time. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/digest.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>

enum { SHA256_BLOCK_LEN = 64 };

void digest_sha1(const void *in, size_t len, uint8_t out[20])
{
	SHA_CTX ctx;

	SHA1_Init(&ctx);
	SHA1_Update(&ctx, in, len);
	SHA1_Final(out, &ctx);
}

void digest_sha256(const void *in, size_t len, uint8_t out[32])
{
	SHA256_CTX ctx;

	SHA256_Init(&ctx);
	SHA256_Update(&ctx, in, len);
	SHA256_Final(out, &ctx);
}

/* RFC 2104. */
void digest_hmac_sha256(const void *key, size_t key_len, const void *in, size_t len, uint8_t out[32])
{
	uint8_t block[SHA256_BLOCK_LEN] = { 0 }, pad[SHA256_BLOCK_LEN];
	SHA256_CTX ctx;

	if (key_len > sizeof(block))
		digest_sha256(key, key_len, block);
	else if (key_len > 0)
		memcpy(block, key, key_len);

	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] = block[i] ^ 0x36;
	SHA256_Init(&ctx);
	SHA256_Update(&ctx, pad, sizeof(pad));
	SHA256_Update(&ctx, in, len);
	SHA256_Final(out, &ctx);

	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] = block[i] ^ 0x5c;
	SHA256_Init(&ctx);
	SHA256_Update(&ctx, pad, sizeof(pad));
	SHA256_Update(&ctx, out, SHA256_DIGEST_LENGTH);
	SHA256_Final(out, &ctx);

	OPENSSL_cleanse(block, sizeof(block));
	OPENSSL_cleanse(pad, sizeof(pad));
	OPENSSL_cleanse(&ctx, sizeof(ctx));
}

bool digest_is_equal(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}

static const char plain_alphabet[64] = { "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/" };
static const char url_alphabet[64] = { "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" };

static size_t encode(const uint8_t *in, size_t len, const char alphabet[64], bool is_padded, char *out)
{
	char *at = out;

	for (; len >= 3; in += 3, len -= 3) {
		*at++ = alphabet[in[0] >> 2];
		*at++ = alphabet[(in[0] & 3) << 4 | in[1] >> 4];
		*at++ = alphabet[(in[1] & 15) << 2 | in[2] >> 6];
		*at++ = alphabet[in[2] & 63];
	}
	if (len > 0) {
		uint8_t second = len == 2 ? in[1] : 0;

		*at++ = alphabet[in[0] >> 2];
		*at++ = alphabet[(in[0] & 3) << 4 | second >> 4];
		if (len == 2)
			*at++ = alphabet[(second & 15) << 2];
		else if (is_padded)
			*at++ = '=';
		if (is_padded)
			*at++ = '=';
	}
	*at = '\0';
	return (size_t)(at - out);
}

size_t base64_encode(const void *in, size_t len, char *out)
{
	return encode(in, len, plain_alphabet, true, out);
}

size_t base64url_encode(const void *in, size_t len, char *out)
{
	return encode(in, len, url_alphabet, false, out);
}

static int sextet(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

long base64_decode(const char *in, size_t len, void *out)
{
	uint8_t *at = out;
	size_t pad = 0;

	if (len % 4 != 0)
		return -1;
	if (len > 0 && in[len - 1] == '=')
		pad = in[len - 2] == '=' ? 2 : 1;
	for (size_t i = 0; i < len; i += 4) {
		size_t count = i + 4 == len ? 4 - pad : 4;
		uint32_t bits = 0;

		for (size_t k = 0; k < 4; k++) {
			int value = k < count ? sextet(in[i + k]) : 0;
			if (value < 0)
				return -1;
			bits = bits << 6 | (uint32_t)value;
		}
		if ((count == 2 && (bits & 0xffff) != 0) || (count == 3 && (bits & 0xff) != 0))
			return -1; /* two texts for the same bytes: RFC 4648 3.5 */
		*at++ = (uint8_t)(bits >> 16);
		if (count > 2)
			*at++ = (uint8_t)(bits >> 8);
		if (count > 3)
			*at++ = (uint8_t)bits;
	}
	return at - (uint8_t *)out;
}

void hex_encode(const void *in, size_t len, char *out)
{
	static const char digits[16] = { "0123456789abcdef" };
	const uint8_t *bytes = in;

	for (size_t i = 0; i < len; i++) {
		*out++ = digits[bytes[i] >> 4];
		*out++ = digits[bytes[i] & 15];
	}
	*out = '\0';
}
