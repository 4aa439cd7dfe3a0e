#include "net/ring.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/random.h"

#define ENTRIES	   64
#define CQ_ENTRIES (ENTRIES * 8)
#define GUARD_MS   8000 /* what has not come by then never does */

static struct ring ring;

static void on_late(struct timer *t)
{
	(void)t;
	abort(); /* may be another thread's, where cmocka cannot be told */
}

static int setup(void **state)
{
	(void)state;
	assert_int_equal(ring_init(&ring, ENTRIES, false), 0);
	assert_int_equal(ring_enable(&ring), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(ring.owners, 0);
	ring_done(&ring);
	return 0;
}

static void turn(void)
{
	assert_int_equal(ring_turn(&ring), 0);
}

/* A turn that does not wait: a completion of nobody's is there. */
static void turn_now(void)
{
	struct io_uring_sqe *sqe = ring_sqe(&ring);

	io_uring_prep_nop(sqe);
	io_uring_sqe_set_data(sqe, NULL);
	turn();
}

/* ---- what the kernel has ---- */

static void probe_finds_what_is_needed(void **state)
{
	char error[256] = "untouched";

	(void)state;
	assert_int_equal(ring_probe(error, sizeof(error)), 0);
	assert_string_equal(error, "untouched");
	assert_true(ring_features.msg_ring);
}

/* ---- owners ---- */

struct thing {
	struct owner owner;
	struct op ops[8];
	unsigned done, freed;
	int last_res;
	bool closes_when_done;
};

static bool is_inside; /* a callback is on the stack */

static void on_thing_free(struct owner *o)
{
	struct thing *t = container_of(o, struct thing, owner);

	assert_false(is_inside);
	assert_int_equal(o->in_flight, 0);
	t->freed++;
}

static void on_thing_done(struct op *op, int res, uint32_t flags)
{
	struct thing *t = container_of(op->owner, struct thing, owner);

	(void)flags;
	is_inside = true;
	assert_int_equal(t->freed, 0);
	t->done++;
	t->last_res = res;
	if (t->closes_when_done)
		owner_close(&t->owner);
	is_inside = false;
}

static void thing_init(struct thing *t)
{
	*t = (struct thing){ .done = 0 };
	owner_init(&t->owner, &ring, on_thing_free);
	for (size_t i = 0; i < ARRAY_LEN(t->ops); i++)
		op_init(&t->ops[i], &t->owner, on_thing_done);
}

static void thing_nop(struct thing *t, unsigned which)
{
	struct io_uring_sqe *sqe = ring_sqe(&ring);

	io_uring_prep_nop(sqe);
	ring_sqe_own(sqe, &t->ops[which]);
}

static void owner_without_operations_goes_at_the_end_of_the_turn(void **state)
{
	struct thing t;

	(void)state;
	thing_init(&t);
	assert_int_equal(ring.owners, 1);
	owner_close(&t.owner);
	owner_close(&t.owner);
	assert_int_equal(t.freed, 0);
	turn_now();
	assert_int_equal(t.freed, 1);
	assert_int_equal(ring.owners, 0);
}

static void owner_waits_for_all_its_operations(void **state)
{
	struct thing t;

	(void)state;
	thing_init(&t);
	for (unsigned i = 0; i < 8; i++)
		thing_nop(&t, i);
	assert_int_equal(t.owner.in_flight, 8);
	t.closes_when_done = true;
	turn();
	assert_int_equal(t.done, 8);
	assert_int_equal(t.freed, 1);
}

/* A poll that says many times that there is something, then is cancelled: one operation all the while. */
static void a_multishot_is_one_operation_until_its_last_completion(void **state)
{
	struct io_uring_sqe *sqe;
	struct thing t;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	thing_init(&t);
	sqe = ring_sqe(&ring);
	io_uring_prep_poll_multishot(sqe, fds[0], POLLIN);
	ring_sqe_own(sqe, &t.ops[0]);
	for (unsigned i = 1; i <= 5; i++) {
		io_uring_submit(&ring.uring);
		assert_int_equal(write(fds[1], "x", 1), 1);
		while (t.done < i)
			turn();
		assert_int_equal(t.owner.in_flight, 1);
	}
	sqe = ring_sqe(&ring);
	io_uring_prep_cancel_fd(sqe, fds[0], IORING_ASYNC_CANCEL_ALL);
	ring_sqe_forget(sqe);
	owner_close(&t.owner);
	assert_int_equal(t.freed, 0);
	turn();
	assert_int_equal(t.done, 6);
	assert_int_equal(t.last_res, -ECANCELED);
	assert_int_equal(t.freed, 1);
	close(fds[0]);
	close(fds[1]);
}

static void what_nobody_wants_to_know_calls_nobody(void **state)
{
	struct io_uring_sqe *sqe;
	struct thing t;

	(void)state;
	thing_init(&t);
	for (unsigned i = 0; i < 10; i++) {
		sqe = ring_sqe(&ring);
		io_uring_prep_close(sqe, 999999); /* fails: is posted, and ignored */
		ring_sqe_forget(sqe);
	}
	thing_nop(&t, 0);
	t.closes_when_done = true;
	while (t.freed == 0)
		turn();
	assert_int_equal(t.done, 1);
}

/* ---- queues that are too short ---- */

static void more_submissions_than_the_queue_holds(void **state)
{
	struct thing t;

	(void)state;
	thing_init(&t);
	for (unsigned i = 0; i < ENTRIES * 5; i++)
		thing_nop(&t, i % 8);
	assert_true(ring.stats.sq_full >= 4);
	while (t.done < ENTRIES * 5)
		turn();
	assert_int_equal(t.owner.in_flight, 0);
	owner_close(&t.owner);
	turn_now();
	assert_int_equal(t.freed, 1);
}

static void more_completions_than_the_queue_holds(void **state)
{
	struct thing t;

	(void)state;
	thing_init(&t);
	for (unsigned round = 1; round <= 3; round++) {
		for (unsigned i = 0; i < CQ_ENTRIES * 4; i++)
			thing_nop(&t, i % 8);
		while (t.done < round * CQ_ENTRIES * 4)
			turn();
	}
	assert_true(ring.stats.cq_overflows > 0);
	assert_int_equal(ring.stats.completions, CQ_ENTRIES * 12);
	assert_int_equal(t.owner.in_flight, 0);
	t.closes_when_done = true;
	thing_nop(&t, 0);
	turn();
	assert_int_equal(t.freed, 1);
}

/* ---- small memory ---- */

static void scratch_is_aligned_and_begins_anew(void **state)
{
	uint8_t *first = ring_scratch(&ring, 1), *p;

	(void)state;
	assert_int_equal((uintptr_t)first % 16, 0);
	p = ring_scratch(&ring, 100);
	assert_ptr_equal(p, first + 16);
	assert_ptr_equal(ring_scratch(&ring, 16), p + 112);
	assert_null(ring_scratch(&ring, RING_SCRATCH + 1));
	p = ring_scratch(&ring, RING_SCRATCH); /* as much as there is */
	assert_non_null(p);
	memset(p, 1, RING_SCRATCH);
	assert_non_null(ring_scratch(&ring, 16)); /* submits first */
	for (unsigned i = 0; i < 100000; i++) {
		uint32_t len = 1 + random_below(2000);

		memset(ring_scratch(&ring, len), 2, len);
	}
}

static void bump_keeps_what_is_held_and_reuses_what_is_not(void **state)
{
	struct slice held[200];
	struct slice s;
	struct buf *block;

	(void)state;
	assert_int_equal(ring_bump_room(&ring), 0);
	for (unsigned i = 0; i < ARRAY_LEN(held); i++) {
		uint8_t text[300];
		uint32_t len = 1 + i;

		memset(text, (int)i, sizeof(text));
		held[i] = ring_copy(&ring, text, len);
		assert_int_equal(held[i].len, len);
	}
	for (unsigned i = 0; i < ARRAY_LEN(held); i++) {
		for (uint32_t at = 0; at < held[i].len; at++)
			assert_int_equal(held[i].at[at], i);
		slice_unref(held[i]);
	}
	block = ring.bump;
	for (unsigned i = 0; i < 1000; i++) { /* nobody holds any of it: the same block again and again */
		s = ring_copy(&ring, "0123456789", 10);
		assert_ptr_equal(s.buf, block);
		slice_unref(s);
	}
	assert_non_null(ring_bump(&ring, RING_BUMP_SIZE));
	s = ring_bump_take(&ring, RING_BUMP_SIZE);
	memset(s.at, 1, s.len);
	assert_int_equal(ring_bump_room(&ring), 0);
	slice_unref(s);
	held[0] = ring_copy(&ring, s.at, 0);
	assert_int_equal(held[0].len, 0);
	slice_unref(held[0]);
}

static void large_copies_get_memory_of_their_own(void **state)
{
	static uint8_t text[RING_BUMP_SIZE];
	struct slice s;

	(void)state;
	memset(text, 7, sizeof(text));
	s = ring_copy(&ring, text, sizeof(text));
	assert_int_equal(s.len, sizeof(text));
	assert_memory_equal(s.at, text, sizeof(text));
	assert_true(s.buf != ring.bump);
	slice_unref(s);
}

/* ---- turns ---- */

static unsigned turns_seen;

static void on_turn(struct ring *r)
{
	turns_seen++;
	if (turns_seen == 3)
		ring_stop(r);
}

static void on_tick(struct timer *t)
{
	timer_arm(&ring.timers, t, ring.now_ms, 1);
}

static void run_ends_when_it_is_stopped(void **state)
{
	struct timer tick;

	(void)state;
	timer_init(&tick, on_tick);
	ring_timer_arm(&ring, &tick, 0);
	turns_seen = 0;
	ring.on_turn = on_turn;
	assert_true(atomic_load(&ring.is_running));
	assert_int_equal(ring_run(&ring), 0);
	assert_false(atomic_load(&ring.is_running));
	assert_int_equal(turns_seen, 3);
	timer_cancel(&tick);
}

/* ---- mail ---- */

#define LETTERS 3000

struct post {
	struct ring ring;
	struct ring *other;
	pthread_t thread;
	struct timer guard;
	struct letter {
		struct mail mail;
		struct post *to; /* whoever gets it next */
		struct post *from;
		unsigned number;
		bool is_reply;
	} letters[LETTERS];
	struct timer write_timer;
	unsigned written, replies, requests; /* of mine; to mine; of the other's */
};

static void post_check_end(struct post *p)
{
	if (p->replies == LETTERS && p->requests == LETTERS)
		ring_stop(&p->ring);
}

static void on_letter(struct mail *m)
{
	struct letter *l = container_of(m, struct letter, mail);
	struct post *me = l->to, *other = l->from;

	if (!pthread_equal(pthread_self(), me->thread))
		abort();
	if (l->number != (l->is_reply ? me->replies : me->requests))
		abort(); /* out of order */
	if (l->is_reply) {
		me->replies++;
	} else {
		me->requests++;
		l->is_reply = true;
		l->to = other;
		l->from = me;
		ring_post(&me->ring, &other->ring, m);
	}
	post_check_end(me);
}

/* A handful a turn, so that both sides write and read at once. */
static void on_write(struct timer *t)
{
	struct post *p = container_of(t, struct post, write_timer);
	struct post *other = container_of(p->other, struct post, ring);

	for (unsigned i = 0; i < 200 && p->written < LETTERS; i++) {
		struct letter *l = &p->letters[p->written];

		*l = (struct letter){ .to = other, .from = p, .number = p->written++ };
		l->mail.run = on_letter;
		ring_post(&p->ring, p->other, &l->mail);
	}
	if (p->written < LETTERS)
		ring_timer_arm(&p->ring, t, 0);
}

static void *post_run(void *user)
{
	struct post *p = user;

	p->thread = pthread_self();
	if (ring_enable(&p->ring) < 0)
		abort();
	timer_init(&p->guard, on_late);
	ring_timer_arm(&p->ring, &p->guard, GUARD_MS);
	timer_init(&p->write_timer, on_write);
	ring_timer_arm(&p->ring, &p->write_timer, 0);
	if (ring_run(&p->ring) < 0)
		abort();
	return NULL;
}

/* Neither waits for the other to be there, and neither stays a turn longer than it has to. */
static void mail_arrives_in_order_and_none_is_lost(void **state)
{
	struct post *a = calloc(1, sizeof(*a)), *b = calloc(1, sizeof(*b));
	pthread_t threads[2];

	(void)state;
	assert_true(a != NULL && b != NULL);
	assert_int_equal(ring_init(&a->ring, ENTRIES, false), 0);
	assert_int_equal(ring_init(&b->ring, ENTRIES, false), 0);
	a->other = &b->ring;
	b->other = &a->ring;
	assert_int_equal(pthread_create(&threads[0], NULL, post_run, a), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, post_run, b), 0);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	assert_int_equal(a->replies, LETTERS);
	assert_int_equal(b->replies, LETTERS);
	assert_int_equal(a->requests, LETTERS);
	assert_int_equal(b->requests, LETTERS);
	ring_done(&a->ring);
	ring_done(&b->ring);
	free(a);
	free(b);
}

