/* proxy/template: what variables become, and that nothing they say ends a line. */
#include "proxy_setup.h"

#include "proxy/template.h"

static const struct {
	const char *value; /* of a header that is set */
	const char *head;
	const char *want;
} cases[] = {
	{ "", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "" },
	{ "plain", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "plain" },
	{ "$$5", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "$5" },
	{ "$remote_addr", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "192.0.2.7" },
	{ "a $remote_addr b", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "a 192.0.2.7 b" },
	{ "$host", "GET / HTTP/1.1\r\nHost: Www.Example.com:8080\r\n\r\n", "Www.Example.com:8080" },
	{ "$host", "GET http://inner/ HTTP/1.1\r\nHost: outer\r\n\r\n", "inner" },
	{ "[$host]", "GET / HTTP/1.0\r\nX-A: b\r\n\r\n", "[]" },
	{ "https://$host$request_uri", "GET /a/./b?c=d HTTP/1.1\r\nHost: x\r\n\r\n", "https://x/a/./b?c=d" },
	{ "$request_uri", "GET /%0d%0aX-Evil:%201 HTTP/1.1\r\nHost: x\r\n\r\n", "/%0d%0aX-Evil:%201" },
	{ "$request_uri", "GET /? HTTP/1.1\r\nHost: x\r\n\r\n", "/?" },
	{ "$request_uri", "GET http://x HTTP/1.1\r\nHost: x\r\n\r\n", "/" },
	{ "$request_uri", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "*" },
	{ "$scheme", "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-Proto: https\r\n\r\n", "http" },
	{ "<$claim.sub>", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "<>" },
};

static void variables_are_filled_in(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char routes[256], out[256];
		struct setup s;
		struct str text;

		snprintf(routes, sizeof(routes),
			 "{cluster: c, request_headers: {set: {X: '%s'}}}, {cluster: c, path: \"= *\"}",
			 cases[i].value);
		setup_config(&s, routes, "");
		assert_int_equal(setup_request(&s, cases[i].head), REASON_NONE);
		str_init(&text, out, sizeof(out));
		template_print(&text, &s.config->listeners[0].routes[0].request_headers.set[0].value, &s.r);
		assert_false(text.is_cut);
		assert_bytes(cases[i].value, out, text.len, cases[i].want);
		setup_done(&s);
	}
}

static void request_id_is_the_requests(void **state)
{
	char out[64];
	struct setup s;
	struct str text;

	(void)state;
	setup_config(&s, "{cluster: c, request_headers: {set: {X: $request_id}}}", "");
	assert_int_equal(setup_get(&s, "/", ""), REASON_NONE);
	str_init(&text, out, sizeof(out));
	template_print(&text, &s.r.route->request_headers.set[0].value, &s.r);
	assert_bytes("$request_id", out, text.len, s.r.id);
	setup_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(variables_are_filled_in),
		cmocka_unit_test(request_id_is_the_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
