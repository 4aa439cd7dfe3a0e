/* One connection to one of the demo's servers: HTTP/1.1 until it asks for a WebSocket.
 *
 *   GET /       the page          GET /ws     the chat          GET /echo   a WebSocket that says what it hears
 * A head is bounded, so is a message; a client that is silent is pinged and then left, one that does not read is left.
 * Called by: demo/servers. */
#ifndef DEMO_VISITOR_H
#define DEMO_VISITOR_H

#include "base/str.h"
#include "demo/chat.h"
#include "net/duplex.h"
#include "wire/websocket.h"

struct server;

#define VISITOR_HEAD_MAX    16384u
#define VISITOR_MESSAGE_MAX 16384u

enum visitor_kind { VISITOR_HTTP, VISITOR_CHAT, VISITOR_ECHO };

struct visitor {
	struct list link; /* of servers.visitors */
	struct chat_seat seat;
	struct server *server;
	struct duplex *d;
	enum visitor_kind kind;
	struct timer timer;
	uint64_t heard_ms;
	bool is_lost; /* does not read: goes at once, when its timer fires */
	char *head;   /* HTTP: what has come and is not answered; NULL: nothing */
	uint32_t head_len;
	/* WebSocket */
	struct ws_tracker tracker;
	struct ws_frame frame; /* that is under way */
	uint64_t frame_at;     /* bytes of its payload that were seen */
	uint8_t message_opcode;
	struct str message;
	uint8_t control[WS_CONTROL_PAYLOAD_MAX];
};

/* Takes the duplex, which is open.  false: memory is out, and it is closed. */
bool visitor_new(struct server *s, struct duplex *d);
/* Closes and frees it. */
void visitor_drop(struct visitor *v);

/* A whole frame of the server's; empty when memory is out. */
struct slice visitor_frame(unsigned opcode, const void *payload, size_t len);
/* Sends one; takes the slice.  Nobody waits for a visitor that does not read: it goes, though not within this call. */
void visitor_send(struct visitor *v, struct slice frame);

#endif
