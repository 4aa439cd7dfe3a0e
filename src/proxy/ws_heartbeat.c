/* Pings of the proxy's own: to a client that has been silent (websocket.ping_interval), to an endpoint that has
 * (websocket.backend_ping_interval), and what becomes of one that answers nothing (websocket.pong_timeout).
 *
 * A ping carries eight bytes that nobody can guess and that need no memory: a hash of the relay, the side and the moment.
 * Whatever a side sends is a sign of life; only its answer to our ping is taken out of what it sends.  One that cannot be
 * heard, since it is not read just now, is not judged; nor one that is still taking what waits before the ping.  A ping that
 * cannot leave, since a frame to that side stands unfinished, has the same time: then who does not take the frame is dead,
 * or who does not bring the rest of it. */
#include "base/clock.h"
#include "base/histogram.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/random.h"
#include "proxy/counters.h"
#include "proxy/ws_inside.h"

#define PING_LEN 8

static const enum reason dead[] = { [CLIENT] = REASON_WS_CLIENT_DEAD, [BACKEND] = REASON_WS_BACKEND_DEAD };

static uint32_t now_us(void)
{
	return (uint32_t)(clock_now_ns() / 1000);
}

static uint64_t interval_ms(const struct ws_relay *r, int side)
{
	return side == CLIENT ? policy_of(r)->ping_interval_ms : policy_of(r)->backend_ping_interval_ms;
}

/* Since a moment kept as its low 32 bits: right up to 49 days, and then what is long ago is taken for less. */
static uint32_t since_ms(const struct ws_relay *r, uint32_t then)
{
	return (uint32_t)ring_of(r)->now_ms - then;
}

/* How long this side may be silent this time: up to a quarter less than the interval, so that those who fell silent in one
 * instant are not pinged in one.  The same until it is heard again. */
static uint64_t patience_ms(const struct ws_relay *r, int side)
{
	uint64_t interval = interval_ms(r, side);
	uint64_t dice = hash_mix((uintptr_t)r ^ (uint64_t)r->sides[side].heard_ms << 32 ^ (unsigned)side);

	return interval - (interval / 4 > 0 ? dice % (interval / 4) : 0);
}

/* The moment at which this side has something due; UINT64_MAX: never. */
static uint64_t side_due(const struct ws_relay *r, int side)
{
	const struct ws_side *s = &r->sides[side];
	uint64_t now = ring_of(r)->now_ms, wait, gone;

	if (s->is_pinged || s->ping_is_due) {
		if (policy_of(r)->pong_timeout_ms == 0)
			return UINT64_MAX;
		wait = policy_of(r)->pong_timeout_ms;
	} else {
		if (interval_ms(r, side) == 0)
			return UINT64_MAX;
		wait = patience_ms(r, side);
	}
	gone = since_ms(r, s->heard_ms);
	return now + (gone < wait ? wait - gone : 0);
}

uint64_t heartbeat_at(const struct ws_relay *r)
{
	uint64_t client, backend;

	if (!is_live(r))
		return UINT64_MAX;
	client = side_due(r, CLIENT);
	backend = side_due(r, BACKEND);
	return client < backend ? client : backend;
}

/* ---- pings and pongs ---- */

/* One secret a thread: a relay never leaves its own. */
static uint64_t ping_value(const struct ws_relay *r, int side)
{
	static _Thread_local uint64_t secret;
	uint64_t what[2] = { (uintptr_t)r, (uint64_t)r->sides[side].ping_us << 1 | (unsigned)side };

	if (secret == 0)
		random_bytes(&secret, sizeof(secret));
	return hash64(what, sizeof(what), secret);
}

static int ping_write(uint8_t *out, const uint8_t *key, const void *what)
{
	return ws_ping_write(out, WS_CONTROL_MAX, what, PING_LEN, key);
}

