/* wire/ws_recode: four octets of settings, then frames.
 *
 * Always: what comes out is a legal stream without RSV1 where it was inflated; no message of it is longer than the bounds
 * allow; and its messages are the same however the input is cut, and however often somebody says that he is full.  What is
 * compressed inflates again to what it was. */
#include "wire/ws_recode.h"

#include "must.h"

#include <string.h>

enum { OUT_MAX = 1 << 22 };

struct sink {
	uint8_t *out;
	size_t len;
	unsigned full_every, asked;
	bool is_over; /* more than fits: no longer looked at */
};

static struct ws_recode_room room;
static uint8_t first[OUT_MAX], second[OUT_MAX], third[OUT_MAX], messages[2][OUT_MAX];

static void on_piece(void *user, const uint8_t *at, size_t len, unsigned marks, bool is_copy)
{
	struct sink *s = user;

	(void)marks;
	(void)is_copy;
	MUST(len > 0);
	s->is_over = s->is_over || len > OUT_MAX - s->len;
	if (s->is_over)
		return;
	memcpy(s->out + s->len, at, len);
	s->len += len;
}

static void on_key(void *user, uint8_t out[4])
{
	(void)user;
	memcpy(out, "key!", 4);
}

static bool on_full(void *user)
{
	struct sink *s = user;

	return s->full_every > 0 && ++s->asked % s->full_every == 0;
}

static int feed(enum ws_role from, const struct ws_recode_rules *rules, const uint8_t *in, size_t len, size_t cut, struct sink *s)
{
	static const struct ws_recode_calls calls = { on_piece, on_key, on_full };
	struct ws_recode r;
	size_t at = 0, used;
	int error = 0;

	ws_recode_init(&r, from);
	while (at < len && error == 0 && !s->is_over) {
		size_t some = cut < len - at ? cut : len - at;

		error = ws_recode_feed(&r, &room, rules, in + at, some, &calls, s, &used);
		MUST(used <= some);
		at += used;
	}
	ws_recode_done(&r, &room);
	return error;
}

/* Payloads of messages, one behind the other, each with its length; what is not whole is left out. */
static size_t read_messages(const struct sink *s, enum ws_role from, unsigned rsv, uint64_t max_len, uint8_t *out)
{
	struct ws_tracker t;
	struct ws_event ev = { 0 };
	struct ws_frame f = { 0 };
	size_t at = 0, n = 0, begin = 0;

	ws_tracker_init(&t, from, rsv);
	do {
		size_t used = ws_tracker_next(&t, NULL, s->out + at, s->len - at, &ev), frame_at = n;

		MUST(ev.kind != WS_EVENT_ERROR || ev.error == WS_ERR_CLOSE_BODY);
		if (ev.kind == WS_EVENT_ERROR || ev.kind == WS_EVENT_CLOSED)
			break;
		if (ev.kind == WS_EVENT_FRAME)
			f = ev.frame;
		else if (!ws_opcode_is_control(f.opcode) && (ev.kind == WS_EVENT_FRAME_END || t.in_frame)) {
			memcpy(out + n, s->out + at, used);
			n += used;
			if (f.is_masked)
				ws_mask(out + frame_at, used, f.key, 0);
		}
		if (ev.ends_message) {
			MUST(max_len == 0 || n - begin <= max_len);
			begin = n;
		}
		at += used;
	} while (at < s->len || ev.kind == WS_EVENT_FRAME);
	return begin;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sink a = { .out = first }, b = { .out = second }, c = { .out = third };
	struct ws_recode_rules rules = { .shape = { .window_bits = 15 }, .max_ratio = 200, .max_message_len = 3000000 };
	struct ws_recode_rules pack = { .shape = { .deflates = true, .level = 1, .memory_level = 1 } };
	size_t len, cut, n;
	int error, again;

	if (size < 4)
		return 0;
	rules.keeps_context = pack.keeps_context = data[0] & 1;
	cut = 1 + data[1];
	b.full_every = data[2] & 3;
	pack.shape.window_bits = (uint8_t)(9 + data[3] % 7);
	pack.min_len = data[2];
	data += 4;
	len = size - 4;

	error = feed(WS_FROM_CLIENT, &rules, data, len, SIZE_MAX, &a);
	again = feed(WS_FROM_CLIENT, &rules, data, len, cut, &b);
	/* a ratio is what has come out by what has gone in so far */
	if (!a.is_over && !b.is_over && error != -WS_ERR_RATIO && again != -WS_ERR_RATIO) {
		MUST(error == again);
		n = read_messages(&a, WS_FROM_CLIENT, 0, 3000000, messages[0]);
		MUST(n == read_messages(&b, WS_FROM_CLIENT, 0, 3000000, messages[1]));
		MUST(memcmp(messages[0], messages[1], n) == 0);
	}
	a.len = b.len = 0;
	a.is_over = b.is_over = false;
	b.full_every = 0;
	error = feed(WS_FROM_SERVER, &pack, data, len, cut, &b);
	if (b.is_over)
		return 0;
	read_messages(&b, WS_FROM_SERVER, WS_RSV1, 0, messages[1]);
	/* the frames that went in, up to the first that is wrong */
	if (error != 0 || len > OUT_MAX)
		return 0;
	memcpy(first, data, len);
	a.len = len;
	n = read_messages(&a, WS_FROM_SERVER, 0, 0, messages[0]);
	{ /* masked, as a client would send it */
		struct ws_tracker t;
		struct ws_event ev = { 0 };
		size_t at = 0;
		uint8_t header[WS_HEADER_MAX];
		int header_len;

		ws_tracker_init(&t, WS_FROM_SERVER, WS_RSV1);
		a.len = 0;
		while (at < b.len && !t.is_closed) {
			at += ws_tracker_next(&t, NULL, second + at, b.len - at, &ev);
			if (ev.kind == WS_EVENT_ERROR)
				return 0;
			if (ev.kind != WS_EVENT_FRAME || ev.frame.payload_len > b.len - at)
				continue;
			ev.frame.is_masked = true;
			memset(ev.frame.key, 0, 4);
			header_len = ws_frame_write_header(header, sizeof(header), &ev.frame);
			if ((size_t)header_len + ev.frame.payload_len > OUT_MAX - a.len)
				return 0;
			memcpy(first + a.len, header, (size_t)header_len);
			memcpy(first + a.len + header_len, second + at, (size_t)ev.frame.payload_len);
			a.len += (size_t)header_len + (size_t)ev.frame.payload_len;
		}
	}
	rules.max_ratio = 0;
	rules.max_message_len = 0;
	again = feed(WS_FROM_CLIENT, &rules, first, a.len, SIZE_MAX, &c);
	MUST(again == 0 || again == -WS_ERR_CLOSE_BODY);
	if (!c.is_over && again == 0) {
		MUST(n == read_messages(&c, WS_FROM_CLIENT, 0, 0, messages[1]));
		MUST(memcmp(messages[0], messages[1], n) == 0);
	}
	return 0;
}
