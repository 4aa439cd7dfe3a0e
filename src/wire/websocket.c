/* WebSocket frames: headers, control frames, masking, the tracker. */
#include "wire/websocket.h"

#include <string.h>

/* ---- one frame header ---- */

static uint64_t be16_get(const uint8_t *in)
{
	return (uint64_t)in[0] << 8 | in[1];
}

static uint64_t be64_get(const uint8_t *in)
{
	uint64_t value = 0;

	for (size_t i = 0; i < 8; i++)
		value = value << 8 | in[i];
	return value;
}

int ws_frame_parse(const uint8_t *in, size_t len, enum ws_role from, struct ws_frame *out)
{
	uint64_t payload_len;
	size_t size = 2;
	unsigned opcode;
	bool is_masked;

	/* Each octet is judged before the next is asked for: so a cut changes nothing. */
	if (len < 1)
		return 0;
	opcode = in[0] & 0xfu;
	if ((opcode & 0x7) > 2)
		return -WS_ERR_OPCODE;
	if (ws_opcode_is_control(opcode) && !(in[0] & WS_FIN))
		return -WS_ERR_CONTROL;
	if (len < 2)
		return 0;
	is_masked = (in[1] & 0x80) != 0;
	payload_len = in[1] & 0x7fu;
	if (is_masked != (from == WS_FROM_CLIENT))
		return -WS_ERR_MASKING;
	if (ws_opcode_is_control(opcode) && payload_len > WS_CONTROL_PAYLOAD_MAX)
		return -WS_ERR_CONTROL;
	if (payload_len == 126) {
		size = 4;
		if (len < size)
			return 0;
		payload_len = be16_get(in + 2);
		if (payload_len < 126)
			return -WS_ERR_LENGTH;
	} else if (payload_len == 127) {
		size = 10;
		if (len < size)
			return 0;
		payload_len = be64_get(in + 2);
		if (payload_len < 65536 || payload_len > INT64_MAX)
			return -WS_ERR_LENGTH;
	}
	if (is_masked) {
		size += 4;
		if (len < size)
			return 0;
		memcpy(out->key, in + size - 4, 4);
	} else {
		memset(out->key, 0, 4);
	}
	out->payload_len = payload_len;
	out->opcode = (uint8_t)opcode;
	out->rsv = in[0] & WS_RSV;
	out->is_final = (in[0] & WS_FIN) != 0;
	out->is_masked = is_masked;
	return (int)size;
}

int ws_frame_write_header(uint8_t *out, size_t cap, const struct ws_frame *f)
{
	size_t size = f->payload_len < 126 ? 2 : f->payload_len < 65536 ? 4 : 10;
	size_t key_len = f->is_masked ? 4 : 0;

	if (cap < size + key_len || f->payload_len > INT64_MAX || f->opcode > 0xf || (f->opcode & 0x7) > 2 ||
	    (f->rsv & ~WS_RSV) != 0)
		return -1;
	if (ws_opcode_is_control(f->opcode) && (!f->is_final || f->payload_len > WS_CONTROL_PAYLOAD_MAX))
		return -1;
	out[0] = (uint8_t)((f->is_final ? WS_FIN : 0) | f->rsv | f->opcode);
	out[1] = f->is_masked ? 0x80 : 0;
	if (size == 2) {
		out[1] |= (uint8_t)f->payload_len;
	} else if (size == 4) {
		out[1] |= 126;
		out[2] = (uint8_t)(f->payload_len >> 8);
		out[3] = (uint8_t)f->payload_len;
	} else {
		out[1] |= 127;
		for (unsigned i = 0; i < 8; i++)
			out[2 + i] = (uint8_t)(f->payload_len >> (56 - 8 * i));
	}
	if (f->is_masked)
		memcpy(out + size, f->key, 4);
	return (int)(size + key_len);
}

/* ---- control frames ---- */

static int control_write(uint8_t *out, size_t cap, enum ws_opcode opcode, const void *payload, size_t len,
			 const uint8_t *key)
{
	struct ws_frame f = { .payload_len = len, .opcode = (uint8_t)opcode, .is_final = true };
	uint8_t header[WS_HEADER_MAX];
	int size;

	if (key != NULL) {
		f.is_masked = true;
		memcpy(f.key, key, 4);
	}
	size = ws_frame_write_header(header, sizeof(header), &f);
	if (size < 0 || cap < (size_t)size + len)
		return -1;
	memcpy(out, header, (size_t)size);
	if (len > 0) {
		memcpy(out + size, payload, len);
		if (key != NULL)
			ws_mask(out + size, len, key, 0);
	}
	return size + (int)len;
}

int ws_ping_write(uint8_t *out, size_t cap, const void *payload, size_t len, const uint8_t *key)
{
	return control_write(out, cap, WS_OP_PING, payload, len, key);
}

