/* wire/ws_handshake: keys, extension and subprotocol lists, and whole heads as the parser gives them. */
#include "wire/ws_handshake.h"

#include "wire/http1_parse.h"
#include "wire/websocket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

/* ---- keys ---- */

static void key_is_base64_of_16_bytes(void **state)
{
	static const char *const bad[] = { "",
					   "AAAAAAAAAAAAAAAAAAAAAA=",
					   "AAAAAAAAAAAAAAAAAAAAAA==A",
					   "AAAAAAAAAAAAAAAAAAAAAAA=",
					   "AAAAAAAAAAAAAAAAAAAAAAAA",
					   "AAAAAAAAAAAAAAAAAAAA====",
					   "AAAAAAAAAAAAAAAAAAAA-_==",
					   " AAAAAAAAAAAAAAAAAAAAA==",
					   "AAAAAAAAAAA=AAAAAAAAAA==" };
	static const uint8_t random[16] = { 't', 'h', 'e', ' ', 's', 'a', 'm', 'p',
					    'l', 'e', ' ', 'n', 'o', 'n', 'c', 'e' };
	char key[WS_KEY_LEN + 1];

	(void)state;
	assert_true(ws_key_is_valid(KEY, 24));
	assert_true(
		ws_key_is_valid("abcdefghijklmnopqrst+/==", 24)); /* bits left over, as people type them */
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (ws_key_is_valid(bad[i], strlen(bad[i])))
			fail_msg("%s is no key", bad[i]);
	}
	ws_key_make(random, key);
	assert_string_equal(key, KEY);
}

static void accept_is_that_of_rfc_6455(void **state)
{
	char accept[WS_ACCEPT_LEN + 1];

	(void)state;
	ws_accept_compute(KEY, accept);
	assert_string_equal(accept, ACCEPT);
	assert_true(ws_accept_matches(KEY, ACCEPT, 28));
	assert_false(ws_accept_matches(KEY, ACCEPT, 27));
	assert_false(ws_accept_matches(KEY, "s3pplmbitxaq9kygzzhzrbk+xoo=", 28));
	assert_false(ws_accept_matches(KEY, ACCEPT "=", 29));
}

/* ---- lists ---- */

/* clang-format off */
static const struct { const char *list; const char *want; } lists[] = {
	/* each element as name[param=value] */
	{ "", "" },
	{ " , ,,\t", "" },
	{ "a", "a" },
	{ "permessage-deflate", "permessage-deflate" },
	{ "a, b ,c", "a b c" },
	{ ",a,,b,", "a b" },
	{ "a;x", "a[x]" },
	{ "a; x ; y=1;z=\"t\", b", "a[x][y=1][z=t] b" },
	{ "a b", NULL },
	{ "a;", NULL },
	{ "a;;x", NULL },
	{ "a; =1", NULL },
	{ "a; x=", NULL },
	{ "a; x =1", NULL },
	{ "a; x= 1", NULL },
	{ "a; x=\"\"", NULL },
	{ "a; x=\"1", NULL },
	{ "a; x=\"1 2\"", NULL },
	{ "a; x=\"1\"2", NULL },
	{ "a; x=\"1,b\"", NULL },
	{ ";x", NULL },
	{ "a, b;, c", NULL },
	{ "\"a\"", NULL },
	{ "a/b", NULL },
	{ "a\x80", NULL },
};
/* clang-format on */

static void extension_list_is_read_strictly(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		/* A block that ends with the text, so that ASan sees one byte too many. */
		size_t len = strlen(lists[i].list), left = len;
		char *copy = malloc(len + 1), got[200] = "";
		const char *at = copy;
		struct ws_extension e;
		int result;

		assert_non_null(copy);
		memcpy(copy, lists[i].list, len);
		copy = realloc(copy, len > 0 ? len : 1);
		assert_non_null(copy);
		at = copy;
		while ((result = ws_extension_next(&at, &left, &e)) == 1) {
			const char *params = e.params;
			size_t params_len = e.params_len;
			struct ws_param p;

			snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%.*s",
				 got[0] != '\0' ? " " : "", (int)e.name_len, e.name);
			while (ws_param_next(&params, &params_len, &p) == 1)
				snprintf(got + strlen(got), sizeof(got) - strlen(got), "[%.*s%s%.*s]",
					 (int)p.name_len, p.name, p.value != NULL ? "=" : "",
					 (int)p.value_len, p.value != NULL ? p.value : "");
		}
		free(copy);
		if (lists[i].want == NULL ? result != -1 : result != 0 || strcmp(got, lists[i].want) != 0)
			fail_msg("%s: %d, %s", lists[i].list, result, got);
	}
}

