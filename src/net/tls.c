#include "net/tls.h"

#include "net/tls_bio.h"
#include "net/tls_context_inside.h"
#include "net/tls_error.h"

#include <arpa/inet.h>
#include <assert.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum tls_state {
	TLS_HANDSHAKE,
	TLS_OPEN,
	TLS_PEER_CLOSED, /* close_notify came: we may still send */
	TLS_FAILED,	 /* OpenSSL is not called any more */
};

struct tls {
	SSL *ssl;
	struct tls_context *context;
	unsigned long error; /* OpenSSL's, with TLS_FAILED */
	int32_t verify;	     /* X509_V_*, with TLS_FAILED */
	uint32_t records;    /* since the keys were last changed; both directions together */
	enum tls_state state;
	int result; /* with TLS_FAILED and TLS_PEER_CLOSED: what every further tls_open() answers */
	bool is_server;
	bool is_closed;		  /* close_notify was sent */
	bool has_offered_session; /* a client's: one that was kept */
	char name[];		  /* a client's: whom it asks for; "" otherwise */
};

const char *tls_session_name(const struct tls *t)
{
	return t->name;
}

static struct tls *connection_new(struct tls_context *c, const char *name, size_t name_len)
{
	struct tls *t = calloc(1, sizeof(*t) + name_len + 1);
	BIO *bio;

	if (t == NULL)
		return NULL;
	tls_error_clear();
	memcpy(t->name, name, name_len);
	t->ssl = SSL_new(c->groups[0]);
	bio = tls_io_bio();
	if (t->ssl == NULL || bio == NULL) {
		BIO_free(bio);
		SSL_free(t->ssl);
		free(t);
		tls_error_clear();
		return NULL;
	}
	SSL_set_bio(t->ssl, bio, bio); /* takes the one reference for both */
	t->context = tls_context_ref(c);
	t->is_server = c->is_server;
	return t;
}

struct tls *tls_new_server(struct tls_context *ctx)
{
	struct tls *t;

	assert(ctx->is_server);
	t = connection_new(ctx, "", 0);
	if (t != NULL)
		SSL_set_accept_state(t->ssl);
	return t;
}

static bool is_ip(const char *name)
{
	uint8_t ip[16];

	return inet_pton(AF_INET, name, ip) == 1 || inet_pton(AF_INET6, name, ip) == 1;
}

/* Whom to ask for, and whom to believe.  An address is never sent (RFC 6066 3), but checked (RFC 6125, RFC 9110 4.3.5). */
static bool name_set(struct tls *t)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);

	if (t->name[0] == '\0')
		return true;
	if (is_ip(t->name))
		return !t->context->is_verifying || X509_VERIFY_PARAM_set1_ip_asc(param, t->name) == 1;
	if (SSL_set_tlsext_host_name(t->ssl, t->name) != 1)
		return false;
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return !t->context->is_verifying || X509_VERIFY_PARAM_set1_host(param, t->name, 0) == 1;
}

static bool session_offer(struct tls *t)
{
	SSL_SESSION *session = tls_context_session(t->context, t->name);
	bool ok = true;

	if (session != NULL) {
		ok = SSL_set_session(t->ssl, session) == 1;
		t->has_offered_session = ok;
	}
	SSL_SESSION_free(session);
	return ok;
}

struct tls *tls_new_client(struct tls_context *ctx, const char *sni)
{
	const char *name = sni != NULL ? sni : "";
	size_t len = strlen(name);
	struct tls *t;

	assert(!ctx->is_server);
	if (len > 0 && name[len - 1] == '.')
		len--; /* RFC 6066 3: without the dot at the end */
	t = connection_new(ctx, name, len);
	if (t == NULL)
		return NULL;
	SSL_set_connect_state(t->ssl);
	if (!name_set(t) || !session_offer(t)) {
		tls_free(t);
		return NULL;
	}
	tls_error_clear();
	return t;
}

void tls_free(struct tls *t)
{
	if (t == NULL)
		return;
	/* Otherwise OpenSSL takes a connection without close_notify for a broken one, and looks for its session in
	 * the context's cache, under the context's lock. */
	SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(t->ssl);
	tls_error_clear();
	tls_context_unref(t->context);
	free(t);
}

