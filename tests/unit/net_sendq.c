#include "net/sendq.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"

#define STREAM_MAX 400000u

static struct ring ring;  /* lends chunks; nothing else of it is used */
static unsigned released; /* of the blocks made here */
static unsigned made;

static void on_release(struct buf *b)
{
	released++;
	free(b);
}

/* `len` bytes that count up from `from`, in a block of their own. */
static struct slice counting(uint8_t from, uint32_t len)
{
	struct buf *b = buf_new(len);

	assert_non_null(b);
	b->release = on_release;
	made++;
	for (uint32_t i = 0; i < len; i++)
		b->data[i] = (uint8_t)(from + i);
	return (struct slice){ b, b->data, len };
}

static int setup(void **state)
{
	(void)state;
	memset(&ring, 0, sizeof(ring));
	list_init(&ring.chunks);
	made = released = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(released, made);
	sendq_forget(&ring);
	assert_int_equal(ring.chunks_count, 0);
	return 0;
}

static uint32_t total(const struct sendq *q)
{
	struct iovec v[1024];
	uint32_t len;
	unsigned n = sendq_vector(q, v, ARRAY_LEN(v), &len);

	assert_int_equal(n, q->count);
	return len;
}

static void empty_owns_nothing(void **state)
{
	struct sendq q;
	struct iovec v[4];
	uint32_t len = 7;

	(void)state;
	sendq_init(&q);
	assert_int_equal(sendq_vector(&q, v, 4, &len), 0);
	assert_int_equal(len, 0);
	sendq_done(&q, &ring);
	assert_true(sendq_push(&q, &ring, counting(0, 10), false));
	assert_int_equal(ring.chunks_count, 0);
	sendq_consume(&q, &ring, 10);
	assert_null(q.first);
	assert_null(q.last);
	assert_int_equal(q.count, 0);
	assert_int_equal(ring.chunks_count, 1); /* given back */
	assert_int_equal(released, 1);
}

static void neighbours_become_one(void **state)
{
	struct slice all = counting(0, 100);
	struct sendq q;

	(void)state;
	sendq_init(&q);
	assert_true(sendq_push(&q, &ring, slice_ref(slice_sub(all, 0, 30)), false));
	assert_true(sendq_push(&q, &ring, slice_ref(slice_sub(all, 30, 1)), false));
	assert_true(sendq_push(&q, &ring, slice_ref(slice_sub(all, 31, 69)), false));
	assert_int_equal(q.count, 1);
	assert_int_equal(sendq_first(&q).len, 100);
	assert_int_equal(all.buf->refs, 2);
	sendq_consume(&q, &ring, 50);
	/* the same block, but not what follows */
	assert_true(sendq_push(&q, &ring, slice_ref(slice_sub(all, 20, 10)), false));
	assert_int_equal(q.count, 2);
	assert_int_equal(sendq_first(&q).at[0], 50);
	slice_unref(all);
	sendq_done(&q, &ring);
}

static void static_bytes_are_never_joined_nor_copied(void **state)
{
	static const char text[] = "abcdef";
	struct sendq q;

	(void)state;
	sendq_init(&q);
	assert_true(sendq_push(&q, &ring, slice_static(text, 3), true));
	assert_true(sendq_push(&q, &ring, slice_static(text + 3, 3), true));
	assert_int_equal(q.count, 2);
	assert_ptr_equal(sendq_first(&q).at, text);
	sendq_done(&q, &ring);
}

/* The block goes back to its pool at once, and the bytes stay. */
static void small_pieces_that_wait_leave_their_block(void **state)
{
	struct sendq q;
	uint8_t next = 0;

	(void)state;
	sendq_init(&q);
	for (unsigned i = 0; i < 100; i++) {
		assert_true(sendq_push(&q, &ring, counting(next, 100), true));
		next = (uint8_t)(next + 100);
		assert_int_equal(released, made);
	}
	assert_int_equal(total(&q), 10000);
	assert_true(q.count <= 3); /* gathered: 10,000 bytes in blocks of 4,064 */
	for (uint8_t i = 0, at = 0; q.count > 0; i++, at++) {
		assert_int_equal(*sendq_first(&q).at, at);
		sendq_consume(&q, &ring, 1);
	}
}

