/* The WebSocket opening handshake (RFC 6455 section 4) and permessage-deflate's negotiation (RFC 7692 7). */
#include "wire/ws_handshake.h"

#include "wire/headers.h"
#include "wire/websocket.h"
#include "base/digest.h"

#include <assert.h>
#include <string.h>

/* ---- key and accept ---- */

bool ws_key_is_valid(const char *key, size_t len)
{
	if (len != WS_KEY_LEN || key[22] != '=' || key[23] != '=')
		return false;
	for (size_t i = 0; i < 22; i++) {
		char c = key[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
		    c != '+' && c != '/')
			return false;
	}
	return true;
}

void ws_key_make(const uint8_t random[16], char out[WS_KEY_LEN + 1])
{
	base64_encode(random, 16, out);
}

void ws_accept_compute(const char *key, char out[WS_ACCEPT_LEN + 1])
{
	static const char guid[36] = { "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" };
	char text[WS_KEY_LEN + sizeof(guid)];
	uint8_t digest[20];

	memcpy(text, key, WS_KEY_LEN);
	memcpy(text + WS_KEY_LEN, guid, sizeof(guid));
	digest_sha1(text, sizeof(text), digest);
	base64_encode(digest, sizeof(digest), out);
}

bool ws_accept_matches(const char *key, const char *accept, size_t accept_len)
{
	char want[WS_ACCEPT_LEN + 1];

	if (accept_len != WS_ACCEPT_LEN)
		return false;
	ws_accept_compute(key, want);
	return memcmp(want, accept, WS_ACCEPT_LEN) == 0;
}

/* ---- lists ---- */

/* What is left of a field value. */
struct scan {
	const char *at;
	const char *end;
};

static void space_skip(struct scan *s)
{
	while (s->at < s->end && (*s->at == ' ' || *s->at == '\t'))
		s->at++;
}

static bool char_take(struct scan *s, char c)
{
	if (s->at == s->end || *s->at != c)
		return false;
	s->at++;
	return true;
}

/* To the next element; false at the end of the list. */
static bool element_begin(struct scan *s)
{
	do
		space_skip(s);
	while (char_take(s, ','));
	return s->at < s->end;
}

/* Nothing but space up to the comma or the end. */
static bool element_end(struct scan *s)
{
	space_skip(s);
	return s->at == s->end || *s->at == ',';
}

/* A token; false if there is none. */
static bool token_take(struct scan *s, const char **at, size_t *len)
{
	*at = s->at;
	while (s->at < s->end && http_char_is_token((uint8_t)*s->at))
		s->at++;
	*len = (size_t)(s->at - *at);
	return *len > 0;
}

/* name [ "=" ( token | <"> token <"> ) ] */
static bool param_take(struct scan *s, struct ws_param *out)
{
	bool is_quoted;

	out->value = NULL;
	out->value_len = 0;
	if (!token_take(s, &out->name, &out->name_len))
		return false;
	if (!char_take(s, '='))
		return true;
	is_quoted = char_take(s, '"');
	if (!token_take(s, &out->value, &out->value_len))
		return false;
	return !is_quoted || char_take(s, '"');
}

/* *( OWS ";" OWS param ); leaves the scan behind the last of them. */
static bool params_skip(struct scan *s)
{
	for (;;) {
		struct scan next = *s;
		struct ws_param param;

		space_skip(&next);
		if (!char_take(&next, ';'))
			return true;
		space_skip(&next);
		if (!param_take(&next, &param))
			return false;
		*s = next;
	}
}

static void scan_give(const struct scan *s, const char **at, size_t *len)
{
	*at = s->at;
	*len = (size_t)(s->end - s->at);
}

