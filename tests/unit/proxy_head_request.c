/* proxy/head_request: what a backend reads, line by line. */
#include "proxy_setup.h"

#include "proxy/head_request.h"

#define TRUSTED "trusted_proxies: [10.0.0.0/8]"
#define GET	"GET / HTTP/1.1\r\nHost: localhost\r\n"

/* The id is random: it stands as ID in what is wanted.  Gives (free). */
static char *head_of(struct setup *s, bool is_upgrade)
{
	uint8_t out[16384];
	long len = head_request_write(out, sizeof(out), &s->r, is_upgrade);
	char *text = calloc(1, 16384), *id;

	assert_non_null(text);
	assert_true(len > 0 && len < 16384);
	memcpy(text, out, (size_t)len);
	while ((id = strstr(text, s->r.id)) != NULL) {
		memmove(id + 2, id + REQUEST_ID_LEN, strlen(id + REQUEST_ID_LEN) + 1);
		memcpy(id, "ID", 2);
	}
	return text;
}

/* What is added for a plain request to localhost from 192.0.2.7. */
#define ADDED                                                                                            \
	"X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: localhost\r\n"       \
	"X-Forwarded-Port: 8080\r\nForwarded: for=192.0.2.7;proto=http;host=localhost\r\nX-Request-Id: " \
	"ID\r\n"

