#include "base/signature.h"

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include <stdlib.h>
#include <string.h>

#define SECRET_MIN_LEN 16u
#define RSA_MIN_BITS   2048
#define RSA_MAX_LEN    2048u /* bytes of n: 16,384 bits */
#define EC_MAX_LEN     66u   /* P-521 */

enum kind { KIND_SECRET, KIND_RSA, KIND_P256, KIND_P384, KIND_P521, KIND_EDWARDS };

struct signature_key {
	enum kind kind;
	EVP_PKEY *pkey; /* NULL: a secret */
	uint8_t *secret;
	size_t secret_len;
};

static const struct {
	const char *name;
	const EVP_MD *(*digest)(void); /* NULL: the algorithm has its own */
	enum kind kind;
	bool is_pss;
} algs[SIGNATURE_ALG_COUNT] = {
	[SIGNATURE_HS256] = { "HS256", EVP_sha256, KIND_SECRET, false },
	[SIGNATURE_HS384] = { "HS384", EVP_sha384, KIND_SECRET, false },
	[SIGNATURE_HS512] = { "HS512", EVP_sha512, KIND_SECRET, false },
	[SIGNATURE_RS256] = { "RS256", EVP_sha256, KIND_RSA, false },
	[SIGNATURE_RS384] = { "RS384", EVP_sha384, KIND_RSA, false },
	[SIGNATURE_RS512] = { "RS512", EVP_sha512, KIND_RSA, false },
	[SIGNATURE_PS256] = { "PS256", EVP_sha256, KIND_RSA, true },
	[SIGNATURE_PS384] = { "PS384", EVP_sha384, KIND_RSA, true },
	[SIGNATURE_PS512] = { "PS512", EVP_sha512, KIND_RSA, true },
	[SIGNATURE_ES256] = { "ES256", EVP_sha256, KIND_P256, false },
	[SIGNATURE_ES384] = { "ES384", EVP_sha384, KIND_P384, false },
	[SIGNATURE_ES512] = { "ES512", EVP_sha512, KIND_P521, false },
	[SIGNATURE_EDDSA] = { "EdDSA", NULL, KIND_EDWARDS, false },
};

enum signature_alg signature_alg_of(const char *name, size_t len)
{
	unsigned i = 0;

	while (i < SIGNATURE_ALG_COUNT && (strlen(algs[i].name) != len || memcmp(algs[i].name, name, len) != 0))
		i++;
	return (enum signature_alg)i;
}

/* ---- keys ---- */

static struct signature_key *key_new(enum kind kind, EVP_PKEY *pkey)
{
	struct signature_key *k = pkey != NULL || kind == KIND_SECRET ? calloc(1, sizeof(*k)) : NULL;

	if (k == NULL) {
		EVP_PKEY_free(pkey);
		return NULL;
	}
	k->kind = kind;
	k->pkey = pkey;
	return k;
}

void signature_key_free(struct signature_key *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_free(k->pkey);
	if (k->secret != NULL)
		OPENSSL_cleanse(k->secret, k->secret_len);
	free(k->secret);
	free(k);
}

struct signature_key *signature_key_secret(struct signature_bytes secret)
{
	struct signature_key *k = secret.len < SECRET_MIN_LEN ? NULL : key_new(KIND_SECRET, NULL);

	if (k == NULL)
		return NULL;
	k->secret = malloc(secret.len);
	if (k->secret == NULL) {
		free(k);
		return NULL;
	}
	memcpy(k->secret, secret.at, secret.len);
	k->secret_len = secret.len;
	return k;
}

/* A public key of these parameters, whatever they are; the builder's are taken. */
static EVP_PKEY *pkey_from(const char *type, OSSL_PARAM_BLD *build)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
	EVP_PKEY *pkey = NULL;

	if (ctx == NULL || params == NULL || EVP_PKEY_fromdata_init(ctx) <= 0 ||
	    EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) <= 0)
		pkey = NULL;
	OSSL_PARAM_free(params);
	EVP_PKEY_CTX_free(ctx);
	return pkey;
}

static bool pkey_is_sound(EVP_PKEY *pkey)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
	bool is_sound = ctx != NULL && EVP_PKEY_public_check(ctx) == 1;

	EVP_PKEY_CTX_free(ctx);
	return is_sound;
}

struct signature_key *signature_key_rsa(struct signature_bytes n, struct signature_bytes e)
{
	OSSL_PARAM_BLD *build = n.len == 0 || n.len > RSA_MAX_LEN || e.len == 0 || e.len > 8 ? NULL : OSSL_PARAM_BLD_new();
	BIGNUM *modulus = build != NULL ? BN_bin2bn(n.at, (int)n.len, NULL) : NULL;
	BIGNUM *exponent = build != NULL ? BN_bin2bn(e.at, (int)e.len, NULL) : NULL;
	EVP_PKEY *pkey = NULL;

