/* What can be wrong with an HTTP/1.1 message: the errors of wire/http1_parse and wire/http1_body, the
 * status that each is owed, and its words for the log. */
#ifndef WIRE_HTTP1_ERRORS_H
#define WIRE_HTTP1_ERRORS_H

enum http1_error {
	HTTP1_OK,
	HTTP1_ERR_REQUEST_LINE, /* not METHOD SP TARGET SP VERSION */
	HTTP1_ERR_METHOD,	/* not a token */
	HTTP1_ERR_METHOD_LONG,	/* longer than any that exists: 501 */
	HTTP1_ERR_TARGET,	/* characters, form, or the form does not fit the method */
	HTTP1_ERR_TARGET_LONG,	/* 414 */
	HTTP1_ERR_VERSION_SYNTAX,
	HTTP1_ERR_VERSION, /* another major version: 505 */
	HTTP1_ERR_STATUS_LINE,
	HTTP1_ERR_LINE_END,    /* a line ends in anything but CRLF */
	HTTP1_ERR_FOLDED,      /* a line begins with white space */
	HTTP1_ERR_NAME,	       /* empty, not a token, or white space before the colon */
	HTTP1_ERR_VALUE,       /* control characters */
	HTTP1_ERR_HEAD_LONG,   /* 431 */
	HTTP1_ERR_FIELDS_MANY, /* 431 */
	HTTP1_ERR_HOST_MISSING,
	HTTP1_ERR_HOST_SEVERAL,
	HTTP1_ERR_HOST,
	HTTP1_ERR_LENGTH,	  /* not digits, or beyond 2^63 - 1 */
	HTTP1_ERR_LENGTH_SEVERAL, /* even when they agree */
	HTTP1_ERR_LENGTH_AND_CODING,
	HTTP1_ERR_CODING,	   /* empty, chunked twice or not last, or in HTTP/1.0 */
	HTTP1_ERR_CODING_UNKNOWN,  /* 501 */
	HTTP1_ERR_CHUNK_SIZE,	   /* not hexadecimal digits, too many, or beyond 2^63 - 1 */
	HTTP1_ERR_CHUNK_EXTENSION, /* characters, or too long */
	HTTP1_ERR_CHUNK_END,	   /* no CRLF behind the data */
	HTTP1_ERR_TRAILER_LONG,	   /* 431 */
	HTTP1_ERR_TRUNCATED,	   /* the peer ended in the midst of a body */
	HTTP1_ERR_NO_MEMORY,	   /* 503 */
	HTTP1_ERR_COUNT
};

/* The status that a client is owed for its malformed request; take the error positive.  (A server's
 * malformed response is 502, whatever it is.) */
int http1_status_of(enum http1_error error);
/* One clause for the log; never NULL. */
const char *http1_error_text(enum http1_error error);

#endif
