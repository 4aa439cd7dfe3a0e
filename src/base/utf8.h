/* UTF-8, one character at a time (RFC 3629).
 *
 * Called by: base/str, wire/. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* The length of the sequence at `in`, of which `len` > 0 bytes are there, and its code point; 0: it is broken, cut off,
 * overlong, a surrogate or beyond U+10FFFF (section 4); then *code stays as it was. */
size_t utf8_read(const uint8_t *in, size_t len, uint32_t *code);

#endif
