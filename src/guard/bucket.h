/* A token bucket in one number: the moment at which it will be full again.
 *
 * The generic cell rate algorithm: each token taken moves that moment one interval on; a token is there as long as the
 * moment is no further away than the burst.  Nothing runs in the background, and no share of a token is lost.
 * Called by: guard/limit_table; whoever keeps a bucket of its own. */
#ifndef GUARD_BUCKET_H
#define GUARD_BUCKET_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

struct bucket_rate {
	uint64_t interval_ns; /* of one token; 0: no limit */
	uint64_t burst_ns;    /* of a full bucket */
	uint32_t burst;	      /* tokens in it */
};

/* `burst` 0: one second's worth, and at least one. */
static inline struct bucket_rate bucket_rate_of(double per_s, uint32_t burst)
{
	struct bucket_rate r = { 0, 0, 0 };

	if (per_s <= 0)
		return r;
	r.interval_ns = per_s < 1e9 ? (uint64_t)(1e9 / per_s) : 1;
	r.burst = burst;
	if (burst == 0)
		r.burst = per_s < 1 ? 1 : per_s > 1e9 ? 1000000000u : (uint32_t)ceil(per_s);
	/* far beyond any clock's end, and far from an overflow when a clock is added */
	r.burst_ns = r.interval_ns > UINT64_MAX / 8 / r.burst ? UINT64_MAX / 8 : r.interval_ns * r.burst;
	return r;
}

static inline bool bucket_take(uint64_t *full_at_ns, const struct bucket_rate *r, uint64_t now_ns)
{
	uint64_t at = *full_at_ns > now_ns ? *full_at_ns : now_ns;

	if (at - now_ns + r->interval_ns > r->burst_ns)
		return false;
	*full_at_ns = at + r->interval_ns;
	return true;
}

/* Until there is a token; 0: there is one. */
static inline uint64_t bucket_wait_ns(uint64_t full_at_ns, const struct bucket_rate *r, uint64_t now_ns)
{
	uint64_t debt = full_at_ns > now_ns ? full_at_ns - now_ns : 0;

	return debt + r->interval_ns > r->burst_ns ? debt + r->interval_ns - r->burst_ns : 0;
}

#endif