/* clang-format off */
static const struct {
	const char *list;
	enum ws_negotiation side;
	int want;
	struct ws_deflate deflate;
} deflates[] = {
	{ "", WS_OFFER, 0, { 0 } },
	{ "x-webkit-deflate-frame", WS_OFFER, 0, { 0 } },
	{ "permessage-deflate", WS_OFFER, 1, { 0 } },
	{ "foo, Permessage-Deflate", WS_OFFER, 1, { 0 } },
	{ "permessage-deflate; client_max_window_bits", WS_OFFER, 1,
	  { .client_max_window_bits = WS_DEFLATE_BITS_OPEN } },
	{ "permessage-deflate; client_max_window_bits; server_max_window_bits=10, permessage-deflate",
	  WS_OFFER, 1,
	  { .client_max_window_bits = WS_DEFLATE_BITS_OPEN, .server_max_window_bits = 10 } },
	{ "permessage-deflate; foo, permessage-deflate; server_no_context_takeover", WS_OFFER, 1,
	  { .server_no_context_takeover = true } },
	{ "permessage-deflate; foo", WS_OFFER, 0, { 0 } },
	{ "permessage-deflate; server_max_window_bits", WS_OFFER, 0, { 0 } },
	{ "permessage-deflate; server_max_window_bits=7", WS_OFFER, 0, { 0 } },
	{ "permessage-deflate; server_max_window_bits=08", WS_OFFER, 0, { 0 } },
	{ "permessage-deflate; server_max_window_bits=16", WS_OFFER, 0, { 0 } },
	{ "permessage-deflate; server_no_context_takeover=1", WS_OFFER, 0, { 0 } },
	{ "permessage-deflate; server_no_context_takeover; server_no_context_takeover", WS_OFFER, 0, { 0 } },
	{ "permessage-deflate; server_max_window_bits=8; server_max_window_bits=9", WS_OFFER, 0, { 0 } },
	{ "permessage-deflate, ;", WS_OFFER, -1, { 0 } },
	{ "permessage-deflate; server_max_window_bits=\"15\"; client_max_window_bits=8; "
	  "client_no_context_takeover; server_no_context_takeover",
	  WS_ANSWER, 1, { 15, 8, true, true } },
	{ "permessage-deflate; client_max_window_bits", WS_ANSWER, -1, { 0 } },
	{ "permessage-deflate; foo", WS_ANSWER, -1, { 0 } },
	{ "permessage-deflate, permessage-deflate", WS_ANSWER, -1, { 0 } },
	{ "foo", WS_ANSWER, 0, { 0 } },
};
/* clang-format on */

static bool deflate_is_equal(const struct ws_deflate *a, const struct ws_deflate *b)
{
	return a->server_max_window_bits == b->server_max_window_bits &&
	       a->client_max_window_bits == b->client_max_window_bits &&
	       a->server_no_context_takeover == b->server_no_context_takeover &&
	       a->client_no_context_takeover == b->client_no_context_takeover;
}

static void deflate_is_found_and_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(deflates); i++) {
		struct ws_deflate d, again;
		char text[WS_DEFLATE_TEXT_MAX];
		int got = ws_deflate_find(deflates[i].list, strlen(deflates[i].list), deflates[i].side, &d),
		    len;

		if (got != deflates[i].want)
			fail_msg("%s: %d", deflates[i].list, got);
		if (got != 1)
			continue;
		if (!deflate_is_equal(&d, &deflates[i].deflate))
			fail_msg("%s: other parameters", deflates[i].list);
		len = ws_deflate_write(text, sizeof(text), &d);
		assert_true(len > 0);
		assert_int_equal(ws_deflate_write(text, (size_t)len - 1, &d), -1);
		assert_int_equal(ws_deflate_find(text, (size_t)len, deflates[i].side, &again), 1);
		assert_true(deflate_is_equal(&d, &again));
	}
}

