#include "net/stream.h"

#include "net/passages.h"
#include "net/socket.h"
#include "net/stream_inside.h"
#include "net/tls_context.h"
#include "net/uring_compat.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What one receive may bring before it has to be armed again: the bound of a stream's share of a turn, and of what still
 * comes after read(false). */
#define CREDIT_SMALL 65536u
#define CREDIT_LARGE 262144u
/* So many full buffers in a row, and the next receive is for the pool of large ones; so many that would have fitted in a
 * small one, and it is not any more. */
#define FULL_IN_A_ROW 8
#define SEND_VECTORS  64

static const struct duplex_ops stream_ops;

bool stream_is(const struct duplex *d)
{
	return d->ops == &stream_ops;
}

struct stream *stream_of(const struct duplex *d)
{
	assert(stream_is(d));
	return container_of(d, struct stream, duplex);
}

/* ---- the end ---- */

static void stream_free(struct owner *o)
{
	struct stream *s = container_of(o, struct stream, owner);
	struct io_uring_sqe *sqe;

	assert(s->state == STREAM_CLOSED && list_is_empty(&s->sending) && list_is_empty(&s->resume));
	sendq_done(&s->queue, o->ring);
	tls_free(s->tls);
	if (s->is_reset)
		socket_reset_on_close(s->fd);
	sqe = ring_sqe(o->ring);
	io_uring_prep_close(sqe, s->fd);
	ring_sqe_forget(sqe);
	if (s->guest != 0)
		o->ring->guest_gone(o->ring, s->guest);
	slab_free(&o->ring->streams, s);
}

void stream_end(struct stream *s)
{
	if (s->state == STREAM_CLOSED)
		return;
	s->state = STREAM_CLOSED;
	timer_cancel(&s->timer);
	list_remove(&s->resume);
	list_remove(&s->finishing);
	if (s->is_passed || s->is_passed_to)
		passages_forget(s);
	if (s->send_state != SEND_SILENT)
		list_remove(&s->sending); /* else it is on the list `sent`, and is taken off there */
	if (s->is_receiving || s->send_state == SEND_WAITING) {
		struct io_uring_sqe *sqe = ring_sqe(ring_of(s));

		io_uring_prep_cancel_fd(sqe, s->fd, IORING_ASYNC_CANCEL_ALL);
		ring_sqe_forget(sqe);
	}
	owner_close(&s->owner);
}

void stream_fail(struct stream *s, enum reason why)
{
	bool has_user = s->state < STREAM_FINISHING;

	if (s->state == STREAM_CLOSED)
		return;
	stream_end(s);
	if (has_user)
		s->duplex.events->on_closed(&s->duplex, why);
}

enum reason stream_reset_reason(const struct stream *s)
{
	if (s->state == STREAM_HANDSHAKE)
		return s->is_backend ? REASON_BACKEND_TLS : REASON_CLIENT_RESET;
	return s->is_backend ? REASON_BACKEND_RESET : REASON_CLIENT_RESET;
}

static void on_timer(struct timer *t)
{
	struct stream *s = container_of(t, struct stream, timer);

	switch (s->state) {
	case STREAM_CONNECTING:
		stream_fail(s, REASON_TIMEOUT_CONNECT);
		break;
	case STREAM_HANDSHAKE:
		stream_fail(s, s->is_backend ? REASON_BACKEND_TLS : REASON_TIMEOUT_HANDSHAKE);
		break;
	default:
		s->is_reset = true;
		stream_end(s);
	}
}

void stream_opened(struct stream *s)
{
	s->state = STREAM_OPEN;
	timer_cancel(&s->timer);
	s->duplex.events->on_open(&s->duplex);
}

/* ---- receiving ---- */

static bool is_reading(const struct stream *s)
{
	return s->state != STREAM_CONNECTING && s->state != STREAM_CLOSED && !s->has_eof && !s->is_passed &&
	       (s->wants_read || s->state != STREAM_OPEN || s->is_send_dead);
}

void stream_receive_later(struct stream *s)
{
	if (!s->is_receiving && is_reading(s) && list_is_empty(&s->resume))
		list_append(&ring_of(s)->resume, &s->resume);
}

