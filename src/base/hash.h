/* Hashes of bytes, and a map from bytes to objects.  The only door to xxHash. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* XXH3, 64 bits; the same on every machine.  Where a peer chooses the bytes, the seed has to be secret. */
uint64_t hash64(const void *bytes, size_t len, uint64_t seed);

/* One integer to another, one to one, every bit depending on every bit. */
static inline uint64_t hash_mix(uint64_t value)
{
	value ^= value >> 32;
	value *= 0xd6e8feb86659fd93u;
	value ^= value >> 32;
	value *= 0xd6e8feb86659fd93u;
	value ^= value >> 32;
	return value;
}

struct hash_slot {
	uint64_t hash;
	const void *key;
	size_t key_len;
	void *value; /* NULL: free */
};

/* Open addressing with linear probing, at most three quarters full.  Seeded by the kernel.  One thread at a time. */
struct hash_map {
	struct hash_slot *slots;
	size_t mask;  /* slots - 1; 0 when there are none */
	size_t count; /* keys */
	uint64_t seed;
};

/* Allocates nothing. */
void hash_map_init(struct hash_map *m);
/* Frees the table; keys and values are the caller's. */
void hash_map_done(struct hash_map *m);

/* The value, or NULL. */
void *hash_map_find(const struct hash_map *m, const void *key, size_t key_len);
/* Adds; keeps key (commonly a part of the value) and value (not NULL).  0, -EEXIST (nothing is changed) or -ENOMEM. */
int hash_map_put(struct hash_map *m, const void *key, size_t key_len, void *value);
/* Takes the key out; its value, or NULL.  The table never shrinks. */
void *hash_map_remove(struct hash_map *m, const void *key, size_t key_len);

/* Values in no order: begin with *cursor 0; NULL at the end.  The map must not change meanwhile. */
void *hash_map_next(const struct hash_map *m, size_t *cursor);

#endif
