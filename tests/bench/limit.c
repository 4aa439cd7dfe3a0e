/* The yardstick: what a relay on io_uring costs that parses nothing.
 *
 * Accepts, connects to the backend, and moves bytes both ways: multishot recv into a provided-buffer ring,
 * and a send from the buffer where the bytes lie.  No HTTP, no frames, no limits, no deadlines, no TLS: a
 * proxy that does all that cannot be cheaper with the same pattern, so the distance to this row is what the
 * features cost.
 *
 * One send a socket is in flight, the rest queue, since the ring does not order sends.  The pool of buffers
 * bounds all bytes in flight: a recv that finds it empty ends, and is armed again when a quarter is back.  A
 * link is freed when the kernel holds no operation of it. Usage: limit LISTEN_PORT BACKEND_PORT (both on
 * 127.0.0.1); ends by a signal. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define RING_ENTRIES 4096
#define BUFFERS_COUNT 1024 /* a power of two */
#define BUFFER_BYTES 4096
#define BUFFER_NONE UINT16_MAX
#define BATCH_WANTED 64           /* under load; DEFER_TASKRUN runs max(20, wanted) completions an enter */
#define BATCH_WAIT_NS 1000        /* near zero */
#define RECV_POLL_FIRST (1u << 0) /* 5.19: an empty pool does not fail the arming */

/* In the low bits of user_data, below a side's address. */
enum op { OP_RECV, OP_SEND, OP_CONNECT, OP_ACCEPT, OP_MASK = 3 };

struct side {
	int fd;
	struct link *link;
	struct side *other, *next_starved;
	uint16_t head, tail; /* buffers to send to this side's socket, by id; BUFFER_NONE: none */
	uint32_t sent;       /* bytes of the first that have gone */
	bool has_ended;      /* nothing more comes from this side */
	bool is_starved;
};

struct link {
	struct side client, backend;
	uint32_t in_flight; /* operations that the kernel holds */
	bool is_closing;
};

static struct io_uring ring;
static struct io_uring_buf_ring *pool;
static uint8_t *pool_bytes;
static unsigned pool_free;
static struct {
	uint16_t next;
	uint32_t len;
} queued[BUFFERS_COUNT];
static struct side *starved;
static struct sockaddr_in backend_address;
static int listen_fd;

static struct io_uring_sqe *sqe_next(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	while (sqe == NULL) {
		io_uring_submit(&ring);
		sqe = io_uring_get_sqe(&ring);
	}
	return sqe;
}

static void op_began(struct io_uring_sqe *sqe, struct side *s, enum op op)
{
	io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)s | op);
	s->link->in_flight++;
}

static void accept_arm(void)
{
	struct io_uring_sqe *sqe = sqe_next();

	io_uring_prep_multishot_accept(sqe, listen_fd, NULL, NULL, SOCK_CLOEXEC);
	io_uring_sqe_set_data64(sqe, OP_ACCEPT);
}

static void recv_arm(struct side *s)
{
	struct io_uring_sqe *sqe = sqe_next();

	io_uring_prep_recv_multishot(sqe, s->fd, NULL, 0, 0);
	sqe->ioprio |= RECV_POLL_FIRST;
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = 0;
	op_began(sqe, s, OP_RECV);
}

static void send_arm(struct side *s)
{
	struct io_uring_sqe *sqe = sqe_next();

	io_uring_prep_send(sqe, s->fd, pool_bytes + (size_t)s->head * BUFFER_BYTES + s->sent,
			   queued[s->head].len - s->sent, MSG_NOSIGNAL | MSG_WAITALL);
	op_began(sqe, s, OP_SEND);
}

static void buffer_return(uint16_t id)
{
	io_uring_buf_ring_add(pool, pool_bytes + (size_t)id * BUFFER_BYTES, BUFFER_BYTES, id,
			      io_uring_buf_ring_mask(BUFFERS_COUNT), 0);
	io_uring_buf_ring_advance(pool, 1);
	pool_free++;
}

static void side_drop_queue(struct side *s)
{
	while (s->head != BUFFER_NONE) {
		uint16_t id = s->head;

		s->head = queued[id].next;
		buffer_return(id);
	}
}

static void link_settle(struct link *l)
{
	if (!l->is_closing || l->in_flight > 0)
		return;
	side_drop_queue(&l->client); /* first: the starved wait for these */
	side_drop_queue(&l->backend);
	if (l->client.is_starved || l->backend.is_starved)
		return;
	close(l->client.fd);
	close(l->backend.fd);
	free(l);
}

static void link_close(struct link *l)
{
	if (l->is_closing)
		return;
	l->is_closing = true;
	shutdown(l->client.fd, SHUT_RDWR); /* ends armed recvs; close alone does not */
	shutdown(l->backend.fd, SHUT_RDWR);
}

/* Passes the end of input on once all before it has left. */
static void side_pass_end(struct side *s)
{
	if (!s->other->has_ended || s->head != BUFFER_NONE)
		return;
	if (s->has_ended && s->other->head == BUFFER_NONE)
		link_close(s->link);
	else
		shutdown(s->fd, SHUT_WR);
}

