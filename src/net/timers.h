/* Timers: a hierarchical wheel per ring.
 *
 * Arming, moving and cancelling cost a list operation, whatever the number of timers; the ring sleeps until the next
 * occupied slot.  A timer fires up to one tick late, never early.  Timers belong to the ring's thread. */
#ifndef NET_TIMERS_H
#define NET_TIMERS_H

#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

#define TIMER_TICK_MS 8
#define TIMER_LEVELS  5 /* 64 slots each: 0.5 s, 33 s, 35 min, 37 h, 99 days; longer ones go round again */

struct timer {
	struct list link; /* linked while armed */
	uint64_t at_tick;
	void (*fire)(struct timer *); /* disarmed already; may arm again */
};

struct timers {
	uint64_t tick; /* all ticks up to and including this one have been run */
	uint64_t occupied[TIMER_LEVELS]; /* a bit a slot; may be set for a slot that has become empty */
	struct list slots[TIMER_LEVELS][64];
};

void timers_init(struct timers *t, uint64_t now_ms);
static inline void timer_init(struct timer *timer, void (*fire)(struct timer *))
{
	list_init(&timer->link);
	timer->fire = fire;
}
static inline bool timer_is_armed(const struct timer *timer)
{
	return !list_is_empty(&timer->link);
}

/* Fires once, at least delay_ms after now_ms; an armed timer is moved. */
void timer_arm(struct timers *t, struct timer *timer, uint64_t now_ms, uint64_t delay_ms);
static inline void timer_cancel(struct timer *timer)
{
	list_remove(&timer->link);
}

/* Fires what is due. */
void timers_run(struct timers *t, uint64_t now_ms);

/* Milliseconds until timers_run() may have something to do; UINT64_MAX when no timer is armed. */
uint64_t timers_next_ms(const struct timers *t, uint64_t now_ms);

#endif
