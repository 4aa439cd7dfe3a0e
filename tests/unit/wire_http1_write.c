/* wire/http1_write: what is written, what is refused, and that nothing is written past its room. */
#include "wire/http1_write.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "wire/http1_parse.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* In a block of just `cap` bytes the text, or -1. */
#define EXPECT(want, call)                                                           \
	do {                                                                         \
		const char *wanted = (want);                                         \
		size_t want_len = strlen(wanted);                                    \
                                                                                     \
		for (size_t cap = 0; cap <= want_len + 3; cap++) {                   \
			uint8_t *out = malloc(cap > 0 ? cap : 1);                    \
			long got;                                                    \
                                                                                     \
			assert_non_null(out);                                        \
			got = (call);                                                \
			assert_int_equal(got, cap < want_len ? -1 : (long)want_len); \
			if (got > 0)                                                 \
				assert_memory_equal(out, wanted, want_len);          \
			free(out);                                                   \
		}                                                                    \
	} while (0)

#define REFUSED(call)                          \
	do {                                   \
		uint8_t out[256];              \
		const size_t cap = sizeof out; \
                                               \
		assert_int_equal((call), -1);  \
	} while (0)

static void start_lines(void **state)
{
	(void)state;
	EXPECT("GET / HTTP/1.1\r\n", http1_write_request_line(out, cap, "GET", 3, "/", 1, NULL, 0));
	EXPECT("GET /a? HTTP/1.1\r\n", http1_write_request_line(out, cap, "GET", 3, "/a", 2, "", 0));
	EXPECT("GET /a?b=c HTTP/1.1\r\n", http1_write_request_line(out, cap, "GET", 3, "/a", 2, "b=c", 3));
	REFUSED(http1_write_request_line(out, cap, "G T", 3, "/", 1, NULL, 0));
	REFUSED(http1_write_request_line(out, cap, "", 0, "/", 1, NULL, 0));
	REFUSED(http1_write_request_line(out, cap, "GET", 3, "", 0, NULL, 0));
	REFUSED(http1_write_request_line(out, cap, "GET", 3, "/ ", 2, NULL, 0));
	REFUSED(http1_write_request_line(out, cap, "GET", 3, "/\r\nX: y", 7, NULL, 0));
	REFUSED(http1_write_request_line(out, cap, "GET", 3, "/", 1, "a b", 3));
	REFUSED(http1_write_request_line(out, cap, "GET", 3, "/", 1, "a#b", 3));
	EXPECT("HTTP/1.1 200 OK\r\n", http1_write_status_line(out, cap, 200, NULL, 0));
	EXPECT("HTTP/1.1 299 \r\n", http1_write_status_line(out, cap, 299, NULL, 0));
	EXPECT("HTTP/1.1 999 \r\n", http1_write_status_line(out, cap, 999, NULL, 0));
	EXPECT("HTTP/1.1 404 Gone fishing\r\n", http1_write_status_line(out, cap, 404, "Gone fishing", 12));
	EXPECT("HTTP/1.1 200 \r\n", http1_write_status_line(out, cap, 200, "", 0));
	REFUSED(http1_write_status_line(out, cap, 99, NULL, 0));
	REFUSED(http1_write_status_line(out, cap, 1000, NULL, 0));
	REFUSED(http1_write_status_line(out, cap, 200, "O\nK", 3));
	REFUSED(http1_write_status_line(out, cap, 200, "O\0K", 3));
}

static void fields(void **state)
{
	(void)state;
	EXPECT("a: b\r\n", http1_write_field_literal(out, cap, "a", "b"));
	EXPECT("a: \r\n", http1_write_field_literal(out, cap, "a", ""));
	EXPECT("a: b\tc \xe9\r\n", http1_write_field(out, cap, "a", 1, "b\tc \xe9", 5));
	REFUSED(http1_write_field_literal(out, cap, "", "b"));
	REFUSED(http1_write_field_literal(out, cap, "a b", "c"));
	REFUSED(http1_write_field_literal(out, cap, "a:", "c"));
	REFUSED(http1_write_field_literal(out, cap, "a\r\nb", "c"));
	REFUSED(http1_write_field_literal(out, cap, "a", "b\r\nc: d"));
	REFUSED(http1_write_field_literal(out, cap, "a", "b\n"));
	REFUSED(http1_write_field_literal(out, cap, "a", "b\r"));
	REFUSED(http1_write_field(out, cap, "a", 1, "\0", 1));
	REFUSED(http1_write_field_literal(out, cap, "a", "\x7f"));
	EXPECT("content-length: 0\r\n", http1_write_field_number(out, cap, "content-length", 14, 0));
	EXPECT("content-length: 18446744073709551615\r\n",
	       http1_write_field_number(out, cap, "content-length", 14, UINT64_MAX));
	EXPECT("\r\n", http1_write_head_end(out, cap));
}

