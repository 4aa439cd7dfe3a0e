#include "wire/http1_body.h"

#include <assert.h>
#include <stdlib.h>

#include "wire/chars.h"

/* Where a chunked body is (RFC 9112 7.1). */
enum body_state {
	BODY_DATA,	 /* left_bytes to come; of BODY_UNTIL_CLOSE: no matter */
	BODY_SIZE,	 /* digits of a chunk size */
	BODY_SIZE_SPACE, /* white space behind them, which only an extension may follow */
	BODY_EXTENSION,	 /* up to CR */
	BODY_SIZE_LF,	 /* its LF */
	BODY_DATA_CR,	 /* the line end behind the data */
	BODY_DATA_LF,
	BODY_TRAILER_START, /* the first byte behind the last chunk's line */
	BODY_TRAILER_LF,    /* no trailers: the LF of the empty line */
	BODY_TRAILER,	    /* field lines, kept until the empty line */
	BODY_OVER
};

enum { TRAILER_FIRST_CAP = 256 };

/* The section as it came, and how far it has been looked at for its end. */
struct http1_trailer {
	uint32_t cap;
	uint32_t len;
	uint32_t line_start;
	uint32_t field_count;
	uint8_t bytes[];
};

void http1_body_init(struct http1_body *body, enum http1_body_kind kind, uint64_t length,
		     uint32_t trailer_max_bytes)
{
	if (trailer_max_bytes == 0 || trailer_max_bytes > HTTP1_TRAILER_MAX)
		trailer_max_bytes = HTTP1_TRAILER_MAX;
	*body = (struct http1_body){
		.kind = (uint8_t)kind,
		.left_bytes = kind == HTTP1_BODY_LENGTH ? length : 0,
		.trailer_max_bytes = (uint16_t)trailer_max_bytes,
		.state = kind == HTTP1_BODY_CHUNKED ? BODY_SIZE : BODY_DATA,
	};
	if (kind == HTTP1_BODY_NONE || (kind == HTTP1_BODY_LENGTH && length == 0))
		body->state = BODY_OVER;
}

void http1_body_done(struct http1_body *body)
{
	free(body->trailer);
	body->trailer = NULL;
}

static bool fail(struct http1_body *body, enum http1_error error)
{
	body->error = (uint8_t)error;
	return false;
}

/* ---- chunk lines ---- */

/* Extensions say nothing that is used here; but they cost, so that their sum may not outgrow the payload
 * by much. */
static bool extension_feed(struct http1_body *body, uint8_t c)
{
	if (c == '\r' && body->state == BODY_EXTENSION) {
		body->state = BODY_SIZE_LF;
		return true;
	}
	if (body->state == BODY_EXTENSION ? !char_is(c, CHAR_VALUE) : c != ';' && !char_is_space(c))
		return fail(body, HTTP1_ERR_CHUNK_EXTENSION);
	if (body->state != BODY_EXTENSION)
		body->state = c == ';' ? BODY_EXTENSION : BODY_SIZE_SPACE;
	if (++body->line_bytes > HTTP1_CHUNK_EXTENSION_MAX || ++body->excess_bytes > HTTP1_CHUNK_EXCESS_MAX)
		return fail(body, HTTP1_ERR_CHUNK_EXTENSION);
	return true;
}

static bool size_feed(struct http1_body *body, uint8_t c)
{
	int digit = char_hex(c);

	if (digit >= 0) {
		if (body->line_bytes == HTTP1_CHUNK_DIGITS_MAX || body->left_bytes > (uint64_t)INT64_MAX >> 4)
			return fail(body, HTTP1_ERR_CHUNK_SIZE);
		body->left_bytes = body->left_bytes << 4 | (uint64_t)digit;
		body->line_bytes++;
		return true;
	}
	if (body->line_bytes == 0)
		return fail(body, HTTP1_ERR_CHUNK_SIZE);
	body->line_bytes = 0;
	if (c == '\r')
		body->state = BODY_SIZE_LF;
	else if (c == ';' || char_is_space(c))
		return extension_feed(body, c);
	else
		return fail(body, HTTP1_ERR_CHUNK_SIZE);
	return true;
}

static void size_settle(struct http1_body *body)
{
	body->line_bytes = 0;
	body->excess_bytes -=
		body->left_bytes < body->excess_bytes ? (uint32_t)body->left_bytes : body->excess_bytes;
	body->state = body->left_bytes > 0 ? BODY_DATA : BODY_TRAILER_START;
}

/* ---- trailers ---- */

static bool trailer_reserve(struct http1_body *body, size_t len)
{
	struct http1_trailer *t = body->trailer;
	size_t cap = t != NULL ? t->cap : 0, need = (t != NULL ? t->len : 0) + len;

	if (need <= cap)
		return true;
	cap = cap > 0 ? cap * 2 : TRAILER_FIRST_CAP;
	if (cap < need)
		cap = need;
	t = realloc(t, sizeof *t + cap);
	if (t == NULL)
		return false;
	if (body->trailer == NULL)
		*t = (struct http1_trailer){ 0 };
	t->cap = (uint32_t)cap;
	body->trailer = t;
	return true;
}

/* A line is complete, with its LF the last byte kept.  The section's end, or a line that is checked at
 * once. */
static bool trailer_line_settle(struct http1_body *body)
{
	struct http1_trailer *t = body->trailer;
	const uint8_t *line = t->bytes + t->line_start;
	size_t len = t->len - t->line_start;
	struct http_field field;
	int result;

	if (len == 2 && line[0] == '\r') {
		body->state = BODY_OVER;
		return true;
	}
	if (len == 1)
		return fail(body, HTTP1_ERR_LINE_END);
	result = http1_parse_field(line, len, &field);
	if (result < 0)
		return fail(body, (enum http1_error) - result);
	t->field_count++;
	t->line_start = t->len;
	return true;
}

