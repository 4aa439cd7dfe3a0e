/* wire/websocket: frame headers, control frames, masking, and the tracker against a slow reader of whole
 * streams. */
#include "wire/websocket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static uint64_t dice_state = 1;

static uint32_t dice(uint32_t below)
{
	dice_state ^= dice_state << 13;
	dice_state ^= dice_state >> 7;
	dice_state ^= dice_state << 17;
	return (uint32_t)(dice_state >> 16) % below;
}

/* ---- headers ---- */

/* clang-format off */
static const struct {
	const char *name;
	enum ws_role from;
	size_t len;
	uint8_t in[16];
	int want;
	uint64_t payload_len;
} headers[] = {
	{ "empty text from a server", WS_FROM_SERVER, 2, { 0x81, 0 }, 2, 0 },
	{ "empty text from a client", WS_FROM_CLIENT, 6, { 0x81, 0x80, 1, 2, 3, 4 }, 6, 0 },
	{ "the longest 7-bit length", WS_FROM_SERVER, 2, { 0x82, 125 }, 2, 125 },
	{ "the shortest 16-bit length", WS_FROM_SERVER, 4, { 0x82, 126, 0, 126 }, 4, 126 },
	{ "the longest 16-bit length", WS_FROM_CLIENT, 8, { 0x82, 254, 255, 255, 1, 2, 3, 4 }, 8, 65535 },
	{ "the shortest 64-bit length", WS_FROM_SERVER, 10, { 0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0 }, 10,
	  65536 },
	{ "the longest 64-bit length", WS_FROM_CLIENT, 14,
	  { 0x02, 255, 0x7f, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3, 4 }, 14, INT64_MAX },
	{ "a continuation", WS_FROM_SERVER, 2, { 0x80, 5 }, 2, 5 },
	{ "a fragment", WS_FROM_SERVER, 2, { 0x01, 5 }, 2, 5 },
	{ "reserved bits are told, not judged", WS_FROM_SERVER, 2, { 0xf1, 5 }, 2, 5 },
	{ "a ping of 125", WS_FROM_SERVER, 2, { 0x89, 125 }, 2, 125 },
	{ "a client must mask", WS_FROM_CLIENT, 2, { 0x81, 0 }, -WS_ERR_MASKING, 0 },
	{ "a server must not mask", WS_FROM_SERVER, 2, { 0x81, 0x80 }, -WS_ERR_MASKING, 0 },
	{ "a ping is never fragmented", WS_FROM_SERVER, 2, { 0x09, 0 }, -WS_ERR_CONTROL, 0 },
	{ "a ping is at most 125", WS_FROM_SERVER, 2, { 0x89, 126 }, -WS_ERR_CONTROL, 0 },
	{ "a close is at most 125", WS_FROM_CLIENT, 2, { 0x88, 255 }, -WS_ERR_CONTROL, 0 },
	{ "opcode 3", WS_FROM_SERVER, 1, { 0x83 }, -WS_ERR_OPCODE, 0 },
	{ "opcode 7", WS_FROM_SERVER, 1, { 0x87 }, -WS_ERR_OPCODE, 0 },
	{ "opcode 11", WS_FROM_SERVER, 1, { 0x8b }, -WS_ERR_OPCODE, 0 },
	{ "opcode 15", WS_FROM_SERVER, 1, { 0x8f }, -WS_ERR_OPCODE, 0 },
	{ "length in the shortest form only", WS_FROM_SERVER, 4, { 0x82, 126, 0, 125 }, -WS_ERR_LENGTH, 0 },
	{ "64 bits for what 16 can say", WS_FROM_SERVER, 10, { 0x82, 127, 0, 0, 0, 0, 0, 0, 255, 255 },
	  -WS_ERR_LENGTH, 0 },
	{ "no length of 2^63", WS_FROM_SERVER, 10, { 0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0 }, -WS_ERR_LENGTH,
	  0 },
	{ "the opcode is judged first", WS_FROM_CLIENT, 2, { 0x83, 0 }, -WS_ERR_OPCODE, 0 },
};
/* clang-format on */

static void frame_header_is_the_same_however_it_is_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
		struct ws_frame f = { 0 }, whole = { 0 };
		int got = 0;

		for (size_t n = 0; n <= headers[i].len && got == 0; n++)
			got = ws_frame_parse(headers[i].in, n, headers[i].from, &f);
		if (got != headers[i].want)
			fail_msg("%s: %d, want %d", headers[i].name, got, headers[i].want);
		assert_int_equal(
			ws_frame_parse(headers[i].in, sizeof(headers[i].in), headers[i].from, &whole), got);
		if (got <= 0)
			continue;
		assert_memory_equal(&f, &whole, sizeof(f));
		if (f.payload_len != headers[i].payload_len)
			fail_msg("%s: payload of %llu", headers[i].name, (unsigned long long)f.payload_len);
		assert_int_equal(f.is_final, headers[i].in[0] >> 7);
		assert_int_equal(f.rsv, headers[i].in[0] & 0x70);
		assert_int_equal(f.opcode, headers[i].in[0] & 0x0f);
		assert_int_equal(f.is_masked, headers[i].from == WS_FROM_CLIENT);
		if (f.is_masked)
			assert_memory_equal(f.key, headers[i].in + got - 4, 4);
	}
}

