#include "net/tls.h"

#include "tls_certs.h"
#include "tls_pair.h"

#include <malloc.h>
#include <openssl/err.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED 0
#endif

static struct test_cert identity;
static struct tls_tickets *tickets;
static struct tls_context *server_context;  /* both versions */
static struct tls_context *server_frequent; /* new keys every 10 records */
static struct tls_context *client_context;  /* 1.3 */

static struct tls_context *server_new(uint32_t records_per_key)
{
	const struct tls_certificate_files files = { identity.cert_path, identity.key_path };
	const struct tls_server_options o = { .certificates = &files,
					      .certificates_count = 1,
					      .tickets = tickets,
					      .records_per_key = records_per_key };
	char error[256] = "";
	struct tls_context *c = tls_context_new_server(&o, error, sizeof(error), NULL);

	assert_string_equal(error, "");
	assert_non_null(c);
	return c;
}

static int setup(void **state)
{
	const struct tls_client_options client = { .verify = true, .ca = identity.cert_path };
	char error[256] = "";

	(void)state;
	test_directory_make();
	test_cert_make(&identity,
		       &(struct test_cert_options){ .names = "DNS:chat.test", .is_authority = true });
	test_cert_write(&identity, "chat", NULL);
	tickets = tls_tickets_new(0);
	server_context = server_new(0);
	server_frequent = server_new(10);
	client_context = tls_context_new_client(&client, error, sizeof(error), NULL);
	assert_string_equal(error, "");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tls_context_unref(server_context);
	tls_context_unref(server_frequent);
	tls_context_unref(client_context);
	tls_tickets_free(tickets);
	test_cert_done(&identity);
	test_directory_remove();
	return 0;
}

static void fill(uint8_t *out, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++) {
		seed = seed * 1103515245 + 12345;
		out[i] = (uint8_t)(seed >> 16);
	}
}

static const size_t sizes[] = { 1, 2, 64, 1000, 16383, 16384, 16385, 50000 };

/* Sends each size both ways over a pair that is established. */
static void exchange(struct pair *p, size_t cut)
{
	static uint8_t data[50000];

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		fill(data, sizes[i], (unsigned)i + 1);
		p->client.plain.len = p->server.plain.len = 0;
		side_seal(&p->client, data, sizes[i]);
		side_seal(&p->server, data, sizes[i]);
		pair_pump(p, cut);
		assert_int_equal(p->client.plain.len, sizes[i]);
		assert_int_equal(p->server.plain.len, sizes[i]);
		assert_memory_equal(p->client.plain.at, data, sizes[i]);
		assert_memory_equal(p->server.plain.at, data, sizes[i]);
	}
}

static void data_is_the_same_however_it_is_cut(void **state)
{
	static const size_t cuts[] = { 0, 1, 2, 3, 5, 6, 7, 1447, 4096, 16384 };
	static const size_t caps[] = { 1, 100, 4096, 65536 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cuts) * ARRAY_LEN(caps); i++) {
		struct pair p;

		if (IS_SANITIZED && caps[i / ARRAY_LEN(cuts)] == 1)
			continue; /* slow, and no other path */
		pair_init(&p, client_context, server_context, "chat.test");
		p.client.plain_cap = p.server.plain_cap = caps[i / ARRAY_LEN(cuts)];
		assert_true(pair_pump(&p, cuts[i % ARRAY_LEN(cuts)]));
		exchange(&p, cuts[i % ARRAY_LEN(cuts)]);
		pair_done(&p);
	}
}

/* The handshake of OpenSSL's client, cut in two at every byte, with data right behind it. */
static void handshake_may_be_cut_anywhere(int version)
{
	for (size_t at = 0; at < 1200; at++) {
		struct bytes plain = { 0 };
		struct raw r;
		char *wire;
		long n;

		raw_init(&r, server_context, version);
		SSL_do_handshake(r.ssl);
		n = BIO_get_mem_data(r.out, &wire);
		if (at > (size_t)n) {
			raw_done(&r);
			ERR_clear_error();
			assert_true(at > 100);
			return;
		}
		ERR_clear_error();
		side_feed(&r.server, (uint8_t *)wire, at, 0);
		side_feed(&r.server, (uint8_t *)wire + at, (size_t)n - at, 0);
		BIO_reset(r.out);
		raw_pump(&r, &plain);
		assert_true(tls_is_established(r.server.tls));
		SSL_write(r.ssl, "hello", 5);
		side_seal(&r.server, "world", 5);
		raw_pump(&r, &plain);
		assert_int_equal(plain.len, 5);
		assert_memory_equal(plain.at, "world", 5);
		assert_int_equal(r.server.plain.len, 5);
		assert_memory_equal(r.server.plain.at, "hello", 5);
		bytes_done(&plain);
		raw_done(&r);
	}
}

