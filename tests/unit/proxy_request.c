/* proxy/request: whose request it is, which host and path it is for. */
#include "proxy_setup.h"

#define TRUSTED "trusted_proxies: [10.0.0.0/8, \"fd00::/8\"]"
#define ROUTE	"{cluster: c}"

static const struct {
	const char *peer;
	const char *lines; /* X-Forwarded-For */
	const char *want;
	bool is_trusted;
} clients[] = {
	{ "192.0.2.7:1", "", "192.0.2.7", false },
	{ "255.255.255.255:1", "", "255.255.255.255", false },
	{ "0.0.0.0:1", "", "0.0.0.0", false },
	{ "192.0.2.7:1", "X-Forwarded-For: 6.6.6.6\r\n", "192.0.2.7", false },
	{ "[2001:db8::7]:1", "", "2001:db8::7", false },
	{ "10.0.0.1:1", "", "10.0.0.1", true },
	{ "10.0.0.1:1", "X-Forwarded-For: 6.6.6.6\r\n", "6.6.6.6", true },
	{ "10.0.0.1:1", "X-Forwarded-For: 6.6.6.6, 9.9.9.9\r\n", "9.9.9.9", true },
	{ "10.0.0.1:1", "X-Forwarded-For: 6.6.6.6,9.9.9.9 , 10.1.1.1\r\n", "9.9.9.9", true },
	{ "10.0.0.1:1", "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 10.2.2.2\r\n", "6.6.6.6", true },
	{ "10.0.0.1:1", "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7\r\n", "7.7.7.7", true },
	{ "10.0.0.1:1", "X-Forwarded-For: 10.3.3.3, 10.2.2.2\r\n", "10.3.3.3", true },
	{ "10.0.0.1:1", "X-Forwarded-For: 6.6.6.6, unknown\r\n", "10.0.0.1", true },
	{ "10.0.0.1:1", "X-Forwarded-For: 6.6.6.6, unknown, 10.2.2.2\r\n", "10.2.2.2", true },
	{ "10.0.0.1:1", "X-Forwarded-For: 6.6.6.6, _hidden, 7.7.7.7\r\n", "7.7.7.7", true },
	{ "10.0.0.1:1", "X-Forwarded-For: 6.6.6.6, , ,\r\n", "6.6.6.6", true },
	{ "10.0.0.1:1", "X-Forwarded-For:\r\n", "10.0.0.1", true },
	{ "10.0.0.1:1", "X-Forwarded-For: ,\r\n", "10.0.0.1", true },
	{ "10.0.0.1:1", "X-Forwarded-For: 6.6.6.6:4711\r\n", "6.6.6.6", true },
	{ "10.0.0.1:1", "X-Forwarded-For: 2001:db8::7\r\n", "2001:db8::7", true },
	{ "10.0.0.1:1", "X-Forwarded-For: [2001:DB8::7]\r\n", "2001:db8::7", true },
	{ "10.0.0.1:1", "X-Forwarded-For: [2001:db8::7]:443\r\n", "2001:db8::7", true },
	{ "10.0.0.1:1", "X-Forwarded-For: ::ffff:6.6.6.6\r\n", "6.6.6.6", true },
	{ "10.0.0.1:1", "X-Forwarded-For: 6.6.6.6, ::ffff:10.6.6.6\r\n", "6.6.6.6", true },
	{ "10.0.0.1:1", "X-Forwarded-For: 6.6.6.6, fd00::1\r\n", "6.6.6.6", true },
	{ "10.0.0.1:1", "X-Forwarded-For: fe80::1%eth0\r\n", "10.0.0.1", true },
	{ "10.0.0.1:1", "X-Forwarded-For: 6.6.6.256\r\n", "10.0.0.1", true },
	{ "10.0.0.1:1", "X-Forwarded-For: 6.6.6.6:99999\r\n", "10.0.0.1", true },
	{ "10.0.0.1:1", "X-Forwarded-For: [6.6.6.6]\r\n", "10.0.0.1", true },
	{ "10.0.0.1:1", "X-Forwarded-For: ]\r\n", "10.0.0.1", true },
	{ "10.0.0.1:1", "X-Forwarded-For: [\r\n", "10.0.0.1", true },
	{ "10.0.0.1:1", "X-Forwarded-For: :\r\n", "10.0.0.1", true },
	{ "10.0.0.1:1", "X-Forwarded-For: unix:/run/x\r\n", "10.0.0.1", true },
	{ "10.0.0.1:1", "X-Forwarded-For: \"6.6.6.6\"\r\n", "10.0.0.1", true },
	{ "10.0.0.1:1", "X-Forwarded-For: 1111111111111111111111111111111111111111111111111111111111111\r\n",
	  "10.0.0.1", true },
	{ "[fd00::9]:1", "X-Forwarded-For: 6.6.6.6\r\n", "6.6.6.6", true },
	{ "unix:/run/front", "X-Forwarded-For: 6.6.6.6\r\n", "6.6.6.6", true },
	{ "unix:/run/front", "", "unix:", true },
};