int ws_extension_next(const char **list, size_t *len, struct ws_extension *out)
{
	struct scan s = { *list, *list + *len };
	struct ws_extension e;

	if (!element_begin(&s)) {
		scan_give(&s, list, len);
		return 0;
	}
	if (!token_take(&s, &e.name, &e.name_len))
		return -1;
	e.params = s.at;
	if (!params_skip(&s))
		return -1;
	e.params_len = (size_t)(s.at - e.params);
	if (!element_end(&s))
		return -1;
	scan_give(&s, list, len);
	*out = e;
	return 1;
}

int ws_param_next(const char **params, size_t *len, struct ws_param *out)
{
	struct scan s = { *params, *params + *len };
	struct ws_param param;

	space_skip(&s);
	if (s.at < s.end) {
		if (!char_take(&s, ';'))
			return -1;
		space_skip(&s);
		if (!param_take(&s, &param))
			return -1;
		scan_give(&s, params, len);
		*out = param;
		return 1;
	}
	scan_give(&s, params, len);
	return 0;
}

int ws_token_next(const char **list, size_t *len, struct ws_token *out)
{
	struct scan s = { *list, *list + *len };
	struct ws_token token;

	if (!element_begin(&s)) {
		scan_give(&s, list, len);
		return 0;
	}
	if (!token_take(&s, &token.at, &token.len) || !element_end(&s))
		return -1;
	scan_give(&s, list, len);
	*out = token;
	return 1;
}

bool ws_protocols_contain(const char *list, size_t len, const char *name, size_t name_len)
{
	struct ws_token token;
	bool is_there = false;
	int got;

	while ((got = ws_token_next(&list, &len, &token)) == 1)
		is_there = is_there || (token.len == name_len && memcmp(token.at, name, name_len) == 0);
	return got == 0 && is_there;
}

bool ws_extensions_contain(const char *list, size_t len, const char *name, size_t name_len)
{
	struct ws_extension e;
	bool is_there = false;
	int got;

	while ((got = ws_extension_next(&list, &len, &e)) == 1)
		is_there = is_there || http_text_is(e.name, e.name_len, name, name_len);
	return got == 0 && is_there;
}

/* ---- permessage-deflate ---- */

static const char deflate_name[] = "permessage-deflate";

static bool is_deflate(const struct ws_extension *e)
{
	return http_text_is(e->name, e->name_len, deflate_name, sizeof(deflate_name) - 1);
}

/* 8..15 without leading zeros (RFC 7692 7.1.2), or 0. */
static uint8_t window_bits_of(const struct ws_param *p)
{
	if (p->value_len == 1 && (p->value[0] == '8' || p->value[0] == '9'))
		return (uint8_t)(p->value[0] - '0');
	if (p->value_len == 2 && p->value[0] == '1' && p->value[1] >= '0' && p->value[1] <= '5')
		return (uint8_t)(10 + p->value[1] - '0');
	return 0;
}

/* One parameter; false if it is unknown, bad or comes again. */
static bool deflate_param_set(struct ws_deflate *d, const struct ws_param *p, enum ws_negotiation side)
{
	static const struct {
		const char *name;
		size_t offset;
		bool has_value;
	} known[] = {
		{ "server_max_window_bits", offsetof(struct ws_deflate, server_max_window_bits), true },
		{ "client_max_window_bits", offsetof(struct ws_deflate, client_max_window_bits), true },
		{ "server_no_context_takeover", offsetof(struct ws_deflate, server_no_context_takeover),
		  false },
		{ "client_no_context_takeover", offsetof(struct ws_deflate, client_no_context_takeover),
		  false },
	};

	static_assert(sizeof(bool) == 1, "all four are written as a byte");
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		uint8_t *field = (uint8_t *)d + known[i].offset;
		uint8_t value;

		if (!http_text_is(p->name, p->name_len, known[i].name, strlen(known[i].name)))
			continue;
		if (!known[i].has_value)
			value = p->value == NULL;
		else if (p->value == NULL && i == 1 && side == WS_OFFER)
			value = WS_DEFLATE_BITS_OPEN;
		else
			value = window_bits_of(p);
		if (*field != 0 || value == 0)
			return false;
		*field = value;
		return true;
	}
	return false;
}