static void frame_header_written_is_the_one_parsed(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
		uint8_t out[WS_HEADER_MAX];
		struct ws_frame f;

		if (headers[i].want <= 0)
			continue;
		ws_frame_parse(headers[i].in, headers[i].len, headers[i].from, &f);
		for (size_t cap = 0; cap < (size_t)headers[i].want; cap++)
			assert_int_equal(ws_frame_write_header(out, cap, &f), -1);
		assert_int_equal(ws_frame_write_header(out, (size_t)headers[i].want, &f), headers[i].want);
		assert_memory_equal(out, headers[i].in, (size_t)headers[i].want);
	}
}

static void frame_header_that_is_none_is_not_written(void **state)
{
	/* clang-format off */
	static const struct ws_frame bad[] = {
		{ .opcode = 3, .is_final = true },
		{ .opcode = 11, .is_final = true },
		{ .opcode = 0x12, .is_final = true },
		{ .opcode = WS_OP_PING },
		{ .opcode = WS_OP_PING, .is_final = true, .payload_len = 126 },
		{ .opcode = WS_OP_TEXT, .rsv = 0x80 },
		{ .opcode = WS_OP_TEXT, .payload_len = UINT64_C(1) << 63 },
	};
	/* clang-format on */
	uint8_t out[WS_HEADER_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(ws_frame_write_header(out, sizeof(out), &bad[i]), -1);
}

/* ---- control frames, masks, codes ---- */

static void close_frame_has_code_and_reason(void **state)
{
	static const uint8_t key[4] = { 0x11, 0x22, 0x33, 0x44 };
	uint8_t out[WS_CONTROL_MAX];
	struct ws_frame f;

	(void)state;
	assert_int_equal(ws_close_write(out, sizeof(out), 1001, "bye", NULL), 7);
	assert_memory_equal(out,
			    "\x88\x05\x03\xe9"
			    "bye",
			    7);
	assert_int_equal(ws_close_write(out, 6, 1001, "bye", NULL), -1);
	assert_int_equal(ws_close_write(out, sizeof(out), 0, "no code, no reason", NULL), 2);
	assert_memory_equal(out, "\x88\x00", 2);
	assert_int_equal(ws_close_write(out, sizeof(out), WS_CLOSE_NO_STATUS, NULL, NULL), 2);

	assert_int_equal(ws_close_write(out, sizeof(out), 1002, "bye", key), 11);
	assert_int_equal(ws_frame_parse(out, 11, WS_FROM_CLIENT, &f), 6);
	assert_int_equal(f.payload_len, 5);
	ws_mask(out + 6, 5, f.key, 0);
	assert_memory_equal(out + 6,
			    "\x03\xea"
			    "bye",
			    5);
}

static void close_reason_is_cut_between_characters(void **state)
{
	char reason[200];
	uint8_t out[WS_CONTROL_MAX];

	(void)state;
	memset(reason, 'a', sizeof(reason));
	reason[sizeof(reason) - 1] = '\0';
	assert_int_equal(ws_close_write(out, sizeof(out), 1000, reason, NULL), 127);
	memcpy(reason + 121, "\xe2\x82\xac", 3); /* would end at 124 */
	assert_int_equal(ws_close_write(out, sizeof(out), 1000, reason, NULL), 125);
	memcpy(reason + 120,
	       "\xe2\x82\xac"
	       "a",
	       4); /* ends at 123 */
	assert_int_equal(ws_close_write(out, sizeof(out), 1000, reason, NULL), 127);
	memset(reason, 0x80, sizeof(reason) - 1); /* no character begins anywhere */
	assert_int_equal(ws_close_write(out, sizeof(out), 1000, reason, NULL), 4);
}

static void ping_and_pong_carry_their_payload(void **state)
{
	static const uint8_t key[4] = { 1, 2, 3, 4 };
	uint8_t payload[126] = { 7 }, out[WS_CONTROL_MAX];

	(void)state;
	assert_int_equal(ws_ping_write(out, sizeof(out), NULL, 0, NULL), 2);
	assert_memory_equal(out, "\x89\x00", 2);
	assert_int_equal(ws_pong_write(out, sizeof(out), "hi", 2, NULL), 4);
	assert_memory_equal(out, "\x8a\x02hi", 4);
	assert_int_equal(ws_ping_write(out, sizeof(out), payload, 125, key), WS_CONTROL_MAX);
	assert_int_equal(ws_ping_write(out, sizeof(out) - 1, payload, 125, key), -1);
	assert_int_equal(ws_pong_write(out, sizeof(out), payload, 126, NULL), -1);
}

static void mask_is_the_same_however_it_is_cut(void **state)
{
	static const uint8_t key[4] = { 0x37, 0xfa, 0x21, 0x3d };
	uint8_t hello[5] = { 'H', 'e', 'l', 'l', 'o' };

	(void)state;
	ws_mask(hello, sizeof(hello), key, 0); /* RFC 6455 5.7 */
	assert_memory_equal(hello, "\x7f\x9f\x4d\x51\x58", 5);
	for (unsigned round = 0; round < 2000; round++) {
		uint8_t plain[100], masked[100];
		size_t len = dice(sizeof(plain)), cut = dice((uint32_t)len + 1);

		for (size_t i = 0; i < len; i++)
			plain[i] = masked[i] = (uint8_t)dice(256);
		ws_mask(masked, cut, key, 0);
		ws_mask(masked + cut, len - cut, key, cut);
		for (size_t i = 0; i < len; i++)
			assert_int_equal(masked[i], plain[i] ^ key[i % 4]);
	}
}

static void close_codes_are_those_of_the_registry(void **state)
{
	static const uint16_t good[] = { 1000, 1001, 1002, 1003, 1007, 1008, 1009,
					 1010, 1011, 1012, 1013, 1014, 3000, 4999 };
	static const uint16_t bad[] = { 0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(ws_close_code_is_valid(good[i]));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(ws_close_code_is_valid(bad[i]));
}

static void every_error_has_a_code_and_a_text(void **state)
{
	(void)state;
	for (int error = WS_OK + 1; error < WS_ERR_COUNT; error++) {
		uint16_t want = error == WS_ERR_TOO_BIG || error == WS_ERR_RATIO ? 1009 : 1002;

		if (error == WS_ERR_DATA || error == WS_ERR_MEMORY)
			want = error == WS_ERR_DATA ? 1007 : 1011;
		assert_int_equal(ws_close_code_of(error), want);
		assert_int_equal(ws_close_code_of(-error), ws_close_code_of(error));
		assert_in_range(strlen(ws_error_text(-error)), 5, WS_CLOSE_REASON_MAX);
	}
	assert_int_equal(ws_close_code_of(-1000), 1002);
}

/* ---- the tracker: single rules ---- */

/* clang-format off */
static const struct {
	const char *name;
	enum ws_role from;
	unsigned rsv_allowed;
	struct ws_limits limits;
	size_t len;
	uint8_t in[40];
	int want;
	size_t used_len;
	unsigned message_count;
	uint16_t close_code;
} runs[] = {
	{ "nothing", WS_FROM_SERVER, 0, { 0, 0 }, 0, { 0 }, 0, 0, 0, 0 },
	{ "two messages", WS_FROM_SERVER, 0, { 0, 0 }, 7, { 0x81, 1, 'a', 0x82, 2, 'b', 'c' }, 0, 7, 2, 0 },
	{ "two empty ones", WS_FROM_SERVER, 0, { 0, 0 }, 4, { 0x81, 0, 0x82, 0 }, 0, 4, 2, 0 },
	{ "a message in three frames, with a ping in between", WS_FROM_SERVER, 0, { 0, 0 }, 11,
	  { 0x01, 1, 'a', 0x00, 0, 0x89, 0, 0x80, 2, 'b', 'c' }, 0, 11, 1, 0 },
	{ "masked", WS_FROM_CLIENT, 0, { 0, 0 }, 13, { 0x81, 0x81, 9, 9, 9, 9, 'a', 0x8a, 0x80, 9, 9, 9,
	  9 }, 0, 13, 1, 0 },
	{ "a continuation of nothing", WS_FROM_SERVER, 0, { 0, 0 }, 5, { 0x81, 1, 'a', 0x80, 0 },
	  -WS_ERR_FRAGMENT, 3, 1, 0 },
	{ "a continuation after the end", WS_FROM_SERVER, 0, { 0, 0 }, 6, { 0x01, 0, 0x80, 0, 0x80, 0 },
	  -WS_ERR_FRAGMENT,
	  4, 1, 0 },
	{ "a new message inside another", WS_FROM_SERVER, 0, { 0, 0 }, 4, { 0x01, 0, 0x81, 0 },
	  -WS_ERR_FRAGMENT, 2, 0, 0 },
	{ "a second message unmasked", WS_FROM_CLIENT, 0, { 0, 0 }, 8, { 0x81, 0x80, 9, 9, 9, 9, 0x81, 0 },
	  -WS_ERR_MASKING, 6, 1, 0 },
	{ "RSV1 without an extension", WS_FROM_SERVER, 0, { 0, 0 }, 2, { 0xc1, 0 }, -WS_ERR_RSV, 0, 0, 0 },
	{ "RSV1 with one", WS_FROM_SERVER, WS_RSV1, { 0, 0 }, 4, { 0xc1, 0, 0x81, 0 }, 0, 4, 2, 0 },
	{ "RSV2 with one", WS_FROM_SERVER, WS_RSV1, { 0, 0 }, 2, { 0xa1, 0 }, -WS_ERR_RSV, 0, 0, 0 },
	{ "RSV1 on the first fragment", WS_FROM_SERVER, WS_RSV1, { 0, 0 }, 4, { 0x41, 0, 0x80, 0 }, 0, 4, 1,
	  0 },
	{ "RSV1 on a continuation", WS_FROM_SERVER, WS_RSV1, { 0, 0 }, 4, { 0x41, 0, 0xc0, 0 }, -WS_ERR_RSV,
	  2, 0, 0 },
	{ "RSV1 on a ping", WS_FROM_SERVER, WS_RSV1, { 0, 0 }, 2, { 0xc9, 0 }, -WS_ERR_RSV, 0, 0, 0 },
	{ "a frame at its limit", WS_FROM_SERVER, 0, { 2, 0 }, 4, { 0x81, 2, 'a', 'b' }, 0, 4, 1, 0 },
	{ "a frame over its limit", WS_FROM_SERVER, 0, { 2, 0 }, 5, { 0x81, 3, 'a', 'b', 'c' },
	  -WS_ERR_TOO_BIG, 0, 0, 0 },
	{ "a message at its limit", WS_FROM_SERVER, 0, { 0, 3 }, 7, { 0x01, 2, 'a', 'b', 0x80, 1, 'c' }, 0,
	  7, 1, 0 },
	{ "a message over its limit", WS_FROM_SERVER, 0, { 0, 3 }, 8, { 0x01, 2, 'a', 'b', 0x80, 2, 'c',
	  'd' },
	  -WS_ERR_TOO_BIG, 4, 0, 0 },
	{ "a message over its limit at once", WS_FROM_SERVER, 0, { 9, 3 }, 6, { 0x81, 4, 'a', 'b', 'c', 'd' },
	  -WS_ERR_TOO_BIG, 0, 0, 0 },
	{ "limits are for data frames", WS_FROM_SERVER, 0, { 1, 1 }, 5, { 0x89, 3, 'a', 'b', 'c' }, 0, 5, 0,
	  0 },
	{ "the sum of fragments does not wrap", WS_FROM_SERVER, 0, { 0, 100 }, 6, { 0x01, 2, 'a', 'b', 0x00,
	  127 }, 0, 6, 0, 0 },
	{ "a close", WS_FROM_SERVER, 0, { 0, 0 }, 4, { 0x88, 2, 0x03, 0xe8 }, 0, 4, 0, 1000 },
	{ "a close with a reason", WS_FROM_SERVER, 0, { 0, 0 }, 6, { 0x88, 4, 0x0f, 0xa1, 'n', 'o' }, 0, 6,
	  0, 4001 },
	{ "a close without a code", WS_FROM_SERVER, 0, { 0, 0 }, 2, { 0x88, 0 }, 0, 2, 0, 1005 },
	{ "a masked close", WS_FROM_CLIENT, 0, { 0, 0 }, 8, { 0x88, 0x82, 0xff, 0x0f, 0, 0, 0xfc, 0xe6 }, 0,
	  8, 0, 1001 },
	{ "what follows a close is left", WS_FROM_SERVER, 0, { 0, 0 }, 6, { 0x88, 0, 0x81, 0, 0xff, 0xff },
	  0, 2, 0, 1005 },
	{ "a close within a message", WS_FROM_SERVER, 0, { 0, 0 }, 4, { 0x01, 0, 0x88, 0 }, 0, 4, 0, 1005 },
	{ "half a code", WS_FROM_SERVER, 0, { 0, 0 }, 5, { 0x81, 0, 0x88, 1, 3 }, -WS_ERR_CLOSE_BODY, 2, 1,
	  0 },
	{ "a code that is never sent", WS_FROM_SERVER, 0, { 0, 0 }, 6, { 0x81, 0, 0x88, 2, 0x03, 0xed },
	  -WS_ERR_CLOSE_BODY, 2, 1, 0 },
	{ "a part of a header", WS_FROM_SERVER, 0, { 0, 0 }, 5, { 0x81, 1, 'a', 0x82, 126 }, 0, 5, 1, 0 },
	{ "a part of a payload", WS_FROM_SERVER, 0, { 0, 0 }, 4, { 0x81, 9, 'a', 'b' }, 0, 4, 0, 0 },
};
/* clang-format on */

static void tracker_keeps_every_rule(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
		struct ws_tracker t;
		struct ws_summary s;
		int got;

		ws_tracker_init(&t, runs[i].from, runs[i].rsv_allowed);
		got = ws_tracker_feed(&t, &runs[i].limits, runs[i].in, runs[i].len, &s);
		if (got != runs[i].want || s.used_len != runs[i].used_len ||
		    s.message_count != runs[i].message_count || s.close_code != runs[i].close_code)
			fail_msg("%s: %d, used %zu, %u messages, close %u", runs[i].name, got, s.used_len,
				 s.message_count, s.close_code);
		if (got < 0) { /* for good */
			assert_int_equal(ws_tracker_feed(&t, NULL, runs[i].in, runs[i].len, &s), got);
			assert_int_equal(ws_tracker_feed(&t, NULL, runs[i].in, 0, &s), got);
		}
	}
}

/* The same run byte by byte: same result, same sums. */
static void tracker_keeps_every_rule_byte_by_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
		unsigned message_count = 0, close_code = 0;
		struct ws_tracker t;
		struct ws_summary s;
		int got = 0;

		ws_tracker_init(&t, runs[i].from, runs[i].rsv_allowed);
		for (size_t n = 0; n < runs[i].len && got == 0; n++) {
			got = ws_tracker_feed(&t, &runs[i].limits, runs[i].in + n, 1, &s);
			message_count += s.message_count;
			close_code += s.close_code;
			if (got < 0)
				assert_int_equal(s.used_len, 0);
		}
		if (got != runs[i].want || message_count != runs[i].message_count ||
		    close_code != runs[i].close_code)
			fail_msg("%s: %d, %u messages, close %u", runs[i].name, got, message_count,
				 close_code);
	}
}

