/* Streams on a real ring and real sockets.  Both ends are streams of one ring, or the peer is a thread that knows
 * nothing of rings.  An alarm guards each test, not a timer of the ring, which would wake it: a stream that is forgotten
 * leaves the ring asleep until it rings. */
#include "net/stream.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/crypto.h>

#include "base/random.h"
#include "net/socket.h"
#include "tls_certs.h"
#include "tls_pair.h"

#define GUARD_S	 5 /* what has not come by then never does */
#define DATA_MAX (1u << 20)

static struct ring ring;
static struct timer pause_timer;
static volatile sig_atomic_t is_late;
static uint8_t data[DATA_MAX];
static struct test_cert identity;
static struct tls_context *server_tls, *client_tls, *stranger_tls;
static struct addr addr_tcp, addr_unix; /* where `listeners` listen */
static int listener_tcp, listener_unix;

/* ---- an end ---- */

struct end {
	struct duplex *d; /* NULL once it is over, or was left */
	struct bytes in;
	const uint8_t *out;
	size_t out_len, out_at; /* written so far */
	uint32_t most_queued;
	unsigned opens, eofs, rooms;
	enum reason why;
	bool is_closed;
	bool shuts;    /* ends its direction behind `out` */
	bool finishes; /* leaves once `out` is written */
	bool pauses;   /* stops reading now and then */
	bool keeps;    /* the slices, until keep_drop() */
	bool closes_at_once;
	struct slice kept[64];
	unsigned kept_count;
};

static struct end a, b; /* the one that connects, and the one that is accepted */

/* Writes in random pieces as long as the other end keeps up. */
static void end_write(struct end *e)
{
	while (e->d != NULL && e->out_at < e->out_len && !duplex_is_full(e->d)) {
		size_t left = e->out_len - e->out_at;
		size_t len = 1 + random_below(random_below(4) == 0 ? 60000 : 900);
		struct slice s;

		if (len > left)
			len = left;
		s = random_below(2) == 0 ? slice_copy(e->out + e->out_at, len)
					 : slice_static(e->out + e->out_at, len);
		e->out_at += len;
		if (!duplex_write(e->d, s))
			e->out_at = e->out_len;
		if (e->d != NULL && e->d->queued > e->most_queued)
			e->most_queued = e->d->queued;
	}
	if (e->d == NULL || e->out_at < e->out_len)
		return;
	if (e->finishes) {
		duplex_finish(e->d);
		e->d = NULL;
	} else if (e->shuts) {
		e->shuts = false;
		duplex_shutdown(e->d);
	}
}

static void on_open(struct duplex *d)
{
	struct end *e = d->user;

	e->opens++;
	if (e->closes_at_once) {
		duplex_close(d, REASON_NONE);
		e->d = NULL;
		return;
	}
	end_write(e);
}

static void on_bytes(struct duplex *d, struct slice in)
{
	struct end *e = d->user;

	assert_true(in.len > 0);
	assert_int_equal(e->eofs, 0);
	bytes_add(&e->in, in.at, in.len);
	if (e->keeps && e->kept_count < ARRAY_LEN(e->kept))
		e->kept[e->kept_count++] = slice_ref(in);
	if (e->pauses && random_below(8) == 0) {
		duplex_read(d, false);
		if (random_below(3) == 0)
			duplex_read(d, true);
		else if (!timer_is_armed(&pause_timer))
			ring_timer_arm(&ring, &pause_timer, 0);
	}
}

static void on_eof(struct duplex *d)
{
	((struct end *)d->user)->eofs++;
}

static void on_room(struct duplex *d)
{
	struct end *e = d->user;

	e->rooms++;
	end_write(e);
}

static void on_closed(struct duplex *d, enum reason why)
{
	struct end *e = d->user;

	assert_false(e->is_closed);
	e->is_closed = true;
	e->why = why;
	e->d = NULL;
}

static const struct duplex_events end_events = { on_open, on_bytes, on_eof, on_room, on_closed };

static void on_pause_over(struct timer *t)
{
	(void)t;
	if (a.d != NULL)
		duplex_read(a.d, true);
	if (b.d != NULL)
		duplex_read(b.d, true);
}

static void end_close(struct end *e)
{
	if (e->d != NULL)
		duplex_close(e->d, REASON_NONE);
	e->d = NULL;
}

static void keep_drop(struct end *e)
{
	while (e->kept_count > 0)
		slice_unref(e->kept[--e->kept_count]);
}

static void end_use(struct end *e, struct duplex *d)
{
	assert_non_null(d);
	e->d = d;
	duplex_use(d, &end_events, e);
}

/* ---- the ring ---- */

static void on_alarm(int signal_number)
{
	(void)signal_number;
	is_late = 1;
}

static void turn(void)
{
	assert_int_equal(ring_turn(&ring), 0);
	if (is_late) {
		is_late = 0;
		alarm(GUARD_S);
		fail_msg("the ring fell asleep: a has %zu bytes, wrote %zu, eof %u, closed %d; b has %zu, "
			 "wrote %zu, "
			 "eof %u, closed %d",
			 a.in.len, a.out_at, a.eofs, a.is_closed, b.in.len, b.out_at, b.eofs, b.is_closed);
	}
}

#define TURN_UNTIL(condition) \
	do {                  \
		turn();       \
	} while (!(condition))

/* As many turns as something can be under way without anybody waiting for it; they do not wait: a completion of nobody's
 * is there. */
static void turn_a_few(void)
{
	for (unsigned i = 0; i < 4; i++) {
		struct io_uring_sqe *sqe = ring_sqe(&ring);

		io_uring_prep_nop(sqe);
		io_uring_sqe_set_data(sqe, NULL);
		turn();
	}
}

static void ring_begin(uint32_t small_max, uint32_t large_max)
{
	is_late = 0;
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	assert_int_equal(ring_init(&ring, 256, false), 0);
	assert_int_equal(
		buffers_init(&ring.small, &ring, 0, 4096, small_max < 16 ? small_max : 16, small_max), 0);
	assert_int_equal(buffers_init(&ring.large, &ring, 1, 65536, large_max < 4 ? large_max : 4, large_max),
			 0);
	assert_int_equal(ring_enable(&ring), 0);
	timer_init(&pause_timer, on_pause_over);
	alarm(GUARD_S);
}