static void handshake_1_3_may_be_cut_anywhere(void **state)
{
	(void)state;
	handshake_may_be_cut_anywhere(TLS1_3_VERSION);
}

static void handshake_1_2_may_be_cut_anywhere(void **state)
{
	(void)state;
	handshake_may_be_cut_anywhere(TLS1_2_VERSION);
}

static void what_was_negotiated_is_told(void **state)
{
	struct tls_info info;
	struct pair p;
	struct raw r;

	(void)state;
	pair_init(&p, client_context, server_context, "chat.test.");
	tls_info(p.server.tls, &info);
	assert_string_equal(info.version, "");
	assert_string_equal(info.sni, "");
	assert_true(pair_pump(&p, 0));
	tls_info(p.server.tls, &info);
	assert_string_equal(info.version, "TLSv1.3");
	assert_string_equal(info.cipher, "TLS_AES_128_GCM_SHA256");
	assert_string_equal(info.sni, "chat.test");
	assert_string_equal(info.alpn, "");
	assert_false(info.has_peer_certificate);
	tls_info(p.client.tls, &info);
	assert_string_equal(info.sni, "chat.test");
	assert_true(info.has_peer_certificate);
	pair_done(&p);

	raw_init(&r, server_context, TLS1_2_VERSION);
	raw_pump(&r, NULL);
	tls_info(r.server.tls, &info);
	assert_string_equal(info.version, "TLSv1.2");
	assert_string_equal(info.cipher, "ECDHE-ECDSA-AES128-GCM-SHA256");
	assert_string_equal(info.sni, "");
	raw_done(&r);
}

static void the_peer_may_change_its_keys(void **state)
{
	struct bytes plain = { 0 };
	struct raw r;

	(void)state;
	raw_init(&r, server_context, TLS1_3_VERSION);
	raw_pump(&r, NULL);
	for (int i = 0; i < 20; i++) {
		size_t before;

		assert_int_equal(SSL_key_update(r.ssl, i % 2 ? SSL_KEY_UPDATE_REQUESTED
							     : SSL_KEY_UPDATE_NOT_REQUESTED),
				 1);
		SSL_do_handshake(r.ssl);
		before = plain.len;
		r.server.plain.len = 0;
		SSL_write(r.ssl, "ping", 4);
		raw_pump(&r, &plain);
		assert_int_equal(r.server.plain.len, 4);
		side_seal(&r.server, "pong", 4);
		raw_pump(&r, &plain);
		assert_int_equal(plain.len, before + 4);
	}
	bytes_done(&plain);
	raw_done(&r);
}

static void count_key_updates(int is_sent, int version, int type, const void *bytes, size_t len, SSL *ssl,
			      void *count)
{
	(void)version, (void)ssl;
	if (!is_sent && type == SSL3_RT_HANDSHAKE && len > 0 && *(const uint8_t *)bytes == SSL3_MT_KEY_UPDATE)
		++*(size_t *)count;
}

