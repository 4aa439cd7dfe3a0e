#include "cluster/learned.h"

#include "base/hash.h"
#include "base/random.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS_FIRST 256u

void learned_init(struct learned *l)
{
	memset(l, 0, sizeof(*l));
	pthread_mutex_init(&l->lock, NULL);
	random_bytes(&l->seed, sizeof(l->seed));
}

void learned_done(struct learned *l)
{
	free(l->young.slots);
	free(l->old.slots);
	pthread_mutex_destroy(&l->lock);
}

/* The slot that holds the session, or the free one that would; the table has a free one. */
static struct learned_slot *table_slot(const struct learned_table *t, uint64_t session)
{
	uint32_t at = (uint32_t)session & t->mask;

	while (t->slots[at].session != 0 && t->slots[at].session != session)
		at = (at + 1) & t->mask;
	return &t->slots[at];
}

static bool table_grow(struct learned_table *t)
{
	uint32_t slots = t->slots == NULL ? SLOTS_FIRST : 2 * (t->mask + 1);
	struct learned_table next = { calloc(slots, sizeof(*t->slots)), slots - 1, t->count };

	if (next.slots == NULL)
		return false;
	for (uint32_t i = 0; t->slots != NULL && i <= t->mask; i++)
		if (t->slots[i].session != 0)
			*table_slot(&next, t->slots[i].session) = t->slots[i];
	free(t->slots);
	*t = next;
	return true;
}

/* Nothing is asked for that was not seen since the last turn: the old go. */
static void generation_turn(struct learned *l, uint64_t now_ms)
{
	if (l->young.count < LEARNED_MAX && now_ms - l->young_since_ms < LEARNED_GENERATION_MS)
		return;
	free(l->old.slots);
	l->old = l->young;
	l->young = (struct learned_table){ NULL, 0, 0 };
	l->young_since_ms = now_ms;
}

static void young_put(struct learned *l, uint64_t session, uint64_t endpoint, uint64_t now_ms)
{
	struct learned_table *t = &l->young;
	struct learned_slot *slot;

	generation_turn(l, now_ms);
	/* three quarters full at most; one that cannot grow keeps what it has */
	if ((t->slots == NULL || t->count >= (t->mask + 1) / 4 * 3) && !table_grow(t))
		return;
	slot = table_slot(t, session);
	t->count += slot->session == 0;
	*slot = (struct learned_slot){ session, endpoint };
}

static uint64_t session_of(const struct learned *l, const void *session, size_t len)
{
	uint64_t hash = hash64(session, len, l->seed);

	return hash != 0 ? hash : 1;
}

void learned_put(struct learned *l, const void *session, size_t len, uint64_t endpoint, uint64_t now_ms)
{
	pthread_mutex_lock(&l->lock);
	young_put(l, session_of(l, session, len), endpoint, now_ms);
	pthread_mutex_unlock(&l->lock);
}

static const struct learned_slot *table_find(const struct learned_table *t, uint64_t session)
{
	const struct learned_slot *slot = t->slots != NULL ? table_slot(t, session) : NULL;

	return slot != NULL && slot->session == session ? slot : NULL;
}

bool learned_find(struct learned *l, const void *session, size_t len, uint64_t *endpoint, uint64_t now_ms)
{
	uint64_t hash = session_of(l, session, len);
	const struct learned_slot *slot;

	pthread_mutex_lock(&l->lock);
	slot = table_find(&l->young, hash);
	if (slot != NULL) {
		*endpoint = slot->endpoint;
	} else {
		slot = table_find(&l->old, hash);
		if (slot != NULL) {
			*endpoint = slot->endpoint;
			young_put(l, hash, *endpoint, now_ms);
		}
	}
	pthread_mutex_unlock(&l->lock);
	return slot != NULL;
}
