#include "wire/headers.h"

#include <assert.h>

#include "wire/chars.h"

/* ---- names ---- */

/* The multipliers were searched so that no two names of the table meet; a new name that does meet another
 * is a compiler's warning (an initialiser overridden), and tests/unit/wire_headers.c: search others then. */
#define NAME_HASH(len, first, last_but_one, last)                                           \
	((unsigned)(((len)*56u + ((first) | 0x20u) * 14u + ((last_but_one) | 0x20u) * 54u + \
		     ((last) | 0x20u) * 37u) &                                              \
		    255u))

static const uint8_t id_by_hash[256] = {
#define X(id, name, first, last_but_one, last) [NAME_HASH(sizeof(name) - 1, first, last_but_one, last)] = id,
	HTTP_NAMES(X)
#undef X
};

static const struct {
	char name[HTTP_NAME_KNOWN_MAX + 1];
	uint8_t len;
} names[HTTP_ID_COUNT] = {
#define X(id, name, first, last_but_one, last) [id] = { name, sizeof(name) - 1 },
	HTTP_NAMES(X)
#undef X
};

/* Eight or four bytes of a name against the table's, which are lower-case: a letter there (and no other
 * character of these names) has bit 0x40, and admits the upper case, without bit 0x20. */
static inline bool words_match(const char *text, const char *lower)
{
	uint64_t a, b;

	memcpy(&a, text, 8);
	memcpy(&b, lower, 8);
	return (a | ((b & UINT64_C(0x4040404040404040)) >> 1)) == b;
}

static inline bool halves_match(const char *text, const char *lower)
{
	uint32_t a, b;

	memcpy(&a, text, 4);
	memcpy(&b, lower, 4);
	return (a | ((b & UINT32_C(0x40404040)) >> 1)) == b;
}

enum http_id http_id_of(const char *name, size_t len)
{
	const char *lower;
	uint8_t id;
	size_t i;

	if (len < 2 || len > HTTP_NAME_KNOWN_MAX)
		return HTTP_OTHER;
	id = id_by_hash[NAME_HASH((unsigned)len, (uint8_t)name[0], (uint8_t)name[len - 2],
				  (uint8_t)name[len - 1])];
	if (names[id].len != len)
		return HTTP_OTHER;
	lower = names[id].name;
	if (len >= 8) {
		for (i = 0; i + 8 < len; i += 8) {
			if (!words_match(name + i, lower + i))
				return HTTP_OTHER;
		}
		return words_match(name + len - 8, lower + len - 8) ? id : HTTP_OTHER;
	}
	if (len >= 4)
		return halves_match(name, lower) && halves_match(name + len - 4, lower + len - 4)
			       ? id
			       : HTTP_OTHER;
	return http_text_is(name, len, lower, len) ? id : HTTP_OTHER;
}

const char *http_id_name(enum http_id id)
{
	return (unsigned)id < HTTP_ID_COUNT ? names[id].name : "";
}

/* ---- text ---- */

bool http_text_is(const char *text, size_t len, const char *want, size_t want_len)
{
	if (len != want_len)
		return false;
	if (len >= 8 && memcmp(text, want, len) == 0)
		return true; /* as it mostly is */
	for (size_t i = 0; i < len; i++) {
		if (text[i] != want[i] && char_lower((uint8_t)text[i]) != char_lower((uint8_t)want[i]))
			return false;
	}
	return true;
}

bool http_char_is_token(uint8_t c)
{
	return char_is(c, CHAR_TOKEN);
}

bool http_text_is_token(const char *text, size_t len)
{
	const uint8_t *at = (const uint8_t *)text;

	return len > 0 && chars_skip(at, at + len, CHAR_TOKEN) == at + len;
}

bool http_text_is_field_value(const char *text, size_t len)
{
	const uint8_t *at = (const uint8_t *)text;

	return len == 0 || chars_skip_value(at, at + len, at) == at + len;
}

/* ---- lists ---- */

/* The end of the element at `at`: a comma that no quotes enclose.  Quotes that do not close enclose the
 * rest. */
static const char *element_end(const char *at, const char *end)
{
	bool is_quoted = false;

	for (; at < end; at++) {
		if (is_quoted && *at == '\\' && at + 1 < end)
			at++;
		else if (*at == '"')
			is_quoted = !is_quoted;
		else if (*at == ',' && !is_quoted)
			break;
	}
	return at;
}

bool http_list_next(const char **list, size_t *len, const char **element, size_t *element_len)
{
	const char *at = *list, *end = *list + *len, *stop, *last;

	while (at < end && (*at == ',' || char_is_space((uint8_t)*at)))
		at++;
	stop = element_end(at, end);
	for (last = stop; last > at && char_is_space((uint8_t)last[-1]); last--)
		;
	*element = at;
	*element_len = (size_t)(last - at);
	if (stop < end)
		stop++; /* behind its comma */
	*list = stop;
	*len = (size_t)(end - stop);
	return last > at;
}

bool http_list_has(const char *list, size_t len, const char *token, size_t token_len)
{
	const char *element;
	size_t element_len;

	while (http_list_next(&list, &len, &element, &element_len)) {
		if (http_text_is(element, element_len, token, token_len))
			return true;
	}
	return false;
}

