#include "guard/limit_table.h"

#include "base/counters.h"
#include "base/hash.h"
#include "base/random.h"
#include "guard/counters.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#define SHARDS	    64u
#define SHARD_SHIFT 58 /* of the key's high half */
/* Neighbours that are looked at for one to push out: bounds what a full table costs. */
#define PROBES 16u
#define NONE   UINT32_MAX

struct entry {
	struct limit_key key;
	uint64_t full_at_ns;	  /* the bucket */
	uint32_t connections : 31;
	uint32_t was_refused : 1; /* the last one who asked */
	uint32_t next;		  /* of the chain, or of the free list */
};

/* Each in cache lines of its own. */
struct shard {
	pthread_mutex_t lock;
	struct entry *entries; /* `capacity` of them; those from `touched` on were never used */
	uint32_t *heads;       /* heads_mask + 1; entry + 1, 0: none */
	uint32_t touched;
	uint32_t free; /* NONE: none */
	uint32_t used;
	uint32_t hand; /* where the next one to push out is looked for */
} __attribute__((aligned(64)));

struct limit_table {
	struct shard shards[SHARDS];
	uint64_t seeds[2];
	uint32_t capacity; /* of a shard */
	uint32_t heads_mask;
	void *memory;
	size_t memory_len;
};

/* ---- life ---- */

static uint32_t power_above(uint32_t n)
{
	uint32_t p = 1;

	while (p < n && p < 1u << 31)
		p <<= 1;
	return p;
}

struct limit_table *limit_table_new(uint32_t capacity)
{
	struct limit_table *t = aligned_alloc(64, sizeof(*t));
	uint32_t each = capacity / SHARDS + (capacity % SHARDS != 0), heads;
	size_t entries_len, heads_len;
	char *at;

	if (t == NULL)
		return NULL;
	if (each == 0)
		each = 1;
	heads = power_above(each);
	entries_len = (size_t)each * sizeof(struct entry);
	heads_len = (size_t)heads * sizeof(uint32_t);
	t->memory_len = SHARDS * (entries_len + heads_len);
	/* zero pages: what is never used is never there */
	t->memory = mmap(NULL, t->memory_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (t->memory == MAP_FAILED) {
		free(t);
		return NULL;
	}
	t->capacity = each;
	t->heads_mask = heads - 1;
	random_bytes(t->seeds, sizeof(t->seeds));
	at = t->memory;
	for (unsigned i = 0; i < SHARDS; i++) {
		t->shards[i] = (struct shard){ .entries = (struct entry *)(void *)(at + i * entries_len),
					       .heads = (uint32_t *)(void *)(at + SHARDS * entries_len + i * heads_len),
					       .free = NONE };
		pthread_mutex_init(&t->shards[i].lock, NULL);
	}
	return t;
}

void limit_table_free(struct limit_table *t)
{
	if (t == NULL)
		return;
	for (unsigned i = 0; i < SHARDS; i++)
		pthread_mutex_destroy(&t->shards[i].lock);
	munmap(t->memory, t->memory_len);
	free(t);
}

struct limit_key limit_key_of(const struct limit_table *t, uint64_t scope, const void *bytes, size_t len)
{
	return (struct limit_key){ hash64(bytes, len, t->seeds[0] ^ scope), hash64(bytes, len, t->seeds[1] + scope) };
}

/* ---- one shard, locked ---- */

static uint32_t *head_of(const struct limit_table *t, struct shard *s, const struct limit_key *key)
{
	return &s->heads[key->low & t->heads_mask];
}

static bool key_is_equal(const struct limit_key *a, const struct limit_key *b)
{
	return a->high == b->high && a->low == b->low;
}

static struct entry *entry_find(const struct limit_table *t, struct shard *s, const struct limit_key *key)
{
	for (uint32_t at = *head_of(t, s, key); at != 0; at = s->entries[at - 1].next)
		if (key_is_equal(&s->entries[at - 1].key, key))
			return &s->entries[at - 1];
	return NULL;
}

static void entry_unchain(const struct limit_table *t, struct shard *s, struct entry *e)
{
	uint32_t *at = head_of(t, s, &e->key), self = (uint32_t)(e - s->entries) + 1;

	while (*at != self) {
		assert(*at != 0);
		at = &s->entries[*at - 1].next;
	}
	*at = e->next;
}

/* Whether forgetting it changes nothing. */
static bool is_empty(const struct entry *e, uint64_t now_ns)
{
	return e->connections == 0 && e->full_at_ns <= now_ns;
}

/* Takes an entry out of its chain for another key.  NULL: all that were looked at have to stay. */
static struct entry *entry_push_out(const struct limit_table *t, struct shard *s, uint64_t now_ns)
{
	struct entry *coldest = NULL;

	for (unsigned i = 0; i < PROBES && i < t->capacity; i++) {
		struct entry *e = &s->entries[s->hand];

		s->hand = s->hand + 1 < t->capacity ? s->hand + 1 : 0;
		if (e->connections > 0 || (e->was_refused && e->full_at_ns > now_ns))
			continue;
		if (coldest == NULL || e->full_at_ns < coldest->full_at_ns)
			coldest = e;
		if (e->full_at_ns <= now_ns)
			break;
	}
	if (coldest == NULL)
		return NULL;
	if (!is_empty(coldest, now_ns))
		counter_add(GUARD_TABLE_EVICTED, 1);
	entry_unchain(t, s, coldest);
	s->used--;
	return coldest;
}

static struct entry *entry_new(const struct limit_table *t, struct shard *s, const struct limit_key *key, uint64_t now_ns)
{
	uint32_t *head;
	struct entry *e;

