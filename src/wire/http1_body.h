/* Bodies of HTTP/1.1 messages, decoded as they arrive (RFC 9112 6, 7.1).
 *
 * Payload is pointed at where it lies in the input.  The state is small and flat; only a trailer section
 * that is not empty is kept in memory, up to its limit, until http1_body_done().
 * Called by: proxy/h1_server (requests), proxy/h1_client (responses). */
#ifndef WIRE_HTTP1_BODY_H
#define WIRE_HTTP1_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/http1_parse.h"

enum {
	HTTP1_CHUNK_DIGITS_MAX = 16,
	HTTP1_CHUNK_EXTENSION_MAX = 1024, /* bytes on one chunk */
	HTTP1_CHUNK_EXCESS_MAX = 16384,	  /* bytes of extensions beyond the payload so far */
	HTTP1_TRAILER_MAX = 16384	  /* bytes; no limit is above it */
};

struct http1_trailer; /* private */

struct http1_body {
	uint64_t left_bytes;	       /* of the length, or of the chunk */
	struct http1_trailer *trailer; /* owned; NULL: none so far */
	uint32_t excess_bytes;	       /* of extensions: HTTP1_CHUNK_EXCESS_MAX */
	uint16_t line_bytes;	       /* digits or extension bytes of this chunk's line */
	uint16_t trailer_max_bytes;
	uint8_t kind;  /* enum http1_body_kind */
	uint8_t state; /* private */
	uint8_t error; /* enum http1_error, once there was one */
};
_Static_assert(sizeof(struct http1_body) <= 32, "kept by each connection");

/* `length` matters for HTTP1_BODY_LENGTH; `trailer_max_bytes` is the most that a trailer section may have
 * (0: the most there is). */
void http1_body_init(struct http1_body *body, enum http1_body_kind kind, uint64_t length,
		     uint32_t trailer_max_bytes);
/* Frees a kept trailer section.  Accepts an object that is zeroed or done. */
void http1_body_done(struct http1_body *body);

/* Decodes the next bytes of a body.
 *
 *   in, len         borrowed; what follows the head, and then what follows the bytes used
 *   data, data_len  the payload found, within `in`; *data_len 0 if none
 *
 * Returns the bytes used, or -HTTP1_ERR_* (the same from then on).  A call gives at most one run of
 * payload, so it may use less than there is: call again until it is over or all is used.  Bytes that
 * follow the body are never used; payload in front of an error in the same call is not given. */
long http1_body_decode(struct http1_body *body, const uint8_t *in, size_t len, const uint8_t **data,
		       size_t *data_len);

/* So much of the payload of HTTP1_BODY_LENGTH has gone another way: len <= http1_body_left_bytes(). */
void http1_body_skip(struct http1_body *body, uint64_t len);

/* Nothing more belongs to the body. */
bool http1_body_is_over(const struct http1_body *body);
/* The peer sends no more: HTTP1_OK if the body is over now, HTTP1_ERR_TRUNCATED, or the error that there
 * was. */
enum http1_error http1_body_eof(struct http1_body *body);

/* Was there a trailer section with fields in it?  Known once the body is over. */
bool http1_body_has_trailers(const struct http1_body *body);
/* The fields of the trailer section, without those that may not be there (http_field_may_trail()).  They
 * point into the body's memory.  Returns their count; what does not fit in `cap` is left out. */
uint32_t http1_body_trailers(const struct http1_body *body, struct http_field *fields, uint32_t cap);

/* Payload still to come as far as that is known: all of HTTP1_BODY_LENGTH, the rest of the present chunk. */
uint64_t http1_body_left_bytes(const struct http1_body *body);

#endif
