/* The duplex of a session that the relay knows as its client: frames become messages, messages become frames.
 *
 * What the relay writes are a server's frames: data messages are put together and appended to the log; a ping is
 * answered at once, for the client's own life is another matter; a Close is answered, if the client has not closed
 * itself.  What the client has sent goes to the relay as masked frames, whole, when it reads.
 * Called within the relay's own calls (write, read, finish): nothing here calls back into it but
 * session_leg_deliver(), which its callers call when no relay is on the stack. */
#include "base/random.h"
#include "proxy/session_inside.h"

#include <stdlib.h>
#include <string.h>

#define MESSAGE_MAX  (64u << 20) /* where the route has no limit of its own */
#define CONTROLS_MAX 16u

struct session_control {
	uint32_t count;
	struct {
		uint8_t opcode, len;
		uint8_t payload[WS_CONTROL_PAYLOAD_MAX];
	} at[CONTROLS_MAX];
	uint8_t len; /* of the one that is coming in */
	uint8_t incoming[WS_CONTROL_PAYLOAD_MAX];
};

static struct session *session_of(struct duplex *d)
{
	return container_of(d, struct session, duplex);
}

static struct session_control *controls_of(struct session *s)
{
	if (s->controls == NULL)
		s->controls = calloc(1, sizeof(*s->controls));
	if (s->controls == NULL)
		s->is_failed = true;
	return s->controls;
}

/* ---- frames in ---- */

static void control_push(struct session *s, uint8_t opcode, const uint8_t *payload, uint8_t len)
{
	struct session_control *c = controls_of(s);

	if (c == NULL || c->count == CONTROLS_MAX) /* RFC 6455 5.5.3: not every ping needs an answer */
		return;
	c->at[c->count].opcode = opcode;
	c->at[c->count].len = len;
	memcpy(c->at[c->count].payload, payload, len);
	c->count++;
}

void session_put_close(struct session *s, unsigned code, const void *text, size_t len)
{
	struct message *m = message_new(MESSAGE_CLOSE, code == 0 ? 0 : (uint32_t)(2 + len));

	if (m == NULL) {
		s->is_failed = true;
		return;
	}
	if (code != 0) {
		m->bytes[0] = (uint8_t)(code >> 8);
		m->bytes[1] = (uint8_t)code;
		if (len > 0)
			memcpy(m->bytes + 2, text, len);
	}
	session_core_put(&s->core, m);
}

/* Room for `more` bytes behind what has come of the message. */
static bool partial_grow(struct session *s, size_t more)
{
	uint64_t need = (uint64_t)s->partial->len + more;
	uint64_t cap = s->partial_cap;
	struct message *grown;

	if (need <= cap)
		return true;
	cap = need < 2 * cap ? 2 * cap : need;
	if (need > MESSAGE_MAX)
		return false;
	grown = realloc(s->partial, sizeof(*grown) + cap);
	if (grown == NULL)
		return false;
	s->partial = grown;
	s->partial_cap = (uint32_t)cap;
	return true;
}

static void data_begin(struct session *s, const struct ws_frame *f)
{
	/* Not as much as a header says, but as much as has come: up to some, at once. */
	uint32_t cap = f->payload_len < 65536 ? (uint32_t)f->payload_len : 65536;

	if (f->opcode == WS_OP_CONTINUATION)
		return;
	s->partial = message_new(f->opcode == WS_OP_TEXT ? MESSAGE_TEXT : MESSAGE_BINARY, cap);
	if (s->partial == NULL) {
		s->is_failed = true;
		return;
	}
	s->partial->len = 0;
	s->partial_cap = cap;
}

static void payload_take(struct session *s, const uint8_t *at, size_t len)
{
	struct session_control *c;

	if (len == 0)
		return;
	if (ws_opcode_is_control(s->tracker.opcode)) {
		c = controls_of(s);
		if (c != NULL && len <= sizeof(c->incoming) - c->len) {
			memcpy(c->incoming + c->len, at, len);
			c->len = (uint8_t)(c->len + len);
		}
		return;
	}
	if (s->partial == NULL || !partial_grow(s, len)) {
		s->is_failed = true;
		return;
	}
	memcpy(s->partial->bytes + s->partial->len, at, len);
	s->partial->len += (uint32_t)len;
}

static void control_end(struct session *s)
{
	struct session_control *c = controls_of(s);

	if (c == NULL)
		return;
	if (s->tracker.opcode == WS_OP_PING) {
		control_push(s, WS_OP_PONG, c->incoming, c->len);
	} else if (s->tracker.opcode == WS_OP_CLOSE) {
		if (c->len >= 2)
			session_put_close(s, (unsigned)c->incoming[0] << 8 | c->incoming[1], c->incoming + 2, c->len - 2u);
		else
			session_put_close(s, 0, NULL, 0);
		if (!s->close_is_sent)
			control_push(s, WS_OP_CLOSE, c->incoming, c->len >= 2 ? 2 : 0);
	}
	c->len = 0;
}

static void message_end(struct session *s)
{
	struct message *m = s->partial, *tight;

	s->partial = NULL;
	if (m == NULL)
		return;
	tight = s->partial_cap > m->len ? realloc(m, sizeof(*m) + m->len) : NULL;
	session_core_put(&s->core, tight != NULL ? tight : m);
}