static void receive_arm(struct stream *s)
{
	struct ring *r = ring_of(s);
	struct io_uring_sqe *sqe = ring_sqe(r);
	struct buffers *pool;

	/* Only here: what an operation brings is of the pool that it was armed with. */
	if (s->run >= FULL_IN_A_ROW)
		s->is_large = !s->is_large;
	pool = s->is_large ? &r->large : &r->small;
	io_uring_prep_recv(sqe, s->fd, NULL, 0, 0);
	/* Not POLL_FIRST: where data and a reset are there already, a multishot that polls first takes the data and never hears of
	 * the reset (seen on 6.18). */
	if (ring_features.recv_credit && !s->is_one_shot) {
		sqe->ioprio |= HF_RECV_MULTISHOT;
		hf_sqe_set_recv_credit(sqe, s->is_large ? CREDIT_LARGE : CREDIT_SMALL);
	}
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = pool->group;
	ring_sqe_own(sqe, &s->recv_op);
	s->is_receiving = true;
	s->run = 0;
	if (pool->provided == 0)
		buffers_grow(pool);
}

static void on_resume(struct list *node)
{
	struct stream *s = container_of(node, struct stream, resume);

	if (!s->is_receiving && is_reading(s))
		receive_arm(s);
}

/* The pool was empty.  It grows; where it may not, the stream waits for buffers to come back. */
static void receive_starved(struct stream *s)
{
	struct ring *r = ring_of(s);
	struct buffers *pool = s->is_large ? &r->large : &r->small;

	r->stats.buffers_starved++;
	/* Those that were taken in this turn may be back already: then nobody would wake it. */
	if (pool->taken < pool->provided || buffers_grow(pool))
		stream_receive_later(s);
	else if (is_reading(s) && list_is_empty(&s->resume))
		list_append(&pool->starved, &s->resume);
}

/* Counts what speaks for the other pool: a buffer that came full of the small ones, or that would have fitted there. */
static void pool_weigh(struct stream *s, uint32_t len)
{
	if ((len >= ring_of(s)->small.size) == s->is_large)
		s->run = 0;
	else if (s->run < FULL_IN_A_ROW)
		s->run++;
}

void stream_eof(struct stream *s)
{
	if (s->has_eof) /* FIN behind a close_notify */
		return;
	s->has_eof = true;
	if (s->state == STREAM_FINISHING) {
		if (s->is_shut)
			stream_end(s);
		return;
	}
	if (s->state == STREAM_HANDSHAKE) {
		stream_fail(s, s->is_backend ? REASON_BACKEND_TLS : REASON_CLIENT_CLOSED);
		return;
	}
	s->duplex.events->on_eof(&s->duplex);
	if (s->is_send_dead)
		stream_fail(s, stream_reset_reason(s));
}

static void deliver(struct stream *s, struct slice in)
{
	if (s->state == STREAM_FINISHING)
		return; /* nobody is there to hear it */
	if (s->tls != NULL)
		stream_tls_bytes(s, in);
	else
		s->duplex.events->on_bytes(&s->duplex, in);
}

static void on_recv(struct op *op, int res, uint32_t flags)
{
	struct stream *s = container_of(op, struct stream, recv_op);
	struct ring *r = ring_of(s);
	struct slice in = SLICE_EMPTY;

	if (flags & IORING_CQE_F_BUFFER)
		in = buffers_take(s->is_large ? &r->large : &r->small, res, flags);
	if (!(flags & IORING_CQE_F_MORE))
		s->is_receiving = false;
	s->has_more = (flags & IORING_CQE_F_SOCK_NONEMPTY) != 0;
	s->is_unsure = s->is_one_shot; /* AF_UNIX says nothing */
	if (s->state != STREAM_CLOSED) {
		if (res > 0) {
			deliver(s, in);
		} else if (res == 0) {
			stream_eof(s);
		} else if (res == -ENOBUFS) {
			receive_starved(s);
		} else if (res != -ECANCELED && res != -EINTR && res != -EAGAIN) {
			s->error = -res;
			stream_fail(s, stream_reset_reason(s));
		}
	}
	slice_unref(in);
	if (res > 0)
		pool_weigh(s, (uint32_t)res);
	if (s->state == STREAM_CLOSED || s->is_receiving)
		return;
	if (s->is_passed)
		passages_look(s);
	else if (res != -ENOBUFS)
		stream_receive_later(s);
}

/* ---- sending ---- */

void stream_flush_later(struct stream *s)
{
	if (s->send_state == SEND_NONE && s->state != STREAM_CONNECTING && list_is_empty(&s->sending))
		list_append(&ring_of(s)->flush, &s->sending);
}

