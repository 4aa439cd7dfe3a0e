#include "net/tls_files.h"

#include "base/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILE_MAX_BYTES (8u << 20) /* a whole system's bundle is 250 KB */

struct file {
	uint8_t *bytes;
	size_t len;
};

static void file_done(struct file *f)
{
	if (f->bytes != NULL)
		OPENSSL_cleanse(f->bytes, f->len); /* there may have been a key in it */
	free(f->bytes);
	*f = (struct file){ 0 };
}

static bool file_read_all(int fd, struct file *out, size_t size)
{
	while (out->len < size) {
		ssize_t n = read(fd, out->bytes + out->len, size - out->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		if (n == 0)
			break;
		out->len += (size_t)n;
	}
	return true;
}

/* Not by stdio: it would keep a copy of a key in a buffer that nobody wipes. */
static bool file_load(const char *path, bool is_secret, struct file *out, struct tls_fault *f)
{
	struct stat st;
	bool ok;
	int fd;

	*out = (struct file){ 0 };
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not stop us */
	if (fd < 0)
		return tls_fault_say(f, path, "cannot open: %s", strerror(errno));
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX_BYTES) {
		close(fd);
		return tls_fault_say(f, path, "not a file of at most %u MiB", FILE_MAX_BYTES >> 20);
	}
	if (is_secret && (st.st_mode & (S_IROTH | S_IWOTH)) != 0) {
		close(fd);
		return tls_fault_say(f, path, "everybody may %s this key: chmod o-rwx",
				     (st.st_mode & S_IROTH) != 0 ? "read" : "write");
	}
	out->bytes = calloc(1, (size_t)st.st_size + 1); /* one more: a text ends with NUL */
	if (out->bytes == NULL || !file_read_all(fd, out, (size_t)st.st_size))
		ok = tls_fault_say(f, path, "cannot read: %s", strerror(errno));
	else if (out->len == 0)
		ok = tls_fault_say(f, path, "the file is empty");
	else
		ok = true;
	close(fd);
	if (!ok)
		file_done(out);
	return ok;
}

/* Keys with a passphrase are refused; without this OpenSSL would ask the terminal. */
static int passphrase_refuse(char *out, int size, int writing, void *user)
{
	bool *was_asked = user;

	(void)out, (void)size, (void)writing;
	*was_asked = true;
	return -1;
}

/* All certificates of the file in order.  Other things in it (a key, parameters) are passed over. */
static bool certificates_parse(const char *path, const struct file *file, STACK_OF(X509) * out,
			       struct tls_fault *f)
{
	bool was_asked = false, ok = true;
	BIO *bio = BIO_new_mem_buf(file->bytes, (int)file->len);
	X509 *cert;

	if (bio == NULL)
		return tls_fault_say(f, path, "out of memory");
	while (ok && (cert = PEM_read_bio_X509(bio, NULL, passphrase_refuse, &was_asked)) != NULL) {
		if (sk_X509_push(out, cert) > 0)
			continue;
		X509_free(cert);
		ok = tls_fault_say(f, path, "out of memory");
	}
	BIO_free(bio);
	if (!ok)
		return false;
	if (ERR_GET_LIB(ERR_peek_last_error()) != ERR_LIB_PEM ||
	    ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
		char what[64];

		snprintf(what, sizeof(what), "certificate %d is broken", sk_X509_num(out) + 1);
		return tls_fault_openssl(f, path, what);
	}
	if (sk_X509_num(out) == 0)
		return tls_fault_say(f, path, "no certificate in this file (PEM is expected)");
	tls_error_clear();
	return true;
}

static bool certificates_load(const char *path, STACK_OF(X509) * *out, struct tls_fault *f)
{
	struct file file;
	bool ok;

	if (!file_load(path, false, &file, f))
		return false;
	*out = sk_X509_new_null();
	ok = *out != NULL ? certificates_parse(path, &file, *out, f)
			  : tls_fault_say(f, path, "out of memory");
	file_done(&file);
	if (!ok) {
		sk_X509_pop_free(*out, X509_free);
		*out = NULL;
	}
	return ok;
}

