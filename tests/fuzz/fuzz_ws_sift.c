/* wire/ws_sift: six octets of settings, then a stream.
 *
 * Always: what is given out, with frames of our own put in wherever a boundary is reported, is a legal stream up to the
 * first rule that the input breaks, and holds the same frames but those that were judged away and the pongs that are ours;
 * however the input is cut. */
#include "wire/ws_sift.h"

#include "must.h"

#include <string.h>

enum { OUT_MAX = 1 << 16 };

struct relay {
	struct ws_stash stash;
	enum ws_role from;
	uint8_t out[OUT_MAX];
	size_t len;
	size_t injected;
	unsigned modulus; /* judges every modulus-th frame away; 0: none */
	bool stops;	  /* the last of its verdicts is to stop */
	bool is_within;	  /* by the marks of the pieces */
	uint32_t taken;
	bool waits;	 /* asks for some frames to be shown again */
	bool has_waited; /* it was this one's turn */
};

static enum ws_verdict judge(void *user, const struct ws_frame *f)
{
	struct relay *r = user;
	unsigned dice = (unsigned)(f->payload_len * 7 + f->opcode);

	if (r->waits && dice % 3 != 1 && !r->has_waited) {
		r->has_waited = true;
		return WS_WAIT;
	}
	r->has_waited = false;
	if (r->stops && dice % 11 == 3)
		return WS_STOP;
	return r->modulus > 0 && dice % r->modulus == 0 && !ws_opcode_is_control(f->opcode) ? WS_DROP : WS_PASS;
}

/* Pongs of an even first octet, and empty ones, are taken for ours. */
static bool payload_is_ours(const uint8_t *payload, size_t len)
{
	return len == 0 || (payload[0] & 1) == 0;
}

static bool is_ours(void *user, const uint8_t *payload, size_t len)
{
	struct relay *r = user;

	r->taken += payload_is_ours(payload, len);
	return payload_is_ours(payload, len);
}

static struct ws_stash *stash(void *user)
{
	return &((struct relay *)user)->stash;
}

static void put(struct relay *r, const uint8_t *at, size_t len)
{
	MUST(len <= OUT_MAX - r->len);
	memcpy(r->out + r->len, at, len);
	r->len += len;
}

static void piece(void *user, const uint8_t *at, size_t len, unsigned marks, bool is_copy)
{
	struct relay *r = user;

	(void)is_copy;
	MUST(len > 0);
	MUST(((marks & WS_PIECE_BEGINS) != 0) == !r->is_within);
	r->is_within = (marks & WS_PIECE_ENDS) == 0;
	put(r, at, len);
}

static void boundary(void *user)
{
	struct relay *r = user;
	uint8_t ping[WS_CONTROL_MAX];
	int len = ws_ping_write(ping, sizeof(ping), "ourping!", 8, r->from == WS_FROM_CLIENT ? (const uint8_t *)"key!" : NULL);

	MUST(!r->is_within);
	if (r->len > OUT_MAX / 2)
		return;
	put(r, ping, (size_t)len);
	r->injected++;
}

static const struct ws_sift_calls calls = { judge, is_ours, stash, piece, boundary, true };

/* The frames of a stream, each as opcode, flags, length and payload; what was judged away or is ours left out. */
static int frames_print(const struct ws_tracker *fresh, const struct ws_limits *limits, const uint8_t *in, size_t len,
			struct relay *judged, bool skip_injected, uint8_t *out, size_t *out_len, bool *is_within)
{
	struct ws_tracker t = *fresh;
	size_t at = 0, header_at = 0, payload_at = 0, n = 0;
	bool drops = false, drops_message = false, is_over = false;
	struct ws_frame f = { 0 };
	struct ws_event ev;

