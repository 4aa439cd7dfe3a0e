/* wire/ws_sift, wire/websocket: random streams, legal and not, cut at every byte, with frames of our own put in wherever they
 * may stand.  The peer's parser always sees a legal stream, or the close that was specified. */
#include "wire/ws_sift.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

enum { STREAM_MAX = 4096, OUT_MAX = 1 << 18, STREAMS = 250 };

static uint64_t dice_state = 11;

static uint32_t dice(uint32_t below)
{
	dice_state ^= dice_state << 13;
	dice_state ^= dice_state >> 7;
	dice_state ^= dice_state << 17;
	return (uint32_t)(dice_state >> 16) % below;
}

/* ---- streams ---- */

struct stream {
	enum ws_role from;
	unsigned rsv_allowed;
	uint8_t bytes[STREAM_MAX];
	size_t len;
};

static void put_frame(struct stream *s, struct ws_frame f, const uint8_t *payload)
{
	int header_len;

	f.is_masked = s->from == WS_FROM_CLIENT;
	for (size_t i = 0; i < 4; i++)
		f.key[i] = (uint8_t)dice(256);
	header_len = ws_frame_write_header(s->bytes + s->len, STREAM_MAX - s->len, &f);
	assert_true(header_len > 0 && (size_t)header_len + f.payload_len <= STREAM_MAX - s->len);
	s->len += (size_t)header_len;
	if (f.payload_len > 0)
		memcpy(s->bytes + s->len, payload, (size_t)f.payload_len);
	if (f.is_masked)
		ws_mask(s->bytes + s->len, (size_t)f.payload_len, f.key, 0);
	s->len += (size_t)f.payload_len;
}

static void put_control(struct stream *s)
{
	static const uint8_t opcodes[] = { WS_OP_PING, WS_OP_PONG, WS_OP_PONG };
	static const uint8_t lens[] = { 0, 1, 8, 125 };
	uint8_t payload[WS_CONTROL_PAYLOAD_MAX];

	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)dice(256);
	put_frame(s, (struct ws_frame){ .opcode = opcodes[dice(3)], .is_final = true, .payload_len = lens[dice(4)] }, payload);
}

static void put_message(struct stream *s)
{
	static const uint32_t lens[] = { 0, 1, 20, 125, 126, 130 };
	uint8_t payload[130] = { 0 }, opcode = dice(2) ? WS_OP_TEXT : WS_OP_BINARY;
	unsigned fragments = dice(2) ? 1 : 1 + dice(4);
	uint8_t rsv = dice(2) ? s->rsv_allowed & WS_RSV : 0;

	for (; fragments > 0; fragments--) {
		put_frame(s, (struct ws_frame){ .opcode = opcode, .rsv = rsv, .is_final = fragments == 1,
						.payload_len = lens[dice(ARRAY_LEN(lens))] }, payload);
		opcode = WS_OP_CONTINUATION;
		rsv = 0;
		if (dice(3) == 0)
			put_control(s);
	}
}

/* At most a wrong octet somewhere, a wrong frame, or bytes behind a Close. */
static void spoil(struct stream *s)
{
	static const uint8_t wrong[][2] = { { 0x83, 0 }, { 0x8b, 0 }, { 0xa1, 0 }, { 0x09, 0 }, { 0x89, 126 }, { 0x80, 0 }, { 0x88, 1 } };

	switch (dice(4)) {
	case 0:
		s->bytes[dice((uint32_t)s->len)] ^= (uint8_t)(1u << dice(8));
		break;
	case 1:
		memcpy(s->bytes + s->len, wrong[dice(ARRAY_LEN(wrong))], 2);
		if (s->from == WS_FROM_CLIENT)
			s->bytes[s->len + 1] |= 0x80;
		memset(s->bytes + s->len + 2, 0, 130);
		s->len += 132;
		break;
	case 2:
		put_frame(s, (struct ws_frame){ .opcode = WS_OP_CLOSE, .is_final = true, .payload_len = 2 },
			  (const uint8_t[]){ 0x03, (uint8_t)dice(256) });
		put_message(s);
		break;
	default:
		s->len -= dice((uint32_t)s->len); /* it breaks off */
		break;
	}
}