/* The queue has left: our end may follow. */
static void shutdown_if_due(struct stream *s)
{
	if (!s->wants_shutdown || s->is_shut || s->duplex.queued > 0 || s->state == STREAM_CONNECTING)
		return;
	s->is_shut = true;
	shutdown(s->fd, SHUT_WR);
	if (s->state == STREAM_FINISHING && (s->has_eof || s->is_send_dead))
		stream_end(s);
}

void stream_queue(struct stream *s, struct slice out)
{
	uint32_t len = out.len;

	if (s->is_send_dead) {
		slice_unref(out);
		return;
	}
	/* Small pieces that wait hold the large blocks that they lie in: where the socket is full, they are copied. */
	if (!sendq_push(&s->queue, ring_of(s), out, s->send_state == SEND_WAITING)) {
		s->error = ENOMEM;
		s->is_send_dead = true;
		stream_receive_later(s);
		return;
	}
	s->duplex.queued += len;
	if (s->duplex.queued >= s->duplex.high)
		s->was_full = true;
	stream_flush_later(s);
}

/* Is something to follow when the send under way is over, or does anybody wait for the buffers that it holds?  Then the
 * loop must not sleep over it. */
static bool is_awaited(const struct stream *s)
{
	const struct ring *r = ring_of(s);

	return s->was_full || s->wants_shutdown || s->is_passed_to || s->sent_len < s->duplex.queued ||
	       !list_is_empty(&r->small.starved) || !list_is_empty(&r->large.starved);
}

static void send_submit(struct stream *s, bool is_waiting)
{
	struct ring *r = ring_of(s);
	/* At once: all of it, or a completion that says how much.  Waiting: whatever there is room for, so that a slow peer's
	 * progress shows. */
	int flags = MSG_NOSIGNAL | (is_waiting ? 0 : MSG_DONTWAIT | MSG_WAITALL);
	struct msghdr *m = NULL;
	struct iovec *v;
	struct io_uring_sqe *sqe;
	unsigned count;

	if (s->queue.count > 1)
		m = ring_scratch(r, sizeof(*m) + SEND_VECTORS * sizeof(*v));
	if (m != NULL) {
		v = (struct iovec *)(m + 1);
		count = sendq_vector(&s->queue, v, SEND_VECTORS, &s->sent_len);
		*m = (struct msghdr){ .msg_iov = v, .msg_iovlen = count };
		sqe = ring_sqe(r);
		io_uring_prep_sendmsg(sqe, s->fd, m, (unsigned)flags);
	} else {
		struct slice first = sendq_first(&s->queue);

		s->sent_len = first.len;
		sqe = ring_sqe(r);
		io_uring_prep_send(sqe, s->fd, first.at, first.len, flags);
	}
	ring_sqe_own(sqe, &s->send_op);
	s->send_state = is_waiting ? SEND_WAITING : is_awaited(s) ? SEND_TRIED : SEND_SILENT;
	if (s->send_state == SEND_SILENT) {
		sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
		list_append(&r->sent, &s->sending);
	}
}

static void on_flush(struct list *node)
{
	struct stream *s = container_of(node, struct stream, sending);

	if (s->state == STREAM_CLOSED || s->send_state != SEND_NONE)
		return;
	if (s->is_passed_to && s->queue.count == 0)
		passages_look(s);
	else if (s->duplex.queued > 0)
		send_submit(s, false);
	else
		shutdown_if_due(s);
}

/* So many bytes have been taken by the kernel. */
static void send_progress(struct stream *s, uint32_t len)
{
	sendq_consume(&s->queue, ring_of(s), len);
	s->duplex.queued -= len;
}

/* After progress: more of the queue, our end, or room for the user. */
static void send_next(struct stream *s, bool is_waiting)
{
	if (s->duplex.queued > 0 && is_waiting)
		send_submit(s, true);
	else if (s->duplex.queued > 0)
		stream_flush_later(s);
	else if (s->is_passed_to)
		passages_look(s);
	else
		shutdown_if_due(s);
	if (s->state == STREAM_FINISHING)
		ring_timer_arm(ring_of(s), &s->timer, STREAM_LINGER_MS); /* slow, but it goes on */
	if (s->state != STREAM_OPEN)
		return;
	if (s->duplex.queued == 0 || (s->was_full && s->duplex.queued <= s->duplex.high / 4)) {
		s->was_full = false;
		s->duplex.events->on_room(&s->duplex);
	}
}

