/* Distributions, counted as counters are: cells of each thread's own, summed by who reads.
 *
 * Durations have buckets from 100 us to 10 s; sizes from 16 bytes to 64 MiB, by fours.
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
	HISTOGRAM_MESSAGE_IN,	 /* sizes of messages, from clients */
	HISTOGRAM_MESSAGE_OUT,
	HISTOGRAM_COUNT
};
_Static_assert(COUNTERS_HISTOGRAMS + HISTOGRAM_COUNT * HISTOGRAM_CELLS <= COUNTERS_MAX, "room for all");

struct histogram_row {
	const char *name; /* without the program's prefix */
	const char *help;
	const char *labels; /* "direction=\"in\"", or NULL; rows of one name stand together */
	bool is_size;	    /* in bytes */
};
extern const struct histogram_row histogram_rows[HISTOGRAM_COUNT];
/* In microseconds, ascending. */
extern const uint64_t histogram_bounds_us[HISTOGRAM_BOUNDS];
#define HISTOGRAM_SIZE_BOUNDS 12u
/* The bound of a class of sizes (wire/websocket: ws_size_class). */
static inline uint64_t histogram_size_bound(unsigned i)
{
	return UINT64_C(16) << 2 * i;
}
/* So many more in a class, whose sizes are added apart. */
static inline void histogram_add_sizes(enum histogram h, unsigned i, uint64_t count)
{
	counter_add(COUNTERS_HISTOGRAMS + (unsigned)h * HISTOGRAM_CELLS + (i < HISTOGRAM_SIZE_BOUNDS ? i : HISTOGRAM_BOUNDS), count);
}
static inline void histogram_add_sum(enum histogram h, uint64_t sum)
{
	counter_add(COUNTERS_HISTOGRAMS + (unsigned)h * HISTOGRAM_CELLS + HISTOGRAM_BOUNDS + 1, sum);
}

static inline void histogram_add_us(enum histogram h, uint64_t us)
{
	unsigned first = COUNTERS_HISTOGRAMS + (unsigned)h * HISTOGRAM_CELLS, i = 0;

	while (i < HISTOGRAM_BOUNDS && us > histogram_bounds_us[i])
		i++;
	counter_add(first + i, 1);
	counter_add(first + HISTOGRAM_BOUNDS + 1, us);
}

struct histogram_sum {
	uint64_t upto[HISTOGRAM_BOUNDS]; /* how many were at most that long, or large */
	uint64_t count;
	uint64_t sum; /* microseconds, or bytes */
};
void histogram_read(enum histogram h, struct histogram_sum *out);

#endif
