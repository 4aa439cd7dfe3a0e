/* Bytes that came and have to wait: a copy that grows, so that what they came in goes back to its pool.
 *
 * Empty it owns nothing.  Slices of it may be kept: what is shared is never moved.
 * Called by: proxy/h1_server, proxy/h1_client. */
#ifndef PROXY_HELD_H
#define PROXY_HELD_H

#include "base/slice.h"

#include <stdbool.h>

struct held {
	struct buf *buf;
	uint32_t at, len; /* bytes */
};

static inline struct slice held_slice(const struct held *h)
{
	return h->len > 0 ? (struct slice){ h->buf, h->buf->data + h->at, h->len } : SLICE_EMPTY;
}

/* Borrows the slice.  false: memory is out. */
bool held_append(struct held *h, struct slice s);
/* Drops the first bytes. */
void held_consume(struct held *h, uint32_t len);
static inline void held_done(struct held *h)
{
	buf_unref(h->buf);
	*h = (struct held){ NULL, 0, 0 };
}

#endif