static const struct {
	const char *name;
	const char *peer;  /* NULL: 192.0.2.7 */
	const char *local; /* NULL: 127.0.0.1:8080 */
	bool is_tls;
	const char *routes; /* keys of the one route */
	const char *head;   /* without its empty line */
	const char *want;   /* the same */
} cases[] = {
	{ "the plainest", NULL, NULL, false, "", GET, GET ADDED },
	{ "fields stay as they are and where they are", NULL, NULL, false, "",
	  GET "Accept:*/*\r\nCookie: a=1; b=2\r\nX-Twice: 1\r\nX-Empty:\r\nx-twice:  2 \r\n",
	  GET "Accept:*/*\r\nCookie: a=1; b=2\r\nX-Twice: 1\r\nX-Empty:\r\nx-twice:  2 \r\n" ADDED },
	{ "a trace passes, also one that is none", NULL, NULL, false, "",
	  GET "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\ntracestate: a=1\r\nTracestate: b=2\r\n"
	      "Traceparent: what\r\n",
	  GET "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\ntracestate: a=1\r\nTracestate: b=2\r\n"
	      "Traceparent: what\r\n" ADDED },
	{ "the target stays as it is", NULL, NULL, false, "",
	  "GET /a/./b/../%7e%2F?x=%20&y=;z HTTP/1.1\r\nHost: localhost\r\n",
	  "GET /a/./b/../%7e%2F?x=%20&y=;z HTTP/1.1\r\nHost: localhost\r\n" ADDED },
	{ "an empty query stays", NULL, NULL, false, "", "M-SEARCH /? HTTP/1.1\r\nHost: localhost\r\n",
	  "M-SEARCH /? HTTP/1.1\r\nHost: localhost\r\n" ADDED },
	{ "an absolute target names the host", NULL, NULL, false, "",
	  "GET http://inside.example:81?q HTTP/1.1\r\nX-A: b\r\nHost: outside\r\n",
	  "GET /?q HTTP/1.1\r\nHost: inside.example:81\r\nX-A: b\r\nX-Forwarded-For: "
	  "192.0.2.7\r\nX-Forwarded-Proto: http\r\n"
	  "X-Forwarded-Host: inside.example:81\r\nX-Forwarded-Port: 8080\r\n"
	  "Forwarded: for=192.0.2.7;proto=http;host=\"inside.example:81\"\r\nX-Request-Id: ID\r\n" },
	{ "fields of the hop stay here", NULL, NULL, false, "",
	  GET "Connection: keep-alive, X-Named\r\nConnection: x-other\r\nKeep-Alive: 5\r\nX-Named: "
	      "1\r\nX-Kept: 1\r\nX-Other: 1\r\n"
	      "TE: gzip\r\nProxy-Authorization: x\r\nUpgrade: h2c\r\nHTTP2-Settings: "
	      "AAMA\r\nProxy-Connection: close\r\n",
	  GET "X-Kept: 1\r\n" ADDED },
	{ "Connection cannot name away what matters", NULL, NULL, false, "",
	  GET "Connection: close, Host, Content-Length, X-Forwarded-For, Forwarded, "
	      "X-Request-Id\r\nContent-Length: 5\r\n",
	  GET "Content-Length: 5\r\n" ADDED },
	{ "claims of anybody are not believed", NULL, NULL, false, "",
	  GET
	  "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7\r\nX-Forwarded-Proto: "
	  "gopher\r\nX-Forwarded-Host: evil\r\n"
	  "X-Forwarded-Port: 666\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nX-Request-Id: mine\r\n",
	  GET ADDED },
	{ "claims of a trusted peer are extended", "10.0.0.1:1", NULL, false, "",
	  GET "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 10.9.9.9\r\nX-Forwarded-Proto: "
	      "https\r\nX-Forwarded-Host: front\r\n"
	      "X-Forwarded-Port: 443\r\nForwarded: for=6.6.6.6;proto=https\r\nX-Real-IP: "
	      "6.6.6.6\r\nX-Request-Id: mine\r\n",
	  GET
	  "X-Real-IP: 6.6.6.6\r\nX-Forwarded-For: 6.6.6.6, 10.9.9.9, 10.0.0.1\r\nX-Forwarded-Proto: https\r\n"
	  "X-Forwarded-Host: front\r\nX-Forwarded-Port: 443\r\n"
	  "Forwarded: for=6.6.6.6;proto=https, for=10.0.0.1;proto=http;host=localhost\r\nX-Request-Id: "
	  "ID\r\n" },
	{ "a trusted peer that says nothing", "10.0.0.1:1", NULL, true, "", GET "X-Forwarded-For:\r\n",
	  GET "X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: "
	      "localhost\r\nX-Forwarded-Port: 8080\r\n"
	      "Forwarded: for=10.0.0.1;proto=https;host=localhost\r\nX-Request-Id: ID\r\n" },
	{ "IPv6", "[2001:db8::7]:1", "[::1]:443", true, "", "GET / HTTP/1.1\r\nHost: [::1]\r\n",
	  "GET / HTTP/1.1\r\nHost: [::1]\r\nX-Forwarded-For: 2001:db8::7\r\nX-Forwarded-Proto: https\r\n"
	  "X-Forwarded-Host: [::1]\r\nX-Forwarded-Port: 443\r\n"
	  "Forwarded: for=\"[2001:db8::7]\";proto=https;host=\"[::1]\"\r\nX-Request-Id: ID\r\n" },
	{ "a UNIX socket", "unix:/run/a", "unix:/run/b", false, "", GET,
	  GET "X-Forwarded-Proto: http\r\nX-Forwarded-Host: localhost\r\n"
	      "Forwarded: for=unknown;proto=http;host=localhost\r\nX-Request-Id: ID\r\n" },
	{ "a trusted UNIX socket", "unix:/run/a", "unix:/run/b", false, "",
	  GET "X-Forwarded-For: 6.6.6.6\r\n",
	  GET "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: localhost\r\n"
	      "Forwarded: for=unknown;proto=http;host=localhost\r\nX-Request-Id: ID\r\n" },
	{ "HTTP/1.0 without Host", NULL, NULL, false, "", "GET / HTTP/1.0\r\nExpect: 100-continue\r\n",
	  "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: "
	  "http\r\n"
	  "X-Forwarded-Port: 8080\r\nForwarded: for=192.0.2.7;proto=http\r\nX-Request-Id: ID\r\n" },
	{ "HTTP/1.0 without Host at a UNIX socket", NULL, "unix:/run/b", false, "", "GET / HTTP/1.0\r\n",
	  "GET / HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\n"
	  "Forwarded: for=192.0.2.7;proto=http\r\nX-Request-Id: ID\r\n" },
	{ "a body of a length", NULL, NULL, false, "",
	  "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 005\r\n",
	  "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 005\r\n" ADDED },
	{ "a body in chunks", NULL, NULL, false, "",
	  "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: CHUNKED\r\nTrailer: X-Sum\r\nExpect: "
	  "100-continue\r\n",
	  "POST / HTTP/1.1\r\nHost: localhost\r\nTrailer: X-Sum\r\nExpect: 100-continue\r\n" ADDED
	  "Transfer-Encoding: chunked\r\n" },
	{ "OPTIONS *", NULL, NULL, false, ", path: \"= *\"", "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n",
	  "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n" ADDED },
	{ "rewritten", NULL, NULL, false, ", rewrite: {path: /api, to: /v2}",
	  "GET /api/x?y=1 HTTP/1.1\r\nHost: localhost\r\n",
	  "GET /v2/x?y=1 HTTP/1.1\r\nHost: localhost\r\n" ADDED },
	{ "set, added, removed", NULL, NULL, false,
	  ", request_headers: {set: {X-Set: new, X-Who: $remote_addr}, add: {X-Add: second}, remove: "
	  "[X-Remove, Cookie]}",
	  GET
	  "X-Set: old\r\nX-A: 1\r\nx-set: older\r\nX-Add: first\r\nx-remove: 1\r\nCookie: a=b\r\nX-B: 1\r\n",
	  GET "X-A: 1\r\nX-Add: first\r\nX-B: 1\r\n" ADDED
	      "X-Set: new\r\nX-Who: 192.0.2.7\r\nX-Add: second\r\n" },
	{ "edits of known names", NULL, NULL, false,
	  ", request_headers: {set: {user-agent: me}, add: {Cookie: c=d}, remove: [Authorization]}",
	  GET "User-Agent: x\r\nX-A: 1\r\nAuthorization: x\r\nCookie: a=b\r\nuser-agent: y\r\n",
	  GET "X-A: 1\r\nCookie: a=b\r\n" ADDED "user-agent: me\r\nCookie: c=d\r\n" },
	{ "removed and added again", NULL, NULL, false, ", request_headers: {add: {X-A: new}, remove: [X-A]}",
	  GET "X-A: 1\r\nX-A: 2\r\n", GET ADDED "X-A: new\r\n" },
	{ "edits together with Connection", NULL, NULL, false, ", request_headers: {remove: [X-A]}",
	  GET "Connection: X-B\r\nX-A: 1\r\nX-B: 1\r\nX-C: 1\r\n", GET "X-C: 1\r\n" ADDED },
	{ "edits win over what the proxy adds", NULL, NULL, false,
	  ", request_headers: {set: {X-Forwarded-For: $remote_addr, x-request-id: \"1\"}, "
	  "remove: [Forwarded, X-Forwarded-Host, X-Forwarded-Port, X-Forwarded-Proto]}",
	  GET "Forwarded: x\r\nX-Forwarded-For: x\r\n",
	  GET "X-Forwarded-For: 192.0.2.7\r\nx-request-id: 1\r\n" },
	{ "Host is set", NULL, NULL, false, ", request_headers: {set: {host: backend.internal:81}}", GET,
	  "GET / HTTP/1.1\r\nHost: backend.internal:81\r\n" ADDED },
	{ "a Host that is added replaces", NULL, NULL, false, ", request_headers: {add: {Host: b}}", GET,
	  "GET / HTTP/1.1\r\nHost: b\r\n" ADDED },
	{ "Host cannot be removed, nor set to what is none", NULL, NULL, false,
	  ", request_headers: {set: {Host: a b}, add: {Host: \"\"}, remove: [Host]}", GET, GET ADDED },
};