static void client_is_the_first_from_the_right_that_nobody_trusts(void **state)
{
	struct setup s;

	(void)state;
	setup_config(&s, ROUTE, TRUSTED);
	for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
		assert_int_equal(addr_parse(&s.peer, clients[i].peer), 0);
		assert_int_equal(setup_get(&s, "/", clients[i].lines), REASON_NONE);
		assert_bytes(clients[i].lines, s.r.client, s.r.client_len, clients[i].want);
		assert_int_equal(s.r.client[s.r.client_len], '\0');
		assert_int_equal(s.r.is_trusted, clients[i].is_trusted);
	}
	setup_done(&s);
}

static void unix_peer_is_trusted_only_where_somebody_is(void **state)
{
	struct setup s;

	(void)state;
	setup_config(&s, ROUTE, "");
	assert_int_equal(addr_parse(&s.peer, "unix:/run/front"), 0);
	assert_int_equal(setup_get(&s, "/", "X-Forwarded-For: 6.6.6.6\r\n"), REASON_NONE);
	assert_false(s.r.is_trusted);
	assert_string_equal(s.r.client, "unix:");
	setup_done(&s);
}

static const struct {
	const char *line; /* of a request */
	const char *host;
	const char *want;
} hosts[] = {
	{ "GET / HTTP/1.1", "Host: localhost", "localhost" },
	{ "GET / HTTP/1.1", "Host: LocalHost:8080", "localhost" },
	{ "GET / HTTP/1.1", "Host: chat.example.com.", "chat.example.com" },
	{ "GET / HTTP/1.1", "Host: CHAT.example.com.:443", "chat.example.com" },
	{ "GET / HTTP/1.1", "Host: [::1]:80", "[::1]" },
	{ "GET / HTTP/1.1", "Host: [2001:DB8::1]", "[2001:db8::1]" },
	{ "GET / HTTP/1.1", "Host: .", "." },
	{ "GET http://Inner.example:81/ HTTP/1.1", "Host: outer", "inner.example" },
	{ "GET / HTTP/1.0", "X-A: b", "" },
};

static void host_is_in_lower_case_and_without_port(void **state)
{
	struct setup s;
	char text[256];

	(void)state;
	setup_config(&s, ROUTE, "");
	for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
		snprintf(text, sizeof(text), "%s\r\n%s\r\n\r\n", hosts[i].line, hosts[i].host);
		assert_int_equal(setup_request(&s, text), REASON_NONE);
		assert_bytes(text, s.r.host, s.r.host_len, hosts[i].want);
	}
	setup_done(&s);
}

static const struct {
	const char *target;
	const char *want; /* NULL: refused */
} paths[] = {
	{ "/", "/" },
	{ "/a//b", "/a//b" },
	{ "/a/./b/../c", "/a/c" },
	{ "/%7euser/%2F?x=%20&y=;z", "/~user/%2F" },
	{ "/?", "/" },
	{ "/a?b?c", "/a" },
	{ "/*", "/*" },
	{ "/:80", "/:80" },
	{ "/a;p=1,2", "/a;p=1,2" },
	{ "/(a)'!$&+", "/(a)'!$&+" },
	{ "/\",\"status\":200,\"x\":\"", "/\",\"status\":200,\"x\":\"" },
	{ "/app.js", "/app.js" },
	{ "/.well-known/x", "/.well-known/x" },
	{ "/a%0d%0aX:%20y", "/a%0D%0AX:%20y" },
	{ "/a\\b", "/a\\b" },
	{ "http://localhost", "/" },
	{ "http://localhost/x?y", "/x" },
	{ "/../secret", NULL },
	{ "/a/../../secret", NULL },
	{ "/%2e%2e/secret", NULL },
	{ "/..", NULL },
	{ "/a/%2E%2E/%2e%2e/x", NULL },
	{ "/a%00b", NULL },
	{ "/%zz", NULL },
	{ "/%4", NULL },
	{ "/%", NULL },
	{ "/a%0", NULL },
	{ "/a\\..\\b", NULL },
	{ "/a..\\..\\b", NULL },
	{ "/a/..%2fb", NULL },
};