static void tracker_tells_the_boundaries(void **state)
{
	static const uint8_t in[] = { 0x81, 3, 'a', 'b', 'c', 0x01, 0, 0x82 };
	struct ws_tracker t;
	struct ws_summary s;

	(void)state;
	ws_tracker_init(&t, WS_FROM_SERVER, 0);
	assert_true(ws_tracker_at_message_boundary(&t));

	ws_tracker_feed(&t, NULL, in, 0, &s);
	assert_int_equal(s.boundary, 0);
	ws_tracker_feed(&t, NULL, in, 1, &s); /* half a header: the boundary is before it */
	assert_int_equal(s.boundary, 0);
	assert_int_equal(ws_tracker_held_len(&t), 1);
	assert_int_equal(t.held[0], 0x81);
	assert_false(ws_tracker_at_boundary(&t));
	ws_tracker_feed(&t, NULL, in + 1, 2, &s); /* the other half, and a byte of payload */
	assert_int_equal(s.boundary, WS_NO_BOUNDARY);
	assert_int_equal(ws_tracker_held_len(&t), 0);
	assert_false(ws_tracker_at_boundary(&t));
	ws_tracker_feed(&t, NULL, in + 3, 2, &s); /* its end */
	assert_int_equal(s.boundary, 2);
	assert_true(ws_tracker_at_message_boundary(&t));
	ws_tracker_feed(&t, NULL, in + 5, 2, &s); /* a fragment */
	assert_int_equal(s.boundary, 2);
	assert_true(ws_tracker_at_boundary(&t));
	assert_false(ws_tracker_at_message_boundary(&t));
	assert_int_equal(ws_tracker_feed(&t, NULL, in + 7, 1, &s), 0);
	assert_int_equal(ws_tracker_feed(&t, NULL, (const uint8_t[]){ 0 }, 1, &s), -WS_ERR_FRAGMENT);
	assert_int_equal(s.boundary, WS_NO_BOUNDARY); /* the frame began in an earlier run */
	assert_int_equal(s.used_len, 0);
}