static void on_accept(int fd, uint32_t flags)
{
	struct link *l;
	struct io_uring_sqe *sqe;
	int on = 1;

	if (!(flags & IORING_CQE_F_MORE))
		accept_arm();
	if (fd < 0)
		return;
	l = calloc(1, sizeof(*l));
	if (l == NULL) {
		close(fd);
		return;
	}
	l->client = (struct side){ fd, l, &l->backend, NULL, BUFFER_NONE, BUFFER_NONE, 0, false, false };
	l->backend = (struct side){ -1, l, &l->client, NULL, BUFFER_NONE, BUFFER_NONE, 0, false, false };
	l->backend.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(l->backend.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	sqe = sqe_next();
	io_uring_prep_connect(sqe, l->backend.fd, (struct sockaddr *)&backend_address,
			      sizeof(backend_address));
	op_began(sqe, &l->backend, OP_CONNECT);
}

static void on_recv(struct side *s, int res, uint32_t flags)
{
	struct side *to = s->other;

	if (flags & IORING_CQE_F_BUFFER) {
		uint16_t id = (uint16_t)(flags >> IORING_CQE_BUFFER_SHIFT);

		pool_free--;
		if (res <= 0 || s->link->is_closing) {
			buffer_return(id);
		} else {
			queued[id].len = (uint32_t)res;
			queued[id].next = BUFFER_NONE;
			if (to->head == BUFFER_NONE) {
				to->head = to->tail = id;
				send_arm(to);
			} else {
				queued[to->tail].next = id;
				to->tail = id;
			}
		}
	}
	if ((flags & IORING_CQE_F_MORE) || s->link->is_closing)
		return;
	if (res > 0) {
		recv_arm(s);
	} else if (res == -ENOBUFS) {
		s->is_starved = true;
		s->next_starved = starved;
		starved = s;
	} else if (res < 0) {
		link_close(s->link);
	} else {
		s->has_ended = true;
		side_pass_end(to);
	}
}

static void on_send(struct side *s, int res)
{
	uint16_t id = s->head;

	if (res <= 0) {
		link_close(s->link);
		return;
	}
	s->sent += (uint32_t)res;
	if (s->sent == queued[id].len) {
		s->head = queued[id].next;
		s->sent = 0;
		buffer_return(id);
	}
	if (s->link->is_closing)
		return;
	if (s->head != BUFFER_NONE)
		send_arm(s);
	else
		side_pass_end(s);
}

static void on_connect(struct side *s, int res)
{
	if (res < 0) {
		link_close(s->link);
		return;
	}
	recv_arm(s);
	recv_arm(s->other);
}

static void op_complete(const struct io_uring_cqe *cqe)
{
	enum op op = (enum op)(cqe->user_data & OP_MASK);
	struct side *s = (struct side *)(uintptr_t)(cqe->user_data & ~(uint64_t)OP_MASK);

	if (op == OP_ACCEPT) {
		on_accept(cqe->res, cqe->flags);
		return;
	}
	if (!(cqe->flags & IORING_CQE_F_MORE))
		s->link->in_flight--;
	if (op == OP_RECV)
		on_recv(s, cqe->res, cqe->flags);
	else if (op == OP_SEND)
		on_send(s, cqe->res);
	else
		on_connect(s, cqe->res);
	link_settle(s->link);
}

static void starved_rearm(void)
{
	struct side *s = starved;

	if (pool_free < BUFFERS_COUNT / 4)
		return;
	starved = NULL;
	while (s != NULL) {
		struct side *next = s->next_starved;

		s->is_starved = false;
		if (!s->link->is_closing)
			recv_arm(s);
		link_settle(s->link);
		s = next;
	}
}

static void pool_open(void)
{
	struct io_uring_buf_reg reg = { .ring_entries = BUFFERS_COUNT };
	size_t ring_bytes = BUFFERS_COUNT * sizeof(struct io_uring_buf);

	pool = aligned_alloc(4096, ring_bytes);
	pool_bytes = aligned_alloc(4096, (size_t)BUFFERS_COUNT * BUFFER_BYTES);
	if (pool == NULL || pool_bytes == NULL)
		exit(1);
	memset(pool_bytes, 1, (size_t)BUFFERS_COUNT * BUFFER_BYTES); /* resident before anybody measures */
	io_uring_buf_ring_init(pool);
	reg.ring_addr = (uint64_t)(uintptr_t)pool;
	if (io_uring_register_buf_ring(&ring, &reg, 0) != 0)
		exit(1);
	for (unsigned i = 0; i < BUFFERS_COUNT; i++)
		buffer_return((uint16_t)i);
}

static int listener_open(uint16_t port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, 4096) != 0) {
		perror("limit: listen");
		exit(1);
	}
	return fd;
}

int main(int argc, char **argv)
{
	struct io_uring_params params = { .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
						   IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL,
					  .cq_entries = 8 * RING_ENTRIES };
	struct rlimit files;
	unsigned batch = 0;

	if (argc != 3) {
		fprintf(stderr, "usage: limit LISTEN_PORT BACKEND_PORT\n");
		return 1;
	}
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	backend_address = (struct sockaddr_in){ .sin_family = AF_INET,
						.sin_port = htons((uint16_t)atoi(argv[2])),
						.sin_addr = { htonl(INADDR_LOOPBACK) } };
	if (io_uring_queue_init_params(RING_ENTRIES, &ring, &params) != 0) {
		perror("limit: io_uring");
		return 1;
	}
	io_uring_register_ring_fd(&ring);
	pool_open();
	listen_fd = listener_open((uint16_t)atoi(argv[1]));
	accept_arm();
	for (;;) {
		struct __kernel_timespec near_zero = { 0, BATCH_WAIT_NS };
		struct io_uring_cqe *cqe;
		unsigned head;

		if (batch >= 16)
			io_uring_submit_and_wait_timeout(&ring, &cqe, BATCH_WANTED, &near_zero, NULL);
		else
			io_uring_submit_and_wait(&ring, 1);
		batch = 0;
		io_uring_for_each_cqe(&ring, head, cqe)
		{
			op_complete(cqe);
			batch++;
		}
		io_uring_cq_advance(&ring, batch);
		if (starved != NULL)
			starved_rearm();
	}
}