static bool deflate_parse(const struct ws_extension *e, enum ws_negotiation side, struct ws_deflate *out)
{
	const char *params = e->params;
	size_t len = e->params_len;
	struct ws_deflate d = { 0 };
	struct ws_param p;

	while (ws_param_next(&params, &len, &p) == 1) {
		if (!deflate_param_set(&d, &p, side))
			return false;
	}
	*out = d;
	return true;
}

bool ws_deflate_read(const struct ws_extension *e, enum ws_negotiation side, struct ws_deflate *out)
{
	return is_deflate(e) && deflate_parse(e, side, out);
}

int ws_deflate_find(const char *list, size_t len, enum ws_negotiation side, struct ws_deflate *out)
{
	struct ws_deflate first = { 0 };
	struct ws_extension e;
	bool is_found = false;
	int got;

	/* To the end, also when found: the list is right as a whole or not at all. */
	while ((got = ws_extension_next(&list, &len, &e)) == 1) {
		struct ws_deflate d = { 0 };
		bool is_good;

		if (!is_deflate(&e))
			continue;
		is_good = deflate_parse(&e, side, &d);
		if (side == WS_ANSWER && (!is_good || is_found))
			return -1;
		if (is_good && !is_found) {
			first = d;
			is_found = true;
		}
	}
	if (got < 0)
		return -1;
	if (is_found)
		*out = first;
	return is_found;
}

/* Appends; after what did not fit nothing more is written. */
struct text_out {
	char *at;
	size_t left;
	bool is_full;
};

static void text_put(struct text_out *o, const char *text, size_t len)
{
	if (o->is_full || len > o->left) {
		o->is_full = true;
		return;
	}
	memcpy(o->at, text, len);
	o->at += len;
	o->left -= len;
}

static void window_bits_put(struct text_out *o, const char *name, uint8_t bits)
{
	char value[3] = { '=', (char)('0' + bits / 10), (char)('0' + bits % 10) };

	if (bits == 0)
		return;
	text_put(o, name, strlen(name));
	if (bits == WS_DEFLATE_BITS_OPEN)
		return;
	if (bits < 10) {
		value[1] = value[2];
		text_put(o, value, 2);
	} else {
		text_put(o, value, 3);
	}
}

int ws_deflate_write(char *out, size_t cap, const struct ws_deflate *deflate)
{
	static const char server_takeover[] = "; server_no_context_takeover";
	static const char client_takeover[] = "; client_no_context_takeover";
	struct text_out o = { out, cap, false };

	text_put(&o, deflate_name, sizeof(deflate_name) - 1);
	if (deflate->server_no_context_takeover)
		text_put(&o, server_takeover, sizeof(server_takeover) - 1);
	if (deflate->client_no_context_takeover)
		text_put(&o, client_takeover, sizeof(client_takeover) - 1);
	window_bits_put(&o, "; server_max_window_bits", deflate->server_max_window_bits);
	window_bits_put(&o, "; client_max_window_bits", deflate->client_max_window_bits);
	return o.is_full ? -1 : (int)(o.at - out);
}

long ws_extensions_filter(const char *list, size_t len, bool keep_deflate, char *out, size_t cap)
{
	struct text_out o = { out, cap, false };
	struct ws_extension e;
	int got;

	while ((got = ws_extension_next(&list, &len, &e)) == 1) {
		if (!keep_deflate || !is_deflate(&e))
			continue;
		if (o.at > out)
			text_put(&o, ",", 1); /* no space: never longer than the input */
		text_put(&o, e.name, (size_t)(e.params + e.params_len - e.name));
	}
	return got < 0 || o.is_full ? -1 : o.at - out;
}

/* ---- whole heads ---- */

/* The value of a field that must be there exactly once; NULL otherwise. */
static const struct http_field *single_find(const struct http_head *head, enum http_id id)
{
	const struct http_field *f = http_head_find(head, id, NULL);

	return f != NULL && http_head_find(head, id, f + 1) == NULL ? f : NULL;
}

