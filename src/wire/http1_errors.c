#include "wire/http1_errors.h"

#include <stdint.h>

static const struct {
	uint16_t status;
	const char *text;
} errors[HTTP1_ERR_COUNT] = {
	[HTTP1_OK] = { 200, "no error" },
	[HTTP1_ERR_REQUEST_LINE] = { 400, "the request line is malformed" },
	[HTTP1_ERR_METHOD] = { 400, "the method is no token" },
	[HTTP1_ERR_METHOD_LONG] = { 501, "the method is too long" },
	[HTTP1_ERR_TARGET] = { 400, "the request target is malformed" },
	[HTTP1_ERR_TARGET_LONG] = { 414, "the request target is too long" },
	[HTTP1_ERR_VERSION_SYNTAX] = { 400, "the HTTP version is malformed" },
	[HTTP1_ERR_VERSION] = { 505, "the HTTP version is not 1.0 or 1.1" },
	[HTTP1_ERR_STATUS_LINE] = { 400, "the status line is malformed" },
	[HTTP1_ERR_LINE_END] = { 400, "a line does not end in CRLF" },
	[HTTP1_ERR_FOLDED] = { 400, "a header line is folded" },
	[HTTP1_ERR_NAME] = { 400, "a field name is malformed" },
	[HTTP1_ERR_VALUE] = { 400, "a field value holds control characters" },
	[HTTP1_ERR_HEAD_LONG] = { 431, "the header section is too large" },
	[HTTP1_ERR_FIELDS_MANY] = { 431, "there are too many fields" },
	[HTTP1_ERR_HOST_MISSING] = { 400, "there is no Host" },
	[HTTP1_ERR_HOST_SEVERAL] = { 400, "there are several Host fields" },
	[HTTP1_ERR_HOST] = { 400, "the host is malformed" },
	[HTTP1_ERR_LENGTH] = { 400, "the Content-Length is malformed" },
	[HTTP1_ERR_LENGTH_SEVERAL] = { 400, "there are several Content-Length fields" },
	[HTTP1_ERR_LENGTH_AND_CODING] = { 400, "there are both Content-Length and Transfer-Encoding" },
	[HTTP1_ERR_CODING] = { 400, "the Transfer-Encoding is malformed" },
	[HTTP1_ERR_CODING_UNKNOWN] = { 501, "the transfer coding is not supported" },
	[HTTP1_ERR_CHUNK_SIZE] = { 400, "a chunk size is malformed" },
	[HTTP1_ERR_CHUNK_EXTENSION] = { 400, "a chunk extension is malformed or too long" },
	[HTTP1_ERR_CHUNK_END] = { 400, "a chunk does not end in CRLF" },
	[HTTP1_ERR_TRAILER_LONG] = { 431, "the trailer section is too large" },
	[HTTP1_ERR_TRUNCATED] = { 400, "the body is cut short" },
	[HTTP1_ERR_NO_MEMORY] = { 503, "memory is exhausted" },
};

int http1_status_of(enum http1_error error)
{
	return (unsigned)error < HTTP1_ERR_COUNT ? errors[error].status : 500;
}

const char *http1_error_text(enum http1_error error)
{
	return (unsigned)error < HTTP1_ERR_COUNT ? errors[error].text : "unknown error";
}
