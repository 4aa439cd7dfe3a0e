/* wire/http1_parse: tables of heads, each read whole and then byte by byte, in blocks that end where the
 * input does. */
#include "wire/http1_parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

enum { FIELDS_MAX = 100 };

typedef int parse_fn(const uint8_t *, size_t, const struct http1_limits *, struct http1_scan *,
		     struct http_head *);

static const struct http1_limits roomy = { .head_bytes = 32768, .field_count = FIELDS_MAX };
static struct http_field fields[FIELDS_MAX];

/* A block of just this size, so that the sanitizer sees a byte too far. */
static uint8_t *copy_of(const void *text, size_t len)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);

	assert_non_null(copy);
	memcpy(copy, text, len);
	return copy;
}

static int parse_once(parse_fn *parse, const char *text, size_t len, const struct http1_limits *limits)
{
	uint8_t *in = copy_of(text, len);
	struct http_head head;
	int result;

	http_head_init(&head, fields, FIELDS_MAX);
	result = parse(in, len, limits, NULL, &head);
	free(in);
	return result;
}

/* Feeds `step` more bytes at a time, each time in another block; *used is how many it took. */
static int parse_stepwise(parse_fn *parse, const char *text, size_t len, const struct http1_limits *limits,
			  size_t step, size_t *used)
{
	struct http1_scan scan = { 0 };
	struct http_head head;
	int result = 0;

	http_head_init(&head, fields, FIELDS_MAX);
	for (size_t n = 0; result == 0; n = n + step < len ? n + step : len) {
		uint8_t *in = copy_of(text, n);

		result = parse(in, n, limits, &scan, &head);
		free(in);
		*used = n;
		if (n == len)
			break;
	}
	return result;
}

/* Whole and in pieces the same: an error perhaps only where the head ends. */
static void check(parse_fn *parse, const char *name, const char *text, size_t len,
		  const struct http1_limits *limits, int want)
{
	int got = parse_once(parse, text, len, limits);

	if (got != want)
		fail_msg("%s: %d (%s), want %d (%s)", name, got,
			 got < 0 ? http1_error_text((enum http1_error) - got) : "", want,
			 want < 0 ? http1_error_text((enum http1_error) - want) : "");
	for (size_t step = 1; step <= 7; step += 2) {
		char longer[4096];
		size_t used = 0;

		got = parse_stepwise(parse, text, len, limits, step, &used);
		if (got == 0 && want < 0) {
			assert_true(len + 4 <= sizeof longer);
			memcpy(longer, text, len);
			memcpy(longer + len, "\r\n\r\n", 4);
			got = parse_stepwise(parse, longer, len + 4, limits, step, &used);
		}
		if (got != want)
			fail_msg("%s: by %zu bytes: %d, want %d", name, step, got, want);
		if (want > 0 && (used < (size_t)want || used >= (size_t)want + step))
			fail_msg("%s: by %zu bytes: done at %zu, want %d", name, step, used, want);
	}
}

#define T(literal) "" literal, sizeof(literal) - 1
#define H	   "Host: a\r\n"
#define GET	   "GET / HTTP/1.1\r\n" H

/* ---- requests that are refused ---- */

