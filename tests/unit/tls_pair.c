#include "tls_pair.h"

#include <openssl/err.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void bytes_add(struct bytes *b, const void *at, size_t len)
{
	if (b->len + len > b->cap) {
		b->cap = (b->len + len) * 2;
		b->at = realloc(b->at, b->cap);
		assert_non_null(b->at);
	}
	memcpy(b->at + b->len, at, len);
	b->len += len;
}

void bytes_done(struct bytes *b)
{
	free(b->at);
	*b = (struct bytes){ 0 };
}

static void emit(void *user, const uint8_t *bytes, size_t len)
{
	bytes_add(user, bytes, len);
}

struct tls_sink side_sink(struct side *s)
{
	return (struct tls_sink){ .emit = emit, .user = &s->wire };
}

static void feed_piece(struct side *s, const uint8_t *bytes, size_t len)
{
	struct tls_input in = { .at = bytes, .len = len };
	size_t cap = s->plain_cap != 0 ? s->plain_cap : 4096;
	uint8_t *copy = malloc(len + 1), *out = malloc(cap); /* of the exact size: an overrun is seen */
	long n;

	assert_true(copy != NULL && out != NULL);
	memcpy(copy, bytes, len);
	in.at = copy;
	while ((n = tls_open(s->tls, &in, out, cap, side_sink(s))) > 0) {
		assert_true((size_t)n <= cap);
		bytes_add(&s->plain, out, (size_t)n);
		assert_int_equal(ERR_peek_error(), 0);
	}
	s->result = n;
	assert_int_equal(ERR_peek_error(), 0);
	assert_true(in.at + in.len == copy + len);
	if (n == TLS_MORE || n == TLS_CLOSED)
		assert_int_equal(in.len, 0);
	free(copy);
	free(out);
}

void side_feed(struct side *s, const uint8_t *bytes, size_t len, size_t cut)
{
	if (cut == 0)
		cut = len;
	for (size_t at = 0; at < len; at += cut)
		feed_piece(s, bytes + at, len - at < cut ? len - at : cut);
}

void side_seal(struct side *s, const void *bytes, size_t len)
{
	assert_int_equal(tls_seal(s->tls, bytes, len, side_sink(s)), 0);
	assert_int_equal(ERR_peek_error(), 0);
}

void side_done(struct side *s)
{
	tls_free(s->tls);
	bytes_done(&s->wire);
	bytes_done(&s->plain);
	assert_int_equal(ERR_peek_error(), 0);
}

void pair_init(struct pair *p, struct tls_context *client, struct tls_context *server, const char *sni)
{
	*p = (struct pair){ 0 };
	p->client.tls = tls_new_client(client, sni);
	p->server.tls = tls_new_server(server);
	assert_non_null(p->client.tls);
	assert_non_null(p->server.tls);
	assert_int_equal(tls_start(p->client.tls, side_sink(&p->client)), 0);
	assert_false(tls_is_established(p->client.tls));
}

static void move(struct side *from, struct side *to, size_t cut)
{
	struct bytes wire = from->wire;

	from->wire = (struct bytes){ 0 };
	side_feed(to, wire.at, wire.len, cut);
	bytes_done(&wire);
}

bool pair_pump(struct pair *p, size_t cut)
{
	while (p->client.wire.len > 0 || p->server.wire.len > 0) {
		move(&p->client, &p->server, cut);
		move(&p->server, &p->client, cut);
	}
	return tls_is_established(p->client.tls) && tls_is_established(p->server.tls);
}

void pair_done(struct pair *p)
{
	side_done(&p->client);
	side_done(&p->server);
}

void raw_init(struct raw *r, struct tls_context *server, int version)
{
	*r = (struct raw){ 0 };
	r->ctx = SSL_CTX_new(TLS_client_method());
	assert_non_null(r->ctx);
	SSL_CTX_set_min_proto_version(r->ctx, version);
	SSL_CTX_set_max_proto_version(r->ctx, version);
	r->ssl = SSL_new(r->ctx);
	r->in = BIO_new(BIO_s_mem());
	r->out = BIO_new(BIO_s_mem());
	SSL_set_bio(r->ssl, r->in, r->out);
	SSL_set_connect_state(r->ssl);
	r->server.tls = tls_new_server(server);
	assert_non_null(r->server.tls);
}