static void tracker_discards_all_after_a_close(void **state)
{
	static const uint8_t in[] = { 0x88, 2, 0x03, 0xe8, 0x81, 1, 'a' };
	struct ws_event ev;
	struct ws_tracker t;
	struct ws_summary s;

	(void)state;
	ws_tracker_init(&t, WS_FROM_SERVER, 0);
	assert_int_equal(ws_tracker_close_code(&t), 0);
	assert_int_equal(ws_tracker_feed(&t, NULL, in, sizeof(in), &s), 0);
	assert_int_equal(s.used_len, 4);
	assert_true(ws_tracker_is_closed(&t));
	assert_int_equal(ws_tracker_feed(&t, NULL, in, sizeof(in), &s), 0);
	assert_int_equal(s.used_len, 0);
	assert_int_equal(s.close_code, 0);
	assert_int_equal(ws_tracker_close_code(&t), 1000);
	assert_int_equal(ws_tracker_next(&t, NULL, in, sizeof(in), &ev), 0);
	assert_int_equal(ev.kind, WS_EVENT_CLOSED);
	assert_int_equal(ws_tracker_next(&t, NULL, in, 0, &ev), 0);
	assert_int_equal(ev.kind, WS_EVENT_MORE);
}

static void tracker_gives_each_frame_as_events(void **state)
{
	static const uint8_t in[] = { 0x01, 2, 'a', 'b', 0x89, 0, 0x80, 1, 'c', 0x88, 0 };
	static const struct {
		enum ws_event_kind kind;
		size_t used;
		unsigned opcode;
		bool ends_message;
	} want[] = {
		{ WS_EVENT_FRAME, 2, WS_OP_TEXT, false },
		{ WS_EVENT_FRAME_END, 2, WS_OP_TEXT, false },
		{ WS_EVENT_FRAME, 2, WS_OP_PING, false },
		{ WS_EVENT_FRAME_END, 0, WS_OP_PING, false },
		{ WS_EVENT_FRAME, 2, WS_OP_CONTINUATION, false },
		{ WS_EVENT_FRAME_END, 1, WS_OP_CONTINUATION, true },
		{ WS_EVENT_FRAME, 2, WS_OP_CLOSE, false },
		{ WS_EVENT_FRAME_END, 0, WS_OP_CLOSE, false },
		{ WS_EVENT_MORE, 0, WS_OP_CLOSE, false },
	};
	struct ws_tracker t;
	struct ws_event ev;
	size_t at = 0;

	(void)state;
	ws_tracker_init(&t, WS_FROM_SERVER, 0);
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		size_t used = ws_tracker_next(&t, NULL, in + at, sizeof(in) - at, &ev);

		assert_int_equal(ev.kind, want[i].kind);
		assert_int_equal(used, want[i].used);
		assert_int_equal(t.opcode, want[i].opcode);
		assert_int_equal(ev.ends_message, want[i].ends_message);
		if (ev.kind == WS_EVENT_FRAME)
			assert_int_equal(ev.frame.opcode, want[i].opcode);
		at += used;
	}
	assert_int_equal(at, sizeof(in));
}

