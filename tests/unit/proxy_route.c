/* proxy/route: which route takes a request, which cluster, which path the backend sees. */
#include "proxy_setup.h"

#define R(name, keys) "{name: " name ", cluster: c" keys "}"

struct question {
	const char *head; /* "METHOD TARGET", host, further lines */
	const char *host;
	const char *lines;
	const char *want; /* a route's name, or NULL: none */
};

static void ask(const char *routes, const struct question *q, size_t count)
{
	struct setup s;
	char text[1024];

	setup_config(&s, routes, "");
	for (size_t i = 0; i < count; i++) {
		enum reason why;

		snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: %s\r\n%s\r\n", q[i].head, q[i].host,
			 q[i].lines);
		why = setup_request(&s, text);
		if (why != (q[i].want == NULL ? REASON_NO_ROUTE : REASON_NONE))
			fail_msg("%s: %s", text, reason_of(why)->word);
		if (q[i].want != NULL)
			assert_string_equal(s.r.route->name, q[i].want);
		else
			assert_null(s.r.route);
	}
	setup_done(&s);
}

static void routes_by_host(void **state)
{
	static const struct question q[] = {
		{ "GET /", "chat.example.com", "", "exact" },
		{ "GET /", "CHAT.Example.com", "", "exact" },
		{ "GET /", "chat.example.com:8443", "", "exact" },
		{ "GET /", "chat.example.com.", "", "exact" },
		{ "GET /", "x.example.com", "", "wild" },
		{ "GET /", "x.y.example.com", "", "wild" },
		{ "GET /", "example.com", "", NULL },
		{ "GET /", "notexample.com", "", NULL },
		{ "GET /", "eu-12.test", "", "regex" },
		{ "GET /", "eu-x.test", "", NULL },
		{ "GET /", "a.test", "", "list" },
		{ "GET /", "x.b.test", "", "list" },
		{ "GET /", "b.test", "", NULL },
		{ "GET /", "[::1]:80", "", "ip6" },
		{ "GET http://a.test/", "other", "", "list" },
		{ "GET /", "other", "", NULL },
	};

	(void)state;
	ask(R("exact", ", host: chat.example.com") "," R("wild", ", host: \"*.example.com\"") "," R(
		    "regex",
		    ", host: '~ ^eu-\\d+\\.test$'") "," R("list",
							  ", host: [a.test, \"*.b.test\"]") "," R("ip6",
												  ", host: "
												  "\"[::1]"
												  "\""),
	    q, ARRAY_LEN(q));
}

static void routes_by_path(void **state)
{
	static const struct question q[] = {
		{ "GET /ws", "x", "", "exact" },	 { "GET /ws?x=1", "x", "", "exact" },
		{ "GET /ws/", "x", "", "prefix" },	 { "GET /ws/a", "x", "", "prefix" },
		{ "GET /wsx", "x", "", NULL },		 { "GET /WS", "x", "", NULL },
		{ "GET /ws/deep", "x", "", "deep" },	 { "GET /ws/deep/er", "x", "", "deep" },
		{ "GET /ws/deeper", "x", "", "prefix" }, { "GET /dir/x", "x", "", "slash" },
		{ "GET /dirx", "x", "", NULL },		 { "GET /v12/a.js", "x", "", "regex" },
		{ "GET /v/a.js", "x", "", NULL },	 { "GET /", "x", "", NULL },
		{ "GET /x/../%77s", "x", "", "exact" },	 { "GET /ws%2fa", "x", "", NULL },
		{ "OPTIONS *", "x", "", "server" },	 { "GET /*", "x", "", NULL },
	};

	(void)state;
	ask(R("exact", ", path: \"= /ws\"") "," R("deep", ", path: /ws/deep") "," R(
		    "prefix",
		    ", path: /ws") "," R("slash",
					 ", path: /dir/") "," R("regex",
								", path: '~ ^/v(\\d+)/.*\\.js$'") "," R("serv"
													"er",
													", "
													"path"
													": "
													"\"= "
													"*"
													"\""),
	    q, ARRAY_LEN(q));
}

static void routes_by_method(void **state)
{
	static const struct question q[] = {
		{ "GET /", "x", "", "read" },  { "HEAD /", "x", "", "read" }, { "POST /", "x", "", "write" },
		{ "PURGE /", "x", "", "odd" }, { "DELETE /", "x", "", NULL }, { "get /", "x", "", NULL },
		{ "GETX /", "x", "", NULL },
	};

	(void)state;
	ask(R("read", ", methods: [GET, HEAD]") "," R("write", ", methods: POST") "," R("odd",
											", methods: [PURGE]"),
	    q, ARRAY_LEN(q));
}

