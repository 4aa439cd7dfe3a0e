#include "base/slice.h"

#include <stdlib.h>
#include <string.h>

static void buf_release_heap(struct buf *b)
{
	free(b);
}

struct buf *buf_new(uint32_t cap)
{
	struct buf *b = malloc(sizeof(*b) + cap);

	if (b == NULL)
		return NULL;
	b->data = (uint8_t *)(b + 1);
	b->cap = cap;
	b->refs = 1;
	b->release = buf_release_heap;
	return b;
}

struct slice slice_copy(const void *bytes, size_t len)
{
	struct buf *b;

	if (len == 0 || len > UINT32_MAX)
		return SLICE_EMPTY;
	b = buf_new((uint32_t)len);
	if (b == NULL)
		return SLICE_EMPTY;
	memcpy(b->data, bytes, len);
	return (struct slice){ b, b->data, (uint32_t)len };
}

bool slice_append(struct slice *s, struct slice more)
{
	struct buf *b = buf_new(s->len + more.len);

	if (b == NULL)
		return false;
	if (s->len > 0)
		memcpy(b->data, s->at, s->len);
	memcpy(b->data + s->len, more.at, more.len);
	more = (struct slice){ b, b->data, s->len + more.len };
	slice_unref(*s);
	*s = more;
	return true;
}
