#include "net/tls_context.h"

#include "tls_certs.h"
#include "tls_pair.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* A root, an intermediate, and what they have signed. */
static struct test_cert root, middle, other_root;
static struct test_cert chat;	  /* "DNS:chat.test", EC, by the intermediate */
static struct test_cert chat_rsa; /* the same name */
static struct test_cert wild;	  /* "DNS:*.wild.test" */
static struct test_cert exact;	  /* "DNS:exact.wild.test,DNS:second.test" */
static struct test_cert common;	  /* no names but CN=common.test */
static struct test_cert expired, future, address, client, foreign;

static int setup(void **state)
{
	const struct {
		struct test_cert *cert;
		const char *file;
		struct test_cert_options o;
	} all[] = {
		{ &root, "root", { .common_name = "root", .is_authority = true } },
		{ &middle, "middle", { .common_name = "middle", .is_authority = true, .issuer = &root } },
		{ &other_root, "other", { .common_name = "other", .is_authority = true } },
		{ &chat, "chat", { .names = "DNS:chat.test", .issuer = &middle } },
		{ &chat_rsa,
		  "chat_rsa",
		  { .names = "DNS:CHAT.test", .issuer = &middle, .key = "RSA", .ends_s = 3600 } },
		{ &wild, "wild", { .names = "DNS:*.wild.test", .issuer = &middle } },
		{ &exact, "exact", { .names = "DNS:exact.wild.test,DNS:second.test", .issuer = &middle } },
		{ &common, "common", { .common_name = "common.test", .issuer = &middle } },
		{ &expired,
		  "expired",
		  { .names = "DNS:chat.test", .issuer = &middle, .begins_s = -90, .ends_s = -5 } },
		{ &future, "future", { .names = "DNS:chat.test", .issuer = &middle, .begins_s = 600 } },
		{ &address, "address", { .names = "IP:127.0.0.1,IP:0:0:0:0:0:0:0:1", .issuer = &middle } },
		{ &client, "client", { .common_name = "client", .issuer = &root } },
		{ &foreign, "foreign", { .common_name = "foreign", .issuer = &other_root } },
	};

	(void)state;
	test_directory_make();
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		test_cert_make(all[i].cert, &all[i].o);
		test_cert_write(all[i].cert, all[i].file, all[i].o.issuer == &middle ? &middle : NULL);
	}
	return 0;
}

static int teardown(void **state)
{
	struct test_cert *all[] = { &root,   &middle,  &other_root, &chat,    &chat_rsa, &wild,	  &exact,
				    &common, &expired, &future,	    &address, &client,	 &foreign };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		test_cert_done(all[i]);
	test_directory_remove();
	return 0;
}

static struct tls_context *client_verifying(void)
{
	return client_from(&(struct tls_client_options){ .verify = true, .ca = root.cert_path });
}

/* Which certificate a client of OpenSSL's gets for a name (NULL: no name), with these settings. */
static const struct test_cert *certificate_for(struct tls_context *server, const char *name, int version,
					       const char *sigalgs)
{
	const struct test_cert *all[] = { &chat, &chat_rsa, &wild, &exact, &common };
	const struct test_cert *found = NULL;
	struct raw r;

	raw_init(&r, server, version);
	if (name != NULL)
		SSL_set_tlsext_host_name(r.ssl, name);
	if (sigalgs != NULL)
		assert_int_equal(SSL_set1_sigalgs_list(r.ssl, sigalgs), 1);
	raw_pump(&r, NULL);
	assert_true(tls_is_established(r.server.tls));
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (X509_cmp(SSL_get0_peer_certificate(r.ssl), all[i]->cert) == 0)
			found = all[i];
	}
	assert_int_equal(sk_X509_num(SSL_get_peer_cert_chain(r.ssl)), 2); /* and the intermediate */
	raw_done(&r);
	return found;
}

static void names_choose_certificates(void **state)
{
	const struct test_cert *certs[] = { &chat, &wild, &exact, &common, &chat_rsa };
	static const struct {
		const char *name;
		const struct test_cert *want;
	} cases[] = {
		{ NULL, &chat },
		{ "nobody.test", &chat },
		{ "chat.test", &chat },
		{ "CHAT.test", &chat },
		{ "a.wild.test", &wild },
		{ "A.WILD.TEST", &wild },
		{ "exact.wild.test", &exact }, /* before the wildcard */
		{ "second.test", &exact },
		{ "wild.test", &chat },	    /* a wildcard is one label */
		{ "a.b.wild.test", &chat }, /* and not two */
		{ "x", &chat },
		{ "common.test", &common },
		{ "*.wild.test", &wild },
	};
	struct tls_context *c = server_with(NULL, ARRAY_LEN(certs), certs);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases) * 2; i++) {
		int version = i % 2 ? TLS1_2_VERSION : TLS1_3_VERSION;

		if (certificate_for(c, cases[i / 2].name, version, NULL) != cases[i / 2].want)
			fail_msg("%s: another certificate", cases[i / 2].name);
	}
	tls_context_unref(c);
}