int ws_pong_write(uint8_t *out, size_t cap, const void *payload, size_t len, const uint8_t *key)
{
	return control_write(out, cap, WS_OP_PONG, payload, len, key);
}

int ws_close_write(uint8_t *out, size_t cap, uint16_t code, const char *reason, const uint8_t *key)
{
	uint8_t payload[WS_CONTROL_PAYLOAD_MAX];
	size_t len = 0;

	if (!ws_close_code_is_valid(code))
		return control_write(out, cap, WS_OP_CLOSE, NULL, 0, key);
	payload[0] = (uint8_t)(code >> 8);
	payload[1] = (uint8_t)code;
	if (reason != NULL) {
		len = strlen(reason);
		if (len > WS_CLOSE_REASON_MAX) {
			/* A peer must fail on text that is not UTF-8 (8.1). */
			len = WS_CLOSE_REASON_MAX;
			while (len > 0 && ((unsigned char)reason[len] & 0xc0) == 0x80)
				len--;
		}
		memcpy(payload + 2, reason, len);
	}
	return control_write(out, cap, WS_OP_CLOSE, payload, 2 + len, key);
}

void ws_mask(uint8_t *buf, size_t len, const uint8_t key[4], uint64_t offset)
{
	uint8_t turned[8];
	uint64_t word, pad;
	size_t at = 0;

	for (size_t i = 0; i < sizeof(turned); i++)
		turned[i] = key[(offset + i) & 3];
	memcpy(&pad, turned, sizeof(pad));
	for (; len - at >= sizeof(word); at += sizeof(word)) {
		memcpy(&word, buf + at, sizeof(word));
		word ^= pad;
		memcpy(buf + at, &word, sizeof(word));
	}
	for (; at < len; at++)
		buf[at] ^= turned[at & 7];
}

/* ---- codes and words ---- */

bool ws_close_code_is_valid(uint16_t code)
{
	if (code >= 3000)
		return code <= 4999;
	return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}

static const struct {
	const char *text;
	uint16_t close_code;
} errors[WS_ERR_COUNT] = {
	[WS_OK] = { "no error", WS_CLOSE_NORMAL },
	[WS_ERR_MASKING] = { "frame is masked by a server or not masked by a client", WS_CLOSE_PROTOCOL },
	[WS_ERR_OPCODE] = { "reserved opcode", WS_CLOSE_PROTOCOL },
	[WS_ERR_CONTROL] = { "control frame is fragmented or longer than 125 bytes", WS_CLOSE_PROTOCOL },
	[WS_ERR_LENGTH] = { "payload length is not in its shortest form or out of range", WS_CLOSE_PROTOCOL },
	[WS_ERR_RSV] = { "reserved bit without an extension that defines it", WS_CLOSE_PROTOCOL },
	[WS_ERR_FRAGMENT] = { "continuation of no message, or new message inside a fragmented one",
			      WS_CLOSE_PROTOCOL },
	[WS_ERR_TOO_BIG] = { "frame or message is over the limit", WS_CLOSE_TOO_BIG },
	[WS_ERR_DATA] = { "compressed data is broken", WS_CLOSE_DATA },
	[WS_ERR_RATIO] = { "a message inflates to too many times its size", WS_CLOSE_TOO_BIG },
	[WS_ERR_MEMORY] = { "no memory to compress or inflate", WS_CLOSE_INTERNAL },
	[WS_ERR_CLOSE_BODY] = { "close frame with a body of one byte or a code that may not be sent",
				WS_CLOSE_PROTOCOL },
};

static size_t error_row(int error)
{
	size_t row = (size_t)(error < 0 ? -(long)error : error);

	return row < WS_ERR_COUNT ? row : WS_ERR_OPCODE;
}

uint16_t ws_close_code_of(int error)
{
	return errors[error_row(error)].close_code;
}

const char *ws_error_text(int error)
{
	return errors[error_row(error)].text;
}

/* ---- the tracker ---- */

void ws_tracker_init(struct ws_tracker *t, enum ws_role from, unsigned rsv_allowed)
{
	assert((rsv_allowed & ~(unsigned)WS_RSV) == 0);
	memset(t, 0, sizeof(*t));
	t->from = from == WS_FROM_SERVER;
	t->rsv_allowed = (rsv_allowed >> 4) & 7;
}

uint16_t ws_tracker_close_code(const struct ws_tracker *t)
{
	if (!t->is_closed)
		return 0;
	return t->close_got == 2 ? (uint16_t)be16_get(t->held) : WS_CLOSE_NO_STATUS;
}