	if (s->free != NONE) {
		e = &s->entries[s->free];
		s->free = e->next;
	} else if (s->touched < t->capacity) {
		e = &s->entries[s->touched++];
	} else {
		e = entry_push_out(t, s, now_ns);
		if (e == NULL) {
			counter_add(GUARD_TABLE_FULL, 1);
			return NULL;
		}
	}
	head = head_of(t, s, key);
	*e = (struct entry){ .key = *key, .next = *head };
	*head = (uint32_t)(e - s->entries) + 1;
	s->used++;
	return e;
}

static struct entry *entry_of(const struct limit_table *t, struct shard *s, const struct limit_key *key, uint64_t now_ns)
{
	struct entry *e = entry_find(t, s, key);

	return e != NULL ? e : entry_new(t, s, key, now_ns);
}

static void entry_free(const struct limit_table *t, struct shard *s, struct entry *e)
{
	entry_unchain(t, s, e);
	e->next = s->free;
	s->free = (uint32_t)(e - s->entries);
	s->used--;
}

/* ---- from outside ---- */

static struct shard *shard_lock(struct limit_table *t, const struct limit_key *key)
{
	struct shard *s = &t->shards[key->high >> SHARD_SHIFT];

	pthread_mutex_lock(&s->lock);
	return s;
}

enum limit_result limit_connection(struct limit_table *t, const struct limit_key *key, const struct limit_rules *rules,
				   uint64_t now_ns, uint32_t *held)
{
	struct shard *s = shard_lock(t, key);
	struct entry *e = entry_of(t, s, key, now_ns);
	enum limit_result result = LIMIT_OK;

	*held = 0;
	if (e == NULL) {
		pthread_mutex_unlock(&s->lock);
		return LIMIT_OK;
	}
	if (rules->connections > 0 && e->connections >= rules->connections)
		result = LIMIT_CONNECTIONS;
	else if (rules->rate.interval_ns > 0 && !bucket_take(&e->full_at_ns, &rules->rate, now_ns))
		result = LIMIT_RATE;
	e->was_refused = result != LIMIT_OK;
	if (result == LIMIT_OK && rules->connections > 0) {
		e->connections++;
		*held = (uint32_t)(s - t->shards) * t->capacity + (uint32_t)(e - s->entries) + 1;
	}
	pthread_mutex_unlock(&s->lock);
	return result;
}

void limit_connection_gone(struct limit_table *t, uint32_t held, uint64_t now_ns)
{
	struct shard *s;
	struct entry *e;

	if (held == 0)
		return;
	s = &t->shards[(held - 1) / t->capacity];
	e = &s->entries[(held - 1) % t->capacity];
	pthread_mutex_lock(&s->lock);
	assert(e->connections > 0);
	e->connections--;
	if (is_empty(e, now_ns))
		entry_free(t, s, e);
	pthread_mutex_unlock(&s->lock);
}

bool limit_take(struct limit_table *t, const struct limit_key *key, const struct bucket_rate *rate, uint64_t now_ns,
		uint64_t *wait_ns)
{
	struct shard *s = shard_lock(t, key);
	struct entry *e = entry_of(t, s, key, now_ns);
	bool is_good = true;

	if (e != NULL) {
		is_good = bucket_take(&e->full_at_ns, rate, now_ns);
		e->was_refused = !is_good;
		*wait_ns = bucket_wait_ns(e->full_at_ns, rate, now_ns);
	}
	pthread_mutex_unlock(&s->lock);
	return is_good;
}

/* The same shard, another entry. */
static struct limit_key key_of_bytes(const struct limit_key *key)
{
	return (struct limit_key){ key->high, ~key->low };
}

/* The wait that one meter asks for; 0 where it has no rate, or no entry. */
static uint64_t meter_look(struct entry *e, const struct meter_rate *rate, uint64_t now_ns)
{
	uint64_t wait_ns = e != NULL ? meter_wait_ns(e->full_at_ns, rate, now_ns) : 0;

	if (e != NULL)
		e->was_refused = wait_ns > 0;
	return wait_ns;
}

uint64_t limit_frame(struct limit_table *t, const struct limit_key *key, const struct limit_meters *m, uint64_t now_ns,
		     bool begins, uint64_t bytes, enum limit_meter *which)
{
	const struct limit_key second = key_of_bytes(key);
	struct shard *s = shard_lock(t, key);
	struct entry *messages = NULL, *sizes = NULL;
	uint64_t wait_ns = 0;

	if (m->messages.unit_ns > 0)
		messages = entry_of(t, s, key, now_ns);
	if (messages != NULL)
		messages->connections++; /* what makes room for the other must not be this one */
	if (m->bytes.unit_ns > 0)
		sizes = entry_of(t, s, &second, now_ns);
	if (messages != NULL)
		messages->connections--;
	if (begins) {
		*which = LIMIT_MESSAGES;
		wait_ns = meter_look(messages, &m->messages, now_ns);
		if (wait_ns == 0) {
			*which = LIMIT_BYTES;
			wait_ns = meter_look(sizes, &m->bytes, now_ns);
		}
	}
	if (wait_ns == 0 && messages != NULL)
		meter_charge(&messages->full_at_ns, &m->messages, now_ns, begins);
	if (wait_ns == 0 && sizes != NULL)
		meter_charge(&sizes->full_at_ns, &m->bytes, now_ns, bytes);
	pthread_mutex_unlock(&s->lock);
	return wait_ns;
}

uint32_t limit_table_used(struct limit_table *t)
{
	uint32_t used = 0;

	for (unsigned i = 0; i < SHARDS; i++) {
		pthread_mutex_lock(&t->shards[i].lock);
		used += t->shards[i].used;
		pthread_mutex_unlock(&t->shards[i].lock);
	}
	return used;
}
