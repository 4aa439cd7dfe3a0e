/* HTTP/1.1 message heads (RFC 9112), strictly: one reading, or an error.
 *
 * Refused are bare CR and bare LF, folded lines, white space before a colon or doubled in a start line,
 * control characters, more than one Host or Content-Length, lengths that are not plain digits,
 * Content-Length beside Transfer-Encoding, codings other than one `chunked`: all that two readers of one
 * connection might understand differently.
 * Called by: proxy/h1_server, proxy/h1_client, health probes.  Allocates nothing. */
#ifndef WIRE_HTTP1_PARSE_H
#define WIRE_HTTP1_PARSE_H

#include <stddef.h>
#include <stdint.h>

#include "wire/headers.h"
#include "wire/http1_errors.h"

enum {
	HTTP1_METHOD_MAX = 32,	     /* bytes */
	HTTP1_HEAD_MAX = 1 << 30,    /* limits above count as this */
	HTTP1_LEADING_LINES_MAX = 4, /* empty lines before a request line (RFC 9112 2.2) */
	HTTP1_HOST_MAX = 512	     /* bytes of an authority; names end at 255 */
};

struct http1_limits {
	uint32_t head_bytes;   /* start line and fields with all line ends; 0: HTTP1_HEAD_MAX */
	uint32_t target_bytes; /* 0: as far as head_bytes goes */
	uint32_t field_count;  /* 0: as many as the head has room for */
};

/* Where the search for the end of a head has come to, so that a head arriving in crumbs costs no more than
 * one that arrives whole: kept by the connection, zeroed before each head.  Points to nothing. */
struct http1_scan {
	uint32_t scanned;    /* bytes known to hold no end and no error that a line shows by itself */
	uint32_t line_count; /* line ends among them */
};

/* Parse a head.
 *
 *   in, len   borrowed; all bytes from the first of the head on; may be short, may hold more than the head.
 *             `out` points into it
 *   scan      the progress, zeroed before the first call; NULL when nothing more is to come
 *   out       made ready by http_head_init(); anything but fields and field_cap is overwritten, and
 *             meaningful only when the result is > 0; it may be used again for the next head as it is
 *
 * Return the head's length in bytes with its empty line (and any empty lines in front of a request line),
 * 0 if more bytes are needed, or -HTTP1_ERR_*: then nothing more may be parsed.  The result for a whole
 * head does not depend on how it was cut; an error may be noticed only at the end of the head if it came
 * in pieces, a limit as soon as it is passed. */
int http1_parse_request(const uint8_t *in, size_t len, const struct http1_limits *limits,
			struct http1_scan *scan, struct http_head *out);
int http1_parse_response(const uint8_t *in, size_t len, const struct http1_limits *limits,
			 struct http1_scan *scan, struct http_head *out);

/* Parses one field line with its CRLF, as in a head (trailer sections come line by line).  Returns its
 * length, 0 if its end is missing, or -HTTP1_ERR_*. */
int http1_parse_field(const uint8_t *in, size_t len, struct http_field *out);

/* ---- what follows the head (RFC 9112 6.3) ---- */

enum http1_body_kind {
	HTTP1_BODY_NONE,
	HTTP1_BODY_LENGTH,
	HTTP1_BODY_CHUNKED,
	HTTP1_BODY_UNTIL_CLOSE /* responses only; the connection cannot be used again */
};

/* *length is set for HTTP1_BODY_LENGTH (never 0: that is HTTP1_BODY_NONE) and 0 otherwise. */
enum http1_body_kind http1_request_body(const struct http_head *request, uint64_t *length);
/* `method` of the request: HEAD has no body, nor has a 2xx to CONNECT, nor 1xx, 204, 304, whatever their
 * fields say. (Content-Length is to be left out of a forwarded 1xx or 204, RFC 9110 8.6.) */
enum http1_body_kind http1_response_body(const struct http_head *response, enum http_method method,
					 uint64_t *length);

#endif
