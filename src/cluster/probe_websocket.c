/* The websocket probe: a whole handshake, then a ping that must be answered with its own pong.
 *
 * Messages that the endpoint sends of its own accord are passed over. */
#include "base/random.h"
#include "cluster/probe.h"
#include "wire/http1_write.h"
#include "wire/websocket.h"
#include "wire/ws_handshake.h"

#include <string.h>

#define FIELDS_MAX 128u

static bool ws_init(struct probe *p, const char *host)
{
	static const char fixed[] = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
				    "sec-websocket-key: ";
	size_t need = sizeof(fixed) - 1 + WS_KEY_LEN + 4;
	char key[WS_KEY_LEN + 1];
	uint8_t random[16];

	if (probe_head_begin(p, "GET", host) < 0 || sizeof(p->out) - p->out_len < need)
		return false;
	random_bytes(random, sizeof(random));
	random_bytes(p->ping, sizeof(p->ping));
	ws_key_make(random, key);
	memcpy(p->out + p->out_len, fixed, sizeof(fixed) - 1);
	p->out_len += (uint32_t)sizeof(fixed) - 1;
	memcpy(p->out + p->out_len, key, WS_KEY_LEN);
	p->out_len += WS_KEY_LEN;
	memcpy(p->out + p->out_len, "\r\n\r\n", 4);
	p->out_len += 4;
	p->request_len = p->out_len;
	return true;
}

/* The handshake is done: the ping follows. */
static enum probe_verdict ws_opened(struct probe *p)
{
	uint8_t key[4];
	int n;

	random_bytes(key, sizeof(key));
	n = ws_ping_write(p->out + p->out_len, sizeof(p->out) - p->out_len, p->ping, sizeof(p->ping), key);
	if (n < 0)
		return probe_say(p, PROBE_BAD, "the request has no room for a ping");
	p->out_len += (uint32_t)n;
	p->is_open = true;
	return PROBE_MORE;
}

static enum probe_verdict head_step(struct probe *p)
{
	struct http_field fields[FIELDS_MAX], own[FIELDS_MAX];
	struct http_head head, request;
	struct ws_agreement agreed;
	enum ws_handshake_result result;
	int got = probe_head_read(p, &head, fields, FIELDS_MAX);

	if (got <= 0)
		return got == 0 ? PROBE_MORE : PROBE_BAD;
	http_head_init(&request, own, FIELDS_MAX);
	if (http1_parse_request(p->out, p->request_len, &(struct http1_limits){ 0 }, NULL, &request) <= 0)
		return probe_say(p, PROBE_BAD, "health.headers make no request");
	if (head.status != 101)
		return probe_say(p, PROBE_BAD, "status %u to a handshake", head.status);
	result = ws_handshake_check_response(&request, &head, &agreed);
	if (result != WS_HANDSHAKE_OK)
		return probe_say(p, PROBE_BAD, "its handshake: %s", ws_handshake_text(result));
	probe_drop(p, (size_t)got);
	return ws_opened(p);
}

static enum probe_verdict say_goodbye(struct probe *p)
{
	uint8_t key[4];
	int n;

	random_bytes(key, sizeof(key));
	n = ws_close_write(p->out + p->out_len, sizeof(p->out) - p->out_len, WS_CLOSE_NORMAL, NULL, key);
	if (n > 0)
		p->out_len += (uint32_t)n;
	return probe_say(p, PROBE_GOOD, "it answers pings");
}

/* One frame; `*is_whole` false: more bytes are needed. */
static enum probe_verdict frame_step(struct probe *p, bool *is_whole)
{
	struct ws_frame f;
	int got = ws_frame_parse(p->in, p->in_len, WS_FROM_SERVER, &f);

	*is_whole = false;
	if (got < 0)
		return probe_say(p, PROBE_BAD, "a frame: %s", ws_error_text(got));
	if (got == 0)
		return PROBE_MORE;
	if (!ws_opcode_is_control(f.opcode)) {
		*is_whole = true;
		probe_drop(p, (size_t)got);
		p->skip = f.payload_len;
		return PROBE_MORE;
	}
	if (p->in_len - (size_t)got < f.payload_len)
		return PROBE_MORE;
	*is_whole = true;
	if (f.opcode == WS_OP_CLOSE)
		return probe_say(p, PROBE_BAD, "it closed the WebSocket before a pong");
	if (f.opcode == WS_OP_PONG && f.payload_len == sizeof(p->ping) &&
	    memcmp(p->in + got, p->ping, sizeof(p->ping)) == 0)
		return say_goodbye(p);
	probe_drop(p, (size_t)got + (size_t)f.payload_len);
	return PROBE_MORE;
}

/* All that can be judged of what was kept. */
static enum probe_verdict steps(struct probe *p)
{
	enum probe_verdict verdict = PROBE_MORE;
	bool is_whole = true;

	if (!p->is_open) {
		verdict = head_step(p);
		if (!p->is_open)
			return verdict;
	}
	while (is_whole && verdict == PROBE_MORE) {
		size_t skipped = p->skip < p->in_len ? (size_t)p->skip : p->in_len;

		probe_drop(p, skipped);
		p->skip -= skipped;
		if (p->skip > 0)
			return PROBE_MORE;
		verdict = frame_step(p, &is_whole);
	}
	return verdict;
}

static enum probe_verdict ws_feed(struct probe *p, const uint8_t *in, size_t len)
{
	while (len > 0) {
		enum probe_verdict verdict;
		size_t taken;

		probe_keep(p, in, len, &taken);
		if (taken == 0)
			return probe_say(p, PROBE_BAD, "the head of its response is too large");
		in += taken;
		len -= taken;
		verdict = steps(p);
		if (verdict != PROBE_MORE)
			return verdict;
	}
	return PROBE_MORE;
}

const struct probe_type probe_websocket = {
	.waits_for = "a handshake and a pong",
	.init = ws_init,
	.feed = ws_feed,
};
