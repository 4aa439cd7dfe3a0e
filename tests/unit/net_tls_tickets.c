#include "net/tls_tickets.h"

#include "tls_certs.h"
#include "tls_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static struct test_cert root, other_root;
static struct test_cert chat; /* "DNS:chat.test" */
static struct test_cert wild; /* "DNS:*.wild.test" */

static int setup(void **state)
{
	(void)state;
	test_directory_make();
	test_cert_make(&root, &(struct test_cert_options){ .common_name = "root", .is_authority = true });
	test_cert_make(&other_root,
		       &(struct test_cert_options){ .common_name = "other", .is_authority = true });
	test_cert_make(&chat, &(struct test_cert_options){ .names = "DNS:chat.test", .issuer = &root });
	test_cert_make(&wild, &(struct test_cert_options){ .names = "DNS:*.wild.test", .issuer = &root });
	test_cert_write(&root, "root", NULL);
	test_cert_write(&other_root, "other", NULL);
	test_cert_write(&chat, "chat", NULL);
	test_cert_write(&wild, "wild", NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	test_cert_done(&root);
	test_cert_done(&other_root);
	test_cert_done(&chat);
	test_cert_done(&wild);
	test_directory_remove();
	return 0;
}

static struct tls_context *client_verifying(void)
{
	return client_from(&(struct tls_client_options){ .verify = true, .ca = root.cert_path });
}

static void sessions_are_resumed(int version)
{
	struct tls_tickets *t = tls_tickets_new(0);
	struct tls_context *s = server_of(&chat, &(struct tls_server_options){ .tickets = t });
	SSL_SESSION *session = NULL;

	for (int i = 0; i < 4; i++) {
		struct tls_info info;
		struct raw r;

		raw_init(&r, s, version);
		if (session != NULL)
			SSL_set_session(r.ssl, session);
		raw_pump(&r, NULL);
		assert_true(tls_is_established(r.server.tls));
		tls_info(r.server.tls, &info);
		assert_true(info.is_resumed == (i > 0));
		assert_true(SSL_session_reused(r.ssl) == (i > 0));
		SSL_SESSION_free(session);
		session = SSL_get1_session(r.ssl);
		SSL_set_shutdown(r.ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
		raw_done(&r);
		if (i == 1) { /* a reload: another context, the same tickets; the old one goes */
			tls_context_unref(s);
			s = server_of(&chat, &(struct tls_server_options){ .tickets = t });
		}
	}
	SSL_SESSION_free(session);
	tls_context_unref(s);
	tls_tickets_free(t);
}

static void tickets_resume_also_after_a_reload(void **state)
{
	(void)state;
	sessions_are_resumed(TLS1_3_VERSION);
	sessions_are_resumed(TLS1_2_VERSION);
}

/* One connection with this session, where not NULL; whether it was resumed.  The newest session replaces it. */
static bool resume(struct tls_context *s, SSL_SESSION **session, int version, bool take_new)
{
	bool is_resumed;
	struct raw r;

	raw_init(&r, s, version);
	if (*session != NULL)
		SSL_set_session(r.ssl, *session);
	raw_pump(&r, NULL);
	assert_true(tls_is_established(r.server.tls));
	is_resumed = SSL_session_reused(r.ssl) == 1;
	if (take_new) {
		SSL_SESSION_free(*session);
		*session = SSL_get1_session(r.ssl);
	}
	SSL_set_shutdown(r.ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	raw_done(&r);
	return is_resumed;
}

static void ticket_keys_rotate(int version)
{
	struct tls_tickets *t = tls_tickets_new(3600);
	struct tls_context *s = server_of(&chat, &(struct tls_server_options){ .tickets = t });
	SSL_SESSION *session = NULL;

	assert_false(resume(s, &session, version, true));
	tls_tickets_rotate(t);
	assert_true(resume(s, &session, version, false));
	tls_tickets_rotate(t);
	assert_true(resume(s, &session, version, false)); /* two periods old */
	tls_tickets_rotate(t);
	assert_false(resume(s, &session, version, true)); /* gone; a new one */
	for (int i = 0; i < 5; i++) {
		tls_tickets_rotate(t);
		assert_true(resume(s, &session, version, true)); /* renewed each time */
	}
	SSL_SESSION_free(session);
	tls_context_unref(s);
	tls_tickets_free(t);
}

static void tickets_resume_across_a_rotation(void **state)
{
	(void)state;
	ticket_keys_rotate(TLS1_3_VERSION);
	ticket_keys_rotate(TLS1_2_VERSION);
}

static void rotation_happens_by_itself(void **state)
{
	struct tls_tickets *t = tls_tickets_new(1);
	struct tls_context *s = server_of(&chat, &(struct tls_server_options){ .tickets = t });
	SSL_SESSION *session = NULL;

	(void)state;
	assert_false(resume(s, &session, TLS1_3_VERSION, true));
	assert_true(resume(s, &session, TLS1_3_VERSION, false));
	usleep(3100 * 1000); /* the clock is what is tested */
	assert_false(resume(s, &session, TLS1_3_VERSION, false));
	SSL_SESSION_free(session);
	tls_context_unref(s);
	tls_tickets_free(t);
}

static void without_tickets_nothing_is_resumed(void **state)
{
	struct tls_context *s = server_of(&chat, NULL), *c = client_verifying();

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct outcome o = outcome_of(c, s, "chat.test");

		assert_true(o.is_established);
		assert_false(o.server.is_resumed);
	}
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		SSL_SESSION *session = NULL;

		assert_false(resume(s, &session, version, true));
		assert_false(resume(s, &session, version, true));
		SSL_SESSION_free(session);
	}
	tls_context_unref(s);
	tls_context_unref(c);
}

/* A ticket that was given without asking for a certificate does not open a door that asks for one. */
static void a_ticket_is_good_only_for_the_same_demands(void **state)
{
	struct tls_tickets *t = tls_tickets_new(0);
	const struct tls_server_options demands[] = {
		{ .tickets = t },
		{ .tickets = t, .client_auth = TLS_CLIENT_AUTH_OPTIONAL, .client_ca = root.cert_path },
		{ .tickets = t, .client_auth = TLS_CLIENT_AUTH_OPTIONAL, .client_ca = other_root.cert_path },
		{ .tickets = t, .client_auth = TLS_CLIENT_AUTH_REQUIRE, .client_ca = root.cert_path },
	};

	(void)state;
	for (size_t i = 0; i < 3 * ARRAY_LEN(demands); i++) {
		struct tls_context *from = server_of(&chat, &demands[i / ARRAY_LEN(demands)]);
		struct tls_context *to = server_of(&chat, &demands[i % ARRAY_LEN(demands)]);
		struct tls_context *c = client_from(&(struct tls_client_options){ 0 });
		struct outcome o = outcome_of(c, from, "chat.test");

		assert_true(o.is_established);
		o = outcome_of(c, to, "chat.test");
		assert_true(o.server.is_resumed == (i / ARRAY_LEN(demands) == i % ARRAY_LEN(demands)));
		assert_true(o.is_established ==
			    (demands[i % ARRAY_LEN(demands)].client_auth != TLS_CLIENT_AUTH_REQUIRE));
		tls_context_unref(from);
		tls_context_unref(to);
		tls_context_unref(c);
	}
	tls_tickets_free(t);
}

static void a_client_keeps_one_session_for_one_name(void **state)
{
	const struct test_cert *certs[] = { &chat, &wild };
	struct tls_tickets *t = tls_tickets_new(0);
	struct tls_context *s = server_with(&(struct tls_server_options){ .tickets = t }, 2, certs);
	struct tls_context *c = client_verifying();
	static const struct {
		const char *name;
		bool want;
	} steps[] = {
		{ "chat.test", false },	  { "chat.test", true },   { "chat.test", true },
		{ "a.wild.test", false }, { "a.wild.test", true }, { "b.wild.test", false },
		{ "chat.test", false },	  { "chat.test", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		struct outcome o = outcome_of(c, s, steps[i].name);

		assert_true(o.is_established);
		assert_true(o.client.is_resumed == steps[i].want);
		assert_true(o.client.has_peer_certificate);
	}
	tls_context_unref(s);
	tls_context_unref(c);
	tls_tickets_free(t);
}

static void a_session_that_fails_is_forgotten(void **state)
{
	struct tls_tickets *t = tls_tickets_new(0);
	struct tls_context *s = server_of(&chat, &(struct tls_server_options){ .tickets = t });
	struct tls_context *c = client_verifying();
	static const uint8_t alert[] = { 21, 3, 3, 0, 2, 2, 80 };
	struct pair p;

	(void)state;
	assert_true(outcome_of(c, s, "chat.test").is_established);
	assert_true(outcome_of(c, s, "chat.test").client.is_resumed);
	pair_init(&p, c, s, "chat.test");
	p.client.wire.len = 0;
	side_feed(&p.client, alert, sizeof(alert), 0);
	assert_int_equal(p.client.result, TLS_PEER_ALERT);
	pair_done(&p);
	assert_false(outcome_of(c, s, "chat.test").client.is_resumed);
	assert_true(outcome_of(c, s, "chat.test").client.is_resumed);
	tls_context_unref(s);
	tls_context_unref(c);
	tls_tickets_free(t);
}

/* What a process that is upgraded hands to the next one. */
static void tickets_resume_with_keys_that_were_handed_over(void **state)
{
	struct tls_tickets *before = tls_tickets_new(3600), *after = tls_tickets_new(3600);
	struct tls_context *s = server_of(&chat, &(struct tls_server_options){ .tickets = before });
	struct tls_context *next = server_of(&chat, &(struct tls_server_options){ .tickets = after });
	struct tls_context *c = client_verifying();
	struct tls_tickets_state saved;

	(void)state;
	assert_true(outcome_of(c, s, "chat.test").is_established);
	tls_tickets_rotate(before);
	tls_tickets_save(before, &saved);
	assert_true(saved.is_set[0] && saved.is_set[1] && !saved.is_set[2]);
	assert_false(outcome_of(c, next, "chat.test").client.is_resumed);
	assert_true(outcome_of(c, s, "chat.test").is_established);
	tls_tickets_restore(after, &saved);
	assert_true(outcome_of(c, next, "chat.test").client.is_resumed);
	tls_context_unref(s);
	tls_context_unref(next);
	tls_context_unref(c);
	tls_tickets_free(before);
	tls_tickets_free(after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tickets_resume_also_after_a_reload),
		cmocka_unit_test(tickets_resume_across_a_rotation),
		cmocka_unit_test(rotation_happens_by_itself),
		cmocka_unit_test(without_tickets_nothing_is_resumed),
		cmocka_unit_test(a_ticket_is_good_only_for_the_same_demands),
		cmocka_unit_test(a_client_keeps_one_session_for_one_name),
		cmocka_unit_test(a_session_that_fails_is_forgotten),
		cmocka_unit_test(tickets_resume_with_keys_that_were_handed_over),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
