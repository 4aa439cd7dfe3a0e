#include "base/random.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define POOL_LEN 256 /* getrandom() up to this is never interrupted */

static _Thread_local struct {
	uint8_t bytes[POOL_LEN];
	size_t left; /* unused bytes, at the end */
} pool;

static _Thread_local struct {
	uint64_t word[4];
	bool is_seeded;
} fast;

/* Ends the process where there is no source: secrets would be none. */
static void kernel_random(void *out, size_t len)
{
	uint8_t *at = out;

	while (len > 0) {
		ssize_t n = getrandom(at, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			abort();
		at += n;
		len -= (size_t)n;
	}
}

void random_bytes(void *out, size_t len)
{
	uint8_t *from;

	if (len > POOL_LEN / 2) {
		kernel_random(out, len);
		return;
	}
	if (len > pool.left) {
		kernel_random(pool.bytes, POOL_LEN);
		pool.left = POOL_LEN;
	}
	from = pool.bytes + POOL_LEN - pool.left;
	memcpy(out, from, len);
	memset(from, 0, len); /* given out once, and not to be found in memory later */
	pool.left -= len;
}

static uint64_t rotate_left(uint64_t x, unsigned by)
{
	return x << by | x >> (64 - by);
}

/* xoshiro256++ (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2019). */
uint64_t random_fast(void)
{
	uint64_t *w = fast.word;
	uint64_t result, shifted;

	if (!fast.is_seeded) {
		kernel_random(w, sizeof(fast.word));
		w[0] |= 1; /* all zero is the one state that it never leaves */
		fast.is_seeded = true;
	}
	result = rotate_left(w[0] + w[3], 23) + w[0];
	shifted = w[1] << 17;
	w[2] ^= w[0];
	w[3] ^= w[1];
	w[1] ^= w[2];
	w[0] ^= w[3];
	w[2] ^= shifted;
	w[3] = rotate_left(w[3], 45);
	return result;
}

uint32_t random_below(uint32_t below)
{
	uint64_t product;
	uint32_t low;

	assert(below > 0);
	/* the high half of a product instead of a remainder; of the 2^32 low halves, the first 2^32 mod below are one
	 * too many for an even spread (Lemire, "Fast random integer generation in an interval", 2019) */
	product = (random_fast() >> 32) * below;
	low = (uint32_t)product;
	if (low < below) {
		uint32_t surplus = (0u - below) % below;

		while (low < surplus) {
			product = (random_fast() >> 32) * below;
			low = (uint32_t)product;
		}
	}
	return (uint32_t)(product >> 32);
}

uint64_t random_jitter(uint64_t value, uint32_t percent)
{
	unsigned __int128 span, result;

	if (percent > 100)
		percent = 100;
	span = (unsigned __int128)value * percent / 100;
	/* 0 .. 2 * span; the bias of a product of 64 bits does not matter to a delay */
	result = value - span + ((unsigned __int128)random_fast() * (2 * span + 1) >> 64);
	return result > UINT64_MAX ? UINT64_MAX : (uint64_t)result;
}