void raw_pump(struct raw *r, struct bytes *plain)
{
	char buf[4096];
	size_t got;

	for (;;) {
		long n;
		char *wire;

		if (!SSL_is_init_finished(r->ssl))
			SSL_do_handshake(r->ssl);
		while (SSL_read_ex(r->ssl, buf, sizeof(buf), &got) == 1) {
			if (plain != NULL)
				bytes_add(plain, buf, got);
		}
		ERR_clear_error();
		n = BIO_get_mem_data(r->out, &wire);
		if (n == 0 && r->server.wire.len == 0)
			return;
		side_feed(&r->server, (uint8_t *)wire, (size_t)n, 0);
		BIO_reset(r->out);
		BIO_write(r->in, r->server.wire.at, (int)r->server.wire.len);
		r->server.wire.len = 0;
	}
}

void raw_done(struct raw *r)
{
	side_done(&r->server);
	SSL_free(r->ssl);
	SSL_CTX_free(r->ctx);
}

struct tls_context *server_from(const struct tls_server_options *o)
{
	char error[256] = "";
	struct tls_context *c = tls_context_new_server(o, error, sizeof(error), NULL);

	assert_string_equal(error, "");
	assert_non_null(c);
	assert_int_equal(ERR_peek_error(), 0);
	return c;
}

struct tls_context *server_with(const struct tls_server_options *o, size_t count,
				const struct test_cert *const *certs)
{
	struct tls_certificate_files files[8];
	struct tls_server_options options = { 0 };

	if (o != NULL)
		options = *o;
	for (size_t i = 0; i < count; i++)
		files[i] = (struct tls_certificate_files){ certs[i]->cert_path, certs[i]->key_path };
	options.certificates = files;
	options.certificates_count = count;
	return server_from(&options);
}

struct tls_context *server_of(const struct test_cert *cert, const struct tls_server_options *o)
{
	return server_with(o, 1, &cert);
}

struct tls_context *client_from(const struct tls_client_options *o)
{
	char error[256] = "";
	struct tls_context *c = tls_context_new_client(o, error, sizeof(error), NULL);

	assert_string_equal(error, "");
	assert_non_null(c);
	assert_int_equal(ERR_peek_error(), 0);
	return c;
}

static void keep(const char **at, char copy[64])
{
	snprintf(copy, 64, "%s", *at);
	*at = copy;
}

struct outcome outcome_of(struct tls_context *client_context, struct tls_context *server, const char *name)
{
	static struct outcome o;
	struct pair p;

	o = (struct outcome){ 0 };
	pair_init(&p, client_context, server, name);
	o.is_established = pair_pump(&p, 0);
	if (o.is_established) { /* a server's refusal of a client's certificate comes after its Finished (RFC 8446 4.4.2.4) */
		side_seal(&p.client, "ping", 4);
		side_seal(&p.server, "pong", 4);
		pair_pump(&p, 0);
		o.is_established = p.client.plain.len == 4 && p.server.plain.len == 4;
	}
	tls_info(p.client.tls, &o.client);
	tls_info(p.server.tls, &o.server);
	keep(&o.client.version, o.text[0]);
	keep(&o.client.cipher, o.text[1]);
	keep(&o.client.sni, o.text[2]);
	keep(&o.client.alpn, o.text[3]);
	keep(&o.server.version, o.text[4]);
	keep(&o.server.cipher, o.text[5]);
	keep(&o.server.sni, o.text[6]);
	keep(&o.server.alpn, o.text[7]);
	tls_error_text(p.client.tls, o.client_error, sizeof(o.client_error));
	tls_error_text(p.server.tls, o.server_error, sizeof(o.server_error));
	o.client_result = p.client.result;
	o.server_result = p.server.result;
	pair_done(&p);
	return o;
}
