/* base/digest against published vectors. */
#include "base/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static void assert_hex(const uint8_t *got, size_t len, const char *want)
{
	char hex[65];

	hex_encode(got, len, hex);
	assert_string_equal(hex, want);
}

static void sha1_is_that_of_fips_180(void **state)
{
	uint8_t out[20];

	(void)state;
	digest_sha1("abc", 3, out);
	assert_hex(out, 20, "a9993e364706816aba3e25717850c26c9cd0d89d");
	digest_sha1("", 0, out);
	assert_hex(out, 20, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
	digest_sha1(NULL, 0, out);
	assert_hex(out, 20, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
}

static void sha256_is_that_of_fips_180(void **state)
{
	uint8_t out[32];

	(void)state;
	digest_sha256("abc", 3, out);
	assert_hex(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	digest_sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, out);
	assert_hex(out, 32, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

/* RFC 4231 4.2, 4.3, 4.4, 4.7 */
static void hmac_is_that_of_rfc_4231(void **state)
{
	uint8_t key[131], data[50], out[32];

	(void)state;
	memset(key, 0x0b, 20);
	digest_hmac_sha256(key, 20, "Hi There", 8, out);
	assert_hex(out, 32, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	digest_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, out);
	assert_hex(out, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof(key));
	memset(data, 0xdd, sizeof(data));
	digest_hmac_sha256(key, 20, data, sizeof(data), out);
	assert_hex(out, 32, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
	digest_hmac_sha256(key, 131, "Test Using Larger Than Block-Size Key - Hash Key First", 54, out);
	assert_hex(out, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
	digest_hmac_sha256(NULL, 0, NULL, 0, out);
	assert_hex(out, 32, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void equal_is_equal(void **state)
{
	(void)state;
	assert_true(digest_is_equal("abc", "abd", 2));
	assert_false(digest_is_equal("abc", "abd", 3));
	assert_true(digest_is_equal("a", "b", 0));
}

/* RFC 4648 10 */
/* clang-format off */
static const struct { const char *plain, *text, *url; } vectors[] = {
	{ "", "", "" },		       { "f", "Zg==", "Zg" },		{ "fo", "Zm8=", "Zm8" },
	{ "foo", "Zm9v", "Zm9v" },     { "foob", "Zm9vYg==", "Zm9vYg" }, { "fooba", "Zm9vYmE=", "Zm9vYmE" },
	{ "foobar", "Zm9vYmFy", "Zm9vYmFy" }, { "\xfb\xff\xfe", "+//+", "-__-" },
};
/* clang-format on */

static void base64_is_that_of_rfc_4648(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		size_t len = strlen(vectors[i].plain);
		char text[16], plain[16];

		assert_int_equal(base64_encode(vectors[i].plain, len, text), strlen(vectors[i].text));
		assert_string_equal(text, vectors[i].text);
		assert_int_equal(base64_decode(text, strlen(text), plain), len);
		assert_memory_equal(plain, vectors[i].plain, len);
		assert_int_equal(base64url_encode(vectors[i].plain, len, text), strlen(vectors[i].url));
		assert_string_equal(text, vectors[i].url);
	}
}

static void base64_decoding_is_strict(void **state)
{
	static const char *const bad[] = { "Zg",     "Zg=",  "Zg===", "Z===",	  "====",
					   "=",	     "Zh==", "Zm9=",  "Zg==Zg==", "Zm 9",
					   "Zm9v\n", "-__-", "Zm=v",  "Z=9v",	  "Zm9vYg=A" };
	char plain[16];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (base64_decode(bad[i], strlen(bad[i]), plain) != -1)
			fail_msg("%s is not base64", bad[i]);
	}
}

static void base64_goes_there_and_back(void **state)
{
	uint8_t in[64], out[66];
	char text[89];

	(void)state;
	for (size_t len = 0; len <= sizeof(in); len++) {
		for (size_t i = 0; i < len; i++)
			in[i] = (uint8_t)(i * 89 + len * 7);
		assert_int_equal(base64_encode(in, len, text), (len + 2) / 3 * 4);
		assert_int_equal(base64_decode(text, strlen(text), out), len);
		assert_memory_equal(in, out, len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sha1_is_that_of_fips_180),   cmocka_unit_test(sha256_is_that_of_fips_180),
		cmocka_unit_test(hmac_is_that_of_rfc_4231),   cmocka_unit_test(equal_is_equal),
		cmocka_unit_test(base64_is_that_of_rfc_4648), cmocka_unit_test(base64_decoding_is_strict),
		cmocka_unit_test(base64_goes_there_and_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
