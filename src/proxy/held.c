#include "proxy/held.h"

#include <string.h>

bool held_append(struct held *h, struct slice s)
{
	uint64_t need = (uint64_t)h->len + s.len;

	/* Behind the last byte nobody looks, so there may be more written even to a block that is shared. */
	if (h->buf == NULL || h->buf->cap - h->at - h->len < s.len) {
		uint64_t cap = need < 1024 ? 1024 : need + need / 2;
		struct buf *fresh = cap <= UINT32_MAX / 2 ? buf_new((uint32_t)cap) : NULL;

		if (fresh == NULL)
			return false;
		if (h->len > 0)
			memcpy(fresh->data, h->buf->data + h->at, h->len);
		buf_unref(h->buf);
		*h = (struct held){ fresh, 0, h->len };
	}
	memcpy(h->buf->data + h->at + h->len, s.at, s.len);
	h->len += s.len;
	return true;
}

void held_consume(struct held *h, uint32_t len)
{
	h->at += len;
	h->len -= len;
	if (h->len == 0)
		held_done(h);
}