/* Mail to a ring that nobody runs yet. */
static struct note {
	struct mail mail;
	unsigned runs;
	bool stops;
	struct ring *runner;
} notes[3];

static void on_note(struct mail *m)
{
	struct note *n = container_of(m, struct note, mail);

	n->runs++;
	if (n->stops)
		ring_stop(n->runner);
}

static void *note_run(void *user)
{
	struct ring *r = user;
	struct timer guard;

	if (ring_enable(r) < 0)
		abort();
	timer_init(&guard, on_late);
	ring_timer_arm(r, &guard, GUARD_MS);
	if (ring_run(r) < 0)
		abort();
	return NULL;
}

static void on_tick_once(struct timer *t)
{
	(void)t;
}

static void mail_to_a_ring_that_is_not_enabled_waits_there(void **state)
{
	struct ring late;
	struct timer tick;
	pthread_t thread;

	(void)state;
	assert_int_equal(ring_init(&late, ENTRIES, false), 0);
	for (unsigned i = 0; i < 3; i++) {
		notes[i] = (struct note){ .mail.run = on_note, .runner = &late, .stops = i == 2 };
		ring_post(&ring, &late, &notes[i].mail);
	}
	timer_init(&tick, on_tick_once);
	ring_timer_arm(&ring, &tick, 0);
	turn(); /* the kernel refuses: it is not enabled */
	assert_int_equal(pthread_create(&thread, NULL, note_run, &late), 0);
	pthread_join(thread, NULL);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(notes[i].runs, 1);
	ring_done(&late);
	timer_cancel(&tick);
}