static void keys_change_after_many_records(void **state)
{
	struct bytes plain = { 0 };
	size_t count = 0;
	struct raw r;

	(void)state;
	raw_init(&r, server_frequent, TLS1_3_VERSION);
	SSL_set_msg_callback(r.ssl, count_key_updates);
	SSL_set_msg_callback_arg(r.ssl, &count);
	raw_pump(&r, NULL);
	for (int i = 0; i < 200; i++) {
		side_seal(&r.server, "pong", 4);
		SSL_write(r.ssl, "ping", 4);
		raw_pump(&r, &plain);
	}
	assert_int_equal(plain.len, 800);
	assert_int_equal(r.server.plain.len, 800);
	assert_in_range(count, 39, 41); /* 400 records, both ways together */
	count = 0;
	for (int i = 0; i < 10; i++) { /* only one way, more than one record at once */
		static const uint8_t large[SSL3_RT_MAX_PLAIN_LENGTH * 4];

		side_seal(&r.server, large, sizeof(large));
		raw_pump(&r, NULL);
	}
	assert_in_range(count, 3, 5);
	bytes_done(&plain);
	raw_done(&r);

	raw_init(&r, server_frequent,
		 TLS1_3_VERSION); /* in the middle of a record that is taken piece by piece */
	r.server.plain_cap = 1;
	raw_pump(&r, NULL);
	for (size_t i = 0; i < 20; i++) {
		SSL_write(r.ssl, "a message of 23 octets.", 23);
		SSL_write(r.ssl, "a message of 23 octets.", 23);
		raw_pump(&r, NULL);
	}
	assert_int_equal(r.server.plain.len, 20 * 46);
	assert_memory_equal(r.server.plain.at + 19 * 46, "a message of 23 octets.a message of 23 octets.",
			    46);
	raw_done(&r);

	raw_init(&r, server_frequent, TLS1_2_VERSION); /* has no such thing, and goes on */
	raw_pump(&r, NULL);
	for (int i = 0; i < 50; i++) {
		side_seal(&r.server, "pong", 4);
		raw_pump(&r, NULL);
	}
	assert_true(tls_is_established(r.server.tls));
	raw_done(&r);
}