static EVP_PKEY *key_load(const char *path, struct tls_fault *f)
{
	bool was_asked = false;
	EVP_PKEY *key = NULL;
	struct file file;
	BIO *bio;

	if (!file_load(path, true, &file, f))
		return NULL;
	bio = BIO_new_mem_buf(file.bytes, (int)file.len);
	if (bio != NULL)
		key = PEM_read_bio_PrivateKey(bio, NULL, passphrase_refuse, &was_asked);
	BIO_free(bio);
	if (key != NULL)
		tls_error_clear();
	else if (was_asked)
		tls_fault_say(f, path,
			      "the key is encrypted: store it without a passphrase, readable by root only");
	else if (strstr((const char *)file.bytes, "PRIVATE KEY-----") == NULL)
		tls_fault_say(f, path, "no private key in this file (PEM is expected)");
	else
		tls_fault_openssl(f, path, "the private key cannot be read");
	file_done(&file);
	return key;
}

static int key_type(const EVP_PKEY *key)
{
	static const struct {
		const char *name;
		enum tls_key_type type;
	} types[] = {
		{ "RSA", TLS_KEY_RSA },		{ "RSA-PSS", TLS_KEY_RSA_PSS }, { "EC", TLS_KEY_EC },
		{ "ED25519", TLS_KEY_ED25519 }, { "ED448", TLS_KEY_ED448 },
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (EVP_PKEY_is_a(key, types[i].name))
			return (int)types[i].type;
	}
	return -1;
}

/* That the key is the first certificate's.  Where it is another's, the order is what is wrong. */
static bool key_check(const struct tls_identity *i, const char *cert, const char *key, struct tls_fault *f)
{
	if (X509_check_private_key(i->cert, i->key) == 1)
		return true;
	for (int k = 0; k < sk_X509_num(i->chain); k++) {
		if (X509_check_private_key(sk_X509_value(i->chain, k), i->key) == 1)
			return tls_fault_say(f, cert,
					     "the certificate of the key is number %d: it must be the first",
					     k + 2);
	}
	return tls_fault_say(f, key, "key does not match certificate %s", cert);
}

void tls_identity_done(struct tls_identity *i)
{
	X509_free(i->cert);
	sk_X509_pop_free(i->chain, X509_free);
	EVP_PKEY_free(i->key);
	*i = (struct tls_identity){ 0 };
}

bool tls_identity_load(struct tls_identity *out, const char *cert, const char *key, struct tls_fault *f)
{
	struct tls_identity i = { 0 };
	int type;

	*out = (struct tls_identity){ 0 };
	if (!certificates_load(cert, &i.chain, f))
		return false;
	i.cert = sk_X509_shift(i.chain);
	i.key = key_load(key, f);
	if (i.key == NULL)
		goto failed;
	type = key_type(i.key);
	if (type < 0) {
		tls_fault_say(f, key,
			      "keys of this type cannot be used with TLS: make it RSA, EC or Ed25519");
		goto failed;
	}
	i.type = (enum tls_key_type)type;
	if (!key_check(&i, cert, key, f))
		goto failed;
	tls_error_clear();
	*out = i;
	return true;
failed:
	tls_identity_done(&i);
	return false;
}

bool tls_identity_use(const struct tls_identity *i, SSL_CTX *ctx)
{
	return SSL_CTX_use_cert_and_key(ctx, i->cert, i->key, i->chain, 1) == 1;
}

