/* Classes of characters, and quick searches for the first that is not of a class.
 *
 * The searches look at 16 bytes at a time where the processor can (SSE2 is part of every x86-64), and by
 * table elsewhere or with WIRE_NO_SIMD.  They never read outside [floor, end).
 * Called by: the HTTP rooms of this floor. */
#ifndef WIRE_CHARS_H
#define WIRE_CHARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__) && !defined(WIRE_NO_SIMD)
#include <emmintrin.h>
#define WIRE_SSE2 1
#else
#define WIRE_SSE2 0
#endif

enum {
	CHAR_TOKEN = 1,	     /* tchar, RFC 9110 5.6.2 */
	CHAR_VALUE = 2,	     /* field values: HTAB, SP, visible, 0x80.. (RFC 9110 5.5) */
	CHAR_TARGET = 4,     /* visible ASCII but '#' */
	CHAR_HOST = 8,	     /* letters, digits, "-._~" */
	CHAR_UNRESERVED = 8, /* RFC 3986 2.3: the same */
	CHAR_IPV6 = 16,	     /* hexadecimal digits, ':', '.' */
	CHAR_DIGIT = 32
};

extern const uint8_t wire_chars[256];

static inline bool char_is(uint8_t c, unsigned classes)
{
	return (wire_chars[c] & classes) != 0;
}

static inline uint8_t char_lower(uint8_t c)
{
	return (uint8_t)(c - 'A') < 26 ? (uint8_t)(c | 0x20) : c;
}

/* The value of a hexadecimal digit, or -1. */
static inline int char_hex(uint8_t c)
{
	if ((uint8_t)(c - '0') < 10)
		return c - '0';
	c |= 0x20;
	return (uint8_t)(c - 'a') < 6 ? c - 'a' + 10 : -1;
}

static inline bool char_is_space(uint8_t c) /* OWS */
{
	return c == ' ' || c == '\t';
}

/* The first byte in [at, end) that is not of the class, or end. */
static inline const uint8_t *chars_skip(const uint8_t *at, const uint8_t *end, unsigned class)
{
	while (at < end && char_is(*at, class))
		at++;
	return at;
}

#if WIRE_SSE2

static inline unsigned chars_mask_not_value(__m128i v)
{
	const __m128i control_max = _mm_set1_epi8(0x1f);
	__m128i control = _mm_cmpeq_epi8(_mm_min_epu8(v, control_max), v);
	__m128i tab = _mm_cmpeq_epi8(v, _mm_set1_epi8('\t'));
	__m128i del = _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f));

	return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, control), del));
}

static inline unsigned chars_mask_not_target(__m128i v)
{
	/* Signed: what is below '!' has the bytes from 0x80 on among it. */
	__m128i low = _mm_cmplt_epi8(v, _mm_set1_epi8('!'));
	__m128i del = _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f));
	__m128i fragment = _mm_cmpeq_epi8(v, _mm_set1_epi8('#'));

	return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(low, del), fragment));
}

static inline unsigned chars_mask_colon(__m128i v)
{
	return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_set1_epi8(':')));
}

/* The tail shorter than a vector is read with the bytes in front of it, which are shifted out. */
#define CHARS_SEARCH(at, end, floor, mask_of, class)                                           \
	do {                                                                                   \
		unsigned found;                                                                \
                                                                                               \
		for (; (end) - (at) >= 16; (at) += 16) {                                       \
			found = mask_of(_mm_loadu_si128((const __m128i *)(const void *)(at))); \
			if (found != 0)                                                        \
				return (at) + __builtin_ctz(found);                            \
		}                                                                              \
		if ((at) == (end))                                                             \
			return (end);                                                          \
		if ((end) - (floor) < 16)                                                      \
			return chars_skip((at), (end), (class));                               \
		found = mask_of(_mm_loadu_si128((const __m128i *)(const void *)((end)-16)));   \
		found >>= 16 - ((end) - (at));                                                 \
		return found != 0 ? (at) + __builtin_ctz(found) : (end);                       \
	} while (0)

#else

#define CHARS_SEARCH(at, end, floor, mask_of, class)     \
	do {                                             \
		(void)(floor);                           \
		return chars_skip((at), (end), (class)); \
	} while (0)

#endif

/* The first byte in [at, end) that a field value cannot hold, or end.  [floor, at) may be read, too. */
static inline const uint8_t *chars_skip_value(const uint8_t *at, const uint8_t *end, const uint8_t *floor)
{
	CHARS_SEARCH(at, end, floor, chars_mask_not_value, CHAR_VALUE);
}

/* The same for a request target. */
static inline const uint8_t *chars_skip_target(const uint8_t *at, const uint8_t *end, const uint8_t *floor)
{
	CHARS_SEARCH(at, end, floor, chars_mask_not_target, CHAR_TARGET);
}

/* The first colon within the next 32 bytes, or NULL: then look by table. */
static inline const uint8_t *chars_find_colon(const uint8_t *at, const uint8_t *end, const uint8_t *floor)
{
#if WIRE_SSE2
	unsigned found;

	if (end - at >= 16) {
		found = chars_mask_colon(_mm_loadu_si128((const __m128i *)(const void *)at));
		if (found != 0)
			return at + __builtin_ctz(found);
		if (end - at < 32)
			return NULL;
		found = chars_mask_colon(_mm_loadu_si128((const __m128i *)(const void *)(at + 16)));
		return found != 0 ? at + 16 + __builtin_ctz(found) : NULL;
	}
	if (end - floor >= 16) {
		found = chars_mask_colon(_mm_loadu_si128((const __m128i *)(const void *)(end - 16)));
		found >>= 16 - (end - at);
		return found != 0 ? at + __builtin_ctz(found) : NULL;
	}
	return NULL;
#else
	(void)at;
	(void)end;
	(void)floor;
	return NULL;
#endif
}

#endif
