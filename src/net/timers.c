#include "net/timers.h"

#define SLOT_BITS 6
#define SLOT_MASK 63u

void timers_init(struct timers *t, uint64_t now_ms)
{
	t->tick = now_ms / TIMER_TICK_MS;
	for (unsigned level = 0; level < TIMER_LEVELS; level++) {
		t->occupied[level] = 0;
		for (unsigned slot = 0; slot < 64; slot++)
			list_init(&t->slots[level][slot]);
	}
}

/* The slot is chosen by the highest bit in which the target differs from the present: a timer moves down a level each
 * time that the present enters its slot. */
static void timer_place(struct timers *t, struct timer *timer)
{
	uint64_t differ = timer->at_tick ^ t->tick;
	unsigned level = 0, slot;

	if (differ != 0)
		level = (unsigned)(63 - __builtin_clzll(differ)) / SLOT_BITS;
	if (level >= TIMER_LEVELS) {
		/* The highest level's slots are a circle: what is less than one round away has a slot of its own there
		 * (after 99 days of uptime the bits above differ also for a timer of seconds); the rest waits in the
		 * last slot before the present comes round. */
		uint64_t present, ahead;

		level = TIMER_LEVELS - 1;
		present = t->tick >> (SLOT_BITS * level);
		ahead = (timer->at_tick >> (SLOT_BITS * level)) - present;
		slot = (unsigned)(present + (ahead < SLOT_MASK ? ahead : SLOT_MASK)) & SLOT_MASK;
	} else {
		slot = (unsigned)(timer->at_tick >> (SLOT_BITS * level)) & SLOT_MASK;
	}
	list_append(&t->slots[level][slot], &timer->link);
	t->occupied[level] |= 1ull << slot;
}

void timer_arm(struct timers *t, struct timer *timer, uint64_t now_ms, uint64_t delay_ms)
{
	uint64_t at = (now_ms + delay_ms) / TIMER_TICK_MS + 1;

	list_remove(&timer->link);
	timer->at_tick = at > t->tick ? at : t->tick + 1;
	timer_place(t, timer);
}

/* Ticks until the next slot of this level that may hold something; UINT64_MAX for none. */
static uint64_t level_next(const struct timers *t, unsigned level)
{
	uint64_t present = t->tick >> (SLOT_BITS * level);
	unsigned from = (unsigned)(present + 1) & SLOT_MASK;
	uint64_t bits = t->occupied[level];

	if (bits == 0)
		return UINT64_MAX;
	if (from != 0)
		bits = bits >> from | bits << (64 - from);
	return ((present + 1 + (unsigned)__builtin_ctzll(bits)) << (SLOT_BITS * level)) - t->tick;
}

static uint64_t timers_next_tick(const struct timers *t)
{
	uint64_t least = UINT64_MAX;

	for (unsigned level = 0; level < TIMER_LEVELS; level++) {
		uint64_t ticks = level_next(t, level);
		if (ticks < least)
			least = ticks;
	}
	return least == UINT64_MAX ? UINT64_MAX : t->tick + least;
}

uint64_t timers_next_ms(const struct timers *t, uint64_t now_ms)
{
	uint64_t tick = timers_next_tick(t);

	if (tick == UINT64_MAX)
		return UINT64_MAX;
	return tick * TIMER_TICK_MS > now_ms ? tick * TIMER_TICK_MS - now_ms : 0;
}

/* The present has entered t->tick: slots of the upper levels that begin here are dealt out again, then level 0 fires. */
static void timers_enter_tick(struct timers *t)
{
	struct list due;

	for (unsigned level = TIMER_LEVELS - 1; level > 0; level--) {
		unsigned slot = (unsigned)(t->tick >> (SLOT_BITS * level)) & SLOT_MASK;
		struct list *node;

		if ((t->tick & ((1ull << (SLOT_BITS * level)) - 1)) != 0 || !(t->occupied[level] & 1ull << slot))
			continue;
		t->occupied[level] &= ~(1ull << slot);
		list_init(&due);
		list_splice(&due, &t->slots[level][slot]);
		while ((node = list_take_first(&due)) != NULL)
			timer_place(t, container_of(node, struct timer, link));
	}
	list_init(&due);
	list_splice(&due, &t->slots[0][t->tick & SLOT_MASK]);
	t->occupied[0] &= ~(1ull << (t->tick & SLOT_MASK));
	for (struct list *node; (node = list_take_first(&due)) != NULL;) {
		struct timer *timer = container_of(node, struct timer, link);
		timer->fire(timer);
	}
}

void timers_run(struct timers *t, uint64_t now_ms)
{
	uint64_t now_tick = now_ms / TIMER_TICK_MS;

	while (t->tick < now_tick) {
		uint64_t next = timers_next_tick(t);

		if (next > now_tick) {
			t->tick = now_tick;
			return;
		}
		t->tick = next;
		timers_enter_tick(t);
	}
}
