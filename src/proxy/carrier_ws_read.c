/* What the client of a carrying WebSocket says: frames, put together to messages; controls of holdfast.1, frames of SockJS. */
#include "proxy/carrier_ws_inside.h"
#include "proxy/hello.h"
#include "wire/json.h"

#include <stdlib.h>
#include <string.h>

/* ---- messages ---- */

static void control_read(struct carrier_ws *c, const char *text, size_t len)
{
	struct session *s = c->carrier.session;
	struct json j;
	uint64_t number;
	struct message *m;
	int n;

	if (len > 4 && memcmp(text, "ack ", 4) == 0) {
		j = json_of(text + 4, len - 4);
		if (json_uint(&j, &number) && json_is_done(&j) && session_ack(s, number) == CORE_OK) {
			if (session_is_said(s) && session_acked(s) == session_told(s))
				carrier_ws_close(c, WS_CLOSE_NORMAL, "");
			return;
		}
	} else if (len > 6 && memcmp(text, "close ", 6) == 0 && (m = message_new(MESSAGE_CLOSE, WS_CONTROL_PAYLOAD_MAX)) != NULL) {
		n = hello_close_parse(text + 6, len - 6, m->bytes);
		m->len = n > 0 ? (uint32_t)n : 0;
		if (n >= 0 && session_take(s, c->next++, m) <= CORE_DUPLICATE)
			return;
		if (n < 0)
			free(m);
	}
	carrier_ws_close(c, WS_CLOSE_POLICY, "not a control");
}

/* An array of strings, or one; nothing means nothing.  false: it is none of them. */
static bool sockjs_take(struct carrier_ws *c, const struct message *m)
{
	struct json j = json_of((const char *)m->bytes, m->len);
	bool is_array = json_peek(&j) == JSON_ARRAY, first = true;

	if (m->len == 0)
		return true;
	if (is_array)
		json_enter(&j);
	while (!is_array || json_next(&j, &first)) {
		struct message *one = json_peek(&j) == JSON_STRING ? message_new(MESSAGE_TEXT, (uint32_t)json_string_room(&j)) : NULL;
		size_t len;

		if (one == NULL)
			return false;
		if (!json_string(&j, (char *)one->bytes, &len)) {
			free(one);
			return false;
		}
		one->len = (uint32_t)len;
		if (session_take(c->carrier.session, c->next++, one) > CORE_DUPLICATE)
			return false;
		if (!is_array)
			break;
	}
	return json_is_done(&j);
}

static bool sockjs_message(struct carrier_ws *c, struct message *m)
{
	bool ok = c->carrier.session != NULL && c->next > 0 && m->kind == MESSAGE_TEXT && sockjs_take(c, m);

	free(m);
	if (!ok)
		carrier_ws_close(c, 3000, "Broken framing.");
	return ok;
}

/* A whole message; takes it.  false: what follows is not ours to read. */
static bool message_read(struct carrier_ws *c, struct message *m, struct slice rest)
{
	bool is_control = m->kind == MESSAGE_TEXT && m->len > 0 && m->bytes[0] == '\0';

	c->is_heard = true;
	if (c->is_sockjs)
		return sockjs_message(c, m);
	if (is_control && m->len > 1 && m->bytes[1] == '\0') {
		is_control = false;
		memmove(m->bytes, m->bytes + 1, --m->len);
	}
	if (!c->has_greeted) {
		if (is_control)
			carrier_ws_greet(c, (const char *)m->bytes + 1, m->len - 1, rest);
		else
			carrier_ws_refuse(c, REASON_SESSION_GRAMMAR, 0);
		free(m);
		return c->d != NULL;
	}
	if (c->carrier.session == NULL || c->next == 0) {
		free(m);
		carrier_ws_close(c, WS_CLOSE_POLICY, "before open");
	} else if (is_control) {
		control_read(c, (const char *)m->bytes + 1, m->len - 1);
		free(m);
	} else if (session_take(c->carrier.session, c->next++, m) > CORE_DUPLICATE) {
		carrier_ws_close(c, WS_CLOSE_POLICY, "more than the window");
	}
	return !c->is_gone;
}

/* ---- frames ---- */

