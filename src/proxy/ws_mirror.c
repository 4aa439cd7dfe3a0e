#include "proxy/ws_mirror.h"

#include "base/digest.h"
#include "base/str.h"

#include <string.h>

#define LINE_MAX (256u + (WS_MIRROR_PAYLOAD_MAX + 2) / 3 * 4)

void ws_mirror_attach(struct ws_mirror *m, struct ws_mirror **holder, const struct ws_tracker *client,
		      const struct ws_tracker *backend, uint64_t now_ms)
{
	m->sides[0].tracker = *client;
	m->sides[1].tracker = *backend;
	m->began_ms = now_ms;
	m->holder = holder;
	*holder = m;
}

void ws_mirror_detach(struct ws_mirror *m)
{
	if (m->holder == NULL)
		return;
	*m->holder = NULL;
	m->holder = NULL;
	m->notify(m, true);
}

/* ---- lines ---- */

static bool line_put(struct ws_mirror *m, const char *line, size_t len)
{
	unsigned written = atomic_load_explicit(&m->written, memory_order_relaxed);
	unsigned used = written - atomic_load_explicit(&m->taken, memory_order_acquire);
	size_t at = written % WS_MIRROR_BUFFER, first = WS_MIRROR_BUFFER - at;

	if (len > WS_MIRROR_BUFFER - used)
		return false;
	if (first > len)
		first = len;
	memcpy(m->buffer + at, line, first);
	memcpy(m->buffer, line + first, len - first);
	atomic_store_explicit(&m->written, written + (unsigned)len, memory_order_release);
	return true;
}

size_t ws_mirror_take(struct ws_mirror *m, char *out, size_t cap)
{
	unsigned taken = atomic_load_explicit(&m->taken, memory_order_relaxed);
	size_t len = atomic_load_explicit(&m->written, memory_order_acquire) - taken;
	size_t at = taken % WS_MIRROR_BUFFER, first = WS_MIRROR_BUFFER - at;

	if (len > cap)
		len = cap;
	if (first > len)
		first = len;
	memcpy(out, m->buffer + at, first);
	memcpy(out + first, m->buffer, len - first);
	atomic_store_explicit(&m->taken, taken + (unsigned)len, memory_order_release);
	return len;
}

static void number(struct str *s, const char *name, uint64_t value)
{
	str_cstr(s, name);
	str_dec(s, value);
}

/* false: there is no room. */
static bool dropped_tell(struct ws_mirror *m)
{
	char line[64];
	struct str s;

	if (m->dropped == m->dropped_told)
		return true;
	str_init(&s, line, sizeof(line));
	number(&s, "{\"dropped\": ", m->dropped - m->dropped_told);
	str_cstr(&s, "}\n");
	if (!line_put(m, s.at, s.len))
		return false;
	m->dropped_told = m->dropped;
	return true;
}

static void frame_tell(struct ws_mirror *m, bool is_client, uint64_t now_ms)
{
	static const char *const opcodes[16] = { [WS_OP_CONTINUATION] = "continuation", [WS_OP_TEXT] = "text",
						 [WS_OP_BINARY] = "binary",		[WS_OP_CLOSE] = "close",
						 [WS_OP_PING] = "ping",			[WS_OP_PONG] = "pong" };
	struct ws_mirror_side *side = &m->sides[!is_client];
	char line[LINE_MAX], text[(WS_MIRROR_PAYLOAD_MAX + 2) / 3 * 4 + 1];
	struct str s;

	side->is_collecting = false;
	if (side->frame.is_masked)
		ws_mask(side->payload, side->payload_len, side->frame.key, 0);
	base64_encode(side->payload, side->payload_len, text);
	str_init(&s, line, sizeof(line));
	number(&s, "{\"ms\": ", now_ms - m->began_ms);
	str_cstr(&s, is_client ? ", \"from\": \"client\", \"opcode\": \"" : ", \"from\": \"backend\", \"opcode\": \"");
	str_cstr(&s, opcodes[side->frame.opcode & 15] != NULL ? opcodes[side->frame.opcode & 15] : "reserved");
	str_cstr(&s, side->frame.is_final ? "\", \"fin\": true" : "\", \"fin\": false");
	number(&s, ", \"rsv\": ", side->frame.rsv >> 4);
	number(&s, ", \"length\": ", side->frame.payload_len);
	str_cstr(&s, ", \"payload\": \"");
	str_cstr(&s, text);
	str_cstr(&s, "\"}\n");
	if (!dropped_tell(m) || !line_put(m, s.at, s.len))
		m->dropped++;
	m->notify(m, false);
}

/* ---- following ---- */

void ws_mirror_look(struct ws_mirror *m, bool is_client, const uint8_t *in, size_t len, uint64_t now_ms)
{
	struct ws_mirror_side *side = &m->sides[!is_client];
	struct ws_event ev;
	size_t at = 0;

	do {
		bool was_within = side->tracker.in_frame;
		size_t used = ws_tracker_next(&side->tracker, NULL, in + at, len - at, &ev);

		if (ev.kind == WS_EVENT_FRAME) {
			side->frame = ev.frame;
			side->payload_len = 0;
			side->is_collecting = true;
		} else if (side->is_collecting && was_within) {
			size_t some = m->payload_max - side->payload_len;

			some = used < some ? used : some;
			if (some > 0)
				memcpy(side->payload + side->payload_len, in + at, some);
			side->payload_len += (uint32_t)some;
			if (ev.kind == WS_EVENT_FRAME_END || side->payload_len == m->payload_max)
				frame_tell(m, is_client, now_ms);
		}
		at += used;
	} while (ev.kind == WS_EVENT_FRAME || ev.kind == WS_EVENT_FRAME_END);
}