static void key_types_serve_a_name_together(void **state)
{
	const struct test_cert *certs[] = { &chat, &wild, &chat_rsa };
	struct tls_context *c = server_with(NULL, ARRAY_LEN(certs), certs);

	(void)state;
	assert_ptr_equal(certificate_for(c, "chat.test", TLS1_3_VERSION, "ECDSA+SHA256"), &chat);
	assert_ptr_equal(certificate_for(c, "chat.test", TLS1_3_VERSION, "RSA-PSS+SHA256:ECDSA+SHA256"),
			 &chat);
	assert_ptr_equal(certificate_for(c, "chat.test", TLS1_3_VERSION, "RSA-PSS+SHA256:ECDSA+SHA384"),
			 &chat_rsa);
	assert_ptr_equal(certificate_for(c, "chat.test", TLS1_2_VERSION, "RSA+SHA256"), &chat_rsa);
	assert_ptr_equal(certificate_for(c, NULL, TLS1_2_VERSION, "RSA+SHA256"), &chat_rsa);
	assert_ptr_equal(certificate_for(c, "a.wild.test", TLS1_3_VERSION, NULL), &wild);
	/* the earliest to end: the RSA one, in an hour */
	assert_in_range(tls_context_expiry(c), time(NULL) + 3500, time(NULL) + 3700);
	tls_context_unref(c);
}

static void protocols_are_negotiated(void **state)
{
	static const char *const both[] = { "h2", "http/1.1" }, *const old[] = { "http/1.1" },
				 *const none[] = { "mqtt" };
	static const char *const reversed[] = { "http/1.1", "h2" };
	static const struct {
		const char *const *client;
		size_t client_count;
		const char *want;
	} cases[] = {
		{ both, 2, "h2" }, { reversed, 2, "h2" }, { old, 1, "http/1.1" },
		{ none, 1, NULL }, /* refused */
		{ NULL, 0, "" },
	};
	struct tls_context *server =
		server_of(&chat, &(struct tls_server_options){ .alpn = both, .alpn_count = 2 });

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct tls_context *c = client_from(&(struct tls_client_options){
			.alpn = cases[i].client, .alpn_count = cases[i].client_count });
		struct outcome o = outcome_of(c, server, "chat.test");

		assert_int_equal(o.is_established, cases[i].want != NULL);
		if (cases[i].want != NULL) {
			assert_string_equal(o.client.alpn, cases[i].want);
			assert_string_equal(o.server.alpn, cases[i].want);
		}
		tls_context_unref(c);
	}
	tls_context_unref(server);
}

