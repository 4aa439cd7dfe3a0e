/* Operations and who owns them: the only rule of lifetime.
 *
 * Every submission is a `struct op` embedded in its owner; its address is the ring's user_data.  The ring counts what
 * the kernel holds of an owner, and an owner that is closing is freed at the end of the turn in which that count
 * reaches zero: never inside a callback, so nobody above on the stack is left with a dead pointer. */
#ifndef NET_OP_H
#define NET_OP_H

#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

struct ring;

struct owner {
	struct list reap; /* linked once the kernel holds nothing of it */
	struct ring *ring;
	void (*free)(struct owner *); /* called once, with in_flight == 0, at the end of a turn */
	uint32_t in_flight;	      /* operations that the kernel still holds */
	bool is_closing;
};

struct op {
	struct owner *owner; /* NULL: nobody counts (mail between rings) */
	/* `flags` are the completion's (IORING_CQE_F_*); called also while the owner is closing, since buffers must go
	 * back. */
	void (*done)(struct op *, int res, uint32_t flags);
};

void owner_init(struct owner *o, struct ring *ring, void (*free)(struct owner *));

/* The owner wants to be freed: as soon as the kernel holds nothing of it any more. */
void owner_close(struct owner *o);

static inline void op_init(struct op *op, struct owner *owner, void (*done)(struct op *, int, uint32_t))
{
	op->owner = owner;
	op->done = done;
}

#endif
