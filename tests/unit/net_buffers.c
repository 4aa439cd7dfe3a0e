#include "net/buffers.h"

#include "net/ring.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct ring ring;
static int ends[2];

/* One receive; what its completion said. */
struct receive {
	struct owner owner;
	struct op op;
	int res;
	uint32_t flags;
	bool is_done;
};

static void on_done(struct op *op, int res, uint32_t flags)
{
	struct receive *x = container_of(op, struct receive, op);

	x->res = res;
	x->flags = flags;
	x->is_done = true;
}

static void receive(struct receive *x, unsigned group)
{
	struct io_uring_sqe *sqe = ring_sqe(&ring);

	x->is_done = false;
	io_uring_prep_recv(sqe, ends[0], NULL, 0, MSG_DONTWAIT);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = (uint16_t)group;
	ring_sqe_own(sqe, &x->op);
	while (!x->is_done)
		assert_int_equal(ring_turn(&ring), 0);
}

static void on_free(struct owner *o)
{
	(void)o;
}

static int setup(void **state)
{
	(void)state;
	assert_int_equal(ring_init(&ring, 64, false), 0);
	assert_int_equal(ring_enable(&ring), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(ring.small.taken, 0);
	close(ends[0]);
	close(ends[1]);
	ring_done(&ring);
	return 0;
}

static void it_grows_by_doubling_up_to_its_bound(void **state)
{
	static const struct {
		uint32_t first, max;
		uint32_t provided[8]; /* after each growth, 0 for refused */
	} cases[] = {
		{ 4, 32, { 4, 8, 16, 32, 0 } },
		{ 3, 16, { 3, 6, 12, 16, 0 } }, /* the bound cuts the last one */
		{ 5, 9, { 5, 10, 16, 0 } },	/* bounds are powers of two */
		{ 64, 8, { 8, 0 } },
		{ 1, 1, { 1, 0 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buffers b;

		assert_int_equal(
			buffers_init(&b, &ring, (uint16_t)(10 + i), 512, cases[i].first, cases[i].max), 0);
		assert_int_equal(b.provided, 0);
		for (size_t k = 0; cases[i].provided[k] != 0; k++) {
			assert_true(buffers_grow(&b));
			assert_int_equal(b.provided, cases[i].provided[k]);
		}
		assert_false(buffers_grow(&b));
		assert_false(buffers_grow(&b));
		assert_int_equal(b.taken, 0);
		assert_int_equal(io_uring_unregister_buf_ring(&ring.uring, 10 + (int)i), 0);
		buffers_done(&b);
		buffers_done(&b);
	}
}

static void a_group_is_registered_once(void **state)
{
	struct buffers again;

	(void)state;
	assert_int_equal(buffers_init(&ring.small, &ring, 0, 4096, 4, 8), 0);
	assert_int_equal(buffers_init(&again, &ring, 0, 4096, 4, 8), -EEXIST);
	buffers_done(&again);
}

/* Every buffer is used, goes back, and is used again, many times around the ring of buffers. */
static void what_was_taken_goes_back(void **state)
{
	struct receive x;
	struct slice held[8];

	(void)state;
	owner_init(&x.owner, &ring, on_free);
	op_init(&x.op, &x.owner, on_done);
	assert_int_equal(buffers_init(&ring.small, &ring, 0, 64, 2, 8), 0);
	receive(&x, 0);
	assert_int_equal(x.res, -ENOBUFS); /* none were made yet */
	while (buffers_grow(&ring.small))
		;
	receive(&x, 0);
	assert_int_equal(x.res, -EAGAIN); /* nothing came, and nothing was taken */
	assert_false(x.flags & IORING_CQE_F_BUFFER);
	for (unsigned round = 0; round < 50; round++) {
		for (unsigned i = 0; i < 8; i++) {
			uint8_t text[64];

			memset(text, (int)(round * 8 + i), sizeof(text));
			assert_int_equal(write(ends[1], text, sizeof(text)), sizeof(text));
			receive(&x, 0);
			assert_int_equal(x.res, 64);
			assert_true(x.flags & IORING_CQE_F_BUFFER);
			held[i] = buffers_take(&ring.small, x.res, x.flags);
			assert_int_equal(held[i].buf->refs, 1);
			assert_int_equal(held[i].buf->cap, 64);
			assert_int_equal(ring.small.taken, i + 1);
		}
		assert_int_equal(write(ends[1], "x", 1), 1);
		receive(&x, 0);
		assert_int_equal(x.res, -ENOBUFS);
		for (unsigned i = 0; i < 8; i++) {
			unsigned k = (i * 3 + round) % 8; /* in another order */

			for (unsigned at = 0; at < 64; at++)
				assert_int_equal(held[k].at[at], (uint8_t)(round * 8 + k));
			slice_ref(held[k]);
			slice_unref(held[k]);
			assert_int_equal(ring.small.taken, 8 - i);
			slice_unref(held[k]);
			assert_int_equal(ring.small.taken, 7 - i);
		}
		receive(&x, 0);
		assert_int_equal(x.res, 1);
		slice_unref(buffers_take(&ring.small, x.res, x.flags));
	}
}

static void who_waits_is_woken_when_one_comes_back(void **state)
{
	struct receive x;
	struct slice s;
	struct list waiting;

	(void)state;
	owner_init(&x.owner, &ring, on_free);
	op_init(&x.op, &x.owner, on_done);
	assert_int_equal(buffers_init(&ring.small, &ring, 0, 64, 1, 1), 0);
	assert_true(buffers_grow(&ring.small));
	assert_int_equal(write(ends[1], "x", 1), 1);
	receive(&x, 0);
	s = buffers_take(&ring.small, x.res, x.flags);
	list_init(&waiting);
	list_append(&ring.small.starved, &waiting);
	assert_false(ring.starved_woken);
	slice_unref(s);
	assert_true(ring.starved_woken);
	list_remove(&waiting);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_grows_by_doubling_up_to_its_bound, setup, teardown),
		cmocka_unit_test_setup_teardown(a_group_is_registered_once, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_taken_goes_back, setup, teardown),
		cmocka_unit_test_setup_teardown(who_waits_is_woken_when_one_comes_back, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
