/* wire/ws_recode, wire/zip: what a server says, compressed and inflated again, is what it said; however it is cut. */
#include "wire/ws_recode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static uint64_t dice_state = 7;

static uint32_t dice(uint32_t below)
{
	dice_state ^= dice_state << 13;
	dice_state ^= dice_state >> 7;
	dice_state ^= dice_state << 17;
	return (uint32_t)(dice_state >> 16) % below;
}

struct bytes {
	uint8_t *at;
	size_t len, cap;
};

static void add(struct bytes *b, const void *at, size_t len)
{
	if (b->cap - b->len < len) {
		b->cap = (b->len + len) * 2;
		b->at = realloc(b->at, b->cap);
		assert_non_null(b->at);
	}
	if (len > 0)
		memcpy(b->at + b->len, at, len);
	b->len += len;
}

static void add_frame(struct bytes *b, struct ws_frame f, const uint8_t *payload)
{
	uint8_t header[WS_HEADER_MAX];
	int len = ws_frame_write_header(header, sizeof(header), &f);

	assert_true(len > 0);
	add(b, header, (size_t)len);
	add(b, payload, (size_t)f.payload_len);
	if (f.is_masked)
		ws_mask(b->at + b->len - f.payload_len, (size_t)f.payload_len, f.key, 0);
}

/* ---- a run through it ---- */

struct sink {
	struct bytes out;
	unsigned full_every; /* says so at each such asking; 0: never */
	unsigned asked;
};

static void on_piece(void *user, const uint8_t *at, size_t len, unsigned marks, bool is_copy)
{
	struct sink *s = user;

	(void)is_copy;
	(void)marks;
	assert_true(len > 0);
	add(&s->out, at, len);
}

static void on_key(void *user, uint8_t out[4])
{
	(void)user;
	for (int i = 0; i < 4; i++)
		out[i] = (uint8_t)dice(256);
}

static bool on_full(void *user)
{
	struct sink *s = user;

	return s->full_every > 0 && ++s->asked % s->full_every == 0;
}

static struct ws_recode_room room;

static int feed_all(struct ws_recode *r, const struct ws_recode_rules *rules, const uint8_t *in, size_t len, size_t cut,
		    struct sink *s)
{
	static const struct ws_recode_calls calls = { on_piece, on_key, on_full };
	size_t at = 0, used;
	int error = 0;

	while (at < len && error == 0) {
		size_t some = cut < len - at ? cut : len - at;

		error = ws_recode_feed(r, &room, rules, in + at, some, &calls, s, &used);
		assert_true(used <= some);
		at += used;
	}
	return error;
}

static void feed(enum ws_role from, const struct ws_recode_rules *rules, const struct bytes *in, size_t cut,
		 unsigned full_every, struct bytes *out, int want)
{
	struct ws_recode r;
	struct sink s = { .full_every = full_every };
	int error;

	ws_recode_init(&r, from);
	error = feed_all(&r, rules, in->at, in->len, cut, &s);
	if (error != want)
		fail_msg("%d, want %d", error, want);
	ws_recode_done(&r, &room);
	*out = s.out;
}

/* ---- what a stream says ---- */

/* Messages as opcode, length and payload, then control frames likewise; both are kept apart, for their order among each
 * other may change.  Compressed ones must have RSV1 in their first frame alone, which the tracker looks after. */
static void read_stream(const struct bytes *in, enum ws_role from, unsigned rsv, struct bytes *messages,
			struct bytes *controls, unsigned *coded_count)
{
	struct ws_tracker t;
	struct bytes message = { 0 }, frame = { 0 };
	struct ws_event ev = { 0 };
	struct ws_frame f = { 0 };
	size_t at = 0;
	uint8_t opcode = 0;

	ws_tracker_init(&t, from, rsv);
	do { /* once more than there are bytes: the last frame may be empty */
		size_t used = ws_tracker_next(&t, NULL, in->at + at, in->len - at, &ev);

		assert_int_not_equal(ev.kind, WS_EVENT_ERROR);
		if (ev.kind == WS_EVENT_FRAME) {
			f = ev.frame;
			frame.len = 0;
			*coded_count += (f.rsv & WS_RSV1) != 0;
			if (!ws_opcode_is_control(f.opcode) && f.opcode != WS_OP_CONTINUATION)
				opcode = f.opcode;
		} else if (ev.kind == WS_EVENT_FRAME_END || ev.kind == WS_EVENT_MORE) {
			add(&frame, in->at + at, used);
		}
		if (ev.kind == WS_EVENT_FRAME_END) {
			if (f.is_masked)
				ws_mask(frame.at, frame.len, f.key, 0);
			if (ws_opcode_is_control(f.opcode)) {
				add(controls, &f.opcode, 1);
				add(controls, &frame.len, sizeof(frame.len));
				add(controls, frame.at, frame.len);
			} else {
				add(&message, frame.at, frame.len);
			}
		}
		if (ev.ends_message) {
			add(messages, &opcode, 1);
			add(messages, &message.len, sizeof(message.len));
			add(messages, message.at, message.len);
			message.len = 0;
		}
		at += used;
	} while (at < in->len || ev.kind == WS_EVENT_FRAME);
	free(message.at);
	free(frame.at);
}

