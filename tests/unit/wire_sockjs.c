/* wire/sockjs: paths, frames, escapes. */
#include "wire/sockjs.h"

#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct {
	const char *path;
	enum sockjs_page page;
	enum sockjs_transport transport;
	const char *session;
} paths[] = {
	{ "", SOCKJS_GREETING, 0, NULL },
	{ "/", SOCKJS_GREETING, 0, NULL },
	{ "/info", SOCKJS_INFO, 0, NULL },
	{ "/iframe.html", SOCKJS_IFRAME, 0, NULL },
	{ "/iframe-a_1.2.html", SOCKJS_IFRAME, 0, NULL },
	{ "/iframeA.html", SOCKJS_NOTHING, 0, NULL },
	{ "/iframe.htm", SOCKJS_NOTHING, 0, NULL },
	{ "/websocket", SOCKJS_RAW_WEBSOCKET, 0, NULL },
	{ "/a/b/xhr", SOCKJS_TRANSPORT, SOCKJS_XHR, "b" },
	{ "/a/b/xhr/", SOCKJS_TRANSPORT, SOCKJS_XHR, "b" },
	{ "/a b/c d/jsonp_send", SOCKJS_TRANSPORT, SOCKJS_JSONP_SEND, "c d" },
	{ "/a/b/websocket", SOCKJS_TRANSPORT, SOCKJS_WEBSOCKET, "b" },
	{ "/a/b/xhr//", SOCKJS_NOTHING, 0, NULL },
	{ "/a/b/xhr/c", SOCKJS_NOTHING, 0, NULL },
	{ "/a/b/what", SOCKJS_NOTHING, 0, NULL },
	{ "/a//xhr", SOCKJS_NOTHING, 0, NULL },
	{ "//b/xhr", SOCKJS_NOTHING, 0, NULL },
	{ "/a./b/xhr", SOCKJS_NOTHING, 0, NULL },
	{ "/a/b./xhr", SOCKJS_NOTHING, 0, NULL },
	{ "/a/b", SOCKJS_NOTHING, 0, NULL },
	{ "//", SOCKJS_NOTHING, 0, NULL },
};

static void paths_are_taken_apart(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		struct sockjs_target t;

		sockjs_target_parse(paths[i].path, strlen(paths[i].path), &t);
		if (t.page != paths[i].page || (t.page == SOCKJS_TRANSPORT && t.transport != paths[i].transport))
			fail_msg("%s: %d", paths[i].path, t.page);
		if (paths[i].session != NULL && (t.session_len != strlen(paths[i].session) ||
						 memcmp(t.session, paths[i].session, t.session_len) != 0))
			fail_msg("%s: its session", paths[i].path);
	}
}

#define T(literal) literal, sizeof(literal) - 1

static const struct {
	const char *in;
	size_t len;
	const char *want;
} strings[] = {
	{ T("a\"b\\c"), "\"a\\\"b\\\\c\"" },
	{ T("\0\n\x1f"), "\"\\u0000\\u000a\\u001f\"" },
	{ T("\xe2\x80\x8c\xe2\x80\xa8\xe2\x81\xaf"), "\"\\u200c\\u2028\\u206f\"" },
	{ T("\xef\xbf\xb0\xef\xbf\xbf"), "\"\\ufff0\\uffff\"" },
	{ T("\xe2\x82\xac\xf0\x9f\x98\x80"), "\"\xe2\x82\xac\xf0\x9f\x98\x80\"" },
	{ T("\xff\xc0\x80\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\"" },
	{ T("\xe2\x82"), "\"\\ufffd\\ufffd\"" },
};

static void strings_are_escaped(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(strings); i++) {
		struct str s;

		str_init_heap(&s, 256);
		sockjs_write_string(&s, strings[i].in, strings[i].len);
		if (s.len != strlen(strings[i].want) || memcmp(s.at, strings[i].want, s.len) != 0)
			fail_msg("%.*s, want %s", (int)s.len, s.at, strings[i].want);
		str_done(&s);
	}
}

static const struct {
	enum sockjs_transport transport;
	const char *frame, *want;
} frames[] = {
	{ SOCKJS_XHR, "o", "o\n" },
	{ SOCKJS_XHR_STREAMING, "a[\"x\"]", "a[\"x\"]\n" },
	{ SOCKJS_EVENTSOURCE, "a[\"%41\"]", "data: a[\"%2541\"]\r\n\r\n" },
	{ SOCKJS_HTMLFILE, "a[\"</script>\"]", "<script>\np(\"a[\\\"\\u003c/script>\\\"]\");\n</script>\r\n" },
	{ SOCKJS_JSONP, "a[\"\\u0000\"]", "/**/cb(\"a[\\\"\\\\u0000\\\"]\");\r\n" },
};

static void frames_are_framed(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(frames); i++) {
		struct str s;

		str_init_heap(&s, 256);
		sockjs_write_frame(&s, frames[i].transport, "cb", frames[i].frame, strlen(frames[i].frame));
		if (s.len != strlen(frames[i].want) || memcmp(s.at, frames[i].want, s.len) != 0)
			fail_msg("%.*s, want %s", (int)s.len, s.at, frames[i].want);
		str_done(&s);
	}
}

static void parameters_and_callbacks(void **state)
{
	char out[8];

	(void)state;
	assert_int_equal(sockjs_parameter(T("t=1&c=a%62+x&d=2"), "c", out, sizeof(out)), 4);
	assert_memory_equal(out, "ab x", 4);
	assert_int_equal(sockjs_parameter(T("cc=1"), "c", out, sizeof(out)), -1);
	assert_int_equal(sockjs_parameter(T("c"), "c", out, sizeof(out)), -1);
	assert_int_equal(sockjs_parameter(T("c="), "c", out, sizeof(out)), 0);
	assert_int_equal(sockjs_parameter(T("c=%4"), "c", out, sizeof(out)), 2);
	assert_int_equal(sockjs_parameter(T("c=123456789"), "c", out, sizeof(out)), -1);
	assert_true(sockjs_callback_is_good(T("a.B-c_9")));
	assert_false(sockjs_callback_is_good(T("a(b")));
	assert_false(sockjs_callback_is_good(T("")));
	assert_false(sockjs_callback_is_good(T("123456789012345678901234567890123")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_are_taken_apart),
		cmocka_unit_test(strings_are_escaped),
		cmocka_unit_test(frames_are_framed),
		cmocka_unit_test(parameters_and_callbacks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