static void routes_by_header(void **state)
{
	static const struct question q[] = {
		{ "GET /", "x", "X-Beta: 1\r\nX-Gamma: gamma\r\n", "both" },
		{ "GET /", "x", "x-BETA: 1\r\n", "one" },
		{ "GET /", "x", "X-Beta: 1\r\nX-Gamma: delta\r\n", "one" },
		{ "GET /", "x", "X-Beta: 0\r\nX-Beta: 1\r\n", "one" },
		{ "GET /", "x", "X-Beta: 2\r\n", NULL },
		{ "GET /", "x", "X-Beta: 11\r\n", NULL },
		{ "GET /", "x", "X-Empty:\r\n", "empty" },
		{ "GET /", "x", "X-Empty: 1\r\n", NULL },
		{ "GET /", "x", "User-Agent: curl/8\r\n", "known" },
		{ "GET /", "x", "", NULL },
	};

	(void)state;
	ask(R("both", ", headers: {X-Beta: \"1\", X-Gamma: \"~ ^g.*a$\"}") "," R(
		    "one",
		    ", headers: {x-beta: "
		    "\"1\"}") "," R("empty", ", headers: {X-Empty: \"\"}") "," R("known",
										 ", headers: {user-agent: "
										 "\"~ ^curl\"}"),
	    q, ARRAY_LEN(q));
}

static void routes_by_query(void **state)
{
	static const struct question q[] = {
		{ "GET /?v=2", "x", "", "two" },	{ "GET /?x=1&v=2&y", "x", "", "two" },
		{ "GET /?v=1&v=2", "x", "", "two" },	{ "GET /?v=22", "x", "", NULL },
		{ "GET /?v", "x", "", NULL },		{ "GET /?v=%zz", "x", "", NULL },
		{ "GET /?v=%32", "x", "", "two" },	{ "GET /?n=123", "x", "", "digits" },
		{ "GET /?n=a", "x", "", NULL },		{ "GET /?name=a%20b", "x", "", "space" },
		{ "GET /?name=a+b", "x", "", "space" }, { "GET /?%76=2", "x", "", "two" },
		{ "GET /v=2", "x", "", NULL },		{ "GET /?", "x", "", NULL },
		{ "GET /?empty", "x", "", "empty" },	{ "GET /?empty=&v=3", "x", "", "empty" },
	};

	(void)state;
	ask(R("two", ", query: {v: \"2\"}") "," R("digits", ", query: {n: '~ ^\\d+$'}") "," R(
		    "space", ", query: {name: \"a b\"}") "," R("empty", ", query: {empty: \"\"}"),
	    q, ARRAY_LEN(q));
}

static void long_arguments_are_compared_as_a_whole(void **state)
{
	char target[12000] = "/?n=";
	struct setup s;

	(void)state;
	setup_config(&s, R("digits", ", query: {n: '~ ^\\d+$'}") "," R("short", ", query: {n: \"1\"}"), "");
	for (int i = 0; i < 3000; i++)
		strcat(target, "%31");
	assert_int_equal(setup_get(&s, target, ""), REASON_NONE);
	strcat(target, "a");
	assert_int_equal(setup_get(&s, target, ""), REASON_NO_ROUTE);
	setup_done(&s);
}

static void first_match_wins_and_all_keys_count(void **state)
{
	static const struct question q[] = {
		{ "GET /x/y/z", "x", "", "a" },
		{ "GET /x/z", "x", "", "b" },
		{ "GET /v2/x?q=2", "api.test", "A: 1\r\n", "v2" },
		{ "GET /v2/x?q=2", "api.test", "A: 2\r\n", "any" },
		{ "GET /v2/x", "api.test", "A: 1\r\n", "any" },
		{ "POST /v2/x?q=2", "api.test", "A: 1\r\n", "any" },
		{ "GET /v2/x?q=2", "web.test", "A: 1\r\n", NULL },
	};

	(void)state;
	ask(R("a", ", path: /x/y") "," R("b", ", path: /x") "," R("c", ", path: /x/y/z") "," R(
		    "v2", ", host: api.test, path: /v2, methods: [GET], headers: {A: \"1\"}, query: {q: "
			  "\"2\"}") "," R("any", ", host: api.test"),
	    q, ARRAY_LEN(q));
}

static void pattern_that_would_take_for_ever_gives_up(void **state)
{
	char target[600] = "/";
	struct setup s;

	(void)state;
	setup_config(&s, R("slow", ", path: '~ ^/(a+)+$'") "," R("rest", ""), "");
	memset(target + 1, 'a', 500);
	assert_int_equal(setup_get(&s, target, ""), REASON_NONE);
	target[501] = '!';
	assert_int_equal(setup_get(&s, target, ""), REASON_REGEX_LIMIT);
	setup_done(&s);
}

