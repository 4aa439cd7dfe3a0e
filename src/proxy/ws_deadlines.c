/* The one timer of a WebSocket: what may be due, and what happens then. */
#include "base/clock.h"
#include "base/hash.h"
#include "proxy/ws_inside.h"

static uint64_t age_ms(const struct ws_relay *r)
{
	return (clock_now_ns() - r->began_ns) / 1000000;
}

/* Each has a lifetime of its own, shorter by up to the jitter; 0: none. */
static uint64_t lifetime_ms(const struct ws_relay *r)
{
	const struct websocket_policy *p = policy_of(r);
	double part = (double)(hash_mix(r->began_ns ^ (uintptr_t)r) >> 11) / (double)(UINT64_C(1) << 53);

	return p->max_lifetime_ms - (uint64_t)((double)p->max_lifetime_ms * p->max_lifetime_jitter_percent / 100 * part);
}

static uint64_t close_due(const struct ws_relay *r)
{
	if (r->why != REASON_NONE) /* the answer to a Close, or the end of a frame */
		return (is_told(r) ? r->message_ms : r->close_at_ms) + CLOSE_WAIT_MS;
	return r->close_at_ms > 0 ? r->close_at_ms : UINT64_MAX;
}

static uint64_t idle_due(const struct ws_relay *r)
{
	uint64_t timeout = policy_of(r)->idle_timeout_ms;

	return timeout > 0 ? r->message_ms + timeout : UINT64_MAX;
}

static uint64_t token_due(const struct ws_relay *r)
{
	return live_token_due_ms(r->token, r->route->auth.jwt, ring_of(r)->now_ms);
}

static uint64_t lifetime_due(const struct ws_relay *r)
{
	uint64_t age, life;

	if (policy_of(r)->max_lifetime_ms == 0)
		return UINT64_MAX;
	age = age_ms(r);
	life = lifetime_ms(r);
	return ring_of(r)->now_ms + (age < life ? life - age : 0);
}

/* What is over once it is due, and why; what is asked first wins.  NONE: the relay's close_why. */
static const struct {
	uint64_t (*due)(const struct ws_relay *);
	enum reason why;
} ends[] = {
	{ close_due, REASON_NONE },
	{ token_due, REASON_TOKEN_EXPIRED },
	{ idle_due, REASON_TIMEOUT_WS_IDLE },
	{ lifetime_due, REASON_WS_LIFETIME },
	{ slow_due, REASON_WS_SLOW },
};

void relay_timer_set(struct ws_relay *r)
{
	uint64_t now = ring_of(r)->now_ms, at = heartbeat_at(r), rates = rates_at(r);

	if (rates < at)
		at = rates;
	for (size_t i = 0; i < (r->why != REASON_NONE ? 1 : sizeof(ends) / sizeof(ends[0])); i++) {
		uint64_t due = ends[i].due(r);

		if (due < at)
			at = due;
	}
	if (at == UINT64_MAX)
		timer_cancel(&r->timer);
	else
		ring_timer_arm(ring_of(r), &r->timer, at > now ? at - now : 0);
}

static enum reason end_due(const struct ws_relay *r)
{
	if (r->why != REASON_NONE)
		return r->why;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (ends[i].due(r) <= ring_of(r)->now_ms)
			return ends[i].why != REASON_NONE ? ends[i].why : (enum reason)r->close_why;
	return REASON_NONE;
}

void relay_timer_fired(struct timer *t)
{
	struct ws_relay *r = container_of(t, struct ws_relay, timer);
	enum reason why;

	if (!rates_run(r))
		return;
	why = end_due(r);
	if (is_told(r)) { /* and its answer has not come in time */
		if (ring_of(r)->now_ms >= r->message_ms + CLOSE_WAIT_MS) {
			relay_finish(r);
			return;
		}
	} else if (why != REASON_NONE ? !relay_close_gently(r, why) : !heartbeat_run(r)) {
		return;
	}
	relay_timer_set(r);
}
