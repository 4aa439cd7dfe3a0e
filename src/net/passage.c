#include "net/passage.h"

#include "net/passages.h"
#include "net/socket.h"
#include "net/stream_inside.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#define TURN_MAX  1048576u /* bytes that one passage moves in a turn */
#define PIPE_LEN  1048576
#define PIPES_MAX 64u	   /* of a ring: what its pipes may hold is memory of the kernel's */

struct passage {
	struct list link; /* of ring.passages */
	struct owner owner;
	struct op poll_op;
	struct stream *from, *to; /* NULL once it is over */
	const struct passage_events *events;
	void *user;
	uint64_t left;	  /* bytes that are still to come out of `from` */
	uint32_t in_pipe; /* bytes that have come and not gone */
	int pipe[2];
	bool is_begun; /* what is queued for `to` is what the pipe holds */
	bool is_polling;
	bool has_eof;
};

static void passage_step(struct passage *p);

static struct passage *passage_of(const struct stream *from)
{
	list_for_each(node, &ring_of(from)->passages) {
		struct passage *p = container_of(node, struct passage, link);

		if (p->from == from)
			return p;
	}
	return NULL;
}

static void passage_free(struct owner *o)
{
	struct passage *p = container_of(o, struct passage, owner);

	close(p->pipe[0]);
	close(p->pipe[1]);
	o->ring->passages_count--;
	free(p);
}

/* The streams are free of it. */
static void passage_over(struct passage *p)
{
	if (p->from != NULL) {
		p->from->is_passed = false;
		p->from->has_more = false;
		p->from->is_unsure = true; /* nobody has looked behind its last byte */
	}
	if (p->to != NULL) {
		p->to->is_passed_to = false;
		if (p->is_begun)
			p->to->duplex.queued = 0; /* what the pipe holds is lost with it */
		stream_flush_later(p->to); /* its end may be due */
	}
	if (p->is_polling) {
		struct io_uring_sqe *sqe = ring_sqe(p->owner.ring);

		io_uring_prep_cancel(sqe, &p->poll_op, 0);
		ring_sqe_forget(sqe);
	}
	p->from = p->to = NULL;
	list_remove(&p->link);
	owner_close(&p->owner);
}

void passages_forget(struct stream *s)
{
	list_for_each_safe(node, next, &ring_of(s)->passages) {
		struct passage *p = container_of(node, struct passage, link);

		if (p->from == s || p->to == s)
			passage_over(p);
	}
}

/* All has gone, or no more will come. */
static void passage_done(struct passage *p)
{
	struct stream *from = p->from;
	const struct passage_events *events = p->events;
	void *user = p->user;
	bool has_eof = p->has_eof;

	passage_over(p);
	events->done(user);
	if (from->state == STREAM_CLOSED)
		return;
	if (has_eof)
		stream_eof(from);
	else
		stream_receive_later(from);
}

static void passage_poll(struct passage *p, int fd, unsigned mask)
{
	struct io_uring_sqe *sqe = ring_sqe(p->owner.ring);

	io_uring_prep_poll_add(sqe, fd, mask);
	ring_sqe_own(sqe, &p->poll_op);
	p->is_polling = true;
}

/* One splice(2) that does not wait.  io_uring wants sockets to be blocking, splice goes by the file's flag: it is set for the
 * call alone, in which nothing is submitted. */