/* Keeps bytes up to the end of a line; returns how many. */
static size_t trailer_feed(struct http1_body *body, const uint8_t *in, size_t len)
{
	const uint8_t *lf = memchr(in, '\n', len);
	size_t size = lf != NULL ? (size_t)(lf - in) + 1 : len;
	size_t room = body->trailer_max_bytes - (body->trailer != NULL ? body->trailer->len : 0);

	if (size > room) {
		fail(body, HTTP1_ERR_TRAILER_LONG);
		return 0;
	}
	if (!trailer_reserve(body, size)) {
		fail(body, HTTP1_ERR_NO_MEMORY);
		return 0;
	}
	memcpy(body->trailer->bytes + body->trailer->len, in, size);
	body->trailer->len += (uint32_t)size;
	if (lf != NULL && !trailer_line_settle(body))
		return 0;
	return size;
}

/* ---- the decoder ---- */

/* One byte of what is not payload.  False on an error. */
static bool framing_feed(struct http1_body *body, uint8_t c)
{
	switch ((enum body_state)body->state) {
	case BODY_SIZE:
		return size_feed(body, c);
	case BODY_SIZE_SPACE:
	case BODY_EXTENSION:
		return extension_feed(body, c);
	case BODY_SIZE_LF:
		if (c != '\n')
			return fail(body, HTTP1_ERR_LINE_END);
		size_settle(body);
		return true;
	case BODY_DATA_CR:
		if (c != '\r')
			return fail(body, HTTP1_ERR_CHUNK_END);
		body->state = BODY_DATA_LF;
		return true;
	case BODY_DATA_LF:
		if (c != '\n')
			return fail(body, HTTP1_ERR_CHUNK_END);
		body->state = BODY_SIZE;
		return true;
	case BODY_TRAILER_LF:
		if (c != '\n')
			return fail(body, HTTP1_ERR_LINE_END);
		body->state = BODY_OVER;
		return true;
	case BODY_DATA:
	case BODY_TRAILER_START:
	case BODY_TRAILER:
	case BODY_OVER:
		break;
	}
	return true;
}

/* A run of payload; returns its length. */
static size_t data_take(struct http1_body *body, size_t len)
{
	if (body->kind == HTTP1_BODY_UNTIL_CLOSE)
		return len;
	if (len > body->left_bytes)
		len = (size_t)body->left_bytes;
	body->left_bytes -= len;
	if (body->left_bytes == 0)
		body->state = body->kind == HTTP1_BODY_CHUNKED ? BODY_DATA_CR : BODY_OVER;
	return len;
}

long http1_body_decode(struct http1_body *body, const uint8_t *in, size_t len, const uint8_t **data,
		       size_t *data_len)
{
	const uint8_t *at = in, *end = in + len;

	*data = in;
	*data_len = 0;
	if (body->error != HTTP1_OK)
		return -(long)body->error;
	while (at < end && body->state != BODY_OVER) {
		if (body->state == BODY_DATA) {
			if (*data_len > 0)
				break; /* a run a call */
			*data = at;
			*data_len = data_take(body, (size_t)(end - at));
			at += *data_len;
		} else if (body->state == BODY_TRAILER_START && *at == '\r') {
			body->state = BODY_TRAILER_LF;
			at++;
		} else if (body->state == BODY_TRAILER_START) {
			body->state = BODY_TRAILER;
		} else if (body->state == BODY_TRAILER) {
			at += trailer_feed(body, at, (size_t)(end - at));
		} else if (framing_feed(body, *at)) {
			at++;
		}
		if (body->error != HTTP1_OK) {
			*data_len = 0;
			return -(long)body->error;
		}
	}
	return at - in;
}

void http1_body_skip(struct http1_body *body, uint64_t len)
{
	assert(body->kind == HTTP1_BODY_LENGTH && body->state == BODY_DATA && len <= body->left_bytes);
	body->left_bytes -= len;
	if (body->left_bytes == 0)
		body->state = BODY_OVER;
}

bool http1_body_is_over(const struct http1_body *body)
{
	return body->state == BODY_OVER && body->error == HTTP1_OK;
}

enum http1_error http1_body_eof(struct http1_body *body)
{
	if (body->error == HTTP1_OK && body->state != BODY_OVER) {
		if (body->kind == HTTP1_BODY_UNTIL_CLOSE)
			body->state = BODY_OVER;
		else
			fail(body, HTTP1_ERR_TRUNCATED);
	}
	return (enum http1_error)body->error;
}

bool http1_body_has_trailers(const struct http1_body *body)
{
	return body->state == BODY_OVER && body->trailer != NULL && body->trailer->field_count > 0;
}

uint32_t http1_body_trailers(const struct http1_body *body, struct http_field *fields, uint32_t cap)
{
	const struct http1_trailer *t = body->trailer;
	const uint8_t *at;
	uint32_t kept = 0;

	if (!http1_body_has_trailers(body))
		return 0;
	at = t->bytes;
	for (uint32_t i = 0; i < t->field_count && kept < cap; i++) {
		at += http1_parse_field(at, (size_t)(t->bytes + t->len - at), &fields[kept]);
		if (http_field_may_trail(&fields[kept]))
			kept++;
	}
	return kept;
}

uint64_t http1_body_left_bytes(const struct http1_body *body)
{
	return body->state == BODY_DATA ? body->left_bytes : 0;
}