void stream_send_failed(struct stream *s, int error)
{
	s->error = error;
	s->is_send_dead = true;
	if (s->send_state == SEND_NONE) { /* else the kernel is reading it: it was the engine that failed, not the socket */
		sendq_done(&s->queue, ring_of(s));
		s->duplex.queued = 0;
	}
	if (s->has_eof || s->state == STREAM_FINISHING) {
		stream_fail(s, stream_reset_reason(s));
	} else if (s->is_receiving) {
		s->is_one_shot = true;
		/* What it sent before is still to be read, and then its end.  The send has taken the socket's error, and an
		 * armed receive may never hear of it: a fresh one does. */
		struct io_uring_sqe *sqe = ring_sqe(ring_of(s));

		io_uring_prep_cancel_fd(sqe, s->fd, IORING_ASYNC_CANCEL_ALL); /* by user_data it was seen to miss */
		ring_sqe_forget(sqe);
	} else {
		stream_receive_later(s);
	}
}

/* It said nothing: all of it has gone. */
static void on_sent(struct list *node)
{
	struct stream *s = container_of(node, struct stream, sending);

	assert(s->send_state == SEND_SILENT);
	s->send_state = SEND_NONE;
	send_progress(s, s->sent_len);
	op_settled(&s->send_op);
	if (s->state != STREAM_CLOSED)
		send_next(s, false);
}

static void on_send(struct op *op, int res, uint32_t flags)
{
	struct stream *s = container_of(op, struct stream, send_op);
	bool is_whole = s->send_state == SEND_TRIED && res == (int)s->sent_len;

	(void)flags;
	list_remove(&s->sending);
	s->send_state = SEND_NONE;
	if (s->state == STREAM_CLOSED)
		return;
	if (res == -EAGAIN || res == -EINTR)
		res = 0;
	if (res < 0) {
		stream_send_failed(s, -res);
		return;
	}
	send_progress(s, (uint32_t)res);
	send_next(s, !is_whole); /* else the socket has filled up */
}

/* ---- the face ---- */

static bool stream_write(struct duplex *d, struct slice out)
{
	struct stream *s = stream_of(d);

	if (out.len == 0 || s->state == STREAM_CLOSED || s->wants_shutdown) {
		slice_unref(out);
		return s->state != STREAM_CLOSED;
	}
	assert(s->state == STREAM_OPEN);
	if (s->tls == NULL) {
		stream_queue(s, out);
	} else {
		if (tls_seal(s->tls, out.at, out.len, (struct tls_sink){ stream_emit, s }) != 0 && !s->is_send_dead)
			stream_send_failed(s, EPROTO);
		slice_unref(out);
	}
	return !s->is_send_dead;
}

static void stream_read(struct duplex *d, bool on)
{
	struct stream *s = stream_of(d);

	s->wants_read = on;
	if (on)
		stream_receive_later(s);
}

static void stream_hold(struct duplex *d)
{
	struct stream *s = stream_of(d);
	struct io_uring_sqe *sqe;

	s->wants_read = false;
	if (!s->is_receiving || is_reading(s))
		return;
	sqe = ring_sqe(ring_of(s));
	io_uring_prep_cancel(sqe, &s->recv_op, 0);
	ring_sqe_forget(sqe);
}

static void stream_shutdown(struct duplex *d)
{
	struct stream *s = stream_of(d);

	if (s->wants_shutdown || s->state == STREAM_CLOSED)
		return;
	if (s->tls != NULL)
		tls_close_notify(s->tls, (struct tls_sink){ stream_emit, s });
	s->wants_shutdown = true;
	stream_flush_later(s);
}

static void stream_close(struct duplex *d, enum reason why)
{
	struct stream *s = stream_of(d);

	if (why != REASON_NONE)
		s->is_reset = true;
	stream_end(s);
}

static void stream_finish(struct duplex *d)
{
	struct stream *s = stream_of(d);

	if (s->state >= STREAM_FINISHING)
		return;
	if (s->state == STREAM_CONNECTING) {
		stream_end(s);
		return;
	}
	if (s->is_passed || s->is_passed_to)
		passages_forget(s);
	stream_shutdown(d);
	s->state = STREAM_FINISHING;
	list_append(&ring_of(s)->finishing, &s->finishing);
	ring_timer_arm(ring_of(s), &s->timer, STREAM_LINGER_MS);
	if ((s->is_shut && s->has_eof) || s->is_send_dead)
		stream_end(s);
	else
		stream_receive_later(s);
}

