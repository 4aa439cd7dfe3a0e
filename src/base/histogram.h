/* Distributions of durations, counted as counters are: cells of each thread's own, summed by who reads.
 *
 * All have the same buckets, from 100 us to 10 s.
 * Called by: net/ring, proxy; read by control/metrics. */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include "base/counters.h"

#define HISTOGRAM_BOUNDS 16u
#define HISTOGRAM_CELLS	 (HISTOGRAM_BOUNDS + 2u) /* above the last bound, and the sum */

enum histogram {
	HISTOGRAM_CONNECT,	 /* to an endpoint, TLS included */
	HISTOGRAM_RESPONSE,	 /* from a request's head to its response's */
	HISTOGRAM_HANDSHAKE,	 /* from a WebSocket's request to its 101 */
	HISTOGRAM_FIRST_MESSAGE, /* from a WebSocket's request to its endpoint's first message */
	HISTOGRAM_PING_RTT,	 /* of the proxy's pings to clients */
	HISTOGRAM_LOOP,		 /* one turn of a worker's loop: what everybody else waited */
	HISTOGRAM_COUNT
};
_Static_assert(COUNTERS_HISTOGRAMS + HISTOGRAM_COUNT * HISTOGRAM_CELLS <= COUNTERS_MAX, "room for all");

struct histogram_row {
	const char *name; /* without the program's prefix */
	const char *help;
};
extern const struct histogram_row histogram_rows[HISTOGRAM_COUNT];
/* In microseconds, ascending. */
extern const uint64_t histogram_bounds_us[HISTOGRAM_BOUNDS];

static inline void histogram_add_us(enum histogram h, uint64_t us)
{
	unsigned first = COUNTERS_HISTOGRAMS + (unsigned)h * HISTOGRAM_CELLS, i = 0;

	while (i < HISTOGRAM_BOUNDS && us > histogram_bounds_us[i])
		i++;
	counter_add(first + i, 1);
	counter_add(first + HISTOGRAM_BOUNDS + 1, us);
}

struct histogram_sum {
	uint64_t upto[HISTOGRAM_BOUNDS]; /* how many were at most that long */
	uint64_t count;
	uint64_t sum_us;
};
void histogram_read(enum histogram h, struct histogram_sum *out);

#endif
