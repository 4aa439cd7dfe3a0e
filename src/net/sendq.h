/* What waits to be sent: slices in order, in chunks that the ring lends.
 *
 * An empty queue owns nothing.  Pieces that lie side by side in one block become one.  Small pieces that would keep a
 * large block from its pool while a socket is full are copied into a block of the queue's own.
 * Called by: net/stream. */
#ifndef NET_SENDQ_H
#define NET_SENDQ_H

#include "net/ring.h"

#include <sys/uio.h>

struct sendq_chunk;

struct sendq {
	struct sendq_chunk *first, *last; /* NULL: empty */
	uint32_t count;			  /* slices */
};

static inline void sendq_init(struct sendq *q)
{
	*q = (struct sendq){ NULL, NULL, 0 };
}
/* Drops all. */
void sendq_done(struct sendq *q, struct ring *r);

/* Takes the slice (len > 0), on failure too.  `copy_small`: it may have to wait.  false: memory is out. */
bool sendq_push(struct sendq *q, struct ring *r, struct slice s, bool copy_small);

/* The queue's beginning as at most `max` vectors; *len gets the sum of their lengths.  Their number. */
unsigned sendq_vector(const struct sendq *q, struct iovec *v, unsigned max, uint32_t *len);
/* Of a queue that is not empty. */
struct slice sendq_first(const struct sendq *q);

/* Drops the first `len` bytes. */
void sendq_consume(struct sendq *q, struct ring *r, uint32_t len);

/* The ring ends: frees the chunks it has to lend. */
void sendq_forget(struct ring *r);

#endif