static void random_good_stream(struct stream *s)
{
	unsigned messages = 1 + dice(4);

	s->from = dice(2) ? WS_FROM_CLIENT : WS_FROM_SERVER;
	s->rsv_allowed = dice(2) ? WS_RSV1 : 0;
	s->len = 0;
	while (messages-- > 0) {
		put_message(s);
		if (dice(3) == 0)
			put_control(s);
	}
}

static void random_stream(struct stream *s)
{
	random_good_stream(s);
	if (dice(3) != 0)
		spoil(s);
}

/* ---- the relay's part ---- */

struct relay {
	const struct stream *s;
	const struct ws_sift_calls *calls;
	struct ws_stash stash;
	uint8_t out[OUT_MAX];
	size_t len;
	unsigned drop_every;	/* data messages; 0: none */
	unsigned seen, injected, boundaries;
	unsigned close_at; /* the boundary at which our Close goes out; 0: none */
	bool is_muted;
	bool ours_are_taken;
};

static void put(struct relay *r, const uint8_t *at, size_t len)
{
	assert_true(len <= OUT_MAX - r->len);
	memcpy(r->out + r->len, at, len);
	r->len += len;
}

static const uint8_t *key_of(const struct relay *r)
{
	return r->s->from == WS_FROM_CLIENT ? (const uint8_t *)"key!" : NULL;
}

static void inject_close(struct relay *r, uint16_t code)
{
	uint8_t out[WS_CONTROL_MAX];

	put(r, out, (size_t)ws_close_write(out, sizeof(out), code, "because", key_of(r)));
	r->is_muted = true;
}

static enum ws_verdict judge(void *user, const struct ws_frame *f)
{
	struct relay *r = user;

	if (ws_opcode_is_control(f->opcode) || f->opcode == WS_OP_CONTINUATION || r->drop_every == 0)
		return WS_PASS;
	return ++r->seen % r->drop_every == 0 ? WS_DROP : WS_PASS;
}

static bool is_ours(void *user, const uint8_t *payload, size_t len)
{
	return ((struct relay *)user)->ours_are_taken && len == 8 && (payload[0] & 1) == 0;
}

static struct ws_stash *stash(void *user)
{
	return &((struct relay *)user)->stash;
}

static void piece(void *user, const uint8_t *at, size_t len, unsigned marks, bool is_copy)
{
	struct relay *r = user;

	(void)marks;
	(void)is_copy;
	if (!r->is_muted)
		put(r, at, len);
}

static void boundary(void *user)
{
	struct relay *r = user;
	uint8_t out[WS_CONTROL_MAX];

	if (r->is_muted)
		return;
	put(r, out, (size_t)ws_ping_write(out, sizeof(out), "a ping", 6, key_of(r)));
	r->injected++;
	if (++r->boundaries == r->close_at)
		inject_close(r, 1012);
}

static const struct ws_sift_calls all_calls = { judge, is_ours, stash, piece, boundary, true };
/* As while a ping is out: pongs are looked at, and nobody asks where frames end. */
static const struct ws_sift_calls pong_calls = { .is_ours = is_ours, .stash = stash, .piece = piece };

/* Follows the stream in runs [0, cut), [cut, len), or of `step` bytes; what the relay would do at an error or the end is done. */
static int follow(struct relay *r, const struct stream *s, size_t cut, size_t step)
{
	struct ws_sift sift = { 0 };
	struct ws_tracker t;
	struct ws_summary sum;
	bool is_within = false;
	size_t at = 0;
	int error = 0;

	r->s = s;
	ws_tracker_init(&t, s->from, s->rsv_allowed);
	while (at < s->len && error == 0) {
		size_t end = cut > at ? cut : step > 0 && step < s->len - at ? at + step : s->len;
		uint8_t *run = malloc(end - at); /* a block of its own: ASan sees its ends */

		assert_non_null(run);
		memcpy(run, s->bytes + at, end - at);
		error = ws_sift_feed(&sift, &t, NULL, run, end - at, r->calls, r, &sum);
		if (error != 0)
			is_within = is_within && sum.boundary == WS_NO_BOUNDARY;
		else
			is_within = ws_sift_is_within(&sift, &t);
		free(run);
		at = end;
	}
	/* as relay_violation() and side_ended() do: told, where a frame may stand */
	if (!ws_tracker_is_closed(&t) && !r->is_muted && !is_within)
		inject_close(r, error != 0 ? ws_close_code_of(error) : 1001);
	return error;
}

