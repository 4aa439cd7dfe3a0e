#include "net/ring.h"

#include "base/clock.h"
#include "base/histogram.h"
#include "net/uring_compat.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CQ_PER_SQ 8
/* DEFER_TASKRUN runs at most max(20, wanted) completions an enter: after a busy turn ask for many, without waiting. */
#define BUSY_TURN 16
#define WANT_BUSY 128

struct ring_features ring_features;
struct ring_stream_hooks ring_stream_hooks;

/* ---- owners ---- */

void owner_init(struct owner *o, struct ring *ring, void (*free_fn)(struct owner *))
{
	list_init(&o->reap);
	o->ring = ring;
	o->free = free_fn;
	o->in_flight = 0;
	o->is_closing = false;
	ring->owners++;
}

static void owner_settle(struct owner *o)
{
	if (o->is_closing && o->in_flight == 0 && list_is_empty(&o->reap))
		list_append(&o->ring->reap, &o->reap);
}

void owner_close(struct owner *o)
{
	o->is_closing = true;
	owner_settle(o);
}

static void op_complete(const struct io_uring_cqe *cqe)
{
	struct op *op = io_uring_cqe_get_data(cqe);
	struct owner *o;

	if (op == NULL)
		return;
	o = op->owner;
	if (o == NULL) {
		op->done(op, cqe->res, cqe->flags);
		return;
	}
	assert(o->in_flight > 0);
	if (!(cqe->flags & IORING_CQE_F_MORE))
		o->in_flight--;
	op->done(op, cqe->res, cqe->flags);
	owner_settle(o);
}

void op_settled(struct op *op)
{
	assert(op->owner->in_flight > 0);
	op->owner->in_flight--;
	owner_settle(op->owner);
}

/* ---- start and end ---- */

static int uring_create(struct io_uring *u, unsigned *entries)
{
	int err;

	for (;;) {
		struct io_uring_params p = { 0 };

		p.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_R_DISABLED |
			  IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE;
		p.cq_entries = *entries * CQ_PER_SQ;
		err = io_uring_queue_init_params(*entries, u, &p);
		if (err != -ENOMEM || *entries <= 64)
			return err;
		*entries /= 2;
	}
}

struct mail *ring_mail_take(struct ring *r)
{
	struct mail *m;

	pthread_mutex_lock(&r->mail_lock);
	m = r->mail_first;
	r->mail_first = NULL;
	r->mail_last = &r->mail_first;
	pthread_mutex_unlock(&r->mail_lock);
	return m;
}

static void mail_arrived(struct op *op, int res, uint32_t flags)
{
	struct ring *r = container_of(op, struct ring, mail_op);
	struct mail *m = ring_mail_take(r);

	(void)res;
	(void)flags;
	while (m != NULL) {
		struct mail *next = m->next;
		m->run(m);
		m = next;
	}
}

int ring_init(struct ring *r, unsigned entries, bool with_buffers)
{
	int err;

	memset(r, 0, sizeof(*r));
	list_init(&r->reap);
	list_init(&r->flush);
	list_init(&r->sent);
	list_init(&r->resume);
	list_init(&r->chunks);
	list_init(&r->finishing);
	list_init(&r->passages);
	if (ring_stream_hooks.stream_len > 0)
		slab_init(&r->streams, ring_stream_hooks.stream_len, ring_stream_hooks.stream_align);
	pthread_mutex_init(&r->mail_lock, NULL);
	r->mail_last = &r->mail_first;
	op_init(&r->mail_op, NULL, mail_arrived);
	r->now_ms = clock_now_ms();
	timers_init(&r->timers, r->now_ms);
	r->scratch = malloc(RING_SCRATCH);
	if (r->scratch == NULL)
		return -ENOMEM;
	err = uring_create(&r->uring, &entries);
	if (err < 0) {
		free(r->scratch);
		return err;
	}
	list_init(&r->small.starved);
	list_init(&r->large.starved);
	if (with_buffers) {
		err = buffers_init(&r->small, r, 0, 4096, 256, 16384);
		if (err == 0)
			err = buffers_init(&r->large, r, 1, 65536, 16, 512);
		if (err < 0)
			ring_done(r);
	}
	return err;
}