/* clang-format off */
static const struct { const char *list; bool keep; const char *want; } filters[] = {
	{ "permessage-deflate; client_max_window_bits", true, "permessage-deflate; client_max_window_bits" },
	{ "permessage-deflate; client_max_window_bits", false, "" },
	{ "x-webkit-deflate-frame, permessage-deflate ; a=\"b\" , permessage-bzip2", true,
	  "permessage-deflate ; a=\"b\"" },
	{ "permessage-deflate;a, permessage-deflate", true, "permessage-deflate;a,permessage-deflate" },
	{ "foo", true, "" },
	{ "", true, "" },
	{ "foo, ;", true, NULL },
};
/* clang-format on */

static void unknown_extensions_are_filtered(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
		size_t len = strlen(filters[i].list);
		char out[100];
		long got = ws_extensions_filter(filters[i].list, len, filters[i].keep, out, len);

		if (filters[i].want == NULL) {
			assert_int_equal(got, -1);
			continue;
		}
		assert_int_equal(got, strlen(filters[i].want));
		assert_memory_equal(out, filters[i].want, (size_t)got);
		if (got > 0)
			assert_int_equal(ws_extensions_filter(filters[i].list, len, filters[i].keep, out,
							      (size_t)got - 1),
					 -1);
	}
	assert_true(ws_extensions_contain("a, B;x", 6, "b", 1));
	assert_false(ws_extensions_contain("a, B;x", 6, "x", 1));
	assert_false(ws_extensions_contain("a, B;", 5, "a", 1));
}

static void protocols_are_tokens_whose_case_counts(void **state)
{
	struct ws_token token;
	const char *list = " chat ,, superchat.v2";
	size_t len = strlen(list);

	(void)state;
	assert_int_equal(ws_token_next(&list, &len, &token), 1);
	assert_int_equal(token.len, 4);
	assert_int_equal(ws_token_next(&list, &len, &token), 1);
	assert_memory_equal(token.at, "superchat.v2", token.len);
	assert_int_equal(ws_token_next(&list, &len, &token), 0);
	assert_true(ws_protocols_contain("a, chat", 7, "chat", 4));
	assert_false(ws_protocols_contain("a, Chat", 7, "chat", 4));
	assert_false(ws_protocols_contain("a, chatty", 9, "chat", 4));
	assert_false(ws_protocols_contain("chat, a b", 9, "chat", 4));
	assert_false(ws_protocols_contain("chat;x", 6, "chat", 4));
}

/* ---- heads ---- */

struct head {
	struct http_head head;
	struct http_field fields[20];
};

static void request_parse(struct head *h, const char *text)
{
	http_head_init(&h->head, h->fields, ARRAY_LEN(h->fields));
	assert_int_equal(http1_parse_request((const uint8_t *)text, strlen(text), &(struct http1_limits){ 0 },
					     NULL, &h->head),
			 strlen(text));
}

static void response_parse(struct head *h, const char *text)
{
	http_head_init(&h->head, h->fields, ARRAY_LEN(h->fields));
	assert_int_equal(http1_parse_response((const uint8_t *)text, strlen(text),
					      &(struct http1_limits){ 0 }, NULL, &h->head),
			 strlen(text));
}

#define HOST "Host: example.com\r\n"
#define UPGRADE "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
#define V13 "Sec-WebSocket-Version: 13\r\n"
#define K "Sec-WebSocket-Key: " KEY "\r\n"
#define GET "GET /chat HTTP/1.1\r\n"