/* Nothing may be left. */
static void ring_end(void)
{
	end_close(&a);
	end_close(&b);
	keep_drop(&a);
	keep_drop(&b);
	timer_cancel(&pause_timer);
	while (ring.owners > 0)
		turn_a_few();
	turn_a_few(); /* the closes of the descriptors */
	assert_int_equal(ring.streams.used_count, 0);
	assert_int_equal(ring.small.taken, 0);
	assert_int_equal(ring.large.taken, 0);
	alarm(0);
	bytes_done(&a.in);
	bytes_done(&b.in);
	ring_done(&ring);
}

static int setup(void **state)
{
	(void)state;
	ring_begin(1024, 64);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	ring_end();
	return 0;
}

/* OpenSSL's memory, which may run out. */
static bool is_openssl_out;

static void *openssl_malloc(size_t len, const char *file, int line)
{
	(void)file;
	(void)line;
	return is_openssl_out ? NULL : malloc(len);
}

static void *openssl_realloc(void *p, size_t len, const char *file, int line)
{
	(void)file;
	(void)line;
	return is_openssl_out ? NULL : realloc(p, len);
}

static void openssl_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	free(p);
}

static int group_setup(void **state)
{
	char error[256] = "";
	struct addr any;
	uint32_t x = 1;

	(void)state;
	assert_int_equal(CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free), 1);
	sigaction(SIGALRM, &(struct sigaction){ .sa_handler = on_alarm }, NULL);
	stream_setup();
	assert_int_equal(ring_probe(error, sizeof(error)), 0);
	for (size_t i = 0; i < sizeof(data); i++) {
		x = x * 1103515245 + 12345;
		data[i] = (uint8_t)(x >> 16);
	}
	test_directory_make();
	test_cert_make(&identity,
		       &(struct test_cert_options){ .names = "DNS:chat.test", .is_authority = true });
	test_cert_write(&identity, "chat", NULL);
	server_tls = server_of(&identity, NULL);
	client_tls = client_from(&(struct tls_client_options){ .verify = true, .ca = identity.cert_path });
	stranger_tls = client_from(&(struct tls_client_options){ .verify = true });
	assert_int_equal(addr_parse(&any, "127.0.0.1:0"), 0);
	listener_tcp = socket_listen(&any, false);
	assert_true(listener_tcp >= 0);
	socket_local(listener_tcp, &addr_tcp);
	addr_unix = (struct addr){ .len = sizeof(sa_family_t),
				   .un.sun_family = AF_UNIX }; /* autobind: a name of its own */
	listener_unix = socket_listen(&addr_unix, false);
	assert_true(listener_unix >= 0);
	socket_local(listener_unix, &addr_unix);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	close(listener_tcp);
	close(listener_unix);
	tls_context_unref(server_tls);
	tls_context_unref(client_tls);
	tls_context_unref(stranger_tls);
	test_cert_done(&identity);
	test_directory_remove();
	return 0;
}

/* ---- pairs ---- */

enum kind { TCP, UNIX, TLS, TLS_UNIX, KINDS };
static const char *const kind_names[] = { "tcp", "unix", "tls", "tls over unix" };

static int listener_of(enum kind k)
{
	return k == UNIX || k == TLS_UNIX ? listener_unix : listener_tcp;
}
static struct stream_target target_of(enum kind k)
{
	return (struct stream_target){ .to = k == UNIX || k == TLS_UNIX ? &addr_unix : &addr_tcp,
				       .tls = k >= TLS ? client_tls : NULL,
				       .sni = "chat.test",
				       .timeout_ms = 60000 };
}

static int accept_one(enum kind k)
{
	int fd;

	while ((fd = socket_accept(listener_of(k), NULL)) == -EAGAIN)
		turn();
	assert_true(fd >= 0);
	return fd;
}

/* Both are there; a TLS handshake is under way. */
static void pair_begin(enum kind k)
{
	struct stream_target t = target_of(k);

	end_use(&a, stream_connect(&ring, &t));
	assert_int_equal(a.opens, 0);
	end_use(&b, stream_accept(&ring, accept_one(k)));
	if (k >= TLS)
		assert_true(stream_start_tls(b.d, server_tls, SLICE_EMPTY, 60000));
}

static void pair_open(enum kind k)
{
	pair_begin(k);
	while (a.opens == 0 || (k >= TLS && b.opens == 0))
		turn();
	assert_int_equal(a.opens, 1);
	duplex_read(a.d, true);
	duplex_read(b.d, true);
	assert_int_equal(stream_is_tls(a.d), k >= TLS);
	assert_int_equal(stream_is_tls(b.d), k >= TLS);
	assert_ptr_equal(stream_ring(a.d), &ring);
}

static void pair_reset(void)
{
	end_close(&a);
	end_close(&b);
	while (ring.owners > 0)
		turn_a_few();
	bytes_done(&a.in);
	bytes_done(&b.in);
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	timer_cancel(&pause_timer);
	alarm(GUARD_S);
}

static void assert_got(const struct end *e, const uint8_t *bytes, size_t len)
{
	assert_int_equal(e->in.len, len);
	if (len > 0)
		assert_memory_equal(e->in.at, bytes, len);
}

/* ---- a peer that is a thread ---- */

struct peer {
	pthread_t thread;
	int fd;
	size_t reads, writes; /* so many bytes, in this order */
	bool writes_first;
	bool resets; /* at the end; else an ordinary close */
	bool is_whole;
	int go; /* a pipe's end to wait for before it ends; -1 for none */
};

static bool peer_read(struct peer *p)
{
	uint8_t in[8192];

	for (size_t at = 0; at < p->reads;) {
		size_t want = p->reads - at < sizeof(in) ? p->reads - at : sizeof(in);
		ssize_t n = recv(p->fd, in, want, 0);

		if (n <= 0 || memcmp(in, data + at, (size_t)n) != 0)
			return false;
		at += (size_t)n;
	}
	return true;
}

