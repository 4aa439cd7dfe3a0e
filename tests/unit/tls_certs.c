#include "tls_certs.h"

#include <dirent.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[64];

static EVP_PKEY *key_make(const char *type)
{
	if (type == NULL || strcmp(type, "EC") == 0)
		return EVP_EC_gen("P-256");
	if (strcmp(type, "RSA") == 0)
		return EVP_RSA_gen(2048);
	return EVP_PKEY_Q_keygen(NULL, NULL, type);
}

static void extension_add(X509 *cert, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	assert_non_null(e);
	assert_int_equal(X509_add_ext(cert, e, -1), 1);
	X509_EXTENSION_free(e);
}

void test_cert_make(struct test_cert *out, const struct test_cert_options *o)
{
	const char *common_name = o->common_name != NULL ? o->common_name : "test";
	EVP_PKEY *key = key_make(o->key);
	X509 *cert = X509_new();
	X509_NAME *subject;
	uint32_t serial;

	assert_non_null(key);
	assert_non_null(cert);
	subject = X509_get_subject_name(cert);
	RAND_bytes((unsigned char *)&serial, sizeof(serial));
	X509_set_version(cert, X509_VERSION_3);
	ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)common_name, -1, -1,
				   0);
	X509_set_issuer_name(cert, o->issuer == NULL ? subject : X509_get_subject_name(o->issuer->cert));
	X509_gmtime_adj(X509_getm_notBefore(cert), o->begins_s != 0 ? o->begins_s : -60);
	X509_gmtime_adj(X509_getm_notAfter(cert), o->ends_s != 0 ? o->ends_s : 86400);
	X509_set_pubkey(cert, key);
	extension_add(cert, NID_basic_constraints,
		      o->is_authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
	if (o->names != NULL)
		extension_add(cert, NID_subject_alt_name, o->names);
	assert_true(X509_sign(cert, o->issuer == NULL ? key : o->issuer->key,
			      o->issuer == NULL && o->key != NULL && strcmp(o->key, "ED25519") == 0
				      ? NULL
				      : EVP_sha256()) > 0);
	*out = (struct test_cert){ .cert = cert, .key = key };
}

void test_cert_done(struct test_cert *c)
{
	X509_free(c->cert);
	EVP_PKEY_free(c->key);
	*c = (struct test_cert){ 0 };
}

const char *test_directory_make(void)
{
	strcpy(directory, "/tmp/holdfast-tls-XXXXXX");
	assert_non_null(mkdtemp(directory));
	return directory;
}

void test_directory_remove(void)
{
	DIR *d = opendir(directory);
	struct dirent *e;
	char path[512];

	while (d != NULL && (e = readdir(d)) != NULL) {
		snprintf(path, sizeof(path), "%s/%s", directory, e->d_name);
		unlink(path);
	}
	if (d != NULL)
		closedir(d);
	rmdir(directory);
}

/* Nobody else may read it: a key would be refused. */
static FILE *file_open(const char *path)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fchmod(fileno(f), 0600), 0);
	return f;
}

void test_cert_write(struct test_cert *c, const char *name, const struct test_cert *chain)
{
	FILE *f;

	snprintf(c->cert_path, sizeof(c->cert_path), "%s/%s.pem", directory, name);
	snprintf(c->key_path, sizeof(c->key_path), "%s/%s.key", directory, name);
	f = file_open(c->cert_path);
	PEM_write_X509(f, c->cert);
	if (chain != NULL)
		PEM_write_X509(f, chain->cert);
	fclose(f);
	f = file_open(c->key_path);
	PEM_write_PrivateKey(f, c->key, NULL, NULL, 0, NULL, NULL);
	fclose(f);
}

const char *test_file_write(int slot, const char *name, const void *bytes, size_t len)
{
	static char paths[8][128];
	FILE *f;

	snprintf(paths[slot], sizeof(paths[slot]), "%s/%s", directory, name);
	f = file_open(paths[slot]);
	fwrite(bytes, 1, len, f);
	fclose(f);
	return paths[slot];
}