static void a_client_believes_only_what_it_should(void **state)
{
	static const struct {
		const char *what;
		const struct test_cert *server, *ca;
		const char *name, *error;
	} cases[] = {
		{ "right", &chat, &root, "chat.test", NULL },
		{ "right, another case", &chat, &root, "Chat.Test", NULL },
		{ "right, with a dot", &chat, &root, "chat.test.", NULL },
		{ "an intermediate is believed", &chat, &middle, "chat.test", NULL },
		{ "the certificate itself is", &chat, &chat, "chat.test", NULL },
		{ "a wildcard", &wild, &root, "a.wild.test", NULL },
		{ "no name: the chain only", &chat, &root, NULL, NULL },
		{ "an address", &address, &root, "127.0.0.1", NULL },
		{ "an address of version 6", &address, &root, "::1", NULL },
		{ "another name", &chat, &root, "other.test",
		  "certificate verify failed: hostname mismatch" },
		{ "another address", &address, &root, "127.0.0.2",
		  "certificate verify failed: IP address mismatch" },
		{ "an address for a name", &chat, &root, "127.0.0.1",
		  "certificate verify failed: IP address mismatch" },
		{ "two labels", &wild, &root, "a.b.wild.test",
		  "certificate verify failed: hostname mismatch" },
		{ "an authority unknown", &chat, &other_root, "chat.test",
		  "certificate verify failed: unable to get local issuer certificate" },
		{ "over", &expired, &root, "chat.test",
		  "certificate verify failed: certificate has expired" },
		{ "not begun", &future, &root, "chat.test",
		  "certificate verify failed: certificate is not yet valid" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct tls_context *s = server_of(cases[i].server, NULL);
		struct tls_context *c = client_from(
			&(struct tls_client_options){ .verify = true, .ca = cases[i].ca->cert_path });
		struct tls_context *trusting = client_from(&(struct tls_client_options){ 0 });
		struct outcome o = outcome_of(c, s, cases[i].name);

		if (o.is_established != (cases[i].error == NULL))
			fail_msg("%s: %s", cases[i].what, o.client_error);
		if (cases[i].error != NULL) {
			assert_string_equal(o.client_error, cases[i].error);
			assert_int_equal(o.client_result, TLS_ERROR);
			assert_int_equal(o.server_result, TLS_PEER_ALERT);
		}
		o = outcome_of(trusting, s, cases[i].name);
		assert_true(o.is_established);
		tls_context_unref(s);
		tls_context_unref(c);
		tls_context_unref(trusting);
	}
}

static void an_address_is_never_asked_for_by_name(void **state)
{
	struct tls_context *s = server_of(&address, NULL), *c = client_verifying();
	struct outcome o = outcome_of(c, s, "127.0.0.1");

	(void)state;
	assert_true(o.is_established);
	assert_string_equal(o.server.sni, "");
	assert_string_equal(o.client.sni, "");
	tls_context_unref(s);
	tls_context_unref(c);
}

static void client_certificates_are_asked_for(void **state)
{
	static const struct {
		enum tls_client_auth auth;
		const struct test_cert *cert;
		bool want, has_certificate;
		const char *server_error;
	} cases[] = {
		{ TLS_CLIENT_AUTH_OFF, NULL, true, false, NULL },
		{ TLS_CLIENT_AUTH_OFF, &client, true, false, NULL },
		{ TLS_CLIENT_AUTH_OPTIONAL, NULL, true, false, NULL },
		{ TLS_CLIENT_AUTH_OPTIONAL, &client, true, true, NULL },
		{ TLS_CLIENT_AUTH_OPTIONAL, &foreign, false, false,
		  "certificate verify failed: unable to get local issuer certificate" },
		{ TLS_CLIENT_AUTH_REQUIRE, NULL, false, false, "peer did not return a certificate" },
		{ TLS_CLIENT_AUTH_REQUIRE, &client, true, true, NULL },
		{ TLS_CLIENT_AUTH_REQUIRE, &foreign, false, false,
		  "certificate verify failed: unable to get local issuer certificate" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct tls_tickets *t = tls_tickets_new(0);
		struct tls_context *s =
			server_of(&chat, &(struct tls_server_options){ .client_auth = cases[i].auth,
								       .client_ca = root.cert_path,
								       .tickets = t });
		struct tls_context *c = client_from(&(struct tls_client_options){
			.client_cert = cases[i].cert == NULL ? NULL : cases[i].cert->cert_path,
			.client_key = cases[i].cert == NULL ? NULL : cases[i].cert->key_path });
		struct outcome o = outcome_of(c, s, "chat.test");

		if (o.is_established != cases[i].want)
			fail_msg("case %zu: %s", i, o.server_error);
		if (cases[i].want) {
			assert_true(o.server.has_peer_certificate == cases[i].has_certificate);
			o = outcome_of(c, s, "chat.test"); /* a resumed one still knows it */
			assert_true(o.is_established && o.server.is_resumed);
			assert_true(o.server.has_peer_certificate == cases[i].has_certificate);
		} else {
			assert_string_equal(o.server_error, cases[i].server_error);
			assert_int_equal(o.client_result, TLS_PEER_ALERT);
		}
		tls_context_unref(s);
		tls_context_unref(c);
		tls_tickets_free(t);
	}
}

static void versions_and_ciphers_are_as_asked(void **state)
{
	struct tls_context *s =
		server_of(&chat, &(struct tls_server_options){ .min_version = TLS_VERSION_1_3 });
	char text[128];
	struct raw r;

	(void)state;
	raw_init(&r, s, TLS1_2_VERSION);
	raw_pump(&r, NULL);
	assert_int_equal(r.server.result, TLS_ERROR);
	tls_error_text(r.server.tls, text, sizeof(text));
	assert_string_equal(text, "unsupported protocol");
	raw_done(&r);
	tls_context_unref(s);

	s = server_of(&chat, NULL);
	raw_init(&r, s, TLS1_2_VERSION);
	SSL_set_security_level(r.ssl, 0);
	SSL_set_cipher_list(r.ssl, "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA:AES128-GCM-SHA256");
	raw_pump(&r, NULL);
	tls_error_text(r.server.tls, text, sizeof(text));
	assert_string_equal(text, "no shared cipher");
	raw_done(&r);

	raw_init(&r, s, TLS1_3_VERSION); /* a client without AES instructions puts this first */
	SSL_set_ciphersuites(r.ssl, "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256");
	raw_pump(&r, NULL);
	assert_string_equal(SSL_get_cipher_name(r.ssl), "TLS_CHACHA20_POLY1305_SHA256");
	raw_done(&r);
	raw_init(&r, s, TLS1_3_VERSION);
	SSL_set_ciphersuites(r.ssl,
			     "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256");
	raw_pump(&r, NULL);
	assert_string_equal(SSL_get_cipher_name(r.ssl), "TLS_AES_128_GCM_SHA256");
	raw_done(&r);
	tls_context_unref(s);

	s = server_of(&chat, &(struct tls_server_options){ .ciphersuites = "TLS_AES_256_GCM_SHA384",
							   .ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384",
							   .curves = "P-384" });
	raw_init(&r, s, TLS1_3_VERSION); /* by way of a HelloRetryRequest */
	raw_pump(&r, NULL);
	assert_string_equal(SSL_get_cipher_name(r.ssl), "TLS_AES_256_GCM_SHA384");
	assert_int_equal(SSL_get_negotiated_group(r.ssl), NID_secp384r1);
	raw_done(&r);
	tls_context_unref(s);
}

/* A response about `about`, signed by `signer`, valid for so long. */
static const char *staple_make(const struct test_cert *about, const struct test_cert *signer, long seconds)
{
	OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), about->cert, signer->cert);
	ASN1_TIME *this_update = X509_gmtime_adj(NULL, -60), *next_update = X509_gmtime_adj(NULL, seconds);
	OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
	OCSP_RESPONSE *response;
	uint8_t *der = NULL;
	const char *path;
	int len;

	OCSP_basic_add1_status(basic, id, V_OCSP_CERTSTATUS_GOOD, 0, NULL, this_update, next_update);
	assert_int_equal(OCSP_basic_sign(basic, signer->cert, signer->key, EVP_sha256(), NULL, 0), 1);
	response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
	len = i2d_OCSP_RESPONSE(response, &der);
	assert_true(len > 0);
	path = test_file_write(0, "staple.der", der, (size_t)len);
	OPENSSL_free(der);
	OCSP_RESPONSE_free(response);
	OCSP_BASICRESP_free(basic);
	OCSP_CERTID_free(id);
	ASN1_TIME_free(this_update);
	ASN1_TIME_free(next_update);
	return path;
}

