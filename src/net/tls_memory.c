#include "net/tls_memory.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1 /* which has to see each buffer */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED 0
#endif

/* A record with its header is 16.7 KB at most, a handshake's buffer 21.8 KB. */
#define LARGE_MIN_BYTES 8192u
#define BLOCK_BYTES	24576u /* whole pages */
#define BLOCKS_MAX	65536u
#define REGION_BYTES \
	((size_t)BLOCK_BYTES * BLOCKS_MAX) /* of addresses: a block is memory once it is written to */
#define KEPT_MAX 32u			   /* blocks that a thread keeps for itself */

static uint8_t *region;

static struct {
	pthread_mutex_t lock;
	uint32_t fresh;		   /* this one and those behind it were never used */
	uint32_t free_count;	   /* of those before it, how many are free */
	uint32_t free[BLOCKS_MAX]; /* their numbers */
} shared = { .lock = PTHREAD_MUTEX_INITIALIZER };

static pthread_key_t kept_key; /* only so that a thread's end gives back what it kept */
static _Thread_local struct kept {
	uint32_t count;
	bool is_known; /* to the key */
	long used;     /* taken, less those given back by this thread */
	uint8_t *blocks[KEPT_MAX];
} kept;

static bool is_block(const void *at)
{
	return (uintptr_t)at - (uintptr_t)region < REGION_BYTES;
}

static void block_give_back(uint8_t *block)
{
	madvise(block, BLOCK_BYTES, MADV_DONTNEED);
	pthread_mutex_lock(&shared.lock);
	shared.free[shared.free_count++] = (uint32_t)((size_t)(block - region) / BLOCK_BYTES);
	pthread_mutex_unlock(&shared.lock);
}

static void thread_ended(void *user)
{
	struct kept *k = user;

	while (k->count > 0)
		block_give_back(k->blocks[--k->count]);
}

static uint8_t *block_take(void)
{
	uint8_t *block = NULL;

	if (kept.count > 0) {
		block = kept.blocks[--kept.count];
	} else {
		pthread_mutex_lock(&shared.lock);
		if (shared.free_count > 0)
			block = region + (size_t)shared.free[--shared.free_count] * BLOCK_BYTES;
		else if (shared.fresh < BLOCKS_MAX)
			block = region + (size_t)shared.fresh++ * BLOCK_BYTES;
		pthread_mutex_unlock(&shared.lock);
	}
	kept.used += block != NULL;
	return block;
}

static void block_release(uint8_t *block)
{
	kept.used--;
	if (!kept.is_known)
		kept.is_known = pthread_setspecific(kept_key, &kept) == 0;
	if (kept.is_known && kept.count < KEPT_MAX)
		kept.blocks[kept.count++] = block;
	else
		block_give_back(block);
}

static void *memory_alloc(size_t len, const char *file, int line)
{
	(void)file, (void)line;
	if (len >= LARGE_MIN_BYTES && len <= BLOCK_BYTES) {
		void *block = block_take();

		if (block != NULL)
			return block;
	}
	return len == 0 ? NULL : malloc(len);
}

static void memory_free(void *at, const char *file, int line)
{
	(void)file, (void)line;
	if (at != NULL && is_block(at))
		block_release(at);
	else
		free(at);
}

static void *memory_realloc(void *at, size_t len, const char *file, int line)
{
	void *other;

	if (at == NULL)
		return memory_alloc(len, file, line);
	if (!is_block(at))
		return realloc(at, len);
	if (len == 0) {
		block_release(at);
		return NULL;
	}
	if (len <= BLOCK_BYTES)
		return at;
	other = malloc(len);
	if (other != NULL) {
		memcpy(other, at, BLOCK_BYTES);
		block_release(at);
	}
	return other;
}

bool tls_memory_init(void)
{
	void *at;

	if (IS_SANITIZED || region != NULL)
		return region != NULL;
	at = mmap(NULL, REGION_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		  0);
	if (at == MAP_FAILED)
		return false;
	madvise(at, REGION_BYTES, MADV_NOHUGEPAGE); /* or 2 MB become resident with the first block */
	if (pthread_key_create(&kept_key, thread_ended) == 0) {
		region = at;
		if (CRYPTO_set_mem_functions(memory_alloc, memory_realloc, memory_free) == 1)
			return true;
		region = NULL;
		pthread_key_delete(kept_key);
	}
	munmap(at, REGION_BYTES);
	return false;
}

long tls_memory_used(void)
{
	return kept.used;
}