/* The stream that the peer got: legal to its end, and with a Close as its last frame unless it ends within one. */
static void must_be_legal(const struct relay *r, const char *what, unsigned number, size_t cut)
{
	struct ws_tracker t;
	struct ws_event ev;
	size_t at = 0;

	ws_tracker_init(&t, r->s->from, r->s->rsv_allowed);
	do {
		at += ws_tracker_next(&t, NULL, r->out + at, r->len - at, &ev);
		if (ev.kind == WS_EVENT_ERROR && ev.error != WS_ERR_CLOSE_BODY)
			fail_msg("stream %u, %s %zu: %s at %zu of %zu", number, what, cut, ws_error_text(ev.error), at, r->len);
		/* a wrong Close is found in its body, when its header has gone; nothing but the end follows */
		if (ev.kind == WS_EVENT_ERROR)
			return;
	} while (ev.kind != WS_EVENT_CLOSED && (at < r->len || ev.kind == WS_EVENT_FRAME));
	if (!ws_tracker_is_closed(&t) && ws_tracker_at_boundary(&t))
		fail_msg("stream %u, %s %zu: no Close at the end", number, what, cut);
	if (at != r->len)
		fail_msg("stream %u, %s %zu: %zu bytes behind the Close", number, what, cut, r->len - at);
}

static struct relay whole, other;

static void settings(struct relay *r, unsigned drop_every, unsigned close_at, bool ours_are_taken)
{
	memset(r, 0, offsetof(struct relay, out));
	r->calls = &all_calls;
	r->len = r->seen = r->injected = r->boundaries = 0;
	r->is_muted = false;
	r->drop_every = drop_every;
	r->close_at = close_at;
	r->ours_are_taken = ours_are_taken;
}

static void peers_see_a_legal_stream_or_the_close(void **state)
{
	static struct stream s;
	unsigned errors = 0, injected = 0;

	(void)state;
	for (unsigned n = 0; n < STREAMS; n++) {
		unsigned drop_every = dice(3) ? 0 : 1 + dice(3), close_at = dice(3) ? 0 : 1 + dice(6);
		bool ours_are_taken = dice(2);
		int error;

		random_stream(&s);
		settings(&whole, drop_every, close_at, ours_are_taken);
		error = follow(&whole, &s, 0, 0);
		must_be_legal(&whole, "whole", n, 0);
		errors += error != 0;
		injected += whole.injected;
		for (size_t cut = 1; cut <= s.len; cut++) {
			settings(&other, drop_every, close_at, ours_are_taken);
			if (follow(&other, &s, cut, 0) != error)
				fail_msg("stream %u, cut %zu: another error", n, cut);
			must_be_legal(&other, "cut at", n, cut);
		}
		for (size_t step = 1; step < 20; step += step < 4 ? 1 : 7) {
			settings(&other, drop_every, close_at, ours_are_taken);
			if (follow(&other, &s, 0, step) != error)
				fail_msg("stream %u, steps of %zu: another error", n, step);
			must_be_legal(&other, "steps of", n, step);
		}
	}
	assert_true(errors > STREAMS / 10 && errors < STREAMS * 9 / 10 && injected > STREAMS);
}

static void must_be_the_same(const struct stream *s, const char *what, unsigned number, size_t cut)
{
	/* behind what came stands our Close */
	if (other.len < s->len || memcmp(other.out, s->bytes, s->len) != 0)
		fail_msg("stream %u, %s %zu: other bytes than came", number, what, cut);
}

/* However it is cut: where nothing is taken out, every byte goes on in its place. */
static void what_nobody_takes_out_goes_on_as_it_came(void **state)
{
	static struct stream s;

	(void)state;
	for (unsigned n = 0; n < STREAMS; n++) {
		random_good_stream(&s);
		for (size_t cut = 1; cut <= s.len; cut++) {
			settings(&other, 0, 0, false);
			other.calls = &pong_calls;
			assert_int_equal(follow(&other, &s, cut, 0), 0);
			must_be_the_same(&s, "cut at", n, cut);
		}
		for (size_t step = 1; step < 40; step++) {
			settings(&other, 0, 0, false);
			other.calls = &pong_calls;
			assert_int_equal(follow(&other, &s, 0, step), 0);
			must_be_the_same(&s, "steps of", n, step);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_nobody_takes_out_goes_on_as_it_came),
		cmocka_unit_test(peers_see_a_legal_stream_or_the_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
