#include "net/tls_context.h"

#include "net/tls_bio.h"
#include "net/tls_context_inside.h"
#include "net/tls_error.h"

#include <stdlib.h>
#include <string.h>

enum { RECORDS_PER_KEY = 1 << 23 };

/* Only AEAD with forward secrecy (RFC 9325 4.2); AES-128 before AES-256, which costs a tenth more and protects from
 * nothing that can be attacked.  A client that puts ChaCha20 first has no AES instructions, and gets it. */
static const char ciphersuites_default[] =
	"TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384";
static const char ciphers_default[] =
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:"
	"ECDHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";
static const char curves_default[] = "X25519:P-256:P-384";

static void alpn_done(struct tls_alpn *a)
{
	for (size_t i = 0; i < a->count; i++)
		free(a->names[i]);
	free(a->names);
	free(a->wire);
	*a = (struct tls_alpn){ 0 };
}

bool tls_alpn_init(struct tls_alpn *a, const char *const *names, size_t count, struct tls_fault *f)
{
	size_t len = 0;

	if (count == 0)
		return true;
	for (size_t i = 0; i < count; i++) {
		if (names[i][0] == '\0' || strlen(names[i]) > 255)
			return tls_fault_say(f, names[i],
					     "a protocol name has 1 to 255 bytes (RFC 7301 3.1)");
		len += 1 + strlen(names[i]);
	}
	if (len > UINT16_MAX)
		return tls_fault_say(f, NULL, "too many protocol names");
	a->names = calloc(count, sizeof(*a->names));
	a->wire = malloc(len);
	if (a->names == NULL || a->wire == NULL)
		return tls_fault_say(f, NULL, "out of memory");
	for (; a->count < count; a->count++) {
		size_t n = strlen(names[a->count]);

		a->names[a->count] = strdup(names[a->count]);
		if (a->names[a->count] == NULL)
			return tls_fault_say(f, NULL, "out of memory");
		a->wire[a->wire_len] = (uint8_t)n;
		memcpy(a->wire + a->wire_len + 1, names[a->count], n);
		a->wire_len += (unsigned)n + 1;
	}
	return true;
}

const char *tls_alpn_name(const struct tls_alpn *a, const uint8_t *name, size_t len)
{
	for (size_t i = 0; len > 0 && i < a->count; i++) {
		if (strlen(a->names[i]) == len && memcmp(a->names[i], name, len) == 0)
			return a->names[i];
	}
	return "";
}

static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls_context *c = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	const struct tls *t = tls_io_connection();
	SSL_SESSION *copy;

	if (t == NULL || SSL_SESSION_is_resumable(session) != 1)
		return 0;
	copy = SSL_SESSION_dup(session); /* its own may still be written to by this thread */
	if (copy != NULL)
		tls_context_session_keep(c, tls_session_name(t), copy);
	return 0; /* no reference kept */
}

SSL_SESSION *tls_context_session(struct tls_context *c, const char *name)
{
	SSL_SESSION *copy = NULL;

	pthread_mutex_lock(&c->session_lock);
	if (c->session != NULL && strcmp(c->session_name, name) == 0)
		copy = SSL_SESSION_dup(c->session);
	pthread_mutex_unlock(&c->session_lock);
	return copy;
}

static void session_swap(struct tls_context *c, char *name, SSL_SESSION *session)
{
	SSL_SESSION *old_session;
	char *old_name;

	pthread_mutex_lock(&c->session_lock);
	old_session = c->session;
	old_name = c->session_name;
	c->session = session;
	c->session_name = name;
	pthread_mutex_unlock(&c->session_lock);
	SSL_SESSION_free(old_session);
	free(old_name);
}

void tls_context_session_keep(struct tls_context *c, const char *name, SSL_SESSION *session)
{
	char *copy = strdup(name);

	if (copy == NULL)
		SSL_SESSION_free(session);
	else
		session_swap(c, copy, session);
}

void tls_context_session_forget(struct tls_context *c)
{
	session_swap(c, NULL, NULL);
}

static void context_free(struct tls_context *c)
{
	for (size_t i = 0; i < c->groups_count; i++)
		SSL_CTX_free(c->groups[i]);
	free(c->groups);
	tls_sni_done(&c->names);
	alpn_done(&c->alpn);
	tls_staple_done(&c->staple);
	tls_tickets_free(c->tickets);
	SSL_SESSION_free(c->session);
	free(c->session_name);
	pthread_mutex_destroy(&c->session_lock);
	free(c);
	tls_error_clear();
}

struct tls_context *tls_context_make(bool is_server, uint32_t records_per_key, struct tls_fault *f)
{
	struct tls_context *c = calloc(1, sizeof(*c));

