/* What waits above a slow client's stream, message by message, so that whole ones can still be taken out.
 *
 * Pieces in order, each a copy of its own: a message that waits pins no receive buffer, and what it costs is known.  A
 * piece that begins a loose message (WS_PIECE_*) stands on a second list as long as none of the message has left: from
 * there it is dropped, with its other pieces.
 * Called by: proxy/ws_slow.  Knows no socket. */
#ifndef PROXY_WS_QUEUE_H
#define PROXY_WS_QUEUE_H

#include "base/list.h"
#include "base/slice.h"

#include <stdbool.h>

struct ws_queue {
	struct list pieces;
	struct list loose; /* the first pieces of messages that may go, oldest first */
	uint64_t cost;	   /* bytes, with what holding them takes */
};

void ws_queue_init(struct ws_queue *q);
void ws_queue_done(struct ws_queue *q);

static inline bool ws_queue_is_empty(const struct ws_queue *q)
{
	return list_is_empty(&q->pieces);
}

/* Borrows the bytes.  false: memory is out, nothing was added. */
bool ws_queue_push(struct ws_queue *q, const void *bytes, uint32_t len, unsigned marks);
/* Of a queue that is not empty: gives the first piece. */
struct slice ws_queue_pop(struct ws_queue *q);

enum ws_queue_dropped {
	WS_QUEUE_NONE,	/* nothing may go */
	WS_QUEUE_WHOLE, /* a message has gone */
	WS_QUEUE_BEGUN	/* and its end had not come yet: what is still to come of it must not be added */
};
/* Drops the oldest message that may go. */
enum ws_queue_dropped ws_queue_drop_oldest(struct ws_queue *q);
/* There is more than one that may go. */
bool ws_queue_has_several(const struct ws_queue *q);

#endif
