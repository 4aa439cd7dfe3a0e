/* wire/client_hello: made and real hellos, cut in records and in bytes. */
#include "wire/client_hello.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* What OpenSSL 3.0 sends for "Chat.Example.com" with h2 and http/1.1. */
static const uint8_t real_hello[] = {
	0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03, 0xc4, 0xa6, 0xf5, 0x3f, 0x78, 0x8b,
	0x2d, 0xe6, 0x76, 0x1d, 0x85, 0xde, 0x1c, 0xaf, 0xb4, 0x09, 0x2b, 0x07, 0x09, 0x92, 0xd6, 0xa6, 0x6c,
	0x3a, 0xd8, 0x69, 0x22, 0x75, 0xb9, 0x71, 0x92, 0x5a, 0x20, 0x84, 0x85, 0x0b, 0xd0, 0xaf, 0x1a, 0x0c,
	0xd9, 0xc6, 0x9c, 0xc3, 0xc0, 0x71, 0xfa, 0x84, 0x62, 0x73, 0x62, 0x6f, 0x87, 0x30, 0xed, 0xda, 0x7e,
	0xd9, 0xd8, 0x1e, 0x4f, 0x2c, 0xab, 0xb3, 0xd6, 0x00, 0x24, 0x13, 0x02, 0x13, 0x03, 0x13, 0x01, 0xc0,
	0x2c, 0xc0, 0x30, 0xc0, 0x2b, 0xc0, 0x2f, 0xcc, 0xa9, 0xcc, 0xa8, 0xc0, 0x24, 0xc0, 0x28, 0xc0, 0x23,
	0xc0, 0x27, 0x00, 0x9f, 0x00, 0x9e, 0x00, 0x6b, 0x00, 0x67, 0x00, 0xff, 0x01, 0x00, 0x01, 0x8f, 0x00,
	0x00, 0x00, 0x15, 0x00, 0x13, 0x00, 0x00, 0x10, 0x43, 0x68, 0x61, 0x74, 0x2e, 0x45, 0x78, 0x61, 0x6d,
	0x70, 0x6c, 0x65, 0x2e, 0x63, 0x6f, 0x6d, 0x00, 0x0b, 0x00, 0x04, 0x03, 0x00, 0x01, 0x02, 0x00, 0x0a,
	0x00, 0x16, 0x00, 0x14, 0x00, 0x1d, 0x00, 0x17, 0x00, 0x1e, 0x00, 0x19, 0x00, 0x18, 0x01, 0x00, 0x01,
	0x01, 0x01, 0x02, 0x01, 0x03, 0x01, 0x04, 0x00, 0x23, 0x00, 0x00, 0x00, 0x10, 0x00, 0x0e, 0x00, 0x0c,
	0x02, 0x68, 0x32, 0x08, 0x68, 0x74, 0x74, 0x70, 0x2f, 0x31, 0x2e, 0x31, 0x00, 0x16, 0x00, 0x00, 0x00,
	0x17, 0x00, 0x00, 0x00, 0x0d, 0x00, 0x2a, 0x00, 0x28, 0x04, 0x03, 0x05, 0x03, 0x06, 0x03, 0x08, 0x07,
	0x08, 0x08, 0x08, 0x09, 0x08, 0x0a, 0x08, 0x0b, 0x08, 0x04, 0x08, 0x05, 0x08, 0x06, 0x04, 0x01, 0x05,
	0x01, 0x06, 0x01, 0x03, 0x03, 0x03, 0x01, 0x03, 0x02, 0x04, 0x02, 0x05, 0x02, 0x06, 0x02, 0x00, 0x2b,
	0x00, 0x05, 0x04, 0x03, 0x04, 0x03, 0x03, 0x00, 0x2d, 0x00, 0x02, 0x01, 0x01, 0x00, 0x33, 0x00, 0x26,
	0x00, 0x24, 0x00, 0x1d, 0x00, 0x20, 0xaa, 0xcf, 0x3a, 0x5b, 0x5c, 0x43, 0x73, 0x0c, 0x3a, 0xaf, 0xaf,
	0x15, 0x99, 0x85, 0x4e, 0xd3, 0xdc, 0x78, 0x1c, 0x9f, 0x4a, 0x61, 0x00, 0x54, 0xd9, 0x12, 0x8e, 0xe5,
	0xd7, 0x09, 0x62, 0x54, 0x00, 0x15, 0x00, 0xcb, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
};

/* ---- making hellos ---- */

struct bytes {
	size_t len;
	uint8_t at[40000];
};

static void put(struct bytes *b, const void *bytes, size_t len)
{
	assert_true(len <= sizeof(b->at) - b->len);
	if (len > 0)
		memcpy(b->at + b->len, bytes, len);
	b->len += len;
}