static void backend_reads(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char routes[512], text[2048], want[2048];
		struct setup s;
		char *got;

		snprintf(routes, sizeof(routes), "{cluster: c%s}", cases[i].routes);
		setup_config(&s, routes, strncmp(cases[i].name, "a UNIX", 6) == 0 ? "" : TRUSTED);
		if (cases[i].peer != NULL)
			assert_int_equal(addr_parse(&s.peer, cases[i].peer), 0);
		if (cases[i].local != NULL)
			assert_int_equal(addr_parse(&s.local, cases[i].local), 0);
		s.r.is_tls = cases[i].is_tls;
		snprintf(text, sizeof(text), "%s\r\n", cases[i].head);
		snprintf(want, sizeof(want), "%s\r\n", cases[i].want);
		assert_int_equal(setup_request(&s, text), REASON_NONE);
		got = head_of(&s, false);
		assert_bytes(cases[i].name, got, strlen(got), want);
		free(got);
		setup_done(&s);
	}
}

#define HANDSHAKE                                                                                    \
	GET "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n" \
	    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define SENT GET "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define UP   "Connection: Upgrade\r\nUpgrade: websocket\r\n"

static const struct {
	const char *route;
	const char *extensions;
	const char *want;
} handshakes[] = {
	{ "", "", "" },
	{ "", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n",
	  "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" },
	{ "", "Sec-WebSocket-Extensions: x-secret, permessage-deflate\r\n",
	  "Sec-WebSocket-Extensions: permessage-deflate\r\n" },
	{ "",
	  "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nSec-WebSocket-Extensions: "
	  "x-secret\r\n"
	  "Sec-WebSocket-Extensions: permessage-deflate\r\n",
	  "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, permessage-deflate\r\n" },
	{ "", "Sec-WebSocket-Extensions: x-secret\r\n", "" },
	{ "", "Sec-WebSocket-Extensions:\r\n", "" },
	{ ", websocket: {compression: strip}", "Sec-WebSocket-Extensions: permessage-deflate\r\n", "" },
};

