/* proxy/request_key: the bytes behind ip, uri, header, cookie, query. */
#include "proxy_setup.h"

#include "proxy/request_key.h"

#define NONE NULL

static const struct {
	const char *name;
	enum request_key_kind kind;
	const char *key; /* the name in the key */
	const char *target, *lines;
	const char *want;
} cases[] = {
	{ "the peer's address", REQUEST_KEY_IP, NULL, "/", "", "192.0.2.7" },
	{ "nobody's word is believed for it", REQUEST_KEY_IP, NULL, "/", "X-Forwarded-For: 10.0.0.1\r\n", "192.0.2.7" },
	{ "a path without its query", REQUEST_KEY_URI, NULL, "/room/1?token=x", "", "/room/1" },
	{ "one path, one key, however it is written", REQUEST_KEY_URI, NULL, "/a/../room/%31", "", "/room/1" },
	{ "a header in any case", REQUEST_KEY_HEADER, "x-room", "/", "X-Room:  blue \r\n", "blue" },
	{ "the first of several", REQUEST_KEY_HEADER, "x-room", "/", "X-Room: a\r\nX-Room: b\r\n", "a" },
	{ "no such header", REQUEST_KEY_HEADER, "x-room", "/", "X-Rooms: a\r\n", NONE },
	{ "an empty header is none", REQUEST_KEY_HEADER, "x-room", "/", "X-Room:\r\n", NONE },
	{ "a cookie", REQUEST_KEY_COOKIE, "sid", "/", "Cookie: a=1; sid=abc; b=2\r\n", "abc" },
	{ "a cookie's name has its case", REQUEST_KEY_COOKIE, "sid", "/", "Cookie: SID=abc\r\n", NONE },
	{ "a cookie in the second field", REQUEST_KEY_COOKIE, "sid", "/", "Cookie: a=1\r\nCookie: sid=x\r\n", "x" },
	{ "an argument", REQUEST_KEY_QUERY, "room", "/?a=1&room=blue&b=2", "", "blue" },
	{ "an argument is decoded", REQUEST_KEY_QUERY, "room", "/?room=a%20b+c", "", "a b c" },
	{ "what has no decoding stands", REQUEST_KEY_QUERY, "room", "/?room=%zz", "", "%zz" },
	{ "what is too long to decode stands", REQUEST_KEY_QUERY, "room", "/?room=0123456789abcdef%20", "",
	  "0123456789abcdef%20" },
	{ "an argument without a value is none", REQUEST_KEY_QUERY, "room", "/?room&x=1", "", NONE },
	{ "no query", REQUEST_KEY_QUERY, "room", "/", "", NONE },
	{ "claims need tokens", REQUEST_KEY_CLAIM, "sub", "/", "Authorization: Bearer x\r\n", NONE },
};

static void each_kind_finds_its_bytes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char name[32] = "", scratch[16];
		const struct request_key k = { cases[i].kind, name };
		struct setup s;
		const char *at = NULL;
		size_t len = 0;
		bool is_there;

		snprintf(name, sizeof(name), "%s", cases[i].key != NULL ? cases[i].key : "");
		setup_config(&s, "{cluster: c}", "");
		assert_int_equal(setup_get(&s, cases[i].target, cases[i].lines), REASON_NONE);
		is_there = request_key_find(&k, &s.r, scratch, sizeof(scratch), &at, &len);
		if (is_there != (cases[i].want != NULL))
			fail_msg("%s: %s", cases[i].name, is_there ? "found" : "not found");
		if (is_there)
			assert_bytes(cases[i].name, at, len, cases[i].want);
		setup_done(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(each_kind_finds_its_bytes) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