static void put_number(struct bytes *b, size_t value, unsigned size)
{
	while (size-- > 0) {
		uint8_t byte = (uint8_t)(value >> (8 * size));

		put(b, &byte, 1);
	}
}

static void put_extension(struct bytes *b, unsigned type, const void *body, size_t len)
{
	put_number(b, type, 2);
	put_number(b, len, 2);
	put(b, body, len);
}

static void put_name(struct bytes *b, const void *name, size_t len)
{
	static struct bytes body;

	body.len = 0;
	put_number(&body, len + 3, 2);
	put_number(&body, 0, 1);
	put_number(&body, len, 2);
	put(&body, name, len);
	put_extension(b, 0, body.at, body.len);
}

/* A handshake message around the extensions (NULL: none at all). */
static void message_make(struct bytes *out, const struct bytes *extensions)
{
	size_t len = 2 + 32 + 1 + 4 + 2 + (extensions != NULL ? 2 + extensions->len : 0);

	out->len = 0;
	put_number(out, 1, 1);
	put_number(out, len, 3);
	put_number(out, 0x0303, 2);
	put(out, (const uint8_t[32]){ 7 }, 32);
	put_number(out, 0, 1);
	put(out, "\0\2\x13\1", 4);
	put(out, "\1\0", 2);
	if (extensions != NULL) {
		put_number(out, extensions->len, 2);
		put(out, extensions->at, extensions->len);
	}
}

/* The message in records of at most `record_max` bytes. */
static void records_make(struct bytes *out, const uint8_t *message, size_t len, size_t record_max)
{
	out->len = 0;
	for (size_t at = 0; at < len;) {
		size_t part = len - at < record_max ? len - at : record_max;

		put(out, "\x16\3\1", 3);
		put_number(out, part, 2);
		put(out, message + at, part);
		at += part;
	}
}

/* The result byte by byte, each time in a block that ends where the input ends; must be that of the whole. */
static int peek(const uint8_t *in, size_t len, struct client_hello *out)
{
	struct client_hello grown = { 0 };
	int got = client_hello_peek(in, len, out), step = 0;
	size_t n;

	for (n = 0; n <= len && step == 0; n++) {
		uint8_t *block = malloc(n > 0 ? n : 1);

		assert_non_null(block);
		if (n > 0)
			memcpy(block, in, n);
		step = client_hello_peek(block, n, &grown);
		free(block);
	}
	assert_int_equal(step, got);
	if (got > 0) {
		assert_int_equal(n - 1, got);
		assert_memory_equal(&grown, out, sizeof(grown));
	}
	return got;
}

/* ---- tests ---- */

static void real_hello_is_read_however_it_is_cut(void **state)
{
	static struct bytes in;
	struct client_hello h;

	(void)state;
	assert_int_equal(peek(real_hello, sizeof(real_hello), &h), sizeof(real_hello));
	for (size_t record_max = 1; record_max < 300; record_max += record_max < 20 ? 1 : 50) {
		records_make(&in, real_hello + 5, sizeof(real_hello) - 5, record_max);
		assert_int_equal(peek(in.at, in.len, &h), in.len);
		assert_string_equal(h.name, "chat.example.com");
		assert_int_equal(h.name_len, 16);
		assert_int_equal(h.alpn_len, 12);
		assert_memory_equal(h.alpn, "\2h2\10http/1.1", 12);
		assert_true(client_hello_has_alpn(&h, "h2", 2));
		assert_true(client_hello_has_alpn(&h, "http/1.1", 8));
		assert_false(client_hello_has_alpn(&h, "http/1.0", 8));
		assert_false(client_hello_has_alpn(&h, "h", 1));
	}
}

static void hello_without_extensions_has_no_name(void **state)
{
	static struct bytes message, in;
	struct client_hello h;

	(void)state;
	message_make(&message, NULL);
	records_make(&in, message.at, message.len, 1000);
	put(&in, "what follows", 12);
	assert_int_equal(client_hello_peek(in.at, in.len, &h), in.len - 12);
	assert_int_equal(h.name_len, 0);
	assert_int_equal(h.alpn_len, 0);
	assert_string_equal(h.name, "");
}

#define NAME(s) s, sizeof(s) - 1
/* clang-format off */
static const struct {
	const char *name;
	size_t len;
	const char *want; /* NULL: refused */
} names[] = {
	{ NAME("a"), "a" },
	{ NAME("WWW.Example.ORG."), "www.example.org" },
	{ NAME("xn--bcher-kva.example"), "xn--bcher-kva.example" },
	{ NAME("_srv.a-b.c"), "_srv.a-b.c" },
	{ NAME(""), NULL },
	{ NAME("."), NULL },
	{ NAME("a b"), NULL },
	{ NAME("a\0b"), NULL },
	{ NAME("b\xc3\xbc"), NULL },
	{ NAME("a/b"), NULL },
	{ NAME("a:443"), NULL },
};
/* clang-format on */