static bool peer_write(struct peer *p)
{
	for (size_t at = 0; at < p->writes;) {
		ssize_t n = send(p->fd, data + at, p->writes - at, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		at += (size_t)n;
	}
	return true;
}

static void *peer_run(void *user)
{
	struct peer *p = user;
	char byte;

	p->is_whole = p->writes_first ? peer_write(p) && peer_read(p) : peer_read(p) && peer_write(p);
	if (p->go >= 0)
		p->is_whole = read(p->go, &byte, 1) == 1 && p->is_whole;
	if (p->resets)
		socket_reset_on_close(p->fd);
	close(p->fd);
	return NULL;
}

/* `b` is a stream, its peer will be a thread. */
static void peer_connect(struct peer *p, enum kind k)
{
	const struct addr *to = target_of(k).to;

	p->fd = socket_new(to, NULL);
	assert_true(p->fd >= 0);
	assert_int_equal(connect(p->fd, &to->sa, to->len), 0);
	end_use(&b, stream_accept(&ring, accept_one(k)));
}

static void peer_start(struct peer *p)
{
	assert_int_equal(pthread_create(&p->thread, NULL, peer_run, p), 0);
}

static void peer_join(struct peer *p)
{
	pthread_join(p->thread, NULL);
}

/* ---- bytes ---- */

static const size_t sizes[] = { 0, 1, 2, 1000, 4095, 4096, 4097, 65536, 100000, 300000, DATA_MAX };

static void both_ways(enum kind k, size_t size, bool pauses)
{
	pair_open(k);
	a.out = b.out = data;
	a.out_len = size;
	b.out_len = size / 2 + size % 2;
	a.pauses = b.pauses = pauses;
	a.shuts = b.shuts = true;
	end_write(&a);
	end_write(&b);
	TURN_UNTIL(a.eofs > 0 && b.eofs > 0);
	if (a.in.len != b.out_len || b.in.len != a.out_len)
		fail_msg("%s, %zu bytes, pauses %d: a got %zu of %zu, b %zu of %zu", kind_names[k], size,
			 pauses, a.in.len, b.out_len, b.in.len, a.out_len);
	assert_got(&a, data, b.out_len);
	assert_got(&b, data, a.out_len);
	/* a piece of 60,000 bytes on top of the mark, and what TLS adds to it */
	assert_true(a.most_queued < DUPLEX_HIGH + 62000 && b.most_queued < DUPLEX_HIGH + 62000);
	turn_a_few();
	assert_int_equal(a.eofs, 1);
	assert_int_equal(b.eofs, 1);
	assert_false(a.is_closed || b.is_closed); /* to the user's liking */
	assert_int_equal(a.d->queued + b.d->queued, 0);
	pair_reset();
}

static void bytes_are_exact_both_ways(void **state)
{
	(void)state;
	for (enum kind k = 0; k < KINDS; k++)
		for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
			for (unsigned pauses = 0; pauses < 2; pauses++)
				both_ways(k, sizes[i], pauses);
}

/* Each message in a slice of its own that cannot be joined to the next: more than one sendmsg() takes. */
static void many_slices_leave_without_another_event(void **state)
{
	static const unsigned counts[] = { 1, 2, 63, 64, 65, 128, 129, 1000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		struct peer p = { .reads = counts[i] * 10, .go = -1 };

		peer_connect(&p, TCP);
		duplex_read(b.d, true);
		for (unsigned n = 0; n < counts[i]; n++)
			assert_true(duplex_write(b.d, slice_static(data + n * 10, 10)));
		peer_start(&p);
		TURN_UNTIL(b.eofs > 0);
		peer_join(&p);
		assert_true(p.is_whole);
		pair_reset();
	}
}

/* A message is written while the one before it is on its way, in a turn in which something else is submitted too. */
static void on_bytes_answer(struct duplex *d, struct slice in)
{
	struct end *e = d->user;
	struct io_uring_sqe *sqe = ring_sqe(&ring);

	bytes_add(&e->in, in.at, in.len);
	io_uring_prep_nop(sqe);
	ring_sqe_forget(sqe);
	assert_true(duplex_write(d, slice_static(data + e->out_at, 10)));
	e->out_at += 10;
}

static void *echo_peer_run(void *user)
{
	struct peer *p = user;
	char byte = 'x', in[10];

	p->is_whole = true;
	for (unsigned i = 0; i < 20 && p->is_whole; i++)
		p->is_whole = send(p->fd, &byte, 1, MSG_NOSIGNAL) == 1 &&
			      recv(p->fd, in, 10, MSG_WAITALL) == 10 && memcmp(in, data + i * 10, 10) == 0;
	close(p->fd);
	return NULL;
}

static void a_message_does_not_wait_for_the_next_event(void **state)
{
	static const struct duplex_events events = { on_open, on_bytes_answer, on_eof, on_room, on_closed };
	struct peer p = { .go = -1 };

	(void)state;
	peer_connect(&p, TCP);
	duplex_use(b.d, &events, &b);
	duplex_read(b.d, true);
	assert_int_equal(pthread_create(&p.thread, NULL, echo_peer_run, &p), 0);
	TURN_UNTIL(b.eofs > 0 || b.is_closed);
	peer_join(&p);
	assert_true(p.is_whole);
}

/* ---- backpressure ---- */

static void who_heeds_the_mark_is_bounded(void **state)
{
	(void)state;
	for (enum kind k = 0; k < KINDS; k++) {
		size_t sent;

		pair_open(k);
		duplex_read(a.d, false);
		turn_a_few();
		for (sent = 0; sent < (32u << 20); sent += 10000) {
			if (duplex_is_full(b.d)) {
				unsigned rooms = b.rooms;

				turn_a_few();
				if (b.rooms == rooms)
					break; /* nobody takes anything any more */
				continue;
			}
			assert_true(duplex_write(b.d, slice_static(data + sent % 1000000, 10000)));
			assert_true(b.d->queued < DUPLEX_HIGH + 11000);
		}
		assert_true(sent > 0 && sent < (32u << 20));
		assert_true(a.in.len <= 262144 + 65536); /* what was under way */
		b.rooms = 0;
		duplex_read(a.d, true);
		TURN_UNTIL(b.d->queued == 0);
		assert_true(b.rooms > 0);
		pair_reset();
	}
}

/* Small pieces that wait for a full socket do not keep the receive buffers that they lie in. */
static void small_pieces_that_wait_give_their_buffers_back(void **state)
{
	int fds[2];
	uint32_t taken;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	end_use(&a, stream_accept(&ring, fds[0]));
	/* Nobody reads the other end: what is written waits, and small pieces of it must not hold their blocks. */
	while (a.d->queued == 0 || a.d->queued > 1u << 30) {
		assert_true(duplex_write(a.d, slice_static(data, 100000)));
		turn_a_few();
	}
	taken = a.d->queued;
	for (unsigned i = 0; i < 64; i++) {
		struct buf *block = buf_new(4096);
		struct slice piece = { block, block->data, 64 };

		memcpy(block->data, data + i * 64, 64);
		a.kept[i] = slice_ref(piece);
		assert_true(duplex_write(a.d, piece));
		assert_int_equal(block->refs, 1); /* ours alone */
	}
	a.kept_count = 64;
	assert_int_equal(a.d->queued, taken + 64 * 64);
	close(fds[1]);
}

/* ---- ends ---- */

static void each_direction_ends_by_itself(void **state)
{
	(void)state;
	for (enum kind k = 0; k < KINDS; k++) {
		for (unsigned who = 0; who < 2; who++) {
			struct end *first = who == 0 ? &a : &b, *second = who == 0 ? &b : &a;

			pair_open(k);
			first->out = data;
			first->out_len = 5000;
			first->shuts = true;
			end_write(first);
			TURN_UNTIL(second->eofs > 0);
			assert_got(second, data, 5000);
			assert_true(duplex_write(first->d, slice_static("x", 1))); /* ignored */
			assert_int_equal(first->eofs, 0);
			second->out = data; /* long after the other's end */
			second->out_len = 400000;
			second->shuts = true;
			end_write(second);
			TURN_UNTIL(first->eofs > 0);
			assert_got(first, data, 400000);
			turn_a_few();
			assert_int_equal(first->eofs, 1);
			assert_int_equal(second->eofs, 1);
			assert_false(a.is_closed || b.is_closed);
			pair_reset();
		}
	}
}

static void who_finishes_may_go_and_the_bytes_arrive(void **state)
{
	(void)state;
	for (enum kind k = 0; k < KINDS; k++) {
		pair_open(k);
		b.out = data;
		b.out_len = DATA_MAX;
		b.finishes = true;
		a.pauses = true; /* a slow reader */
		end_write(&b);
		TURN_UNTIL(a.eofs > 0);
		assert_null(b.d);
		assert_got(&a, data, DATA_MAX);
		assert_false(b.is_closed); /* no event comes any more */
		assert_int_equal(b.eofs, 0);
		assert_int_equal(ring.streams.used_count, 2); /* it waits for our end */
		duplex_finish(a.d);
		a.d = NULL;
		TURN_UNTIL(ring.streams.used_count == 0); /* at once: no deadline was needed */
		pair_reset();
	}
}

/* A peer that goes on sending to one who has left: heard by nobody, and no reset overtakes the last bytes. */
static void what_comes_after_finish_is_swallowed(void **state)
{
	(void)state;
	for (enum kind k = 0; k < KINDS; k++) {
		pair_open(k);
		a.out = data;
		a.out_len = DATA_MAX;
		a.shuts = true;
		b.out = data;
		b.out_len = 100;
		b.finishes = true;
		end_write(&b);
		end_write(&a);
		TURN_UNTIL(a.eofs > 0 && ring.streams.used_count == 1);
		assert_got(&a, data, 100);
		assert_false(a.is_closed);
		pair_reset();
	}
}

static void streams_end_does_not_wait_for_peers(void **state)
{
	struct peer p = { .go = -1 };

	(void)state;
	peer_connect(&p, TCP);
	duplex_finish(b.d);
	b.d = NULL;
	turn_a_few();
	assert_int_equal(ring.streams.used_count, 1);
	streams_end(&ring);
	turn_a_few();
	assert_int_equal(ring.streams.used_count, 0);
	close(p.fd);
}

static void a_close_for_a_reason_is_a_reset(void **state)
{
	static const struct {
		enum reason why;
		bool is_reset;
	} cases[] = { { REASON_NONE, false }, { REASON_TIMEOUT_IDLE, true } };

	(void)state;
	for (enum kind k = 0; k < KINDS; k++) {
		for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
			bool has_resets = k == TCP || k == TLS;

			pair_open(k);
			duplex_close(b.d, cases[i].why);
			b.d = NULL;
			TURN_UNTIL(a.eofs > 0 || a.is_closed);
			if (has_resets && cases[i].is_reset) {
				assert_true(a.is_closed);
				assert_int_equal(a.why, REASON_BACKEND_RESET);
				assert_int_equal(a.eofs, 0);
			} else {
				assert_int_equal(a.eofs, 1);
				assert_false(a.is_closed);
			}
			assert_false(b.is_closed);
			pair_reset();
		}
	}
}

