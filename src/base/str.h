/* Strings built piece by piece, into a caller's buffer or a heap buffer that grows up to a bound.
 *
 * Every append is whole or nothing: where it does not fit (or memory is out), nothing of it is written, `is_cut` is set,
 * and all later appends do nothing until str_reset() or str_rewind().  So a line can be built without a check a step,
 * with one look at `is_cut` at the end.  There is no NUL at the end unless str_text() asks for one.
 * Called by: the logs and metrics, some of them once a request, so that nothing here uses printf. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
	char *at;
	size_t len; /* bytes in use */
	size_t cap; /* bytes at `at` */
	size_t max; /* a heap buffer grows up to this many bytes; 0: the caller's buffer */
	bool is_cut; /* something did not fit */
};

/* A copy with a NUL behind it; free() it.  NULL: memory is out.  (strndup(3) may look for a NUL in what it is given.) */
char *text_copy(const char *at, size_t len);

/* Builds in `buf`, which is kept until the last use of the string. */
static inline void str_init(struct str *s, char *buf, size_t cap)
{
	*s = (struct str){ .at = buf, .cap = cap };
}

/* Builds on the heap, at most `max` bytes (> 0); allocates with the first append; str_done() frees. */
static inline void str_init_heap(struct str *s, size_t max)
{
	*s = (struct str){ .max = max };
}
void str_done(struct str *s);

static inline void str_reset(struct str *s)
{
	s->len = 0;
	s->is_cut = false;
}

/* Back to a length that the string had before. */
static inline void str_rewind(struct str *s, size_t len)
{
	s->len = len;
	s->is_cut = false;
}

/* The string with a NUL behind it (not counted in len); "" when there is no room for the NUL. */
const char *str_text(struct str *s);

/* Makes room for `more` bytes, or sets is_cut. */
bool str_grow(struct str *s, size_t more);
static inline bool str_reserve(struct str *s, size_t more)
{
	if (!s->is_cut && more <= s->cap - s->len)
		return true;
	return str_grow(s, more);
}

static inline void str_bytes(struct str *s, const void *bytes, size_t len)
{
	if (len == 0 || !str_reserve(s, len))
		return;
	memcpy(s->at + s->len, bytes, len);
	s->len += len;
}

static inline void str_char(struct str *s, char c)
{
	if (!str_reserve(s, 1))
		return;
	s->at[s->len++] = c;
}

/* A string with a NUL; with a literal the length is known to the compiler. */
static inline void str_cstr(struct str *s, const char *text)
{
	str_bytes(s, text, strlen(text));
}

void str_dec(struct str *s, uint64_t value);
void str_dec_signed(struct str *s, int64_t value);
/* With zeros in front up to `width` digits (at most 20). */
void str_dec_padded(struct str *s, uint64_t value, unsigned width);
/* value / 10^decimals with exactly `decimals` digits behind the point (at most 19): 1234 with 3 is "1.234". */
void str_dec_point(struct str *s, uint64_t value, unsigned decimals);
/* Lower-case, no prefix, no zeros in front. */
void str_hex(struct str *s, uint64_t value);
/* Two lower-case digits a byte. */
void str_hex_bytes(struct str *s, const void *bytes, size_t len);

/* A JSON string with its quotes (RFC 8259 7), always valid: what is not UTF-8 becomes U+FFFD, a byte each; control
 * characters (C0, DEL, C1) and the line separators U+2028 and U+2029 are escaped. */
void str_json(struct str *s, const void *bytes, size_t len);
/* The same without quotes, for a value put together from several pieces. */
void str_json_part(struct str *s, const void *bytes, size_t len);

/* For a quoted field of the combined log: `"` and `\` get a backslash, what is not printable ASCII becomes \xHH. */
void str_combined(struct str *s, const void *bytes, size_t len);

/* For a line that people read: UTF-8 stays, control characters become \n, \r, \t or \xHH, line separators and broken
 * UTF-8 \xHH.  Never contains a line's end. */
void str_plain(struct str *s, const void *bytes, size_t len);

#endif
