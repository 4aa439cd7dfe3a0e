/* A histogram of latencies: from 1 ns to an hour, 64 steps in each power of two, so right within 1.6 %. */
#ifndef BENCH_LATENCY_H
#define BENCH_LATENCY_H

#include <stddef.h>
#include <stdint.h>

#define LATENCY_STEPS 64 /* 2^6 */
#define LATENCY_BUCKETS (38 * LATENCY_STEPS)

struct latency {
	uint32_t counts[LATENCY_BUCKETS];
};

static inline void latency_add(struct latency *l, uint64_t ns)
{
	size_t at = (size_t)ns;

	if (ns >= LATENCY_STEPS) {
		unsigned shift = 63 - (unsigned)__builtin_clzll(ns) - 6;

		at = (shift + 1) * LATENCY_STEPS + (size_t)((ns >> shift) - LATENCY_STEPS);
	}
	l->counts[at < LATENCY_BUCKETS ? at : LATENCY_BUCKETS - 1]++;
}

/* Microseconds below which `share` of all latencies lies; 0 when there are none. */
static inline double latency_quantile_us(const struct latency *l, double share)
{
	uint64_t all = 0, below = 0;

	for (size_t i = 0; i < LATENCY_BUCKETS; i++)
		all += l->counts[i];
	for (size_t i = 0; i < LATENCY_BUCKETS; i++) {
		uint64_t ns = i;

		below += l->counts[i];
		if (below == 0 || (double)below < share * (double)all)
			continue;
		if (i >= LATENCY_STEPS)
			ns = (uint64_t)(LATENCY_STEPS + i % LATENCY_STEPS) << (i / LATENCY_STEPS - 1);
		return (double)ns / 1e3;
	}
	return 0;
}

#endif
