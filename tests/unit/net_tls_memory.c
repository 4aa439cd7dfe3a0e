#include "net/tls_memory.h"

#include "net/tls_context.h"
#include "tls_pair.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static bool is_on; /* not with a sanitizer: then all is malloc(), and has to do the same */

static void check(const uint8_t *at, size_t len, uint8_t value)
{
	for (size_t i = 0; i < len; i++) {
		if (at[i] != value)
			fail_msg("octet %zu of %zu is lost", i, len);
	}
}

static void large_pieces_are_blocks(void **state)
{
	static const struct {
		size_t len;
		bool is_block;
	} cases[] = {
		{ 1, false },	 { 7624, false }, { 8191, false }, { 8192, true },
		{ 16704, true }, { 21848, true }, { 24576, true }, { 24577, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		long before = tls_memory_used();
		uint8_t *at = OPENSSL_malloc(cases[i].len);

		assert_non_null(at);
		memset(at, 1, cases[i].len);
		assert_int_equal(tls_memory_used() - before, is_on && cases[i].is_block);
		OPENSSL_free(at);
		assert_int_equal(tls_memory_used(), before);
	}
}

static void a_piece_keeps_its_bytes_as_it_grows(void **state)
{
	static const size_t lens[] = { 100, 9000, 20000, 24576, 30000, 100000, 9000, 10 };

	(void)state;
	for (size_t first = 0; first < ARRAY_LEN(lens); first++) {
		long before = tls_memory_used();
		size_t len = lens[first];
		uint8_t *at = OPENSSL_realloc(NULL, len);

		assert_non_null(at);
		memset(at, (int)first, len);
		for (size_t i = first + 1; i < ARRAY_LEN(lens); i++) {
			at = OPENSSL_realloc(at, lens[i]);
			assert_non_null(at);
			check(at, len < lens[i] ? len : lens[i], (uint8_t)first);
			len = lens[i];
			memset(at, (int)first, len);
		}
		assert_null(OPENSSL_realloc(at, 0));
		assert_int_equal(tls_memory_used(), before);
	}
	OPENSSL_free(NULL);
}

static void *use_many(void *failed)
{
	enum { COUNT = 200 };
	uint8_t *at[COUNT];

	for (int round = 0; round < 5; round++) {
		for (size_t i = 0; i < COUNT; i++) {
			at[i] = OPENSSL_malloc(20000);
			memset(at[i], (int)i, 20000);
		}
		for (size_t i = 0; i < COUNT; i++) { /* nobody else has the same */
			if (at[i][0] != (uint8_t)i || at[i][19999] != (uint8_t)i)
				*(bool *)failed = true;
			OPENSSL_free(at[i]);
		}
	}
	if (tls_memory_used() != 0)
		*(bool *)failed = true;
	return NULL;
}

static void threads_share_what_is_left_over(void **state)
{
	pthread_t threads[4];
	bool failed[4] = { false };

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 4; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, use_many, &failed[i]), 0);
		for (int i = 0; i < 4; i++) {
			pthread_join(threads[i], NULL);
			assert_false(failed[i]);
		}
	}
}

/* Many at once, so that blocks run out in the thread and come from where the others are. */
static void an_idle_connection_holds_no_block(void **state)
{
	static const char *const name = "memory.test";
	static struct pair pairs[200];
	struct tls_context *server = tls_context_new_self_signed(&name, 1, NULL);
	struct tls_context *client = tls_context_new_client(&(struct tls_client_options){ 0 }, NULL, 0, NULL);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
		pair_init(&pairs[i], client, server, name);
	assert_int_equal(tls_memory_used() > 0, is_on);
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		assert_true(pair_pump(&pairs[i], 0));
		side_seal(&pairs[i].server, "hello", 5);
		pair_pump(&pairs[i], 0);
	}
	assert_int_equal(tls_memory_used(), 0);
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		tls_close_notify(pairs[i].server.tls, side_sink(&pairs[i].server));
		assert_int_equal(tls_memory_used(), 0);
		pair_done(&pairs[i]);
	}
	tls_context_unref(server);
	tls_context_unref(client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(large_pieces_are_blocks),
		cmocka_unit_test(a_piece_keeps_its_bytes_as_it_grows),
		cmocka_unit_test(threads_share_what_is_left_over),
		cmocka_unit_test(an_idle_connection_holds_no_block),
	};

	is_on = tls_memory_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