static long stapled_len(struct tls_context *s, const char *name)
{
	const uint8_t *response;
	struct raw r;
	long len;

	raw_init(&r, s, TLS1_3_VERSION);
	SSL_set_tlsext_status_type(r.ssl, TLSEXT_STATUSTYPE_ocsp);
	SSL_set_tlsext_host_name(r.ssl, name);
	raw_pump(&r, NULL);
	assert_true(tls_is_established(r.server.tls));
	len = SSL_get_tlsext_status_ocsp_resp(r.ssl, &response);
	raw_done(&r);
	return len;
}

static void a_response_is_stapled_to_its_certificate(void **state)
{
	const struct test_cert *certs[] = { &chat, &wild };
	struct tls_server_options o = { .ocsp_file = staple_make(&wild, &middle, 3600) };
	struct tls_context *s = server_with(&o, 2, certs);

	(void)state;
	assert_true(stapled_len(s, "a.wild.test") > 100);
	assert_int_equal(stapled_len(s, "chat.test"), -1);
	tls_context_unref(s);

	o.ocsp_file = staple_make(&chat, &middle, -10); /* over: not sent */
	s = server_with(&o, 2, certs);
	assert_int_equal(stapled_len(s, "chat.test"), -1);
	tls_context_unref(s);
}

/* What tls_context_new_server() says: must be "PATH: WANT" and name the option. */
static void refused(const struct tls_server_options *o, const char *file, const char *want)
{
	const char *bad_file = "untouched";
	char error[512] = "", expected[512];

	assert_null(tls_context_new_server(o, error, sizeof(error), &bad_file));
	snprintf(expected, sizeof(expected), "%s%s%s", file == NULL ? "" : file, file == NULL ? "" : ": ",
		 want);
	assert_string_equal(error, expected);
	assert_ptr_equal(bad_file, file);
	assert_int_equal(ERR_peek_error(), 0);
}