static bool partial_take(struct carrier_ws *c, const uint8_t *at, size_t len)
{
	uint64_t need = (uint64_t)c->partial->len + len, cap = c->partial_cap;
	struct message *grown;

	if (need > cap) {
		cap = need < 2 * cap ? 2 * cap : need;
		grown = need <= MESSAGE_MAX ? realloc(c->partial, sizeof(*grown) + cap) : NULL;
		if (grown == NULL)
			return false;
		c->partial = grown;
		c->partial_cap = (uint32_t)cap;
	}
	memcpy(c->partial->bytes + c->partial->len, at, len);
	ws_mask(c->partial->bytes + c->partial->len, len, c->key, c->payload_at);
	c->partial->len += (uint32_t)len;
	return true;
}

static bool payload_take(struct carrier_ws *c, const uint8_t *at, size_t len)
{
	bool ok = true;

	if (len == 0)
		return true;
	if (!ws_opcode_is_control(c->tracker.opcode)) {
		ok = c->partial != NULL && partial_take(c, at, len);
	} else if (len <= sizeof(c->ping) - c->ping_len) {
		memcpy(c->ping + c->ping_len, at, len);
		ws_mask(c->ping + c->ping_len, len, c->key, c->payload_at);
		c->ping_len = (uint8_t)(c->ping_len + len);
	}
	c->payload_at += len;
	return ok;
}

static bool frame_begin(struct carrier_ws *c, const struct ws_frame *f)
{
	uint32_t cap = f->payload_len < 65536 ? (uint32_t)f->payload_len : 65536;

	memcpy(c->key, f->key, sizeof(c->key));
	c->payload_at = 0;
	if (ws_opcode_is_control(f->opcode)) {
		c->ping_len = 0;
		return true;
	}
	if (f->opcode == WS_OP_CONTINUATION)
		return true;
	c->partial = message_new(f->opcode == WS_OP_TEXT ? MESSAGE_TEXT : MESSAGE_BINARY, cap);
	if (c->partial == NULL)
		return false;
	c->partial->len = 0;
	c->partial_cap = cap;
	return true;
}

/* false: the rest is not ours to read. */
static bool frame_end(struct carrier_ws *c, const struct ws_event *ev, struct slice rest)
{
	struct message *m = c->partial;

	c->is_heard = true;
	if (c->tracker.opcode == WS_OP_PING) {
		carrier_ws_frame(c, WS_OP_PONG, 0, c->ping, c->ping_len);
		return !c->is_gone;
	}
	if (c->tracker.opcode == WS_OP_CLOSE) {
		carrier_ws_close(c, ev->close_code, "");
		return false;
	}
	if (!ev->ends_message)
		return true;
	c->partial = NULL;
	return message_read(c, m, rest);
}

static void frames_broken(struct carrier_ws *c, int error)
{
	if (c->carrier.session == NULL || ws_close_code_of(error) != WS_CLOSE_TOO_BIG) {
		carrier_ws_close(c, ws_close_code_of(error), ws_error_text(error));
		return;
	}
	/* On another carrier it would be too big again. */
	c->is_deaf = true;
	session_end(c->carrier.session, REASON_WS_TOO_BIG);
}

void carrier_ws_read(struct carrier_ws *c, struct slice in)
{
	struct ws_limits limits = { .max_message_len = c->message_max + 1 };
	bool goes_on = !c->is_deaf;
	struct ws_event ev;

	while (goes_on && !c->is_gone && c->d != NULL) {
		bool was_in_frame = c->tracker.in_frame;
		size_t used = ws_tracker_next(&c->tracker, &limits, in.at, in.len, &ev);

		if (was_in_frame && !payload_take(c, in.at, used)) {
			carrier_ws_close(c, WS_CLOSE_TRY_LATER, "");
			return;
		}
		in = slice_sub(in, (uint32_t)used, in.len - (uint32_t)used);
		if (ev.kind == WS_EVENT_FRAME)
			goes_on = frame_begin(c, &ev.frame);
		else if (ev.kind == WS_EVENT_FRAME_END)
			goes_on = frame_end(c, &ev, in);
		else
			goes_on = false;
		if (ev.kind == WS_EVENT_ERROR)
			frames_broken(c, ev.error);
	}
}