/* clang-format off */
static const struct { const char *text; enum ws_handshake_result want; } requests[] = {
	{ GET HOST UPGRADE V13 K "\r\n", WS_HANDSHAKE_OK },
	{ GET HOST "Upgrade: h2c, WebSocket\r\nConnection: upgrade\r\n" V13 K "\r\n", WS_HANDSHAKE_OK },
	{ GET HOST UPGRADE V13 K "Content-Length: 0\r\n\r\n", WS_HANDSHAKE_OK },
	{ GET HOST UPGRADE V13 K "Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Protocol: c\r\n\r\n",
	  WS_HANDSHAKE_OK },
	{ GET HOST UPGRADE V13 K "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
	  "\r\n",
	  WS_HANDSHAKE_OK },
	{ GET HOST "\r\n", WS_HANDSHAKE_NONE },
	{ GET HOST "Upgrade: h2c\r\nConnection: upgrade\r\n" V13 K "\r\n", WS_HANDSHAKE_NONE },
	{ "POST / HTTP/1.1\r\n" HOST UPGRADE V13 K "\r\n", WS_HANDSHAKE_METHOD },
	{ "GET / HTTP/1.0\r\n" HOST UPGRADE V13 K "\r\n", WS_HANDSHAKE_HTTP_VERSION },
	{ GET HOST "Upgrade: websocket\r\nConnection: keep-alive\r\n" V13 K "\r\n", WS_HANDSHAKE_CONNECTION },
	{ GET HOST "Upgrade: websocket\r\n" V13 K "\r\n", WS_HANDSHAKE_CONNECTION },
	{ GET HOST UPGRADE V13 K "Content-Length: 3\r\n\r\n", WS_HANDSHAKE_BODY },
	{ GET HOST UPGRADE V13 K "Transfer-Encoding: chunked\r\n\r\n", WS_HANDSHAKE_BODY },
	{ GET HOST UPGRADE K "\r\n", WS_HANDSHAKE_VERSION },
	{ GET HOST UPGRADE K "Sec-WebSocket-Version: 8\r\n\r\n", WS_HANDSHAKE_VERSION },
	{ GET HOST UPGRADE V13 V13 K "\r\n", WS_HANDSHAKE_VERSION },
	{ GET HOST UPGRADE V13 "\r\n", WS_HANDSHAKE_KEY },
	{ GET HOST UPGRADE V13 K K "\r\n", WS_HANDSHAKE_KEY },
	{ GET HOST UPGRADE V13 "Sec-WebSocket-Key: short\r\n\r\n", WS_HANDSHAKE_KEY },
	{ GET HOST UPGRADE V13 K "Sec-WebSocket-Protocol: a b\r\n\r\n", WS_HANDSHAKE_PROTOCOL },
	{ GET HOST UPGRADE V13 K "Sec-WebSocket-Extensions: a\r\nSec-WebSocket-Extensions: b;\r\n\r\n",
	  WS_HANDSHAKE_EXTENSIONS },
};
/* clang-format on */

static void request_is_checked(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		struct head h;
		enum ws_handshake_result got;

		request_parse(&h, requests[i].text);
		got = ws_handshake_check_request(&h.head);
		if (got != requests[i].want)
			fail_msg("%s: %s", requests[i].text, ws_handshake_text(got));
	}
}

#define SWITCH "HTTP/1.1 101 Switching Protocols\r\n"
#define A "Sec-WebSocket-Accept: " ACCEPT "\r\n"

/* clang-format off */
static const struct {
	const char *text;
	enum ws_handshake_result want;
	const char *protocol;
	bool has_deflate;
} responses[] = {
	{ SWITCH UPGRADE A "\r\n", WS_HANDSHAKE_OK, NULL, false },
	{ SWITCH "Upgrade: WebSocket\r\nConnection: upgrade\r\n" A "\r\n", WS_HANDSHAKE_OK, NULL, false },
	{ SWITCH UPGRADE A "Sec-WebSocket-Protocol: c\r\n\r\n", WS_HANDSHAKE_OK, "c", false },
	{ SWITCH UPGRADE A "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=12\r\n\r\n",
	  WS_HANDSHAKE_OK, NULL, true },
	{ "HTTP/1.1 200 OK\r\n\r\n", WS_HANDSHAKE_STATUS, NULL, false },
	{ "HTTP/1.1 403 No\r\n" UPGRADE A "\r\n", WS_HANDSHAKE_STATUS, NULL, false },
	{ "HTTP/1.0 101 Switching\r\n" UPGRADE A "\r\n", WS_HANDSHAKE_HTTP_VERSION, NULL, false },
	{ SWITCH "Connection: upgrade\r\n" A "\r\n", WS_HANDSHAKE_UPGRADE, NULL, false },
	{ SWITCH "Upgrade: h2c\r\nConnection: upgrade\r\n" A "\r\n", WS_HANDSHAKE_UPGRADE, NULL, false },
	{ SWITCH "Upgrade: h2c, websocket\r\nConnection: upgrade\r\n" A "\r\n", WS_HANDSHAKE_UPGRADE, NULL,
	  false },
	{ SWITCH "Upgrade: websocket\r\nConnection: close\r\n" A "\r\n", WS_HANDSHAKE_CONNECTION, NULL,
	  false },
	{ SWITCH UPGRADE "\r\n", WS_HANDSHAKE_ACCEPT, NULL, false },
	{ SWITCH UPGRADE A A "\r\n", WS_HANDSHAKE_ACCEPT, NULL, false },
	{ SWITCH UPGRADE "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOp=\r\n\r\n", WS_HANDSHAKE_ACCEPT,
	  NULL, false },
	{ SWITCH UPGRADE A "Sec-WebSocket-Protocol: d\r\n\r\n", WS_HANDSHAKE_PROTOCOL, NULL, false },
	{ SWITCH UPGRADE A "Sec-WebSocket-Protocol: C\r\n\r\n", WS_HANDSHAKE_PROTOCOL, NULL, false },
	{ SWITCH UPGRADE A "Sec-WebSocket-Protocol: a, b\r\n\r\n", WS_HANDSHAKE_PROTOCOL, NULL, false },
	{ SWITCH UPGRADE A "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: a\r\n\r\n",
	  WS_HANDSHAKE_PROTOCOL, NULL, false },
	{ SWITCH UPGRADE A "Sec-WebSocket-Protocol:\r\n\r\n", WS_HANDSHAKE_PROTOCOL, NULL, false },
	{ SWITCH UPGRADE A "Sec-WebSocket-Extensions: foo\r\n\r\n", WS_HANDSHAKE_EXTENSIONS, NULL, false },
	{ SWITCH UPGRADE A "Sec-WebSocket-Extensions: permessage-deflate;\r\n\r\n", WS_HANDSHAKE_EXTENSIONS,
	  NULL, false },
	{ SWITCH UPGRADE A "Sec-WebSocket-Extensions: permessage-deflate; foo\r\n\r\n",
	  WS_HANDSHAKE_EXTENSIONS, NULL, false },
	{ SWITCH UPGRADE A "Sec-WebSocket-Extensions: permessage-deflate\r\n"
	  "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
	  WS_HANDSHAKE_EXTENSIONS, NULL, false },
};
/* clang-format on */

