/* wire/headers: names, lists, what stays on a hop. */
#include "wire/headers.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "wire/http1_parse.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static void every_name_finds_itself_in_any_case_and_nothing_near_it(void **state)
{
	(void)state;
	for (unsigned id = HTTP_OTHER + 1; id < HTTP_ID_COUNT; id++) {
		const char *name = http_id_name((enum http_id)id);
		size_t len = strlen(name);
		char text[HTTP_NAME_KNOWN_MAX + 2];

		assert_in_range(len, 2, HTTP_NAME_KNOWN_MAX);
		assert_int_equal(http_id_of(name, len), id);
		for (size_t i = 0; i < len; i++)
			text[i] = (char)(i % 2 == 0 ? toupper((unsigned char)name[i]) : name[i]);
		assert_int_equal(http_id_of(text, len), id);
		for (size_t i = 0; i < len; i++) {
			for (unsigned c = 0; c < 256; c++) {
				memcpy(text, name, len);
				text[i] = (char)c;
				if (tolower((int)c) != name[i] && http_id_of(text, len) == id)
					fail_msg("%s: found with %#x at %zu", name, c, i);
			}
		}
		memcpy(text, name, len);
		text[len] = 's';
		assert_int_not_equal(http_id_of(text, len + 1), id);
		assert_int_not_equal(http_id_of(text, len - 1), id);
	}
	assert_int_equal(http_id_of("", 0), HTTP_OTHER);
	assert_int_equal(http_id_of("x", 1), HTTP_OTHER);
	assert_int_equal(http_id_of("x-a-name-that-is-longer-than-any-known", 38), HTTP_OTHER);
	assert_string_equal(http_id_name(HTTP_OTHER), "");
	assert_string_equal(http_id_name(HTTP_ID_COUNT), "");
}

static const struct {
	const char *list;
	const char *elements; /* each in angle brackets */
} lists[] = {
	{ "", "" },
	{ " ", "" },
	{ ", ,\t,", "" },
	{ "a", "<a>" },
	{ " a ", "<a>" },
	{ "a,b", "<a><b>" },
	{ "a , b", "<a><b>" },
	{ ",a,,b,", "<a><b>" },
	{ "a b,c", "<a b><c>" },
	{ "a;q=\"1,2\", b", "<a;q=\"1,2\"><b>" },
	{ "a;q=\"\\\",\", b", "<a;q=\"\\\",\"><b>" },
	{ "a;q=\"1, b", "<a;q=\"1, b>" },
	{ "a;q=\"\\", "<a;q=\"\\>" },
};

static void a_list_gives_its_elements(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		const char *list = lists[i].list, *element;
		size_t len = strlen(list), element_len;
		char said[64] = "";

		while (http_list_next(&list, &len, &element, &element_len)) {
			strcat(said, "<");
			strncat(said, element, element_len);
			strcat(said, ">");
		}
		assert_string_equal(said, lists[i].elements);
	}
}

static void a_list_has_a_token_only_whole(void **state)
{
	(void)state;
	assert_true(http_list_has("keep-alive, Upgrade", 19, "upgrade", 7));
	assert_true(http_list_has("UPGRADE", 7, "upgrade", 7));
	assert_false(http_list_has("upgrades", 8, "upgrade", 7));
	assert_false(http_list_has("x upgrade", 9, "upgrade", 7));
	assert_false(http_list_has("upgrade;q=1", 11, "upgrade", 7));
	assert_false(http_list_has("\"upgrade\"", 9, "upgrade", 7));
	assert_false(http_list_has("", 0, "upgrade", 7));
}

static void texts_are_classed(void **state)
{
	(void)state;
	assert_true(http_text_is_token("X-Y_z~1", 7));
	assert_false(http_text_is_token("", 0));
	assert_false(http_text_is_token("a b", 3));
	assert_false(http_text_is_token("a:", 2));
	assert_true(http_text_is_field_value("", 0));
	assert_true(http_text_is_field_value("a \t\xff", 4));
	for (int c = 0; c < 256; c++) {
		char text[40];

		memset(text, 'x', sizeof text);
		text[37] = (char)c;
		assert_int_equal(http_text_is_field_value(text, sizeof text),
				 c == '\t' || (c >= 0x20 && c != 0x7f));
		assert_int_equal(http_text_is_token(text, sizeof text), http_char_is_token((uint8_t)c));
		assert_int_equal(http_char_is_token((uint8_t)c),
				 c < 128 && c > 0 && (isalnum(c) || strchr("!#$%&'*+-.^_`|~", c) != NULL));
	}
	assert_true(http_text_is("Chunked", 7, "chunkeD", 7));
	assert_false(http_text_is("[", 1, "{", 1));
	assert_false(http_text_is("chunked", 7, "chunke", 6));
}