static void leg_feed(struct session *s, const uint8_t *at, size_t len)
{
	struct ws_event ev;

	do {
		bool was_in_frame = s->tracker.in_frame;
		size_t used = ws_tracker_next(&s->tracker, NULL, at, len, &ev);

		if (was_in_frame)
			payload_take(s, at, used);
		at += used;
		len -= used;
		if (ev.kind == WS_EVENT_FRAME && !ws_opcode_is_control(ev.frame.opcode))
			data_begin(s, &ev.frame);
		else if (ev.kind == WS_EVENT_FRAME_END && ws_opcode_is_control(s->tracker.opcode))
			control_end(s);
		else if (ev.kind == WS_EVENT_FRAME_END && ev.ends_message)
			message_end(s);
	} while (!s->is_failed && (ev.kind == WS_EVENT_FRAME || ev.kind == WS_EVENT_FRAME_END));
}

static bool leg_write(struct duplex *d, struct slice in)
{
	struct session *s = session_of(d);

	leg_feed(s, in.at, in.len);
	slice_unref(in);
	session_account(s);
	session_touch(s);
	return !s->is_failed;
}

/* ---- frames out ---- */

static bool frame_out(struct session *s, uint8_t opcode, const uint8_t *payload, uint32_t len)
{
	struct ws_frame f = { .payload_len = len, .opcode = opcode, .is_final = true, .is_masked = true };
	struct buf *b = buf_new(WS_HEADER_MAX + len);
	struct slice out;
	int head;

	if (b == NULL)
		return false;
	random_bytes(f.key, sizeof(f.key));
	head = ws_frame_write_header(b->data, WS_HEADER_MAX, &f);
	memcpy(b->data + head, payload, len);
	ws_mask(b->data + head, len, f.key, 0);
	out = (struct slice){ b, b->data, (uint32_t)head + len };
	s->duplex.events->on_bytes(&s->duplex, out);
	slice_unref(out);
	return true;
}

static bool message_out(struct session *s, const struct message *m)
{
	static const uint8_t opcodes[] = { WS_OP_TEXT, WS_OP_BINARY, WS_OP_CLOSE };

	if (m->kind == MESSAGE_CLOSE)
		s->close_is_sent = true;
	return frame_out(s, opcodes[m->kind], m->bytes, m->len);
}

static bool controls_out(struct session *s)
{
	struct session_control *c = s->controls;
	bool ok = true;

	if (c == NULL)
		return true;
	for (uint32_t i = 0; i < c->count && ok && s->has_relay; i++)
		if (c->at[i].opcode != WS_OP_CLOSE || !s->close_is_sent) {
			s->close_is_sent = s->close_is_sent || c->at[i].opcode == WS_OP_CLOSE;
			ok = frame_out(s, c->at[i].opcode, c->at[i].payload, c->at[i].len);
		}
	if (c->len == 0) {
		free(c);
		s->controls = NULL;
	} else {
		c->count = 0;
	}
	return ok;
}

void session_leg_deliver(struct session *s)
{
	struct message *m;
	bool ok = true;

	if (s->has_relay && s->is_read)
		ok = controls_out(s);
	while (ok && s->has_relay && s->is_read && !s->close_is_sent && (m = session_core_deliver(&s->core)) != NULL) {
		ok = message_out(s, m);
		free(m);
	}
	if (!ok)
		s->is_failed = true;
	session_account(s);
	if (s->has_relay && s->wants_room && s->duplex.queued <= s->duplex.high / 2) {
		s->wants_room = false;
		s->duplex.events->on_room(&s->duplex);
	}
}

/* ---- the rest of the duplex ---- */

static void leg_read(struct duplex *d, bool on)
{
	struct session *s = session_of(d);

	s->is_read = on;
	if (on)
		session_touch(s);
}

static void leg_hold(struct duplex *d)
{
	session_of(d)->is_read = false;
}

static void leg_shutdown(struct duplex *d)
{
	(void)d;
}

/* The relay has gone. */
static void leg_over(struct session *s)
{
	s->has_relay = false;
	if (s->guest != 0)
		s->worker->ring.guest_gone(&s->worker->ring, s->guest);
	s->guest = 0;
	if (!s->core.down_closed)
		session_put_close(s, WS_CLOSE_ABNORMAL, NULL, 0);
	free(s->partial);
	s->partial = NULL;
	session_account(s);
	session_touch(s);
}

static void leg_close(struct duplex *d, enum reason why)
{
	(void)why;
	leg_over(session_of(d));
}

static void leg_finish(struct duplex *d)
{
	leg_over(session_of(d));
}

const struct duplex_ops session_leg_ops = {
	.write = leg_write,
	.read = leg_read,
	.hold = leg_hold,
	.shutdown = leg_shutdown,
	.close = leg_close,
	.finish = leg_finish,
};

void session_leg_end(struct session *s, enum reason why)
{
	if (!s->has_relay)
		return;
	leg_over(s);
	s->duplex.events->on_closed(&s->duplex, why);
}

void session_leg_done(struct session *s)
{
	free(s->partial);
	free(s->controls);
}