void ring_done(struct ring *r)
{
	io_uring_queue_exit(&r->uring);
	if (ring_stream_hooks.done != NULL)
		ring_stream_hooks.done(r);
	if (ring_stream_hooks.stream_len > 0)
		slab_done(&r->streams);
	buf_unref(r->bump);
	buffers_done(&r->small);
	buffers_done(&r->large);
	free(r->scratch);
	pthread_mutex_destroy(&r->mail_lock);
}

int ring_enable(struct ring *r)
{
	int err = (int)syscall(__NR_io_uring_register, r->uring.ring_fd, HF_REGISTER_ENABLE_RINGS, NULL, 0);

	if (err < 0)
		return -errno;
	io_uring_register_ring_fd(&r->uring); /* an optimisation: without it the descriptor is looked up each time */
	r->is_enabled = true;
	r->now_ms = clock_now_ms();
	atomic_store(&r->is_running, true);
	/* The kernel refused to tell of what was posted before; and nobody tells of what is put behind it. */
	mail_arrived(&r->mail_op, 0, 0);
	return 0;
}

void ring_stop(struct ring *r)
{
	r->is_stopping = true;
}

int ring_run(struct ring *r)
{
	int err = 0;

	while (!r->is_stopping && err == 0)
		err = ring_turn(r);
	io_uring_submit(&r->uring); /* what the last turn asked for: mail to others, closes */
	atomic_store(&r->is_running, false);
	return err;
}

/* ---- submissions ---- */

struct io_uring_sqe *ring_sqe(struct ring *r)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->uring);

	while (sqe == NULL) {
		r->stats.sq_full++;
		io_uring_submit(&r->uring);
		sqe = io_uring_get_sqe(&r->uring);
	}
	return sqe;
}