/* The key pairs of the key exchange are of no use once the secrets are derived, but OpenSSL holds them as long as the
 * connection: up to 4 KB, and with our private half a recording of the handshake could be read.  They cannot be taken
 * out; they can be emptied. */
static void exchange_keys_drop(SSL *ssl)
{
	EVP_PKEY *key;

	if (SSL_get_tmp_key(ssl, &key) == 1) {
		EVP_PKEY_set_type(key, EVP_PKEY_X25519);
		EVP_PKEY_free(key);
	}
	if (SSL_get_peer_tmp_key(ssl, &key) == 1) {
		EVP_PKEY_set_type(key, EVP_PKEY_X25519);
		EVP_PKEY_free(key);
	}
}

/* The handshake is over: gives back what only it needed. */
static void connection_opened(struct tls *t)
{
	t->state = TLS_OPEN;
	exchange_keys_drop(t->ssl);
	if (t->is_server) {
		SSL_set_tlsext_status_ocsp_resp(t->ssl, NULL, 0);
		SSL_certs_clear(t->ssl); /* its own list of them; there is no second handshake */
	}
	tls_error_clear();
}

/* After a call that did not succeed: what the caller is to be told. */
static int connection_result(struct tls *t)
{
	switch (SSL_get_error(t->ssl, 0)) {
	case SSL_ERROR_WANT_READ:
		return TLS_MORE;
	case SSL_ERROR_ZERO_RETURN:
		t->result = TLS_CLOSED;
		t->state = t->state == TLS_HANDSHAKE ? TLS_FAILED : TLS_PEER_CLOSED;
		return TLS_CLOSED;
	default:
		break;
	}
	t->error = tls_error_take();
	t->verify = (int32_t)SSL_get_verify_result(t->ssl);
	t->result = tls_error_is_peer_alert(t->error) ? TLS_PEER_ALERT : TLS_ERROR;
	if (t->has_offered_session && t->state == TLS_HANDSHAKE)
		tls_context_session_forget(t->context); /* or every connection fails on it */
	t->state = TLS_FAILED;
	return t->result;
}

bool tls_has_more(const struct tls *t)
{
	return t->ssl != NULL && SSL_pending(t->ssl) > 0;
}

bool tls_is_plain_http(const struct tls *t)
{
	return t->state == TLS_FAILED && ERR_GET_LIB(t->error) == ERR_LIB_SSL && ERR_GET_REASON(t->error) == SSL_R_HTTP_REQUEST;
}

int tls_start(struct tls *t, struct tls_sink sink)
{
	struct tls_io io = { .sink = sink, .connection = t };
	int result = TLS_MORE;

	if (t->state == TLS_FAILED)
		return TLS_ERROR;
	if (t->is_server || t->state != TLS_HANDSHAKE)
		return 0;
	tls_error_clear();
	tls_io_enter(&io);
	if (SSL_do_handshake(t->ssl) != 1)
		result = connection_result(t);
	tls_io_leave(&io);
	return result == TLS_MORE ? 0 : TLS_ERROR;
}

/* New keys for both directions once enough records went by (RFC 8446 5.5: at most 2^24.5 with AES-GCM; a connection may
 * live for weeks).  TLS 1.2 has no such thing but renegotiation, which nobody should have.  Within enter and leave. */
static void keys_update_if_due(struct tls *t, size_t records)
{
	t->records += (uint32_t)records;
	if (t->records < t->context->records_per_key)
		return;
	t->records = 0;
	if (SSL_version(t->ssl) >= TLS1_3_VERSION && !t->is_closed &&
	    SSL_key_update(t->ssl, SSL_KEY_UPDATE_REQUESTED) == 1)
		SSL_do_handshake(t->ssl); /* only writes */
	tls_error_clear();
}

