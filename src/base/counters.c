#include "base/counters.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

_Thread_local struct counters *counters_mine;

static struct counters shared;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Grows at the head only; nothing is ever taken out, so that readers need no lock. */
static struct counters *_Atomic all;
static const struct counter_row *rows_of[COUNTERS_MAX];

void counters_register(unsigned first, const struct counter_row *rows, unsigned count)
{
	assert(first <= COUNTERS_MAX);
	assert(count <= COUNTERS_MAX - first);
	for (unsigned i = 0; i < count; i++) {
		if (rows[i].name == NULL)
			continue;
		assert(rows_of[first + i] == NULL || rows_of[first + i] == &rows[i]);
		rows_of[first + i] = &rows[i];
	}
}

int counters_attach(void)
{
	struct counters *c;

	if (counters_mine != NULL)
		return 0;
	pthread_mutex_lock(&lock);
	c = atomic_load_explicit(&all, memory_order_relaxed);
	while (c != NULL && c->is_attached)
		c = c->next;
	if (c == NULL) {
		/* a cache line's alignment, so that no line is written by two threads */
		c = aligned_alloc(64, (sizeof(*c) + 63) / 64 * 64);
		if (c != NULL) {
			for (unsigned id = 0; id < COUNTERS_MAX; id++)
				atomic_init(&c->cells[id], 0);
			c->next = atomic_load_explicit(&all, memory_order_relaxed);
			atomic_store_explicit(&all, c, memory_order_release);
		}
	}
	if (c != NULL)
		c->is_attached = true;
	pthread_mutex_unlock(&lock);
	counters_mine = c;
	return c == NULL ? -ENOMEM : 0;
}

void counters_detach(void)
{
	if (counters_mine == NULL)
		return;
	pthread_mutex_lock(&lock);
	counters_mine->is_attached = false;
	pthread_mutex_unlock(&lock);
	counters_mine = NULL;
}

void counter_add_shared(unsigned id, uint64_t n)
{
	atomic_fetch_add_explicit(&shared.cells[id], n, memory_order_relaxed);
}

uint64_t counter_sum(unsigned id)
{
	uint64_t sum = atomic_load_explicit(&shared.cells[id], memory_order_relaxed);

	for (struct counters *c = atomic_load_explicit(&all, memory_order_acquire); c != NULL; c = c->next)
		sum += atomic_load_explicit(&c->cells[id], memory_order_relaxed);
	return sum;
}

void counters_each(void (*visit)(const struct counter_row *row, uint64_t sum, void *user), void *user)
{
	for (unsigned id = 0; id < COUNTERS_MAX; id++)
		if (rows_of[id] != NULL)
			visit(rows_of[id], counter_sum(id), user);
}
