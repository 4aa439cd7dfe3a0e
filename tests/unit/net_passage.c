/* Passages between streams on a real ring and real sockets.  The far ends are threads that know nothing of rings: one
 * brings bytes, one takes them. */
#include "net/passage.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/socket.h"
#include "net/stream.h"

#define GUARD_S 60
#define MIB	1048576u

static struct ring ring;
static int listener;
static struct addr listener_addr;
static volatile sig_atomic_t is_late;

/* The byte at a place of the source's bytes. */
static uint8_t byte_at(uint64_t at)
{
	return (uint8_t)((at * 2654435761u) >> 13);
}

/* ---- the far ends ---- */

struct far {
	pthread_t thread;
	int fd;
	uint64_t len; /* to bring, or to take before it ends; UINT64_MAX: to take until the end */
	_Atomic uint64_t done;
	bool resets; /* its end is a reset */
	bool stays;  /* it does not end: the test closes fd */
	bool is_right;
};

static void far_end(struct far *f)
{
	struct linger now = { .l_onoff = 1 };

	if (f->stays)
		return;
	if (f->resets)
		setsockopt(f->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(f->fd);
	f->fd = -1;
}

static void *bring(void *arg)
{
	struct far *f = arg;
	uint8_t out[40000];

	while (f->done < f->len) {
		size_t len = 1 + (size_t)(f->done * 7919 % sizeof(out));
		ssize_t n;

		if (len > f->len - f->done)
			len = (size_t)(f->len - f->done);
		for (size_t i = 0; i < len; i++)
			out[i] = byte_at(f->done + i);
		n = send(f->fd, out, len, MSG_NOSIGNAL);
		if (n <= 0)
			break;
		f->done += (uint64_t)n;
	}
	far_end(f);
	return NULL;
}

static void *take(void *arg)
{
	struct far *f = arg;
	uint8_t in[10000];
	ssize_t n = 1;

	f->is_right = true;
	while (f->done < f->len && n > 0) {
		size_t want = f->len - f->done < sizeof(in) ? (size_t)(f->len - f->done) : sizeof(in);

		n = recv(f->fd, in, want, 0);
		for (ssize_t i = 0; i < n; i++)
			f->is_right = f->is_right && in[i] == byte_at(f->done + (uint64_t)i);
		if (n > 0)
			f->done += (uint64_t)n;
	}
	far_end(f);
	return NULL;
}

/* ---- the near ends ---- */

struct near {
	struct duplex *d; /* NULL once it is over */
	struct near *other;
	uint64_t brought; /* by on_bytes */
	unsigned eofs;
	enum reason why;
	bool is_closed;
};

static struct near source, sink;
static struct far from, to;
static uint64_t moved;
static unsigned dones;
static uint64_t passage_len; /* begun at the first bytes; 0: none */
static bool has_passage;

static void on_moved(void *user, uint64_t len)
{
	(void)user;
	moved += len;
}

static void on_done(void *user)
{
	(void)user;
	dones++;
}

static const struct passage_events passage_events = { on_moved, on_done };

static void on_nothing(struct duplex *d)
{
	(void)d;
}

static void on_bytes(struct duplex *d, struct slice in)
{
	struct near *n = d->user;

	n->brought += in.len;
	if (n->other->d != NULL)
		duplex_write(n->other->d, slice_copy(in.at, in.len));
	if (passage_is_from(d)) {
		passage_less(d, in.len);
		return;
	}
	if (passage_len > n->brought && dones == 0 && n->other->d != NULL)
		has_passage = passage_start(d, n->other->d, passage_len - n->brought, &passage_events, n);
}

static void on_eof(struct duplex *d)
{
	struct near *n = d->user;

	n->eofs++;
	if (n->other->d != NULL)
		duplex_shutdown(n->other->d);
}

static void on_closed(struct duplex *d, enum reason why)
{
	struct near *n = d->user;

	n->d = NULL;
	n->is_closed = true;
	n->why = why;
}

static const struct duplex_events events = { on_nothing, on_bytes, on_eof, on_nothing, on_closed };

static void near_open(struct near *n, struct near *other, struct far *f, int buffer)
{
	int fd;

	f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(f->fd >= 0);
	if (buffer > 0)
		setsockopt(f->fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
	assert_int_equal(connect(f->fd, &listener_addr.sa, listener_addr.len), 0);
	while ((fd = socket_accept(listener, NULL)) == -EAGAIN)
		;
	assert_true(fd >= 0);
	n->d = stream_accept(&ring, fd);
	assert_non_null(n->d);
	n->other = other;
	duplex_use(n->d, &events, n);
}

static void on_alarm(int signal_number)
{
	(void)signal_number;
	is_late = 1;
}

static void turn(void)
{
	assert_int_equal(ring_turn(&ring), 0);
	if (is_late)
		fail_msg("forgotten: brought %llu, moved %llu, done %u, sink taken %llu", (unsigned long long)source.brought,
			 (unsigned long long)moved, dones, (unsigned long long)to.done);
}

/* A turn that does not sleep. */
static void turn_now(void)
{
	struct io_uring_sqe *sqe = ring_sqe(&ring);

	io_uring_prep_nop(sqe);
	io_uring_sqe_set_data(sqe, NULL);
	turn();
}

/* Until so many streams are left, and the descriptors of the others are closed. */
static void turn_until_left(uint32_t owners)
{
	while (ring.owners > owners)
		turn_now();
	turn_now();
}

static int setup(void **state)
{
	(void)state;
	is_late = 0;
	memset(&source, 0, sizeof(source));
	memset(&sink, 0, sizeof(sink));
	memset(&from, 0, sizeof(from));
	memset(&to, 0, sizeof(to));
	moved = passage_len = 0;
	dones = 0;
	has_passage = false;
	assert_int_equal(ring_init(&ring, 256, false), 0);
	assert_int_equal(buffers_init(&ring.small, &ring, 0, 4096, 16, 1024), 0);
	assert_int_equal(buffers_init(&ring.large, &ring, 1, 65536, 4, 64), 0);
	assert_int_equal(ring_enable(&ring), 0);
	near_open(&source, &sink, &from, 0);
	near_open(&sink, &source, &to, 16384);
	alarm(GUARD_S);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (source.d != NULL)
		duplex_close(source.d, REASON_NONE);
	if (sink.d != NULL)
		duplex_close(sink.d, REASON_NONE);
	turn_until_left(0);
	assert_int_equal(ring.passages_count, 0);
	assert_int_equal(ring.streams.used_count, 0);
	assert_int_equal(ring.small.taken, 0);
	assert_int_equal(ring.large.taken, 0);
	alarm(0);
	ring_done(&ring);
	if (from.fd >= 0)
		close(from.fd);
	if (to.fd >= 0)
		close(to.fd);
	return 0;
}

static int group_setup(void **state)
{
	char error[256] = "";
	struct addr any;

	(void)state;
	signal(SIGPIPE, SIG_IGN); /* as main does */
	sigaction(SIGALRM, &(struct sigaction){ .sa_handler = on_alarm }, NULL);
	stream_setup();
	assert_int_equal(ring_probe(error, sizeof(error)), 0);
	assert_int_equal(addr_parse(&any, "127.0.0.1:0"), 0);
	listener = socket_listen(&any, false);
	assert_true(listener >= 0);
	socket_local(listener, &listener_addr);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	close(listener);
	return 0;
}

static void run(uint64_t source_len, uint64_t sink_len, uint64_t len)
{
	from.len = source_len;
	to.len = sink_len;
	passage_len = len;
	pthread_create(&from.thread, NULL, bring, &from);
	pthread_create(&to.thread, NULL, take, &to);
	duplex_read(source.d, true);
	duplex_read(sink.d, true);
}

static void far_join(void)
{
	pthread_join(from.thread, NULL);
	pthread_join(to.thread, NULL);
}

/* ---- the tests ---- */

/* Whatever its length, above all where its last byte ends a share of a turn: every byte once and in order, and what follows
 * comes up as ever. */
static void every_length_comes_to_its_end(void **state)
{
	static const int64_t beside[] = { -4096, -1, 0, 1, 65536 };
	const uint64_t more = 777;

	for (unsigned mib = 1; mib <= 8; mib *= 2) {
		for (unsigned i = 0; i < ARRAY_LEN(beside); i++) {
			uint64_t len = mib * MIB + (uint64_t)beside[i];

			from.stays = to.stays = true;
			run(len + more, len + more, len);
			while (source.brought + moved < len + more)
				turn();
			while (to.done < len + more) /* what follows is in the kernel's hands, or soon will be */
				turn_now();
			far_join();
			assert_true(to.is_right);
			assert_int_equal(to.done, len + more);
			assert_true(has_passage);
			assert_int_equal(dones, 1);
			assert_int_equal(source.eofs, 0);
			teardown(state);
			setup(state);
		}
	}
}

/* A passage without a known end, as a tcp relay starts it. */
static void ends_with_its_source(void **state)
{
	(void)state;
	run(5 * MIB + 3, UINT64_MAX, UINT64_MAX);
	while (!sink.eofs)
		turn();
	far_join();
	assert_true(to.is_right);
	assert_int_equal(to.done, 5 * MIB + 3);
	assert_int_equal(source.brought + moved, 5 * MIB + 3);
	assert_int_equal(dones, 1);
	assert_int_equal(source.eofs, 1);
}

/* Its source ends before its length: no more is passed than came, and the user hears of the end. */
static void short_source_is_an_end(void **state)
{
	(void)state;
	run(3 * MIB, UINT64_MAX, 9 * MIB);
	while (!sink.eofs)
		turn();
	far_join();
	assert_true(to.is_right);
	assert_int_equal(to.done, 3 * MIB);
	assert_int_equal(dones, 1);
	assert_int_equal(source.eofs, 1);
}

/* A reset takes along what has not been read: the sink gets the beginning of what was brought. */
static void reset_source_is_told_of(void **state)
{
	(void)state;
	from.resets = true;
	to.stays = true;
	run(3 * MIB, UINT64_MAX, UINT64_MAX);
	while (!source.is_closed)
		turn();
	assert_int_equal(source.why, REASON_CLIENT_RESET);
	assert_int_equal(dones, 0);
	assert_int_equal(source.eofs, 0);
	assert_non_null(sink.d); /* its user decides */
	duplex_close(sink.d, REASON_NONE);
	sink.d = NULL;
	turn_until_left(0);
	far_join();
	assert_true(to.is_right);
	assert_true(to.done <= 3 * MIB);
}

static void reset_sink_is_told_of(void **state)
{
	(void)state;
	to.resets = true;
	run(64 * MIB, 3 * MIB, UINT64_MAX);
	while (!sink.is_closed)
		turn();
	assert_int_equal(dones, 0);
	assert_non_null(source.d);
	duplex_close(source.d, REASON_NONE); /* which ends the thread that brings */
	source.d = NULL;
	turn_until_left(0);
	far_join();
	assert_true(to.is_right);
	assert_int_equal(to.done, 3 * MIB);
}

/* Either user leaves in the midst of it: nothing is left of it, the other stream lives. */
static void users_may_leave(void **state)
{
	for (unsigned i = 0; i < 4; i++) {
		struct near *leaver = i % 2 == 0 ? &source : &sink;

		run(64 * MIB, i < 2 ? 3 * MIB : UINT64_MAX, UINT64_MAX);
		while (moved < 2 * MIB)
			turn();
		duplex_close(leaver->d, REASON_NONE);
		leaver->d = NULL;
		assert_false(source.d != NULL && passage_is_from(source.d));
		turn_now();
		assert_false(sink.d != NULL && sink.d->queued > 0 && passage_is_from(sink.d));
		assert_non_null(leaver->other->d);
		duplex_close(leaver->other->d, REASON_NONE);
		leaver->other->d = NULL;
		turn_until_left(0);
		far_join();
		assert_true(to.is_right);
		assert_int_equal(dones, 0);
		teardown(state);
		setup(state);
	}
}

/* A sink that takes nothing: what waits is a pipe's worth, and the source is held back. */
static void slow_sink_holds_its_source(void **state)
{
	(void)state;
	from.stays = to.stays = true;
	run(64 * MIB, 0, UINT64_MAX);
	while (sink.d->queued == 0 || moved == 0)
		turn();
	for (unsigned i = 0; i < 200; i++)
		turn_now();
	assert_true(sink.d->queued <= MIB);
	assert_true(moved < 32 * MIB);
	duplex_close(source.d, REASON_NONE);
	source.d = NULL;
	turn_until_left(1);
	far_join();
}

static void refusals(void **state)
{
	(void)state;
	assert_false(passage_start(source.d, sink.d, PASSAGE_MIN - 1, &passage_events, NULL));
	assert_true(passage_start(source.d, sink.d, PASSAGE_MIN, &passage_events, NULL));
	assert_true(passage_is_from(source.d));
	assert_false(passage_is_from(sink.d));
	assert_false(passage_start(source.d, sink.d, PASSAGE_MIN, &passage_events, NULL)); /* one is enough */
	assert_true(passage_start(sink.d, source.d, PASSAGE_MIN, &passage_events, NULL));  /* the other way */
}

/* The pipes of a ring are bounded, and come back. */
static void pipes_are_bounded(void **state)
{
	struct near sources[70], sinks[70];
	struct far fars[140];
	unsigned started = 0;

	(void)state;
	memset(sources, 0, sizeof(sources));
	memset(sinks, 0, sizeof(sinks));
	for (unsigned i = 0; i < 70; i++) {
		near_open(&sources[i], &sinks[i], &fars[2 * i], 0);
		near_open(&sinks[i], &sources[i], &fars[2 * i + 1], 0);
		started += passage_start(sources[i].d, sinks[i].d, UINT64_MAX, &passage_events, &sources[i]);
	}
	assert_int_equal(started, 64);
	for (unsigned i = 0; i < 70; i++) {
		duplex_close(sources[i].d, REASON_NONE);
		duplex_close(sinks[i].d, REASON_NONE);
		close(fars[2 * i].fd);
		close(fars[2 * i + 1].fd);
	}
	turn_until_left(2);
	assert_int_equal(ring.passages_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_length_comes_to_its_end, setup, teardown),
		cmocka_unit_test_setup_teardown(ends_with_its_source, setup, teardown),
		cmocka_unit_test_setup_teardown(short_source_is_an_end, setup, teardown),
		cmocka_unit_test_setup_teardown(reset_source_is_told_of, setup, teardown),
		cmocka_unit_test_setup_teardown(reset_sink_is_told_of, setup, teardown),
		cmocka_unit_test_setup_teardown(users_may_leave, setup, teardown),
		cmocka_unit_test_setup_teardown(slow_sink_holds_its_source, setup, teardown),
		cmocka_unit_test_setup_teardown(refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(pipes_are_bounded, setup, teardown),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