void ring_sqe_forget(struct io_uring_sqe *sqe)
{
	io_uring_sqe_set_data(sqe, NULL);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

void *ring_scratch(struct ring *r, uint32_t len)
{
	uint8_t *p = r->scratch + r->scratch_used;

	len = (len + 15) & ~15u;
	if (len > RING_SCRATCH - r->scratch_used) {
		/* What lies there has been copied by the kernel once it has been submitted. */
		do
			io_uring_submit(&r->uring);
		while (io_uring_sq_ready(&r->uring) > 0);
		r->scratch_used = 0;
		p = r->scratch;
		if (len > RING_SCRATCH)
			return NULL;
	}
	r->scratch_used += len;
	return p;
}

uint8_t *ring_bump(struct ring *r, uint32_t need)
{
	assert(need <= RING_BUMP_SIZE);
	if (r->bump != NULL && r->bump->refs == 1)
		r->bump_used = 0; /* nobody else holds a part of it: begin anew */
	if (r->bump == NULL || r->bump->cap - r->bump_used < need) {
		struct buf *fresh = buf_new(RING_BUMP_SIZE);

		if (fresh == NULL)
			return NULL;
		buf_unref(r->bump);
		r->bump = fresh;
		r->bump_used = 0;
	}
	return r->bump->data + r->bump_used;
}

struct slice ring_bump_take(struct ring *r, uint32_t len)
{
	struct slice s = { buf_ref(r->bump), r->bump->data + r->bump_used, len };

	assert(len <= r->bump->cap - r->bump_used);
	r->bump_used += len;
	return s;
}

struct slice ring_copy(struct ring *r, const void *bytes, uint32_t len)
{
	uint8_t *at;

	if (len > RING_BUMP_SIZE / 2)
		return slice_copy(bytes, len);
	at = ring_bump(r, len);
	if (at == NULL)
		return SLICE_EMPTY;
	memcpy(at, bytes, len);
	return ring_bump_take(r, len);
}

/* ---- mail ---- */

void ring_post(struct ring *from, struct ring *to, struct mail *m)
{
	struct io_uring_sqe *sqe;
	bool was_empty;

	m->next = NULL;
	pthread_mutex_lock(&to->mail_lock);
	was_empty = to->mail_first == NULL;
	*to->mail_last = m;
	to->mail_last = &m->next;
	pthread_mutex_unlock(&to->mail_lock);
	if (!was_empty)
		return;
	sqe = ring_sqe(from);
	io_uring_prep_msg_ring(sqe, to->uring.ring_fd, 0, (uint64_t)(uintptr_t)&to->mail_op, 0);
	ring_sqe_forget(sqe);
}

/* ---- a turn ---- */

void ring_wake_starved(struct ring *r)
{
	r->starved_woken = true;
}

static void run_list(struct list *from, void (*fn)(struct list *))
{
	struct list taken;
	struct list *node;

	if (list_is_empty(from))
		return;
	list_init(&taken);
	list_splice(&taken, from);
	while ((node = list_take_first(&taken)) != NULL)
		fn(node);
}

static void ring_reap(struct ring *r)
{
	struct list *node;

	while ((node = list_take_first(&r->reap)) != NULL) {
		struct owner *o = container_of(node, struct owner, reap);

		assert(o->in_flight == 0);
		r->owners--;
		o->free(o);
	}
}

static int ring_wait(struct ring *r)
{
	struct __kernel_timespec ts = { 0 };
	struct io_uring_cqe *cqe;
	uint64_t next_ms = timers_next_ms(&r->timers, clock_now_ms());
	unsigned want = 1;
	int err;

	if (r->last_count >= BUSY_TURN) {
		want = WANT_BUSY;
		next_ms = 0;
	}
	if (next_ms == UINT64_MAX) {
		err = io_uring_submit_and_wait(&r->uring, 1);
	} else {
		ts.tv_sec = (long long)(next_ms / 1000);
		ts.tv_nsec = (long long)(next_ms % 1000) * 1000000;
		err = io_uring_submit_and_wait_timeout(&r->uring, &cqe, want, &ts, NULL);
	}
	if (io_uring_sq_ready(&r->uring) == 0) /* else the kernel was short of something, and has yet to read it */
		r->scratch_used = 0;
	if (err >= 0 || err == -ETIME || err == -EINTR || err == -EAGAIN || err == -EBUSY)
		return 0;
	return err;
}

/* What was submitted silently and has posted nothing until now has succeeded: a send that falls short is posted by the
 * very enter that submits it.  Not while completions wait outside the queue. */
static void settle_sent(struct ring *r)
{
	if (list_is_empty(&r->sent))
		return;
	if (__atomic_load_n(r->uring.sq.kflags, __ATOMIC_RELAXED) & IORING_SQ_CQ_OVERFLOW)
		return;
	run_list(&r->sent, ring_stream_hooks.sent);
}

/* What the last turn, or anybody between two, has left to be submitted, and who is over by it: the ring may sleep now, and
 * nobody else would look.  What goes gives buffers back, and those are waited for. */
static void submit_prepare(struct ring *r)
{
	do {
		if (r->starved_woken) {
			r->starved_woken = false;
			list_splice(&r->resume, &r->small.starved);
			list_splice(&r->resume, &r->large.starved);
		}
		run_list(&r->resume, ring_stream_hooks.resume);
		run_list(&r->flush, ring_stream_hooks.flush);
		ring_reap(r);
	} while (r->starved_woken || !list_is_empty(&r->resume) || !list_is_empty(&r->flush));
}

int ring_turn(struct ring *r)
{
	struct io_uring_cqe *cqe;
	unsigned head, count = 0;
	bool is_all_submitted;
	uint64_t began_ns;
	int err;

	submit_prepare(r);
	err = ring_wait(r);
	if (err < 0)
		return err;
	is_all_submitted = io_uring_sq_ready(&r->uring) == 0; /* before callbacks add to it */
	began_ns = clock_now_ns();
	r->now_ms = began_ns / 1000000;
	io_uring_for_each_cqe(&r->uring, head, cqe)
	{
		op_complete(cqe);
		count++;
	}
	io_uring_cq_advance(&r->uring, count);
	if (__atomic_load_n(r->uring.sq.kflags, __ATOMIC_RELAXED) & IORING_SQ_CQ_OVERFLOW)
		r->stats.cq_overflows++;
	r->last_count = count;
	r->stats.turns++;
	r->stats.completions += count;
	if (is_all_submitted)
		settle_sent(r);
	timers_run(&r->timers, r->now_ms);
	if (r->on_turn != NULL)
		r->on_turn(r);
	ring_reap(r);
	if (r->is_measured)
		histogram_add_us(HISTOGRAM_LOOP, (clock_now_ns() - began_ns) / 1000);
	return 0;
}

/* ---- what the kernel has ---- */

static bool probe_recv_credit(struct io_uring *u)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(u);
	struct io_uring_cqe *cqe;
	int fds[2], res = -EINVAL;

	if (sqe == NULL || socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
		return false;
	close(fds[1]);
	io_uring_prep_recv(sqe, fds[0], NULL, 0, 0);
	sqe->ioprio = HF_RECV_MULTISHOT;
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = 0;
	hf_sqe_set_recv_credit(sqe, 65536);
	/* The group does not exist: -ENOBUFS from a kernel that knows the field, -EINVAL from one that does not. */
	if (io_uring_submit_and_wait(u, 1) >= 0 && io_uring_peek_cqe(u, &cqe) == 0) {
		res = cqe->res;
		io_uring_cqe_seen(u, cqe);
	}
	close(fds[0]);
	return res != -EINVAL;
}

static int probe_failed(int err, char *error, size_t error_len)
{
	const char *text = "io_uring could not be set up";

	if (err == -ENOSYS)
		text = "this kernel has no io_uring: Linux 6.1 or newer is needed, built with CONFIG_IO_URING (gVisor and WSL 1 have none; "
		       "some seccomp profiles of containers say the same of calls that they forbid)";
	else if (err == -EPERM || err == -EACCES)
		text = "io_uring is not permitted here: allow io_uring_setup, io_uring_enter and io_uring_register in the "
		       "container's seccomp profile and set sysctl kernel.io_uring_disabled=0";
	else if (err == -EINVAL)
		text = "this kernel's io_uring lacks SINGLE_ISSUER and DEFER_TASKRUN: Linux 6.1 or newer is needed";
	else if (err == -ENOMEM)
		text = "too little locked memory for io_uring: raise RLIMIT_MEMLOCK (ulimit -l, LimitMEMLOCK=)";
	snprintf(error, error_len, "%s (%s)", text, strerror(-err));
	return err;
}

int ring_probe(char *error, size_t error_len)
{
	static const int needed[] = { IORING_OP_ACCEPT, IORING_OP_CONNECT,  IORING_OP_RECV,
				      IORING_OP_SEND,	IORING_OP_SENDMSG,  IORING_OP_ASYNC_CANCEL,
				      IORING_OP_CLOSE,	IORING_OP_SHUTDOWN, IORING_OP_MSG_RING };
	struct io_uring_probe *probe;
	struct io_uring u;
	unsigned entries = 8;
	int err = uring_create(&u, &entries);

	if (err < 0)
		return probe_failed(err, error, error_len);
	err = (int)syscall(__NR_io_uring_register, u.ring_fd, HF_REGISTER_ENABLE_RINGS, NULL, 0) < 0 ? -errno : 0;
	probe = err == 0 ? io_uring_get_probe_ring(&u) : NULL;
	for (size_t i = 0; probe != NULL && i < ARRAY_LEN(needed); i++)
		if (!io_uring_opcode_supported(probe, needed[i]))
			err = -EINVAL;
	io_uring_free_probe(probe);
	if (err == 0)
		ring_features.recv_credit = probe_recv_credit(&u);
	ring_features.msg_ring = err == 0;
	io_uring_queue_exit(&u);
	return err == 0 ? 0 : probe_failed(err, error, error_len);
}
