/* Certificates for tests: made on the spot, written into a directory that goes with the test. */
#ifndef TESTS_TLS_CERTS_H
#define TESTS_TLS_CERTS_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>

struct test_cert {
	X509 *cert;
	EVP_PKEY *key;
	char cert_path[128], key_path[128]; /* once written */
};

struct test_cert_options {
	const char *key;		/* "EC" (default), "RSA", "ED25519" */
	const char *common_name;	/* default "test" */
	const char *names;		/* "DNS:a.test,DNS:*.b.test,IP:127.0.0.1"; NULL: no subjectAltName */
	const struct test_cert *issuer; /* NULL: self-signed */
	bool is_authority;
	long begins_s, ends_s; /* from now; ends_s 0: in a day */
};

/* Fails the test where anything fails. */
void test_cert_make(struct test_cert *out, const struct test_cert_options *o);
void test_cert_done(struct test_cert *c);

/* A new directory under /tmp, and its end with all that is in it. */
const char *test_directory_make(void);
void test_directory_remove(void);

/* NAME.pem and NAME.key in the directory; behind the certificate comes `chain`, when not NULL. */
void test_cert_write(struct test_cert *c, const char *name, const struct test_cert *chain);
/* Any file in the directory; its path is static until the next call of the same slot 0..7. */
const char *test_file_write(int slot, const char *name, const void *bytes, size_t len);

#endif