static void message_length_does_not_wrap(void **state)
{
	static const struct ws_limits limits = { 0, UINT64_C(1) << 62 };
	static const uint8_t fragment[] = { 0x01, 127, 0x3f, 255, 255, 255, 255, 255, 255, 255 };
	struct ws_tracker t;
	struct ws_summary s;

	(void)state;
	ws_tracker_init(&t, WS_FROM_SERVER, 0);
	assert_int_equal(ws_tracker_feed(&t, &limits, fragment, sizeof(fragment), &s), 0);
	t.message_len = UINT64_MAX - 5; /* as if as much had gone by */
	t.in_frame = 0;
	assert_int_equal(ws_tracker_feed(&t, &limits, (const uint8_t[]){ 0x80, 100 }, 2, &s),
			 -WS_ERR_TOO_BIG);
	ws_tracker_init(&t, WS_FROM_SERVER, 0);
	t.message_len = UINT64_MAX - 5;
	t.in_message = 1;
	assert_int_equal(ws_tracker_feed(&t, NULL, (const uint8_t[]){ 0x00, 100 }, 2, &s), 0);
	assert_int_equal(t.message_len, UINT64_MAX);
}

/* ---- the tracker: random streams against a slow reader ---- */

struct totals {
	unsigned message_count, data_frame_count, ping_count, pong_count, close_code;
	int error;
	size_t used_len; /* up to the error or the end of a Close */
	size_t boundary; /* the last one */
};