static const struct {
	const char *name;
	const char *text;
	size_t len;
	enum http1_error want;
} bad_requests[] = {
	/* the request line */
	{ "no target", T("GET\r\n\r\n"), HTTP1_ERR_REQUEST_LINE },
	{ "no target, but a space", T("GET \r\n\r\n"), HTTP1_ERR_REQUEST_LINE },
	{ "HTTP/0.9", T("GET /\r\n\r\n"), HTTP1_ERR_REQUEST_LINE },
	{ "nothing but a version", T("HTTP/1.1\r\n\r\n"), HTTP1_ERR_METHOD },
	{ "a response", T("HTTP/1.1 200 OK\r\n\r\n"), HTTP1_ERR_METHOD },
	{ "two spaces before the target", T("GET  / HTTP/1.1\r\n" H "\r\n"), HTTP1_ERR_REQUEST_LINE },
	{ "two spaces before the version", T("GET /  HTTP/1.1\r\n" H "\r\n"), HTTP1_ERR_VERSION_SYNTAX },
	{ "a space behind the version", T("GET / HTTP/1.1 \r\n" H "\r\n"), HTTP1_ERR_VERSION_SYNTAX },
	{ "a space in the target", T("GET /a b HTTP/1.1\r\n" H "\r\n"), HTTP1_ERR_VERSION_SYNTAX },
	{ "a space in front", T(" GET / HTTP/1.1\r\n" H "\r\n"), HTTP1_ERR_METHOD },
	{ "a tab behind the method", T("GET\t/ HTTP/1.1\r\n" H "\r\n"), HTTP1_ERR_METHOD },
	{ "a tab behind the target", T("GET /\tHTTP/1.1\r\n" H "\r\n"), HTTP1_ERR_TARGET },
	{ "a form feed behind the method", T("GET\f/ HTTP/1.1\r\n" H "\r\n"), HTTP1_ERR_METHOD },
	{ "a vertical tab behind the target", T("GET /\vHTTP/1.1\r\n" H "\r\n"), HTTP1_ERR_TARGET },
	{ "a colon in the method", T("G:T / HTTP/1.1\r\n" H "\r\n"), HTTP1_ERR_METHOD },
	{ "a bracket in the method", T("GET( / HTTP/1.1\r\n" H "\r\n"), HTTP1_ERR_METHOD },
	{ "NUL in the method", T("GE\0T / HTTP/1.1\r\n" H "\r\n"), HTTP1_ERR_METHOD },
	{ "a method in Latin-1", T("G\xc9T / HTTP/1.1\r\n" H "\r\n"), HTTP1_ERR_METHOD },
	{ "a method of 33 bytes", T("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1\r\n" H "\r\n"),
	  HTTP1_ERR_METHOD_LONG },
	{ "a TLS ClientHello", T("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), HTTP1_ERR_METHOD },
	{ "five empty lines in front", T("\r\n\r\n\r\n\r\n\r\n" GET "\r\n"), HTTP1_ERR_REQUEST_LINE },
	{ "a bare LF in front", T("\n" GET "\r\n"), HTTP1_ERR_LINE_END },
	{ "a bare CR in front", T("\r" GET "\r\n"), HTTP1_ERR_LINE_END },
	{ "a field in front", T(H "GET / HTTP/1.1\r\n\r\n"), HTTP1_ERR_METHOD },

	/* versions */
	{ "HTTP/2.0", T("GET / HTTP/2.0\r\n" H "\r\n"), HTTP1_ERR_VERSION },
	{ "HTTP/2 with prior knowledge", T("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), HTTP1_ERR_VERSION },
	{ "HTTP/0.9 in words", T("GET / HTTP/0.9\r\n" H "\r\n"), HTTP1_ERR_VERSION },
	{ "HTTP/3.1", T("GET / HTTP/3.1\r\n" H "\r\n"), HTTP1_ERR_VERSION },
	{ "HTTP/9.9", T("GET / HTTP/9.9\r\n" H "\r\n"), HTTP1_ERR_VERSION },
	{ "a lower-case version", T("GET / http/1.1\r\n" H "\r\n"), HTTP1_ERR_VERSION_SYNTAX },
	{ "a mixed-case version", T("GET / Http/1.1\r\n" H "\r\n"), HTTP1_ERR_VERSION_SYNTAX },
	{ "a version with no minor", T("GET / HTTP/1\r\n" H "\r\n"), HTTP1_ERR_VERSION_SYNTAX },
	{ "a version with a dot alone", T("GET / HTTP/1.\r\n" H "\r\n"), HTTP1_ERR_VERSION_SYNTAX },
	{ "two digits behind the dot", T("GET / HTTP/1.10\r\n" H "\r\n"), HTTP1_ERR_VERSION_SYNTAX },
	{ "two digits before the dot", T("GET / HTTP/11.1\r\n" H "\r\n"), HTTP1_ERR_VERSION_SYNTAX },
	{ "a zero before the major", T("GET / HTTP/01.1\r\n" H "\r\n"), HTTP1_ERR_VERSION_SYNTAX },
	{ "a comma for the dot", T("GET / HTTP/1,1\r\n" H "\r\n"), HTTP1_ERR_VERSION_SYNTAX },
	{ "a sign in the version", T("GET / HTTP/+1.1\r\n" H "\r\n"), HTTP1_ERR_VERSION_SYNTAX },
	{ "another protocol", T("GET / RTSP/1.0\r\n" H "\r\n"), HTTP1_ERR_VERSION_SYNTAX },
	{ "a letter in the version", T("GET / HTTP/1.x\r\n" H "\r\n"), HTTP1_ERR_VERSION_SYNTAX },
	{ "text behind the version", T("GET / HTTP/1.1 HTTP/1.1\r\n" H "\r\n"), HTTP1_ERR_VERSION_SYNTAX },

	/* targets */
	{ "a fragment", T("GET /a#b HTTP/1.1\r\n" H "\r\n"), HTTP1_ERR_TARGET },
	{ "a fragment in the query", T("GET /a?b#c HTTP/1.1\r\n" H "\r\n"), HTTP1_ERR_TARGET },
	{ "NUL in the target", T("GET /a\0b HTTP/1.1\r\n" H "\r\n"), HTTP1_ERR_TARGET },
	{ "DEL in the target", T("GET /a\x7f HTTP/1.1\r\n" H "\r\n"), HTTP1_ERR_TARGET },
	{ "UTF-8 in the target", T("GET /caf\xc3\xa9 HTTP/1.1\r\n" H "\r\n"), HTTP1_ERR_TARGET },
	{ "a control character in the target", T("GET /a\x01 HTTP/1.1\r\n" H "\r\n"), HTTP1_ERR_TARGET },
	{ "a target with no slash", T("GET index.html HTTP/1.1\r\n" H "\r\n"), HTTP1_ERR_TARGET },
	{ "a query alone", T("GET ?a=b HTTP/1.1\r\n" H "\r\n"), HTTP1_ERR_TARGET },
	{ "an asterisk for GET", T("GET * HTTP/1.1\r\n" H "\r\n"), HTTP1_ERR_TARGET },
	{ "an asterisk and more", T("OPTIONS */ HTTP/1.1\r\n" H "\r\n"), HTTP1_ERR_TARGET },
	{ "an authority for GET", T("GET example.com:80 HTTP/1.1\r\n" H "\r\n"), HTTP1_ERR_TARGET },
	{ "a path for CONNECT", T("CONNECT / HTTP/1.1\r\n" H "\r\n"), HTTP1_ERR_TARGET },
	{ "CONNECT without a port", T("CONNECT example.com HTTP/1.1\r\n" H "\r\n"), HTTP1_ERR_TARGET },
	{ "CONNECT with an empty port", T("CONNECT example.com: HTTP/1.1\r\n" H "\r\n"), HTTP1_ERR_TARGET },
	{ "CONNECT with a path", T("CONNECT example.com:443/ HTTP/1.1\r\n" H "\r\n"), HTTP1_ERR_TARGET },
	{ "CONNECT with a scheme", T("CONNECT http://a:80 HTTP/1.1\r\n" H "\r\n"), HTTP1_ERR_TARGET },
	{ "another scheme", T("GET ftp://a/ HTTP/1.1\r\n" H "\r\n"), HTTP1_ERR_TARGET },
	{ "a scheme with no authority", T("GET http:///a HTTP/1.1\r\n" H "\r\n"), HTTP1_ERR_TARGET },
	{ "a scheme alone", T("GET http:// HTTP/1.1\r\n" H "\r\n"), HTTP1_ERR_TARGET },
	{ "a scheme with one slash", T("GET http:/a HTTP/1.1\r\n" H "\r\n"), HTTP1_ERR_TARGET },
	{ "user information", T("GET http://u:p@a/ HTTP/1.1\r\n" H "\r\n"), HTTP1_ERR_TARGET },
	{ "a port that is none, absolute", T("GET http://a:x/ HTTP/1.1\r\n" H "\r\n"), HTTP1_ERR_TARGET },
	{ "a backslash in the authority", T("GET http://a\\b/ HTTP/1.1\r\n" H "\r\n"), HTTP1_ERR_TARGET },

	/* line ends */
	{ "LF behind the request line", T("GET / HTTP/1.1\n" H "\r\n"), HTTP1_ERR_LINE_END },
	{ "LF behind everything", T("GET / HTTP/1.1\nHost: a\n\n"), HTTP1_ERR_LINE_END },
	{ "LF behind a field", T("GET / HTTP/1.1\r\nHost: a\n\r\n"), HTTP1_ERR_LINE_END },
	{ "LF for the empty line", T(GET "\n"), HTTP1_ERR_LINE_END },
	{ "CR behind the request line", T("GET / HTTP/1.1\rHost: a\r\n\r\n"), HTTP1_ERR_LINE_END },
	{ "CR twice", T("GET / HTTP/1.1\r\r\n" H "\r\n"), HTTP1_ERR_LINE_END },
	{ "CR in a value", T("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n"), HTTP1_ERR_LINE_END },
	{ "CR for the empty line", T(GET "\rX: y\r\n\r\n"), HTTP1_ERR_LINE_END },
	{ "CR twice for the empty line", T(GET "\r\r\n"), HTTP1_ERR_LINE_END },
	{ "LF CR", T(GET "X: y\n\r\n"), HTTP1_ERR_LINE_END },

	/* names */
	{ "a space before the colon", T(GET "X : y\r\n\r\n"), HTTP1_ERR_NAME },
	{ "a space before the colon of a known name", T("GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
	  HTTP1_ERR_NAME },
	{ "a space before the colon of a length", T(GET "Content-Length : 5\r\n\r\n"), HTTP1_ERR_NAME },
	{ "a space before the colon of a coding", T(GET "Transfer-Encoding : chunked\r\n\r\n"),
	  HTTP1_ERR_NAME },
	{ "a tab before the colon", T(GET "Transfer-Encoding\t: chunked\r\n\r\n"), HTTP1_ERR_NAME },
	{ "NUL before the colon", T(GET "Transfer-Encoding\0: chunked\r\n\r\n"), HTTP1_ERR_NAME },
	{ "no name", T(GET ": y\r\n\r\n"), HTTP1_ERR_NAME },
	{ "no colon", T(GET "X\r\n\r\n"), HTTP1_ERR_NAME },
	{ "no colon, with a space", T(GET "X y\r\n\r\n"), HTTP1_ERR_NAME },
	{ "a space in a name", T(GET "X Y: z\r\n\r\n"), HTTP1_ERR_NAME },
	{ "a bracket in a name", T(GET "X(Y): z\r\n\r\n"), HTTP1_ERR_NAME },
	{ "a slash in a name", T(GET "X/Y: z\r\n\r\n"), HTTP1_ERR_NAME },
	{ "an at sign in a name", T(GET "X@Y: z\r\n\r\n"), HTTP1_ERR_NAME },
	{ "quotes in a name", T(GET "\"X\": z\r\n\r\n"), HTTP1_ERR_NAME },
	{ "Latin-1 in a name", T(GET "X\xe9: z\r\n\r\n"), HTTP1_ERR_NAME },
	{ "a known name but for bit 0x20 of its hyphen", T(GET "content\x0dlength: 5\r\n\r\n"),
	  HTTP1_ERR_NAME },
	{ "a request line where a field should be", T("GET / HTTP/1.1\r\nGET / HTTP/1.1\r\n" H "\r\n"),
	  HTTP1_ERR_NAME },
	{ "a byte order mark", T("GET / HTTP/1.1\r\n\xef\xbb\xbfHost: a\r\n\r\n"), HTTP1_ERR_NAME },

	/* folded lines */
	{ "a folded value", T(GET "X: y\r\n z\r\n\r\n"), HTTP1_ERR_FOLDED },
	{ "a folded value, by a tab", T(GET "X: y\r\n\tz\r\n\r\n"), HTTP1_ERR_FOLDED },
	{ "a folded coding", T(GET "Transfer-Encoding:\r\n chunked\r\n\r\n"), HTTP1_ERR_FOLDED },
	{ "a fold in front of the first field", T("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), HTTP1_ERR_FOLDED },
	{ "a fold of white space alone", T(GET " \r\n\r\n"), HTTP1_ERR_FOLDED },

	/* values */
	{ "NUL in a value", T(GET "X: a\0b\r\n\r\n"), HTTP1_ERR_VALUE },
	{ "NUL at the end of a value", T(GET "X: a\0\r\n\r\n"), HTTP1_ERR_VALUE },
	{ "a control character in a value",
	  T(GET "X: a\x01"
		"b\r\n\r\n"),
	  HTTP1_ERR_VALUE },
	{ "DEL in a value", T(GET "X: a\x7f\r\n\r\n"), HTTP1_ERR_VALUE },
	{ "an escape in a value", T(GET "X: \x1b[2J\r\n\r\n"), HTTP1_ERR_VALUE },
	{ "a form feed before a value", T(GET "Transfer-Encoding: \fchunked\r\n\r\n"), HTTP1_ERR_VALUE },
	{ "a vertical tab behind a value", T(GET "Transfer-Encoding: chunked\v\r\n\r\n"), HTTP1_ERR_VALUE },
	{ "a control character late in a long value",
	  T(GET "X: 0123456789abcdef0123456789abcdef0123456789abcdef\x02\r\n\r\n"), HTTP1_ERR_VALUE },

	/* Host */
	{ "no Host", T("GET / HTTP/1.1\r\n\r\n"), HTTP1_ERR_HOST_MISSING },
	{ "no Host, but others", T("GET / HTTP/1.1\r\nX-Host: a\r\n\r\n"), HTTP1_ERR_HOST_MISSING },
	{ "no Host, absolute", T("GET http://a/ HTTP/1.1\r\n\r\n"), HTTP1_ERR_HOST_MISSING },
	{ "two Hosts", T(GET "Host: b\r\n\r\n"), HTTP1_ERR_HOST_SEVERAL },
	{ "two Hosts that agree", T(GET "Host: a\r\n\r\n"), HTTP1_ERR_HOST_SEVERAL },
	{ "two Hosts of unlike case", T(GET "X: y\r\nhOST: a\r\n\r\n"), HTTP1_ERR_HOST_SEVERAL },
	{ "two Hosts in HTTP/1.0", T("GET / HTTP/1.0\r\n" H H "\r\n"), HTTP1_ERR_HOST_SEVERAL },
	{ "two Hosts, absolute", T("GET http://a/ HTTP/1.1\r\n" H H "\r\n"), HTTP1_ERR_HOST_SEVERAL },
	{ "an empty Host", T("GET / HTTP/1.1\r\nHost:\r\n\r\n"), HTTP1_ERR_HOST },
	{ "an empty Host of spaces", T("GET / HTTP/1.1\r\nHost:  \r\n\r\n"), HTTP1_ERR_HOST },
	{ "a list of hosts", T("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"), HTTP1_ERR_HOST },
	{ "a list of hosts with no space", T("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"), HTTP1_ERR_HOST },
	{ "a space in Host", T("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), HTTP1_ERR_HOST },
	{ "a path in Host", T("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), HTTP1_ERR_HOST },
	{ "a query in Host", T("GET / HTTP/1.1\r\nHost: a?b\r\n\r\n"), HTTP1_ERR_HOST },
	{ "a user in Host", T("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"), HTTP1_ERR_HOST },
	{ "a scheme in Host", T("GET / HTTP/1.1\r\nHost: http://a\r\n\r\n"), HTTP1_ERR_HOST },
	{ "an escape in Host", T("GET / HTTP/1.1\r\nHost: a%2eb\r\n\r\n"), HTTP1_ERR_HOST },
	{ "UTF-8 in Host", T("GET / HTTP/1.1\r\nHost: caf\xc3\xa9\r\n\r\n"), HTTP1_ERR_HOST },
	{ "a port of letters", T("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"), HTTP1_ERR_HOST },
	{ "a port beyond 65535", T("GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n"), HTTP1_ERR_HOST },
	{ "port 0", T("GET / HTTP/1.1\r\nHost: a:0\r\n\r\n"), HTTP1_ERR_HOST },
	{ "a signed port", T("GET / HTTP/1.1\r\nHost: a:+80\r\n\r\n"), HTTP1_ERR_HOST },
	{ "two ports", T("GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n"), HTTP1_ERR_HOST },
	{ "a port alone", T("GET / HTTP/1.1\r\nHost: :80\r\n\r\n"), HTTP1_ERR_HOST },
	{ "IPv6 without brackets", T("GET / HTTP/1.1\r\nHost: ::1\r\n\r\n"), HTTP1_ERR_HOST },
	{ "IPv6 with a bracket missing", T("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"), HTTP1_ERR_HOST },
	{ "text behind IPv6", T("GET / HTTP/1.1\r\nHost: [::1]a\r\n\r\n"), HTTP1_ERR_HOST },
	{ "an IPv6 zone", T("GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n\r\n"), HTTP1_ERR_HOST },
	{ "a bad Host behind an absolute target", T("GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n"),
	  HTTP1_ERR_HOST },

	/* Content-Length */
	{ "a signed length", T(GET "Content-Length: +5\r\n\r\n"), HTTP1_ERR_LENGTH },
	{ "a negative length", T(GET "Content-Length: -1\r\n\r\n"), HTTP1_ERR_LENGTH },
	{ "an empty length", T(GET "Content-Length:\r\n\r\n"), HTTP1_ERR_LENGTH },
	{ "a hexadecimal length", T(GET "Content-Length: 0x5\r\n\r\n"), HTTP1_ERR_LENGTH },
	{ "a length with a fraction", T(GET "Content-Length: 5.0\r\n\r\n"), HTTP1_ERR_LENGTH },
	{ "a length with an exponent", T(GET "Content-Length: 1e3\r\n\r\n"), HTTP1_ERR_LENGTH },
	{ "a list of lengths", T(GET "Content-Length: 5, 6\r\n\r\n"), HTTP1_ERR_LENGTH },
	{ "a list of lengths that agree", T(GET "Content-Length: 5, 5\r\n\r\n"), HTTP1_ERR_LENGTH },
	{ "a length with a comma behind", T(GET "Content-Length: 5,\r\n\r\n"), HTTP1_ERR_LENGTH },
	{ "a length with a space within", T(GET "Content-Length: 1 2\r\n\r\n"), HTTP1_ERR_LENGTH },
	{ "a length with letters behind", T(GET "Content-Length: 5a\r\n\r\n"), HTTP1_ERR_LENGTH },
	{ "a length in quotes", T(GET "Content-Length: \"5\"\r\n\r\n"), HTTP1_ERR_LENGTH },
	{ "a length of 2^63", T(GET "Content-Length: 9223372036854775808\r\n\r\n"), HTTP1_ERR_LENGTH },
	{ "a length of 2^64", T(GET "Content-Length: 18446744073709551616\r\n\r\n"), HTTP1_ERR_LENGTH },
	{ "a length of 2^64 + 5", T(GET "Content-Length: 18446744073709551621\r\n\r\n"), HTTP1_ERR_LENGTH },
	{ "two lengths", T(GET "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"), HTTP1_ERR_LENGTH_SEVERAL },
	{ "two lengths that agree", T(GET "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"),
	  HTTP1_ERR_LENGTH_SEVERAL },
	{ "two lengths of unlike case", T(GET "content-length: 0\r\nCONTENT-LENGTH: 0\r\n\r\n"),
	  HTTP1_ERR_LENGTH_SEVERAL },

	/* Transfer-Encoding */
	{ "a length and a coding", T(GET "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
	  HTTP1_ERR_LENGTH_AND_CODING },
	{ "a coding and a length", T(GET "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"),
	  HTTP1_ERR_LENGTH_AND_CODING },
	{ "a length of 0 and a coding", T(GET "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n"),
	  HTTP1_ERR_LENGTH_AND_CODING },
	{ "an unknown coding and a length", T(GET "Transfer-Encoding: x\r\nContent-Length: 5\r\n\r\n"),
	  HTTP1_ERR_LENGTH_AND_CODING },
	{ "a coding in HTTP/1.0", T("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
	  HTTP1_ERR_CODING },
	{ "chunked twice", T(GET "Transfer-Encoding: chunked, chunked\r\n\r\n"), HTTP1_ERR_CODING },
	{ "chunked twice, in two fields",
	  T(GET "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), HTTP1_ERR_CODING },
	{ "two coding fields", T(GET "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"),
	  HTTP1_ERR_CODING },
	{ "chunked is not last", T(GET "Transfer-Encoding: chunked, gzip\r\n\r\n"), HTTP1_ERR_CODING },
	{ "an empty coding", T(GET "Transfer-Encoding:\r\n\r\n"), HTTP1_ERR_CODING },
	{ "a coding of a comma", T(GET "Transfer-Encoding: ,\r\n\r\n"), HTTP1_ERR_CODING },
	{ "a comma before chunked", T(GET "Transfer-Encoding: , chunked\r\n\r\n"), HTTP1_ERR_CODING },
	{ "a comma behind chunked", T(GET "Transfer-Encoding: chunked,\r\n\r\n"), HTTP1_ERR_CODING },
	{ "chunked in quotes", T(GET "Transfer-Encoding: \"chunked\"\r\n\r\n"), HTTP1_ERR_CODING },
	{ "xchunked", T(GET "Transfer-Encoding: xchunked\r\n\r\n"), HTTP1_ERR_CODING_UNKNOWN },
	{ "chunkedx", T(GET "Transfer-Encoding: chunkedx\r\n\r\n"), HTTP1_ERR_CODING_UNKNOWN },
	{ "chunked with a word behind", T(GET "Transfer-Encoding: chunked foo\r\n\r\n"),
	  HTTP1_ERR_CODING_UNKNOWN },
	{ "chunked with a parameter", T(GET "Transfer-Encoding: chunked;q=1\r\n\r\n"),
	  HTTP1_ERR_CODING_UNKNOWN },
	{ "identity", T(GET "Transfer-Encoding: identity\r\n\r\n"), HTTP1_ERR_CODING_UNKNOWN },
	{ "gzip, chunked", T(GET "Transfer-Encoding: gzip, chunked\r\n\r\n"), HTTP1_ERR_CODING_UNKNOWN },
	{ "gzip alone", T(GET "Transfer-Encoding: gzip\r\n\r\n"), HTTP1_ERR_CODING_UNKNOWN },
};

static void a_malformed_request_has_its_error_however_it_is_cut(void **state)
{
	(void)state;
	assert_true(ARRAY_LEN(bad_requests) >= 120);
	for (size_t i = 0; i < ARRAY_LEN(bad_requests); i++)
		check(http1_parse_request, bad_requests[i].name, bad_requests[i].text, bad_requests[i].len,
		      &roomy, -(int)bad_requests[i].want);
}

/* ---- requests that are read ---- */

static const struct {
	const char *text;
	size_t len;
	size_t extra; /* bytes behind the head */
	/* "method|target form|path|query|host|port", and the facts as words */
	const char *line;
	const char *facts;
} good_requests[] = {
	{ T("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 0, "GET|1|/|-|a|0", "keep" },
	{ T("GET / HTTP/1.0\r\n\r\n"), 0, "GET|1|/|-|-|0", "" },
	{ T("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), 0, "GET|1|/|-|-|0", "keep" },
	{ T("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"), 0, "GET|1|/|-|-|0", "" },
	{ T("GET / HTTP/1.2\r\nHost: a\r\n\r\n"), 0, "GET|1|/|-|a|0", "keep" },
	{ T("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), 0, "GET|1|/|-|a|0", "" },
	{ T("GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: , Close ,\r\n\r\n"), 0,
	  "GET|1|/|-|a|0", "names" },
	{ T("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), 0, "GET|1|/|-|a|0", "keep" },
	{ T("\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nGET"), 3, "GET|1|/|-|a|0", "keep" },
	{ T("GET /a/b?c=d&e HTTP/1.1\r\nHost: Chat.Example.com:8443\r\n\r\n"), 0,
	  "GET|1|/a/b|c=d&e|Chat.Example.com|8443", "keep" },
	{ T("GET /? HTTP/1.1\r\nHost: a.\r\n\r\n"), 0, "GET|1|/||a.|0", "keep" },
	{ T("GET //a?b?c HTTP/1.1\r\nHost: a_b-c~d\r\n\r\n"), 0, "GET|1|//a|b?c|a_b-c~d|0", "keep" },
	{ T("GET /%00%zz\"<>\\^`{|} HTTP/1.1\r\nHost: a\r\n\r\n"), 0, "GET|1|/%00%zz\"<>\\^`{|}|-|a|0",
	  "keep" },
	{ T("GET / HTTP/1.1\r\nHost:a\r\n\r\n"), 0, "GET|1|/|-|a|0", "keep" },
	{ T("GET / HTTP/1.1\r\nHost: \t a \t \r\n\r\n"), 0, "GET|1|/|-|a|0", "keep" },
	{ T("GET / HTTP/1.1\r\nHost: a:\r\n\r\n"), 0, "GET|1|/|-|a|0", "keep" },
	{ T("GET / HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n"), 0, "GET|1|/|-|127.0.0.1|80", "keep" },
	{ T("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n"), 0, "GET|1|/|-|[::1]|8080", "keep" },
	{ T("GET / HTTP/1.1\r\nHost: [2001:db8::192.0.2.1]\r\n\r\n"), 0, "GET|1|/|-|[2001:db8::192.0.2.1]|0",
	  "keep" },
	{ T("GET http://b/c?d HTTP/1.1\r\nHost: a\r\n\r\n"), 0, "GET|2|/c|d|b|0", "keep" },
	{ T("GET HTTPS://b:1 HTTP/1.1\r\nHost: a\r\n\r\n"), 0, "GET|2|/|-|b|1", "keep" },
	{ T("GET http://b?d HTTP/1.1\r\nHost: a\r\n\r\n"), 0, "GET|2|/|d|b|0", "keep" },
	{ T("GET http://[::1]/ HTTP/1.0\r\n\r\n"), 0, "GET|2|/|-|[::1]|0", "" },
	{ T("OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n"), 0, "OPTIONS|2|*|-|b|0", "keep" },
	{ T("OPTIONS http://b/ HTTP/1.1\r\nHost: a\r\n\r\n"), 0, "OPTIONS|2|/|-|b|0", "keep" },
	{ T("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), 0, "OPTIONS|4|*|-|a|0", "keep" },
	{ T("CONNECT b:443 HTTP/1.1\r\nHost: a\r\n\r\n"), 0, "CONNECT|3||-|b|443", "keep" },
	{ T("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"), 0, "HEAD|1|/|-|a|0", "keep" },
	{ T("get / HTTP/1.1\r\nHost: a\r\n\r\n"), 0, "?get|1|/|-|a|0", "keep" },
	{ T("GETT / HTTP/1.1\r\nHost: a\r\n\r\n"), 0, "?GETT|1|/|-|a|0", "keep" },
	{ T("M-SEARCH!#$%&'*+-.^_`|~0 / HTTP/1.1\r\nHost: a\r\n\r\n"), 0,
	  "?M-SEARCH!#$%&'*+-.^_`|~0|1|/|-|a|0", "keep" },
	{ T("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF / HTTP/1.1\r\nHost: a\r\n\r\n"), 0,
	  "?ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF|1|/|-|a|0", "keep" },
	{ T("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"), 5, "POST|1|/|-|a|0",
	  "keep length=5" },
	{ T("POST / HTTP/1.1\r\nHost: a\r\ncontent-LENGTH: 9223372036854775807\r\n\r\n"), 0, "POST|1|/|-|a|0",
	  "keep length=9223372036854775807" },
	{ T("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"), 0, "PUT|1|/|-|a|0", "keep length=0" },
	{ T("PATCH / HTTP/1.1\r\nHost: a\r\nContent-Length: 007\r\n\r\n"), 0, "PATCH|1|/|-|a|0",
	  "keep length=7" },
	{ T("DELETE / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 5,
	  "DELETE|1|/|-|a|0", "keep chunked" },
	{ T("TRACE / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\t Chunked \r\n\r\n"), 0, "TRACE|1|/|-|a|0",
	  "keep chunked" },
	{ T("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"), 0,
	  "GET|1|/|-|a|0", "keep upgrade cupgrade websocket" },
	{ T("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket, "
	    "h2c\r\n\r\n"),
	  0, "GET|1|/|-|a|0", "keep upgrade cupgrade websocket" },
	{ T("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket/13\r\nConnection: xupgrade\r\n\r\n"), 0,
	  "GET|1|/|-|a|0", "keep upgrade names" },
	{ T("GET / HTTP/1.1\r\nHost: a\r\nConnection: TE, Keep-Alive\r\nTE: trailers\r\n\r\n"), 0,
	  "GET|1|/|-|a|0", "keep trailers" },
	{ T("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n\r\n"), 0, "POST|1|/|-|a|0",
	  "keep continue" },
	{ T("POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\n\r\n"), 0, "POST|1|/|-|a|0", "" },
	{ T("POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n"), 0, "POST|1|/|-|a|0", "keep unknown" },
	{ T("GET / HTTP/1.1\r\nHost: a\r\nX:\r\nY: \r\nZ: \xe9\t\x80 \xff\r\n\r\n"), 0, "GET|1|/|-|a|0",
	  "keep" },
	{ T("GET / HTTP/1.1\r\nX: HTTP/1.1 200 OK\r\nHost: a\r\nX: b: c\r\n\r\n"), 0, "GET|1|/|-|a|0",
	  "keep" },
};

static void line_describe(const struct http_head *h, char *out, size_t cap)
{
	const char *method = http_method_name((enum http_method)h->method_id);

	assert_true(h->method_id == HTTP_METHOD_OTHER ||
		    (strlen(method) == h->method_len && memcmp(method, h->method, h->method_len) == 0));
	snprintf(out, cap, "%s%.*s|%d|%.*s|%.*s|%.*s|%d", h->method_id == HTTP_METHOD_OTHER ? "?" : "",
		 h->method_len, h->method, h->target_form, (int)h->path_len, h->path,
		 h->query != NULL ? (int)h->query_len : 1, h->query != NULL ? h->query : "-",
		 h->host != NULL ? h->host_name_len : 1, h->host != NULL ? h->host : "-", h->host_port);
}

static void facts_describe(const struct http_head *h, char *out, size_t cap)
{
	char length[40] = "";

	if (h->content_length >= 0)
		snprintf(length, sizeof length, " length=%lld", (long long)h->content_length);
	snprintf(out, cap, "%s%s%s%s%s%s%s%s%s%s", h->keep_alive ? " keep" : "", length,
		 h->is_chunked ? " chunked" : "", h->has_upgrade ? " upgrade" : "",
		 h->connection_upgrade ? " cupgrade" : "", h->upgrade_websocket ? " websocket" : "",
		 h->connection_names ? " names" : "", h->expect_continue ? " continue" : "",
		 h->expect_unknown ? " unknown" : "", h->te_trailers ? " trailers" : "");
	if (out[0] == ' ')
		memmove(out, out + 1, strlen(out));
}

static void a_good_request_says_what_it_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good_requests); i++) {
		const char *text = good_requests[i].text;
		size_t len = good_requests[i].len;
		char said[256];
		struct http_head head;

		check(http1_parse_request, text, text, len, &roomy, (int)(len - good_requests[i].extra));
		memset(&head, 0xaa, sizeof head); /* nothing may be left over from the head before */
		head.fields = fields;
		head.field_cap = FIELDS_MAX;
		http1_parse_request((const uint8_t *)text, len, &roomy, NULL, &head);
		line_describe(&head, said, sizeof said);
		assert_string_equal(said, good_requests[i].line);
		facts_describe(&head, said, sizeof said);
		if (strcmp(said, good_requests[i].facts) != 0)
			fail_msg("%s: %s, want %s", text, said, good_requests[i].facts);
		assert_int_equal(head.status, 0);
	}
}

static void fields_are_found_with_their_values(void **state)
{
	static const char text[] =
		"GET / HTTP/1.1\r\nhOsT: a\r\nX-One:  first \t\r\nAccept: */*\r\nx-one:second\r\nEmpty:\r\n"
		"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
	const struct http_field *f;
	struct http_head head;
	(void)state;

	http_head_init(&head, fields, FIELDS_MAX);
	assert_int_equal(http1_parse_request((const uint8_t *)text, sizeof text - 1, &roomy, NULL, &head),
			 sizeof text - 1);
	assert_int_equal(head.field_count, 6);
	assert_int_equal(fields[0].id, HTTP_HOST);
	assert_int_equal(fields[1].id, HTTP_OTHER);
	assert_int_equal(fields[2].id, HTTP_ACCEPT);
	assert_int_equal(fields[5].id, HTTP_SEC_WEBSOCKET_EXTENSIONS);
	assert_int_equal(fields[4].value_len, 0);
	f = http_head_find_name(&head, "X-ONE", 5, NULL);
	assert_ptr_equal(f, &fields[1]);
	assert_int_equal(f->value_len, 5);
	assert_memory_equal(f->value, "first", 5);
	f = http_head_find_name(&head, "X-ONE", 5, f + 1);
	assert_ptr_equal(f, &fields[3]);
	assert_memory_equal(f->value, "second", 6);
	assert_null(http_head_find_name(&head, "X-ONE", 5, f + 1));
	assert_ptr_equal(http_head_find_name(&head, "accept", 6, NULL), &fields[2]);
	assert_null(http_head_find(&head, HTTP_COOKIE, NULL));
	assert_memory_equal(head.fields_end, "\r\n", 3);
}

/* ---- responses ---- */

#define OK "HTTP/1.1 200 OK\r\n"

static const struct {
	const char *name;
	const char *text;
	size_t len;
	enum http1_error want;
} bad_responses[] = {
	{ "a request", T("GET / HTTP/1.1\r\n\r\n"), HTTP1_ERR_STATUS_LINE },
	{ "garbage", T("garbage\r\n\r\n"), HTTP1_ERR_STATUS_LINE },
	{ "an empty line in front", T("\r\n" OK "\r\n"), HTTP1_ERR_STATUS_LINE },
	{ "no status", T("HTTP/1.1\r\n\r\n"), HTTP1_ERR_STATUS_LINE },
	{ "no status, but a space", T("HTTP/1.1 \r\n\r\n"), HTTP1_ERR_STATUS_LINE },
	{ "two digits", T("HTTP/1.1 20\r\n\r\n"), HTTP1_ERR_STATUS_LINE },
	{ "two digits and a reason", T("HTTP/1.1 20 OK\r\n\r\n"), HTTP1_ERR_STATUS_LINE },
	{ "four digits", T("HTTP/1.1 2000 OK\r\n\r\n"), HTTP1_ERR_STATUS_LINE },
	{ "below 100", T("HTTP/1.1 099 OK\r\n\r\n"), HTTP1_ERR_STATUS_LINE },
	{ "000", T("HTTP/1.1 000 OK\r\n\r\n"), HTTP1_ERR_STATUS_LINE },
	{ "a signed status", T("HTTP/1.1 +20 OK\r\n\r\n"), HTTP1_ERR_STATUS_LINE },
	{ "letters in the status", T("HTTP/1.1 2xx OK\r\n\r\n"), HTTP1_ERR_STATUS_LINE },
	{ "two spaces before the status", T("HTTP/1.1  200 OK\r\n\r\n"), HTTP1_ERR_STATUS_LINE },
	{ "a tab before the status", T("HTTP/1.1\t200 OK\r\n\r\n"), HTTP1_ERR_STATUS_LINE },
	{ "a tab behind the status", T("HTTP/1.1 200\tOK\r\n\r\n"), HTTP1_ERR_STATUS_LINE },
	{ "NUL in the reason", T("HTTP/1.1 200 O\0K\r\n\r\n"), HTTP1_ERR_STATUS_LINE },
	{ "a control character in the reason", T("HTTP/1.1 200 O\x1bK\r\n\r\n"), HTTP1_ERR_STATUS_LINE },
	{ "HTTP/2", T("HTTP/2.0 200 OK\r\n\r\n"), HTTP1_ERR_VERSION },
	{ "HTTP/2 with no minor", T("HTTP/2 200 OK\r\n\r\n"), HTTP1_ERR_STATUS_LINE },
	{ "ICY", T("ICY 200 OK\r\n\r\n"), HTTP1_ERR_STATUS_LINE },
	{ "a lower-case version", T("http/1.1 200 OK\r\n\r\n"), HTTP1_ERR_STATUS_LINE },
	{ "LF behind the status line", T("HTTP/1.1 200 OK\nX: y\r\n\r\n"), HTTP1_ERR_LINE_END },
	{ "LF for the empty line", T(OK "X: y\r\n\n"), HTTP1_ERR_LINE_END },
	{ "CR in the reason", T("HTTP/1.1 200 O\rK\r\n\r\n"), HTTP1_ERR_LINE_END },
	{ "a folded line", T(OK "X: y\r\n z\r\n\r\n"), HTTP1_ERR_FOLDED },
	{ "a fold behind the status line", T(OK " X: y\r\n\r\n"), HTTP1_ERR_FOLDED },
	{ "a space before the colon", T(OK "X : y\r\n\r\n"), HTTP1_ERR_NAME },
	{ "no colon", T(OK "hello\r\n\r\n"), HTTP1_ERR_NAME },
	{ "another status line", T(OK "HTTP/1.1 200 OK\r\n\r\n"), HTTP1_ERR_NAME },
	{ "NUL in a value", T(OK "X: a\0b\r\n\r\n"), HTTP1_ERR_VALUE },
	{ "two lengths", T(OK "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"), HTTP1_ERR_LENGTH_SEVERAL },
	{ "two lengths that agree", T(OK "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"),
	  HTTP1_ERR_LENGTH_SEVERAL },
	{ "a list of lengths", T(OK "Content-Length: 5, 5\r\n\r\n"), HTTP1_ERR_LENGTH },
	{ "a negative length", T(OK "Content-Length: -5\r\n\r\n"), HTTP1_ERR_LENGTH },
	{ "a length beyond 2^63", T(OK "Content-Length: 99999999999999999999\r\n\r\n"), HTTP1_ERR_LENGTH },
	{ "a length and a coding", T(OK "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
	  HTTP1_ERR_LENGTH_AND_CODING },
	{ "a coding in HTTP/1.0", T("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
	  HTTP1_ERR_CODING },
	{ "chunked twice", T(OK "Transfer-Encoding: chunked, chunked\r\n\r\n"), HTTP1_ERR_CODING },
	{ "chunked is not last", T(OK "Transfer-Encoding: chunked, gzip\r\n\r\n"), HTTP1_ERR_CODING },
	{ "another coding", T(OK "Transfer-Encoding: gzip, chunked\r\n\r\n"), HTTP1_ERR_CODING_UNKNOWN },
	{ "xchunked", T(OK "Transfer-Encoding: xchunked\r\n\r\n"), HTTP1_ERR_CODING_UNKNOWN },
};

static void a_malformed_response_has_its_error_however_it_is_cut(void **state)
{
	(void)state;
	assert_true(ARRAY_LEN(bad_responses) >= 40);
	for (size_t i = 0; i < ARRAY_LEN(bad_responses); i++)
		check(http1_parse_response, bad_responses[i].name, bad_responses[i].text,
		      bad_responses[i].len, &roomy, -(int)bad_responses[i].want);
}

static const struct {
	const char *text;
	size_t len;
	enum http_method method; /* of the request */
	int status;
	const char *reason;
	enum http1_body_kind body;
	uint64_t length;
	bool keep_alive;
} good_responses[] = {
	{ T(OK "\r\n"), HTTP_METHOD_GET, 200, "OK", HTTP1_BODY_UNTIL_CLOSE, 0, true },
	{ T("HTTP/1.1 200 \r\n\r\n"), HTTP_METHOD_GET, 200, "", HTTP1_BODY_UNTIL_CLOSE, 0, true },
	{ T("HTTP/1.1 200\r\n\r\n"), HTTP_METHOD_GET, 200, "", HTTP1_BODY_UNTIL_CLOSE, 0, true },
	{ T("HTTP/1.1 200  OK \t!\r\n\r\n"), HTTP_METHOD_GET, 200, " OK \t!", HTTP1_BODY_UNTIL_CLOSE, 0,
	  true },
	{ T("HTTP/1.1 404 N\xe9\r\n\r\n"), HTTP_METHOD_GET, 404, "N\xe9", HTTP1_BODY_UNTIL_CLOSE, 0, true },
	{ T("HTTP/1.0 200 OK\r\n\r\n"), HTTP_METHOD_GET, 200, "OK", HTTP1_BODY_UNTIL_CLOSE, 0, false },
	{ T("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\n"), HTTP_METHOD_GET, 200,
	  "OK", HTTP1_BODY_LENGTH, 3, true },
	{ T(OK "Connection: close\r\nContent-Length: 3\r\n\r\n"), HTTP_METHOD_GET, 200, "OK",
	  HTTP1_BODY_LENGTH, 3, false },
	{ T(OK "Content-Length: 0\r\n\r\n"), HTTP_METHOD_POST, 200, "OK", HTTP1_BODY_NONE, 0, true },
	{ T(OK "Transfer-Encoding: chunked\r\n\r\n"), HTTP_METHOD_GET, 200, "OK", HTTP1_BODY_CHUNKED, 0,
	  true },
	{ T(OK "Transfer-Encoding: chunked\r\n\r\n"), HTTP_METHOD_HEAD, 200, "OK", HTTP1_BODY_NONE, 0, true },
	{ T(OK "Content-Length: 5\r\n\r\n"), HTTP_METHOD_HEAD, 200, "OK", HTTP1_BODY_NONE, 0, true },
	{ T(OK "\r\n"), HTTP_METHOD_HEAD, 200, "OK", HTTP1_BODY_NONE, 0, true },
	{ T(OK "Content-Length: 5\r\n\r\n"), HTTP_METHOD_CONNECT, 200, "OK", HTTP1_BODY_NONE, 0, true },
	{ T("HTTP/1.1 407 No\r\nContent-Length: 5\r\n\r\n"), HTTP_METHOD_CONNECT, 407, "No",
	  HTTP1_BODY_LENGTH, 5, true },
	{ T("HTTP/1.1 100 Continue\r\n\r\n"), HTTP_METHOD_POST, 100, "Continue", HTTP1_BODY_NONE, 0, true },
	{ T("HTTP/1.1 101 Switching Protocols\r\nContent-Length: 5\r\n\r\n"), HTTP_METHOD_GET, 101,
	  "Switching Protocols", HTTP1_BODY_NONE, 0, true },
	{ T("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"), HTTP_METHOD_GET, 204,
	  "No Content", HTTP1_BODY_NONE, 0, true },
	{ T("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"), HTTP_METHOD_GET, 304, "Not Modified",
	  HTTP1_BODY_NONE, 0, true },
	{ T("HTTP/1.1 999 \r\nHost: two\r\nHost: hosts\r\n\r\n"), HTTP_METHOD_GET, 999, "",
	  HTTP1_BODY_UNTIL_CLOSE, 0, true },
};

static void a_good_response_says_what_it_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good_responses); i++) {
		const char *text = good_responses[i].text;
		size_t len = good_responses[i].len;
		struct http_head head;
		uint64_t length = 77;

		check(http1_parse_response, text, text, len, &roomy, (int)len);
		memset(&head, 0xaa, sizeof head);
		head.fields = fields;
		head.field_cap = FIELDS_MAX;
		http1_parse_response((const uint8_t *)text, len, &roomy, NULL, &head);
		assert_int_equal(head.status, good_responses[i].status);
		assert_int_equal(head.reason_len, strlen(good_responses[i].reason));
		assert_memory_equal(head.reason, good_responses[i].reason, head.reason_len);
		assert_int_equal(head.keep_alive, good_responses[i].keep_alive);
		if (http1_response_body(&head, good_responses[i].method, &length) != good_responses[i].body ||
		    length != good_responses[i].length)
			fail_msg("%s: another body", text);
		assert_null(head.host);
		assert_int_equal(head.target_form, HTTP_TARGET_NONE);
	}
}

static void a_request_without_length_or_coding_has_no_body(void **state)
{
	struct http_head head;
	uint64_t length;
	(void)state;

	http_head_init(&head, fields, FIELDS_MAX);
	assert_int_equal(http1_request_body(&head, &length), HTTP1_BODY_NONE);
	head.content_length = 0;
	assert_int_equal(http1_request_body(&head, &length), HTTP1_BODY_NONE);
	head.content_length = 9;
	assert_int_equal(http1_request_body(&head, &length), HTTP1_BODY_LENGTH);
	assert_int_equal(length, 9);
	head.content_length = -1;
	head.is_chunked = true;
	assert_int_equal(http1_request_body(&head, &length), HTTP1_BODY_CHUNKED);
	assert_int_equal(length, 0);
}

/* ---- limits ---- */

/* "GET /aaa… HTTP/1.1" with a target of `target_len` bytes, and `count` fields; gives (free). */
static char *request_make(size_t target_len, size_t count, size_t value_len, size_t *len)
{
	char *text = malloc(64 + target_len + count * (value_len + 8)), *at = text;

	assert_non_null(text);
	at += sprintf(at, "GET /");
	memset(at, 'a', target_len - 1);
	at += target_len - 1;
	at += sprintf(at, " HTTP/1.1\r\nHost: a\r\n");
	for (size_t i = 1; i < count; i++) {
		at += sprintf(at, "X: ");
		memset(at, 'v', value_len);
		at += value_len;
		at += sprintf(at, "\r\n");
	}
	at += sprintf(at, "\r\n");
	*len = (size_t)(at - text);
	return text;
}

/* The result, and how many bytes it took to see it, by steps. */
static void check_made(size_t target_len, size_t count, size_t value_len, const struct http1_limits *limits,
		       enum http1_error error, size_t seen_by)
{
	size_t len, used;
	char *text = request_make(target_len, count, value_len, &len);
	int want = error == HTTP1_OK ? (int)len : -(int)error;

	assert_int_equal(parse_once(http1_parse_request, text, len, limits), want);
	for (size_t step = 1; step < len; step = step * 3 + 1) {
		assert_int_equal(parse_stepwise(http1_parse_request, text, len, limits, step, &used), want);
		if (error != HTTP1_OK && used > seen_by + step)
			fail_msg("noticed at %zu of %zu bytes, want %zu", used, len, seen_by);
	}
	free(text);
}

static void limits_hold_before_the_head_is_complete(void **state)
{
	struct http1_limits limits = { .head_bytes = 1000, .target_bytes = 100, .field_count = 10 };
	size_t len;
	(void)state;

	check_made(100, 1, 0, &limits, HTTP1_OK, 0);
	check_made(101, 1, 0, &limits, HTTP1_ERR_TARGET_LONG, 200);
	check_made(5000, 1, 0, &limits, HTTP1_ERR_TARGET_LONG, 200);
	check_made(10, 10, 10, &limits, HTTP1_OK, 0);
	check_made(10, 11, 10, &limits, HTTP1_ERR_FIELDS_MANY, 186);
	check_made(10, 50, 1, &limits, HTTP1_ERR_FIELDS_MANY, 120);
	check_made(10, 3, 2000, &limits, HTTP1_ERR_HEAD_LONG, 1000);
	limits.target_bytes = 0;
	check_made(5000, 1, 0, &limits, HTTP1_ERR_TARGET_LONG, 1000);
	/* To the byte. */
	free(request_make(10, 2, 500, &len));
	limits.head_bytes = (uint32_t)len;
	check_made(10, 2, 500, &limits, HTTP1_OK, 0);
	limits.head_bytes = (uint32_t)len - 1;
	check_made(10, 2, 500, &limits, HTTP1_ERR_HEAD_LONG, len);
	assert_int_equal(http1_status_of(HTTP1_ERR_TARGET_LONG), 414);
	assert_int_equal(http1_status_of(HTTP1_ERR_HEAD_LONG), 431);
	assert_int_equal(http1_status_of(HTTP1_ERR_FIELDS_MANY), 431);
}

static void the_array_of_fields_is_a_limit_too(void **state)
{
	static const char text[] = GET "A: b\r\nC: d\r\n\r\n";
	struct http_field two[2];
	struct http_head head;
	(void)state;

	http_head_init(&head, two, 2);
	assert_int_equal(http1_parse_request((const uint8_t *)text, sizeof text - 1, &roomy, NULL, &head),
			 -HTTP1_ERR_FIELDS_MANY);
}

/* A quadratic search would look at 10^12 bytes here. */
static void a_head_in_crumbs_costs_what_a_whole_one_costs(void **state)
{
	const size_t len = 1000000;
	const struct http1_limits limits = { 0 };
	struct http1_scan scan = { 0 };
	struct http_head head;
	char *text = malloc(len);
	(void)state;

	assert_non_null(text);
	memset(text, 'v', len);
	memcpy(text, GET "X: ", sizeof(GET "X: ") - 1);
	memcpy(text + len - 4, "\r\n\r\n", 4);
	http_head_init(&head, fields, FIELDS_MAX);
	for (size_t n = 1; n < len; n++)
		assert_int_equal(http1_parse_request((const uint8_t *)text, n, &limits, &scan, &head), 0);
	assert_int_equal(http1_parse_request((const uint8_t *)text, len, &limits, &scan, &head), len);
	free(text);
}

static void a_field_line_is_parsed_alone(void **state)
{
	struct http_field f;
	(void)state;

	assert_int_equal(http1_parse_field((const uint8_t *)"Date: x \r\n", 10, &f), 10);
	assert_int_equal(f.id, HTTP_DATE);
	assert_int_equal(f.value_len, 1);
	assert_int_equal(http1_parse_field((const uint8_t *)"Date: x \r\n", 9, &f), 0);
	assert_int_equal(http1_parse_field((const uint8_t *)"", 0, &f), 0);
	assert_int_equal(http1_parse_field((const uint8_t *)" Date: x\r\n", 10, &f), -HTTP1_ERR_FOLDED);
	assert_int_equal(http1_parse_field((const uint8_t *)"Date : x\r\n", 10, &f), -HTTP1_ERR_NAME);
	assert_int_equal(http1_parse_field((const uint8_t *)"\r\n", 2, &f), -HTTP1_ERR_NAME);
}

static void every_error_has_its_status_and_words(void **state)
{
	(void)state;
	for (int e = HTTP1_OK + 1; e < HTTP1_ERR_COUNT; e++) {
		assert_true(http1_status_of((enum http1_error)e) >= 400);
		assert_non_null(http1_error_text((enum http1_error)e));
	}
	assert_int_equal(http1_status_of(HTTP1_ERR_VERSION), 505);
	assert_int_equal(http1_status_of(HTTP1_ERR_CODING_UNKNOWN), 501);
	assert_int_equal(http1_status_of(HTTP1_ERR_NAME), 400);
	assert_int_equal(http1_status_of(HTTP1_ERR_COUNT), 500);
	assert_non_null(http1_error_text(HTTP1_ERR_COUNT));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_malformed_request_has_its_error_however_it_is_cut),
		cmocka_unit_test(a_good_request_says_what_it_says),
		cmocka_unit_test(fields_are_found_with_their_values),
		cmocka_unit_test(a_malformed_response_has_its_error_however_it_is_cut),
		cmocka_unit_test(a_good_response_says_what_it_says),
		cmocka_unit_test(a_request_without_length_or_coding_has_no_body),
		cmocka_unit_test(limits_hold_before_the_head_is_complete),
		cmocka_unit_test(the_array_of_fields_is_a_limit_too),
		cmocka_unit_test(a_head_in_crumbs_costs_what_a_whole_one_costs),
		cmocka_unit_test(a_field_line_is_parsed_alone),
		cmocka_unit_test(every_error_has_its_status_and_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
