#include "demo/servers.h"

#include "base/log.h"
#include "demo/visitor.h"
#include "net/socket.h"
#include "net/stream.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define RING_ENTRIES   256u
#define ACCEPTS_A_TURN 32
#define RETRY_MS       200u
#define END_MS	       3000u /* for the last operations */
#define END_STEP_MS    20u

static const char *const names[SERVERS_COUNT] = { "amber", "coral", "teal" };

/* ---- accepting ---- */

static void server_poll(struct server *s)
{
	struct io_uring_sqe *sqe = ring_sqe(&s->servers->ring);

	io_uring_prep_poll_add(sqe, s->fd, POLLIN);
	ring_sqe_own(sqe, &s->poll_op);
}

static void on_retry(struct timer *t)
{
	server_poll(container_of(t, struct server, retry));
}

static void visitor_accept(struct server *s, int fd)
{
	struct duplex *d;

	if (s->servers->visitors_count >= SERVERS_VISITORS) {
		close(fd);
		return;
	}
	d = stream_accept(&s->servers->ring, fd);
	if (d != NULL)
		visitor_new(s, d);
}

static void on_poll(struct op *op, int res, uint32_t flags)
{
	struct server *s = container_of(op, struct server, poll_op);
	int fd = res;

	(void)flags;
	for (int i = 0; fd >= 0 && i < ACCEPTS_A_TURN; i++) {
		fd = socket_accept(s->fd, NULL);
		if (fd >= 0)
			visitor_accept(s, fd);
	}
	if (fd >= 0 || fd == -EAGAIN)
		server_poll(s);
	else
		ring_timer_arm(&s->servers->ring, &s->retry, RETRY_MS); /* out of descriptors, most likely */
}

/* ---- the thread ---- */

static void on_stop(struct op *op, int res, uint32_t flags)
{
	struct servers *s = container_of(op, struct servers, stop_op);

	(void)res;
	(void)flags;
	ring_stop(&s->ring);
}

static void on_wake(struct timer *t)
{
	struct servers *s = container_of(t, struct servers, wake);

	ring_timer_arm(&s->ring, t, END_STEP_MS);
}

/* Everybody is dropped; the ring goes round until the kernel holds nothing of them. */
static void end_all(struct servers *s)
{
	uint64_t until_ms = s->ring.now_ms + END_MS;

	while (!list_is_empty(&s->visitors))
		visitor_drop(container_of(s->visitors.next, struct visitor, link));
	timer_init(&s->wake, on_wake);
	ring_timer_arm(&s->ring, &s->wake, END_STEP_MS);
	while (s->ring.streams.used_count > 0 && s->ring.now_ms < until_ms) {
		streams_end(&s->ring);
		if (ring_turn(&s->ring) < 0)
			return;
	}
}

static void *thread_main(void *user)
{
	struct servers *s = user;
	struct io_uring_sqe *sqe;
	int err = ring_enable(&s->ring);

	if (err == 0) {
		sqe = ring_sqe(&s->ring);
		io_uring_prep_read(sqe, s->stop_fd, &s->stop_more, sizeof(s->stop_more), 0);
		ring_sqe_own(sqe, &s->stop_op);
		for (size_t i = 0; i < SERVERS_COUNT; i++)
			server_poll(&s->at[i]);
		err = ring_run(&s->ring);
		end_all(s);
	}
	if (err < 0)
		log_error("demo: the servers' ring: %s", strerror(-err));
	return NULL;
}

/* ---- start and end ---- */

static int server_listen(struct servers *servers, struct server *s, const char *name)
{
	struct addr any;

	addr_parse(&any, "127.0.0.1:0");
	s->servers = servers;
	s->name = name;
	op_init(&s->poll_op, NULL, on_poll);
	timer_init(&s->retry, on_retry);
	s->fd = socket_listen(&any, false);
	if (s->fd < 0)
		return s->fd;
	socket_local(s->fd, &s->addr);
	addr_print(&s->addr, s->address);
	return 0;
}

int servers_init(struct servers *s)
{
	int err = 0;

	memset(s, 0, sizeof(*s));
	list_init(&s->visitors);
	chat_init(&s->chat, s);
	op_init(&s->stop_op, NULL, on_stop);
	for (size_t i = 0; i < SERVERS_COUNT; i++)
		s->at[i].fd = -1;
	s->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (s->stop_fd < 0)
		return -errno;
	for (size_t i = 0; err == 0 && i < SERVERS_COUNT; i++)
		err = server_listen(s, &s->at[i], names[i]);
	if (err == 0)
		err = ring_init(&s->ring, RING_ENTRIES, true);
	s->has_ring = err == 0;
	return err;
}

int servers_start(struct servers *s)
{
	int err = pthread_create(&s->thread, NULL, thread_main, s);

	s->has_thread = err == 0;
	return -err;
}

void servers_done(struct servers *s)
{
	uint64_t one = 1;

	if (s->has_thread) {
		while (write(s->stop_fd, &one, sizeof(one)) < 0 && errno == EINTR)
			;
		pthread_join(s->thread, NULL);
	}
	chat_done(&s->chat);
	if (s->has_ring)
		ring_done(&s->ring);
	for (size_t i = 0; i < SERVERS_COUNT; i++)
		if (s->at[i].fd >= 0)
			close(s->at[i].fd);
	if (s->stop_fd >= 0)
		close(s->stop_fd);
}
