/* A server's context: which certificates serve which name, what clients have to show, what is stapled. */
#include "net/tls_context.h"

#include "base/digest.h"
#include "net/tls_context_inside.h"
#include "net/tls_error.h"
#include "net/tls_self_signed.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static int on_server_name(SSL *ssl, int *alert, void *user)
{
	struct tls_context *c = user;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	const struct tls_sni_name *n;

	n = name != NULL ? tls_sni_find(&c->names, name) : NULL;
	if (n == NULL && c->rejects_unknown) {
		*alert = SSL_AD_UNRECOGNIZED_NAME; /* RFC 6066 3 */
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	}
	if (n == NULL)
		return SSL_TLSEXT_ERR_NOACK; /* the default serves */
	if (n->served_by != SSL_get_SSL_CTX(ssl) && SSL_set_SSL_CTX(ssl, n->served_by) == NULL) {
		*alert = SSL_AD_INTERNAL_ERROR;
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	}
	return SSL_TLSEXT_ERR_OK;
}

static int on_status_request(SSL *ssl, void *user)
{
	const struct tls_context *c = user;
	uint8_t *copy;

	if (SSL_get_certificate(ssl) != c->staple.cert || time(NULL) >= c->staple.until_s)
		return SSL_TLSEXT_ERR_NOACK;
	copy = OPENSSL_memdup(c->staple.der, c->staple.len);
	if (copy == NULL)
		return SSL_TLSEXT_ERR_NOACK;
	SSL_set_tlsext_status_ocsp_resp(ssl, copy,
					(long)c->staple.len); /* takes it; net/tls frees it early */
	return SSL_TLSEXT_ERR_OK;
}

static int on_ticket(SSL *ssl, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher,
		     EVP_MAC_CTX *mac, int sealing)
{
	const struct tls_context *c = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

	return tls_tickets_prepare(c->tickets, sealing, name, iv, cipher, mac);
}

/* Our order decides; with nothing in common the handshake fails by no_application_protocol (RFC 7301 3.2): bytes that are
 * meant for another protocol are not read as HTTP. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
		   unsigned in_len, void *user)
{
	const struct tls_context *c = user;

	(void)ssl;
	for (const uint8_t *ours = c->alpn.wire; ours < c->alpn.wire + c->alpn.wire_len;
	     ours += 1 + ours[0]) {
		for (unsigned at = 0; at < in_len && in[at] < in_len - at; at += 1u + in[at]) {
			if (in[at] != ours[0] || memcmp(in + at + 1, ours + 1, ours[0]) != 0)
				continue;
			*out = in + at + 1;
			*out_len = in[at];
			return SSL_TLSEXT_ERR_OK;
		}
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* What is needed while it is built. */
struct builder {
	struct tls_context *context;
	const struct tls_server_options *o;
	struct tls_common_options common;
	const struct tls_identity *identities;
	size_t identities_count;
	struct tls_choice *choices; /* of each group, by its number */
	struct tls_authorities authorities;
	uint8_t session_id_context[32];
	struct tls_fault *fault;
};

/* A ticket is good only where the client would have had to show the same: one that was given without asking for a
 * certificate must not open a door that asks for one (RFC 8446 4.2.11, RFC 5077 3.1). */
static void session_id_context_make(struct builder *b)
{
	uint8_t in[1 + sizeof(b->authorities.digest)];

	in[0] = (uint8_t)b->o->client_auth;
	memcpy(in + 1, b->authorities.digest, sizeof(b->authorities.digest));
	digest_sha256(in, sizeof(in), b->session_id_context);
}

static bool set_client_auth(const struct builder *b, SSL_CTX *ctx)
{
	STACK_OF(X509_NAME) * names;
	int mode = SSL_VERIFY_PEER;

	if (b->o->client_auth == TLS_CLIENT_AUTH_OFF)
		return true;
	if (b->o->client_auth == TLS_CLIENT_AUTH_REQUIRE)
		mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	names = SSL_dup_CA_list(b->authorities.names);
	if (names == NULL)
		return tls_fault_say(b->fault, NULL, "out of memory");
	SSL_CTX_set_verify(ctx, mode, NULL);
	SSL_CTX_set1_cert_store(ctx, b->authorities.store);
	SSL_CTX_set_client_CA_list(ctx, names);
	return true;
}

static bool set_tickets(const struct builder *b, SSL_CTX *ctx)
{
	if (b->o->tickets == NULL) {
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
		return SSL_CTX_set_num_tickets(ctx, 0) == 1;
	}
	/* One is enough: it opens as often as the client likes, and each costs a record and 2 to 4 µs. */
	return SSL_CTX_set_num_tickets(ctx, 1) == 1 &&
	       SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket) == 1;
}

