/* The head of a response, as it leaves for the client over HTTP/1. */
#ifndef PROXY_HEAD_RESPONSE_H
#define PROXY_HEAD_RESPONSE_H

#include "config/config.h"
#include "wire/headers.h"

enum response_framing {
	RESPONSE_NO_BODY, /* 1xx, 204, 304, to HEAD: Content-Length is passed on but for 1xx and 204 */
	RESPONSE_LENGTH,  /* Content-Length: `length` */
	RESPONSE_CHUNKED,
	RESPONSE_UNTIL_CLOSE, /* for HTTP/1.0: Connection: close */
};

struct response_head {
	uint16_t status;
	const char *reason; /* NULL: the standard phrase */
	size_t reason_len;
	/* A backend's, whose fields are passed on without those of its hop; or NULL. */
	const struct http_head *from;
	/* Fields of the proxy's own (an error page's); replace the backend's of that id, but for cookies.  What frames is
	 * not theirs. */
	const struct http_field *own;
	uint32_t own_count;
	enum response_framing framing;
	uint64_t length;
	bool is_upgrade;       /* 101: Connection: Upgrade, Upgrade: websocket */
	bool keep_alive;       /* else Connection: close */
	uint8_t version_minor; /* the client's: to an HTTP/1.0 one that may stay, Connection: keep-alive is said */
};

/* Values of the route's response_headers (set, add), filled in while the request was at hand. */
struct response_edits {
	const struct header_edits *edits; /* NULL: none */
	const char *const *values;	  /* set's, then add's; NUL-terminated */
};

/* Writes the whole head, empty line included.  Interim responses (1xx but 101) get no edits and no
 * Connection; final ones get a Date where there is none.  The length, or -1: it would not fit. */
long head_response_write(uint8_t *out, size_t cap, const struct response_head *h,
			 const struct response_edits *e);

#endif
