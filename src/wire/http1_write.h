/* Writes HTTP/1.1 heads and chunks into a caller's buffer.
 *
 * Each function returns the bytes written, or -1 where they would not fit or would not be what they claim:
 * control characters in a value, a name that is no token.  What comes out parses again (wire/http1_parse),
 * and nothing in it adds a line.
 * Called by: proxy/, control/, health probes.  Allocates nothing. */
#ifndef WIRE_HTTP1_WRITE_H
#define WIRE_HTTP1_WRITE_H

#include <stddef.h>
#include <stdint.h>

#include "wire/headers.h"

/* RFC 9110 15, and the registry's others; "" for what is not registered. */
const char *http_reason_phrase(int status);

/* "GET /path?query HTTP/1.1" CRLF; `query` NULL: none. */
long http1_write_request_line(uint8_t *out, size_t cap, const char *method, size_t method_len,
			      const char *path, size_t path_len, const char *query, size_t query_len);
/* "HTTP/1.1 200 OK" CRLF; `reason` NULL: the standard phrase. */
long http1_write_status_line(uint8_t *out, size_t cap, int status, const char *reason, size_t reason_len);
/* "name: value" CRLF */
long http1_write_field(uint8_t *out, size_t cap, const char *name, size_t name_len, const char *value,
		       size_t value_len);
#define http1_write_field_literal(out, cap, name, value) \
	http1_write_field((out), (cap), "" name, sizeof(name) - 1, "" value, sizeof(value) - 1)
/* "content-length: N" CRLF, and the like. */
long http1_write_field_number(uint8_t *out, size_t cap, const char *name, size_t name_len, uint64_t value);
/* "date: " IMF-fixdate CRLF (RFC 9110 5.6.7), of seconds since 1970. */
enum { HTTP1_DATE_FIELD_LEN = 37, HTTP1_DATE_LEN = 29 };
long http1_write_date_field(uint8_t *out, size_t cap, int64_t unix_s);
/* The date alone, not NUL-terminated.  Years 1..9999; others -1. */
long http1_write_date(uint8_t *out, size_t cap, int64_t unix_s);

/* The fields of a head as it was parsed, but those whose ids are in `leave_out` (HTTP_BIT),
 * HTTP_HOP_BY_HOP_SET, and those that its Connection names: runs of lines are copied as they stand,
 * checked when they were parsed.  `head` and its array must be unchanged since, and its input still
 * there.  At most the size of the head's input.
 *
 * Host is forwarded unless left out: behind an absolute target it must be (head->host counts then).  So must
 * Content-Length where the body is framed anew. */
long http1_write_forwarded_fields(uint8_t *out, size_t cap, const struct http_head *head, uint64_t leave_out);

/* CRLF: the end of a head. */
long http1_write_head_end(uint8_t *out, size_t cap);

/* The line before a chunk's data, which is followed by CRLF.  size > 0: 0 is the last chunk. */
enum { HTTP1_CHUNK_LINE_MAX = 18 };
long http1_write_chunk_line(uint8_t *out, size_t cap, uint64_t size);
/* "0" CRLF, trailers, CRLF; does not write the CRLF of the chunk before. */
long http1_write_last_chunk(uint8_t *out, size_t cap, const struct http_field *trailers,
			    size_t trailer_count);

#endif
