/* A pool of receive buffers that the kernel picks from (provided buffer ring, since 5.19).
 *
 * The pool starts small, since it is consumed in ring order and every page of it becomes resident; it grows by doubling
 * when a receive finds it empty, up to its bound.  A buffer that is taken is a `struct buf` with one reference, and goes
 * back into the ring when the last slice of it is dropped.
 * Called by: net/stream.  One thread. */
#ifndef NET_BUFFERS_H
#define NET_BUFFERS_H

#include "base/list.h"
#include "base/slice.h"

#include <liburing.h>

struct pool_buf {
	struct buf buf;
	struct buffers *pool;
	uint16_t id;
};

#define BUFFERS_CHUNKS_MAX 32

struct buffers {
	struct ring *ring;
	struct io_uring_buf_ring *entries;
	uint16_t group;
	uint32_t entries_count; /* a power of two */
	uint32_t size;		/* bytes of one buffer */
	uint32_t provided;	/* buffers that exist */
	uint32_t taken;		/* of these, in use by us */
	uint32_t first_count;	/* how many the first growth makes */
	uint32_t max_count;
	struct pool_buf *bufs; /* max_count of them, reserved, touched as the pool grows */
	struct list starved;   /* streams whose receive found the pool empty */
	struct {
		void *memory;
		size_t len;
	} chunks[BUFFERS_CHUNKS_MAX];
	unsigned chunks_count;
};

/* Registers the pool's ring as `group`; makes no buffers yet.  max_count is rounded up to a power of two, at most
 * 32,768.  0 or a negative errno. */
int buffers_init(struct buffers *b, struct ring *ring, uint16_t group, uint32_t size, uint32_t first_count,
		 uint32_t max_count);
void buffers_done(struct buffers *b);

/* Doubles the pool.  false when it is as large as it may be, or memory is out. */
bool buffers_grow(struct buffers *b);

/* What a completion with IORING_CQE_F_BUFFER brought, with one reference that the caller drops. */
struct slice buffers_take(struct buffers *b, int res, uint32_t flags);

#endif