static const struct duplex_ops stream_ops = {
	.write = stream_write,
	.read = stream_read,
	.hold = stream_hold,
	.shutdown = stream_shutdown,
	.close = stream_close,
	.finish = stream_finish,
};

/* ---- making ---- */

static struct stream *stream_new(struct ring *r, int fd)
{
	struct stream *s = slab_alloc_zeroed(&r->streams);

	if (s == NULL) {
		close(fd);
		return NULL;
	}
	s->duplex.ops = &stream_ops;
	s->duplex.high = DUPLEX_HIGH;
	owner_init(&s->owner, r, stream_free);
	op_init(&s->recv_op, &s->owner, on_recv);
	op_init(&s->send_op, &s->owner, on_send);
	list_init(&s->sending);
	list_init(&s->resume);
	list_init(&s->finishing);
	timer_init(&s->timer, on_timer);
	sendq_init(&s->queue);
	s->fd = fd;
	return s;
}

struct duplex *stream_accept(struct ring *r, int fd)
{
	struct stream *s = stream_new(r, fd);

	if (s == NULL)
		return NULL;
	s->state = STREAM_OPEN;
	s->is_one_shot = socket_is_unix(fd);
	return &s->duplex;
}

static void on_connect(struct op *op, int res, uint32_t flags)
{
	struct stream *s = container_of(op, struct stream, send_op);

	(void)flags;
	s->send_op.done = on_send;
	if (s->state == STREAM_CLOSED)
		return;
	s->send_state = SEND_NONE;
	if (res < 0) {
		s->error = -res;
		stream_fail(s, REASON_CONNECT_FAILED);
		return;
	}
	s->state = s->tls != NULL ? STREAM_HANDSHAKE : STREAM_OPEN;
	if (s->duplex.queued > 0)
		stream_flush_later(s); /* the preface */
	if (s->tls == NULL) {
		stream_opened(s);
		return;
	}
	stream_receive_later(s);
	if (tls_start(s->tls, (struct tls_sink){ stream_emit, s }) != 0)
		stream_fail(s, REASON_BACKEND_TLS);
}

/* All but the connecting itself.  false: memory is out. */
static bool connect_prepare(struct stream *s, const struct stream_target *t)
{
	if (t->tls != NULL) {
		s->tls = tls_new_client(t->tls, t->sni);
		if (s->tls == NULL)
			return false;
	}
	if (t->preface_len > 0) {
		struct slice preface = slice_copy(t->preface, t->preface_len);

		if (preface.buf == NULL)
			return false;
		stream_queue(s, preface);
	}
	return !s->is_send_dead;
}

struct duplex *stream_connect(struct ring *r, const struct stream_target *t)
{
	int fd = socket_new(t->to, t->from);
	struct io_uring_sqe *sqe;
	struct stream *s;
	struct sockaddr *to;

	errno = fd < 0 ? -fd : ENOMEM;
	if (fd < 0)
		return NULL;
	s = stream_new(r, fd);
	if (s == NULL)
		return NULL;
	s->state = STREAM_CONNECTING;
	s->is_backend = true;
	s->is_one_shot = t->to->sa.sa_family == AF_UNIX;
	to = ring_scratch(r, t->to->len); /* before the SQE is taken: it may submit */
	if (to == NULL || !connect_prepare(s, t)) {
		stream_end(s);
		return NULL;
	}
	memcpy(to, &t->to->sa, t->to->len);
	sqe = ring_sqe(r);
	io_uring_prep_connect(sqe, fd, to, t->to->len);
	s->send_op.done = on_connect;
	s->send_state = SEND_WAITING; /* an operation that a cancel ends */
	ring_sqe_own(sqe, &s->send_op);
	if (t->timeout_ms > 0)
		ring_timer_arm(r, &s->timer, t->timeout_ms);
	return &s->duplex;
}

void streams_end(struct ring *r)
{
	list_for_each_safe(node, next, &r->finishing)
		stream_end(container_of(node, struct stream, finishing));
}

void stream_setup(void)
{
	ring_stream_hooks = (struct ring_stream_hooks){
		.sent = on_sent,
		.flush = on_flush,
		.resume = on_resume,
		.done = sendq_forget,
		.stream_len = sizeof(struct stream),
		.stream_align = _Alignof(struct stream),
	};
}
