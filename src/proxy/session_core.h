/* The core of a session: numbers, logs and turns, without sockets, clocks or carriers.
 *
 * Each side counts its messages from 1.  The core keeps what goes down to the client until the client has acknowledged
 * it (the log, which is the window too), and takes what comes up in order and once: number got + 1 is taken, what is
 * below is dropped, a gap is refused.  A Close is a message: never lost, never before data.  Each carrier attaches with a
 * turn above the last; a lower one is a late request of a dead carrier.
 * Called by: proxy/session.  Its model test runs thousands of sessions with cuts, late requests and overlaps. */
#ifndef PROXY_SESSION_CORE_H
#define PROXY_SESSION_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SESSION_WINDOW_MESSAGES 1024u

enum message_kind { MESSAGE_TEXT, MESSAGE_BINARY, MESSAGE_CLOSE };

struct message {
	struct message *next;
	uint32_t len; /* bytes */
	uint8_t kind; /* enum message_kind */
	uint8_t bytes[]; /* of a Close: code, two bytes, and text; empty: no code */
};

struct message_log {
	struct message *first, *last;
	uint32_t count;
	uint64_t bytes; /* payload */
};

struct session_core {
	struct message_log down; /* not yet acknowledged; the first is number down_acked + 1 */
	struct message_log up;	 /* taken and not yet delivered; the first is number up_done + 1 */
	struct message *unsent;	 /* the first of `down` that the present carrier has not had; NULL: none */
	uint64_t down_acked;
	uint64_t down_sent; /* the highest the present carrier has had */
	uint64_t down_told; /* the highest that any carrier has had */
	uint64_t up_got;    /* the highest taken in order */
	uint64_t up_done;   /* the highest delivered: what is acknowledged */
	uint64_t turn;
	uint64_t window_bytes;
	bool up_closed;	  /* a Close has been taken: nothing comes behind it */
	bool down_closed; /* one stands in the log, or was acknowledged */
};

enum core_result {
	CORE_OK,
	CORE_DUPLICATE, /* had it already: dropped, as it should be */
	CORE_GAP,	/* a number above got + 1 */
	CORE_FULL,	/* the window says no more */
	CORE_CLOSED,	/* behind a Close */
	CORE_STALE,	/* a turn that is not above the last */
	CORE_FUTURE,	/* an acknowledgement of what was never sent */
	CORE_NO_MEMORY
};

void session_core_init(struct session_core *c, uint64_t window_bytes);
void session_core_done(struct session_core *c);

/* A message on the heap with room for `len` bytes; NULL: memory is out. */
struct message *message_new(enum message_kind kind, uint32_t len);

/* ---- down ---- */

/* Appends; takes the message.  Not behind a Close: then it is freed, CORE_CLOSED. */
enum core_result session_core_put(struct session_core *c, struct message *m);
/* The client has everything up to `number`. */
enum core_result session_core_ack(struct session_core *c, uint64_t number);
/* Another carrier, which has everything up to `got`: it is sent the rest. */
enum core_result session_core_attach(struct session_core *c, uint64_t turn, uint64_t got);
/* What the present carrier is to be sent next; borrowed until it is acknowledged.  NULL: nothing. */
const struct message *session_core_next(struct session_core *c, uint64_t *number);
/* Whether there is something. */
static inline bool session_core_has_next(const struct session_core *c)
{
	return c->unsent != NULL;
}
bool session_core_is_full(const struct session_core *c);

/* ---- up ---- */

/* A message with its number; takes it. */
enum core_result session_core_take(struct session_core *c, uint64_t number, struct message *m);
bool session_core_is_up_full(const struct session_core *c);
/* The next one to deliver, gives (free); it counts as delivered.  NULL: none. */
struct message *session_core_deliver(struct session_core *c);

/* Of all logs, headers included. */
uint64_t session_core_memory(const struct session_core *c);

#endif