static void faults_are_named(void **state)
{
	static const char text[] = "just text\n";
	static const char broken[] = "-----BEGIN CERTIFICATE-----\nMIIBaaaa\n-----END CERTIFICATE-----\n";
	static const char broken_key[] = "-----BEGIN PRIVATE KEY-----\nMIIBaaaa\n-----END PRIVATE KEY-----\n";
	const char *text_path = test_file_write(1, "text.pem", text, sizeof(text) - 1);
	const char *broken_path = test_file_write(2, "broken.pem", broken, sizeof(broken) - 1);
	const char *broken_key_path = test_file_write(3, "broken.key", broken_key, sizeof(broken_key) - 1);
	const char *empty_path = test_file_write(4, "empty.pem", "", 0);
	const char *missing = "/nonexistent/x.pem";
	char mismatch[256], encrypted[160];
	struct tls_certificate_files f = { chat.cert_path, chat.key_path };
	struct tls_server_options o = { .certificates = &f, .certificates_count = 1 };
	FILE *out;

	(void)state;
	refused(&(struct tls_server_options){ 0 }, NULL, "a TLS server needs a certificate");
	f.cert = missing;
	refused(&o, missing, "cannot open: No such file or directory");
	f.cert = "/tmp";
	refused(&o, f.cert, "not a file of at most 8 MiB");
	f.cert = empty_path;
	refused(&o, empty_path, "the file is empty");
	f.cert = text_path;
	refused(&o, text_path, "no certificate in this file (PEM is expected)");
	f.cert = broken_path;
	{
		char error[256];

		assert_null(tls_context_new_server(&o, error, sizeof(error), NULL));
		assert_non_null(strstr(error, "broken.pem: certificate 1 is broken: "));
	}
	f.cert = chat.cert_path;
	f.key = missing;
	refused(&o, missing, "cannot open: No such file or directory");
	f.key = text_path;
	refused(&o, text_path, "no private key in this file (PEM is expected)");
	f.key = broken_key_path;
	{
		char error[256];

		assert_null(tls_context_new_server(&o, error, sizeof(error), NULL));
		assert_non_null(strstr(error, "broken.key: the private key cannot be read: "));
	}
	f.key = wild.key_path;
	snprintf(mismatch, sizeof(mismatch), "key does not match certificate %s", chat.cert_path);
	refused(&o, wild.key_path, mismatch);
	f.key = chat_rsa.key_path;
	refused(&o, chat_rsa.key_path, mismatch);
	f.key = middle.key_path;
	refused(&o, chat.cert_path, "the certificate of the key is number 2: it must be the first");

	snprintf(encrypted, sizeof(encrypted), "%s.enc", chat.key_path);
	out = fopen(encrypted, "w");
	PEM_write_PKCS8PrivateKey(out, chat.key, EVP_aes_128_cbc(), "secret", 6, NULL, NULL);
	fclose(out);
	f.key = encrypted;
	chmod(encrypted, 0644);
	refused(&o, encrypted, "everybody may read this key: chmod o-rwx");
	chmod(encrypted, 0600);
	refused(&o, encrypted, "the key is encrypted: store it without a passphrase, readable by root only");
	f.key = chat.key_path;

	o.ciphers = "NOTHING";
	refused(&o, o.ciphers, "no cipher of TLS 1.2 is called so: no cipher match");
	o.ciphers = NULL;
	o.ciphersuites = "TLS_NOTHING";
	{
		char error[256];

		assert_null(tls_context_new_server(&o, error, sizeof(error), NULL));
		assert_non_null(strstr(error, "TLS_NOTHING: not a list of TLS 1.3 cipher suites"));
	}
	o.ciphersuites = NULL;
	o.curves = "P-1";
	{
		char error[256];

		assert_null(tls_context_new_server(&o, error, sizeof(error), NULL));
		assert_non_null(strstr(error, "P-1: not a list of curves"));
	}
	o.curves = NULL;
	o.client_auth = TLS_CLIENT_AUTH_REQUIRE;
	refused(&o, NULL, "client certificates need a file of authorities");
	o.client_ca = text_path;
	refused(&o, text_path, "no certificate in this file (PEM is expected)");
	o.client_auth = TLS_CLIENT_AUTH_OFF;
	o.ocsp_file = text_path;
	refused(&o, text_path, "not an OCSP response (DER is expected)");
	o.ocsp_file = staple_make(&wild, &middle, 3600);
	refused(&o, o.ocsp_file, "this response is about none of the certificates");
}