/* Reads a whole stream with an eye on nothing but the RFC. */
static struct totals stream_read(const uint8_t *in, size_t len, bool is_client, unsigned rsv_allowed,
				 const struct ws_limits *limits)
{
	struct totals sum = { 0 };
	bool is_open = false;
	uint64_t message_len = 0;
	size_t at = 0;

	while (at < len) {
		size_t start = at, left = len - at, header_len;
		unsigned opcode = in[at] & 15, rsv = in[at] & 0x70;
		bool is_final = in[at] >> 7, is_control = opcode >= 8;
		const uint8_t *key;
		uint64_t size;

		sum.used_len = sum.boundary = start;
		if ((opcode >= 3 && opcode <= 7) || opcode >= 11)
			return sum.error = WS_ERR_OPCODE, sum;
		if (is_control && !is_final)
			return sum.error = WS_ERR_CONTROL, sum;
		if (left < 2)
			break;
		if ((in[at + 1] >> 7) != is_client)
			return sum.error = WS_ERR_MASKING, sum;
		size = in[at + 1] & 127;
		if (is_control && size > 125)
			return sum.error = WS_ERR_CONTROL, sum;
		header_len = size == 126 ? 4 : size == 127 ? 10 : 2;
		if (left < header_len)
			break;
		if (header_len > 2) {
			size = 0;
			for (size_t i = 2; i < header_len; i++)
				size = size * 256 + in[at + i];
			if (size < 126 || (header_len == 10 && (size < 65536 || size >> 63)))
				return sum.error = WS_ERR_LENGTH, sum;
		}
		key = in + at + header_len;
		header_len += is_client ? 4 : 0;
		if (left < header_len)
			break;
		if (is_control && rsv)
			return sum.error = WS_ERR_RSV, sum;
		if (opcode == 8 && size == 1)
			return sum.error = WS_ERR_CLOSE_BODY, sum;
		if (!is_control && (opcode == 0) != is_open)
			return sum.error = WS_ERR_FRAGMENT, sum;
		if (!is_control && (rsv & ~(opcode == 0 ? 0 : rsv_allowed)))
			return sum.error = WS_ERR_RSV, sum;
		if (!is_control && limits->max_frame_len && size > limits->max_frame_len)
			return sum.error = WS_ERR_TOO_BIG, sum;
		if (!is_control && limits->max_message_len && message_len + size > limits->max_message_len)
			return sum.error = WS_ERR_TOO_BIG, sum;
		sum.data_frame_count += !is_control;
		sum.ping_count += opcode == 9;
		sum.pong_count += opcode == 10;
		at += header_len;
		if (opcode == 8 && size >= 2 && len - at >= 2) {
			unsigned code = (unsigned)(in[at] ^ (is_client ? key[0] : 0)) << 8 |
					(in[at + 1] ^ (is_client ? key[1] : 0));
			if (!ws_close_code_is_valid((uint16_t)code))
				return sum.error = WS_ERR_CLOSE_BODY, sum;
			sum.close_code = code;
		}
		if (!is_control) {
			is_open = true;
			message_len += size;
		}
		if (size > len - at) {
			sum.close_code = 0;
			break;
		}
		at += size;
		sum.used_len = sum.boundary = at;
		if (opcode == 8) {
			if (size == 0)
				sum.close_code = 1005;
			return sum;
		}
		if (!is_control && is_final) {
			sum.message_count++;
			is_open = false;
			message_len = 0;
		}
	}
	sum.used_len = len;
	return sum;
}

