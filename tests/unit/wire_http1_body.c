/* wire/http1_body: bodies, whole and cut into steps of every size. */
#include "wire/http1_body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define T(literal)   "" literal, sizeof(literal) - 1

struct decoded {
	char payload[4096];
	size_t payload_len;
	size_t used;
	int error;
	bool is_over;
};

/* Decodes in steps, each a block of its own; what a call leaves comes again with the next step. */
static void decode(struct http1_body *body, const char *text, size_t len, size_t step, struct decoded *out)
{
	memset(out, 0, sizeof *out);
	for (size_t have = 0; have < len && !http1_body_is_over(body) && out->error == 0;) {
		have = len - have < step ? len : have + step;
		while (out->used < have && !http1_body_is_over(body)) {
			size_t size = have - out->used, data_len;
			uint8_t *in = malloc(size);
			const uint8_t *data;
			long used;

			assert_non_null(in);
			memcpy(in, text + out->used, size);
			used = http1_body_decode(body, in, size, &data, &data_len);
			if (used < 0) {
				out->error = (int)-used;
				free(in);
				break;
			}
			assert_true((size_t)used <= size);
			assert_true(used > 0);
			assert_true(data >= in && data + data_len <= in + used);
			assert_true(out->payload_len + data_len <= sizeof out->payload);
			memcpy(out->payload + out->payload_len, data, data_len);
			out->payload_len += data_len;
			out->used += (size_t)used;
			free(in);
		}
	}
	out->is_over = http1_body_is_over(body);
}

static const struct {
	const char *name;
	const char *text;
	size_t len;
	size_t used;
	const char *payload;
	bool is_over;
} good[] = {
	{ "nothing", T("0\r\n\r\n"), 5, "", true },
	{ "nothing, with more behind", T("0\r\n\r\nGET /"), 5, "", true },
	{ "one chunk", T("5\r\nhello\r\n0\r\n\r\n"), 15, "hello", true },
	{ "two chunks", T("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"), 26, "hello world", true },
	{ "hexadecimal in both cases", T("a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n"), 36,
	  "01234567890123456789a", true },
	{ "zeros in front", T("00000005\r\nhello\r\n000\r\n\r\n"), 24, "hello", true },
	{ "sixteen digits", T("0000000000000001\r\na\r\n0\r\n\r\n"), 26, "a", true },
	{ "line ends as payload", T("4\r\n\r\n\r\n\r\n0\r\n\r\n"), 14, "\r\n\r\n", true },
	{ "extensions", T("1;a\r\nx\r\n1;a=b;c=\"d;e\"\r\ny\r\n0;last\r\n\r\n"), 36, "xy", true },
	{ "extensions with white space", T("1 \t ; a = b\r\nx\r\n0\r\n\r\n"), 21, "x", true },
	{ "an extension of Latin-1", T("1;a=\"\xe9\"\r\nx\r\n0\r\n\r\n"), 17, "x", true },
	{ "a trailer", T("1\r\nx\r\n0\r\nA: b\r\n\r\n"), 17, "x", true },
	{ "trailers", T("0\r\nA: b\r\nC:\r\n\r\nmore"), 15, "", true },
	{ "not yet", T("5\r\nhel"), 6, "hel", false },
	{ "not quite yet", T("5\r\nhello\r\n0\r\n\r"), 14, "hello", false },
	{ "not yet, within trailers", T("0\r\nA: b\r\n"), 9, "", false },
};

static void a_chunked_body_is_the_same_however_it_is_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		for (size_t step = 1; step <= good[i].len; step++) {
			struct http1_body body;
			struct decoded got;

			http1_body_init(&body, HTTP1_BODY_CHUNKED, 0, 0);
			decode(&body, good[i].text, good[i].len, step, &got);
			if (got.error != 0 || got.used != good[i].used || got.is_over != good[i].is_over ||
			    got.payload_len != strlen(good[i].payload) ||
			    memcmp(got.payload, good[i].payload, got.payload_len) != 0)
				fail_msg("%s, by %zu: error %d, used %zu, \"%.*s\"", good[i].name, step,
					 got.error, got.used, (int)got.payload_len, got.payload);
			assert_int_equal(http1_body_eof(&body),
					 good[i].is_over ? HTTP1_OK : HTTP1_ERR_TRUNCATED);
			http1_body_done(&body);
		}
	}
}

