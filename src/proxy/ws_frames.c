/* A run of bytes from one side of a WebSocket: followed, counted, passed on.
 *
 * Where nothing is to be looked for it goes on as it came, with one look at its headers; else frame by frame through
 * wire/ws_sift. */
#include "base/clock.h"
#include "base/histogram.h"
#include "base/random.h"
#include "proxy/counters.h"
#include "proxy/ws_inside.h"

#include <stdlib.h>
#include <string.h>

struct ws_care *ws_care_of(struct ws_relay *r)
{
	if (r->care == NULL)
		r->care = calloc(1, sizeof(*r->care));
	return r->care;
}

/* ---- towards a side ---- */

/* Where so much waits already, a small piece is copied: it would keep a whole receive buffer for as long as it waits. */
#define COPY_ABOVE 16384u
#define COPY_MAX   2048u

static struct slice copied(struct ws_relay *r, struct slice s)
{
	struct slice copy = ring_copy(ring_of(r), s.at, s.len);

	if (copy.len != s.len)
		return s; /* no memory: it waits as it is */
	slice_unref(s);
	return copy;
}

void side_write(struct ws_relay *r, int to, struct slice s)
{
	struct ws_side *side = &r->sides[to];

	if (to == CLIENT && slow_waits(r) && slow_push(r, s.at, s.len, 0)) {
		slice_unref(s);
		return;
	}
	if (side->d != NULL && side->d->queued > COPY_ABOVE && s.len <= COPY_MAX)
		s = copied(r, s);
	if (side->d != NULL)
		duplex_write(side->d, s);
	else
		slice_unref(s);
}

void side_inject(struct ws_relay *r, int to, int (*write)(uint8_t *out, const uint8_t *key, const void *what),
		 const void *what)
{
	struct ring *ring = ring_of(r);
	uint8_t *at = ring_bump(ring, WS_CONTROL_MAX);
	uint8_t key[4];
	int len;

	if (at == NULL || r->sides[to].d == NULL)
		return;
	if (to == BACKEND)
		random_bytes(key, sizeof(key));
	len = write(at, to == BACKEND ? key : NULL, what);
	if (len > 0)
		side_write(r, to, ring_bump_take(ring, (uint32_t)len));
}

void side_read(struct ws_relay *r, int side)
{
	struct ws_side *s = &r->sides[side];

	if (s->d == NULL)
		return;
	if (s->is_delayed && !s->is_muted)
		duplex_hold(s->d);
	else
		duplex_read(s->d, !s->is_held || s->is_muted);
}

/* ---- what a run held ---- */

static void count_messages(int from, const struct ws_summary *sum)
{
	enum histogram h = from == CLIENT ? HISTOGRAM_MESSAGE_IN : HISTOGRAM_MESSAGE_OUT;
	unsigned texts = from == CLIENT ? PROXY_TEXTS_IN : PROXY_TEXTS_OUT;

	if (sum->text_count > 0)
		counter_add(texts, sum->text_count);
	if (sum->text_count < sum->message_count)
		counter_add(texts + 1, sum->message_count - sum->text_count);
	for (unsigned left = sum->size_classes; left != 0; left &= left - 1) {
		unsigned c = (unsigned)__builtin_ctz(left);

		histogram_add_sizes(h, c, sum->sizes[c]);
	}
	histogram_add_sum(h, sum->message_bytes);
}

static void count(struct ws_relay *r, int from, const struct ws_summary *sum, uint32_t own_pongs)
{
	struct ws_side *s = &r->sides[from];

	s->bytes += sum->used_len;
	counter_add(from == CLIENT ? PROXY_BYTES_WS_IN : PROXY_BYTES_WS_OUT, sum->used_len);
	if (from == BACKEND && s->messages == 0 && sum->message_count > 0)
		histogram_add_us(HISTOGRAM_FIRST_MESSAGE, (clock_now_ns() - r->began_ns) / 1000);
	s->messages += sum->message_count;
	if (sum->data_frame_count > 0 || sum->message_count > 0)
		r->message_ms = ring_of(r)->now_ms;
	if (sum->ping_count > 0)
		counter_add(from == CLIENT ? PROXY_PINGS_IN : PROXY_PINGS_OUT, sum->ping_count);
	if (sum->pong_count > own_pongs)
		counter_add(from == CLIENT ? PROXY_PONGS_IN : PROXY_PONGS_OUT, sum->pong_count - own_pongs);
	if (sum->message_count > 0)
		count_messages(from, sum);
}

