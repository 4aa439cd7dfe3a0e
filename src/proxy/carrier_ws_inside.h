/* What the rooms of a carrying WebSocket share: the carrier itself, and who does what to it.
 *
 *   carrier_websocket  its life: the handshake, whose session it carries, what it tells the client, the end
 *   carrier_ws_read    what the client says: frames, messages, controls
 *
 * Included by these rooms alone. */
#ifndef PROXY_CARRIER_WS_INSIDE_H
#define PROXY_CARRIER_WS_INSIDE_H

#include "proxy/carrier_websocket.h"
#include "proxy/session.h"
#include "wire/websocket.h"

#define MESSAGE_MAX (64u << 20) /* where websocket.max_message_size has no limit */

/* What an `open` needs, until it comes. */
struct asking {
	struct view *view; /* a reference */
	const struct route_config *route;
	char *head;
	size_t head_len;
	struct addr peer, local;
	bool is_tls;
	struct limit_key message_key;
	bool has_message_key;
};

struct carrier_ws {
	struct carrier carrier;
	struct list link; /* of the worker's sockets */
	struct worker *worker;
	struct listener *listener; /* its client is ours; NULL: the stream came in elsewhere */
	struct duplex *d;	   /* NULL: gone */
	struct exchange *x;	   /* until the 101 */
	struct session_soon soon;
	struct asking *asking; /* NULL: no `open` may come any more */
	struct message *partial;
	struct timer timer;
	struct ws_tracker tracker;
	uint64_t bind;
	uint64_t next;	    /* number of the client's next message; 0: `open` has not been said */
	uint64_t silent_ms;
	uint64_t beat_ms;
	uint64_t message_max;
	uint32_t connection;
	uint32_t partial_cap;
	uint32_t queued_seen, stuck;
	uint8_t key[4];
	uint64_t payload_at; /* in the frame */
	uint8_t ping[WS_CONTROL_PAYLOAD_MAX];
	uint8_t ping_len;
	uint32_t heartbeat_ms;
	bool is_sockjs;	  /* no controls, no resumption: its frames are in text messages */
	bool is_heard;	  /* since the last ping */
	bool has_greeted; /* `open` or `resume` was read */
	bool is_deaf;	  /* what it still sends is not read: it is told that it is over */
	bool is_gone;	 /* nothing of it is to be touched but memory */
};

/* The next bytes of the client (borrowed). */
void carrier_ws_read(struct carrier_ws *c, struct slice in);
/* Its first message: `open` or `resume`.  `rest` came behind it. */
void carrier_ws_greet(struct carrier_ws *c, const char *text, size_t len, struct slice rest);
/* A Close frame of the carrier's own, then the end. */
void carrier_ws_close(struct carrier_ws *c, uint16_t code, const char *text);
/* A whole frame; `lead` (0 or 1 NUL) goes before the payload. */
void carrier_ws_frame(struct carrier_ws *c, uint8_t opcode, unsigned lead, const void *payload, uint32_t len);
/* Its first message is answered by a refusal; `status` 0: the reason's. */
void carrier_ws_refuse(struct carrier_ws *c, enum reason why, unsigned status);

#endif
