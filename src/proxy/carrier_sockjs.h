/* The receiving transports of SockJS as carriers: xhr, xhr_streaming, eventsource, htmlfile, jsonp.
 *
 * Called by: proxy/sockjs. */
#ifndef PROXY_CARRIER_SOCKJS_H
#define PROXY_CARRIER_SOCKJS_H

#include "proxy/fallback.h"
#include "proxy/session.h"

/* Of an exchange whose request is over.  NULL: memory is out, the exchange is untouched. */
struct carrier *carrier_sockjs_new(struct exchange *x, const struct sockjs_ask *ask);
void carrier_sockjs_drop(struct carrier *c);

/* A whole answer: type NULL is none; `more` fields besides those of every answer. */
void sockjs_answer(struct exchange *x, const struct sockjs_ask *ask, unsigned status, const char *type,
		   const struct http_field *more, uint32_t more_count, const void *body, size_t len);
/* c[2010,...]: another receiver waits. */
void sockjs_answer_taken(struct exchange *x, const struct sockjs_ask *ask);

#endif