	if (c == NULL || pthread_mutex_init(&c->session_lock, NULL) != 0) {
		free(c);
		tls_fault_say(f, NULL, "out of memory");
		return NULL;
	}
	atomic_init(&c->refs, 1);
	c->is_server = is_server;
	c->records_per_key = records_per_key > 0 ? records_per_key : RECORDS_PER_KEY;
	tls_sni_init(&c->names);
	return c;
}

struct tls_context *tls_context_ref(struct tls_context *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void tls_context_unref(struct tls_context *c)
{
	if (c != NULL && atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1)
		context_free(c);
}

int64_t tls_context_expiry(const struct tls_context *c)
{
	return c->expiry_s;
}

static bool common_set(SSL_CTX *ctx, const struct tls_common_options *o, struct tls_fault *f)
{
	const char *ciphers = o->ciphers != NULL ? o->ciphers : ciphers_default;
	const char *suites = o->ciphersuites != NULL ? o->ciphersuites : ciphersuites_default;
	const char *curves = o->curves != NULL ? o->curves : curves_default;

	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
					 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	/* Without NO_AUTO_CHAIN a chain is looked for, and verified, in every handshake. */
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_read_ahead(ctx, 0);
	if (SSL_CTX_set_min_proto_version(ctx, o->min_version == TLS_VERSION_1_3 ? TLS1_3_VERSION
										 : TLS1_2_VERSION) != 1)
		return tls_fault_openssl(f, NULL, "this TLS version cannot be set");
	if (SSL_CTX_set_cipher_list(ctx, ciphers) != 1)
		return tls_fault_openssl(f, o->ciphers, "no cipher of TLS 1.2 is called so");
	if (SSL_CTX_set_ciphersuites(ctx, suites) != 1)
		return tls_fault_openssl(f, o->ciphersuites, "not a list of TLS 1.3 cipher suites");
	if (SSL_CTX_set1_groups_list(ctx, curves) != 1)
		return tls_fault_openssl(f, o->curves, "not a list of curves");
	return true;
}

SSL_CTX *tls_context_group(struct tls_context *c, const struct tls_common_options *o, struct tls_fault *f)
{
	SSL_CTX **groups = realloc(c->groups, (c->groups_count + 1) * sizeof(*groups));
	SSL_CTX *ctx;

	if (groups == NULL) {
		tls_fault_say(f, NULL, "out of memory");
		return NULL;
	}
	c->groups = groups;
	ctx = SSL_CTX_new(c->is_server ? TLS_server_method() : TLS_client_method());
	if (ctx == NULL) {
		tls_fault_openssl(f, NULL, "no TLS context");
		return NULL;
	}
	groups[c->groups_count++] = ctx;
	SSL_CTX_set_app_data(ctx, c);
	return common_set(ctx, o, f) ? ctx : NULL;
}

static bool client_build(struct tls_context *c, const struct tls_client_options *o, struct tls_fault *f)
{
	static const struct tls_common_options common = { 0 };
	struct tls_authorities authorities = { 0 };
	struct tls_identity identity;
	SSL_CTX *ctx = tls_context_group(c, &common, f);

	if (ctx == NULL || !tls_alpn_init(&c->alpn, o->alpn, o->alpn_count, f))
		return false;
	c->is_verifying = o->verify;
	SSL_CTX_set_verify(ctx, o->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	if (o->verify && o->ca == NULL && SSL_CTX_set_default_verify_paths(ctx) != 1)
		return tls_fault_openssl(f, NULL, "the system's certificate store");
	if (o->verify && o->ca != NULL) {
		if (!tls_authorities_load(&authorities, o->ca, f))
			return false;
		SSL_CTX_set1_cert_store(ctx, authorities.store);
		tls_authorities_done(&authorities);
	}
	if (o->client_cert != NULL) {
		const char *key = o->client_key != NULL ? o->client_key : o->client_cert;
		bool ok;

		if (!tls_identity_load(&identity, o->client_cert, key, f))
			return false;
		ok = tls_identity_use(&identity, ctx);
		tls_identity_done(&identity);
		if (!ok)
			return tls_fault_openssl(f, o->client_cert, "cannot be used");
	}
	if (c->alpn.count > 0 && SSL_CTX_set_alpn_protos(ctx, c->alpn.wire, c->alpn.wire_len) != 0)
		return tls_fault_say(f, NULL, "out of memory");
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, on_new_session);
	return true;
}

struct tls_context *tls_context_new_client(const struct tls_client_options *o, char *error, size_t error_len,
					   const char **bad_file)
{
	struct tls_fault fault = { .text = error, .cap = error_len };
	struct tls_context *c;

	tls_error_clear();
	c = tls_context_make(false, o->records_per_key, &fault);
	if (c != NULL && !client_build(c, o, &fault)) {
		tls_context_unref(c);
		c = NULL;
	}
	tls_error_clear();
	if (bad_file != NULL)
		*bad_file = fault.bad_file;
	return c;
}