static const struct {
	const char *name;
	const char *text;
	size_t len;
	enum http1_error want;
} bad[] = {
	{ "no size", T("\r\nhello"), HTTP1_ERR_CHUNK_SIZE },
	{ "no size but an extension", T(";a\r\n"), HTTP1_ERR_CHUNK_SIZE },
	{ "a space in front", T(" 5\r\nhello"), HTTP1_ERR_CHUNK_SIZE },
	{ "a sign", T("+5\r\nhello"), HTTP1_ERR_CHUNK_SIZE },
	{ "a minus", T("-1\r\n"), HTTP1_ERR_CHUNK_SIZE },
	{ "0x", T("0x5\r\nhello"), HTTP1_ERR_CHUNK_SIZE },
	{ "a letter", T("g\r\n"), HTTP1_ERR_CHUNK_SIZE },
	{ "an underscore", T("1_0\r\n"), HTTP1_ERR_CHUNK_SIZE },
	{ "NUL", T("5\0\r\nhello"), HTTP1_ERR_CHUNK_SIZE },
	{ "2^63", T("8000000000000000\r\n"), HTTP1_ERR_CHUNK_SIZE },
	{ "2^64", T("10000000000000000\r\n"), HTTP1_ERR_CHUNK_SIZE },
	{ "2^64 + 5", T("10000000000000005\r\nhello"), HTTP1_ERR_CHUNK_SIZE },
	{ "seventeen digits", T("00000000000000005\r\nhello"), HTTP1_ERR_CHUNK_SIZE },
	{ "LF behind the size", T("5\nhello"), HTTP1_ERR_CHUNK_SIZE },
	{ "CR behind the size", T("5\rhello"), HTTP1_ERR_LINE_END },
	{ "CR twice", T("5\r\r\nhello"), HTTP1_ERR_LINE_END },
	{ "a space behind the size", T("5 \r\nhello"), HTTP1_ERR_CHUNK_EXTENSION },
	{ "two sizes", T("5 5\r\nhello"), HTTP1_ERR_CHUNK_EXTENSION },
	{ "LF behind an extension", T("5;a\nhello"), HTTP1_ERR_CHUNK_EXTENSION },
	{ "LF in a quoted extension", T("5;a=\"\n\"\r\nhello"), HTTP1_ERR_CHUNK_EXTENSION },
	{ "CR in an extension", T("5;a\rb\r\nhello"), HTTP1_ERR_LINE_END },
	{ "NUL in an extension", T("5;a\0\r\nhello"), HTTP1_ERR_CHUNK_EXTENSION },
	{ "data too long", T("5\r\nhello!\r\n"), HTTP1_ERR_CHUNK_END },
	{ "data too short", T("6\r\nhello\r\n0\r\n\r\n"), HTTP1_ERR_CHUNK_END },
	{ "LF behind the data", T("5\r\nhello\n0\r\n\r\n"), HTTP1_ERR_CHUNK_END },
	{ "CR behind the data", T("5\r\nhello\r0\r\n\r\n"), HTTP1_ERR_CHUNK_END },
	{ "nothing behind the data", T("5\r\nhello0\r\n\r\n"), HTTP1_ERR_CHUNK_END },
	{ "LF for the last line", T("0\r\n\n"), HTTP1_ERR_LINE_END },
	{ "CR for the last line", T("0\r\n\rA: b\r\n\r\n"), HTTP1_ERR_LINE_END },
	{ "LF behind a trailer", T("0\r\nA: b\n\r\n"), HTTP1_ERR_LINE_END },
	{ "LF behind the trailers", T("0\r\nA: b\r\n\n"), HTTP1_ERR_LINE_END },
	{ "CR in a trailer", T("0\r\nA: b\rc\r\n\r\n"), HTTP1_ERR_LINE_END },
	{ "a folded trailer", T("0\r\nA: b\r\n c\r\n\r\n"), HTTP1_ERR_FOLDED },
	{ "a fold in front of the trailers", T("0\r\n A: b\r\n\r\n"), HTTP1_ERR_FOLDED },
	{ "a trailer with a space before its colon", T("0\r\nA : b\r\n\r\n"), HTTP1_ERR_NAME },
	{ "a request where trailers are", T("0\r\nGET / HTTP/1.1\r\n\r\n"), HTTP1_ERR_NAME },
	{ "NUL in a trailer", T("0\r\nA: \0\r\n\r\n"), HTTP1_ERR_VALUE },
};

