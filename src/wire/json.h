/* JSON (RFC 8259) read by pulling: one value after the other, nothing allocated, depth bounded.
 *
 * For the small values of the fallback's records and the arrays of SockJS.  Strings come out decoded: escapes resolved,
 * UTF-8 checked, a lone surrogate as U+FFFD, NUL kept (lengths count, not terminators).
 * Every reader sets `is_bad` at what breaks the grammar, and then does nothing any more: one look at the end is enough. */
#ifndef WIRE_JSON_H
#define WIRE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json {
	const char *at, *end;
	bool is_bad;
};

enum json_kind {
	JSON_BAD,
	JSON_END, /* nothing but white space is left */
	JSON_OBJECT,
	JSON_ARRAY,
	JSON_STRING,
	JSON_NUMBER,
	JSON_WORD, /* true, false, null */
	JSON_CLOSE /* of the object or array that was entered */
};

#define JSON_DEPTH_MAX 32

static inline struct json json_of(const char *text, size_t len)
{
	return (struct json){ text, text + len, false };
}

/* What comes next; uses nothing but white space. */
enum json_kind json_peek(struct json *j);
/* Enters an object or array, whose kind was peeked. */
void json_enter(struct json *j);
/* Is there another element?  *first is true before the first one.  false: the end was read, or is_bad. */
bool json_next(struct json *j, bool *first);
/* jansson has a json_string() as well, and in one program the linker knows one of a name: control's would be ours. */
#define json_string wire_json_string
/* A string into `out`, which has room for its raw length (json_string_room) and may be where it lies itself. */
bool json_string(struct json *j, char *out, size_t *len);
/* How many bytes the string that comes next has at most. */
size_t json_string_room(const struct json *j);
/* The name of a member and its colon; names of `cap` bytes and more are none that anybody knows: *len is cap. */
bool json_name(struct json *j, char *out, size_t cap, size_t *len);
/* A number without sign, fraction and exponent, below 2^53. */
bool json_uint(struct json *j, uint64_t *out);
/* Whatever comes next. */
bool json_skip(struct json *j);
/* Nothing is left, and nothing was wrong. */
bool json_is_done(struct json *j);

#endif
