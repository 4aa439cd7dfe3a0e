/* Counters that threads do not share.
 *
 * Each floor has a range of ids, names its counters in an enum that begins there, and hands in a table of rows at start.
 * Each attached thread adds to cells of its own; a reader sums over all threads.  A thread that ends leaves its cells,
 * sums included, to the next that attaches.  Threads that have not attached share one set of cells, slower.
 * Called by: everything that counts; read by control/metrics. */
#ifndef BASE_COUNTERS_H
#define BASE_COUNTERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where each range begins. */
enum {
	COUNTERS_REASONS = 0, /* + enum reason */
	COUNTERS_NET = 128,
	COUNTERS_CONFIG = 192,
	COUNTERS_CLUSTER = 256,
	COUNTERS_GUARD = 320,
	COUNTERS_PROXY = 384,
	COUNTERS_CONTROL = 512,
	COUNTERS_REFUSED = 576,	   /* + enum reason: refusals, which COUNTERS_REASONS leaves out */
	COUNTERS_CLOSES = 704,	   /* WebSocket closes by code: proxy/counters */
	COUNTERS_HISTOGRAMS = 768, /* base/histogram */
	COUNTERS_MAX = 1024
};

struct counter_row {
	const char *name;   /* "http_requests_total", without the prefix of the program; NULL: a gap in the range */
	const char *help;   /* one sentence; rows of one name stand together, and the first one's is used */
	const char *labels; /* "direction=\"in\"", or NULL */
	bool is_gauge;	    /* goes down too */
};

struct counters {
	_Atomic uint64_t cells[COUNTERS_MAX];
	struct counters *next;
	bool is_attached; /* under the lock of counters.c */
};

/* The calling thread's cells; NULL: not attached. */
extern _Thread_local struct counters *counters_mine;

/* Rows for the ids first .. first + count - 1; keeps rows.  At start, before other threads. */
void counters_register(unsigned first, const struct counter_row *rows, unsigned count);

/* Cells of its own for the calling thread.  0 or -ENOMEM: counting works then too. */
int counters_attach(void);
/* Before an attached thread ends. */
void counters_detach(void);

void counter_add_shared(unsigned id, uint64_t n);

static inline void counter_add(unsigned id, uint64_t n)
{
	struct counters *mine = counters_mine;
	uint64_t now;

	if (mine == NULL) {
		counter_add_shared(id, n);
		return;
	}
	/* the only writer of this cell: no locked instruction, yet no torn read for the one who sums */
	now = atomic_load_explicit(&mine->cells[id], memory_order_relaxed);
	atomic_store_explicit(&mine->cells[id], now + n, memory_order_relaxed);
}

/* For gauges; one thread may take off what another added. */
static inline void counter_sub(unsigned id, uint64_t n)
{
	counter_add(id, 0 - n);
}

/* Over all threads; from any thread.  For a gauge the sum is exact only when nobody is counting. */
uint64_t counter_sum(unsigned id);

/* Every registered row in the order of ids, with its sum. */
void counters_each(void (*visit)(const struct counter_row *row, uint64_t sum, void *user), void *user);

#endif