static uint64_t add_saturating(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* What a header alone cannot say: whether the frame may come here. */
static int frame_check(const struct ws_tracker *t, const struct ws_limits *limits, const struct ws_frame *f)
{
	if (ws_opcode_is_control(f->opcode)) {
		if (f->rsv != 0)
			return WS_ERR_RSV;
		return f->opcode == WS_OP_CLOSE && f->payload_len == 1 ? WS_ERR_CLOSE_BODY : WS_OK;
	}
	if ((f->opcode == WS_OP_CONTINUATION) != t->in_message)
		return WS_ERR_FRAGMENT;
	if ((f->rsv & ~(t->in_message ? 0u : (unsigned)t->rsv_allowed << 4)) != 0)
		return WS_ERR_RSV;
	if (limits == NULL)
		return WS_OK;
	if (limits->max_frame_len > 0 && f->payload_len > limits->max_frame_len)
		return WS_ERR_TOO_BIG;
	if (limits->max_message_len > 0 &&
	    add_saturating(t->message_len, f->payload_len) > limits->max_message_len)
		return WS_ERR_TOO_BIG;
	return WS_OK;
}

static void frame_enter(struct ws_tracker *t, const struct ws_frame *f)
{
	t->held_len = 0;
	t->in_frame = 1;
	t->opcode = f->opcode & 0xfu;
	t->is_final = f->is_final;
	t->payload_left = f->payload_len;
	if (f->opcode == WS_OP_CLOSE) {
		t->close_got = 0;
		memcpy(t->held + 2, f->key, 2);
	} else if (!ws_opcode_is_control(f->opcode)) {
		if (!t->in_message)
			t->is_text = f->opcode == WS_OP_TEXT;
		t->in_message = 1;
		t->message_len = add_saturating(t->message_len, f->payload_len);
	}
}

static size_t fail(struct ws_tracker *t, int error, struct ws_event *ev)
{
	t->error = (unsigned)error & 0xf;
	ev->kind = WS_EVENT_ERROR;
	ev->error = error;
	return 0;
}

/* Between frames: completes a header, or holds what there is of it. */
static size_t header_follow(struct ws_tracker *t, const struct ws_limits *limits, const uint8_t *in,
			    size_t len, struct ws_event *ev)
{
	enum ws_role from = t->from ? WS_FROM_SERVER : WS_FROM_CLIENT;
	uint8_t joined[WS_HEADER_MAX];
	size_t held_len = t->held_len;
	int got, error;

	if (held_len == 0) {
		got = ws_frame_parse(in, len, from, &ev->frame);
	} else {
		size_t more = len < sizeof(joined) - held_len ? len : sizeof(joined) - held_len;

		memcpy(joined, t->held, held_len);
		if (more > 0)
			memcpy(joined + held_len, in, more);
		got = ws_frame_parse(joined, held_len + more, from, &ev->frame);
	}
	if (got < 0)
		return fail(t, -got, ev);
	if (got == 0) {
		/* Not whole, so at most 13 bytes with these. */
		if (len > 0)
			memcpy(t->held + held_len, in, len);
		t->held_len = (held_len + len) & 0xf;
		ev->kind = WS_EVENT_MORE;
		return len;
	}
	error = frame_check(t, limits, &ev->frame);
	if (error != WS_OK)
		return fail(t, error, ev);
	frame_enter(t, &ev->frame);
	ev->kind = WS_EVENT_FRAME;
	return (size_t)got - held_len;
}

/* Collects the code from the first bytes of a Close frame's payload; false if it may not be sent. */
static bool close_follow(struct ws_tracker *t, const uint8_t *in, size_t len)
{
	for (size_t i = 0; i < len && t->close_got < 2; i++) {
		t->held[t->close_got] = in[i] ^ t->held[2 + t->close_got];
		t->close_got = (t->close_got + 1u) & 3;
		if (t->close_got == 2)
			return ws_close_code_is_valid((uint16_t)be16_get(t->held));
	}
	return true;
}

/* Within a frame: skips its payload. */
static size_t payload_follow(struct ws_tracker *t, const uint8_t *in, size_t len, struct ws_event *ev)
{
	size_t used = t->payload_left < len ? (size_t)t->payload_left : len;

	if (t->opcode == WS_OP_CLOSE && t->close_got < 2 && !close_follow(t, in, used))
		return fail(t, WS_ERR_CLOSE_BODY, ev);
	t->payload_left -= used;
	if (t->payload_left > 0) {
		ev->kind = WS_EVENT_MORE;
		return used;
	}
	ev->kind = WS_EVENT_FRAME_END;
	t->in_frame = 0;
	if (t->opcode == WS_OP_CLOSE) {
		t->is_closed = 1;
		ev->close_code = ws_tracker_close_code(t);
	} else if (!ws_opcode_is_control(t->opcode) && t->is_final) {
		ev->ends_message = true;
		ev->is_text = t->is_text;
		ev->message_len = t->message_len;
		t->in_message = 0;
		t->message_len = 0;
	}
	return used;
}

size_t ws_tracker_next(struct ws_tracker *t, const struct ws_limits *limits, const uint8_t *in, size_t len,
		       struct ws_event *ev)
{
	ev->close_code = 0;
	ev->ends_message = false;
	ev->error = WS_OK;
	if (t->error != WS_OK)
		return fail(t, t->error, ev);
	if (t->is_closed) {
		ev->kind = len > 0 ? WS_EVENT_CLOSED : WS_EVENT_MORE;
		return 0;
	}
	if (t->in_frame)
		return payload_follow(t, in, len, ev);
	return header_follow(t, limits, in, len, ev);
}

/* The common case without any state: data messages of one frame that lie whole in the run.  Stops before
 * whatever is anything else, right or wrong.  Returns the bytes skipped. */
static inline size_t whole_messages_skip(const struct ws_tracker *t, const struct ws_limits *limits,
					 const uint8_t *in, size_t len, struct ws_summary *out)
{
	const unsigned rsv_allowed = (unsigned)t->rsv_allowed << 4;
	const unsigned mask_bit = t->from ? 0 : 0x80;
	const size_t key_len = t->from ? 0 : 4;
	size_t max_len = SIZE_MAX, at = 0;

	if (limits != NULL) {
		if (limits->max_frame_len > 0)
			max_len = limits->max_frame_len;
		if (limits->max_message_len > 0 && limits->max_message_len < max_len)
			max_len = limits->max_message_len;
	}
	while (len - at >= 4) {
		const uint8_t *header = in + at;
		size_t payload_len = header[1] ^ mask_bit; /* over 127: the mask is wrong */
		size_t size = 2;

		if ((header[0] & ~rsv_allowed) - (WS_FIN | WS_OP_TEXT) > 1u)
			break;
		if (payload_len >= 126) {
			if (payload_len > 126)
				break;
			payload_len = be16_get(header + 2);
			size = 4;
			if (payload_len < 126)
				break;
		}
		if (payload_len > max_len)
			break;
		size += key_len + payload_len;
		if (size > len - at)
			break;
		at += size;
		ws_summary_add(out, payload_len, (header[0] & 0x0f) == WS_OP_TEXT);
	}
	return at;
}

/* Between two data messages, and nothing to say against the next. */
static inline bool is_idle(const struct ws_tracker *t)
{
	return !t->in_frame && !t->in_message && t->held_len == 0 && t->error == WS_OK && !t->is_closed;
}

/* Adds the events of in[at..] to the sums in `out`.  Apart from ws_tracker_feed so that the common case saves
 * no registers for this one. */
__attribute__((noinline)) static int events_add(struct ws_tracker *t, const struct ws_limits *limits,
						const uint8_t *in, size_t len, size_t at,
						struct ws_summary *out)
{
	for (;;) {
		struct ws_event ev;

		at += ws_tracker_next(t, limits, in + at, len - at, &ev);
		if (ev.kind == WS_EVENT_FRAME) {
			out->data_frame_count += !ws_opcode_is_control(ev.frame.opcode);
			out->ping_count += ev.frame.opcode == WS_OP_PING;
			out->pong_count += ev.frame.opcode == WS_OP_PONG;
			continue;
		}
		if (ev.kind == WS_EVENT_ERROR) {
			/* The offending frame begins at the last boundary, or in an earlier run. */
			out->used_len = out->boundary == WS_NO_BOUNDARY ? 0 : out->boundary;
			return -ev.error;
		}
		if (ev.kind != WS_EVENT_FRAME_END)
			break;
		if (ev.ends_message)
			ws_summary_add(out, ev.message_len, ev.is_text);
		out->close_code = ev.close_code;
		if (is_idle(t)) {
			uint32_t before = out->message_count;

			at += whole_messages_skip(t, limits, in + at, len - at, out);
			out->data_frame_count += out->message_count - before;
		}
		out->boundary = at;
	}
	out->used_len = at;
	return 0;
}

int ws_tracker_feed(struct ws_tracker *t, const struct ws_limits *limits, const uint8_t *in, size_t len,
		    struct ws_summary *out)
{
	size_t at = 0;

	*out = (struct ws_summary){ 0 };
	if (is_idle(t))
		at = whole_messages_skip(t, limits, in, len, out);
	out->used_len = at;
	out->boundary = ws_tracker_at_boundary(t) ? at : WS_NO_BOUNDARY;
	out->data_frame_count = out->message_count;
	return at == len && t->error == WS_OK ? 0 : events_add(t, limits, in, len, at, out);
}