/* The group of this choice: found, or made. */
static SSL_CTX *group_get(struct builder *b, const struct tls_choice *choice)
{
	struct tls_context *c = b->context;
	struct tls_choice *choices;
	SSL_CTX *ctx;

	for (size_t i = 0; i < c->groups_count; i++) {
		if (memcmp(&b->choices[i], choice, sizeof(*choice)) == 0)
			return c->groups[i];
	}
	choices = realloc(b->choices, (c->groups_count + 1) * sizeof(*choices));
	if (choices == NULL) {
		tls_fault_say(b->fault, NULL, "out of memory");
		return NULL;
	}
	b->choices = choices;
	choices[c->groups_count] = *choice;
	ctx = tls_context_group(c, &b->common, b->fault);
	if (ctx == NULL || !set_client_auth(b, ctx))
		return NULL;
	for (size_t i = 0; i < TLS_KEY_TYPES; i++) {
		int number = choice->by_type[i];

		if (number >= 0 && !tls_identity_use(&b->identities[number], ctx)) {
			tls_fault_openssl(b->fault,
					  b->o->certificates == NULL ? NULL : b->o->certificates[number].cert,
					  "cannot be used");
			return NULL;
		}
	}
	SSL_CTX_set_session_id_context(ctx, b->session_id_context, sizeof(b->session_id_context));
	if (!set_tickets(b, ctx)) {
		tls_fault_openssl(b->fault, NULL, "tickets cannot be set");
		return NULL;
	}
	SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
	SSL_CTX_set_tlsext_servername_arg(ctx, c);
	if (c->alpn.count > 0)
		SSL_CTX_set_alpn_select_cb(ctx, on_alpn, c);
	if (c->staple.der != NULL) {
		SSL_CTX_set_tlsext_status_cb(ctx, on_status_request);
		SSL_CTX_set_tlsext_status_arg(ctx, c);
	}
	return ctx;
}

/* Names, the default group, a group for each name. */
static bool groups_make(struct builder *b)
{
	struct tls_context *c = b->context;
	struct tls_sni_name *n;
	struct tls_choice first;
	size_t cursor = 0;

	for (size_t i = 0; i < b->identities_count; i++) {
		int64_t expiry_s = tls_identity_expiry(&b->identities[i]);

		if (tls_sni_add(&c->names, b->identities[i].cert, b->identities[i].type, (int)i) < 0)
			return tls_fault_say(b->fault, NULL, "out of memory");
		if (i == 0 || expiry_s < c->expiry_s)
			c->expiry_s = expiry_s;
	}
	tls_sni_common(&c->names, b->identities[0].cert, b->identities[0].type, 0, &first);
	if (group_get(b, &first) == NULL)
		return false;
	while ((n = tls_sni_next(&c->names, &cursor)) != NULL) {
		n->served_by = group_get(b, &n->choice);
		if (n->served_by == NULL)
			return false;
	}
	return true;
}

/* With identities in place: all the rest. */
static bool build(struct builder *b)
{
	const struct tls_server_options *o = b->o;
	struct tls_context *c = b->context;

	b->common = (struct tls_common_options){ .min_version = o->min_version,
						 .ciphers = o->ciphers,
						 .ciphersuites = o->ciphersuites,
						 .curves = o->curves };
	c->tickets = tls_tickets_ref(o->tickets);
	c->rejects_unknown = o->rejects_unknown;
	if (!tls_alpn_init(&c->alpn, o->alpn, o->alpn_count, b->fault))
		return false;
	if (o->client_auth != TLS_CLIENT_AUTH_OFF) {
		if (o->client_ca == NULL)
			return tls_fault_say(b->fault, NULL,
					     "client certificates need a file of authorities");
		if (!tls_authorities_load(&b->authorities, o->client_ca, b->fault))
			return false;
	}
	session_id_context_make(b);
	if (o->ocsp_file != NULL &&
	    !tls_staple_load(&c->staple, o->ocsp_file, b->identities, b->identities_count, b->fault))
		return false;
	return groups_make(b);
}

static void identities_free(struct tls_identity *identities, size_t count)
{
	for (size_t i = 0; i < count; i++)
		tls_identity_done(&identities[i]);
	free(identities);
}

/* Takes the identities, in memory of the heap. */
static struct tls_context *server_new(const struct tls_server_options *o, struct tls_identity *identities,
				      size_t count, struct tls_fault *f)
{
	struct builder b = { .o = o, .identities = identities, .identities_count = count, .fault = f };

	b.context = tls_context_make(true, o->records_per_key, f);
	if (b.context != NULL && !build(&b)) {
		tls_context_unref(b.context);
		b.context = NULL;
	}
	identities_free(identities, count);
	tls_authorities_done(&b.authorities);
	free(b.choices);
	tls_error_clear();
	return b.context;
}

static struct tls_identity *identities_load(const struct tls_server_options *o, struct tls_fault *f)
{
	struct tls_identity *all;

	if (o->certificates_count == 0) {
		tls_fault_say(f, NULL, "a TLS server needs a certificate");
		return NULL;
	}
	all = calloc(o->certificates_count, sizeof(*all));
	if (all == NULL) {
		tls_fault_say(f, NULL, "out of memory");
		return NULL;
	}
	for (size_t i = 0; i < o->certificates_count; i++) {
		if (tls_identity_load(&all[i], o->certificates[i].cert, o->certificates[i].key, f))
			continue;
		identities_free(all, i);
		return NULL;
	}
	return all;
}

struct tls_context *tls_context_new_server(const struct tls_server_options *o, char *error, size_t error_len,
					   const char **bad_file)
{
	struct tls_fault fault = { .text = error, .cap = error_len };
	struct tls_identity *identities;
	struct tls_context *c = NULL;

	tls_error_clear();
	identities = identities_load(o, &fault);
	if (identities != NULL)
		c = server_new(o, identities, o->certificates_count, &fault);
	if (bad_file != NULL)
		*bad_file = fault.bad_file;
	return c;
}

struct tls_context *tls_context_new_self_signed(const char *const *names, size_t names_count,
						struct tls_tickets *t)
{
	const struct tls_server_options o = { .tickets = t };
	struct tls_fault fault = { 0 };
	struct tls_identity *identity = calloc(1, sizeof(*identity));

	tls_error_clear();
	if (identity == NULL || !tls_identity_self_sign(identity, names, names_count)) {
		free(identity);
		return NULL;
	}
	return server_new(&o, identity, 1, &fault);
}