/* The same frames from a client. */
static void mask_all(const struct bytes *in, struct bytes *out)
{
	struct ws_tracker t;
	struct ws_event ev;
	size_t at = 0;

	ws_tracker_init(&t, WS_FROM_SERVER, WS_RSV1);
	while (at < in->len) {
		at += ws_tracker_next(&t, NULL, in->at + at, in->len - at, &ev);
		if (ev.kind != WS_EVENT_FRAME)
			continue;
		ev.frame.is_masked = true;
		on_key(NULL, ev.frame.key);
		add_frame(out, ev.frame, in->at + at);
	}
}

/* A server's frames: messages of all lengths and of all kinds of content, in fragments, control frames between. */
static void random_stream(struct bytes *out, unsigned count)
{
	static uint8_t payload[70000];

	for (unsigned i = 0; i < count; i++) {
		static const uint32_t lengths[] = { 1, 40, 300, 5000, 70000 };
		uint32_t len = dice(lengths[dice(ARRAY_LEN(lengths))]), at = 0, period = dice(3) ? 1 + dice(40) : 70000;
		unsigned fragments = dice(3) == 0 ? 1 + dice(4) : 1;
		uint8_t opcode = dice(2) ? WS_OP_TEXT : WS_OP_BINARY;

		for (uint32_t j = 0; j < len; j++)
			payload[j] = j < period ? (uint8_t)dice(256) : payload[j - period];
		while (fragments-- > 0) {
			uint32_t some = fragments == 0 ? len - at : dice(len - at + 1);

			add_frame(out, (struct ws_frame){ .payload_len = some, .opcode = opcode, .is_final = fragments == 0 },
				  payload + at);
			at += some;
			opcode = WS_OP_CONTINUATION;
			if (dice(4) == 0)
				add_frame(out, (struct ws_frame){ .payload_len = 5, .opcode = WS_OP_PING, .is_final = true },
					  (const uint8_t *)"hello");
		}
	}
}

static void free_all(struct bytes *b, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(b[i].at);
}

static struct ws_recode_rules rules_of(bool deflates, bool keeps, uint8_t bits)
{
	return (struct ws_recode_rules){ .shape = { .deflates = deflates, .window_bits = bits, .level = 6, .memory_level = 8 },
					 .keeps_context = keeps,
					 .min_len = 64 };
}

static const struct {
	uint8_t bits;
	bool keeps;
	size_t cut_in, cut_out;
	unsigned full_every;
} rounds[] = {
	{ 15, false, SIZE_MAX, SIZE_MAX, 0 }, { 15, true, SIZE_MAX, SIZE_MAX, 0 }, { 9, false, 1, 1, 0 },
	{ 9, true, 1, 1, 1 },		      { 10, true, 16384, 7, 3 },	   { 15, false, 100, 16384, 1 },
	{ 12, true, 4097, 4096, 2 },	      { 15, true, 3, 1000, 1 },
};

static void what_was_compressed_inflates_again(void **state)
{
	(void)state;
	for (size_t i = 0; i < 4 * ARRAY_LEN(rounds); i++) {
		const size_t k = i % ARRAY_LEN(rounds);
		struct ws_recode_rules pack = rules_of(true, rounds[k].keeps, rounds[k].bits);
		struct ws_recode_rules unpack = rules_of(false, rounds[k].keeps, rounds[k].bits);
		struct bytes b[10] = { { 0 } };
		unsigned plain_count = 0, coded_count = 0, inflated_count = 0;

		random_stream(&b[0], rounds[k].cut_in < 10 ? 30 : 120);
		feed(WS_FROM_SERVER, &pack, &b[0], rounds[k].cut_in, 0, &b[1], 0);
		mask_all(&b[1], &b[2]);
		feed(WS_FROM_CLIENT, &unpack, &b[2], rounds[k].cut_out, rounds[k].full_every, &b[3], 0);
		read_stream(&b[0], WS_FROM_SERVER, 0, &b[4], &b[5], &plain_count);
		read_stream(&b[3], WS_FROM_CLIENT, 0, &b[6], &b[7], &inflated_count);
		read_stream(&b[1], WS_FROM_SERVER, WS_RSV1, &b[8], &b[9], &coded_count);
		assert_int_equal(b[4].len, b[6].len);
		assert_memory_equal(b[4].at, b[6].at, b[4].len);
		assert_int_equal(b[5].len, b[7].len);
		assert_memory_equal(b[5].at, b[7].at, b[5].len);
		assert_true(coded_count > 0 && inflated_count == 0);
		assert_true(b[1].len < b[0].len);
		free_all(b, ARRAY_LEN(b));
	}
}

