/* Carriers over HTTP: the stream (one long answer to a POST), the poll (an answer as soon as there is something), and
 * the bare EventSource.  All write the records of wire/event_stream; they differ in when an answer ends.
 *
 * Called by: proxy/fallback. */
#ifndef PROXY_CARRIER_HTTP_H
#define PROXY_CARRIER_HTTP_H

#include "proxy/exchange.h"
#include "proxy/session.h"

enum carrier_http_kind { CARRIER_STREAM, CARRIER_POLL, CARRIER_EVENTSOURCE };

/* Of an exchange whose request is over; it answers it from now on, whatever comes of the session.  hold_ms: of a poll,
 * UINT64_MAX for the session's own.  is_first: it opens the session, and a poll answers at once.  NULL: memory is out,
 * and the exchange is untouched. */
struct carrier *carrier_http_new(struct exchange *x, enum carrier_http_kind kind, uint64_t hold_ms, bool is_first);
/* There is no session for it: ends without an answer; the exchange is the caller's again. */
void carrier_http_drop(struct carrier *c);
/* The session has not taken it on: says `gone`. */
void carrier_http_stale(struct carrier *c);

/* A whole answer of the fallback: status, text/plain, not cached.  The exchange may be gone afterwards.  Takes `body`. */
struct str;
void fallback_answer(struct exchange *x, unsigned status, struct str *body);
/* Hands a heap string on as a piece of the answer's body; takes it.  As exchange_client.body. */
bool fallback_send(struct exchange *x, struct str *s);

/* The values of `open` and of a `close`, which all carriers share. */
void carrier_open_print(struct str *s, struct session *session);
void carrier_close_print(struct str *s, const struct message *m);

#endif