	if (modulus != NULL && exponent != NULL && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus) &&
	    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, exponent))
		pkey = pkey_from("RSA", build);
	BN_free(modulus);
	BN_free(exponent);
	OSSL_PARAM_BLD_free(build);
	if (pkey != NULL && EVP_PKEY_get_bits(pkey) < RSA_MIN_BITS) {
		EVP_PKEY_free(pkey);
		pkey = NULL;
	}
	return key_new(KIND_RSA, pkey);
}

static const struct curve {
	const char *name, *group;
	size_t len; /* of a coordinate */
	enum kind kind;
} curves[] = {
	{ "P-256", "prime256v1", 32, KIND_P256 },
	{ "P-384", "secp384r1", 48, KIND_P384 },
	{ "P-521", "secp521r1", 66, KIND_P521 },
};

struct signature_key *signature_key_ec(const char *curve, struct signature_bytes x, struct signature_bytes y)
{
	uint8_t point[1 + 2 * EC_MAX_LEN] = { 4 }; /* uncompressed */
	const struct curve *c = curves, *end = curves + sizeof(curves) / sizeof(curves[0]);
	OSSL_PARAM_BLD *build;
	EVP_PKEY *pkey = NULL;

	while (c < end && strcmp(c->name, curve) != 0)
		c++;
	if (c == end || x.len != c->len || y.len != c->len) /* RFC 7518 6.2.1.2: the full size of a coordinate */
		return NULL;
	memcpy(point + 1, x.at, x.len);
	memcpy(point + 1 + x.len, y.at, y.len);
	build = OSSL_PARAM_BLD_new();
	if (build != NULL && OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, c->group, 0) &&
	    OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * c->len))
		pkey = pkey_from("EC", build);
	OSSL_PARAM_BLD_free(build);
	if (pkey != NULL && !pkey_is_sound(pkey)) {
		EVP_PKEY_free(pkey);
		pkey = NULL;
	}
	return key_new(c->kind, pkey);
}

struct signature_key *signature_key_okp(const char *curve, struct signature_bytes x)
{
	if (strcmp(curve, "Ed25519") != 0 && strcmp(curve, "Ed448") != 0)
		return NULL;
	return key_new(KIND_EDWARDS, EVP_PKEY_new_raw_public_key_ex(NULL, curve, NULL, x.at, x.len));
}

bool signature_key_fits(const struct signature_key *k, enum signature_alg alg)
{
	return alg < SIGNATURE_ALG_COUNT && algs[alg].kind == k->kind;
}

/* ---- verifying ---- */

static bool secret_verify(const struct signature_key *k, const EVP_MD *md, struct signature_bytes in, struct signature_bytes sig)
{
	uint8_t mac[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	return HMAC(md, k->secret, (int)k->secret_len, in.at, in.len, mac, &len) != NULL && len == sig.len &&
	       CRYPTO_memcmp(mac, sig.at, len) == 0;
}

/* A JWS has both numbers side by side (RFC 7518 3.4), OpenSSL wants them in DER; the length, or -1. */
static int ecdsa_der(struct signature_bytes sig, size_t half, uint8_t out[160])
{
	ECDSA_SIG *s = sig.len == 2 * half ? ECDSA_SIG_new() : NULL;
	BIGNUM *r = s != NULL ? BN_bin2bn(sig.at, (int)half, NULL) : NULL;
	BIGNUM *t = s != NULL ? BN_bin2bn(sig.at + half, (int)half, NULL) : NULL;
	int len = -1;

	if (r != NULL && t != NULL && ECDSA_SIG_set0(s, r, t) == 1) {
		r = t = NULL; /* its own now */
		len = i2d_ECDSA_SIG(s, NULL) <= 160 ? i2d_ECDSA_SIG(s, &out) : -1;
	}
	BN_free(r);
	BN_free(t);
	ECDSA_SIG_free(s);
	return len;
}

static bool pkey_verify(const struct signature_key *k, enum signature_alg alg, struct signature_bytes in,
			struct signature_bytes sig)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *options; /* ctx's */
	const EVP_MD *md = algs[alg].digest != NULL ? algs[alg].digest() : NULL;
	bool is_good = ctx != NULL && EVP_DigestVerifyInit(ctx, &options, md, NULL, k->pkey) == 1;

	if (is_good && algs[alg].is_pss) /* RFC 7518 3.5: a salt as long as the digest */
		is_good = EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1 &&
			  EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) == 1;
	is_good = is_good && EVP_DigestVerify(ctx, sig.at, sig.len, in.at, in.len) == 1;
	EVP_MD_CTX_free(ctx);
	return is_good;
}

bool signature_verify(const struct signature_key *k, enum signature_alg alg, struct signature_bytes in,
		      struct signature_bytes sig)
{
	uint8_t der[160];
	int len;

	if (!signature_key_fits(k, alg))
		return false;
	if (k->kind == KIND_SECRET)
		return secret_verify(k, algs[alg].digest(), in, sig);
	if (k->kind == KIND_RSA || k->kind == KIND_EDWARDS)
		return pkey_verify(k, alg, in, sig);
	len = ecdsa_der(sig, curves[k->kind - KIND_P256].len, der);
	return len > 0 && pkey_verify(k, alg, in, (struct signature_bytes){ der, (size_t)len });
}
