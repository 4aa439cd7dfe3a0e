/* proxy/head_response: what a client reads, line by line. */
#include "proxy_setup.h"

#include "proxy/head_response.h"

#define OK   "HTTP/1.1 200 OK\r\n"
#define DATE "Date: Tue, 15 Nov 1994 08:12:31 GMT\r\n"

static const struct {
	const char *name;
	const char *from; /* a backend's head without its empty line */
	struct response_head h;
	const char *want; /* without the empty line */
} cases[] = {
	{ "a length",
	  OK DATE "Content-Length: 005\r\nX-A: b\r\n",
	  { .framing = RESPONSE_LENGTH, .length = 5, .keep_alive = true, .version_minor = 1 },
	  OK DATE "X-A: b\r\nContent-Length: 5\r\n" },
	{ "the connection ends",
	  OK DATE,
	  { .framing = RESPONSE_LENGTH, .version_minor = 1 },
	  OK DATE "Content-Length: 0\r\nConnection: close\r\n" },
	{ "HTTP/1.0 is told that it stays",
	  OK DATE,
	  { .framing = RESPONSE_LENGTH, .keep_alive = true },
	  OK DATE "Content-Length: 0\r\nConnection: keep-alive\r\n" },
	{ "HTTP/1.0 is told that it ends",
	  OK DATE,
	  { .framing = RESPONSE_LENGTH },
	  OK DATE "Content-Length: 0\r\nConnection: close\r\n" },
	{ "chunks",
	  OK DATE "Transfer-Encoding: Chunked\r\nTrailer: X-Sum\r\n",
	  { .framing = RESPONSE_CHUNKED, .keep_alive = true, .version_minor = 1 },
	  OK DATE "Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n" },
	{ "until the end",
	  OK DATE "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n",
	  { .framing = RESPONSE_UNTIL_CLOSE, .keep_alive = true },
	  OK DATE "Connection: close\r\n" },
	{ "HEAD keeps the length of what GET would get",
	  OK DATE "Content-Length: 12345\r\n",
	  { .framing = RESPONSE_NO_BODY, .keep_alive = true, .version_minor = 1 },
	  OK DATE "Content-Length: 12345\r\n" },
	{ "304 keeps it, too",
	  "HTTP/1.1 304 Not Modified\r\n" DATE "Content-Length: 100\r\n",
	  { .framing = RESPONSE_NO_BODY, .keep_alive = true, .version_minor = 1 },
	  "HTTP/1.1 304 Not Modified\r\n" DATE "Content-Length: 100\r\n" },
	{ "204 has none",
	  "HTTP/1.1 204 No Content\r\n" DATE "Content-Length: 5\r\nX-A: b\r\n",
	  { .framing = RESPONSE_NO_BODY, .keep_alive = true, .version_minor = 1 },
	  "HTTP/1.1 204 No Content\r\n" DATE "X-A: b\r\n" },
	{ "an interim response has fields and nothing of the hop",
	  "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nContent-Length: 5\r\nConnection: close\r\n",
	  { .framing = RESPONSE_NO_BODY, .version_minor = 1 },
	  "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n" },
	{ "101",
	  "HTTP/1.1 101 Whatever\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: "
	  "x\r\nContent-Length: 5\r\n",
	  { .framing = RESPONSE_NO_BODY, .is_upgrade = true, .version_minor = 1 },
	  "HTTP/1.1 101 Whatever\r\nSec-WebSocket-Accept: x\r\nConnection: Upgrade\r\nUpgrade: "
	  "websocket\r\n" },
	{ "fields of the hop stay here",
	  OK DATE "Connection: X-Named, keep-alive\r\nX-Named: 1\r\nKeep-Alive: 5\r\nX-Kept: "
		  "1\r\nProxy-Authenticate: Basic\r\n",
	  { .framing = RESPONSE_LENGTH, .keep_alive = true, .version_minor = 1 },
	  OK DATE "X-Kept: 1\r\nContent-Length: 0\r\n" },
	{ "several of a name stay several",
	  OK DATE "Set-Cookie: a=1\r\nX-E:\r\nSet-Cookie: b=2\r\nServer: mine\r\n",
	  { .framing = RESPONSE_LENGTH, .keep_alive = true, .version_minor = 1 },
	  OK DATE "Set-Cookie: a=1\r\nX-E:\r\nSet-Cookie: b=2\r\nServer: mine\r\nContent-Length: 0\r\n" },
	{ "a reason of its own, or none",
	  "HTTP/1.1 299 \r\n" DATE,
	  { .framing = RESPONSE_LENGTH, .keep_alive = true, .version_minor = 1 },
	  "HTTP/1.1 299 \r\n" DATE "Content-Length: 0\r\n" },
};

static void response_parse(struct http_head *head, struct http_field *fields, const char *text)
{
	const struct http1_limits limits = { 0 };

	http_head_init(head, fields, SETUP_FIELDS_MAX);
	if (http1_parse_response((const uint8_t *)text, strlen(text), &limits, NULL, head) !=
	    (int)strlen(text))
		fail_msg("no response: %s", text);
}