long tls_open(struct tls *t, struct tls_input *in, uint8_t *out, size_t cap, struct tls_sink sink)
{
	struct tls_io io = { .in = *in, .sink = sink, .connection = t };
	long result;
	size_t got;

	assert(cap > 0);
	if (t->is_closed)
		io.sink.emit =
			NULL; /* nothing follows a close_notify (RFC 8446 6.1), no answer to a KeyUpdate either */
	tls_error_clear();
	tls_io_enter(&io);
	if (t->state == TLS_FAILED || t->state == TLS_PEER_CLOSED) {
		result = t->result;
	} else if (SSL_read_ex(t->ssl, out, cap, &got) == 1) {
		result = (long)got;
		if (t->state == TLS_HANDSHAKE)
			connection_opened(t);
		keys_update_if_due(t, 1);
	} else {
		result = connection_result(t);
		if (t->state == TLS_HANDSHAKE && SSL_is_init_finished(t->ssl))
			connection_opened(t);
	}
	tls_io_leave(&io);
	if (result == TLS_CLOSED)
		io.in = (struct tls_input){ .at = io.in.at + io.in.len }; /* RFC 8446 6.1: ignored */
	*in = io.in;
	return result;
}

int tls_seal(struct tls *t, const uint8_t *bytes, size_t len, struct tls_sink sink)
{
	struct tls_io io = { .sink = sink, .connection = t };
	size_t written;
	int result = 0;

	if (t->state == TLS_FAILED || t->state == TLS_HANDSHAKE || t->is_closed)
		return TLS_ERROR;
	if (len == 0)
		return 0;
	tls_error_clear();
	tls_io_enter(&io);
	keys_update_if_due(t, 1 + len / SSL3_RT_MAX_PLAIN_LENGTH);
	if (SSL_write_ex(t->ssl, bytes, len, &written) != 1) {
		connection_result(t);
		result = TLS_ERROR;
	}
	tls_io_leave(&io);
	return result;
}

void tls_close_notify(struct tls *t, struct tls_sink sink)
{
	struct tls_io io = { .sink = sink, .connection = t };

	if (t->is_closed || t->state == TLS_FAILED || t->state == TLS_HANDSHAKE)
		return;
	t->is_closed = true;
	tls_error_clear();
	tls_io_enter(&io);
	SSL_shutdown(t->ssl);
	tls_io_leave(&io);
	SSL_free_buffers(t->ssl); /* an alert keeps its own otherwise, 16 KB */
	tls_error_clear();
}

bool tls_is_established(const struct tls *t)
{
	return t->state == TLS_OPEN || t->state == TLS_PEER_CLOSED;
}

long tls_peer_print(const struct tls *t, const char *word, char *out, size_t cap)
{
	return tls_certificate_print(SSL_get0_peer_certificate(t->ssl), word, out, cap);
}

void tls_info(const struct tls *t, struct tls_info *out)
{
	const char *name = t->name;
	const uint8_t *alpn;
	unsigned alpn_len;

	*out = (struct tls_info){ .version = "", .cipher = "", .sni = "", .alpn = "" };
	if (t->is_server)
		name = SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name);
	else if (is_ip(name))
		name = NULL;
	if (name != NULL)
		out->sni = name;
	if (SSL_get_current_cipher(t->ssl) == NULL)
		return;
	out->version = SSL_get_version(t->ssl);
	out->cipher = SSL_CIPHER_get_name(SSL_get_current_cipher(t->ssl));
	SSL_get0_alpn_selected(t->ssl, &alpn, &alpn_len);
	out->alpn = tls_alpn_name(&t->context->alpn, alpn, alpn_len);
	out->is_resumed = SSL_session_reused(t->ssl) == 1;
	out->has_peer_certificate = SSL_get0_peer_certificate(t->ssl) != NULL;
}

void tls_error_text(const struct tls *t, char *out, size_t cap)
{
	if (t->state == TLS_FAILED && t->result != TLS_CLOSED)
		tls_error_print(t->error, t->verify, out, cap);
	else if (cap > 0)
		snprintf(out, cap, "%s",
			 t->state == TLS_FAILED	     ? "the peer closed in the middle of the handshake"
			 : t->state == TLS_HANDSHAKE ? "the handshake is not over"
						     : "no error");
}