/* What a side has sent goes on; takes the slice. */
static void pass(struct ws_relay *r, int from, struct slice s)
{
	if (compress_is_on(r))
		compress_pass(r, from, s);
	else
		side_write(r, !from, s);
}

/* ---- as it came ---- */

/* Passes on what may be passed of a run.  Bytes of a header that is not whole stay in the tracker, so that no side is
 * ever left within a header. */
static int pass_whole(struct ws_relay *r, int from, const struct ws_limits *limits, struct slice in,
		      struct ws_summary *sum)
{
	struct ws_side *s = &r->sides[from];
	uint8_t held[sizeof(s->tracker.held)];
	size_t held_len = s->tracker.in_frame ? 0 : ws_tracker_held_len(&s->tracker), kept;
	int error;

	if (held_len > 0)
		memcpy(held, s->tracker.held, held_len);
	error = ws_tracker_feed(&s->tracker, limits, in.at, in.len, sum);
	kept = s->tracker.in_frame ? 0 : ws_tracker_held_len(&s->tracker);
	if (error != 0) { /* nothing of the frame that is wrong, be it that its header began in an earlier run */
		kept = sum->used_len == 0 ? held_len : 0;
		s->is_within = s->is_within && sum->boundary == WS_NO_BOUNDARY;
	} else {
		s->is_within = s->tracker.in_frame;
	}
	if (kept >= sum->used_len + held_len)
		return error;
	if (held_len > 0)
		pass(r, from, ring_copy(ring_of(r), held, (uint32_t)held_len));
	if (sum->used_len > kept)
		pass(r, from, slice_ref(slice_sub(in, 0, (uint32_t)(sum->used_len - kept))));
	return error;
}

/* ---- frame by frame ---- */

struct sifting {
	struct ws_relay *r;
	int from;
	struct slice in;
};

static bool on_pong(void *user, const uint8_t *payload, size_t len)
{
	struct sifting *f = user;

	return heartbeat_pong(f->r, f->from, payload, len);
}

static struct ws_stash *on_stash(void *user)
{
	struct sifting *f = user;
	struct ws_care *care = ws_care_of(f->r);

	return care != NULL ? &care->stash[f->from] : NULL;
}

static enum ws_verdict on_judge(void *user, const struct ws_frame *f)
{
	struct sifting *s = user;

	return rates_judge(s->r, f);
}

static void on_piece(void *user, const uint8_t *at, size_t len, unsigned marks, bool is_copy)
{
	struct sifting *f = user;
	struct slice s;

	if (f->r->sides[f->from].is_muted) /* the proxy's Close has gone out at a boundary before it */
		return;
	if (f->from == BACKEND && !compress_is_on(f->r) && slow_takes(f->r, marks) && slow_push(f->r, at, len, marks))
		return;
	if (is_copy)
		s = ring_copy(ring_of(f->r), at, (uint32_t)len);
	else
		s = slice_ref(slice_sub(f->in, (uint32_t)(at - f->in.at), (uint32_t)len));
	pass(f->r, f->from, s);
}

static void on_boundary(void *user)
{
	struct sifting *f = user;

	f->r->sides[f->from].is_within = compress_is_on(f->r) && compress_is_within(f->r, f->from);
	heartbeat_at_boundary(f->r, !f->from);
	close_at_boundary(f->r, f->from);
}

static bool boundary_is_wanted(const struct ws_relay *r, int from)
{
	return r->sides[!from].ping_is_due || is_closing_gently(r);
}

static bool is_sifted(const struct ws_relay *r, int from)
{
	const struct ws_side *s = &r->sides[from];

	if (s->is_pinged || boundary_is_wanted(r, from) || ws_sift_is_engaged(&s->sift))
		return true;
	return from == CLIENT ? rates_judge_frames(r) : slow_drops(r) || slow_waits(r);
}

static int pass_sifted(struct ws_relay *r, int from, const struct ws_limits *limits, struct slice in,
		       struct ws_summary *sum)
{
	struct ws_side *s = &r->sides[from];
	struct sifting f = { r, from, in };
	struct ws_sift_calls calls = { .piece = on_piece, .stash = on_stash };
	int error;

