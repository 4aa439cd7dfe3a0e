#include "cluster/endpoint.h"

#include "base/clock.h"
#include "base/log.h"
#include "cluster/fitness.h"
#include "cluster/inside.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void endpoint_destroy(struct endpoint *e)
{
	free(e->addrs);
	free(e->name);
	free(e);
}

static struct endpoint *endpoint_make(struct cluster *c, const char *name)
{
	struct endpoint *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return NULL;
	e->cluster = c;
	e->name = strdup(name);
	e->id_hash = hash64(name, strlen(name), 0);
	list_init(&e->members);
	e->fitness.share = ENDPOINT_FULL_SHARE;
	e->leaving.is_unnamed = true;
	if (e->name == NULL || hash_map_put(&c->endpoints, e->name, strlen(name), e) != 0) {
		endpoint_destroy(e);
		return NULL;
	}
	return e;
}

struct endpoint *endpoint_find(struct cluster *c, const char *name)
{
	struct endpoint *e;
	bool is_new;

	pthread_mutex_lock(&c->lock);
	e = hash_map_find(&c->endpoints, name, strlen(name));
	is_new = e == NULL;
	if (is_new)
		e = endpoint_make(c, name);
	if (e != NULL)
		endpoint_ref(e);
	pthread_mutex_unlock(&c->lock);
	if (is_new && e != NULL)
		cluster_ref(c); /* the view under construction has held it till here */
	return e;
}

void endpoint_ref(struct endpoint *e)
{
	atomic_fetch_add_explicit(&e->refcount, 1, memory_order_relaxed);
}

void endpoint_say_left(struct endpoint *e, uint64_t now_ms)
{
	uint64_t gone_ms = now_ms - e->leaving.from_ms;

	if (e->leaving.cause == REASON_NONE || e->leaving.is_empty)
		return;
	e->leaving.is_empty = true;
	log_info("cluster %s: endpoint %s: its last connection has gone, after %llu.%03llu s", e->cluster->name, e->name,
		 (unsigned long long)gone_ms / 1000, (unsigned long long)gone_ms % 1000);
}

/* Under the lock, so that nobody finds it by name while it goes.  The stack of the fallen must not hold it either. */
static bool endpoint_unref_last(struct endpoint *e)
{
	struct cluster *c = e->cluster;
	bool is_last;

	pthread_mutex_lock(&c->lock);
	is_last = atomic_fetch_sub_explicit(&e->refcount, 1, memory_order_acq_rel) == 1;
	if (is_last) {
		cluster_hear_fallen(c);
		endpoint_say_left(e, clock_now_ms());
		assert(list_is_empty(&e->members));
		hash_map_remove(&c->endpoints, e->name, strlen(e->name));
	}
	pthread_mutex_unlock(&c->lock);
	return is_last;
}

void endpoint_unref(struct endpoint *e)
{
	unsigned refcount;
	struct cluster *c;

	if (e == NULL)
		return;
	refcount = atomic_load_explicit(&e->refcount, memory_order_relaxed);
	while (refcount > 1) {
		if (atomic_compare_exchange_weak_explicit(&e->refcount, &refcount, refcount - 1,
							  memory_order_acq_rel, memory_order_relaxed))
			return;
	}
	c = e->cluster;
	if (!endpoint_unref_last(e))
		return;
	endpoint_destroy(e);
	cluster_unref(c);
}

bool endpoint_addr(struct endpoint *e, struct addr *out)
{
	bool is_there;

	pthread_mutex_lock(&e->cluster->lock);
	is_there = e->addrs_count > 0;
	if (is_there)
		*out = e->addrs[e->addrs_at];
	pthread_mutex_unlock(&e->cluster->lock);
	return is_there;
}

/* Connections to the address that was in use are not used again (proxy/backend). */
static void endpoint_turn(struct endpoint *e, uint32_t at)
{
	e->addrs_at = at;
	atomic_fetch_add_explicit(&e->addr_turn, 1, memory_order_relaxed);
}

void endpoint_addr_failed(struct endpoint *e, const struct addr *failed)
{
	pthread_mutex_lock(&e->cluster->lock);
	/* many connects fail at once; only the first of them turns the page */
	if (e->addrs_count > 1 && addr_is_equal(&e->addrs[e->addrs_at], failed))
		endpoint_turn(e, (e->addrs_at + 1) % e->addrs_count);
	pthread_mutex_unlock(&e->cluster->lock);
}

/* Where the address in use is in a new list; UINT32_MAX: nowhere. */
static uint32_t used_in(const struct endpoint *e, const struct addr *addrs, uint32_t count)
{
	for (uint32_t i = 0; e->addrs_count > 0 && i < count; i++)
		if (addr_is_equal(&e->addrs[e->addrs_at], &addrs[i]))
			return i;
	return UINT32_MAX;
}

bool endpoint_set_addrs(struct endpoint *e, struct addr *addrs, uint32_t count)
{
	struct addr *old;
	uint32_t used;

	pthread_mutex_lock(&e->cluster->lock);
	used = used_in(e, addrs, count);
	old = e->addrs;
	e->addrs = addrs;
	e->addrs_count = count;
	if (used != UINT32_MAX)
		e->addrs_at = used;
	else
		endpoint_turn(e, 0);
	if (old == NULL)
		cluster_hear_endpoint(e);
	pthread_mutex_unlock(&e->cluster->lock);
	free(old);
	return used == UINT32_MAX;
}

void endpoint_say(struct endpoint *e, const char *why)
{
	pthread_mutex_lock(&e->cluster->lock);
	fitness_say(e, why);
	pthread_mutex_unlock(&e->cluster->lock);
}

void endpoint_connected(struct endpoint *e, uint64_t took_us)
{
	uint32_t was_us = atomic_load_explicit(&e->connect_us, memory_order_relaxed);
	uint32_t us = took_us < UINT32_MAX / 8 ? (uint32_t)took_us : UINT32_MAX / 8;

	if (was_us != 0)
		us = (was_us * 7 + us) / 8;
	/* of two at once one may be lost, which a mean can bear */
	atomic_store_explicit(&e->connect_us, us == 0 ? 1 : us, memory_order_relaxed);
}

/* On the stack of those whom the next pick has to hear of. */
static void endpoint_fall(struct endpoint *e)
{
	struct cluster *c = e->cluster;
	struct endpoint *head;

	if (atomic_exchange_explicit(&e->is_fallen, true, memory_order_acq_rel))
		return;
	head = atomic_load_explicit(&c->fallen, memory_order_relaxed);
	do {
		e->fallen_next = head;
	} while (!atomic_compare_exchange_weak_explicit(&c->fallen, &head, e, memory_order_release,
							memory_order_relaxed));
}

void endpoint_release(struct endpoint *e)
{
	unsigned before = atomic_fetch_sub_explicit(&e->active, 1, memory_order_relaxed);

	assert(before > 0);
	(void)before;
	atomic_fetch_sub_explicit(&e->cluster->active, 1, memory_order_relaxed);
	endpoint_fall(e);
}

void endpoint_answered(struct endpoint *e)
{
	unsigned before = atomic_fetch_sub_explicit(&e->pending, 1, memory_order_relaxed);

	assert(before > 0);
	(void)before;
	endpoint_fall(e);
}
