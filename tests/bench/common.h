/* What the load generator and its backend agree on: the bytes they exchange, and small tools.
 *
 * All test data is one pseudo-random pattern of PATTERN_PERIOD bytes, repeated.  A body of N bytes is the
 * pattern from its start; a message is a piece of it from an offset that its sender chooses.  The receiver
 * compares with memcmp, so a byte that is lost, doubled, moved or changed is found at the cost of one pass
 * over memory.  The period is a prime below 64 KiB: it stays in the cache, and no buffer size of a proxy
 * divides it.
 *
 * Called by: load.c and backend.c, one instance each. */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define PATTERN_PERIOD 65521u
#define SCRATCH_BYTES (256u * 1024)
#define WS_HEADER_MAX 14u /* RFC 6455 5.2: 2 + 8 of length + 4 of mask */
#define WS_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define NS_PER_S 1000000000ull

enum ws_opcode { WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

/* One frame as it lies in a buffer; payload_len bytes follow header_len. */
struct ws_frame {
	size_t header_len;
	size_t payload_len;
	uint8_t first; /* FIN, RSV and opcode, as sent */
	bool is_masked;
	uint8_t mask[4];
};

static uint8_t pattern[PATTERN_PERIOD + SCRATCH_BYTES];

static inline void pattern_init(void)
{
	uint32_t x = 2463534242u;

	for (size_t i = 0; i < PATTERN_PERIOD; i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		pattern[i] = (uint8_t)(x >> 11);
	}
	for (size_t i = PATTERN_PERIOD; i < sizeof(pattern); i++)
		pattern[i] = pattern[i - PATTERN_PERIOD];
}

/* The pattern from position `at` on; good for SCRATCH_BYTES. */
static inline const uint8_t *pattern_at(uint64_t at)
{
	return pattern + at % PATTERN_PERIOD;
}

static inline uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* Not for peers' mistakes: for a machine on which nothing can be measured. */
__attribute__((noreturn, format(printf, 1, 2))) static inline void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static inline void files_raise(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* Writes a final frame's header and returns its length, at most WS_HEADER_MAX; mask may be NULL. */
static inline size_t ws_header_put(uint8_t *out, enum ws_opcode opcode, size_t len, const uint8_t *mask)
{
	uint8_t mask_bit = mask != NULL ? 0x80 : 0;
	size_t n = 2;

	out[0] = (uint8_t)(0x80 | opcode);
	if (len < 126) {
		out[1] = (uint8_t)(mask_bit | len);
	} else if (len < 65536) {
		out[1] = mask_bit | 126;
		out[2] = (uint8_t)(len >> 8);
		out[3] = (uint8_t)len;
		n = 4;
	} else {
		out[1] = mask_bit | 127;
		for (int i = 0; i < 8; i++)
			out[2 + i] = (uint8_t)((uint64_t)len >> (56 - 8 * i));
		n = 10;
	}
	if (mask != NULL) {
		memcpy(out + n, mask, 4);
		n += 4;
	}
	return n;
}

/* Reads a frame header.  Returns false while more bytes are needed. */
static inline bool ws_header_get(const uint8_t *in, size_t len, struct ws_frame *out)
{
	size_t n = 2;
	uint64_t payload_len;

	if (len < 2)
		return false;
	payload_len = in[1] & 0x7f;
	if (payload_len >= 126)
		n = payload_len == 126 ? 4 : 10;
	if (len < n)
		return false;
	if (payload_len >= 126) {
		payload_len = 0;
		for (size_t i = 2; i < n; i++)
			payload_len = payload_len << 8 | in[i];
	}
	out->is_masked = (in[1] & 0x80) != 0;
	if (out->is_masked) {
		if (len < n + 4)
			return false;
		memcpy(out->mask, in + n, 4);
		n += 4;
	}
	out->first = in[0];
	out->header_len = n;
	out->payload_len = payload_len;
	return true;
}

/* XORs with the mask, eight bytes at a time. */
static inline void ws_mask(uint8_t *bytes, size_t len, const uint8_t mask[4])
{
	uint8_t twice[8];
	uint64_t wide;
	size_t i = 0;

	memcpy(twice, mask, 4);
	memcpy(twice + 4, mask, 4);
	memcpy(&wide, twice, 8);
	for (; i + 8 <= len; i += 8) {
		uint64_t word;

		memcpy(&word, bytes + i, 8);
		word ^= wide;
		memcpy(bytes + i, &word, 8);
	}
	for (; i < len; i++)
		bytes[i] ^= mask[i & 3];
}

#endif