static void chunks(void **state)
{
	const struct http_field trailers[] = { { .name = "A", .name_len = 1, .value = "b", .value_len = 1 },
					       { .name = "C", .name_len = 1, .value = "", .value_len = 0 } };
	const struct http_field bad = { .name = "A", .name_len = 1, .value = "\n", .value_len = 1 };
	(void)state;

	EXPECT("1\r\n", http1_write_chunk_line(out, cap, 1));
	EXPECT("10\r\n", http1_write_chunk_line(out, cap, 16));
	EXPECT("7fffffffffffffff\r\n", http1_write_chunk_line(out, cap, INT64_MAX));
	assert_int_equal(strlen("7fffffffffffffff\r\n"), HTTP1_CHUNK_LINE_MAX);
	REFUSED(http1_write_chunk_line(out, cap, 0));
	REFUSED(http1_write_chunk_line(out, cap, UINT64_C(1) << 63));
	EXPECT("0\r\n\r\n", http1_write_last_chunk(out, cap, NULL, 0));
	EXPECT("0\r\nA: b\r\nC: \r\n\r\n", http1_write_last_chunk(out, cap, trailers, 2));
	REFUSED(http1_write_last_chunk(out, cap, &bad, 1));
}

static void dates(void **state)
{
	static const struct {
		int64_t unix_s;
		const char *text;
	} cases[] = {
		{ 0, "Thu, 01 Jan 1970 00:00:00 GMT" },
		{ 784111777, "Sun, 06 Nov 1994 08:49:37 GMT" },
		{ 951782400, "Tue, 29 Feb 2000 00:00:00 GMT" },
		{ 4107542399, "Sun, 28 Feb 2100 23:59:59 GMT" },
		{ -1, "Wed, 31 Dec 1969 23:59:59 GMT" },
		{ INT64_C(253402300799), "Fri, 31 Dec 9999 23:59:59 GMT" },
		{ INT64_C(-62135596800), "Mon, 01 Jan 0001 00:00:00 GMT" },
	};
	uint8_t date[64];
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(http1_write_date(date, sizeof date, cases[i].unix_s), HTTP1_DATE_LEN);
		assert_memory_equal(date, cases[i].text, HTTP1_DATE_LEN);
	}
	EXPECT("date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", http1_write_date_field(out, cap, 784111777));
	assert_int_equal(http1_write_date_field(date, sizeof date, 0), HTTP1_DATE_FIELD_LEN);
	REFUSED(http1_write_date(out, cap, INT64_C(253402300800)));
	REFUSED(http1_write_date(out, cap, INT64_MIN));
	REFUSED(http1_write_date(out, cap, INT64_MAX));
	/* Every day of 200 years, as the C library has it. */
	for (time_t t = 43200; t < (time_t)200 * 366 * 86400; t += 86400) {
		char want[64];
		struct tm tm;

		gmtime_r(&t, &tm);
		strftime(want, sizeof want, "%a, %d %b %Y %H:%M:%S GMT", &tm);
		assert_int_equal(http1_write_date(date, sizeof date, t), HTTP1_DATE_LEN);
		assert_memory_equal(date, want, HTTP1_DATE_LEN);
	}
}

#define HEAD "GET / HTTP/1.1\r\n"

static const struct {
	const char *in;
	uint64_t leave_out;
	const char *out;
} forwarded[] = {
	{ HEAD "Host: a\r\n\r\n", 0, "Host: a\r\n" },
	{ HEAD "Host: a\r\n\r\n", HTTP_BIT(HTTP_HOST), "" },
	{ HEAD "Host: a\r\nX: y  \r\nZ:z\r\n\r\n", 0, "Host: a\r\nX: y  \r\nZ:z\r\n" },
	{ HEAD "Host: a\r\nConnection: close\r\nX: y\r\n\r\n", 0, "Host: a\r\nX: y\r\n" },
	{ HEAD "Connection: close\r\nHost: a\r\nKeep-Alive: 1\r\n\r\n", 0, "Host: a\r\n" },
	{ HEAD "A: b\r\nConnection: a, c\r\nHost: a\r\nB: x\r\nC: d\r\nE: f\r\n\r\n", 0,
	  "Host: a\r\nB: x\r\nE: f\r\n" },
	{ HEAD "X-Forwarded-For: 1\r\nHost: a\r\nX-Forwarded-For: 2\r\n\r\n", HTTP_BIT(HTTP_X_FORWARDED_FOR),
	  "Host: a\r\n" },
	{ HEAD "Host: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX: y\r\n\r\n", HTTP_BIT(HTTP_HOST),
	  "X: y\r\n" },
	{ "GET / HTTP/1.0\r\n\r\n", 0, "" },
};

static void forwarded_fields_are_the_lines_that_stay(void **state)
{
	const struct http1_limits limits = { 0 };
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(forwarded); i++) {
		struct http_field array[16];
		struct http_head head;

		http_head_init(&head, array, ARRAY_LEN(array));
		assert_true(http1_parse_request((const uint8_t *)forwarded[i].in, strlen(forwarded[i].in),
						&limits, NULL, &head) > 0);
		EXPECT(forwarded[i].out,
		       http1_write_forwarded_fields(out, cap, &head, forwarded[i].leave_out));
	}
}

static void reasons_are_the_registered_ones(void **state)
{
	(void)state;
	assert_string_equal(http_reason_phrase(101), "Switching Protocols");
	assert_string_equal(http_reason_phrase(431), "Request Header Fields Too Large");
	assert_string_equal(http_reason_phrase(299), "");
	assert_string_equal(http_reason_phrase(99), "");
	assert_string_equal(http_reason_phrase(600), "");
	assert_string_equal(http_reason_phrase(-5), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(start_lines),
		cmocka_unit_test(fields),
		cmocka_unit_test(chunks),
		cmocka_unit_test(dates),
		cmocka_unit_test(forwarded_fields_are_the_lines_that_stay),
		cmocka_unit_test(reasons_are_the_registered_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