static void a_malformed_chunk_is_an_error_however_it_is_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		for (size_t step = 1; step <= bad[i].len; step++) {
			struct http1_body body;
			struct decoded got;
			const uint8_t *data;
			size_t data_len;

			http1_body_init(&body, HTTP1_BODY_CHUNKED, 0, 0);
			decode(&body, bad[i].text, bad[i].len, step, &got);
			if (got.error != (int)bad[i].want)
				fail_msg("%s, by %zu: %d, want %d", bad[i].name, step, got.error,
					 bad[i].want);
			assert_false(got.is_over);
			assert_int_equal(http1_body_decode(&body, (const uint8_t *)"0", 1, &data, &data_len),
					 -(long)bad[i].want);
			assert_int_equal(http1_body_eof(&body), bad[i].want);
			http1_body_done(&body);
		}
	}
}

static void a_length_is_counted_and_no_byte_behind_it_used(void **state)
{
	struct http1_body body;
	struct decoded got;
	(void)state;

	for (size_t step = 1; step <= 8; step++) {
		http1_body_init(&body, HTTP1_BODY_LENGTH, 5, 0);
		assert_int_equal(http1_body_left_bytes(&body), 5);
		decode(&body, "helloGET", 8, step, &got);
		assert_true(got.is_over);
		assert_int_equal(got.used, 5);
		assert_memory_equal(got.payload, "hello", 5);
		assert_int_equal(http1_body_left_bytes(&body), 0);
	}
	http1_body_init(&body, HTTP1_BODY_LENGTH, UINT64_C(1) << 40, 0);
	decode(&body, "hello", 5, 5, &got);
	assert_false(got.is_over);
	assert_int_equal(http1_body_left_bytes(&body), (UINT64_C(1) << 40) - 5);
	assert_int_equal(http1_body_eof(&body), HTTP1_ERR_TRUNCATED);
	http1_body_init(&body, HTTP1_BODY_LENGTH, 0, 0);
	assert_true(http1_body_is_over(&body));
	http1_body_init(&body, HTTP1_BODY_NONE, 5, 0);
	assert_true(http1_body_is_over(&body));
	decode(&body, "hello", 5, 5, &got);
	assert_int_equal(got.used, 0);
}

static void a_body_until_close_ends_with_the_input(void **state)
{
	struct http1_body body;
	struct decoded got;
	(void)state;

	http1_body_init(&body, HTTP1_BODY_UNTIL_CLOSE, 0, 0);
	decode(&body, "hello", 5, 2, &got);
	assert_int_equal(got.used, 5);
	assert_memory_equal(got.payload, "hello", 5);
	assert_false(http1_body_is_over(&body));
	assert_int_equal(http1_body_eof(&body), HTTP1_OK);
	assert_true(http1_body_is_over(&body));
}