static void path_has_one_reading_or_none(void **state)
{
	struct setup s;

	(void)state;
	setup_config(&s, ROUTE, "");
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		enum reason why = setup_get(&s, paths[i].target, "");

		if (why != (paths[i].want == NULL ? REASON_BAD_REQUEST : REASON_NONE))
			fail_msg("%s: %s", paths[i].target, reason_of(why)->word);
		assert_bytes(paths[i].target, s.r.path, s.r.path_len,
			     paths[i].want == NULL ? "" : paths[i].want);
		assert_string_equal(s.r.client, "192.0.2.7"); /* the log wants it of a refused request, too */
	}
	setup_done(&s);
}

static void requests_without_a_path_are_prepared_all_the_same(void **state)
{
	struct setup s;

	(void)state;
	setup_config(&s, ROUTE, "");
	setup_head(&s, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(request_prepare(&s.r, s.scratch, 2), REASON_NONE);
	assert_bytes("OPTIONS *", s.r.path, s.r.path_len, "*");
	setup_head(&s, "OPTIONS http://x HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(request_prepare(&s.r, s.scratch, 2), REASON_NONE);
	assert_bytes("OPTIONS http://x", s.r.path, s.r.path_len, "*");
	setup_head(&s, "CONNECT x:22 HTTP/1.1\r\nHost: x:22\r\n\r\n");
	assert_int_equal(request_prepare(&s.r, s.scratch, 4), REASON_NONE);
	assert_int_equal(s.r.path_len, 0);
	setup_done(&s);
}

static void every_request_has_an_id_of_its_own(void **state)
{
	char last[REQUEST_ID_LEN + 1] = "";
	struct setup s;

	(void)state;
	setup_config(&s, ROUTE, "");
	for (int i = 0; i < 100; i++) {
		assert_int_equal(setup_get(&s, "/", "X-Request-Id: mine\r\n"), REASON_NONE);
		assert_int_equal(strlen(s.r.id), REQUEST_ID_LEN);
		assert_int_equal(strspn(s.r.id, "0123456789abcdef"), REQUEST_ID_LEN);
		assert_string_not_equal(s.r.id, last);
		strcpy(last, s.r.id);
	}
	setup_done(&s);
}

static const struct {
	const char *peer;
	const char *lines;
	bool is_tls;
	const char *want;
} schemes[] = {
	{ "192.0.2.7:1", "", false, "http" },
	{ "192.0.2.7:1", "", true, "https" },
	{ "192.0.2.7:1", "X-Forwarded-Proto: https\r\n", false, "http" },
	{ "10.0.0.1:1", "X-Forwarded-Proto: HTTPS\r\n", false, "https" },
	{ "10.0.0.1:1", "X-Forwarded-Proto: http\r\n", true, "http" },
	{ "10.0.0.1:1", "X-Forwarded-Proto: gopher\r\n", true, "https" },
};

static void scheme_is_how_it_came_in_or_what_a_trusted_peer_says(void **state)
{
	struct setup s;

	(void)state;
	setup_config(&s, ROUTE, TRUSTED);
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		assert_int_equal(addr_parse(&s.peer, schemes[i].peer), 0);
		s.r.is_tls = schemes[i].is_tls;
		assert_int_equal(setup_get(&s, "/", schemes[i].lines), REASON_NONE);
		assert_string_equal(request_scheme(&s.r), schemes[i].want);
	}
	setup_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(client_is_the_first_from_the_right_that_nobody_trusts),
		cmocka_unit_test(unix_peer_is_trusted_only_where_somebody_is),
		cmocka_unit_test(host_is_in_lower_case_and_without_port),
		cmocka_unit_test(path_has_one_reading_or_none),
		cmocka_unit_test(requests_without_a_path_are_prepared_all_the_same),
		cmocka_unit_test(every_request_has_an_id_of_its_own),
		cmocka_unit_test(scheme_is_how_it_came_in_or_what_a_trusted_peer_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