static void mail_to_oneself_arrives(void **state)
{
	struct timer guard;

	(void)state;
	timer_init(&guard, on_late);
	ring_timer_arm(&ring, &guard, GUARD_MS);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 3; i++) {
			notes[i] = (struct note){ .mail.run = on_note };
			ring_post(&ring, &ring, &notes[i].mail);
		}
		while (notes[2].runs == 0)
			turn();
		assert_int_equal(notes[0].runs + notes[1].runs + notes[2].runs, 3);
	}
	timer_cancel(&guard);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(probe_finds_what_is_needed),
		cmocka_unit_test_setup_teardown(owner_without_operations_goes_at_the_end_of_the_turn, setup,
						teardown),
		cmocka_unit_test_setup_teardown(owner_waits_for_all_its_operations, setup, teardown),
		cmocka_unit_test_setup_teardown(a_multishot_is_one_operation_until_its_last_completion, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_nobody_wants_to_know_calls_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(more_submissions_than_the_queue_holds, setup, teardown),
		cmocka_unit_test_setup_teardown(more_completions_than_the_queue_holds, setup, teardown),
		cmocka_unit_test_setup_teardown(scratch_is_aligned_and_begins_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(bump_keeps_what_is_held_and_reuses_what_is_not, setup,
						teardown),
		cmocka_unit_test_setup_teardown(large_copies_get_memory_of_their_own, setup, teardown),
		cmocka_unit_test_setup_teardown(run_ends_when_it_is_stopped, setup, teardown),
		cmocka_unit_test_setup_teardown(mail_to_oneself_arrives, setup, teardown),
		cmocka_unit_test_setup_teardown(mail_to_a_ring_that_is_not_enabled_waits_there, setup,
						teardown),
		cmocka_unit_test(mail_arrives_in_order_and_none_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
