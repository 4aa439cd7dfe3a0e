/* proxy/ws_queue: what waits for a slow client, and what of it may go. */
#include "proxy/ws_queue.h"

#include "wire/ws_sift.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define B WS_PIECE_BEGINS
#define E WS_PIECE_ENDS
#define L WS_PIECE_LOOSE

/* Pieces as text, marks; what is popped before, how many drops, what they say last, what is left. */
static const struct {
	const char *name;
	struct {
		const char *text;
		unsigned marks;
	} pieces[6];
	unsigned pops, drops;
	enum ws_queue_dropped last;
	const char *left;
} cases[] = {
	{ "the oldest goes first", { { "a", B | E | L }, { "b", B | E | L } }, 0, 1, WS_QUEUE_WHOLE, "b" },
	{ "then the next", { { "a", B | E | L }, { "b", B | E | L } }, 0, 2, WS_QUEUE_WHOLE, "" },
	{ "then none", { { "a", B | E | L } }, 0, 2, WS_QUEUE_NONE, "" },
	{ "control frames stay", { { "P", B | E }, { "a", B | E | L }, { "Q", B | E } }, 0, 2, WS_QUEUE_NONE, "PQ" },
	{ "fragments stay", { { "f", B }, { "f", E }, { "a", B | E | L }, { "g", B | E } }, 0, 2, WS_QUEUE_NONE, "ffg" },
	{ "a message goes with all its pieces",
	  { { "P", B | E }, { "a", B | L }, { "a", L }, { "a", E | L }, { "b", B | E | L } },
	  0, 1, WS_QUEUE_WHOLE, "Pb" },
	{ "one whose end has not come", { { "a", B | E | L }, { "b", B | L }, { "b", L } }, 0, 2, WS_QUEUE_BEGUN, "" },
	{ "one that has begun to leave stays", { { "a", B | L }, { "a", E | L }, { "b", B | E | L } }, 1, 2, WS_QUEUE_NONE, "a" },
	{ "what came as it was stays", { { "x", 0 }, { "a", B | E | L }, { "y", 0 } }, 0, 2, WS_QUEUE_NONE, "xy" },
};

static void drain(struct ws_queue *q, unsigned count, char *out)
{
	size_t n = 0;

	for (; count > 0 && !ws_queue_is_empty(q); count--) {
		struct slice s = ws_queue_pop(q);

		memcpy(out + n, s.at, s.len);
		n += s.len;
		slice_unref(s);
	}
	out[n] = '\0';
}

static void what_may_go_goes_oldest_first(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enum ws_queue_dropped last = WS_QUEUE_NONE;
		struct ws_queue q;
		char text[16];

		ws_queue_init(&q);
		for (size_t n = 0; n < 6 && cases[i].pieces[n].text != NULL; n++)
			assert_true(ws_queue_push(&q, cases[i].pieces[n].text, 1, cases[i].pieces[n].marks));
		drain(&q, cases[i].pops, text);
		for (unsigned n = 0; n < cases[i].drops; n++)
			last = ws_queue_drop_oldest(&q);
		if (last != cases[i].last)
			fail_msg("%s: %d", cases[i].name, last);
		drain(&q, 99, text);
		if (strcmp(text, cases[i].left) != 0)
			fail_msg("%s: left \"%s\"", cases[i].name, text);
		assert_int_equal(q.cost, 0);
		ws_queue_done(&q);
	}
}

static void several_means_more_than_one_that_may_go(void **state)
{
	struct ws_queue q;

	(void)state;
	ws_queue_init(&q);
	assert_false(ws_queue_has_several(&q));
	ws_queue_push(&q, "a", 1, B | E | L);
	ws_queue_push(&q, "P", 1, B | E);
	assert_false(ws_queue_has_several(&q));
	ws_queue_push(&q, "b", 1, B | L);
	assert_true(ws_queue_has_several(&q));
	assert_true(q.cost > 3);
	ws_queue_done(&q);
	assert_int_equal(q.cost, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_may_go_goes_oldest_first),
		cmocka_unit_test(several_means_more_than_one_that_may_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
