/* How much a client may send: websocket.message_rate, message_burst and byte_rate, by `over_rate`; how much all that share
 * its key may (limits.message_rate, byte_rate and key of the route); and of what kind (websocket.opcodes).
 *
 * A meter is the moment at which its bucket will be full again (GCRA): what is sent moves it on, and a message is within
 * the rate as long as that moment is no further away than the burst.  Bytes may run into debt: a message larger than the
 * burst passes once, and is paid for afterwards.
 * A message is judged by its first frame.  Control frames count as messages, and are never dropped.  What has to wait is
 * not read; what had been read already stands in `rest`. */
#include "base/clock.h"
#include "base/random.h"
#include "proxy/counters.h"
#include "proxy/ws_inside.h"

#include <string.h>

#define FRAME_OVERHEAD 6u

static bool has_rates(const struct websocket_policy *p)
{
	return p->message_rate_per_s > 0 || p->byte_rate_per_s > 0;
}

/* A message that is taken out of a compressed stream would break what follows: there, drop is delay. */
static enum over_rate action_of(const struct ws_relay *r)
{
	enum over_rate action = policy_of(r)->over_rate;

	if (action == OVER_RATE_DROP && !compress_may_drop(r, CLIENT))
		return OVER_RATE_DELAY;
	return action;
}

bool rates_judge_frames(const struct ws_relay *r)
{
	const struct websocket_policy *p = policy_of(r);

	return p->opcodes != WS_OPCODES_ALL || has_rates(p) || (r->care != NULL && r->care->shared != NULL);
}

/* ---- meters of a key ---- */

/* What the relay's route says of them, in the configuration that it goes by. */
static const struct guard_route *shared_of(const struct ws_relay *r, struct guard_request *q)
{
	const struct snapshot *s = r->view->snapshot;
	const struct guard_route *limits;

	for (size_t i = 0; i < s->config->listeners_count; i++) {
		const struct listener_config *l = &s->config->listeners[i];

		if (r->route < l->routes || r->route >= l->routes + l->routes_count)
			continue;
		*q = (struct guard_request){ .listener = i, .route = (size_t)(r->route - l->routes) };
		limits = guard_route_of(s->guard, q);
		return guard_counts_messages(limits) ? limits : NULL;
	}
	return NULL;
}

/* One that began before its route counted by key is counted by address, whatever the key: its request is gone. */
static void shared_bind(struct ws_relay *r)
{
	struct guard_request q = { 0 };
	const struct guard_route *limits = shared_of(r, &q);
	struct ws_care *care = limits != NULL ? ws_care_of(r) : r->care;
	const struct guard *g = r->view->snapshot->guard;
	struct addr client;
	uint8_t bytes[17];

	if (care == NULL)
		return;
	care->shared = limits;
	if (limits == NULL || care->has_key)
		return;
	q.client = &client;
	if (!connections_client(&r->worker->open, r->connection, &client)) {
		care->shared = NULL;
		return;
	}
	care->key = guard_message_key(g, &q, bytes, guard_address_key(g, &q, bytes));
	care->has_key = true;
}

void rates_begin(struct ws_relay *r, const struct limit_key *key)
{
	struct ws_care *care = key != NULL ? ws_care_of(r) : NULL;

	if (care != NULL) {
		care->key = *key;
		care->has_key = true;
	}
	shared_bind(r);
}

/* ---- meters ---- */

static struct meter_rate messages_of(const struct websocket_policy *p)
{
	return meter_rate_of(p->message_rate_per_s, p->message_burst);
}

static struct meter_rate bytes_of(const struct websocket_policy *p)
{
	return meter_rate_of(p->byte_rate_per_s, 0);
}

/* ---- delaying ---- */

bool rates_keeps(const struct ws_relay *r)
{
	return r->care != NULL && r->care->rest.len > 0;
}

void rates_keep(struct ws_relay *r, struct slice more)
{
	struct ws_care *care = ws_care_of(r);

	if (care != NULL && more.len > 0 && !slice_append(&care->rest, more))
		care->is_broken = true;
}

static enum ws_verdict delay(struct ws_relay *r, struct ws_care *care, uint64_t wait_ns)
{
	counter_add(PROXY_OVER_RATE + OVER_RATE_DELAY, 1);
	r->sides[CLIENT].is_delayed = true;
	care->delayed_until_ms = ring_of(r)->now_ms + wait_ns / 1000000 + 1;
	side_read(r, CLIENT);
	relay_timer_set(r);
	return WS_WAIT;
}

/* ---- judging ---- */

static enum ws_verdict stop(struct ws_relay *r, enum reason why)
{
	struct ws_care *care = ws_care_of(r);

