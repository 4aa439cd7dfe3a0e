/* The memory of a snapshot: a chain of zeroed blocks that are freed together. */
#include "config/memory.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/regex.h"

#define BLOCK_BYTES 16384

struct block {
	struct block *next;
	size_t used, size;
	alignas(max_align_t) unsigned char bytes[];
};

struct kept_regex {
	struct kept_regex *next;
	struct regex *regex;
};

struct config_memory {
	struct block *blocks; /* the newest first */
	struct kept_regex *regexes;
	size_t total_bytes;
	bool has_failed;
};

struct config_memory *config_memory_new(void)
{
	return calloc(1, sizeof(struct config_memory));
}

void config_memory_free(struct config_memory *m)
{
	if (m == NULL)
		return;
	for (struct kept_regex *k = m->regexes; k != NULL; k = k->next)
		regex_free(k->regex);
	while (m->blocks != NULL) {
		struct block *next = m->blocks->next;

		free(m->blocks);
		m->blocks = next;
	}
	free(m);
}

static struct block *block_add(struct config_memory *m, size_t need)
{
	size_t size = need > BLOCK_BYTES / 4 ? need : BLOCK_BYTES;
	struct block *b;

	if (m->total_bytes + size > CONFIG_MEMORY_MAX_BYTES)
		return NULL;
	b = calloc(1, sizeof(*b) + size);
	if (b == NULL)
		return NULL;
	b->size = size;
	m->total_bytes += size;
	if (m->blocks != NULL &&
	    size != BLOCK_BYTES) { /* a big one behind the newest, whose rest is still of use */
		b->next = m->blocks->next;
		m->blocks->next = b;
	} else {
		b->next = m->blocks;
		m->blocks = b;
	}
	return b;
}

void *config_memory_alloc(struct config_memory *m, size_t size)
{
	const size_t align = alignof(max_align_t);
	struct block *b = m->blocks;
	void *out;

	if (size > CONFIG_MEMORY_MAX_BYTES) {
		m->has_failed = true;
		return NULL;
	}
	size = size == 0 ? align : (size + align - 1) / align * align;
	if (b == NULL || b->size - b->used < size)
		b = block_add(m, size);
	if (b == NULL) {
		m->has_failed = true;
		return NULL;
	}
	out = b->bytes + b->used;
	b->used += size;
	return out;
}

void *config_memory_array(struct config_memory *m, size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes)) {
		m->has_failed = true;
		return NULL;
	}
	return config_memory_alloc(m, bytes);
}

char *config_memory_text(struct config_memory *m, const char *text, size_t len)
{
	char *out = config_memory_alloc(m, len + 1);

	if (out != NULL && len > 0)
		memcpy(out, text, len);
	return out;
}

bool config_memory_take_regex(struct config_memory *m, struct regex *r)
{
	struct kept_regex *k = config_memory_alloc(m, sizeof(*k));

	if (k == NULL) {
		regex_free(r);
		return false;
	}
	k->regex = r;
	k->next = m->regexes;
	m->regexes = k;
	return true;
}

bool config_memory_has_failed(const struct config_memory *m)
{
	return m->has_failed;
}