	if (s->is_pinged || ws_sift_is_engaged(&s->sift))
		calls.is_ours = on_pong;
	if (from == CLIENT && rates_judge_frames(r))
		calls.judge = on_judge;
	/* what may be dropped later has to show where it ends, also when the policy has changed meanwhile */
	calls.each_frame = from == BACKEND && !compress_is_on(r) && (slow_drops(r) || slow_waits(r) || s->sift.is_loose);
	if (boundary_is_wanted(r, from))
		calls.boundary = on_boundary;
	error = ws_sift_feed(&s->sift, &s->tracker, limits, in.at, in.len, &calls, &f, sum);
	if (error != 0)
		s->is_within = s->is_within && sum->boundary == WS_NO_BOUNDARY;
	else
		s->is_within = ws_sift_is_within(&s->sift, &s->tracker);
	return error;
}

/* ---- a run ---- */

/* Nothing of it is passed: the other side has had its Close.  Its own Close is what is waited for. */
static bool muted_bytes(struct ws_relay *r, int from, struct slice in)
{
	struct ws_side *s = &r->sides[from];
	struct ws_summary sum;

	if (ws_tracker_feed(&s->tracker, NULL, in.at, in.len, &sum) == 0 && !ws_tracker_is_closed(&s->tracker))
		return true;
	s->is_closed = true;
	return close_is_answered(r);
}

/* What `from` sends may have nowhere to go. */
static void hold_if_full(struct ws_relay *r, int from)
{
	struct ws_side *s = &r->sides[from];
	struct duplex *to = r->sides[!from].d;

	if (s->is_held || is_closing_gently(r))
		return;
	if (from == BACKEND ? !slow_is_full(r) : !compress_keeps(r) && (to == NULL || !duplex_is_full(to)))
		return;
	s->is_held = true;
	side_read(r, from);
	if (from == BACKEND)
		slow_began(r);
}

#ifdef HF_TRACKER_BYPASS
/* What tests/bench compares with: bytes go on, and nobody looks at them.  In no other build. */
static bool is_bypassed(void)
{
	static int answer = -1;

	if (answer < 0)
		answer = getenv("HOLDFAST_TRACKER_BYPASS") != NULL;
	return answer > 0;
}

static bool bypass_bytes(struct ws_relay *r, int from, struct slice in)
{
	r->sides[from].bytes += in.len;
	side_write(r, !from, slice_ref(in));
	hold_if_full(r, from);
	return true;
}
#endif

bool relay_bytes(struct ws_relay *r, int from, struct slice in)
{
	struct ws_side *s = &r->sides[from];
	const struct websocket_policy *p = policy_of(r);
	struct ws_limits limits = { p->max_frame_size_bytes, p->max_message_size_bytes };
	bool was_pinged = s->is_pinged, is_sifting;
	struct ws_summary sum;
	int error;

#ifdef HF_TRACKER_BYPASS
	if (is_bypassed())
		return bypass_bytes(r, from, in);
#endif
	s->heard_ms = (uint32_t)ring_of(r)->now_ms;
	if (s->is_closed)
		return true;
	if (s->is_muted)
		return muted_bytes(r, from, in);
	if (from == CLIENT && rates_keeps(r)) {
		rates_keep(r, in);
		return true;
	}
	is_sifting = is_sifted(r, from);
	if (is_sifting)
		error = pass_sifted(r, from, &limits, in, &sum);
	else
		error = pass_whole(r, from, &limits, in, &sum);
	count(r, from, &sum, was_pinged && !s->is_pinged);
	if (r->care != NULL && r->care->mirror != NULL)
		ws_mirror_look(r->care->mirror, from == CLIENT, in.at, sum.used_len, ring_of(r)->now_ms);
	if (compress_is_on(r)) {
		s->is_within = compress_is_within(r, from);
		error = error != 0 ? error : compress_error(r);
	}
	if (is_sifting && s->sift.is_waiting)
		rates_keep(r, slice_sub(in, (uint32_t)sum.used_len, in.len - (uint32_t)sum.used_len));
	if (error != 0) {
		relay_violation(r, from, error);
		return false;
	}
	if (r->care != NULL && r->care->is_broken) {
		relay_blame(r, REASON_NO_MEMORY, CLOSED_BY_PROXY);
		relay_cut(r, REASON_NO_MEMORY);
		return false;
	}
	if (s->sift.is_stopped && r->why == REASON_NONE)
		return rates_stopped(r);
	if (ws_tracker_is_closed(&s->tracker) && !s->sift.is_stopped)
		return close_passed(r, from, sum.close_code);
	hold_if_full(r, from);
	return true;
}