static bool lists_are_good(const struct http_head *head, enum http_id id)
{
	for (const struct http_field *f = http_head_find(head, id, NULL); f != NULL;
	     f = http_head_find(head, id, f + 1)) {
		const char *list = f->value;
		size_t len = f->value_len;
		struct ws_extension extension;
		struct ws_token token;
		int got;

		do {
			got = id == HTTP_SEC_WEBSOCKET_PROTOCOL ? ws_token_next(&list, &len, &token)
								: ws_extension_next(&list, &len, &extension);
		} while (got == 1);
		if (got < 0)
			return false;
	}
	return true;
}

enum ws_handshake_result ws_handshake_check_request(const struct http_head *request)
{
	const struct http_field *key, *version;

	if (!request->upgrade_websocket)
		return WS_HANDSHAKE_NONE;
	if (request->method_id != HTTP_METHOD_GET)
		return WS_HANDSHAKE_METHOD;
	if (request->version_minor < 1)
		return WS_HANDSHAKE_HTTP_VERSION;
	if (request->host == NULL)
		return WS_HANDSHAKE_HOST;
	if (!request->connection_upgrade)
		return WS_HANDSHAKE_CONNECTION;
	/* One hop would take it for a body and the next for frames. */
	if (request->content_length > 0 || request->is_chunked)
		return WS_HANDSHAKE_BODY;
	version = single_find(request, HTTP_SEC_WEBSOCKET_VERSION);
	if (version == NULL || !http_text_is_literal(version->value, version->value_len, "13"))
		return WS_HANDSHAKE_VERSION;
	key = single_find(request, HTTP_SEC_WEBSOCKET_KEY);
	if (key == NULL || !ws_key_is_valid(key->value, key->value_len))
		return WS_HANDSHAKE_KEY;
	if (!lists_are_good(request, HTTP_SEC_WEBSOCKET_PROTOCOL))
		return WS_HANDSHAKE_PROTOCOL;
	if (!lists_are_good(request, HTTP_SEC_WEBSOCKET_EXTENSIONS))
		return WS_HANDSHAKE_EXTENSIONS;
	return WS_HANDSHAKE_OK;
}

/* At most one, and of those offered (4.1, 4.2.2). */
static bool protocol_check(const struct http_head *request, const struct http_head *response,
			   struct ws_agreement *out)
{
	const struct http_field *answer = http_head_find(response, HTTP_SEC_WEBSOCKET_PROTOCOL, NULL);

	if (answer == NULL)
		return true;
	if (single_find(response, HTTP_SEC_WEBSOCKET_PROTOCOL) == NULL)
		return false;
	for (const struct http_field *f = http_head_find(request, HTTP_SEC_WEBSOCKET_PROTOCOL, NULL);
	     f != NULL; f = http_head_find(request, HTTP_SEC_WEBSOCKET_PROTOCOL, f + 1)) {
		if (ws_protocols_contain(f->value, f->value_len, answer->value, answer->value_len)) {
			out->protocol = answer->value;
			out->protocol_len = answer->value_len;
			return true;
		}
	}
	return false;
}

static bool extension_is_offered(const struct http_head *request, const struct ws_extension *e)
{
	for (const struct http_field *f = http_head_find(request, HTTP_SEC_WEBSOCKET_EXTENSIONS, NULL);
	     f != NULL; f = http_head_find(request, HTTP_SEC_WEBSOCKET_EXTENSIONS, f + 1)) {
		if (ws_extensions_contain(f->value, f->value_len, e->name, e->name_len))
			return true;
	}
	return false;
}