/* A legal stream; its length. */
static size_t stream_make(uint8_t *out, size_t cap, bool is_client, unsigned rsv_allowed)
{
	bool is_open = false;
	size_t at = 0;

	for (unsigned count = dice(30); count > 0; count--) {
		static const uint8_t controls[] = { WS_OP_PING, WS_OP_PONG };
		struct ws_frame f = { .is_masked = is_client, .key = { 5, 6, 7, (uint8_t)dice(256) } };
		uint8_t header[WS_HEADER_MAX];
		bool is_last = false;
		int header_len;

		switch (dice(8)) {
		case 0:
		case 1:
			f.opcode = controls[dice(2)];
			f.is_final = true;
			f.payload_len = dice(126);
			break;
		case 2:
			if (dice(4) == 0) {
				f.opcode = WS_OP_CLOSE;
				f.is_final = true;
				f.payload_len = dice(2) ? 2 + dice(120) : 0;
				is_last = true;
				break;
			}
			/* fall through */
		default:
			f.opcode = (uint8_t)(is_open ? WS_OP_CONTINUATION : 1 + dice(2));
			f.rsv = (uint8_t)(!is_open && dice(2) ? rsv_allowed : 0);
			f.is_final = dice(3) != 0;
			f.payload_len = dice(10) == 0 ? 65530 + dice(10)
					: dice(3)     ? dice(20)
						      : 120 + dice(20);
			is_open = !f.is_final;
			break;
		}
		header_len = ws_frame_write_header(header, sizeof(header), &f);
		assert_true(header_len > 0);
		if (f.payload_len + (size_t)header_len > cap - at)
			break;
		memcpy(out + at, header, (size_t)header_len);
		at += (size_t)header_len;
		for (size_t i = 0; i < f.payload_len; i++)
			out[at + i] = (uint8_t)dice(256);
		if (is_last && f.payload_len > 0) {
			out[at] = 0x03;
			out[at + 1] = 0xe9;
			if (is_client)
				ws_mask(out + at, 2, f.key, 0);
		}
		at += f.payload_len;
		if (is_last)
			at += dice(5); /* rubbish that nobody may look at */
	}
	return at;
}

/* Cuts into at most `step` bytes at random; every run in a block of its own, so that ASan sees its ends. */
static struct totals stream_feed(const uint8_t *in, size_t len, enum ws_role from, unsigned rsv_allowed,
				 const struct ws_limits *limits, size_t step, struct ws_tracker *t)
{
	struct totals sum = { 0 };
	size_t at = 0;

	ws_tracker_init(t, from, rsv_allowed);
	do {
		size_t size = step == 0 || len - at == 0 ? len - at : 1 + dice((uint32_t)step);
		struct ws_summary s;
		uint8_t *run;
		int got;

		if (size > len - at)
			size = len - at;
		run = malloc(size > 0 ? size : 1);
		assert_non_null(run);
		memcpy(run, in + at, size);
		got = ws_tracker_feed(t, limits, run, size, &s);
		free(run);
		sum.message_count += s.message_count;
		sum.data_frame_count += s.data_frame_count;
		sum.ping_count += s.ping_count;
		sum.pong_count += s.pong_count;
		sum.close_code += s.close_code;
		sum.used_len += s.used_len;
		assert_true(s.used_len <= size);
		if (s.boundary != WS_NO_BOUNDARY) {
			assert_true(s.boundary <= s.used_len);
			sum.boundary = at + s.boundary;
		}
		sum.error = -got;
		at += size;
		if (got < 0 || t->is_closed)
			break;
		assert_int_equal(s.used_len, size);
		assert_int_equal(ws_tracker_at_boundary(t), sum.boundary == at);
	} while (at < len);
	return sum;
}

static void totals_check(const struct totals *got, const struct totals *want, bool is_cut)
{
	assert_int_equal(got->error, want->error);
	assert_int_equal(got->message_count, want->message_count);
	assert_int_equal(got->data_frame_count, want->data_frame_count);
	assert_int_equal(got->ping_count, want->ping_count);
	assert_int_equal(got->pong_count, want->pong_count);
	assert_int_equal(got->close_code, want->close_code);
	assert_int_equal(got->boundary, want->boundary);
	/* Where the bad frame began in an earlier run, that run's bytes are gone. */
	if (is_cut && want->error != WS_OK)
		assert_true(got->used_len >= want->used_len);
	else
		assert_int_equal(got->used_len, want->used_len);
}