/* It answers early, and goes without reading what we sent: a reset follows its bytes, which count all the same. */
static void bytes_before_a_reset_are_delivered(void **state)
{
	static const size_t answers[] = { 1, 100, 5000, 60000 };

	(void)state;
	for (unsigned round = 0; round < 4 * ARRAY_LEN(answers); round++) {
		struct peer p = { .writes = answers[round / 4], .writes_first = true, .go = -1 };
		int go[2];

		assert_int_equal(pipe(go), 0);
		p.go = go[0];
		peer_connect(&p, TCP);
		duplex_read(b.d, round % 2 == 0);
		for (unsigned i = 0; i < 3; i++)
			assert_true(duplex_write(b.d, slice_static(data, 20000)));
		turn_a_few(); /* it has bytes that it will not read */
		peer_start(&p);
		assert_int_equal(write(go[1], "x", 1), 1);
		peer_join(&p);
		if (round % 4 < 2) /* else the reset is found by reading */
			duplex_write(b.d, slice_static(data, 20000));
		if (round % 2 != 0) {
			turn_a_few();
			if (b.d != NULL)
				duplex_read(b.d, true);
		}
		while (!b.is_closed)
			turn();
		assert_int_equal(b.why, REASON_CLIENT_RESET);
		assert_got(&b, data, p.writes);
		close(go[0]);
		close(go[1]);
		pair_reset();
	}
}

/* A peer that resets at whatever point: one event, and nothing left. */
static void peers_may_reset_at_any_point(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 60; round++) {
		enum kind k = (enum kind)(round % KINDS);
		unsigned turns = round / KINDS;

		pair_begin(k);
		duplex_read(a.d, true);
		duplex_read(b.d, true);
		a.out = b.out = data;
		a.out_len = b.out_len = DATA_MAX;
		if (k < TLS)
			end_write(&b);
		for (unsigned i = 0; i < turns && a.d != NULL && b.d != NULL && a.in.len < DATA_MAX; i++)
			turn(); /* once all has come, nothing would wake it */
		if (round % 2 == 0) {
			duplex_close(b.d, REASON_TIMEOUT_IDLE);
			b.d = NULL;
			TURN_UNTIL(a.is_closed || a.eofs > 0);
		} else {
			duplex_close(a.d, REASON_TIMEOUT_IDLE);
			a.d = NULL;
			TURN_UNTIL(b.is_closed || b.eofs > 0);
		}
		pair_reset();
	}
}

/* ---- connecting ---- */