static void ping_send(struct ws_relay *r, int to)
{
	struct ws_side *s = &r->sides[to];
	uint64_t value;

	s->ping_is_due = false;
	s->is_pinged = true;
	s->ping_us = now_us();
	s->heard_ms = (uint32_t)ring_of(r)->now_ms; /* pong_timeout counts from here */
	value = ping_value(r, to);
	side_inject(r, to, ping_write, &value);
	s->queued = s->d != NULL ? s->d->queued : 0;
	counter_add(to == CLIENT ? PROXY_PINGS_CLIENT : PROXY_PINGS_BACKEND, 1);
}

bool heartbeat_pong(struct ws_relay *r, int from, const uint8_t *payload, size_t len)
{
	struct ws_side *s = &r->sides[from];
	uint64_t value = ping_value(r, from);

	if (!s->is_pinged || len != PING_LEN || memcmp(payload, &value, PING_LEN) != 0)
		return false;
	s->is_pinged = false;
	if (policy_of(r)->pong_timeout_ms == 0 || policy_of(r)->pong_timeout_ms > interval_ms(r, from) / 2)
		relay_timer_set(r); /* else it fires before the next ping is due */
	s->ping_us = now_us() - s->ping_us;
	s->has_rtt = true;
	if (from == CLIENT)
		histogram_add_us(HISTOGRAM_PING_RTT, s->ping_us);
	return true;
}

void heartbeat_at_boundary(struct ws_relay *r, int to)
{
	if (r->sides[to].ping_is_due && is_live(r))
		ping_send(r, to);
}

/* ---- the timer ---- */

static void ping_wait(struct ws_relay *r, int to)
{
	struct ws_side *s = &r->sides[to];

	s->ping_is_due = true;
	s->heard_ms = (uint32_t)ring_of(r)->now_ms; /* pong_timeout counts from here */
	s->queued = s->d != NULL ? s->d->queued : 0;
}

/* The ping, or what waits before it, is still on its way into the socket. */
static bool still_takes(struct ws_side *s)
{
	uint32_t before = s->queued;

	s->queued = s->d != NULL ? s->d->queued : 0;
	return s->queued != before;
}

/* Whether it is us who do not listen, or it takes what waits before the ping. */
static bool is_excused(struct ws_side *s)
{
	return s->is_held || s->is_delayed || still_takes(s);
}

/* The frame that stands before the ping has left as far as it has come: the other side has stopped in the midst of it. */
static bool is_others_frame(const struct ws_relay *r, int side)
{
	const struct ws_side *s = &r->sides[side];

	return s->ping_is_due && s->queued == 0;
}

static bool side_judge(struct ws_relay *r, int side)
{
	struct ws_side *s = &r->sides[side], *other = &r->sides[!side];
	bool is_excusable = is_excused(s);

	if (!is_excusable && is_others_frame(r, side)) {
		is_excusable = other->is_held || other->is_delayed || since_ms(r, other->heard_ms) < policy_of(r)->pong_timeout_ms;
		side = !side;
	}
	if (is_excusable) {
		s->heard_ms = (uint32_t)ring_of(r)->now_ms;
		return true;
	}
	log_debug("websocket: %s %s", side == CLIENT ? "a client" : r->endpoint->name,
		  s->ping_is_due ? "has stopped within a frame" : "answers no ping");
	relay_close(r, dead[side], 0, NULL, side == CLIENT ? CLOSED_BY_CLIENT : CLOSED_BY_BACKEND);
	return false;
}

bool heartbeat_run(struct ws_relay *r)
{
	for (int side = 0; side < 2; side++) {
		if (side_due(r, side) > ring_of(r)->now_ms)
			continue;
		if (r->sides[side].is_pinged || r->sides[side].ping_is_due) {
			if (!side_judge(r, side))
				return false;
		} else if (may_inject(r, side)) {
			ping_send(r, side);
		} else {
			ping_wait(r, side);
		}
	}
	return true;
}

void heartbeat_rebind(struct ws_relay *r)
{
	for (int side = 0; side < 2; side++) {
		struct ws_side *s = &r->sides[side];

		if (interval_ms(r, side) == 0)
			s->ping_is_due = false;
		if (side_due(r, side) <= ring_of(r)->now_ms)
			s->heard_ms = (uint32_t)ring_of(r)->now_ms;
	}
}