static void tracker_agrees_with_a_slow_reader_however_cut(void **state)
{
	static uint8_t in[200000];
	static const size_t steps[] = { 0, 1, 3, 17, 200, 20000 };
	unsigned error_count = 0;

	(void)state;
	for (unsigned round = 0; round < 3000; round++) {
		enum ws_role from = dice(2) ? WS_FROM_CLIENT : WS_FROM_SERVER;
		unsigned rsv_allowed = dice(2) ? WS_RSV1 : 0;
		struct ws_limits limits = { dice(8) ? 0 : 130, dice(8) ? 0 : 200 };
		size_t len = stream_make(in, dice(20) ? 2000 : sizeof(in) - 10, from == WS_FROM_CLIENT,
					 rsv_allowed);
		struct totals want, got;
		struct ws_tracker t;

		/* Two of three rounds: legal no more. */
		if (round % 3 != 0 && len > 0) {
			for (unsigned n = 1 + dice(3); n > 0; n--)
				in[dice(2) ? dice((uint32_t)len) : dice(len < 8 ? (uint32_t)len : 8)] ^=
					(uint8_t)(1u << dice(8));
			if (dice(4) == 0)
				len = dice((uint32_t)len + 1);
		}
		want = stream_read(in, len, from == WS_FROM_CLIENT, rsv_allowed, &limits);
		if (round % 3 == 0 && limits.max_frame_len == 0 && limits.max_message_len == 0)
			assert_int_equal(want.error, WS_OK);
		error_count += want.error != WS_OK;
		for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
			if (len > 20000 && (steps[i] == 1 || steps[i] == 3))
				continue;
			got = stream_feed(in, len, from, rsv_allowed, &limits, steps[i], &t);
			totals_check(&got, &want, steps[i] != 0);
		}
	}
	assert_in_range(error_count, 500, 2500); /* the mutations do bite, and not always */
}

static void events_agree_with_sums(void **state)
{
	static uint8_t in[4000];

	(void)state;
	for (unsigned round = 0; round < 2000; round++) {
		enum ws_role from = dice(2) ? WS_FROM_CLIENT : WS_FROM_SERVER;
		struct ws_limits limits = { 0, 0 };
		size_t len = stream_make(in, sizeof(in) - 10, from == WS_FROM_CLIENT, 0), at = 0;
		struct totals want, got = { 0 };
		struct ws_tracker t;
		struct ws_event ev;

		if (round % 2 && len > 0)
			in[dice((uint32_t)len)] ^= (uint8_t)(1u << dice(8));
		want = stream_read(in, len, from == WS_FROM_CLIENT, 0, &limits);
		ws_tracker_init(&t, from, 0);
		while (at < len) {
			size_t run_end = at + 1 + dice((uint32_t)(len - at));

			do {
				at += ws_tracker_next(&t, &limits, in + at, run_end - at, &ev);
				got.message_count += ev.ends_message;
				got.close_code += ev.close_code;
				got.data_frame_count +=
					ev.kind == WS_EVENT_FRAME && !ws_opcode_is_control(ev.frame.opcode);
				got.ping_count += ev.kind == WS_EVENT_FRAME && ev.frame.opcode == WS_OP_PING;
				if (ws_tracker_at_boundary(&t))
					got.boundary = at;
			} while (ev.kind == WS_EVENT_FRAME || ev.kind == WS_EVENT_FRAME_END);
			if (ev.kind != WS_EVENT_MORE)
				break;
			assert_true(at == run_end || t.is_closed);
			if (t.is_closed)
				break;
		}
		assert_int_equal(t.error, want.error);
		assert_int_equal(got.message_count, want.message_count);
		assert_int_equal(got.data_frame_count, want.data_frame_count);
		assert_int_equal(got.ping_count, want.ping_count);
		assert_int_equal(got.close_code, want.close_code);
		assert_int_equal(got.boundary, want.boundary);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frame_header_is_the_same_however_it_is_cut),
		cmocka_unit_test(frame_header_written_is_the_one_parsed),
		cmocka_unit_test(frame_header_that_is_none_is_not_written),
		cmocka_unit_test(close_frame_has_code_and_reason),
		cmocka_unit_test(close_reason_is_cut_between_characters),
		cmocka_unit_test(ping_and_pong_carry_their_payload),
		cmocka_unit_test(mask_is_the_same_however_it_is_cut),
		cmocka_unit_test(close_codes_are_those_of_the_registry),
		cmocka_unit_test(every_error_has_a_code_and_a_text),
		cmocka_unit_test(tracker_keeps_every_rule),
		cmocka_unit_test(tracker_keeps_every_rule_byte_by_byte),
		cmocka_unit_test(tracker_tells_the_boundaries),
		cmocka_unit_test(tracker_discards_all_after_a_close),
		cmocka_unit_test(tracker_gives_each_frame_as_events),
		cmocka_unit_test(message_length_does_not_wrap),
		cmocka_unit_test(tracker_agrees_with_a_slow_reader_however_cut),
		cmocka_unit_test(events_agree_with_sums),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