static void backend_reads_a_handshake(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(handshakes); i++) {
		char routes[128], text[1024], want[1024];
		struct setup s;
		char *got;

		snprintf(routes, sizeof(routes), "{cluster: c%s}", handshakes[i].route);
		snprintf(text, sizeof(text), HANDSHAKE "%s\r\n", handshakes[i].extensions);
		snprintf(want, sizeof(want), SENT ADDED "%s" UP "\r\n", handshakes[i].want);
		setup_config(&s, routes, "");
		assert_int_equal(setup_request(&s, text), REASON_NONE);
		got = head_of(&s, true);
		assert_bytes(handshakes[i].extensions, got, strlen(got), want);
		free(got);
		setup_done(&s);
	}
}

static void head_fits_or_is_refused(void **state)
{
	uint8_t out[4096];
	struct setup s;
	long whole;

	(void)state;
	setup_config(&s,
		     "{cluster: c, request_headers: {set: {X-Set: a, Host: b}, remove: [X-R]}, "
		     "rewrite: {path: /a, to: /b}}",
		     TRUSTED);
	assert_int_equal(addr_parse(&s.peer, "10.0.0.1:1"), 0);
	assert_int_equal(
		setup_request(
			&s, "GET /a/b?c HTTP/1.1\r\nHost: localhost\r\nX-R: 1\r\nX-Forwarded-For: 6.6.6.6\r\n"
			    "Forwarded: for=x\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"),
		REASON_NONE);
	whole = head_request_write(out, sizeof(out), &s.r, true);
	assert_true(whole > 0);
	for (long cap = 0; cap < whole; cap++)
		assert_int_equal(head_request_write(out, (size_t)cap, &s.r, true), -1);
	assert_int_equal(head_request_write(out, (size_t)whole, &s.r, true), whole);
	setup_done(&s);
}

static void rewritten_path_that_is_none_is_said(void **state)
{
	uint8_t out[4096];
	struct setup s;

	(void)state;
	setup_config(&s, "{cluster: c, rewrite: {path: '~ ^/x/(.*)$', to: $1}}", "");
	assert_int_equal(setup_get(&s, "/x/y", ""), REASON_NONE);
	assert_int_equal(head_request_write(out, sizeof(out), &s.r, false), -2);
	setup_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(backend_reads),
		cmocka_unit_test(backend_reads_a_handshake),
		cmocka_unit_test(head_fits_or_is_refused),
		cmocka_unit_test(rewritten_path_that_is_none_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