static void response_is_checked_against_the_request(void **state)
{
	struct head request, response;
	struct ws_agreement agreement;

	(void)state;
	request_parse(&request, GET HOST UPGRADE V13 K
		      "Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Protocol: c\r\n"
		      "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n");
	for (size_t i = 0; i < ARRAY_LEN(responses); i++) {
		enum ws_handshake_result got;

		response_parse(&response, responses[i].text);
		got = ws_handshake_check_response(&request.head, &response.head, &agreement);
		if (got != responses[i].want)
			fail_msg("%s: %s", responses[i].text, ws_handshake_text(got));
		if (got != WS_HANDSHAKE_OK)
			continue;
		assert_int_equal(agreement.has_deflate, responses[i].has_deflate);
		assert_int_equal(agreement.rsv_allowed, responses[i].has_deflate ? WS_RSV1 : 0);
		if (responses[i].protocol == NULL) {
			assert_null(agreement.protocol);
		} else {
			assert_int_equal(agreement.protocol_len, strlen(responses[i].protocol));
			assert_memory_equal(agreement.protocol, responses[i].protocol,
					    agreement.protocol_len);
		}
	}
	/* Nothing offered: nothing may be answered. */
	request_parse(&request, GET HOST UPGRADE V13 K "\r\n");
	response_parse(&response, SWITCH UPGRADE A "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n");
	assert_int_equal(ws_handshake_check_response(&request.head, &response.head, &agreement),
			 WS_HANDSHAKE_EXTENSIONS);
	response_parse(&response, SWITCH UPGRADE A "Sec-WebSocket-Protocol: a\r\n\r\n");
	assert_int_equal(ws_handshake_check_response(&request.head, &response.head, &agreement),
			 WS_HANDSHAKE_PROTOCOL);
}

static void every_result_has_a_text(void **state)
{
	(void)state;
	for (int result = 0; result < WS_HANDSHAKE_RESULT_COUNT; result++)
		assert_true(strlen(ws_handshake_text((enum ws_handshake_result)result)) > 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(key_is_base64_of_16_bytes),
		cmocka_unit_test(accept_is_that_of_rfc_6455),
		cmocka_unit_test(extension_list_is_read_strictly),
		cmocka_unit_test(deflate_is_found_and_written),
		cmocka_unit_test(unknown_extensions_are_filtered),
		cmocka_unit_test(protocols_are_tokens_whose_case_counts),
		cmocka_unit_test(request_is_checked),
		cmocka_unit_test(response_is_checked_against_the_request),
		cmocka_unit_test(every_result_has_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