static void a_refused_connection_is_told_later(void **state)
{
	struct addr nobody;
	struct stream_target t = { .to = &nobody, .timeout_ms = 60000 };
	int fd;

	(void)state;
	for (unsigned is_unix = 0; is_unix < 2; is_unix++) {
		assert_int_equal(addr_parse(&nobody, is_unix ? "unix:/nowhere/at/all" : "127.0.0.1:0"), 0);
		if (!is_unix) {
			fd = socket_listen(&nobody, false);
			socket_local(fd, &nobody);
			close(fd);
		}
		for (unsigned tls = 0; tls < 2; tls++) {
			struct duplex *d;

			t.tls = tls ? client_tls : NULL;
			d = stream_connect(&ring, &t);
			end_use(&a, d);
			assert_false(a.is_closed);
			while (!a.is_closed)
				turn();
			assert_int_equal(a.why, REASON_CONNECT_FAILED);
			assert_int_equal(a.opens, 0);
			pair_reset();
		}
	}
}

static void on_closed_says_why(struct duplex *d, enum reason why)
{
	char text[128];

	stream_error_text(d, text, sizeof(text));
	assert_string_equal(text, "Connection refused");
	on_closed(d, why);
}

static void the_error_is_known_in_on_closed(void **state)
{
	static const struct duplex_events events = { on_open, on_bytes, on_eof, on_room, on_closed_says_why };
	struct addr nobody;
	struct stream_target t = { .to = &nobody };
	int fd;

	(void)state;
	assert_int_equal(addr_parse(&nobody, "127.0.0.1:0"), 0);
	fd = socket_listen(&nobody, false);
	socket_local(fd, &nobody);
	close(fd);
	end_use(&a, stream_connect(&ring, &t));
	duplex_use(a.d, &events, &a);
	TURN_UNTIL(a.is_closed);
}

/* A listener whose queue is full does not answer. */
static void a_connect_that_nobody_answers_ends_in_time(void **state)
{
	struct addr full;
	struct stream_target t = { .to = &full, .timeout_ms = 30 };
	int fd, fillers[4];

	(void)state;
	assert_int_equal(addr_parse(&full, "127.0.0.1:0"), 0);
	fd = socket_listen(&full, false);
	socket_local(fd, &full);
	assert_int_equal(listen(fd, 0), 0);
	for (size_t i = 0; i < ARRAY_LEN(fillers); i++) {
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(fillers[i], &full.sa, full.len);
	}
	for (unsigned n = 0; n < 3; n++) {
		end_use(&a, stream_connect(&ring, &t));
		if (n == 2) { /* or is left by the user */
			turn_a_few();
			end_close(&a);
		} else {
			TURN_UNTIL(a.is_closed);
			assert_int_equal(a.why, REASON_TIMEOUT_CONNECT);
		}
		pair_reset();
	}
	end_use(&a, stream_connect(&ring, &t));
	turn_a_few();
	if (a.d != NULL)
		duplex_finish(a.d);
	a.d = NULL;
	TURN_UNTIL(ring.streams.used_count == 0);
	for (size_t i = 0; i < ARRAY_LEN(fillers); i++)
		close(fillers[i]);
	close(fd);
}

static void the_preface_leaves_before_anything_else(void **state)
{
	static const char preface[] = "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n";
	const uint32_t len = sizeof(preface) - 1;

	(void)state;
	for (enum kind k = 0; k < KINDS; k++) {
		struct stream_target t = target_of(k);
		char copy[sizeof(preface)];

		memcpy(copy, preface, sizeof(copy));
		t.preface = copy;
		t.preface_len = len;
		a.out = data;
		a.out_len = 3000;
		end_use(&a, stream_connect(&ring, &t));
		memset(copy, 0, sizeof(copy)); /* was borrowed */
		end_use(&b, stream_accept(&ring, accept_one(k)));
		duplex_read(b.d, true);
		while (b.in.len < len)
			turn();
		assert_memory_equal(b.in.at, preface, len);
		if (k >= TLS) {
			struct slice first;

			/* what came behind it belongs to TLS */
			duplex_read(b.d, false);
			first = slice_copy(b.in.at + len, b.in.len - len);
			b.in.len = 0;
			assert_true(stream_start_tls(b.d, server_tls, first, 60000));
			slice_unref(first);
			duplex_read(b.d, true);
			while (b.in.len < 3000)
				turn();
			assert_got(&b, data, 3000);
			assert_int_equal(b.opens, 1);
		} else {
			while (b.in.len < 3000 + len)
				turn();
			assert_memory_equal(b.in.at + len, data, 3000);
		}
		pair_reset();
	}
}

/* ---- TLS ---- */

static void a_handshake_that_stalls_ends_in_time(void **state)
{
	struct peer p = { .go = -1 };
	struct stream_target t = target_of(TLS);

	(void)state;
	peer_connect(&p, TCP); /* says nothing */
	assert_true(stream_start_tls(b.d, server_tls, SLICE_EMPTY, 30));
	TURN_UNTIL(b.is_closed);
	assert_int_equal(b.why, REASON_TIMEOUT_HANDSHAKE);
	close(p.fd);
	pair_reset();

	t.timeout_ms = 30;
	end_use(&a, stream_connect(&ring, &t));
	p.fd = accept_one(TCP); /* hears, and does not answer */
	TURN_UNTIL(a.is_closed);
	assert_int_equal(a.why, REASON_BACKEND_TLS);
	close(p.fd);
}

static void a_client_that_does_not_believe_us_says_so(void **state)
{
	struct stream_target t = target_of(TLS);

	(void)state;
	t.tls = stranger_tls;
	end_use(&a, stream_connect(&ring, &t));
	end_use(&b, stream_accept(&ring, accept_one(TLS)));
	assert_true(stream_start_tls(b.d, server_tls, SLICE_EMPTY, 60000));
	TURN_UNTIL(a.is_closed && b.is_closed);
	assert_int_equal(a.why, REASON_BACKEND_TLS);
	assert_int_equal(b.why, REASON_TLS_ALERT); /* the alert arrived */
	assert_int_equal(a.opens + b.opens, 0);
}

static void a_peer_that_does_not_speak_tls_is_told(void **state)
{
	static const char *const texts[] = { "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
					     "\x16\x03\x01\x00\x05xxxxx" };
	struct stream_target t = target_of(TLS);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct peer p = { .go = -1 };
		size_t len = i == 0 ? strlen(texts[0]) : 10;
		char answer[100];

		peer_connect(&p, TCP);
		assert_true(stream_start_tls(b.d, server_tls, SLICE_EMPTY, 60000));
		assert_int_equal(send(p.fd, texts[i], len, 0), len);
		TURN_UNTIL(b.is_closed);
		assert_int_equal(b.why, REASON_TLS_ERROR);
		turn_a_few();
		if (i > 0) { /* OpenSSL says nothing to plain HTTP */
			assert_true(recv(p.fd, answer, sizeof(answer), MSG_DONTWAIT) >= 7);
			assert_int_equal(answer[0], 21); /* an alert, RFC 8446 B.1 */
		}
		close(p.fd);
		pair_reset();

		end_use(&a, stream_connect(&ring, &t));
		end_use(&b, stream_accept(&ring, accept_one(TLS)));
		assert_true(duplex_write(b.d, slice_static(texts[i], len)));
		TURN_UNTIL(a.is_closed);
		assert_int_equal(a.why, REASON_BACKEND_TLS);
		pair_reset();
	}
}

