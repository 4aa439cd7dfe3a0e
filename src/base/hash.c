#include "base/hash.h"

#include "base/random.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_FIRST 16

uint64_t hash64(const void *bytes, size_t len, uint64_t seed)
{
	return XXH3_64bits_withSeed(bytes, len, seed);
}

void hash_map_init(struct hash_map *m)
{
	*m = (struct hash_map){ 0 };
	random_bytes(&m->seed, sizeof(m->seed));
}

void hash_map_done(struct hash_map *m)
{
	free(m->slots);
	m->slots = NULL;
	m->mask = m->count = 0;
}

/* The slot of the key, or the free one where it would go.  There is always a free slot. */
static struct hash_slot *slot_find(const struct hash_map *m, uint64_t hash, const void *key, size_t key_len)
{
	size_t i = hash & m->mask;

	for (;; i = (i + 1) & m->mask) {
		struct hash_slot *slot = &m->slots[i];

		if (slot->value == NULL)
			return slot;
		if (slot->hash == hash && slot->key_len == key_len &&
		    (key_len == 0 || memcmp(slot->key, key, key_len) == 0))
			return slot;
	}
}

static int map_grow(struct hash_map *m)
{
	size_t slot_count = m->slots == NULL ? SLOTS_FIRST : (m->mask + 1) * 2;
	struct hash_slot *old = m->slots, *slots = calloc(slot_count, sizeof(*slots));
	size_t old_count = old == NULL ? 0 : m->mask + 1;

	if (slots == NULL)
		return -ENOMEM;
	m->slots = slots;
	m->mask = slot_count - 1;
	for (size_t i = 0; i < old_count; i++) {
		size_t at = old[i].hash & m->mask;

		if (old[i].value == NULL)
			continue;
		while (slots[at].value != NULL)
			at = (at + 1) & m->mask;
		slots[at] = old[i];
	}
	free(old);
	return 0;
}

void *hash_map_find(const struct hash_map *m, const void *key, size_t key_len)
{
	if (m->count == 0)
		return NULL;
	return slot_find(m, hash64(key, key_len, m->seed), key, key_len)->value;
}

int hash_map_put(struct hash_map *m, const void *key, size_t key_len, void *value)
{
	uint64_t hash = hash64(key, key_len, m->seed);
	struct hash_slot *slot;

	assert(value != NULL);
	if (m->count != 0 && slot_find(m, hash, key, key_len)->value != NULL)
		return -EEXIST;
	if (m->slots == NULL || m->count + 1 > (m->mask + 1) / 4 * 3) {
		int err = map_grow(m);

		if (err != 0)
			return err;
	}
	slot = slot_find(m, hash, key, key_len);
	*slot = (struct hash_slot){ hash, key, key_len, value };
	m->count++;
	return 0;
}

void *hash_map_remove(struct hash_map *m, const void *key, size_t key_len)
{
	struct hash_slot *slot;
	void *value;
	size_t hole, i;

	if (m->count == 0)
		return NULL;
	slot = slot_find(m, hash64(key, key_len, m->seed), key, key_len);
	value = slot->value;
	if (value == NULL)
		return NULL;
	/* close the gap: whatever follows without a free slot between, and could not be found across the hole, moves
	 * into it; so there are no tombstones */
	hole = (size_t)(slot - m->slots);
	for (i = (hole + 1) & m->mask; m->slots[i].value != NULL; i = (i + 1) & m->mask) {
		size_t home = m->slots[i].hash & m->mask;

		if (((i - home) & m->mask) >= ((i - hole) & m->mask)) {
			m->slots[hole] = m->slots[i];
			hole = i;
		}
	}
	m->slots[hole] = (struct hash_slot){ 0 };
	m->count--;
	return value;
}

void *hash_map_next(const struct hash_map *m, size_t *cursor)
{
	if (m->slots == NULL)
		return NULL;
	while (*cursor <= m->mask) {
		void *value = m->slots[(*cursor)++].value;

		if (value != NULL)
			return value;
	}
	return NULL;
}
