#include "base/str.h"

#include "base/utf8.h"

#include <assert.h>
#include <stdlib.h>

#define HEAP_FIRST 256 /* bytes */

static const char hex_digits[] = "0123456789abcdef";

static const char two_digits[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
				 "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
				 "8081828384858687888990919293949596979899";

char *text_copy(const char *at, size_t len)
{
	char *copy = malloc(len + 1);

	if (copy == NULL)
		return NULL;
	if (len > 0)
		memcpy(copy, at, len);
	copy[len] = '\0';
	return copy;
}

void str_done(struct str *s)
{
	if (s->max != 0)
		free(s->at);
	*s = (struct str){ 0 };
}

bool str_grow(struct str *s, size_t more)
{
	size_t need, cap;
	char *at;

	if (s->is_cut || more > SIZE_MAX - s->len) {
		s->is_cut = true;
		return false;
	}
	need = s->len + more;
	if (need <= s->cap)
		return true;
	if (need > s->max) {
		s->is_cut = true;
		return false;
	}
	cap = s->cap < HEAP_FIRST ? HEAP_FIRST : s->cap;
	while (cap < need)
		cap = cap > s->max / 2 ? s->max : cap * 2;
	if (cap > s->max)
		cap = s->max;
	at = realloc(s->at, cap);
	if (at == NULL) {
		s->is_cut = true;
		return false;
	}
	s->at = at;
	s->cap = cap;
	return true;
}

const char *str_text(struct str *s)
{
	bool was_cut = s->is_cut;

	s->is_cut = false;
	if (!str_reserve(s, 1)) {
		s->is_cut = true;
		return "";
	}
	s->is_cut = was_cut;
	s->at[s->len] = '\0';
	return s->at;
}

/* The digits of `value` at the end of `out`; returns the first. */
static char *digits_of(uint64_t value, char out[20])
{
	char *p = out + 20;

	while (value >= 100) {
		p -= 2;
		memcpy(p, two_digits + value % 100 * 2, 2);
		value /= 100;
	}
	if (value >= 10) {
		p -= 2;
		memcpy(p, two_digits + value * 2, 2);
	} else {
		*--p = (char)('0' + value);
	}
	return p;
}

void str_dec(struct str *s, uint64_t value)
{
	char out[20];
	char *first = digits_of(value, out);

	str_bytes(s, first, (size_t)(out + sizeof(out) - first));
}

void str_dec_signed(struct str *s, int64_t value)
{
	char out[21];
	char *first = digits_of(value < 0 ? 0 - (uint64_t)value : (uint64_t)value, out + 1);

	if (value < 0)
		*--first = '-';
	str_bytes(s, first, (size_t)(out + sizeof(out) - first));
}

void str_dec_padded(struct str *s, uint64_t value, unsigned width)
{
	char out[20];
	char *first = digits_of(value, out);

	assert(width <= sizeof(out));
	while (first > out + sizeof(out) - width)
		*--first = '0';
	str_bytes(s, first, (size_t)(out + sizeof(out) - first));
}

void str_dec_point(struct str *s, uint64_t value, unsigned decimals)
{
	char digits[20], out[21];
	char *first = digits_of(value, digits);
	size_t len, whole;

	assert(decimals < sizeof(digits));
	while (first > digits + sizeof(digits) - decimals - 1)
		*--first = '0';
	len = (size_t)(digits + sizeof(digits) - first);
	whole = len - decimals;
	memcpy(out, first, whole);
	if (decimals != 0) {
		out[whole] = '.';
		memcpy(out + whole + 1, first + whole, decimals);
		len++;
	}
	str_bytes(s, out, len);
}

void str_hex(struct str *s, uint64_t value)
{
	char out[16];
	char *p = out + sizeof(out);

	do {
		*--p = hex_digits[value & 15];
		value >>= 4;
	} while (value != 0);
	str_bytes(s, p, (size_t)(out + sizeof(out) - p));
}

void str_hex_bytes(struct str *s, const void *bytes, size_t len)
{
	const uint8_t *in = bytes;

	if (len > SIZE_MAX / 2 || !str_reserve(s, len * 2)) {
		s->is_cut = true;
		return;
	}
	for (size_t i = 0; i < len; i++) {
		s->at[s->len++] = hex_digits[in[i] >> 4];
		s->at[s->len++] = hex_digits[in[i] & 15];
	}
}

/* What ends a line, or steers a terminal. */
static bool is_control(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0x2028 || code == 0x2029;
}

static void put_hex_byte(struct str *s, uint8_t byte)
{
	const char out[4] = { '\\', 'x', hex_digits[byte >> 4], hex_digits[byte & 15] };

	str_bytes(s, out, sizeof(out));
}

static void put_json_escape(struct str *s, uint32_t code)
{
	char out[6] = { '\\', 'u' };

	switch (code) {
	case '"':
		str_bytes(s, "\\\"", 2);
		return;
	case '\\':
		str_bytes(s, "\\\\", 2);
		return;
	case '\n':
		str_bytes(s, "\\n", 2);
		return;
	case '\r':
		str_bytes(s, "\\r", 2);
		return;
	case '\t':
		str_bytes(s, "\\t", 2);
		return;
	default:
		for (unsigned i = 0; i < 4; i++)
			out[2 + i] = hex_digits[code >> (12 - 4 * i) & 15];
		str_bytes(s, out, sizeof(out));
	}
}

/* The number of bytes at `in` that are printable ASCII, but for `"` and `\`. */
static size_t clean_run(const uint8_t *in, size_t len)
{
	size_t n = 0;

	while (n < len && in[n] >= 0x20 && in[n] < 0x7f && in[n] != '"' && in[n] != '\\')
		n++;
	return n;
}

/* Whole or nothing, also where an append is made of several. */
static void undo_if_cut(struct str *s, size_t len_before)
{
	if (s->is_cut)
		s->len = len_before;
}

void str_json_part(struct str *s, const void *bytes, size_t len)
{
	const uint8_t *in = bytes, *end = in + len;
	size_t len_before = s->len;

	while (in < end && !s->is_cut) {
		size_t n = clean_run(in, (size_t)(end - in));
		uint32_t code;

		str_bytes(s, in, n);
		in += n;
		if (in == end)
			break;
		n = utf8_read(in, (size_t)(end - in), &code);
		if (n == 0) {
			str_bytes(s, "\\ufffd", 6);
			n = 1;
		} else if (is_control(code) || code == '"' || code == '\\') {
			put_json_escape(s, code);
		} else {
			str_bytes(s, in, n);
		}
		in += n;
	}
	undo_if_cut(s, len_before);
}

void str_json(struct str *s, const void *bytes, size_t len)
{
	size_t len_before = s->len;

	str_char(s, '"');
	str_json_part(s, bytes, len);
	str_char(s, '"');
	undo_if_cut(s, len_before);
}

void str_combined(struct str *s, const void *bytes, size_t len)
{
	const uint8_t *in = bytes, *end = in + len;
	size_t len_before = s->len;

	while (in < end && !s->is_cut) {
		size_t n = clean_run(in, (size_t)(end - in));

		str_bytes(s, in, n);
		in += n;
		if (in == end)
			break;
		if (*in == '"' || *in == '\\') {
			str_char(s, '\\');
			str_char(s, (char)*in);
		} else {
			put_hex_byte(s, *in);
		}
		in++;
	}
	undo_if_cut(s, len_before);
}

void str_plain(struct str *s, const void *bytes, size_t len)
{
	const uint8_t *in = bytes, *end = in + len;
	size_t len_before = s->len;

	while (in < end && !s->is_cut) {
		size_t n = clean_run(in, (size_t)(end - in));
		uint32_t code;

		str_bytes(s, in, n);
		in += n;
		if (in == end)
			break;
		n = utf8_read(in, (size_t)(end - in), &code);
		if (n > 0 && !is_control(code)) {
			str_bytes(s, in, n);
		} else if (n == 1 && (code == '\n' || code == '\r' || code == '\t')) {
			put_json_escape(s, code);
		} else {
			n = n == 0 ? 1 : n;
			for (size_t i = 0; i < n; i++)
				put_hex_byte(s, in[i]);
		}
		in += n;
	}
	undo_if_cut(s, len_before);
}