static void a_client_names_its_faults_too(void **state)
{
	const char *bad_file = NULL;
	char error[256] = "";

	(void)state;
	assert_null(
		tls_context_new_client(&(struct tls_client_options){ .verify = true, .ca = "/nonexistent" },
				       error, sizeof(error), &bad_file));
	assert_string_equal(error, "/nonexistent: cannot open: No such file or directory");
	assert_string_equal(bad_file, "/nonexistent");
	assert_null(tls_context_new_client(
		&(struct tls_client_options){ .client_cert = client.cert_path, .client_key = chat.key_path },
		error, sizeof(error), &bad_file));
	assert_non_null(strstr(error, "key does not match certificate"));
	assert_int_equal(ERR_peek_error(), 0);
}

static void one_file_may_hold_certificate_and_key(void **state)
{
	struct tls_certificate_files f = { chat.cert_path, chat.cert_path };
	struct tls_context *s, *c;
	FILE *out;

	(void)state;
	out = fopen(chat.cert_path, "a");
	PEM_write_PrivateKey(out, chat.key, NULL, NULL, 0, NULL, NULL);
	fclose(out);
	s = server_from(&(struct tls_server_options){ .certificates = &f, .certificates_count = 1 });
	c = client_verifying();
	assert_true(outcome_of(c, s, "chat.test").is_established);
	tls_context_unref(c);
	tls_context_unref(s);
}

static void the_demo_signs_its_own(void **state)
{
	static const char *const names[] = { "localhost", "127.0.0.1", "::1" };
	struct tls_tickets *t = tls_tickets_new(0);
	struct tls_context *s = tls_context_new_self_signed(names, 3, t),
			   *c = client_from(&(struct tls_client_options){ 0 });
	struct tls_context *strict = client_verifying();
	struct raw r;

	(void)state;
	assert_non_null(s);
	assert_in_range(tls_context_expiry(s), time(NULL) + 29 * 86400, time(NULL) + 31 * 86400);
	assert_true(outcome_of(c, s, "localhost").is_established);
	assert_true(outcome_of(c, s, "localhost").server.is_resumed);
	assert_string_equal(outcome_of(strict, s, "localhost").client_error,
			    "certificate verify failed: self-signed certificate");
	raw_init(&r, s, TLS1_3_VERSION);
	raw_pump(&r, NULL);
	assert_int_equal(X509_check_host(SSL_get0_peer_certificate(r.ssl), "localhost", 0, 0, NULL), 1);
	assert_int_equal(X509_check_ip_asc(SSL_get0_peer_certificate(r.ssl), "127.0.0.1", 0), 1);
	assert_int_equal(X509_check_ip_asc(SSL_get0_peer_certificate(r.ssl), "::1", 0), 1);
	raw_done(&r);
	tls_context_unref(strict);
	tls_context_unref(c);
	tls_context_unref(s);
	tls_tickets_free(t);
}

static void an_old_context_lives_as_long_as_its_connections(void **state)
{
	struct tls_tickets *t = tls_tickets_new(0);
	struct tls_context *s = server_of(&chat, &(struct tls_server_options){ .tickets = t }),
			   *c = client_verifying();
	struct pair p;

	(void)state;
	pair_init(&p, c, s, "chat.test");
	tls_context_unref(s);
	tls_context_unref(c);
	tls_tickets_free(t);
	assert_true(pair_pump(&p, 0));
	side_seal(&p.server, "x", 1);
	pair_pump(&p, 0);
	pair_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_choose_certificates),
		cmocka_unit_test(key_types_serve_a_name_together),
		cmocka_unit_test(protocols_are_negotiated),
		cmocka_unit_test(a_client_believes_only_what_it_should),
		cmocka_unit_test(an_address_is_never_asked_for_by_name),
		cmocka_unit_test(client_certificates_are_asked_for),
		cmocka_unit_test(versions_and_ciphers_are_as_asked),
		cmocka_unit_test(a_response_is_stapled_to_its_certificate),
		cmocka_unit_test(faults_are_named),
		cmocka_unit_test(a_client_names_its_faults_too),
		cmocka_unit_test(one_file_may_hold_certificate_and_key),
		cmocka_unit_test(the_demo_signs_its_own),
		cmocka_unit_test(an_old_context_lives_as_long_as_its_connections),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
