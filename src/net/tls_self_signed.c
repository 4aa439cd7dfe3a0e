#include "net/tls_self_signed.h"

#include "base/random.h"

#include <openssl/ec.h>
#include <openssl/x509v3.h>

enum { HOUR_S = 3600, DAY_S = 86400 };

static bool add_extension(X509 *cert, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
	bool ok = e != NULL && X509_add_ext(cert, e, -1) == 1;

	X509_EXTENSION_free(e);
	return ok;
}

static bool add_alt_name(GENERAL_NAMES *all, const char *name)
{
	GENERAL_NAME *g = GENERAL_NAME_new();
	ASN1_OCTET_STRING *ip = a2i_IPADDRESS(name);
	ASN1_IA5STRING *dns = ip != NULL ? NULL : ASN1_IA5STRING_new();

	if (g != NULL && ip != NULL) {
		GENERAL_NAME_set0_value(g, GEN_IPADD, ip);
	} else if (g != NULL && dns != NULL && ASN1_STRING_set(dns, name, -1) == 1) {
		GENERAL_NAME_set0_value(g, GEN_DNS, dns);
	} else {
		ASN1_OCTET_STRING_free(ip);
		ASN1_IA5STRING_free(dns);
		GENERAL_NAME_free(g);
		return false;
	}
	if (sk_GENERAL_NAME_push(all, g) > 0)
		return true;
	GENERAL_NAME_free(g);
	return false;
}

static bool add_alt_names(X509 *cert, const char *const *names, size_t count)
{
	GENERAL_NAMES *all = sk_GENERAL_NAME_new_null();
	bool ok = all != NULL;

	for (size_t i = 0; ok && i < count; i++)
		ok = add_alt_name(all, names[i]);
	ok = ok && X509_add1_ext_i2d(cert, NID_subject_alt_name, all, 0, 0) == 1;
	GENERAL_NAMES_free(all);
	return ok;
}

static bool self_sign(X509 *cert, EVP_PKEY *key, const char *const *names, size_t count)
{
	X509_NAME *subject = X509_get_subject_name(cert);
	uint64_t serial;

	random_bytes(&serial, sizeof(serial));
	return X509_set_version(cert, X509_VERSION_3) == 1 &&
	       ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial >> 1) == 1 &&
	       X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const uint8_t *)"holdfast demo", -1,
					  -1, 0) == 1 &&
	       X509_set_issuer_name(cert, subject) == 1 &&
	       X509_gmtime_adj(X509_getm_notBefore(cert), -HOUR_S) != NULL && /* clocks differ */
	       X509_gmtime_adj(X509_getm_notAfter(cert), 30 * DAY_S) != NULL &&
	       X509_set_pubkey(cert, key) == 1 &&
	       add_extension(cert, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_extension(cert, NID_key_usage, "critical,digitalSignature") &&
	       add_extension(cert, NID_ext_key_usage, "serverAuth") && add_alt_names(cert, names, count) &&
	       X509_sign(cert, key, EVP_sha256()) > 0;
}

bool tls_identity_self_sign(struct tls_identity *out, const char *const *names, size_t count)
{
	struct tls_identity i = { .type = TLS_KEY_EC, .key = EVP_EC_gen("P-256"), .cert = X509_new() };
	bool ok = i.key != NULL && i.cert != NULL && self_sign(i.cert, i.key, names, count);

	*out = (struct tls_identity){ 0 };
	if (ok)
		*out = i;
	else
		tls_identity_done(&i);
	tls_error_clear();
	return ok;
}
