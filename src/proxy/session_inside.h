/* What the rooms of a session share.
 *
 *   session        life, carriers, the table of a worker
 *   session_open   the handshake with the endpoint, as an exchange of the proxy's own
 *   session_leg    the duplex that the relay knows: frames to messages and back
 *
 * Included by these rooms alone. */
#ifndef PROXY_SESSION_INSIDE_H
#define PROXY_SESSION_INSIDE_H

#include "proxy/session.h"
#include "wire/websocket.h"

struct session_control;

struct session {
	struct duplex duplex; /* the relay's client */
	struct list link;     /* of the table: all */
	struct list dirty;    /* of the table: to be looked at this turn */
	struct session_core core;
	struct worker *worker;
	struct listener *listener;
	struct carrier *carrier;   /* NULL: detached */
	struct exchange *opening;  /* the handshake; NULL: it is over */
	struct message *partial;   /* of a message from the endpoint: what has come */
	struct session_control *controls; /* frames of our own that wait to go to the endpoint; on the heap */
	char *protocol, *cookies;
	struct ws_tracker tracker; /* of what the relay writes */
	struct timer timer;	   /* while it is detached */
	struct fallback_times times;
	uint64_t bind, nonce, guest;
	uint64_t up_told;	/* acknowledged to the client */
	uint64_t memory;	/* that the table has counted */
	uint64_t detached_ms;
	uint8_t secret[SESSION_SECRET_LEN];
	uint32_t connection;	/* its place in worker.open, until the relay has it */
	uint32_t partial_cap;
	uint8_t refused_why;	/* enum reason */
	uint8_t failed_why;	/* enum reason; NONE: memory */
	uint16_t refused_status; /* of the endpoint; 0: not refused */
	bool is_open : 1;	/* the endpoint has said 101 */
	bool has_relay : 1;
	bool is_read : 1;	/* the relay takes bytes */
	bool wants_room : 1;	/* the relay waits for on_room */
	bool is_announced : 1;	/* the carrier was told of opened() */
	bool closes_on_full : 1; /* overflow: close */
	bool close_is_sent : 1; /* a Close frame has gone to the relay */
	bool is_failed : 1;	/* memory was out in the midst: it ends */
	bool is_named : 1;	/* stands in the names of the process */
};

struct session_table {
	struct list all, dirty, soon, sockets;
	struct hash_map by_secret, by_nonce;
	struct timer poke;  /* a session is dirty and the ring might sleep */
	_Atomic uint64_t memory; /* of logs; written by the worker alone */
};

/* ---- session ---- */

/* An entry of the worker's table, without a carrier and a backend.  NULL: memory is out. */
struct session *session_new(struct worker *w, const struct session_open *o);

/* Frees it, if nothing holds it any more. */
void session_settle(struct session *s);
/* The window, and the memory of all, after something came or went. */
void session_account(struct session *s);
/* The endpoint has refused: to be told at the end of the turn. */
void session_refused(struct session *s, enum reason why, unsigned status);

/* ---- session_open ---- */

/* The handshake is given up. */
void session_open_cancel(struct session *s);

/* ---- session_leg ---- */

extern const struct duplex_ops session_leg_ops;
/* As much as the relay takes: controls first, then messages. */
void session_leg_deliver(struct session *s);
/* The client's end of it, for the relay: after this there is none. */
void session_leg_end(struct session *s, enum reason why);
/* Appends a Close to what goes down: code 0 is none. */
void session_put_close(struct session *s, unsigned code, const void *text, size_t len);
void session_leg_done(struct session *s);

#endif