static void a_peer_that_goes_in_the_handshake_is_told(void **state)
{
	struct stream_target t = target_of(TLS);

	(void)state;
	for (unsigned resets = 0; resets < 2; resets++) {
		struct peer p = { .go = -1 };

		peer_connect(&p, TCP);
		assert_true(stream_start_tls(b.d, server_tls, SLICE_EMPTY, 60000));
		turn_a_few();
		if (resets)
			socket_reset_on_close(p.fd);
		close(p.fd);
		TURN_UNTIL(b.is_closed);
		assert_int_equal(b.why, resets ? REASON_CLIENT_RESET : REASON_CLIENT_CLOSED);
		pair_reset();

		end_use(&a, stream_connect(&ring, &t));
		p.fd = accept_one(TCP);
		turn_a_few();
		if (resets)
			socket_reset_on_close(p.fd);
		close(p.fd);
		TURN_UNTIL(a.is_closed);
		assert_int_equal(a.why, REASON_BACKEND_TLS);
		pair_reset();
	}
}

static void a_stream_may_be_left_in_its_first_event(void **state)
{
	(void)state;
	for (enum kind k = 0; k < KINDS; k++) {
		for (unsigned who = 0; who < 2; who++) {
			if (k < TLS && who == 1)
				continue; /* was open all the time */
			a.closes_at_once = who == 0;
			b.closes_at_once = who == 1;
			pair_begin(k);
			while (who == 0 ? a.d != NULL : b.d != NULL)
				turn();
			duplex_read(who == 0 ? b.d : a.d, true);
			TURN_UNTIL(who == 0 ? b.eofs > 0 || b.is_closed : a.eofs > 0 || a.is_closed);
			pair_reset();
		}
	}
}

static void records_cut_to_bytes_are_the_same(void **state)
{
	struct bytes plain = { 0 };
	struct pair p;

	(void)state;
	/* the client is an engine without a socket; what it says arrives in `first`, byte by byte after that */
	pair_init(&p, client_tls, server_tls, "chat.test");
	for (unsigned cut = 1; cut < 3; cut++) {
		struct peer peer = { .go = -1 };
		uint8_t in[8192];
		ssize_t n;
		struct side client = { .tls = tls_new_client(client_tls, "chat.test") };
		size_t at = 0;

		assert_int_equal(tls_start(client.tls, side_sink(&client)), 0);
		peer_connect(&peer, TCP);
		assert_true(stream_start_tls(b.d, server_tls, (struct slice){ NULL, client.wire.at, cut },
					     60000));
		at = cut;
		while (b.in.len < 3000) {
			while (at < client.wire.len) {
				assert_int_equal(send(peer.fd, client.wire.at + at, 1, 0), 1);
				at++;
				if (at % 50 == 0)
					turn_a_few();
			}
			turn_a_few();
			n = recv(peer.fd, in, sizeof(in), MSG_DONTWAIT);
			if (n > 0)
				side_feed(&client, in, (size_t)n, 0);
			if (tls_is_established(client.tls) && client.wire.cap > 0 && plain.len == 0) {
				side_seal(&client, data, 3000);
				bytes_add(&plain, "x", 1);
				duplex_read(b.d, true);
			}
		}
		assert_got(&b, data, 3000);
		plain.len = 0;
		side_done(&client);
		close(peer.fd);
		pair_reset();
	}
	bytes_done(&plain);
	pair_done(&p);
}

/* What cannot be sealed ends the sending, but not what the kernel is sending just then. */
static void memory_may_run_out_while_a_send_waits(void **state)
{
	bool is_written;
	size_t sent = 0;

	(void)state;
	pair_open(TLS_UNIX);
	turn_a_few();
	duplex_read(a.d, false);
	duplex_read(b.d, false);
	assert_true(duplex_write(a.d, slice_static("x", 1))); /* ends the receive that is armed */
	while (b.in.len == 0)
		turn();
	do {
		assert_true(duplex_write(b.d, slice_static(data + sent, 10000)));
		sent += 10000;
		turn_a_few();
	} while (b.d->queued == 0);
	is_openssl_out = true;
	is_written = duplex_write(b.d, slice_static(data, 10000));
	is_openssl_out = false;
	assert_false(is_written);
	assert_false(duplex_write(b.d, slice_static(data, 10)));
	duplex_read(a.d, true);
	while (a.in.len < sent)
		turn();
	assert_got(&a, data, sent);
	duplex_finish(b.d);
	b.d = NULL;
	TURN_UNTIL(a.eofs > 0 || a.is_closed);
}

static void what_was_negotiated_is_known(void **state)
{
	struct tls_info info;
	struct addr local;
	char text[64];

	(void)state;
	pair_open(TLS);
	stream_tls_info(b.d, &info);
	assert_string_equal(info.sni, "chat.test");
	assert_string_equal(info.version, "TLSv1.3");
	stream_local(b.d, &local);
	assert_true(addr_is_equal(&local, &addr_tcp));
	stream_error_text(b.d, text, sizeof(text));
	assert_string_equal(text, "no error");
	pair_reset();
	pair_open(UNIX);
	stream_tls_info(a.d, &info);
	assert_string_equal(info.version, "");
	stream_error_text(a.d, text, sizeof(text));
	assert_string_equal(text, "");
}

/* ---- buffers run out ---- */

static int setup_tiny(void **state)
{
	(void)state;
	ring_begin(2, 1);
	return 0;
}

/* What comes to one stream leaves by another: the slices themselves, as the relays do it. */
static struct duplex *relay_to;

static void on_bytes_relay(struct duplex *d, struct slice in)
{
	((struct end *)d->user)->in.len += in.len;
	assert_true(duplex_write(relay_to, slice_ref(in)));
	if (duplex_is_full(relay_to))
		duplex_read(d, false);
}

static void on_eof_relay(struct duplex *d)
{
	on_eof(d);
	duplex_shutdown(relay_to);
}

static void on_room_relay(struct duplex *d)
{
	(void)d;
	if (b.d != NULL)
		duplex_read(b.d, true);
}