static void trailers_are_handed_over_without_those_that_may_not_be_there(void **state)
{
	static const char text[] =
		"0\r\nX-Sum: abc \r\nContent-Length: 5\r\nETag:\"x\"\r\nTransfer-Encoding: chunked\r\n"
		"Host: b\r\nY: 2\r\n\r\n";
	struct http1_body body;
	struct http_field fields[8];
	struct decoded got;
	(void)state;

	for (size_t step = 1; step < sizeof text; step++) {
		http1_body_init(&body, HTTP1_BODY_CHUNKED, 0, 0);
		decode(&body, text, sizeof text - 1, step, &got);
		assert_true(got.is_over);
		assert_true(http1_body_has_trailers(&body));
		assert_int_equal(http1_body_trailers(&body, fields, 8), 3);
		assert_int_equal(fields[0].value_len, 3);
		assert_memory_equal(fields[0].name, "X-Sum", 5);
		assert_memory_equal(fields[0].value, "abc", 3);
		assert_int_equal(fields[1].id, HTTP_ETAG);
		assert_memory_equal(fields[2].name, "Y", 1);
		assert_int_equal(http1_body_trailers(&body, fields, 2), 2);
		http1_body_done(&body);
		http1_body_done(&body);
	}
	http1_body_init(&body, HTTP1_BODY_CHUNKED, 0, 0);
	decode(&body, "0\r\n\r\n", 5, 5, &got);
	assert_false(http1_body_has_trailers(&body));
	assert_int_equal(http1_body_trailers(&body, fields, 8), 0);
}

static void trailers_are_bounded(void **state)
{
	static const char text[] =
		"0\r\nA: 0123456789\r\nB: 0123456789\r\n\r\n"; /* 32 bytes of trailers and 2 */
	(void)state;

	for (size_t step = 1; step < sizeof text; step++) {
		struct http1_body body;
		struct decoded got;

		http1_body_init(&body, HTTP1_BODY_CHUNKED, 0, 32);
		decode(&body, text, sizeof text - 1, step, &got);
		assert_int_equal(got.error, 0);
		http1_body_done(&body);
		http1_body_init(&body, HTTP1_BODY_CHUNKED, 0, 31);
		decode(&body, text, sizeof text - 1, step, &got);
		assert_int_equal(got.error, HTTP1_ERR_TRAILER_LONG);
		http1_body_done(&body);
	}
}

/* `count` chunks of one byte with an extension of `extension_len` bytes; the error, or 0. */
static int extensions_feed(size_t count, size_t extension_len, size_t chunk_len)
{
	struct http1_body body;
	int error = 0;

	http1_body_init(&body, HTTP1_BODY_CHUNKED, 0, 0);
	for (size_t i = 0; i < count && error == 0; i++) {
		char text[4096];
		struct decoded got;
		int n = sprintf(text, "%zx;", chunk_len);

		memset(text + n, 'e', extension_len - 1);
		n += (int)extension_len - 1;
		n += sprintf(text + n, "\r\n");
		memset(text + n, 'd', chunk_len);
		n += (int)chunk_len;
		n += sprintf(text + n, "\r\n");
		decode(&body, text, (size_t)n, 4096, &got);
		error = got.error;
	}
	http1_body_done(&body);
	return error;
}

static void extensions_may_not_outgrow_the_payload(void **state)
{
	(void)state;
	assert_int_equal(extensions_feed(1, HTTP1_CHUNK_EXTENSION_MAX, 1), 0);
	assert_int_equal(extensions_feed(1, HTTP1_CHUNK_EXTENSION_MAX + 1, 1), HTTP1_ERR_CHUNK_EXTENSION);
	assert_int_equal(extensions_feed(160, 100, 1), 0);
	assert_int_equal(extensions_feed(170, 100, 1), HTTP1_ERR_CHUNK_EXTENSION);
	assert_int_equal(extensions_feed(10000, 85, 1000), 0); /* a signature on every chunk */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_chunked_body_is_the_same_however_it_is_cut),
		cmocka_unit_test(a_malformed_chunk_is_an_error_however_it_is_cut),
		cmocka_unit_test(a_length_is_counted_and_no_byte_behind_it_used),
		cmocka_unit_test(a_body_until_close_ends_with_the_input),
		cmocka_unit_test(trailers_are_handed_over_without_those_that_may_not_be_there),
		cmocka_unit_test(trailers_are_bounded),
		cmocka_unit_test(extensions_may_not_outgrow_the_payload),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