static ssize_t splice_now(int from, int to, size_t len, int socket)
{
	int flags = fcntl(socket, F_GETFL);
	ssize_t n;

	fcntl(socket, F_SETFL, flags | O_NONBLOCK);
	n = splice(from, NULL, to, NULL, len, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if (n < 0)
		n = -errno;
	fcntl(socket, F_SETFL, flags & ~O_NONBLOCK);
	return n;
}

/* Out of the pipe as much as goes.  false: the passage waits or is over. */
static bool push(struct passage *p)
{
	struct stream *to = p->to;
	ssize_t n = splice_now(p->pipe[0], to->fd, p->in_pipe, to->fd);

	if (n == -EAGAIN) {
		passage_poll(p, to->fd, POLLOUT);
		return false;
	}
	if (n <= 0) {
		stream_send_failed(to, n < 0 ? (int)-n : EPIPE); /* which may end the passage */
		return false;
	}
	p->in_pipe -= (uint32_t)n;
	to->duplex.queued = p->in_pipe; /* so that who looks for a peer that takes nothing sees one */
	p->events->moved(p->user, (uint64_t)n);
	if (p->from != NULL && to->state == STREAM_OPEN)
		to->duplex.events->on_room(&to->duplex);
	return p->from != NULL;
}

/* Into the pipe what has come.  false: the passage waits or is over. */
static bool pull(struct passage *p)
{
	struct stream *from = p->from;
	size_t want = p->left < PIPE_LEN ? (size_t)p->left : PIPE_LEN;
	ssize_t n = splice_now(from->fd, p->pipe[1], want, from->fd);

	if (n == -EAGAIN) {
		passage_poll(p, from->fd, POLLIN);
		return false;
	}
	if (n < 0) {
		from->error = (int)-n;
		stream_fail(from, stream_reset_reason(from));
		return false;
	}
	if (n == 0) {
		p->has_eof = true;
		passage_done(p);
		return false;
	}
	p->left -= (uint64_t)n;
	p->in_pipe = (uint32_t)n;
	p->to->duplex.queued = p->in_pipe;
	return true;
}

static void passage_step(struct passage *p)
{
	uint64_t moved = 0;

	while (moved < TURN_MAX) {
		if (p->in_pipe == 0 && p->left == 0) {
			passage_done(p);
			return;
		}
		moved += p->in_pipe;
		if (p->in_pipe > 0 ? !push(p) : !pull(p))
			return;
	}
	/* Others have their turn; the poll finds the socket ready at once. */
	if (p->in_pipe == 0 && p->left == 0)
		passage_done(p);
	else if (p->in_pipe > 0)
		passage_poll(p, p->to->fd, POLLOUT);
	else
		passage_poll(p, p->from->fd, POLLIN);
}

static void on_poll(struct op *op, int res, uint32_t flags)
{
	struct passage *p = container_of(op, struct passage, poll_op);

	(void)res;
	(void)flags;
	p->is_polling = false;
	if (p->from != NULL)
		passage_step(p);
}

/* Both streams have come to rest?  Then it begins. */
void passages_look(struct stream *s)
{
	list_for_each_safe(node, next, &ring_of(s)->passages) {
		struct passage *p = container_of(node, struct passage, link);

		if (p->from != s && p->to != s)
			continue;
		if (p->is_begun || p->from->is_receiving || p->to->queue.count > 0 || p->to->send_state != SEND_NONE)
			continue;
		p->is_begun = true;
		passage_step(p);
	}
}

static bool pipe_open(struct passage *p)
{
	if (pipe2(p->pipe, O_NONBLOCK | O_CLOEXEC) < 0)
		return false;
	fcntl(p->pipe[1], F_SETPIPE_SZ, PIPE_LEN); /* where that is too much for this user, it stays small, and works */
	return true;
}

bool passage_start(struct duplex *from, struct duplex *to, uint64_t len, const struct passage_events *events, void *user)
{
	struct stream *f, *t;
	struct passage *p;
	struct ring *r;

	if (!stream_is(from) || !stream_is(to) || len < PASSAGE_MIN)
		return false;
	f = stream_of(from);
	t = stream_of(to);
	r = ring_of(f);
	if (f->tls != NULL || t->tls != NULL || f->state != STREAM_OPEN || t->state != STREAM_OPEN || f->has_eof ||
	    f->is_passed || t->is_passed_to || f->is_send_dead || t->is_send_dead || r->passages_count >= PIPES_MAX)
		return false;
	p = calloc(1, sizeof(*p));
	if (p == NULL || !pipe_open(p)) {
		free(p);
		return false;
	}
	owner_init(&p->owner, r, passage_free);
	op_init(&p->poll_op, &p->owner, on_poll);
	p->from = f;
	p->to = t;
	p->left = len;
	p->events = events;
	p->user = user;
	f->is_passed = true;
	t->is_passed_to = true;
	r->passages_count++;
	list_append(&r->passages, &p->link);
	if (f->is_receiving) {
		struct io_uring_sqe *sqe = ring_sqe(r);

		io_uring_prep_cancel(sqe, &f->recv_op, 0);
		ring_sqe_forget(sqe);
	}
	list_remove(&f->resume);
	stream_flush_later(t); /* the turn's end looks whether it may begin */
	return true;
}

void passage_less(struct duplex *from, uint64_t len)
{
	struct passage *p = passage_of(stream_of(from));

	assert(p != NULL && len <= p->left);
	p->left -= len;
}

bool passage_is_blocked(const struct duplex *from)
{
	const struct passage *p = stream_is(from) ? passage_of(stream_of(from)) : NULL;

	return p != NULL && p->in_pipe > 0;
}

bool passage_is_from(const struct duplex *from)
{
	return stream_is(from) && stream_of(from)->is_passed;
}
