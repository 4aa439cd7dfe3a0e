/* wire/websocket: three octets of settings, then a stream.
 *
 * Always: cut anywhere, the tracker says the same; its events add up to its sums; a header written again is
 * the one that was parsed; what is masked twice is as before. */
#include "wire/websocket.h"

#include "must.h"

#include <string.h>

struct sums {
	uint64_t message_count, data_frame_count, ping_count, pong_count, close_code;
	size_t boundary;
	int error;
};

static void stream_feed(const struct ws_tracker *fresh, const struct ws_limits *limits, const uint8_t *in,
			size_t len, size_t step, struct sums *sum)
{
	struct ws_tracker t = *fresh;
	size_t at = 0;

	memset(sum, 0, sizeof(*sum));
	do {
		size_t size = len - at < step ? len - at : step;
		struct ws_summary s;

		sum->error = ws_tracker_feed(&t, limits, in + at, size, &s);
		MUST(s.used_len <= size);
		MUST(s.boundary == WS_NO_BOUNDARY || s.boundary <= s.used_len);
		MUST(sum->error < 0 || t.is_closed || s.used_len == size);
		MUST(ws_tracker_held_len(&t) < WS_HEADER_MAX);
		if (s.boundary != WS_NO_BOUNDARY)
			sum->boundary = at + s.boundary;
		sum->message_count += s.message_count;
		sum->data_frame_count += s.data_frame_count;
		sum->ping_count += s.ping_count;
		sum->pong_count += s.pong_count;
		sum->close_code += s.close_code;
		at += size;
	} while (at < len && sum->error == 0 && !t.is_closed);
	MUST(sum->error < 0 || ws_tracker_close_code(&t) == sum->close_code);
}

static void events_read(const struct ws_tracker *fresh, const struct ws_limits *limits, const uint8_t *in,
			size_t len, struct sums *sum)
{
	struct ws_tracker t = *fresh;
	struct ws_event ev;
	size_t at = 0;

	memset(sum, 0, sizeof(*sum));
	do {
		at += ws_tracker_next(&t, limits, in + at, len - at, &ev);
		MUST(at <= len);
		if (ws_tracker_at_boundary(&t))
			sum->boundary = at;
		sum->message_count += ev.ends_message;
		sum->close_code += ev.close_code;
		if (ev.kind == WS_EVENT_FRAME) {
			uint8_t header[WS_HEADER_MAX];
			int header_len = ws_frame_write_header(header, sizeof(header), &ev.frame);

			MUST(header_len > 0 && (size_t)header_len <= at);
			MUST(memcmp(header, in + at - header_len, (size_t)header_len) == 0);
			sum->data_frame_count += !ws_opcode_is_control(ev.frame.opcode);
			sum->ping_count += ev.frame.opcode == WS_OP_PING;
			sum->pong_count += ev.frame.opcode == WS_OP_PONG;
		}
	} while (ev.kind == WS_EVENT_FRAME || ev.kind == WS_EVENT_FRAME_END);
	sum->error = ev.kind == WS_EVENT_ERROR ? -ev.error : 0;
}

static void mask_check(const uint8_t *in, size_t len, size_t cut)
{
	uint8_t copy[64];

	len = len < sizeof(copy) ? len : sizeof(copy);
	cut = cut < len ? cut : len;
	memcpy(copy, in, len);
	ws_mask(copy, len, (const uint8_t *)"\x12\x34\x56\x78", cut);
	ws_mask(copy, cut, (const uint8_t *)"\x12\x34\x56\x78", cut);
	ws_mask(copy + cut, len - cut, (const uint8_t *)"\x12\x34\x56\x78", 2 * (uint64_t)cut);
	MUST(memcmp(copy, in, len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sums whole, other;
	struct ws_limits limits;
	struct ws_tracker fresh;
	size_t step;

	if (size < 3)
		return 0;
	limits.max_frame_len = data[1];
	limits.max_message_len = (uint64_t)data[2] * 2;
	step = 1 + (size_t)(data[0] >> 4);
	ws_tracker_init(&fresh, data[0] & 1 ? WS_FROM_SERVER : WS_FROM_CLIENT,
			(unsigned)(data[0] & 0x0e) << 3);
	data += 3;
	size -= 3;

	stream_feed(&fresh, &limits, data, size, size + 1, &whole);
	stream_feed(&fresh, &limits, data, size, step, &other);
	MUST(memcmp(&whole, &other, sizeof(whole)) == 0);
	events_read(&fresh, &limits, data, size, &other);
	MUST(memcmp(&whole, &other, sizeof(whole)) == 0);
	mask_check(data, size, step);
	return 0;
}
