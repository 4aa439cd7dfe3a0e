/* A request to the admin socket, and its answer: a small blocking HTTP/1.1 client.
 *
 * Called by: ctl/commands, ctl/top. */
#ifndef CTL_HTTP_H
#define CTL_HTTP_H

#include "base/str.h"

struct http_answer {
	int status;
	struct str body; /* on the heap; str_done() */
};

/* Asks the UNIX socket at `path`; `body` NULL: none.  `on_part` (may be NULL) gets the body as it comes instead of
 * out->body; false from it ends the request.  0, or a negative errno with a sentence in `error`. */
int http_ask(const char *path, const char *method, const char *target, const char *body, struct http_answer *out,
	     bool (*on_part)(void *user, const void *bytes, size_t len), void *user, char *error, size_t error_len);

/* Appends `text` percent-encoded, as it may stand in one segment of a path or one value of a query. */
void http_encode(struct str *out, const char *text);

#endif