static const struct duplex_events relay_source = { on_open, on_bytes_relay, on_eof_relay, on_room,
						   on_closed };
static const struct duplex_events relay_sink = { on_open, on_bytes, on_eof, on_room_relay, on_closed };

/* `a` writes to a peer that takes nothing, until nothing goes any more; how much. */
static size_t stall(int fd)
{
	size_t sent = 0;

	end_use(&a, stream_accept(&ring, fd));
	do {
		assert_true(duplex_write(a.d, slice_static(data, 100000)));
		sent += 100000;
		turn_a_few();
	} while (a.d->queued == 0);
	return sent;
}

/* Small pieces that wait for a full socket are copied out of the receive buffers that they lie in. */
static void a_stalled_relay_gives_its_buffers_back(void **state)
{
	int to[2], from[2];
	size_t sent, got = 0;
	uint8_t in[65536];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, to), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, from), 0);
	sent = stall(to[0]);
	end_use(&b, stream_accept(&ring, from[0]));
	duplex_use(b.d, &relay_source, &b);
	relay_to = a.d;
	duplex_read(b.d, true);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(send(from[1], data + i * 100, 100, 0), 100);
		while (b.in.len < (i + 1) * 100)
			turn();
		assert_int_equal(ring.small.taken, 0);
	}
	b.in.len = 0;
	while (got < sent + 10000) {
		ssize_t n = recv(to[1], in, sizeof(in), MSG_DONTWAIT);

		if (n < 0)
			turn_a_few();
		for (ssize_t i = 0; i < n; i++, got++)
			assert_int_equal(in[i], got < sent ? data[got % 100000] : data[got - sent]);
	}
	close(to[1]);
	close(from[1]);
}

static void a_tiny_pool_serves_a_lone_stream(void **state)
{
	(void)state;
	for (enum kind k = TCP; k <= UNIX; k++) {
		struct peer p = { .writes = DATA_MAX, .go = -1 };

		peer_connect(&p, k);
		duplex_read(b.d, true);
		peer_start(&p);
		TURN_UNTIL(b.eofs > 0);
		peer_join(&p);
		assert_got(&b, data, DATA_MAX);
		pair_reset();
	}
}

/* One finds the pool empty in the same turn in which all that is of it comes back. */
static void a_tiny_pool_serves_many_at_once(void **state)
{
	enum { MANY = 8 };
	static struct end ends[MANY];
	int fds[MANY][2];
	size_t got;

	(void)state;
	memset(ends, 0, sizeof(ends));
	for (unsigned i = 0; i < MANY; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds[i]), 0);
		end_use(&ends[i], stream_accept(&ring, fds[i][0]));
		duplex_read(ends[i].d, true);
	}
	for (unsigned round = 1; round <= 20; round++) {
		for (unsigned i = 0; i < MANY; i++)
			assert_int_equal(send(fds[i][1], data, 1000, 0), 1000);
		do {
			turn();
			got = 0;
			for (unsigned i = 0; i < MANY; i++)
				got += ends[i].in.len;
		} while (got < (size_t)round * MANY * 1000);
	}
	assert_true(ring.stats.buffers_starved > 0);
	for (unsigned i = 0; i < MANY; i++) {
		end_close(&ends[i]);
		bytes_done(&ends[i].in);
		close(fds[i][1]);
	}
}

static void a_tiny_pool_serves_both_ways(void **state)
{
	(void)state;
	for (enum kind k = 0; k < KINDS; k++)
		for (unsigned pauses = 0; pauses < 2; pauses++)
			both_ways(k, 200000, pauses);
}

/* The buffers are on their way out, in sends that say nothing when they are done. */
static void a_tiny_pool_serves_a_relay(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 4; round++) {
		struct peer source = { .writes = DATA_MAX, .go = -1 }, sink = { .reads = DATA_MAX, .go = -1 };
		int fds[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
		peer_connect(&source, round % 2 == 0 ? TCP : UNIX);
		duplex_use(b.d, &relay_source, &b);
		end_use(&a, stream_accept(&ring, fds[0]));
		duplex_use(a.d, &relay_sink, &a);
		relay_to = a.d;
		sink.fd = fds[1];
		duplex_read(a.d, true);
		duplex_read(b.d, true);
		peer_start(&source);
		peer_start(&sink);
		TURN_UNTIL(a.eofs > 0);
		peer_join(&source);
		peer_join(&sink);
		assert_true(source.is_whole && sink.is_whole);
		b.in.len = 0;
		pair_reset();
	}
}

static struct timer drop_timer;
static struct duplex *third;

static void on_drop(struct timer *t)
{
	(void)t;
	keep_drop(&b);
}

static void on_close_third(struct timer *t)
{
	(void)t;
	duplex_close(third, REASON_NONE);
}

static void on_send_to_third(struct timer *t)
{
	(void)t;
	while (b.kept_count > 0)
		assert_true(duplex_write(third, b.kept[--b.kept_count]));
}

/* One stream holds all buffers; the other gets its bytes when they come back, however that happens: nothing else wakes
 * the ring. */
static void buffers_come_back(void (*drop)(struct timer *), bool is_stalled)
{
	int from[2], to[2], hungry[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, from), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, to), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, hungry), 0);
	timer_init(&drop_timer, drop);
	if (is_stalled)
		stall(to[0]);
	else
		end_use(&a, stream_accept(&ring, to[0]));
	relay_to = third = a.d;
	end_use(&b, stream_accept(&ring, from[0]));
	if (is_stalled)
		duplex_use(b.d, &relay_source, &b);
	b.keeps = true;
	duplex_read(b.d, true);
	assert_int_equal(send(from[1], data, 8192, 0), 8192);
	while (ring.small.taken < 2)
		turn();
	duplex_read(b.d, false);
	if (is_stalled)
		b.in.len = 0;
	end_use(&a, stream_accept(&ring, hungry[0]));
	duplex_read(a.d, true);
	assert_int_equal(send(hungry[1], data, 5000, 0), 5000);
	turn_a_few();
	assert_int_equal(a.in.len, 0);
	assert_false(list_is_empty(&ring.small.starved));
	ring_timer_arm(&ring, &drop_timer, 0);
	while (a.in.len < 5000)
		turn();
	assert_got(&a, data, 5000);
	close(from[1]);
	close(hungry[1]);
	if (drop != on_close_third)
		duplex_close(third, REASON_NONE);
	close(to[1]);
	pair_reset();
}

static void who_finds_the_pool_empty_waits_for_what_comes_back(void **state)
{
	(void)state;
	buffers_come_back(on_drop, false);
	buffers_come_back(on_close_third, true);    /* with a queue that is forgotten */
	buffers_come_back(on_send_to_third, false); /* with a send that says nothing */
}