static void name_is_a_host_name(void **state)
{
	static struct bytes extensions, message, in;
	char longest[256];
	struct client_hello h;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		extensions.len = 0;
		put_name(&extensions, names[i].name, names[i].len);
		message_make(&message, &extensions);
		records_make(&in, message.at, message.len, 30);
		if (names[i].want == NULL) {
			assert_int_equal(peek(in.at, in.len, &h), -CLIENT_HELLO_ERR_NAME);
		} else {
			assert_int_equal(peek(in.at, in.len, &h), in.len);
			assert_string_equal(h.name, names[i].want);
			assert_int_equal(h.name_len, strlen(names[i].want));
		}
	}
	memset(longest, 'a', sizeof(longest));
	for (size_t len = 255; len <= 256; len++) {
		extensions.len = 0;
		put_name(&extensions, longest, len);
		message_make(&message, &extensions);
		records_make(&in, message.at, message.len, 1000);
		assert_int_equal(client_hello_peek(in.at, in.len, &h),
				 len == 255 ? (int)in.len : -CLIENT_HELLO_ERR_NAME);
	}
	assert_int_equal(h.name_len, 255);
}

#define BODY(s) s, sizeof(s) - 1
/* clang-format off */
static const struct {
	const char *what;
	unsigned type;
	const char *body;
	size_t len;
	int want; /* 0: read */
} extension_cases[] = {
	{ "another type of name, skipped", 0, BODY("\0\10\1\0\1x\0\0\1y"), 0 },
	{ "only another type of name", 0, BODY("\0\4\1\0\1x"), 0 },
	{ "an empty server_name", 0, BODY(""), -CLIENT_HELLO_ERR_SYNTAX },
	{ "an empty list of names", 0, BODY("\0\0"), -CLIENT_HELLO_ERR_SYNTAX },
	{ "a list longer than the extension", 0, BODY("\0\5\0\0\1x"), -CLIENT_HELLO_ERR_SYNTAX },
	{ "a list shorter than the extension", 0, BODY("\0\4\0\0\1xy"), -CLIENT_HELLO_ERR_SYNTAX },
	{ "a name longer than the list", 0, BODY("\0\4\0\0\2x"), -CLIENT_HELLO_ERR_SYNTAX },
	{ "two host names", 0, BODY("\0\10\0\0\1x\0\0\1y"), -CLIENT_HELLO_ERR_SYNTAX },
	{ "ALPN", 16, BODY("\0\3\2h2"), 0 },
	{ "an empty ALPN", 16, BODY("\0\0"), -CLIENT_HELLO_ERR_SYNTAX },
	{ "an empty protocol", 16, BODY("\0\4\2h2\0"), -CLIENT_HELLO_ERR_SYNTAX },
	{ "a protocol longer than the list", 16, BODY("\0\3\3h2"), -CLIENT_HELLO_ERR_SYNTAX },
	{ "an unknown one", 0x1a1a, BODY("x"), 0 },
};
/* clang-format on */

static void extension_lengths_must_agree(void **state)
{
	static struct bytes extensions, message, in;
	struct client_hello h;

	(void)state;
	for (size_t i = 0; i < sizeof(extension_cases) / sizeof(extension_cases[0]); i++) {
		extensions.len = 0;
		put_extension(&extensions, extension_cases[i].type, extension_cases[i].body,
			      extension_cases[i].len);
		put_extension(&extensions, 35, "", 0); /* so that running over would find something */
		message_make(&message, &extensions);
		for (size_t record_max = 7; record_max < 1000; record_max += 500) {
			int want = extension_cases[i].want, got;

			records_make(&in, message.at, message.len, record_max);
			got = peek(in.at, in.len, &h);
			if (got != (want == 0 ? (int)in.len : want))
				fail_msg("%s: %d", extension_cases[i].what, got);
		}
	}
	for (unsigned type = 0; type <= 16; type += 16) { /* RFC 8446 4.2 */
		extensions.len = 0;
		for (int n = 0; n < 2; n++) {
			if (type == 0)
				put_name(&extensions, "a", 1);
			else
				put_extension(&extensions, 16, "\0\3\2h2", 5);
		}
		message_make(&message, &extensions);
		records_make(&in, message.at, message.len, 1000);
		assert_int_equal(peek(in.at, in.len, &h), -CLIENT_HELLO_ERR_SYNTAX);
	}
}

