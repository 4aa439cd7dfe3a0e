#include "net/sendq.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_SLICES 15
#define CHUNKS_KEPT  256
#define COPY_MAX     2048u  /* larger pieces are worth their block */
#define COPY_BLOCK   4064u

struct sendq_chunk {
	struct list link; /* while it is lent to nobody */
	struct sendq_chunk *next;
	struct buf *own;	  /* the block that small pieces of the last slice were copied to; borrowed from that slice */
	uint16_t begin, end;	  /* of slices[] */
	struct slice slices[CHUNK_SLICES];
};

static struct sendq_chunk *chunk_take(struct ring *r)
{
	struct list *node = list_take_first(&r->chunks);
	struct sendq_chunk *c;

	if (node != NULL) {
		r->chunks_count--;
		c = container_of(node, struct sendq_chunk, link);
	} else {
		c = malloc(sizeof(*c));
		if (c == NULL)
			return NULL;
		list_init(&c->link);
	}
	c->next = NULL;
	c->own = NULL;
	c->begin = c->end = 0;
	return c;
}

static void chunk_give(struct ring *r, struct sendq_chunk *c)
{
	if (r->chunks_count >= CHUNKS_KEPT) {
		free(c);
		return;
	}
	list_prepend(&r->chunks, &c->link);
	r->chunks_count++;
}

void sendq_forget(struct ring *r)
{
	struct list *node;

	while ((node = list_take_first(&r->chunks)) != NULL)
		free(container_of(node, struct sendq_chunk, link));
	r->chunks_count = 0;
}

static struct slice *last_slice(struct sendq *q)
{
	return q->last == NULL || q->last->begin == q->last->end ? NULL : &q->last->slices[q->last->end - 1];
}

/* Takes the reference. */
static bool push(struct sendq *q, struct ring *r, struct slice s)
{
	struct slice *last = last_slice(q);

	if (last != NULL && s.buf != NULL && last->buf == s.buf && last->at + last->len == s.at) {
		last->len += s.len;
		slice_unref(s);
		return true;
	}
	if (q->last == NULL || q->last->end == CHUNK_SLICES) {
		struct sendq_chunk *c = chunk_take(r);

		if (c == NULL) {
			slice_unref(s);
			return false;
		}
		if (q->last == NULL)
			q->first = c;
		else
			q->last->next = c;
		q->last = c;
	}
	q->last->own = NULL;
	q->last->slices[q->last->end++] = s;
	q->count++;
	return true;
}

/* Copies to the end of the queue's own block, or to a new one. */
static bool push_copy(struct sendq *q, struct ring *r, struct slice s)
{
	struct slice *last = last_slice(q);
	struct buf *own = last != NULL && q->last->own == last->buf ? last->buf : NULL;
	struct slice copy;

	if (own != NULL && (size_t)(own->data + own->cap - (last->at + last->len)) >= s.len) {
		memcpy(last->at + last->len, s.at, s.len);
		last->len += s.len;
		slice_unref(s);
		return true;
	}
	own = buf_new(COPY_BLOCK);
	if (own == NULL)
		return push(q, r, s);
	memcpy(own->data, s.at, s.len);
	copy = (struct slice){ own, own->data, s.len };
	slice_unref(s);
	if (!push(q, r, copy))
		return false;
	q->last->own = own;
	return true;
}

bool sendq_push(struct sendq *q, struct ring *r, struct slice s, bool copy_small)
{
	uint32_t len = s.len;

	if (!(copy_small && s.len <= COPY_MAX && s.buf != NULL ? push_copy(q, r, s) : push(q, r, s)))
		return false;
	r->stats.queued_bytes += len;
	return true;
}

struct slice sendq_first(const struct sendq *q)
{
	return q->first->slices[q->first->begin];
}

unsigned sendq_vector(const struct sendq *q, struct iovec *v, unsigned max, uint32_t *len)
{
	unsigned count = 0;

	*len = 0;
	for (const struct sendq_chunk *c = q->first; c != NULL; c = c->next) {
		for (unsigned i = c->begin; i < c->end; i++) {
			if (count == max)
				return count;
			v[count++] = (struct iovec){ c->slices[i].at, c->slices[i].len };
			*len += c->slices[i].len;
		}
	}
	return count;
}

static void first_drop(struct sendq *q, struct ring *r)
{
	struct sendq_chunk *c = q->first;

	slice_unref(c->slices[c->begin++]);
	q->count--;
	if (c->begin < c->end)
		return;
	q->first = c->next;
	if (q->first == NULL)
		q->last = NULL;
	chunk_give(r, c);
}

void sendq_consume(struct sendq *q, struct ring *r, uint32_t len)
{
	r->stats.queued_bytes -= len;
	while (len > 0) {
		struct slice *s = &q->first->slices[q->first->begin];

		if (len < s->len) {
			s->at += len;
			s->len -= len;
			return;
		}
		len -= s->len;
		first_drop(q, r);
	}
}

void sendq_done(struct sendq *q, struct ring *r)
{
	while (q->first != NULL) {
		r->stats.queued_bytes -= sendq_first(q).len;
		first_drop(q, r);
	}
}