static int64_t time_of(const ASN1_TIME *t)
{
	struct tm tm;

	return t != NULL && ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

int64_t tls_identity_expiry(const struct tls_identity *i)
{
	return time_of(X509_get0_notAfter(i->cert));
}

void tls_authorities_done(struct tls_authorities *a)
{
	X509_STORE_free(a->store);
	sk_X509_NAME_pop_free(a->names, X509_NAME_free);
	*a = (struct tls_authorities){ 0 };
}

static bool authority_add(struct tls_authorities *a, X509 *cert)
{
	X509_NAME *name = X509_NAME_dup(X509_get_subject_name(cert));

	if (name == NULL || sk_X509_NAME_push(a->names, name) <= 0) {
		X509_NAME_free(name);
		return false;
	}
	return X509_STORE_add_cert(a->store, cert) == 1;
}

bool tls_authorities_load(struct tls_authorities *out, const char *path, struct tls_fault *f)
{
	struct tls_authorities a = { .store = X509_STORE_new(), .names = sk_X509_NAME_new_null() };
	STACK_OF(X509) *certs = NULL;
	struct file file;
	bool ok = a.store != NULL && a.names != NULL;

	*out = (struct tls_authorities){ 0 };
	if (!ok)
		tls_fault_say(f, path, "out of memory");
	else /* whoever is in the file is believed, be it an intermediate or the peer's own certificate */
		X509_STORE_set_flags(a.store, X509_V_FLAG_PARTIAL_CHAIN);
	ok = ok && certificates_load(path, &certs, f) && file_load(path, false, &file, f);
	if (ok) {
		digest_sha256(file.bytes, file.len, a.digest);
		file_done(&file);
	}
	for (int i = 0; ok && i < sk_X509_num(certs); i++) {
		if (!authority_add(&a, sk_X509_value(certs, i)))
			ok = tls_fault_openssl(f, path, "cannot be used");
	}
	sk_X509_pop_free(certs, X509_free);
	if (!ok) {
		tls_authorities_done(&a);
		return false;
	}
	tls_error_clear();
	*out = a;
	return true;
}

void tls_staple_done(struct tls_staple *s)
{
	free(s->der);
	X509_free(s->cert);
	*s = (struct tls_staple){ 0 };
}

/* RFC 6960 4.1.1: by serial number and the digest of the issuer's name (its key's digest would need its certificate). */
static bool is_about(const OCSP_CERTID *id, const X509 *cert)
{
	ASN1_OCTET_STRING *name_digest;
	ASN1_OBJECT *algorithm;
	ASN1_INTEGER *serial;
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	/* the accessor asks for what it does not change */
	if (OCSP_id_get0_info(&name_digest, &algorithm, NULL, &serial, (OCSP_CERTID *)(uintptr_t)id) != 1)
		return false;
	if (ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(cert)) != 0)
		return false;
	return EVP_get_digestbyobj(algorithm) != NULL &&
	       X509_NAME_digest(X509_get_issuer_name(cert), EVP_get_digestbyobj(algorithm), digest, &len) ==
		       1 &&
	       len == (unsigned)ASN1_STRING_length(name_digest) &&
	       memcmp(digest, ASN1_STRING_get0_data(name_digest), len) == 0;
}

/* Finds the certificate that a single response of it tells about. */
static bool staple_match(struct tls_staple *s, OCSP_BASICRESP *basic, const struct tls_identity *identities,
			 size_t count)
{
	for (int i = 0; i < OCSP_resp_count(basic); i++) {
		OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);
		ASN1_GENERALIZEDTIME *next = NULL;

		for (size_t k = 0; k < count; k++) {
			if (!is_about(OCSP_SINGLERESP_get0_id(single), identities[k].cert))
				continue;
			OCSP_single_get0_status(single, NULL, NULL, NULL, &next);
			s->until_s = next == NULL ? INT64_MAX : time_of(next);
			X509_up_ref(identities[k].cert);
			s->cert = identities[k].cert;
			return true;
		}
	}
	return false;
}

bool tls_staple_load(struct tls_staple *out, const char *path, const struct tls_identity *identities,
		     size_t count, struct tls_fault *f)
{
	OCSP_RESPONSE *response = NULL;
	OCSP_BASICRESP *basic = NULL;
	struct file file;
	const uint8_t *at;
	bool ok = false;

	*out = (struct tls_staple){ 0 };
	if (!file_load(path, false, &file, f))
		return false;
	at = file.bytes;
	response = d2i_OCSP_RESPONSE(NULL, &at, (long)file.len);
	if (response == NULL)
		tls_fault_say(f, path, "not an OCSP response (DER is expected)");
	else if (OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
		tls_fault_say(f, path, "the OCSP responder refused: %s",
			      OCSP_response_status_str(OCSP_response_status(response)));
	else if ((basic = OCSP_response_get1_basic(response)) == NULL)
		tls_fault_openssl(f, path, "cannot be read");
	else if (!staple_match(out, basic, identities, count))
		tls_fault_say(f, path, "this response is about none of the certificates");
	else
		ok = true;
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(response);
	if (ok) {
		out->der = file.bytes;
		out->len = file.len;
	} else {
		file_done(&file);
	}
	tls_error_clear();
	return ok;
}

bool tls_secret_read(const char *path, uint8_t *out, size_t cap, size_t *len, struct tls_fault *f)
{
	struct file file;
	bool ok;

	if (!file_load(path, true, &file, f))
		return false;
	ok = file.len <= cap;
	if (ok)
		memcpy(out, file.bytes, *len = file.len);
	else
		tls_fault_say(f, path, "more than %zu bytes", cap);
	file_done(&file);
	return ok;
}