static void client_reads(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct http_field fields[SETUP_FIELDS_MAX];
		struct response_head h = cases[i].h;
		char text[1024], want[1024];
		struct http_head head;
		uint8_t out[1024];
		long len;

		snprintf(text, sizeof(text), "%s\r\n", cases[i].from);
		snprintf(want, sizeof(want), "%s\r\n", cases[i].want);
		response_parse(&head, fields, text);
		h.status = head.status;
		h.reason = head.reason_len > 0 ? head.reason : NULL;
		h.reason_len = head.reason_len;
		h.from = &head;
		len = head_response_write(out, sizeof(out), &h, NULL);
		assert_true(len > 0);
		assert_bytes(cases[i].name, (char *)out, (size_t)len, want);
		for (long cap = 0; cap < len; cap++)
			assert_int_equal(head_response_write(out, (size_t)cap, &h, NULL), -1);
	}
}

/* ---- fields of the proxy's own ---- */

static const struct http_field own[] = {
	{ "content-type", "text/html", 9, 12, HTTP_CONTENT_TYPE },
	{ "Date", "today", 5, 4, HTTP_DATE },
	{ "X-Own", "1", 1, 5, HTTP_OTHER },
	{ "connection", "evil", 4, 10, HTTP_CONNECTION },
	{ "content-length", "5", 1, 14, HTTP_CONTENT_LENGTH },
	{ "X-Split", "a\r\nX-Evil: 1", 12, 7, HTTP_OTHER },
};

static void own_fields_replace_and_frame_nothing(void **state)
{
	struct http_field fields[SETUP_FIELDS_MAX];
	struct http_head head;
	struct response_head h = { .status = 404,
				   .from = &head,
				   .own = own,
				   .own_count = ARRAY_LEN(own),
				   .framing = RESPONSE_LENGTH,
				   .length = 12,
				   .keep_alive = true,
				   .version_minor = 1 };
	uint8_t out[1024];
	long len;

	(void)state;
	response_parse(&head, fields,
		       OK "Content-Type: text/plain\r\nX-A: b\r\nX-Own: theirs\r\n" DATE "\r\n");
	len = head_response_write(out, sizeof(out), &h, NULL);
	assert_true(len > 0);
	assert_bytes("own", (char *)out, (size_t)len,
		     "HTTP/1.1 404 Not Found\r\nX-A: b\r\nX-Own: theirs\r\ncontent-type: text/html\r\nDate: "
		     "today\r\nX-Own: 1\r\n"
		     "Content-Length: 12\r\n\r\n");
}

static void date_is_added_where_there_is_none(void **state)
{
	struct response_head h = {
		.status = 204, .framing = RESPONSE_NO_BODY, .keep_alive = true, .version_minor = 1
	};
	uint8_t out[1024];
	char text[1024];

	(void)state;
	for (int i = 0; i < 2; i++) { /* the second time from what was kept */
		long len = head_response_write(out, sizeof(out), &h, NULL);

		assert_true(len > 0);
		snprintf(text, sizeof(text), "%.*s", (int)len, (char *)out);
		assert_non_null(strstr(text, "\r\ndate: "));
		assert_non_null(strstr(text, " GMT\r\n\r\n"));
	}
}

/* ---- edits ---- */

static void edits_remove_set_and_add(void **state)
{
	static const char *const values[] = { "new", "max-age=1", "second" };
	struct http_field fields[SETUP_FIELDS_MAX];
	struct http_head head;
	struct response_head h = { .status = 200,
				   .from = &head,
				   .own = own,
				   .own_count = 3,
				   .framing = RESPONSE_LENGTH,
				   .keep_alive = true,
				   .version_minor = 1 };
	struct response_edits e = { .values = values };
	struct setup s;
	uint8_t out[1024];
	long len;

	(void)state;
	setup_config(
		&s,
		"{cluster: c, response_headers: {set: {X-Set: new, Strict-Transport-Security: max-age=1}, "
		"add: {X-Add: second}, remove: [Server, X-Own, Date]}}",
		"");
	e.edits = &s.config->listeners[0].routes[0].response_headers;
	response_parse(&head, fields,
		       OK "X-Set: old\r\nX-Add: first\r\nServer: secret\r\nx-set: older\r\nX-Own: 2\r\n\r\n");
	len = head_response_write(out, sizeof(out), &h, &e);
	assert_true(len > 0);
	assert_bytes("edits", (char *)out, (size_t)len,
		     OK "X-Add: first\r\ncontent-type: text/html\r\nX-Set: new\r\nStrict-Transport-Security: "
			"max-age=1\r\n"
			"X-Add: second\r\nContent-Length: 0\r\n\r\n");

	response_parse(&head, fields, "HTTP/1.1 103 Early Hints\r\nX-Set: old\r\nServer: s\r\n\r\n");
	h = (struct response_head){
		.status = 103, .from = &head, .framing = RESPONSE_NO_BODY, .version_minor = 1
	};
	len = head_response_write(out, sizeof(out), &h, &e);
	assert_bytes("an interim response is not edited", (char *)out, (size_t)len,
		     "HTTP/1.1 103 Early Hints\r\nX-Set: old\r\nServer: s\r\n\r\n");
	setup_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(client_reads),
		cmocka_unit_test(own_fields_replace_and_frame_nothing),
		cmocka_unit_test(date_is_added_where_there_is_none),
		cmocka_unit_test(edits_remove_set_and_add),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