/* ---- from clients ---- */

#define RFC_HELLO 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00 /* "Hello", RFC 7692 7.2.3.1 */

/* Payloads of one compressed message, whole (cut at `cut`, when that is not 0, into two frames). */
static const struct {
	const char *name;
	size_t len;
	uint8_t in[40];
	const char *want; /* NULL: an error */
} payloads[] = {
	{ "7.2.3.1: a block of fixed codes", 7, { RFC_HELLO }, "Hello" },
	{ "7.2.3.3: a stored block", 11, { 0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00 }, "Hello" },
	{ "7.2.3.4: a final block and the octet behind it", 8, { 0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00 }, "Hello" },
	{ "a final block with nothing behind it", 7, { 0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00 }, "Hello" },
	{ "7.2.3.5: two blocks", 13, { 0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00 }, "Hello" },
	{ "7.2.3.6: an empty message", 1, { 0x00 }, "" },
	{ "an empty message of a fixed block", 2, { 0x02, 0x00 }, "" },
	{ "no octet at all", 0, { 0 }, "" },
	{ "a final block, and another behind it", 14,
	  { 0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00 }, "HelloHello" },
	{ "block type 3", 2, { 0x06, 0x00 }, NULL },
	{ "a stored block whose lengths differ", 5, { 0x00, 0x05, 0x00, 0xff, 0xff }, NULL },
	{ "it ends within a block", 4, { 0xf2, 0x48, 0xcd, 0xc9 }, NULL },
	{ "a distance before the first octet", 4, { 0x4b, 0x04, 0x12, 0x00 }, NULL },
	{ "text that is no deflate", 11, { "hello world" }, NULL },
};

static void messages_of_clients(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(payloads); i++) {
		for (size_t first = 0; first <= payloads[i].len; first++) {
			for (size_t cut = 1; cut < 40; cut += 13) {
				struct ws_recode_rules rules = rules_of(false, false, 15);
				struct bytes in = { 0 }, out = { 0 }, messages = { 0 }, controls = { 0 };
				unsigned coded_count = 0;

				add_frame(&in, (struct ws_frame){ .payload_len = first, .opcode = WS_OP_TEXT, .rsv = WS_RSV1,
								  .is_masked = true, .key = "abcd" }, payloads[i].in);
				add_frame(&in, (struct ws_frame){ .payload_len = 2, .opcode = WS_OP_PING, .is_final = true,
								  .is_masked = true, .key = "efgh" }, (const uint8_t *)"hi");
				add_frame(&in, (struct ws_frame){ .payload_len = payloads[i].len - first, .is_final = true,
								  .opcode = WS_OP_CONTINUATION, .is_masked = true, .key = "ijkl" },
					  payloads[i].in + first);
				feed(WS_FROM_CLIENT, &rules, &in, cut, 0, &out, payloads[i].want == NULL ? -WS_ERR_DATA : 0);
				read_stream(&out, WS_FROM_CLIENT, 0, &messages, &controls, &coded_count);
				if (payloads[i].want != NULL &&
				    (messages.len != 1 + sizeof(size_t) + strlen(payloads[i].want) ||
				     memcmp(messages.at + 1 + sizeof(size_t), payloads[i].want, strlen(payloads[i].want)) != 0))
					fail_msg("%s: cut at %zu", payloads[i].name, first);
				free(in.at);
				free(out.at);
				free(messages.at);
				free(controls.at);
			}
		}
	}
}