/* ---- heads ---- */

const struct http_field *http_head_find(const struct http_head *head, enum http_id id,
					const struct http_field *from)
{
	const struct http_field *end = head->fields + head->field_count;

	if (!http_head_has(head, id))
		return NULL;
	for (const struct http_field *f = from != NULL ? from : head->fields; f < end; f++) {
		if (f->id == id)
			return f;
	}
	return NULL;
}

const struct http_field *http_head_find_name(const struct http_head *head, const char *name, size_t name_len,
					     const struct http_field *from)
{
	const struct http_field *end = head->fields + head->field_count;
	enum http_id id = http_id_of(name, name_len);

	if (id != HTTP_OTHER)
		return http_head_find(head, id, from);
	for (const struct http_field *f = from != NULL ? from : head->fields; f < end; f++) {
		if (f->id == HTTP_OTHER && http_text_is(f->name, f->name_len, name, name_len))
			return f;
	}
	return NULL;
}

uint32_t http_head_count(const struct http_head *head, enum http_id id)
{
	const struct http_field *f = http_head_find(head, id, NULL);
	uint32_t count = 0;

	for (; f != NULL; f = http_head_find(head, id, f + 1))
		count++;
	return count;
}

bool http_head_list_has(const struct http_head *head, enum http_id id, const char *token, size_t token_len)
{
	const struct http_field *f = http_head_find(head, id, NULL);

	for (; f != NULL; f = http_head_find(head, id, f + 1)) {
		if (http_list_has(f->value, f->value_len, token, token_len))
			return true;
	}
	return false;
}

bool http_field_is_hop_by_hop(const struct http_head *head, const struct http_field *field)
{
	const uint64_t never =
		HTTP_BIT(HTTP_HOST) | HTTP_BIT(HTTP_CONTENT_LENGTH) | HTTP_BIT(HTTP_CACHE_CONTROL);

	if (field->id != HTTP_OTHER && (HTTP_BIT(field->id) & HTTP_HOP_BY_HOP_SET) != 0)
		return true;
	if (!head->connection_names || (HTTP_BIT(field->id) & never) != 0)
		return false;
	return http_head_list_has(head, HTTP_CONNECTION, field->name, field->name_len);
}

bool http_field_may_trail(const struct http_field *field)
{
	const uint64_t never = HTTP_HOP_BY_HOP_SET | HTTP_BIT(HTTP_HOST) | HTTP_BIT(HTTP_CONTENT_LENGTH) |
			       HTTP_BIT(HTTP_TRAILER) | HTTP_BIT(HTTP_EXPECT) | HTTP_BIT(HTTP_AUTHORIZATION) |
			       HTTP_BIT(HTTP_CACHE_CONTROL) | HTTP_BIT(HTTP_CONTENT_ENCODING) |
			       HTTP_BIT(HTTP_CONTENT_RANGE) | HTTP_BIT(HTTP_CONTENT_TYPE) |
			       HTTP_BIT(HTTP_COOKIE) | HTTP_BIT(HTTP_SET_COOKIE) | HTTP_BIT(HTTP_RANGE) |
			       HTTP_BIT(HTTP_FORWARDED) | HTTP_BIT(HTTP_X_FORWARDED_FOR) |
			       HTTP_BIT(HTTP_X_FORWARDED_HOST) | HTTP_BIT(HTTP_X_FORWARDED_PORT) |
			       HTTP_BIT(HTTP_X_FORWARDED_PROTO) | HTTP_BIT(HTTP_X_REAL_IP) |
			       HTTP_BIT(HTTP_LOCATION) | HTTP_BIT(HTTP_ORIGIN);

	return field->id == HTTP_OTHER || (HTTP_BIT(field->id) & never) == 0;
}

/* ---- methods ---- */

static const struct {
	char name[8];
	uint8_t len;
	bool is_idempotent;
} methods[HTTP_METHOD_COUNT] = {
	[HTTP_METHOD_GET] = { "GET", 3, true },		[HTTP_METHOD_HEAD] = { "HEAD", 4, true },
	[HTTP_METHOD_POST] = { "POST", 4, false },	[HTTP_METHOD_PUT] = { "PUT", 3, true },
	[HTTP_METHOD_DELETE] = { "DELETE", 6, true },	[HTTP_METHOD_CONNECT] = { "CONNECT", 7, false },
	[HTTP_METHOD_OPTIONS] = { "OPTIONS", 7, true }, [HTTP_METHOD_TRACE] = { "TRACE", 5, true },
	[HTTP_METHOD_PATCH] = { "PATCH", 5, false },
};

enum http_method http_method_of(const char *text, size_t len)
{
	for (unsigned m = HTTP_METHOD_GET; m < HTTP_METHOD_COUNT; m++) {
		if (methods[m].len == len && memcmp(methods[m].name, text, len) == 0)
			return (enum http_method)m;
	}
	return HTTP_METHOD_OTHER;
}

const char *http_method_name(enum http_method method)
{
	return (unsigned)method < HTTP_METHOD_COUNT ? methods[method].name : "";
}

bool http_method_is_idempotent(enum http_method method)
{
	return (unsigned)method < HTTP_METHOD_COUNT && methods[method].is_idempotent;
}
