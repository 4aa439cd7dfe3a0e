/* proxy/affinity: sessions in the beginning of a body, however it is cut. */
#include "proxy_setup.h"

#include "proxy/affinity.h"

static const struct {
	const char *body;
	const char *want;
} bodies[] = {
	{ "0{\"sid\":\"abc\",\"upgrades\":[]}", "abc" },
	{ "{ \"a\" : 1, \"sid\" :\n\"x-y_z\" }", "x-y_z" },
	{ "{\"psid\":\"no\",\"sid\":\"yes\"}", "yes" },
	{ "{\"a\":\"sid\",\"sid\":\"b\"}", "b" },
	{ "{\"a\":\"\\\"sid\",\"sid\":\"b\"}", "b" },
	{ "{\"sid\":\"\"}", NULL },
	{ "{\"sid\":7}", NULL },
	{ "{\"sid\":\"a\\u0062\"}", NULL },
	{ "{\"sid\":\"a\nb\"}", NULL },
	{ "{\"sidx\":\"a\"}", NULL },
	{ "\"sid\"", NULL },
	{ "\"", NULL },
	{ "", NULL },
};

static void a_session_is_found_when_it_is_whole(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		size_t whole = strlen(bodies[i].body);
		bool was_there = false;

		for (size_t len = 0; len <= whole; len++) {
			uint8_t *in = malloc(len > 0 ? len : 1);
			const char *got;
			size_t got_len;

			assert_non_null(in);
			memcpy(in, bodies[i].body, len);
			if (affinity_session_scan(in, len, "sid", &got, &got_len)) {
				if (bodies[i].want == NULL)
					fail_msg("%s: found %.*s", bodies[i].body, (int)got_len, got);
				assert_bytes(bodies[i].body, got, got_len, bodies[i].want);
				was_there = true;
			} else if (was_there) {
				fail_msg("%s: lost again at %zu", bodies[i].body, len);
			}
			free(in);
		}
		if (was_there != (bodies[i].want != NULL))
			fail_msg("%s: %s", bodies[i].body, was_there ? "found" : "not found");
	}
}

static void an_overlong_session_is_none(void **state)
{
	char body[AFFINITY_SESSION_MAX + 64];
	const char *got;
	size_t got_len;

	(void)state;
	for (unsigned more = 0; more < 2; more++) {
		int len = snprintf(body, sizeof(body), "{\"sid\":\"%0*d\"}", AFFINITY_SESSION_MAX + (int)more, 7);

		assert_int_equal(affinity_session_scan((uint8_t *)body, (size_t)len, "sid", &got, &got_len), more == 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_session_is_found_when_it_is_whole),
		cmocka_unit_test(an_overlong_session_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