/* 7.2.3.2: the second message refers to the first one. */
static void context_is_taken_over_where_it_was_agreed(void **state)
{
	static const uint8_t first[] = { RFC_HELLO }, second[] = { 0xf2, 0x00, 0x11, 0x00, 0x00 };

	(void)state;
	for (int keeps = 0; keeps < 2; keeps++) {
		struct ws_recode_rules rules = rules_of(false, keeps, 15);
		struct bytes in = { 0 }, out = { 0 };

		add_frame(&in, (struct ws_frame){ .payload_len = sizeof(first), .opcode = WS_OP_TEXT, .rsv = WS_RSV1,
						  .is_final = true, .is_masked = true, .key = "abcd" }, first);
		add_frame(&in, (struct ws_frame){ .payload_len = sizeof(second), .opcode = WS_OP_TEXT, .rsv = WS_RSV1,
						  .is_final = true, .is_masked = true, .key = "abcd" }, second);
		feed(WS_FROM_CLIENT, &rules, &in, SIZE_MAX, 0, &out, keeps ? 0 : -WS_ERR_DATA);
		assert_int_equal(out.len, keeps ? 22 : 11);
		free(in.at);
		free(out.at);
	}
}

/* A bomb is stopped by its size, or by its ratio, and not much later than where the bound stands. */
static void bombs_are_stopped(void **state)
{
	static const struct {
		uint64_t max_len;
		uint32_t max_ratio;
		int want;
		size_t most; /* that comes out */
	} cases[] = {
		{ 100000, 0, -WS_ERR_TOO_BIG, 100000 + 1000 },
		{ 4000000, 0, 0, 4010000 },
		{ 0, 200, -WS_ERR_RATIO, WS_RECODE_FREE + 200 * 4200 },
		{ 0, 1100, 0, 4010000 },
		{ 0, 0, 0, 4010000 },
	};
	uint8_t *zeros = calloc(1, 4000000);
	struct ws_recode_rules pack = rules_of(true, false, 15);
	struct bytes plain = { 0 }, packed = { 0 }, masked = { 0 };

	(void)state;
	add_frame(&plain, (struct ws_frame){ .payload_len = 4000000, .opcode = WS_OP_BINARY, .is_final = true }, zeros);
	feed(WS_FROM_SERVER, &pack, &plain, SIZE_MAX, 0, &packed, 0);
	mask_all(&packed, &masked);
	assert_true(masked.len < 4200);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct ws_recode_rules rules = rules_of(false, false, 15);
		struct bytes out = { 0 };

		rules.max_message_len = cases[i].max_len;
		rules.max_ratio = cases[i].max_ratio;
		feed(WS_FROM_CLIENT, &rules, &masked, SIZE_MAX, 0, &out, cases[i].want);
		assert_true(out.len <= cases[i].most);
		free(out.at);
	}
	free(zeros);
	free(plain.at);
	free(packed.at);
	free(masked.at);
}

/* Nothing more than a fragment comes out where nobody takes more. */
static void who_is_full_is_not_filled(void **state)
{
	static const struct ws_recode_calls calls = { on_piece, on_key, on_full };
	struct ws_recode_rules pack = rules_of(true, false, 15), rules = rules_of(false, false, 15);
	struct bytes plain = { 0 }, packed = { 0 }, masked = { 0 };
	struct sink s = { .full_every = 1 };
	uint8_t *zeros = calloc(1, 1000000);
	struct ws_recode r;
	size_t at = 0, used, before;

	(void)state;
	add_frame(&plain, (struct ws_frame){ .payload_len = 1000000, .opcode = WS_OP_BINARY, .is_final = true }, zeros);
	feed(WS_FROM_SERVER, &pack, &plain, SIZE_MAX, 0, &packed, 0);
	mask_all(&packed, &masked);
	ws_recode_init(&r, WS_FROM_CLIENT);
	while (at < masked.len) {
		before = s.out.len;
		assert_int_equal(ws_recode_feed(&r, &room, &rules, masked.at + at, masked.len - at, &calls, &s, &used), 0);
		assert_true(s.out.len - before <= 2 * (WS_RECODE_CHUNK + WS_HEADER_MAX));
		at += used;
	}
	assert_true(s.out.len > 1000000);
	ws_recode_done(&r, &room);
	free(zeros);
	free(plain.at);
	free(packed.at);
	free(masked.at);
	free(s.out.at);
}

static int over(void **state)
{
	(void)state;
	zip_pool_done(&room.pool);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_compressed_inflates_again),
		cmocka_unit_test(messages_of_clients),
		cmocka_unit_test(context_is_taken_over_where_it_was_agreed),
		cmocka_unit_test(bombs_are_stopped),
		cmocka_unit_test(who_is_full_is_not_filled),
	};

	return cmocka_run_group_tests(tests, NULL, over);
}
