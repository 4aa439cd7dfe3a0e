/* The loop: one io_uring, one thread.
 *
 * ring_init() may run in any thread, before privileges are dropped (locked memory is then not counted); ring_run() makes
 * the calling thread the ring's only one.  Completions are dispatched to their ops, timers fire, streams with something
 * to send are flushed once a turn, owners that are over are freed at the end of the turn.
 * Other threads reach the ring by ring_post() only.
 * Called by: proxy/worker, control. */
#ifndef NET_RING_H
#define NET_RING_H

#include "base/slab.h"
#include "net/buffers.h"
#include "net/op.h"
#include "net/timers.h"

#include <liburing.h>
#include <pthread.h>
#include <stdatomic.h>

/* What the kernel was found to have, by trying (ring_probe). */
struct ring_features {
	bool recv_credit; /* bounded multishot recv, 6.17 */
	bool msg_ring;
};
extern struct ring_features ring_features;

/* Tries every needed and every optional feature once, for the process.  0, or a negative errno with one sentence that
 * names what is missing and the remedy. */
int ring_probe(char *error, size_t error_len);

/* A piece of work for another ring's thread. */
struct mail {
	struct mail *next;
	void (*run)(struct mail *); /* in the receiver's thread; the mail is its own from then on */
};

#define RING_BUMP_SIZE	16384u /* bytes of a block that small outputs are gathered in */
#define RING_SCRATCH	65536u /* bytes of message headers and vectors for one submission */

struct ring {
	struct io_uring uring;
	uint64_t now_ms; /* CLOCK_MONOTONIC, once a turn */
	struct timers timers;
	struct buffers small; /* 4 KiB: messages */
	struct buffers large; /* 64 KiB: streams that have proven busy */
	struct list reap;
	uint32_t owners; /* that were made and are not yet freed */
	struct list flush;  /* streams with something new to send */
	struct list sent;   /* streams whose send is in the submission under way, and says nothing when it succeeds */
	struct list resume; /* streams whose receive is to be armed again at the end of the turn */
	bool starved_woken;
	bool is_enabled;
	bool is_stopping;
	bool is_measured; /* how long its turns take */
	unsigned last_count; /* completions of the last turn */
	struct buf *bump;
	uint32_t bump_used;
	uint8_t *scratch; /* for vectors that the kernel copies when it is entered */
	uint32_t scratch_used;
	struct slab streams;
	struct list finishing; /* streams whose user has left */
	/* A stream that had a guest (stream_set_guest) is over; NULL where there are none. */
	void (*guest_gone)(struct ring *, uint64_t guest);
	struct list passages;
	uint32_t passages_count;
	struct list chunks; /* pieces of send queues that nobody uses just now */
	uint32_t chunks_count;
	void *user; /* the worker */
	void (*on_turn)(struct ring *); /* at the end of each turn; may be NULL */

	pthread_mutex_t mail_lock;
	struct mail *mail_first, **mail_last;
	struct op mail_op;
	atomic_bool is_running;

	struct {
		uint64_t turns, completions, cq_overflows, sq_full, buffers_starved;
		uint64_t queued_bytes; /* in all send queues: net/sendq */
	} stats;
};

/* `entries` of the submission queue (a power of two; halved while the kernel says ENOMEM); the completion queue has
 * eight times as many.  with_buffers: false for a ring that receives nothing.  0 or a negative errno. */
int ring_init(struct ring *r, unsigned entries, bool with_buffers);
void ring_done(struct ring *r);

/* Makes the calling thread the ring's; then runs turns until ring_stop().  0 or a negative errno. */
int ring_enable(struct ring *r);
int ring_run(struct ring *r);
/* One turn: submits, waits, dispatches.  For ring_run() and for tests. */
int ring_turn(struct ring *r);
/* The loop ends after this turn.  From the ring's own thread. */
void ring_stop(struct ring *r);

/* A free SQE, cleared by its prep function; submits when the queue is full.  Never NULL. */
struct io_uring_sqe *ring_sqe(struct ring *r);
/* The SQE belongs to `op`; counts it. */
static inline void ring_sqe_own(struct io_uring_sqe *sqe, struct op *op)
{
	io_uring_sqe_set_data(sqe, op);
	if (op->owner != NULL)
		op->owner->in_flight++;
}
/* An SQE whose result nobody wants (close, cancel): a success posts nothing. */
void ring_sqe_forget(struct io_uring_sqe *sqe);

/* Memory that lives until the kernel has been entered next; NULL when the scratch is full: submit first. */
void *ring_scratch(struct ring *r, uint32_t len);

/* Room for small outputs: at least `need` bytes (<= RING_BUMP_SIZE) at the end of the present block; ring_bump_take()
 * then makes a slice of the first `len` of them, with one reference.  NULL when memory is out. */
uint8_t *ring_bump(struct ring *r, uint32_t need);
struct slice ring_bump_take(struct ring *r, uint32_t len);
static inline uint32_t ring_bump_room(const struct ring *r)
{
	return r->bump == NULL ? 0 : r->bump->cap - r->bump_used;
}
/* A heap copy of some bytes in the bump block; empty when memory is out. */
struct slice ring_copy(struct ring *r, const void *bytes, uint32_t len);

/* Hands mail to another ring's thread; `from` is the caller's own ring, running in this thread.  The order of one
 * sender is kept. */
void ring_post(struct ring *from, struct ring *to, struct mail *m);

/* Mail that was not read, as a chain: no thread runs the ring any more. */
struct mail *ring_mail_take(struct ring *r);

static inline void ring_timer_arm(struct ring *r, struct timer *t, uint64_t delay_ms)
{
	timer_arm(&r->timers, t, r->now_ms, delay_ms);
}

/* Buffers have come back and somebody waits for them: called by net/buffers. */
void ring_wake_starved(struct ring *r);
/* An operation that posts nothing when it succeeds has succeeded: counts it off. */
void op_settled(struct op *op);
/* net/stream: what a turn does with the lists sent, flush, resume and starved; the size of a stream. */
struct ring_stream_hooks {
	void (*sent)(struct list *node);
	void (*flush)(struct list *node);
	void (*resume)(struct list *node);
	void (*done)(struct ring *r);
	size_t stream_len;
	size_t stream_align;
};
extern struct ring_stream_hooks ring_stream_hooks;

#endif