static void protocols_that_do_not_fit_are_left_out(void **state)
{
	static struct bytes extensions, message, in, list;
	struct client_hello h;

	(void)state;
	list.len = 0;
	put_number(&list, 1 + 250 + 1 + 20 + 3, 2);
	put_number(&list, 250, 1);
	put(&list, message.at, 250);
	put_number(&list, 20, 1);
	put(&list, message.at, 20);
	put(&list, "\2h2", 3);
	extensions.len = 0;
	put_extension(&extensions, 16, list.at, list.len);
	message_make(&message, &extensions);
	records_make(&in, message.at, message.len, 1000);
	assert_int_equal(peek(in.at, in.len, &h), in.len);
	assert_int_equal(h.alpn_len, 251 + 3);
	assert_true(client_hello_has_alpn(&h, "h2", 2));
}

static void what_is_no_hello_is_known_early(void **state)
{
	/* clang-format off */
	static const struct { const char *in; size_t len; int want; } starts[] = {
		{ BODY("G"), -CLIENT_HELLO_ERR_NOT_TLS },
		{ BODY("\x16\x02"), -CLIENT_HELLO_ERR_NOT_TLS },
		{ BODY("\x80\x2e\1\3\1"), -CLIENT_HELLO_ERR_NOT_TLS }, /* SSL 2 */
		{ BODY("\x16\3\1\0\0"), -CLIENT_HELLO_ERR_NOT_TLS },
		{ BODY("\x16\3\1\x40\1"), -CLIENT_HELLO_ERR_NOT_TLS },
		{ BODY("\x16\3\1\0\x10\2"), -CLIENT_HELLO_ERR_NOT_TLS },
		{ BODY("\x15\3\1\0\2\1\0"), -CLIENT_HELLO_ERR_NOT_TLS },
		{ BODY("\x16\3\1\0\1\1\x15"), -CLIENT_HELLO_ERR_SYNTAX }, /* an alert in between */
		{ BODY("\x16\3\1\0\1\1\x16\3\1\0\0"), -CLIENT_HELLO_ERR_SYNTAX },
		{ BODY("\x16\3\1\0\4\1\0\x40\0"), -CLIENT_HELLO_ERR_TOO_LONG },
		{ BODY("\x16\3\1\0\4\1\0\0\0"), -CLIENT_HELLO_ERR_SYNTAX },
		{ BODY("\x16\3\1\x40\0\1\0\x3f\xfc"), 0 },
		{ BODY("\x16\3\3\1\0\1\0"), 0 },
		{ BODY(""), 0 },
	};
	/* clang-format on */
	struct client_hello h;

	(void)state;
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		assert_int_equal(peek((const uint8_t *)starts[i].in, starts[i].len, &h), starts[i].want);
}

static void hello_is_bounded(void **state)
{
	static struct bytes extensions, message, in, key_share;
	struct client_hello h;

	(void)state;
	/* The largest message there may be, whole and in small records. */
	extensions.len = 0;
	key_share.len = CLIENT_HELLO_MAX - 4 - 43 - 4 - 10;
	put_extension(&extensions, 51, key_share.at, key_share.len);
	put_name(&extensions, "a", 1);
	message_make(&message, &extensions);
	assert_int_equal(message.len, CLIENT_HELLO_MAX);
	records_make(&in, message.at, message.len, 16384);
	assert_int_equal(client_hello_peek(in.at, in.len, &h), in.len);
	assert_string_equal(h.name, "a");
	records_make(&in, message.at, message.len, 100);
	assert_int_equal(client_hello_peek(in.at, in.len, &h), in.len);
	assert_string_equal(h.name, "a");
	records_make(&in, message.at, message.len, 40);
	assert_int_equal(client_hello_peek(in.at, in.len, &h), -CLIENT_HELLO_ERR_TOO_LONG);
	assert_int_equal(client_hello_peek(in.at, CLIENT_HELLO_INPUT_MAX, &h), -CLIENT_HELLO_ERR_TOO_LONG);
}

static void every_error_has_a_text(void **state)
{
	(void)state;
	for (int error = 0; error < CLIENT_HELLO_ERR_COUNT; error++)
		assert_true(strlen(client_hello_error_text(-error)) > 5);
	assert_non_null(client_hello_error_text(-99));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(real_hello_is_read_however_it_is_cut),
		cmocka_unit_test(hello_without_extensions_has_no_name),
		cmocka_unit_test(name_is_a_host_name),
		cmocka_unit_test(extension_lengths_must_agree),
		cmocka_unit_test(protocols_that_do_not_fit_are_left_out),
		cmocka_unit_test(what_is_no_hello_is_known_early),
		cmocka_unit_test(hello_is_bounded),
		cmocka_unit_test(every_error_has_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
