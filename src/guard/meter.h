/* A token bucket that may run into debt, in one number: the moment at which it will be full again.
 *
 * The generic cell rate algorithm: what is taken moves that moment on; there is something to take as long as it is no
 * further away than the burst.  Pure: time is an argument.
 * Called by: guard/limit_table; proxy/ws_rates, for meters of one connection. */
#ifndef GUARD_METER_H
#define GUARD_METER_H

#include <stdint.h>

struct meter_rate {
	double unit_ns;	   /* of one; 0: no limit */
	uint64_t burst_ns; /* of a full bucket */
};

/* `burst` 0: one second's worth, and at least one. */
static inline struct meter_rate meter_rate_of(double per_s, uint32_t burst)
{
	struct meter_rate rate = { 0, 0 };

	if (per_s <= 0)
		return rate;
	rate.unit_ns = 1e9 / per_s;
	rate.burst_ns = burst > 0 ? (uint64_t)(rate.unit_ns * burst) : rate.unit_ns > 1e9 ? (uint64_t)rate.unit_ns : 1000000000u;
	return rate;
}

/* Takes so many, whether they are there or not. */
static inline void meter_charge(uint64_t *full_ns, const struct meter_rate *rate, uint64_t now_ns, uint64_t count)
{
	double cost = rate->unit_ns * (double)count;

	if (*full_ns < now_ns)
		*full_ns = now_ns;
	*full_ns += cost < 1e18 ? (uint64_t)cost : (uint64_t)1e18; /* thirty years */
}

/* How long until one more is there; 0: it is. */
static inline uint64_t meter_wait_ns(uint64_t full_ns, const struct meter_rate *rate, uint64_t now_ns)
{
	uint64_t debt = full_ns > now_ns ? full_ns - now_ns : 0;
	uint64_t with_one = debt + (uint64_t)rate->unit_ns;

	return rate->unit_ns > 0 && with_one > rate->burst_ns ? with_one - rate->burst_ns : 0;
}

#endif