static void parse(struct http_head *head, struct http_field *fields, uint32_t cap, const char *text)
{
	const struct http1_limits limits = { 0 };

	http_head_init(head, fields, cap);
	assert_int_equal(http1_parse_request((const uint8_t *)text, strlen(text), &limits, NULL, head),
			 strlen(text));
}

static void what_connection_names_stays_on_the_hop(void **state)
{
	static const char text[] =
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-One, host\r\nConnection: content-length, "
		"cookie\r\n"
		"x-ONE: 1\r\nX-Two: 2\r\nKeep-Alive: 5\r\nContent-Length: 0\r\nCookie: c\r\nTE: trailers\r\n"
		"Upgrade: h2c\r\nProxy-Authorization: p\r\nTrailer: t\r\n\r\n";
	static const struct {
		const char *name;
		bool is_hop;
	} want[] = {
		{ "host", false },
		{ "connection", true },
		{ "connection", true },
		{ "x-one", true },
		{ "x-two", false },
		{ "keep-alive", true },
		{ "content-length", false },
		{ "cookie", true },
		{ "te", true },
		{ "upgrade", true },
		{ "proxy-authorization", true },
		{ "trailer", false },
	};
	struct http_field fields[16];
	struct http_head head;
	(void)state;

	parse(&head, fields, ARRAY_LEN(fields), text);
	assert_int_equal(head.field_count, ARRAY_LEN(want));
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		assert_true(
			http_text_is(fields[i].name, fields[i].name_len, want[i].name, strlen(want[i].name)));
		if (http_field_is_hop_by_hop(&head, &fields[i]) != want[i].is_hop)
			fail_msg("%s: not %d", want[i].name, want[i].is_hop);
	}
	assert_true(head.connection_names);
	assert_false(head.keep_alive);
}

static void fields_are_counted_and_their_lists_joined(void **state)
{
	struct http_field fields[16];
	struct http_head head;
	(void)state;

	parse(&head, fields, ARRAY_LEN(fields),
	      "GET / HTTP/1.1\r\nHost: a\r\nX: 0\r\nAccept: a\r\nAccept: b, c\r\nX: 1\r\nY: 2\r\n\r\n");
	assert_int_equal(http_head_count(&head, HTTP_ACCEPT), 2);
	assert_int_equal(http_head_count(&head, HTTP_OTHER), 3);
	assert_int_equal(http_head_count(&head, HTTP_COOKIE), 0);
	assert_true(http_head_list_has(&head, HTTP_ACCEPT, "C", 1));
	assert_true(http_head_list_has(&head, HTTP_ACCEPT, "a", 1));
	assert_false(http_head_list_has(&head, HTTP_ACCEPT, "d", 1));
	assert_false(http_head_list_has(&head, HTTP_COOKIE, "a", 1));
	assert_true(http_head_has(&head, HTTP_HOST));
}

static void what_frames_or_routes_may_not_trail(void **state)
{
	static const enum http_id never[] = { HTTP_CONTENT_LENGTH, HTTP_TRANSFER_ENCODING, HTTP_HOST,
					      HTTP_CONNECTION,	   HTTP_AUTHORIZATION,	   HTTP_SET_COOKIE,
					      HTTP_TRAILER };
	struct http_field f = { .id = HTTP_OTHER };
	(void)state;

	assert_true(http_field_may_trail(&f));
	f.id = HTTP_ETAG;
	assert_true(http_field_may_trail(&f));
	for (size_t i = 0; i < ARRAY_LEN(never); i++) {
		f.id = (uint8_t)never[i];
		assert_false(http_field_may_trail(&f));
	}
}

static void methods_have_their_names(void **state)
{
	(void)state;
	for (unsigned m = HTTP_METHOD_GET; m < HTTP_METHOD_COUNT; m++) {
		const char *name = http_method_name((enum http_method)m);

		assert_int_equal(http_method_of(name, strlen(name)), m);
	}
	assert_int_equal(http_method_of("get", 3), HTTP_METHOD_OTHER);
	assert_int_equal(http_method_of("", 0), HTTP_METHOD_OTHER);
	assert_int_equal(http_method_of("GETS", 4), HTTP_METHOD_OTHER);
	assert_string_equal(http_method_name(HTTP_METHOD_OTHER), "");
	assert_true(http_method_is_idempotent(HTTP_METHOD_PUT));
	assert_false(http_method_is_idempotent(HTTP_METHOD_POST));
	assert_false(http_method_is_idempotent(HTTP_METHOD_OTHER));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_name_finds_itself_in_any_case_and_nothing_near_it),
		cmocka_unit_test(a_list_gives_its_elements),
		cmocka_unit_test(a_list_has_a_token_only_whole),
		cmocka_unit_test(texts_are_classed),
		cmocka_unit_test(what_connection_names_stays_on_the_hop),
		cmocka_unit_test(fields_are_counted_and_their_lists_joined),
		cmocka_unit_test(what_frames_or_routes_may_not_trail),
		cmocka_unit_test(methods_have_their_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
