#include "wire/json.h"

#include "base/utf8.h"
#include "wire/chars.h"

#include <string.h>

static bool bad(struct json *j)
{
	j->is_bad = true;
	j->at = j->end;
	return false;
}

static void space_skip(struct json *j)
{
	while (j->at < j->end && (*j->at == ' ' || *j->at == '\t' || *j->at == '\n' || *j->at == '\r'))
		j->at++;
}

enum json_kind json_peek(struct json *j)
{
	space_skip(j);
	if (j->is_bad)
		return JSON_BAD;
	if (j->at == j->end)
		return JSON_END;
	switch (*j->at) {
	case '{':
		return JSON_OBJECT;
	case '[':
		return JSON_ARRAY;
	case '"':
		return JSON_STRING;
	case '}':
	case ']':
		return JSON_CLOSE;
	case 't':
	case 'f':
	case 'n':
		return JSON_WORD;
	default:
		return *j->at == '-' || (*j->at >= '0' && *j->at <= '9') ? JSON_NUMBER : JSON_BAD;
	}
}

void json_enter(struct json *j)
{
	if (json_peek(j) == JSON_OBJECT || json_peek(j) == JSON_ARRAY)
		j->at++;
	else
		bad(j);
}

bool json_next(struct json *j, bool *first)
{
	bool was_first = *first;

	*first = false;
	space_skip(j);
	if (j->is_bad || j->at == j->end)
		return bad(j);
	if (*j->at == '}' || *j->at == ']') {
		j->at++;
		return false;
	}
	if (was_first)
		return true;
	if (*j->at != ',')
		return bad(j);
	j->at++;
	return json_peek(j) == JSON_CLOSE ? bad(j) : true;
}

/* ---- strings ---- */

/* The four digits behind \u; -1: there are not four. */
static long unit_read(const char *at, const char *end)
{
	long value = 0;

	if (end - at < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int digit = char_hex((uint8_t)at[i]);

		if (digit < 0)
			return -1;
		value = value * 16 + digit;
	}
	return value;
}

