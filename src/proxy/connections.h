/* The open clients of one worker, by number: what can be listed and ended from outside.
 *
 * Each connection has a place in a table that grows by pages, so that a list is walked a slice at a time without missing
 * or repeating one that stays, and one connection is found without a search.  Whoever carries it at the moment (an HTTP
 * connection, a WebSocket after its upgrade) stands there with a face; the place, the id and the client's address stay.
 * Ids are "WORKER-PLACE-SERIAL"; a serial is used once, so that an old id never means a new connection.
 * Called by: proxy/h1_server, ws_relay, tcp_relay (enter, leave), control (lists, ends).  The worker's thread alone. */
#ifndef PROXY_CONNECTIONS_H
#define PROXY_CONNECTIONS_H

#include "base/addr.h"
#include "base/reasons.h"
#include "guard/revocations.h"

#include <stdbool.h>
#include <stdint.h>

#define CONNECTION_NONE	   0u /* no place */
#define CONNECTION_ID_MAX  40
#define CONNECTION_WORDS_MAX 124 /* of a Close frame: 123 bytes and a NUL */

/* Of one connection, for who asks; borrowed from it for the call. */
struct connection_info {
	char id[CONNECTION_ID_MAX];
	char client[ADDR_TEXT_MAX]; /* the host alone */
	uint16_t client_port;	    /* 0: not known */
	const char *kind;	    /* "http", "websocket", "tcp" */
	const char *state;	    /* a word of the kind's */
	const char *transport;	    /* what carries a session of the fallback; NULL: it is none */
	const char *listener;
	const char *route, *cluster, *endpoint; /* NULL: none */
	uint64_t age_ms;
	uint64_t bytes_in, bytes_out; /* from and to the client */
	uint64_t messages_in, messages_out;
	uint64_t dropped_in, dropped_out; /* messages that were not passed on */
	uint32_t rtt_us;		  /* of the last ping to the client; 0: none was answered */
	uint32_t queued_client, queued_backend; /* bytes that wait to leave */
	struct token_names token;		/* that it was let in by; zeroes: none */
};

/* How somebody wants it ended. */
struct connection_end {
	enum reason why;
	uint16_t close_code; /* of a WebSocket; 0: the reason's */
	char words[CONNECTION_WORDS_MAX]; /* in its Close frame; "": the reason's */
};

struct token_renewal;
struct ws_mirror;

/* Who carries it. */
struct connection_face {
	const char *kind;
	/* Fills in all but id, client, kind and age. */
	void (*describe)(const void *object, struct connection_info *out);
	/* Ends it; it may be gone when this returns.  false: it is ending already, and has said why. */
	bool (*end)(void *object, const struct connection_end *how);
	/* A new token has come for it; false: it is not meant.  NULL: its kind has none. */
	bool (*renew)(void *object, const struct token_renewal *n);
	/* Shows its frames from now on; false: it cannot, or does already.  NULL: it has none. */
	bool (*mirror)(void *object, struct ws_mirror *m);
};

struct connection {
	const struct connection_face *face; /* NULL: the place is free */
	union {
		void *object;
		uint32_t next_free;
	};
	uint64_t began_ms; /* of the ring's clock */
	uint8_t ip[16];
	uint32_t serial;
	uint16_t port;
	uint8_t family; /* AF_* */
};

#define CONNECTIONS_A_PAGE 256u

struct connections {
	struct connection **pages;
	uint32_t pages_count;
	uint32_t free_first; /* CONNECTION_NONE: none */
	uint32_t used;
	unsigned worker; /* the first part of ids */
};

void connections_init(struct connections *t, unsigned worker);
void connections_done(struct connections *t);

/* A place for a connection; CONNECTION_NONE where memory is out: it lives unlisted.  Keeps face and object. */
uint32_t connections_add(struct connections *t, const struct connection_face *face, void *object, const struct addr *peer,
			 uint64_t now_ms);
/* Somebody else carries it.  CONNECTION_NONE is accepted here and below. */
void connections_move(struct connections *t, uint32_t place, const struct connection_face *face, void *object);
/* Whose it is, without a port; false: not known. */
bool connections_client(const struct connections *t, uint32_t place, struct addr *out);
void connections_remove(struct connections *t, uint32_t place);
/* A trusted proxy has said whose connection it is: an IP address as text. */
void connections_set_client(struct connections *t, uint32_t place, const char *text);

/* The next one in use behind *cursor (0: the first), which moves on to it; NULL at the end. */
struct connection *connections_next(const struct connections *t, uint32_t *cursor);
/* By place and serial; NULL: there is none. */
struct connection *connections_find(const struct connections *t, uint32_t place, uint32_t serial);
/* "WORKER-PLACE-SERIAL"; false for CONNECTION_NONE. */
bool connections_print_id(const struct connections *t, uint32_t place, char out[CONNECTION_ID_MAX]);
/* Of one found so; `place` is its own.  Of CONNECTION_NONE: nothing but "-". */
void connection_describe(const struct connections *t, uint32_t place, uint64_t now_ms, struct connection_info *out);

#endif
