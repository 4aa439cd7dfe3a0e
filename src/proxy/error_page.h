/* What a client reads when the proxy itself has to refuse: a small page, HTML or JSON. */
#ifndef PROXY_ERROR_PAGE_H
#define PROXY_ERROR_PAGE_H

#include "base/reasons.h"
#include "wire/headers.h"

#define ERROR_PAGE_MAX 1024

struct error_page {
	uint16_t status;
	const char *type; /* Content-Type */
	size_t len;
	char body[ERROR_PAGE_MAX];
};

/* The page of a reason.  `status` 0: the reason's.  JSON where the Accept of `head` (may be NULL) prefers it to HTML
 * (application/json, application/problem+json, with q values); else HTML.  Repeats nothing of the request; names the
 * key where a limit is the cause: {"status":413,"error":"Content Too Large","reason":"body_too_large",
 * "detail":"the body is too large (http.max_body_size)"}. */
void error_page_make(struct error_page *out, enum reason why, uint16_t status, const struct http_head *head);

/* Whether a list of media ranges prefers JSON to HTML. */
bool accept_prefers_json(const char *accept, size_t len);

#endif