	if (care != NULL)
		care->stopped_by = (uint8_t)why;
	return WS_STOP;
}

static enum ws_verdict over(struct ws_relay *r, struct ws_care *care, const struct ws_frame *f, enum reason why,
			    uint64_t wait_ns)
{
	switch (action_of(r)) {
	case OVER_RATE_DELAY:
		return delay(r, care, wait_ns);
	case OVER_RATE_CLOSE:
		counter_add(PROXY_OVER_RATE + OVER_RATE_CLOSE, 1);
		return stop(r, why);
	default:
		break;
	}
	if (ws_opcode_is_control(f->opcode))
		return WS_PASS;
	counter_add(PROXY_OVER_RATE + OVER_RATE_DROP, 1);
	care->dropped[CLIENT]++;
	return WS_DROP;
}

enum ws_verdict rates_judge(struct ws_relay *r, const struct ws_frame *f)
{
	const struct websocket_policy *p = policy_of(r);
	struct meter_rate messages = messages_of(p), bytes = bytes_of(p);
	bool begins = f->opcode != WS_OP_CONTINUATION;
	enum limit_meter which = LIMIT_MESSAGES;
	struct ws_care *care;
	uint64_t now, wait;

	if (begins && !ws_opcode_is_control(f->opcode) && (p->opcodes & (1u << f->opcode)) == 0)
		return stop(r, REASON_WS_OPCODE);
	if ((!has_rates(p) && (r->care == NULL || r->care->shared == NULL)) || r->sides[CLIENT].is_muted)
		return WS_PASS;
	care = ws_care_of(r);
	if (care == NULL)
		return WS_PASS;
	now = clock_now_ns();
	if (begins && (wait = meter_wait_ns(care->messages_ns, &messages, now)) > 0)
		return over(r, care, f, REASON_WS_MESSAGE_RATE, wait);
	if (begins && (wait = meter_wait_ns(care->bytes_ns, &bytes, now)) > 0)
		return over(r, care, f, REASON_WS_BYTE_RATE, wait);
	wait = care->shared != NULL ? limit_frame(r->worker->limits, &care->key, &care->shared->messages, now, begins,
						  f->payload_len + FRAME_OVERHEAD, &which) :
				      0;
	if (wait > 0) /* others wait for the same: not all at once, or one of them would always be the first */
		return over(r, care, f, which == LIMIT_MESSAGES ? REASON_WS_KEY_MESSAGE_RATE : REASON_WS_KEY_BYTE_RATE,
			    wait + random_fast() % (wait + 1));
	meter_charge(&care->messages_ns, &messages, now, begins);
	meter_charge(&care->bytes_ns, &bytes, now, f->payload_len + FRAME_OVERHEAD);
	return WS_PASS;
}

bool rates_stopped(struct ws_relay *r)
{
	struct ws_care *care = ws_care_of(r);

	if (!relay_close_gently(r, care != NULL && care->stopped_by != 0 ? care->stopped_by : REASON_NO_MEMORY))
		return false;
	r->sides[CLIENT].is_closed = ws_tracker_is_closed(&r->sides[CLIENT].tracker); /* behind what stopped it */
	return close_is_answered(r);
}

/* ---- the timer ---- */

uint64_t rates_at(const struct ws_relay *r)
{
	return r->sides[CLIENT].is_delayed && r->care != NULL ? r->care->delayed_until_ms : UINT64_MAX;
}

/* What waited has its turn, as far as the rate goes. */
bool rates_run(struct ws_relay *r)
{
	struct ws_side *s = &r->sides[CLIENT];
	struct slice rest;
	bool is_alive;

	if (rates_at(r) > ring_of(r)->now_ms)
		return true;
	s->is_delayed = false;
	s->heard_ms = (uint32_t)ring_of(r)->now_ms; /* it could not be heard before */
	rest = r->care->rest;
	r->care->rest = SLICE_EMPTY;
	is_alive = rest.len == 0 || relay_bytes(r, CLIENT, rest);
	slice_unref(rest);
	if (!is_alive)
		return false;
	side_read(r, CLIENT);
	if (!r->care->has_eof || s->is_delayed || compress_keeps(r))
		return true;
	r->care->has_eof = false;
	return side_eof(r, CLIENT);
}

void rates_rebind(struct ws_relay *r)
{
	shared_bind(r);
	if (r->care == NULL)
		return;
	r->care->messages_ns = r->care->bytes_ns = 0;
	if (r->sides[CLIENT].is_delayed)
		r->care->delayed_until_ms = ring_of(r)->now_ms;
}