static void large_pieces_keep_their_block(void **state)
{
	struct slice large = counting(0, 3000);
	uint8_t *at = large.at;
	struct sendq q;

	(void)state;
	sendq_init(&q);
	assert_true(sendq_push(&q, &ring, large, true));
	assert_ptr_equal(sendq_first(&q).at, at);
	assert_int_equal(released, 0);
	sendq_done(&q, &ring);
}

/* What the kernel is reading is not moved, whatever is pushed behind it. */
static void what_is_in_flight_stays_where_it_is(void **state)
{
	struct iovec before[64], after[64];
	uint32_t len, again;
	struct sendq q;
	unsigned n;

	(void)state;
	sendq_init(&q);
	for (unsigned i = 0; i < 40; i++)
		assert_true(sendq_push(&q, &ring, counting((uint8_t)i, 1 + random_below(3000)), i % 2 == 0));
	n = sendq_vector(&q, before, 20, &len);
	assert_int_equal(n, 20);
	for (unsigned i = 0; i < 40; i++)
		assert_true(sendq_push(&q, &ring, counting((uint8_t)i, 1 + random_below(3000)), i % 2 == 0));
	assert_int_equal(sendq_vector(&q, after, 20, &again), 20);
	for (unsigned i = 0; i < n; i++) {
		assert_ptr_equal(before[i].iov_base, after[i].iov_base);
		assert_true(before[i].iov_len <= after[i].iov_len);
	}
	sendq_done(&q, &ring);
}

/* In any order of pushes and of partial sends the bytes come out as they went in. */
static void bytes_come_out_as_they_went_in(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 60; round++) {
		uint8_t in = 0, out = 0;
		uint32_t pushed = 0, queued = 0;
		struct sendq q;

		sendq_init(&q);
		while (pushed < STREAM_MAX / 4 || queued > 0) {
			if (pushed < STREAM_MAX / 4 && random_below(2) == 0) {
				uint32_t len = 1 + random_below(random_below(8) == 0 ? 9000 : 300);
				struct slice s = counting(in, len);
				uint32_t cut = random_below(len);

				if (cut > 0)
					assert_true(sendq_push(&q, &ring, slice_ref(slice_sub(s, 0, cut)),
							       random_below(2) == 0));
				assert_true(sendq_push(&q, &ring, slice_ref(slice_sub(s, cut, len - cut)),
						       random_below(2) == 0));
				slice_unref(s);
				in = (uint8_t)(in + len);
				pushed += len;
				queued += len;
			} else if (queued > 0) {
				struct iovec v[64];
				unsigned max = 1 + random_below(64);
				uint32_t sum, len, left;
				unsigned n = sendq_vector(&q, v, max, &sum);

				assert_true(n > 0 && n <= max && sum <= queued);
				assert_true(n == max || sum == queued);
				len = left = random_below(sum + 1);
				for (unsigned i = 0; left > 0; i++) {
					for (size_t k = 0; k < v[i].iov_len && left > 0; k++, left--)
						assert_int_equal(((uint8_t *)v[i].iov_base)[k], out++);
				}
				sendq_consume(&q, &ring, len);
				queued -= len;
			}
		}
		assert_int_equal(in, out);
		assert_int_equal(q.count, 0);
		assert_null(q.first);
	}
}

static void chunks_are_kept_up_to_a_bound(void **state)
{
	struct sendq q;

	(void)state;
	sendq_init(&q);
	for (unsigned i = 0; i < 6000; i++)
		assert_true(sendq_push(&q, &ring, slice_static("x", 1), false));
	assert_int_equal(q.count, 6000);
	sendq_done(&q, &ring);
	assert_int_equal(q.count, 0);
	assert_int_equal(ring.chunks_count, 256);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(empty_owns_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(neighbours_become_one, setup, teardown),
		cmocka_unit_test_setup_teardown(static_bytes_are_never_joined_nor_copied, setup, teardown),
		cmocka_unit_test_setup_teardown(small_pieces_that_wait_leave_their_block, setup, teardown),
		cmocka_unit_test_setup_teardown(large_pieces_keep_their_block, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_in_flight_stays_where_it_is, setup, teardown),
		cmocka_unit_test_setup_teardown(bytes_come_out_as_they_went_in, setup, teardown),
		cmocka_unit_test_setup_teardown(chunks_are_kept_up_to_a_bound, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
