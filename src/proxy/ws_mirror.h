/* A live copy of what one WebSocket's peers send, for an operator: each frame's header and the first bytes of its payload, as a
 * line of JSON.
 *
 * Written by the relay in its worker's thread, read by one other; between them a buffer of one size, and what does not fit is
 * left out and counted.  Who reads owns it, and is told of lines, and once of the end.
 * Called by: proxy/ws_frames, ws_relay (write), control/admin_mirror (makes, reads). */
#ifndef PROXY_WS_MIRROR_H
#define PROXY_WS_MIRROR_H

#include "wire/websocket.h"

#include <stdatomic.h>

#define WS_MIRROR_PAYLOAD_MAX 1024u
#define WS_MIRROR_BUFFER      65536u

struct ws_mirror_side {
	struct ws_tracker tracker;
	struct ws_frame frame; /* whose payload is being collected */
	uint32_t payload_len;
	bool is_collecting;
	uint8_t payload[WS_MIRROR_PAYLOAD_MAX];
};

struct ws_mirror {
	/* In the worker's thread: there are lines (may be called for each), or (is_over, once) there will be no more. */
	void (*notify)(struct ws_mirror *, bool is_over);
	uint32_t payload_max; /* bytes of each frame's */
	/* the worker's */
	struct ws_mirror_side sides[2];
	struct ws_mirror **holder; /* NULL: nobody writes */
	uint64_t began_ms;
	uint64_t dropped, dropped_told;
	/* both threads' */
	atomic_uint written, taken;
	char buffer[WS_MIRROR_BUFFER];
};

/* Begins: `holder` points to it from now on; the trackers are those of the relay. */
void ws_mirror_attach(struct ws_mirror *m, struct ws_mirror **holder, const struct ws_tracker *client,
		      const struct ws_tracker *backend, uint64_t now_ms);
/* Bytes that a side has sent, and that were followed. */
void ws_mirror_look(struct ws_mirror *m, bool is_client, const uint8_t *in, size_t len, uint64_t now_ms);
/* No more; where nobody writes, nothing happens. */
void ws_mirror_detach(struct ws_mirror *m);

/* The reader's: takes at most `cap` bytes; how many there were. */
size_t ws_mirror_take(struct ws_mirror *m, char *out, size_t cap);

#endif
