/* What a peer's certificate says, as text for a header. */
#include "net/tls_context_inside.h"
#include "net/tls_error.h"

#include <openssl/bn.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

static long hex_print(const uint8_t *bytes, size_t len, char *out, size_t cap)
{
	if (2 * len + 1 > cap)
		return -1;
	for (size_t i = 0; i < len; i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
	return (long)(2 * len);
}

/* RFC 2253, UTF-8 as it is; control characters are escaped by OpenSSL. */
static long name_print(const X509_NAME *name, char *out, size_t cap)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long len = -1;

	if (bio == NULL)
		return -1;
	if (X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB) >= 0) {
		len = BIO_get_mem_data(bio, &text);
		if (len < 0 || (size_t)len > cap)
			len = -1;
		else
			memcpy(out, text, (size_t)len);
	}
	BIO_free(bio);
	return len;
}

static long print_subject(X509 *cert, char *out, size_t cap)
{
	return name_print(X509_get_subject_name(cert), out, cap);
}

static long print_issuer(X509 *cert, char *out, size_t cap)
{
	return name_print(X509_get_issuer_name(cert), out, cap);
}

static long string_print(const ASN1_STRING *s, char *out, size_t cap)
{
	uint8_t *text = NULL;
	int len = s != NULL ? ASN1_STRING_to_UTF8(&text, s) : -1;

	if (len >= 0 && (size_t)len <= cap)
		memcpy(out, text, (size_t)len);
	OPENSSL_free(text);
	return len >= 0 && (size_t)len <= cap ? len : -1;
}

static long print_cn(X509 *cert, char *out, size_t cap)
{
	const X509_NAME *name = X509_get_subject_name(cert);
	int at = X509_NAME_get_index_by_NID((X509_NAME *)(uintptr_t)name, NID_commonName, -1);
	const X509_NAME_ENTRY *entry = at >= 0 ? X509_NAME_get_entry(name, at) : NULL;

	return entry != NULL ? string_print(X509_NAME_ENTRY_get_data(entry), out, cap) : -1;
}

static long print_serial(X509 *cert, char *out, size_t cap)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);

	return hex_print(ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial), out, cap);
}

static long print_fingerprint(X509 *cert, char *out, size_t cap)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	return X509_digest(cert, EVP_sha256(), digest, &len) == 1 ? hex_print(digest, len, out, cap) : -1;
}

static long alt_print(const X509 *cert, int type, char *out, size_t cap)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	long len = -1;

	for (int i = 0; len < 0 && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type == type)
			len = string_print(name->d.ia5, out, cap);
	}
	GENERAL_NAMES_free(names);
	return len;
}

static long print_dns(X509 *cert, char *out, size_t cap)
{
	return alt_print(cert, GEN_DNS, out, cap);
}

static long print_uri(X509 *cert, char *out, size_t cap)
{
	return alt_print(cert, GEN_URI, out, cap);
}

static const struct {
	const char *word;
	long (*print)(X509 *, char *, size_t);
} words[] = {
	{ "subject", print_subject },	      { "cn", print_cn },   { "issuer", print_issuer }, { "serial", print_serial },
	{ "fingerprint", print_fingerprint }, { "dns", print_dns }, { "uri", print_uri },
};

long tls_certificate_print(void *certificate, const char *word, char *out, size_t cap)
{
	long len = -1;

	for (size_t i = 0; certificate != NULL && i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(words[i].word, word) == 0)
			len = words[i].print(certificate, out, cap);
	tls_error_clear();
	return len;
}