	for (;;) {
		size_t used = ws_tracker_next(&t, limits, in + at, len - at, &ev);

		if (ev.kind == WS_EVENT_FRAME) {
			header_at = at;
			f = ev.frame;
			payload_at = at + used;
			drops = false;
			if (judged != NULL && f.opcode != WS_OP_PONG) {
				enum ws_verdict v = drops_message && f.opcode == WS_OP_CONTINUATION ? WS_DROP :
												      judge(judged, &f);

				if (v == WS_DROP && f.opcode == WS_OP_CONTINUATION && !drops_message)
					v = WS_PASS;

				is_over = is_over || v == WS_STOP;
				drops = v != WS_PASS;
				if (v == WS_DROP && !ws_opcode_is_control(f.opcode))
					drops_message = true;
			}
		} else if (ev.kind == WS_EVENT_FRAME_END) {
			uint8_t plain[WS_CONTROL_PAYLOAD_MAX];
			size_t frame_len = at + used - header_at;

			if (f.opcode == WS_OP_PONG) {
				memcpy(plain, in + payload_at, f.payload_len);
				if (f.is_masked)
					ws_mask(plain, f.payload_len, f.key, 0);
				if (judged != NULL)
					drops = payload_is_ours(plain, f.payload_len);
			}
			if (skip_injected && f.opcode == WS_OP_PING && f.payload_len == 8) {
				memcpy(plain, in + payload_at, 8);
				if (f.is_masked)
					ws_mask(plain, 8, f.key, 0);
				drops = memcmp(plain, "ourping!", 8) == 0;
			}
			if (ev.ends_message)
				drops_message = false;
			if (!drops && !is_over) {
				memcpy(out + n, in + header_at, frame_len);
				n += frame_len;
			}
		} else {
			break;
		}
		at += used;
	}
	*out_len = n;
	*is_within = t.in_frame;
	return ev.kind == WS_EVENT_ERROR ? ev.error : 0;
}

static bool holds_our_ping(const uint8_t *in, size_t len)
{
	for (size_t i = 0; i + 8 <= len; i++)
		if (memcmp(in + i, "ourping!", 8) == 0)
			return true;
	return false;
}

static void sift(const struct ws_tracker *fresh, const struct ws_limits *limits, const uint8_t *in, size_t len, size_t step,
		 struct relay *r, bool *is_within, int *error)
{
	struct ws_tracker t = *fresh;
	struct ws_sift s = { 0 };
	size_t at = 0;

	do {
		size_t size = len - at < step ? len - at : step;
		uint8_t run[OUT_MAX]; /* of its own: nothing may be read beyond it */
		struct ws_summary sum;

		memcpy(run, in + at, size);
		*error = ws_sift_feed(&s, &t, limits, run, size, &calls, r, &sum);
		MUST(sum.used_len <= size);
		if (s.is_waiting) {
			MUST(*error == 0 && !r->is_within && sum.used_len < size);
			at += sum.used_len;
			continue;
		}
		*is_within = ws_sift_is_within(&s, &t);
		MUST(*error != 0 || *is_within == r->is_within);
		at += size;
	} while (at < len && *error == 0 && !t.is_closed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct relay whole, cut;
	static uint8_t want[OUT_MAX], got[OUT_MAX];
	size_t want_len, got_len;
	struct ws_limits limits;
	struct ws_tracker fresh;
	bool want_within, within, cut_within;
	int error, cut_error;

	if (size < 6 || size > OUT_MAX / 8 || holds_our_ping(data, size))
		return 0;
	limits.max_frame_len = data[1] ? 64u * data[1] : 0;
	limits.max_message_len = data[2] ? 128u * data[2] : 0;
	memset(&whole, 0, sizeof(whole));
	whole.from = data[0] & 1 ? WS_FROM_SERVER : WS_FROM_CLIENT;
	whole.modulus = data[3] % 8;
	whole.stops = (data[4] & 1) != 0;
	cut = whole;
	cut.waits = (data[4] & 2) != 0;
	ws_tracker_init(&fresh, whole.from, (unsigned)(data[0] & 0x0e) << 3);

	sift(&fresh, &limits, data + 6, size - 6, size, &whole, &within, &error);
	sift(&fresh, &limits, data + 6, size - 6, 1 + data[5] % 32u, &cut, &cut_within, &cut_error);
	MUST(error == cut_error && within == cut_within && whole.taken == cut.taken);

	frames_print(&fresh, &limits, data + 6, size - 6, &whole, false, want, &want_len, &want_within);
	MUST(frames_print(&fresh, NULL, whole.out, whole.len, NULL, true, got, &got_len, &want_within) == 0);
	MUST(got_len == want_len && memcmp(want, got, want_len) == 0);
	MUST(frames_print(&fresh, NULL, cut.out, cut.len, NULL, true, got, &got_len, &want_within) == 0 || cut_error != 0);
	MUST(got_len == want_len && memcmp(want, got, want_len) == 0);
	return 0;
}
