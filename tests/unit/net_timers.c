#include "net/timers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/random.h"

#define COUNT 400

static uint64_t now_ms; /* what a timer that fires may look at */

struct watched {
	struct timer timer;
	uint64_t at_ms; /* not before this */
	unsigned fired;
};

static void on_fire(struct timer *t)
{
	struct watched *w = container_of(t, struct watched, timer);

	assert_false(timer_is_armed(t));
	assert_true(now_ms >= w->at_ms);
	w->fired++;
}

static void watched_arm(struct timers *t, struct watched *w, uint64_t delay_ms)
{
	w->at_ms = now_ms + delay_ms;
	w->fired = 0;
	timer_arm(t, &w->timer, now_ms, delay_ms);
}

/* Sleeps as the ring does, until nothing is armed any more or `until_ms`. */
static void sleep_until(struct timers *t, uint64_t until_ms)
{
	uint64_t wait;

	while ((wait = timers_next_ms(t, now_ms)) != UINT64_MAX && now_ms + wait <= until_ms) {
		now_ms += wait;
		timers_run(t, now_ms);
	}
}

/* Where time stands when the ring begins: also beside each place where the wheel's levels turn over, the highest after 99
 * days of uptime. */
static const uint64_t starts[] = {
	0,
	1,
	7,
	8,
	12345,
	(63ull << 3) - 1,
	(64ull << 3) - 1,
	(1ull << 9) + 3,
	(1ull << 15) - 5,
	(1ull << 21) - 100,
	(1ull << 27) - 700,
	(1ull << 33) - 1,
	(1ull << 33) - 1000,
	(1ull << 33) + 1,
	(1ull << 34) - 40,
	(5ull << 33) - 123456,
	(1ull << 39) - 9,
};
static const uint64_t delays[] = {
	0,
	1,
	7,
	8,
	9,
	100,
	504,
	511,
	512,
	513,
	1000,
	5000,
	32767,
	32768,
	60000,
	2097151,
	2097152,
	3600000,
	7200000,
	86400000ull,
	134217728ull,
	604800000ull,
	8589934591ull,
	8589934592ull,
	30000000000ull,
};

static void one_fires_at_its_time_wherever_time_stands(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
		for (size_t k = 0; k < ARRAY_LEN(delays); k++) {
			struct timers t;
			struct watched w;

			now_ms = starts[i];
			timers_init(&t, now_ms);
			timer_init(&w.timer, on_fire);
			assert_true(timers_next_ms(&t, now_ms) == UINT64_MAX);
			watched_arm(&t, &w, delays[k]);
			assert_true(timer_is_armed(&w.timer));
			sleep_until(&t, w.at_ms + TIMER_TICK_MS);
			if (w.fired != 1)
				fail_msg("start %llu, delay %llu: fired %u times by its time",
					 (unsigned long long)starts[i], (unsigned long long)delays[k],
					 w.fired);
			assert_true(timers_next_ms(&t, now_ms) == UINT64_MAX);
		}
	}
}

/* Many at once, moved and cancelled at random while time goes on in random steps. */
static void many_fire_once_and_neither_early_nor_late(void **state)
{
	static struct watched all[COUNT];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
		struct timers t;
		unsigned armed = 0;

		now_ms = starts[i];
		timers_init(&t, now_ms);
		for (size_t k = 0; k < COUNT; k++) {
			timer_init(&all[k].timer, on_fire);
			watched_arm(&t, &all[k], random_below(100000));
		}
		for (unsigned step = 0; step < 2000; step++) {
			struct watched *w = &all[random_below(COUNT)];

			if (random_below(4) == 0) {
				timer_cancel(&w->timer);
				timer_cancel(&w->timer);
				w->fired = 1; /* as good as */
			} else if (random_below(4) == 0) {
				watched_arm(&t, w, random_below(1u << (1 + random_below(18))));
			}
			now_ms += random_below(200);
			timers_run(&t, now_ms);
			for (size_t k = 0; step % 50 == 0 && k < COUNT; k++) {
				assert_int_equal(all[k].fired, timer_is_armed(&all[k].timer) ? 0 : 1);
				if (timer_is_armed(&all[k].timer))
					assert_true(all[k].at_ms + TIMER_TICK_MS >= now_ms);
			}
		}
		sleep_until(&t, UINT64_MAX / 2);
		for (size_t k = 0; k < COUNT; k++)
			armed += timer_is_armed(&all[k].timer);
		assert_int_equal(armed, 0);
	}
}

/* ---- timers that meddle when they fire ---- */

static struct timers wheel;
static struct watched self, other;
static unsigned rearms_left;

static void on_fire_again(struct timer *t)
{
	on_fire(t);
	if (rearms_left > 0) {
		rearms_left--;
		watched_arm(&wheel, &self, 0);
	}
}

static void on_fire_cancels_other(struct timer *t)
{
	on_fire(t);
	timer_cancel(&other.timer);
}

static void one_may_arm_itself_while_it_fires(void **state)
{
	(void)state;
	now_ms = 1000;
	timers_init(&wheel, now_ms);
	timer_init(&self.timer, on_fire_again);
	watched_arm(&wheel, &self, 20);
	rearms_left = 100;
	for (unsigned step = 0; step < 1000; step++) {
		timers_run(&wheel, now_ms); /* ends: what is armed with 0 waits for the next tick */
		now_ms++;
	}
	assert_int_equal(rearms_left, 0);
	assert_int_equal(self.fired, 1);
}

static void one_may_cancel_another_that_is_due_with_it(void **state)
{
	(void)state;
	now_ms = 0;
	timers_init(&wheel, now_ms);
	timer_init(&self.timer, on_fire_cancels_other);
	timer_init(&other.timer, on_fire);
	watched_arm(&wheel, &self, 20);
	watched_arm(&wheel, &other, 20);
	now_ms = 500;
	timers_run(&wheel, now_ms);
	assert_int_equal(self.fired, 1);
	assert_int_equal(other.fired, 0);
	assert_false(timer_is_armed(&other.timer));
}

static void a_late_loop_fires_in_the_order_of_time(void **state)
{
	(void)state;
	now_ms = 0;
	timers_init(&wheel, now_ms);
	timer_init(&self.timer, on_fire_cancels_other);
	timer_init(&other.timer, on_fire);
	watched_arm(&wheel, &other, 40000);
	watched_arm(&wheel, &self, 39000);
	now_ms = 1000000;
	timers_run(&wheel, now_ms);
	assert_int_equal(self.fired, 1);
	assert_int_equal(other.fired, 0); /* cancelled by the earlier one */
}

static void time_that_stands_still_or_goes_back_fires_nothing(void **state)
{
	(void)state;
	now_ms = 80000;
	timers_init(&wheel, now_ms);
	timer_init(&self.timer, on_fire);
	watched_arm(&wheel, &self, 0);
	timers_run(&wheel, now_ms);
	timers_run(&wheel, now_ms - 5000);
	assert_int_equal(self.fired, 0);
	timers_run(&wheel, now_ms += TIMER_TICK_MS);
	assert_int_equal(self.fired, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_fires_at_its_time_wherever_time_stands),
		cmocka_unit_test(many_fire_once_and_neither_early_nor_late),
		cmocka_unit_test(one_may_arm_itself_while_it_fires),
		cmocka_unit_test(one_may_cancel_another_that_is_due_with_it),
		cmocka_unit_test(a_late_loop_fires_in_the_order_of_time),
		cmocka_unit_test(time_that_stands_still_or_goes_back_fires_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
