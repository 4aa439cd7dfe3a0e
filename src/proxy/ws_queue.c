#include "proxy/ws_queue.h"

#include "wire/ws_sift.h"

#include <stdlib.h>

struct piece {
	struct list link;
	struct list loose; /* unlinked: not the beginning of what may go */
	struct slice s;
	uint8_t marks;
};

/* What a piece costs beside its bytes: itself, its block, and what the heap adds. */
#define PIECE_COST (sizeof(struct piece) + sizeof(struct buf) + 32u)

void ws_queue_init(struct ws_queue *q)
{
	list_init(&q->pieces);
	list_init(&q->loose);
	q->cost = 0;
}

/* Takes it out; gives its slice. */
static struct slice piece_remove(struct ws_queue *q, struct piece *p)
{
	struct slice s = p->s;

	list_remove(&p->link);
	list_remove(&p->loose);
	q->cost -= s.len + PIECE_COST;
	free(p);
	return s;
}

static struct piece *first_of(const struct ws_queue *q)
{
	return container_of(q->pieces.next, struct piece, link);
}

void ws_queue_done(struct ws_queue *q)
{
	while (!ws_queue_is_empty(q))
		slice_unref(piece_remove(q, first_of(q)));
}

bool ws_queue_push(struct ws_queue *q, const void *bytes, uint32_t len, unsigned marks)
{
	struct piece *p = malloc(sizeof(*p));

	if (p == NULL)
		return false;
	p->s = slice_copy(bytes, len);
	if (p->s.buf == NULL) {
		free(p);
		return false;
	}
	p->marks = (uint8_t)marks;
	list_init(&p->link);
	list_init(&p->loose);
	list_append(&q->pieces, &p->link);
	if ((marks & WS_PIECE_BEGINS) && (marks & WS_PIECE_LOOSE))
		list_append(&q->loose, &p->loose);
	q->cost += len + PIECE_COST;
	return true;
}

struct slice ws_queue_pop(struct ws_queue *q)
{
	return piece_remove(q, first_of(q));
}

enum ws_queue_dropped ws_queue_drop_oldest(struct ws_queue *q)
{
	struct list *node = q->loose.next;
	bool has_ended = false;

	if (list_is_empty(&q->loose))
		return WS_QUEUE_NONE;
	node = &container_of(node, struct piece, loose)->link;
	while (!has_ended && node != &q->pieces) {
		struct piece *p = container_of(node, struct piece, link);

		node = node->next;
		has_ended = (p->marks & WS_PIECE_ENDS) != 0;
		slice_unref(piece_remove(q, p));
	}
	return has_ended ? WS_QUEUE_WHOLE : WS_QUEUE_BEGUN;
}

bool ws_queue_has_several(const struct ws_queue *q)
{
	return !list_is_empty(&q->loose) && q->loose.next != q->loose.prev;
}