static void targets_share_as_their_weights_say(void **state)
{
	const uint64_t step = UINT64_MAX / 400;
	const struct route_config *route;
	int c = 0;
	struct setup s;

	(void)state;
	setup_config(&s,
		     "{clusters: [{name: c, weight: 3}, {name: d, weight: 1}, {name: c, weight: 0}]}, "
		     "{cluster: d}",
		     "");
	route = &s.config->listeners[0].routes[0];
	for (uint64_t i = 0; i < 400; i++)
		c += strcmp(route_target(route, i * step + step / 2)->name, "c") == 0;
	assert_int_equal(c, 300);
	assert_string_equal(route_target(route, 0)->name, "c");
	assert_string_equal(route_target(route, UINT64_MAX)->name, "d");
	assert_string_equal(route_target(route + 1, UINT64_MAX)->name, "d");
	setup_done(&s);
}

static const struct {
	const char *rewrite;
	const char *target;
	const char *want; /* NULL: -2 */
} rewrites[] = {
	{ "path: '~ ^/ws/(.*)$', to: /socket/$1", "/ws/a/b?c=d", "/socket/a/b" },
	{ "path: '~ ^/ws/(.*)$', to: /socket/$1", "/other?x", "/other" },
	{ "path: '~ ^/ws/(.*)$', to: /socket/$1", "/%4fther/./x", "/%4fther/./x" },
	{ "path: '~ ^/ws/(.*)$', to: /socket/$1", "/%77s/%7e%2f/x/..", "/socket/~%2F/" },
	{ "path: '~ ^/(\\w+)/(\\w+)$', to: /$2/$1", "/a/b", "/b/a" },
	{ "path: '~ ^/ws/(.*)$', to: $1", "/ws/a", NULL },
	{ "path: '~ ^/ws(.*)$', to: $1", "/ws/a", "/a" },
	{ "path: '~ ^/ws/(.*)$', to: '/a?b=$1'", "/ws/a", NULL },
	{ "path: '~ ^/ws/(.*)$', to: '/a#$1'", "/ws/a", NULL },
	{ "path: '~ ^/ws/(.*)$', to: '/ä$1'", "/ws/a", NULL },
	{ "path: '~ ^/(a+)+$', to: '/b'",
	  "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", NULL },
	{ "path: /api, to: /", "/api/v1/x", "/v1/x" },
	{ "path: /api, to: /", "/api", "/" },
	{ "path: /api, to: /", "/api/", "/" },
	{ "path: /api, to: /v2", "/api/x?y=1", "/v2/x" },
	{ "path: /api, to: /v2", "/api", "/v2" },
	{ "path: /api, to: /v2/", "/api", "/v2/" },
	{ "path: /api, to: /v2/", "/api/x", "/v2/x" },
	{ "path: /api, to: /v2", "/apix", "/apix" },
	{ "path: /api/, to: /v2", "/api/x", "/v2/x" },
	{ "path: /api/, to: /v2", "/api/", "/v2/" },
	{ "path: /api/, to: /v2", "/api", "/api" },
	{ "path: /, to: /v2", "/x", "/v2/x" },
	{ "path: /, to: /v2/", "/", "/v2/" },
	{ "path: '= /old', to: /new", "/old?q", "/new" },
	{ "path: '= /old', to: /new", "/old/x", "/old/x" },
};

static void rewrite_makes_the_path_for_the_backend(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rewrites); i++) {
		char routes[256], out[256];
		struct setup s;
		long len;

		snprintf(routes, sizeof(routes), "{cluster: c, rewrite: {%s}}", rewrites[i].rewrite);
		setup_config(&s, routes, "");
		assert_int_equal(setup_get(&s, rewrites[i].target, ""), REASON_NONE);
		len = route_rewrite(&s.r, out, sizeof(out));
		if (rewrites[i].want == NULL) {
			if (len != -2)
				fail_msg("%s of %s: %ld", routes, rewrites[i].target, len);
		} else {
			assert_true(len > 0);
			assert_bytes(routes, out, (size_t)len, rewrites[i].want);
			for (size_t cap = 0; cap < (size_t)len; cap++)
				assert_int_equal(route_rewrite(&s.r, out, cap), -1);
		}
		setup_done(&s);
	}
}

static void asterisk_is_never_rewritten(void **state)
{
	struct setup s;
	char out[8];

	(void)state;
	setup_config(&s, "{cluster: c, path: \"= *\", rewrite: {path: '~ .*', to: /x}}", "");
	assert_int_equal(setup_request(&s, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"), REASON_NONE);
	assert_int_equal(route_rewrite(&s.r, out, sizeof(out)), 1);
	assert_int_equal(out[0], '*');
	setup_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(routes_by_host),
		cmocka_unit_test(routes_by_path),
		cmocka_unit_test(routes_by_method),
		cmocka_unit_test(routes_by_header),
		cmocka_unit_test(routes_by_query),
		cmocka_unit_test(long_arguments_are_compared_as_a_whole),
		cmocka_unit_test(first_match_wins_and_all_keys_count),
		cmocka_unit_test(pattern_that_would_take_for_ever_gives_up),
		cmocka_unit_test(targets_share_as_their_weights_say),
		cmocka_unit_test(rewrite_makes_the_path_for_the_backend),
		cmocka_unit_test(asterisk_is_never_rewritten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