static void each_direction_is_closed_by_itself(int version)
{
	struct bytes plain = { 0 };
	struct raw r;

	raw_init(&r, server_context, version);
	raw_pump(&r, NULL);
	SSL_shutdown(r.ssl);
	raw_pump(&r, &plain);
	assert_int_equal(r.server.result, TLS_CLOSED);
	assert_true(tls_is_established(r.server.tls));
	side_feed(&r.server, (const uint8_t *)"rubbish behind the end", 22, 5);
	assert_int_equal(r.server.result, TLS_CLOSED);

	side_seal(&r.server, "still here", 10);
	tls_close_notify(r.server.tls, side_sink(&r.server));
	assert_true(r.server.wire.len > 0);
	raw_pump(&r, &plain);
	assert_int_equal(plain.len, 10);
	assert_int_equal(SSL_get_shutdown(r.ssl) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
	tls_close_notify(r.server.tls, side_sink(&r.server));
	assert_int_equal(r.server.wire.len, 0);
	assert_int_equal(tls_seal(r.server.tls, (const uint8_t *)"x", 1, side_sink(&r.server)), TLS_ERROR);
	assert_int_equal(r.server.wire.len, 0);
	bytes_done(&plain);
	raw_done(&r);
}

static void nothing_follows_our_close_notify(void)
{
	static const uint8_t bad_record[] = { 23, 3, 3, 0, 17, 0, 0, 0, 0, 0, 0,
					      0,  0, 0, 0, 0,  0, 0, 0, 0, 0, 0 };
	struct raw r;

	raw_init(&r, server_context, TLS1_3_VERSION);
	raw_pump(&r, NULL);
	tls_close_notify(r.server.tls, side_sink(&r.server));
	r.server.wire.len = 0;
	SSL_key_update(r.ssl, SSL_KEY_UPDATE_REQUESTED);
	SSL_do_handshake(r.ssl);
	SSL_write(r.ssl, "to the end", 10);
	raw_pump(&r, NULL);
	assert_int_equal(r.server.plain.len, 10);
	assert_int_equal(r.server.wire.len, 0);
	side_feed(&r.server, bad_record, sizeof(bad_record), 0);
	assert_int_equal(r.server.result, TLS_ERROR);
	assert_int_equal(r.server.wire.len, 0);
	raw_done(&r);
}

static void close_notify_ends_one_direction(void **state)
{
	struct pair p;

	(void)state;
	each_direction_is_closed_by_itself(TLS1_3_VERSION);
	each_direction_is_closed_by_itself(TLS1_2_VERSION);
	nothing_follows_our_close_notify();

	pair_init(&p, client_context, server_context, "chat.test");
	tls_close_notify(p.client.tls,
			 side_sink(&p.client)); /* before there is anything to close: nothing is sent */
	assert_true(pair_pump(&p, 0));
	side_seal(&p.client, "last", 4);
	tls_close_notify(p.client.tls, side_sink(&p.client));
	pair_pump(&p, 1);
	assert_int_equal(p.server.plain.len, 4);
	assert_int_equal(p.server.result, TLS_CLOSED);
	side_seal(&p.server, "answer", 6);
	pair_pump(&p, 1);
	assert_int_equal(p.client.plain.len, 6);
	pair_done(&p);
}

static void a_truncated_stream_is_no_end(void **state)
{
	struct bytes record;
	struct pair p;

	(void)state;
	pair_init(&p, client_context, server_context, "chat.test");
	assert_true(pair_pump(&p, 0));
	side_seal(&p.client, "whole", 5);
	record = p.client.wire;
	p.client.wire = (struct bytes){ 0 };
	side_feed(&p.server, record.at, record.len - 1, 1);
	assert_int_equal(p.server.result, TLS_MORE);
	assert_int_equal(p.server.plain.len, 0);
	side_feed(&p.server, record.at + record.len - 1, 1, 1);
	assert_int_equal(p.server.result, TLS_MORE);
	assert_int_equal(p.server.plain.len, 5);
	side_feed(&p.server, record.at, record.len - 1, 0); /* and freed in the middle of one */
	bytes_done(&record);
	pair_done(&p);
}

static void a_changed_record_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < 5 + 5 + 1 + 16; i++) {
		struct bytes record;
		char text[128];
		struct pair p;

		if (i == 3 || i == 4)
			continue; /* the length: see below */
		pair_init(&p, client_context, server_context, "chat.test");
		assert_true(pair_pump(&p, 0));
		side_seal(&p.client, "whole", 5);
		record = p.client.wire;
		p.client.wire = (struct bytes){ 0 };
		assert_int_equal(record.len, 5 + 5 + 1 + 16);
		record.at[i] ^= 0x40;
		side_feed(&p.server, record.at, record.len, 0);
		bytes_done(&record);
		assert_int_equal(p.server.result, TLS_ERROR);
		assert_int_equal(p.server.plain.len, 0);
		tls_error_text(p.server.tls, text, sizeof(text));
		if (i >= 5)
			assert_string_equal(text, "decryption failed or bad record mac");
		assert_true(strlen(text) > 5);
		assert_true(p.server.wire.len > 0); /* an alert */
		assert_int_equal(tls_seal(p.server.tls, (const uint8_t *)"x", 1, side_sink(&p.server)),
				 TLS_ERROR);
		pair_pump(&p, 0);
		assert_int_equal(p.client.result, TLS_PEER_ALERT);
		tls_error_text(p.client.tls, text, sizeof(text));
		if (i >= 5)
			assert_string_equal(text, "the peer sent the alert: bad record mac");
		assert_int_equal(p.client.wire.len, 0);
		pair_done(&p);
	}
}

static void a_record_that_is_too_long_is_refused_by_its_header(void **state)
{
	static const uint8_t header[] = { 23, 3, 3, 0x41, 0x01 };
	struct pair p;

	(void)state;
	pair_init(&p, client_context, server_context, "chat.test");
	assert_true(pair_pump(&p, 0));
	side_feed(&p.server, header, sizeof(header), 1);
	assert_int_equal(p.server.result, TLS_ERROR);
	pair_done(&p);
}