static size_t utf8_write(char *out, uint32_t c)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* One \uXXXX, or two that make a pair; `at` is behind the u.  Returns where it ends; NULL: it is none. */
static const char *unicode_read(const char *at, const char *end, uint32_t *out)
{
	long unit = unit_read(at, end), low;

	if (unit < 0)
		return NULL;
	at += 4;
	*out = (uint32_t)unit;
	if (unit < 0xd800 || unit > 0xdfff)
		return at;
	*out = 0xfffd;
	if (unit > 0xdbff || end - at < 6 || at[0] != '\\' || at[1] != 'u')
		return at;
	low = unit_read(at + 2, end);
	if (low < 0xdc00 || low > 0xdfff)
		return at;
	*out = 0x10000 + ((uint32_t)(unit - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
	return at + 6;
}

static char escape_of(char c)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *found = c != '\0' ? strchr(from, c) : NULL;

	return found != NULL ? to[found - from] : '\0';
}

/* What is behind a backslash, at `in`; returns where it ends, or NULL. */
static const char *escape_read(const char *in, const char *end, char **to)
{
	uint32_t c;

	if (in == end)
		return NULL;
	if (*in == 'u') {
		in = unicode_read(in + 1, end, &c);
		if (in != NULL)
			*to += utf8_write(*to, c);
		return in;
	}
	if (escape_of(*in) == '\0')
		return NULL;
	*(*to)++ = escape_of(*in);
	return in + 1;
}

bool json_string(struct json *j, char *out, size_t *len)
{
	const char *in, *end = j->end;
	char *to = out;

	if (json_peek(j) != JSON_STRING)
		return bad(j);
	for (in = j->at + 1; in != NULL && in < end && *in != '"';) {
		size_t n = 1;
		uint32_t code;

		if (*in == '\\') {
			in = escape_read(in + 1, end, &to);
			continue;
		}
		if ((uint8_t)*in < 0x20 || ((uint8_t)*in >= 0x80 && (n = utf8_read((const uint8_t *)in, (size_t)(end - in), &code)) == 0))
			return bad(j);
		memmove(to, in, n); /* `to` never overtakes `in` */
		to += n;
		in += n;
	}
	if (in == NULL || in == end)
		return bad(j);
	j->at = in + 1;
	*len = (size_t)(to - out);
	return true;
}

size_t json_string_room(const struct json *j)
{
	const char *in = j->at;

	while (in < j->end && *in != '"')
		in++;
	for (in++; in < j->end && *in != '"'; in++)
		if (*in == '\\')
			in++;
	return in < j->end ? (size_t)(in - j->at) : (size_t)(j->end - j->at);
}

bool json_name(struct json *j, char *out, size_t cap, size_t *len)
{
	if (json_peek(j) != JSON_STRING)
		return bad(j);
	if (json_string_room(j) <= cap) {
		if (!json_string(j, out, len))
			return false;
	} else {
		*len = cap;
		if (!json_skip(j))
			return false;
	}
	space_skip(j);
	if (j->at == j->end || *j->at != ':')
		return bad(j);
	j->at++;
	return true;
}

/* ---- numbers, and what nobody wants ---- */

static const char *digits_skip(const char *at, const char *end)
{
	while (at < end && *at >= '0' && *at <= '9')
		at++;
	return at;
}

/* RFC 8259 6; NULL: it is none. */
static const char *number_end(const char *at, const char *end)
{
	const char *from = at + (*at == '-');

	at = digits_skip(from, end);
	if (at == from || (*from == '0' && at > from + 1))
		return NULL;
	if (at < end && *at == '.') {
		from = ++at;
		at = digits_skip(from, end);
		if (at == from)
			return NULL;
	}
	if (at < end && (*at == 'e' || *at == 'E')) {
		at++;
		at += at < end && (*at == '+' || *at == '-');
		from = at;
		at = digits_skip(from, end);
		if (at == from)
			return NULL;
	}
	return at;
}

bool json_uint(struct json *j, uint64_t *out)
{
	const char *end;
	uint64_t value = 0;

	if (json_peek(j) != JSON_NUMBER)
		return bad(j);
	end = number_end(j->at, j->end);
	if (end == NULL || end - j->at > 16)
		return bad(j);
	for (const char *c = j->at; c < end; c++) {
		if (*c < '0' || *c > '9')
			return bad(j);
		value = value * 10 + (uint64_t)(*c - '0');
	}
	if (value >= UINT64_C(1) << 53)
		return bad(j);
	j->at = end;
	*out = value;
	return true;
}

static bool word_skip(struct json *j)
{
	static const char *const words[] = { "true", "false", "null" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t len = strlen(words[i]);

		if ((size_t)(j->end - j->at) >= len && memcmp(j->at, words[i], len) == 0) {
			j->at += len;
			return true;
		}
	}
	return bad(j);
}

static bool string_skip(struct json *j)
{
	char few[12]; /* one character or escape at a time: nothing is kept */
	const char *in = j->at + 1;

	while (in != NULL && in < j->end && *in != '"') {
		char *to = few;
		size_t n = 1;
		uint32_t code;

		if (*in == '\\') {
			in = escape_read(in + 1, j->end, &to);
			continue;
		}
		if ((uint8_t)*in < 0x20 || ((uint8_t)*in >= 0x80 && (n = utf8_read((const uint8_t *)in, (size_t)(j->end - in), &code)) == 0))
			return bad(j);
		in += n;
	}
	if (in == NULL || in == j->end)
		return bad(j);
	j->at = in + 1;
	return true;
}

static bool leaf_skip(struct json *j, enum json_kind kind)
{
	const char *end;

	if (kind == JSON_STRING)
		return string_skip(j);
	if (kind == JSON_WORD)
		return word_skip(j);
	end = kind == JSON_NUMBER ? number_end(j->at, j->end) : NULL;
	if (end == NULL)
		return bad(j);
	j->at = end;
	return true;
}

/* By a stack of its own: what a peer nests must not nest calls. */
bool json_skip(struct json *j)
{
	bool first[JSON_DEPTH_MAX], is_object[JSON_DEPTH_MAX];
	unsigned depth = 0;

	do {
		enum json_kind kind = json_peek(j);

		if (kind == JSON_OBJECT || kind == JSON_ARRAY) {
			if (depth == JSON_DEPTH_MAX)
				return bad(j);
			is_object[depth] = kind == JSON_OBJECT;
			first[depth++] = true;
			j->at++;
		} else if (!leaf_skip(j, kind)) {
			return false;
		}
		while (depth > 0 && !json_next(j, &first[depth - 1])) {
			if (j->is_bad || j->at[-1] != (is_object[depth - 1] ? '}' : ']'))
				return bad(j);
			depth--;
		}
		if (depth > 0 && is_object[depth - 1]) {
			if (json_peek(j) != JSON_STRING || !string_skip(j) || (space_skip(j), j->at == j->end) ||
			    *j->at != ':')
				return bad(j);
			j->at++;
		}
	} while (depth > 0);
	return true;
}

bool json_is_done(struct json *j)
{
	return json_peek(j) == JSON_END;
}