/* All of those offered, and permessage-deflate well answered, once (RFC 7692 5.1, 7.1). */
static bool extensions_check(const struct http_head *request, const struct http_head *response,
			     struct ws_agreement *out)
{
	for (const struct http_field *f = http_head_find(response, HTTP_SEC_WEBSOCKET_EXTENSIONS, NULL);
	     f != NULL; f = http_head_find(response, HTTP_SEC_WEBSOCKET_EXTENSIONS, f + 1)) {
		const char *list = f->value;
		size_t len = f->value_len;
		struct ws_extension e;
		int got;

		while ((got = ws_extension_next(&list, &len, &e)) == 1) {
			if (!extension_is_offered(request, &e))
				return false;
			if (!is_deflate(&e))
				continue;
			if (out->has_deflate || !deflate_parse(&e, WS_ANSWER, &out->deflate))
				return false;
			out->has_deflate = true;
			out->rsv_allowed = WS_RSV1;
		}
		if (got < 0)
			return false;
	}
	return true;
}

enum ws_handshake_result ws_handshake_check_response(const struct http_head *request,
						     const struct http_head *response,
						     struct ws_agreement *out)
{
	const struct http_field *key = single_find(request, HTTP_SEC_WEBSOCKET_KEY);
	const struct http_field *upgrade = single_find(response, HTTP_UPGRADE);
	const struct http_field *accept = single_find(response, HTTP_SEC_WEBSOCKET_ACCEPT);
	struct ws_agreement agreement = { 0 };

	if (response->status != 101)
		return WS_HANDSHAKE_STATUS;
	if (response->version_minor < 1)
		return WS_HANDSHAKE_HTTP_VERSION;
	if (upgrade == NULL || !http_text_is_literal(upgrade->value, upgrade->value_len, "websocket"))
		return WS_HANDSHAKE_UPGRADE;
	if (!response->connection_upgrade)
		return WS_HANDSHAKE_CONNECTION;
	if (key == NULL || key->value_len != WS_KEY_LEN)
		return WS_HANDSHAKE_KEY;
	if (accept == NULL || !ws_accept_matches(key->value, accept->value, accept->value_len))
		return WS_HANDSHAKE_ACCEPT;
	if (!protocol_check(request, response, &agreement))
		return WS_HANDSHAKE_PROTOCOL;
	if (!extensions_check(request, response, &agreement))
		return WS_HANDSHAKE_EXTENSIONS;
	*out = agreement;
	return WS_HANDSHAKE_OK;
}

const char *ws_handshake_text(enum ws_handshake_result result)
{
	static const char *const texts[WS_HANDSHAKE_RESULT_COUNT] = {
		[WS_HANDSHAKE_OK] = "no error",
		[WS_HANDSHAKE_NONE] = "no upgrade to websocket asked for",
		[WS_HANDSHAKE_METHOD] = "websocket upgrade with another method than GET",
		[WS_HANDSHAKE_HTTP_VERSION] = "websocket upgrade in HTTP/1.0",
		[WS_HANDSHAKE_HOST] = "websocket upgrade without a host",
		[WS_HANDSHAKE_CONNECTION] = "Connection does not name upgrade",
		[WS_HANDSHAKE_BODY] = "websocket upgrade with a body",
		[WS_HANDSHAKE_VERSION] = "Sec-WebSocket-Version is not 13",
		[WS_HANDSHAKE_KEY] = "Sec-WebSocket-Key is missing, repeated or not 16 bytes",
		[WS_HANDSHAKE_PROTOCOL] = "Sec-WebSocket-Protocol is malformed or was not offered",
		[WS_HANDSHAKE_EXTENSIONS] = "Sec-WebSocket-Extensions is malformed or was not offered",
		[WS_HANDSHAKE_STATUS] = "the answer is not 101",
		[WS_HANDSHAKE_UPGRADE] = "101 without Upgrade: websocket",
		[WS_HANDSHAKE_ACCEPT] = "Sec-WebSocket-Accept is missing, repeated or wrong",
	};

	return (size_t)result < WS_HANDSHAKE_RESULT_COUNT ? texts[result] : "unknown result";
}
