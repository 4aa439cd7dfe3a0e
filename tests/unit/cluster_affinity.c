/* cluster/sticky, cluster/learned: tokens that nobody can make, sessions that are remembered within bounds. */
#include "cluster/learned.h"
#include "cluster/sticky.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/list.h"

static void a_token_is_of_secret_cluster_and_endpoint(void **state)
{
	static const uint8_t one[STICKY_SECRET_LEN] = { 1 }, two[STICKY_SECRET_LEN] = { 2 };
	static const struct {
		const uint8_t *secret;
		const char *cluster, *endpoint;
	} of[] = {
		{ one, "chat", "10.0.0.1:80" }, { two, "chat", "10.0.0.1:80" }, { one, "chat", "10.0.0.2:80" },
		{ one, "chats", "10.0.0.1:80" }, { one, "cha", "t10.0.0.1:80" }, { one, "", "chat10.0.0.1:80" },
	};
	char tokens[ARRAY_LEN(of)][STICKY_TOKEN_LEN + 1], again[STICKY_TOKEN_LEN + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(of); i++) {
		sticky_token(of[i].secret, of[i].cluster, of[i].endpoint, tokens[i]);
		sticky_token(of[i].secret, of[i].cluster, of[i].endpoint, again);
		assert_string_equal(tokens[i], again);
		assert_int_equal(strlen(tokens[i]), STICKY_TOKEN_LEN);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(tokens[i], tokens[j]);
	}
}

static void a_secret_file_is_read_without_its_last_line_end(void **state)
{
	static const struct {
		const char *text;
		const char *fault;
	} files[] = {
		{ "0123456789abcdef", NULL },
		{ "0123456789abcdef\r\n", NULL },
		{ "0123456789abcde", "16 bytes" },
		{ "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n", "16 bytes" },
		{ "", "16 bytes" },
	};
	char path[] = "/tmp/hf_secret_XXXXXX";
	int fd = mkstemp(path);
	uint8_t first[STICKY_SECRET_LEN], secret[STICKY_SECRET_LEN];

	(void)state;
	assert_true(fd >= 0);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		const char *fault;

		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, files[i].text, strlen(files[i].text), 0), strlen(files[i].text));
		fault = sticky_secret_read(path, i == 0 ? first : secret);
		if (files[i].fault == NULL)
			assert_null(fault);
		else
			assert_non_null(strstr(fault, files[i].fault));
		if (i == 1)
			assert_memory_equal(first, secret, sizeof(secret));
	}
	close(fd);
	unlink(path);
	assert_non_null(strstr(sticky_secret_read(path, secret), "No such file"));
}

static void put(struct learned *l, uint32_t session, uint64_t endpoint, uint64_t now_ms)
{
	learned_put(l, &session, sizeof(session), endpoint, now_ms);
}

static uint64_t find(struct learned *l, uint32_t session, uint64_t now_ms)
{
	uint64_t endpoint = 0;

	return learned_find(l, &session, sizeof(session), &endpoint, now_ms) ? endpoint : 0;
}

static void sessions_are_found_and_may_move(void **state)
{
	struct learned l;

	(void)state;
	learned_init(&l);
	assert_int_equal(find(&l, 1, 0), 0);
	for (uint32_t i = 1; i <= 5000; i++)
		put(&l, i, i % 7 + 1, 0);
	for (uint32_t i = 1; i <= 5000; i++)
		assert_int_equal(find(&l, i, 0), i % 7 + 1);
	assert_int_equal(find(&l, 5001, 0), 0);
	put(&l, 1, 99, 0);
	assert_int_equal(find(&l, 1, 0), 99);
	learned_done(&l);
}

static void what_nobody_asks_for_is_forgotten_and_the_rest_is_not(void **state)
{
	struct learned l;
	uint64_t now_ms = 1;

	(void)state;
	learned_init(&l);
	put(&l, 1, 10, now_ms);
	put(&l, 2, 20, now_ms);
	for (uint32_t i = 0; i < 4; i++) {
		now_ms += LEARNED_GENERATION_MS;
		put(&l, 1000 + i, 1, now_ms);
		assert_int_equal(find(&l, 1, now_ms), 10);
	}
	assert_int_equal(find(&l, 2, now_ms), 0);
	learned_done(&l);
}

static void a_flood_stays_within_its_bound(void **state)
{
	struct learned l;

	(void)state;
	learned_init(&l);
	put(&l, 0xffffffff, 7, 0);
	for (uint32_t i = 0; i < 3 * LEARNED_MAX; i++) {
		put(&l, i, 1, 0);
		if (i % 1000 == 0)
			assert_int_equal(find(&l, 0xffffffff, 0), 7); /* a session that is alive */
	}
	assert_true(l.young.count <= LEARNED_MAX && l.old.count <= LEARNED_MAX);
	assert_true(l.young.mask < 2 * LEARNED_MAX && l.old.mask < 2 * LEARNED_MAX);
	assert_int_equal(find(&l, 0, 0), 0);
	learned_done(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_is_of_secret_cluster_and_endpoint),
		cmocka_unit_test(a_secret_file_is_read_without_its_last_line_end),
		cmocka_unit_test(sessions_are_found_and_may_move),
		cmocka_unit_test(what_nobody_asks_for_is_forgotten_and_the_rest_is_not),
		cmocka_unit_test(a_flood_stays_within_its_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