static void who_waits_for_a_buffer_may_be_closed(void **state)
{
	int from[2], hungry[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, from), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, hungry), 0);
	end_use(&b, stream_accept(&ring, from[0]));
	b.keeps = true;
	duplex_read(b.d, true);
	assert_int_equal(send(from[1], data, 8192, 0), 8192);
	while (ring.small.taken < 2)
		turn();
	end_use(&a, stream_accept(&ring, hungry[0]));
	duplex_read(a.d, true);
	assert_int_equal(send(hungry[1], data, 5000, 0), 5000);
	turn_a_few();
	assert_int_equal(a.in.len, 0);
	duplex_read(a.d, false);
	duplex_read(a.d, true);
	end_close(&a);
	turn_a_few();
	assert_int_equal(ring.streams.used_count, 1);
	close(from[1]);
	close(hungry[1]);
}

/* ---- the ring at its limits ---- */

static void on_guest_gone(struct ring *r, uint64_t guest)
{
	struct io_uring_sqe *sqe = ring_sqe(r);

	assert_int_equal(guest, 7);
	io_uring_prep_nop(sqe); /* wakes the ring: nothing else will */
	io_uring_sqe_set_data(sqe, NULL);
}

/* The peer has ended, our end leaves with the turn's submissions: the stream is over, and goes before the ring sleeps. */
static void what_ends_last_is_freed_before_the_ring_sleeps(void **state)
{
	struct peer p = { .go = -1 };
	char byte;

	(void)state;
	ring.guest_gone = on_guest_gone;
	peer_connect(&p, TCP);
	assert_true(stream_set_guest(b.d, 7));
	duplex_read(b.d, true);
	assert_int_equal(shutdown(p.fd, SHUT_WR), 0);
	TURN_UNTIL(b.eofs > 0);
	duplex_finish(b.d);
	b.d = NULL;
	turn();
	assert_int_equal(ring.streams.used_count, 0);
	assert_int_equal(recv(p.fd, &byte, 1, 0), 0);
	close(p.fd);
}

/* The completion queue overflows in every turn, while bytes go both ways. */
static struct flood {
	struct op op;
	unsigned count;
} flood;

static void on_nop(struct op *op, int res, uint32_t flags)
{
	(void)res;
	(void)flags;
	container_of(op, struct flood, op)->count++;
}

static void on_turn_flood(struct ring *r)
{
	for (unsigned i = 0; i < 256 * 8 + 100; i++) {
		struct io_uring_sqe *sqe = ring_sqe(r);

		io_uring_prep_nop(sqe);
		ring_sqe_own(sqe, &flood.op);
	}
}

static void overflowing_completions_lose_nothing(void **state)
{
	(void)state;
	op_init(&flood.op, NULL, on_nop);
	flood.count = 0;
	for (enum kind k = 0; k < KINDS; k++) {
		pair_open(k);
		ring.on_turn = on_turn_flood;
		a.out = b.out = data;
		a.out_len = b.out_len = 60000;
		a.shuts = b.shuts = true;
		end_write(&a);
		end_write(&b);
		TURN_UNTIL(a.eofs > 0 && b.eofs > 0);
		ring.on_turn = NULL;
		assert_got(&a, data, 60000);
		assert_got(&b, data, 60000);
		pair_reset();
	}
	assert_true(ring.stats.cq_overflows > 0 && flood.count > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(bytes_are_exact_both_ways, setup, teardown),
		cmocka_unit_test_setup_teardown(many_slices_leave_without_another_event, setup, teardown),
		cmocka_unit_test_setup_teardown(a_message_does_not_wait_for_the_next_event, setup, teardown),
		cmocka_unit_test_setup_teardown(who_heeds_the_mark_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(small_pieces_that_wait_give_their_buffers_back, setup,
						teardown),
		cmocka_unit_test_setup_teardown(each_direction_ends_by_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(who_finishes_may_go_and_the_bytes_arrive, setup, teardown),
		cmocka_unit_test_setup_teardown(what_comes_after_finish_is_swallowed, setup, teardown),
		cmocka_unit_test_setup_teardown(streams_end_does_not_wait_for_peers, setup, teardown),
		cmocka_unit_test_setup_teardown(a_close_for_a_reason_is_a_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(bytes_before_a_reset_are_delivered, setup, teardown),
		cmocka_unit_test_setup_teardown(peers_may_reset_at_any_point, setup, teardown),
		cmocka_unit_test_setup_teardown(a_refused_connection_is_told_later, setup, teardown),
		cmocka_unit_test_setup_teardown(the_error_is_known_in_on_closed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_connect_that_nobody_answers_ends_in_time, setup, teardown),
		cmocka_unit_test_setup_teardown(the_preface_leaves_before_anything_else, setup, teardown),
		cmocka_unit_test_setup_teardown(a_handshake_that_stalls_ends_in_time, setup, teardown),
		cmocka_unit_test_setup_teardown(a_client_that_does_not_believe_us_says_so, setup, teardown),
		cmocka_unit_test_setup_teardown(a_peer_that_does_not_speak_tls_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(a_peer_that_goes_in_the_handshake_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(a_stream_may_be_left_in_its_first_event, setup, teardown),
		cmocka_unit_test_setup_teardown(records_cut_to_bytes_are_the_same, setup, teardown),
		cmocka_unit_test_setup_teardown(memory_may_run_out_while_a_send_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_negotiated_is_known, setup, teardown),
		cmocka_unit_test_setup_teardown(a_stalled_relay_gives_its_buffers_back, setup, teardown),
		cmocka_unit_test_setup_teardown(a_tiny_pool_serves_a_lone_stream, setup_tiny, teardown),
		cmocka_unit_test_setup_teardown(a_tiny_pool_serves_many_at_once, setup_tiny, teardown),
		cmocka_unit_test_setup_teardown(a_tiny_pool_serves_both_ways, setup_tiny, teardown),
		cmocka_unit_test_setup_teardown(a_tiny_pool_serves_a_relay, setup_tiny, teardown),
		cmocka_unit_test_setup_teardown(who_finds_the_pool_empty_waits_for_what_comes_back,
						setup_tiny, teardown),
		cmocka_unit_test_setup_teardown(who_waits_for_a_buffer_may_be_closed, setup_tiny, teardown),
		cmocka_unit_test_setup_teardown(what_ends_last_is_freed_before_the_ring_sleeps, setup,
						teardown),
		cmocka_unit_test_setup_teardown(overflowing_completions_lose_nothing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