static void garbage_is_refused(void **state)
{
	static const struct {
		const char *bytes, *text;
	} cases[] = {
		{ "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "http request" },
		{ "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n", "wrong version number" },
		{ "CONNECT a:1 HTTP/1.1\r\n\r\n", "https proxy request" },
		{ "\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00", "unexpected message" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t len = i == 3 ? 10 : strlen(cases[i].bytes);
		struct side s = { .tls = tls_new_server(server_context) };
		char text[128];

		side_feed(&s, (const uint8_t *)cases[i].bytes, len, 1);
		assert_int_equal(s.result, TLS_ERROR);
		assert_false(tls_is_established(s.tls));
		tls_error_text(s.tls, text, sizeof(text));
		assert_string_equal(text, cases[i].text);
		side_done(&s);
	}
	for (unsigned seed = 0; seed < 500; seed++) {
		struct side s = { .tls = tls_new_server(server_context) };
		uint8_t noise[600];

		fill(noise, sizeof(noise), seed);
		if (seed % 2) { /* a header that may pass */
			noise[0] = 22;
			noise[1] = 3;
			noise[2] = 1;
			noise[3] = 0;
			noise[5] = 1;
			noise[6] = 0;
		}
		side_feed(&s, noise, sizeof(noise), 0);
		assert_false(tls_is_established(s.tls));
		assert_true(s.wire.len < 200);
		side_done(&s);
	}
}

static void a_peer_that_leaves_in_the_handshake_is_told_apart(void **state)
{
	static const uint8_t close_notify[] = { 21, 3, 1, 0, 2, 1, 0 };
	static const uint8_t unknown_ca[] = { 21, 3, 3, 0, 2, 2, 48 };
	char text[128];
	struct pair p;

	(void)state;
	pair_init(&p, client_context, server_context, "chat.test");
	p.client.wire.len = 0;
	side_feed(&p.client, close_notify, sizeof(close_notify), 0);
	assert_int_equal(p.client.result, TLS_CLOSED);
	assert_false(tls_is_established(p.client.tls));
	tls_error_text(p.client.tls, text, sizeof(text));
	assert_string_equal(text, "the peer closed in the middle of the handshake");
	pair_done(&p);

	pair_init(&p, client_context, server_context, "chat.test");
	side_feed(&p.server, p.client.wire.at, p.client.wire.len, 0);
	p.client.wire.len = 0;
	side_feed(&p.server, unknown_ca, sizeof(unknown_ca), 0);
	assert_int_equal(p.server.result, TLS_PEER_ALERT);
	tls_error_text(p.server.tls, text, sizeof(text));
	assert_string_equal(text, "the peer sent the alert: unknown CA");
	pair_done(&p);
}

static void nothing_is_sealed_before_the_handshake(void **state)
{
	struct pair p;

	(void)state;
	pair_init(&p, client_context, server_context, "chat.test");
	p.client.wire.len = 0;
	assert_int_equal(tls_seal(p.client.tls, (const uint8_t *)"x", 1, side_sink(&p.client)), TLS_ERROR);
	assert_int_equal(tls_seal(p.server.tls, (const uint8_t *)"x", 1, side_sink(&p.server)), TLS_ERROR);
	assert_int_equal(p.client.wire.len + p.server.wire.len, 0);
	pair_done(&p);
}

static void renegotiation_is_refused(void **state)
{
	struct raw r;

	(void)state;
	raw_init(&r, server_context, TLS1_2_VERSION);
	raw_pump(&r, NULL);
	assert_true(tls_is_established(r.server.tls));
	assert_int_equal(SSL_renegotiate(r.ssl), 1);
	for (int i = 0; i < 3; i++) {
		SSL_do_handshake(r.ssl);
		raw_pump(&r, NULL);
	}
	/* the client is told no_renegotiation (RFC 5246 7.2.2), which OpenSSL's takes for fatal */
	assert_true(r.server.wire.len < 200);
	assert_false(SSL_is_init_finished(r.ssl));
	raw_done(&r);
	ERR_clear_error();
}

/* What a server's connection costs when it is idle. */
static size_t idle_bytes(int version, bool has_echoed)
{
	enum { COUNT = 1000 };
	static struct side sides[COUNT];
	size_t before = 0, after = 0;

	for (int round = 0; round < 2; round++) { /* the first one fills OpenSSL's own tables */
		before = mallinfo2().uordblks;
		for (int i = 0; i < COUNT; i++) {
			struct raw r;

			raw_init(&r, server_context, version);
			raw_pump(&r, NULL);
			assert_true(tls_is_established(r.server.tls));
			for (int k = 0; has_echoed && k < 3; k++) {
				SSL_write(r.ssl, "ping", 4);
				side_seal(&r.server, "pong", 4);
				raw_pump(&r, NULL);
			}
			sides[i] = r.server;
			bytes_done(&sides[i].wire);
			bytes_done(&sides[i].plain);
			r.server = (struct side){ 0 };
			raw_done(&r);
		}
		after = mallinfo2().uordblks;
		for (int i = 0; i < COUNT; i++)
			side_done(&sides[i]);
	}
	return (after - before) / COUNT;
}

static void an_idle_connection_is_small(void **state)
{
	(void)state;
	if (IS_SANITIZED)
		skip();
	for (int i = 0; i < 4; i++) {
		size_t bytes = idle_bytes(i / 2 ? TLS1_2_VERSION : TLS1_3_VERSION, i % 2);

		print_message("an idle connection of a server, TLS 1.%d%s: %zu bytes of heap\n",
			      i / 2 ? 2 : 3, i % 2 ? ", after messages" : "", bytes);
		if (OPENSSL_VERSION_NUMBER < 0x30100000L) /* later ones are built otherwise */
			assert_true(bytes <= 14000);
	}
}

struct nested {
	struct tls *other;
	struct side *other_side;
	struct bytes wire;
};

static void emit_and_close_other(void *user, const uint8_t *bytes, size_t len)
{
	struct nested *n = user;

	bytes_add(&n->wire, bytes, len);
	if (n->other != NULL)
		tls_close_notify(n->other, side_sink(n->other_side));
	n->other = NULL;
}

static void a_sink_may_use_another_connection(void **state)
{
	struct pair a, b;
	struct nested n = { 0 };

	(void)state;
	pair_init(&a, client_context, server_context, "chat.test");
	pair_init(&b, client_context, server_context, "chat.test");
	assert_true(pair_pump(&a, 0));
	assert_true(pair_pump(&b, 0));
	n.other = b.server.tls;
	n.other_side = &b.server;
	assert_int_equal(tls_seal(a.server.tls, (const uint8_t *)"hello", 5,
				  (struct tls_sink){ .emit = emit_and_close_other, .user = &n }),
			 0);
	side_feed(&a.client, n.wire.at, n.wire.len, 0);
	assert_int_equal(a.client.plain.len, 5);
	pair_pump(&b, 0);
	assert_int_equal(b.client.result, TLS_CLOSED);
	bytes_done(&n.wire);
	pair_done(&a);
	pair_done(&b);
}

static void *thread_main(void *failed)
{
	for (int i = 0; i < 30; i++) {
		struct pair p;

		p = (struct pair){ .client.tls = tls_new_client(client_context, "chat.test"),
				   .server.tls = tls_new_server(server_context) };
		tls_start(p.client.tls, side_sink(&p.client));
		if (!pair_pump(&p, 0))
			*(bool *)failed = true;
		tls_seal(p.client.tls, (const uint8_t *)"hello", 5, side_sink(&p.client));
		pair_pump(&p, 0);
		if (p.server.plain.len != 5)
			*(bool *)failed = true;
		pair_done(&p);
	}
	return NULL;
}

static void threads_share_contexts(void **state)
{
	pthread_t threads[4];
	bool failed[4] = { false };

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, thread_main, &failed[i]), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_false(failed[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(data_is_the_same_however_it_is_cut),
		cmocka_unit_test(handshake_1_3_may_be_cut_anywhere),
		cmocka_unit_test(handshake_1_2_may_be_cut_anywhere),
		cmocka_unit_test(what_was_negotiated_is_told),
		cmocka_unit_test(the_peer_may_change_its_keys),
		cmocka_unit_test(keys_change_after_many_records),
		cmocka_unit_test(close_notify_ends_one_direction),
		cmocka_unit_test(a_truncated_stream_is_no_end),
		cmocka_unit_test(a_changed_record_is_refused),
		cmocka_unit_test(a_record_that_is_too_long_is_refused_by_its_header),
		cmocka_unit_test(garbage_is_refused),
		cmocka_unit_test(a_peer_that_leaves_in_the_handshake_is_told_apart),
		cmocka_unit_test(nothing_is_sealed_before_the_handshake),
		cmocka_unit_test(renegotiation_is_refused),
		cmocka_unit_test(an_idle_connection_is_small),
		cmocka_unit_test(a_sink_may_use_another_connection),
		cmocka_unit_test(threads_share_contexts),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
