/* A session of the fallback: numbered messages both ways, whatever carries them.
 *
 * Above it a carrier, one after the other, with times in between when there is none; below it an ordinary WebSocket
 * relay, to which the session is the client's duplex: limits, rates, pings, leaving endpoints, logs and the
 * administrator find a WebSocket like any other.  A session belongs to one worker, which its token names; requests
 * that reach another worker are carried over (proxy/ferry).
 *
 *     carrier ──up──> core (up log)   ──frames, masked──> ws_relay ──> endpoint
 *     carrier <─down─ core (down log) <──────frames────── ws_relay <──
 *
 * Called by: proxy/fallback (opens, finds), carriers, proxy/worker. */
#ifndef PROXY_SESSION_H
#define PROXY_SESSION_H

#include "proxy/exchange.h"
#include "proxy/session_core.h"
#include "proxy/worker.h"

#define SESSION_SECRET_LEN 16
#define SESSION_TOKEN_MAX  48 /* NODE-WORKER.SECRET and a NUL */

struct session;
struct carrier;

/* Who carries a session.  After refused() and gone() the session does not touch the carrier again, and the carrier has
 * let go of the session. */
struct carrier_ops {
	const char *name; /* for people: "stream" */
	/* The session is open, or has taken this carrier on. */
	void (*opened)(struct carrier *);
	/* There is no session: the backend has refused, or could not be reached. */
	void (*refused)(struct carrier *, enum reason why, unsigned status);
	/* There may be something to send: session_next(). */
	void (*flush)(struct carrier *);
	/* A newer carrier has the session, or (is_over) it is over and everything was sent. */
	void (*gone)(struct carrier *, bool is_over);
};

struct carrier {
	const struct carrier_ops *ops;
	struct session *session; /* NULL: it has let go */
};

/* ---- opening ---- */

struct session_open {
	struct worker *worker;
	struct listener *listener;
	struct view *view;
	const struct route_config *route;
	const char *head; /* of the handshake as the client would have sent it; borrowed */
	size_t head_len;
	const struct addr *peer, *local;
	bool is_tls;
	const char *tls_version;
	uint64_t bind;	/* what every further request has to show: route, Origin, principal */
	uint64_t nonce; /* hash; 0: none */
	uint64_t turn;
	uint32_t keep_ms;
	const struct limit_key *message_key; /* by which its messages are counted; NULL: by address, where they are */
};

/* Asks the backend, and takes the carrier on at once; opened() or refused() follow, never within this call.
 * REASON_NONE, or why there is none: then the carrier is not touched. */
enum reason session_open(const struct session_open *o, struct carrier *c, struct session **out);

/* ---- finding ---- */

/* A worker's session by its token's secret; NULL: none. */
struct session *session_find(struct worker *w, const uint8_t secret[SESSION_SECRET_LEN]);
/* The worker that a token names, and its secret.  false: no token of this process. */
bool session_token_read(struct worker *w, const char *token, size_t len, unsigned *worker, uint8_t secret[SESSION_SECRET_LEN]);
void session_token_write(const struct session *s, char out[SESSION_TOKEN_MAX]);
bool session_is_bound(const struct session *s, uint64_t bind);
/* By the nonce it was opened with. */
struct session *session_find_nonce(struct worker *w, uint64_t nonce);

/* ---- carriers ---- */

/* Takes a carrier on, which has everything up to `got`; the old one is let go.  Anything but CORE_OK: it does not. */
enum core_result session_attach(struct session *s, struct carrier *c, uint64_t turn, uint64_t got);
/* The carrier is broken off, or has done its part (a poll): the session is detached. */
void session_detach(struct carrier *c);
/* What goes to the client next. */
const struct message *session_next(struct session *s, uint64_t *number);
bool session_has_next(const struct session *s);
bool session_next_is_close(const struct session *s); /* when it has one */
bool session_has_carrier(const struct session *s);
/* Everything including the Close was sent: the carrier may end, and be told no more.  (Then session_detach.) */
bool session_is_said(const struct session *s);
/* The client has everything up to `number`. */
enum core_result session_ack(struct session *s, uint64_t number);
/* A carrier without acknowledgements: what it has been sent counts as such when the window would close. */
void session_ack_silently(struct session *s);
/* A message of the client's; takes it. */
enum core_result session_take(struct session *s, uint64_t number, struct message *m);
/* Lets go to the endpoint what it will take; the acknowledgement to tell. */
uint64_t session_deliver(struct session *s);
/* An acknowledgement is owed that nobody has told; telling it. */
bool session_owes_ack(const struct session *s);
uint64_t session_tell_ack(struct session *s);
/* The client wants it to end at once (a SockJS receiver was aborted): the endpoint gets this code. */
void session_end(struct session *s, enum reason why);
/* The same, and its name is free again at once: nobody comes back to it. */
void session_forget(struct session *s, enum reason why);
/* Looks at it once this turn's events have been heard: delivers, then flushes the carrier. */
void session_touch(struct session *s);

uint64_t session_told(const struct session *s); /* the highest number sent so far */
uint64_t session_acked(const struct session *s); /* by the client */
uint64_t session_got(const struct session *s);	/* the highest taken */
uint64_t session_turn(const struct session *s);
const char *session_protocol(const struct session *s); /* "" : none */
const char *session_cookies(const struct session *s);  /* Set-Cookie values, each ended by LF; "": none */
uint32_t session_window(const struct session *s);
const struct fallback_times *session_times(const struct session *s);
/* How long it lives on without a carrier; a change counts from the next detachment on. */
void session_keep(struct session *s, uint32_t keep_ms);

struct fallback_times {
	uint32_t keep_ms, beat_ms, hold_ms;
};

/* ---- of all ---- */

/* WebSockets of a worker that are, or will be, carriers: carrier_websocket's own list. */
struct list *session_sockets(struct worker *w);

/* Something to be done at the end of the turn, when nobody is on the stack.  Cancelled by list_remove. */
struct session_soon {
	struct list link;
	void (*run)(struct session_soon *);
};
void session_soon(struct worker *w, struct session_soon *what);

bool session_table_init(struct worker *w);
/* Frees what is left: their relays are over. */
void session_table_done(struct worker *w);
void sessions_close(struct worker *w);

/* The word of what carries it at the moment, for a duplex that is a session's; NULL: it is none. */
const char *session_transport_of(const struct duplex *d);
/* The mark of the relay's client: a session's own window, for any other duplex `mark`. */
uint32_t session_mark_of(const struct duplex *d, uint32_t mark);

#endif
