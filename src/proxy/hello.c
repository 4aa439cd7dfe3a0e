#include "proxy/hello.h"

#include "wire/headers.h"
#include "wire/json.h"
#include "wire/websocket.h"

#include <string.h>

static bool string_read(struct json *j, char *out, size_t cap, size_t *len)
{
	return json_peek(j) == JSON_STRING && json_string_room(j) <= cap && json_string(j, out, len);
}

static bool protocols_read(struct json *j, struct hello *h)
{
	bool first = true;
	size_t at = 0, len;

	if (json_peek(j) != JSON_ARRAY)
		return false;
	json_enter(j);
	while (json_next(j, &first)) {
		if (at > 0 && at + 2 < sizeof(h->protocols)) {
			memcpy(h->protocols + at, ", ", 2);
			at += 2;
		}
		if (!string_read(j, h->protocols + at, sizeof(h->protocols) - at - 1, &len) || len == 0 ||
		    !http_text_is_token(h->protocols + at, len))
			return false;
		at += len;
	}
	h->protocols[at] = '\0';
	return !j->is_bad;
}

static bool token_read(struct json *j, struct hello *h)
{
	size_t len;

	if (!string_read(j, h->token, sizeof(h->token), &len))
		return false;
	h->token_len = (uint8_t)len;
	return true;
}

static bool nonce_read(struct json *j, struct hello *h)
{
	size_t len;

	if (!string_read(j, h->nonce, sizeof(h->nonce), &len) || len < HELLO_NONCE_MIN || len > HELLO_NONCE_MAX)
		return false;
	h->nonce_len = (uint8_t)len;
	return true;
}

static bool turn_read(struct json *j, struct hello *h)
{
	return json_uint(j, &h->turn);
}

static bool got_read(struct json *j, struct hello *h)
{
	return json_uint(j, &h->got);
}

static bool from_read(struct json *j, struct hello *h)
{
	return json_uint(j, &h->from);
}

static bool hold_read(struct json *j, struct hello *h)
{
	return json_uint(j, &h->hold_ms);
}

enum { NEEDS_TOKEN = 1, NEEDS_NONCE = 2, NEEDS_TURN = 4, NEEDS_GOT = 8, NEEDS_FROM = 16 };

static const struct {
	const char *name;
	bool (*read)(struct json *, struct hello *);
	unsigned bit;
} members[] = {
	{ "s", token_read, NEEDS_TOKEN },  { "nonce", nonce_read, NEEDS_NONCE }, { "turn", turn_read, NEEDS_TURN },
	{ "got", got_read, NEEDS_GOT },	   { "from", from_read, NEEDS_FROM },	 { "hold", hold_read, 0 },
	{ "protocols", protocols_read, 0 },
};

static const struct {
	const char *name;
	unsigned needs;
} kinds[] = {
	[HELLO_OPEN] = { "open", NEEDS_NONCE | NEEDS_TURN },
	[HELLO_RESUME] = { "resume", NEEDS_TOKEN | NEEDS_TURN | NEEDS_GOT },
	[HELLO_UP] = { "up", NEEDS_TOKEN | NEEDS_FROM },
};

static bool member_read(struct json *j, struct hello *h, unsigned *has)
{
	char name[16];
	size_t len;

	if (!json_name(j, name, sizeof(name), &len))
		return false;
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		if (strlen(members[i].name) == len && memcmp(members[i].name, name, len) == 0) {
			if (!members[i].read(j, h))
				return false;
			*has |= members[i].bit;
			return true;
		}
	return json_skip(j);
}

static bool value_read(const char *json, size_t len, struct hello *h, unsigned *has)
{
	struct json j = json_of(json, len);
	bool first = true;

	if (json_peek(&j) != JSON_OBJECT)
		return false;
	json_enter(&j);
	while (json_next(&j, &first))
		if (!member_read(&j, h, has))
			return false;
	return json_is_done(&j);
}

bool hello_parse(const char *name, size_t name_len, const char *json, size_t len, struct hello *out)
{
	unsigned has = 0;
	size_t kind = 0;

	*out = (struct hello){ .hold_ms = UINT64_MAX };
	while (kind < sizeof(kinds) / sizeof(kinds[0]) &&
	       (strlen(kinds[kind].name) != name_len || memcmp(kinds[kind].name, name, name_len) != 0))
		kind++;
	if (kind == sizeof(kinds) / sizeof(kinds[0]) || !value_read(json, len, out, &has))
		return false;
	out->kind = (uint8_t)kind;
	return (has & kinds[kind].needs) == kinds[kind].needs && (!(has & NEEDS_TURN) || out->turn > 0) &&
	       (!(has & NEEDS_FROM) || out->from > 0);
}

int hello_close_parse(const char *json, size_t len, uint8_t *out)
{
	struct json j = json_of(json, len);
	bool first = true;
	uint64_t code;
	size_t text_len = 0;

	if (json_peek(&j) != JSON_ARRAY)
		return -1;
	json_enter(&j);
	if (!json_next(&j, &first))
		return json_is_done(&j) ? 0 : -1;
	if (!json_uint(&j, &code) || code > 4999)
		return -1;
	if (code != WS_CLOSE_GOING_AWAY && !ws_close_code_is_valid((uint16_t)code))
		return -1;
	out[0] = (uint8_t)(code >> 8);
	out[1] = (uint8_t)code;
	if (json_next(&j, &first)) {
		char text[6 * WS_CLOSE_REASON_MAX + 2];

		if (!string_read(&j, text, sizeof(text), &text_len) || text_len > WS_CLOSE_REASON_MAX)
			return -1;
		memcpy(out + 2, text, text_len);
		if (json_next(&j, &first))
			return -1;
	}
	return json_is_done(&j) ? (int)(2 + text_len) : -1;
}
