#include "cluster/cluster.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "cluster/fitness.h"
#include "cluster/inside.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- the registry --- */

struct clusters *clusters_new(void)
{
	struct clusters *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	pthread_mutex_init(&c->lock, NULL);
	hash_map_init(&c->by_name);
	list_init(&c->found);
	c->looks_up = true;
	random_bytes(c->sticky_secret, sizeof(c->sticky_secret));
	c->refcount = 1;
	return c;
}

/* ---- endpoints that stand in no configuration ---- */

enum found_how { FOUND_DISCOVERED, FOUND_ADDED, FOUND_HOWS };

struct found {
	struct list link;
	struct endpoint_list *lists[FOUND_HOWS];
	char cluster[];
};

static struct found *found_of(struct clusters *c, const char *cluster)
{
	list_for_each(node, &c->found) {
		struct found *f = container_of(node, struct found, link);

		if (strcmp(f->cluster, cluster) == 0)
			return f;
	}
	return NULL;
}

static int found_set(struct clusters *c, const char *cluster, enum found_how how, struct endpoint_list *list)
{
	struct found *f = found_of(c, cluster);
	size_t len = strlen(cluster) + 1;

	if (f == NULL) {
		f = calloc(1, sizeof(*f) + len);
		if (f == NULL) {
			endpoint_list_unref(list);
			return -ENOMEM;
		}
		memcpy(f->cluster, cluster, len);
		list_append(&c->found, &f->link);
	}
	endpoint_list_unref(f->lists[how]);
	f->lists[how] = list;
	return 0;
}

static struct endpoint_list *found_list(struct clusters *c, const char *cluster, enum found_how how)
{
	struct found *f = found_of(c, cluster);

	return f != NULL ? f->lists[how] : NULL;
}

int clusters_set_discovered(struct clusters *c, const char *cluster, struct endpoint_list *list)
{
	return found_set(c, cluster, FOUND_DISCOVERED, list);
}

struct endpoint_list *clusters_discovered(struct clusters *c, const char *cluster)
{
	return found_list(c, cluster, FOUND_DISCOVERED);
}

int clusters_set_added(struct clusters *c, const char *cluster, struct endpoint_list *list)
{
	return found_set(c, cluster, FOUND_ADDED, list);
}

struct endpoint_list *clusters_added(struct clusters *c, const char *cluster)
{
	return found_list(c, cluster, FOUND_ADDED);
}

static void found_free(struct clusters *c)
{
	list_for_each_safe(node, next, &c->found) {
		struct found *f = container_of(node, struct found, link);

		list_remove(&f->link);
		for (unsigned i = 0; i < FOUND_HOWS; i++)
			endpoint_list_unref(f->lists[i]);
		free(f);
	}
}

void clusters_set_lookup(struct clusters *c, bool looks_up)
{
	c->looks_up = looks_up;
}

/* The lock is held, and is given back. */
static void clusters_unref_locked(struct clusters *c)
{
	bool is_last = --c->refcount == 0;

	pthread_mutex_unlock(&c->lock);
	if (!is_last)
		return;
	found_free(c);
	hash_map_done(&c->by_name);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

void clusters_free(struct clusters *c)
{
	if (c == NULL)
		return;
	pthread_mutex_lock(&c->lock);
	clusters_unref_locked(c);
}

/* Everything but the registry's reference. */
static void cluster_destroy(struct cluster *c)
{
	hash_map_done(&c->endpoints);
	learned_done(&c->learned);
	pthread_mutex_destroy(&c->lock);
	free(c->name);
	free(c);
}

static struct cluster *cluster_make(struct clusters *registry, const char *name)
{
	struct cluster *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	pthread_mutex_init(&c->lock, NULL);
	hash_map_init(&c->endpoints);
	learned_init(&c->learned);
	list_init(&c->views);
	list_init(&c->waiters);
	c->registry = registry;
	c->name = strdup(name);
	if (c->name == NULL || hash_map_put(&registry->by_name, c->name, strlen(name), c) != 0) {
		cluster_destroy(c);
		return NULL;
	}
	registry->refcount++;
	return c;
}

struct cluster *cluster_find(struct clusters *registry, const char *name)
{
	struct cluster *c;

	pthread_mutex_lock(&registry->lock);
	c = hash_map_find(&registry->by_name, name, strlen(name));
	if (c == NULL)
		c = cluster_make(registry, name);
	if (c != NULL)
		c->refcount++;
	pthread_mutex_unlock(&registry->lock);
	return c;
}

void cluster_ref(struct cluster *c)
{
	pthread_mutex_lock(&c->registry->lock);
	c->refcount++;
	pthread_mutex_unlock(&c->registry->lock);
}

void cluster_unref(struct cluster *c)
{
	struct clusters *registry = c->registry;

	pthread_mutex_lock(&registry->lock);
	if (--c->refcount > 0) {
		pthread_mutex_unlock(&registry->lock);
		return;
	}
	assert(c->endpoints.count == 0);
	hash_map_remove(&registry->by_name, c->name, strlen(c->name));
	clusters_unref_locked(registry);
	cluster_destroy(c);
}

/* A copy of the list, since what is visited may take locks.  Without memory for it nobody is visited. */
void clusters_each(struct clusters *registry, void (*visit)(struct cluster *c, void *user), void *user)
{
	struct cluster **all, *c;
	size_t count = 0, cursor = 0;

	pthread_mutex_lock(&registry->lock);
	all = calloc(registry->by_name.count + 1, sizeof(struct cluster *));
	while (all != NULL && (c = hash_map_next(&registry->by_name, &cursor)) != NULL) {
		c->refcount++;
		all[count++] = c;
	}
	pthread_mutex_unlock(&registry->lock);
	for (size_t i = 0; i < count; i++) {
		visit(all[i], user);
		cluster_unref(all[i]);
	}
	free(all);
}

const char *cluster_name(const struct cluster *c)
{
	return c->name;
}

uint32_t cluster_active(const struct cluster *c)
{
	return atomic_load_explicit(&c->active, memory_order_relaxed);
}

struct cluster_view *cluster_newest(const struct cluster *c)
{
	return list_is_empty(&c->views) ? NULL : container_of(c->views.prev, struct cluster_view, of_cluster);
}

const struct cluster_config *cluster_policy(const struct cluster *c)
{
	const struct cluster_view *v = cluster_newest(c);

	return v == NULL ? NULL : v->config;
}

/* --- members and what they know of their endpoints --- */

/* The lasting part.  true: it has changed. */
static bool member_judge(struct cluster_member *m)
{
	struct cluster_tier *t = m->tier;
	const struct endpoint_fitness *f = &m->endpoint->fitness;
	bool is_present = m->endpoint->addrs_count > 0 && f->mode == ENDPOINT_READY;
	bool is_well = is_present && f->health != ENDPOINT_DOWN && f->ejected_until_ms == 0;

	if (is_present == m->is_present && is_well == m->is_well)
		return false;
	t->present_count += (uint32_t)is_present - (uint32_t)m->is_present;
	t->well_count += (uint32_t)is_well - (uint32_t)m->is_well;
	m->is_present = is_present;
	m->is_well = is_well;
	return true;
}

static bool member_has_room(const struct cluster_member *m, uint32_t active)
{
	uint32_t max_pending = m->tier->config->max_pending;

	return (m->max_connections == 0 || active < m->max_connections) &&
	       (max_pending == 0 || atomic_load_explicit(&m->endpoint->pending, memory_order_relaxed) < max_pending) &&
	       !m->endpoint->fitness.is_paced_out;
}

static void member_hear(struct cluster_member *m)
{
	struct cluster_tier *t = m->tier;
	const struct endpoint *e = m->endpoint;
	uint32_t active = atomic_load_explicit(&e->active, memory_order_relaxed);
	bool is_candidate = m->is_well || (m->is_present && t->view->is_panicking);
	bool is_open = is_candidate && !m->is_tried && member_has_room(m, active);

	if (active == m->active && is_open == m->is_open && is_candidate == m->is_candidate &&
	    m->share == e->fitness.share)
		return;
	if (is_open && m->is_open) { /* and so a candidate, as before: most of the time */
		t->open_active += (uint64_t)active - m->active;
	} else {
		t->candidates_count += (uint32_t)is_candidate - (uint32_t)m->is_candidate;
		t->open_count += (uint32_t)is_open - (uint32_t)m->is_open;
		t->open_active += (is_open ? active : 0) - (uint64_t)(m->is_open ? m->active : 0);
		m->is_candidate = is_candidate;
		m->is_open = is_open;
	}
	m->active = active;
	m->share = e->fitness.share;
	t->algorithm->changed(t, m->place);
}

/* Backups that are well end every panic: it is what they are for. */
static bool view_should_panic(const struct cluster_view *v, uint32_t *well_count, uint32_t *present_count)
{
	*well_count = v->tiers[TIER_LOCAL]->well_count + v->tiers[TIER_REMOTE]->well_count;
	*present_count = v->tiers[TIER_LOCAL]->present_count + v->tiers[TIER_REMOTE]->present_count;
	if (v->config->panic_threshold_percent <= 0 || v->tiers[TIER_BACKUP]->well_count > 0)
		return false;
	if (*present_count == 0)
		*present_count = v->tiers[TIER_BACKUP]->present_count;
	return *well_count * 100.0 < v->config->panic_threshold_percent * *present_count;
}

static void members_hear(struct cluster_view *v)
{
	for (uint32_t i = 0; i < v->members_count; i++)
		if (v->members[i].tier != NULL)
			member_hear(&v->members[i]);
}

/* Who is well has changed: panics, or calms down, and then all members hear of it. */
static void view_judge(struct cluster_view *v)
{
	uint32_t well_count, present_count;
	bool is_panicking = view_should_panic(v, &well_count, &present_count);

	if (is_panicking == v->is_panicking)
		return;
	v->is_panicking = is_panicking;
	members_hear(v);
	if (v != cluster_newest(v->cluster))
		return; /* has been said */
	if (is_panicking)
		log_error("cluster %s: only %u of %u endpoints are well: connections are spread over all "
			  "(panic_threshold)",
			  v->cluster->name, well_count, present_count);
	else
		log_info("cluster %s: %u of %u endpoints are well: only they get connections again",
			 v->cluster->name, well_count, present_count);
}

void cluster_hear_endpoint(struct endpoint *e)
{
	list_for_each (node, &e->members) {
		struct cluster_member *m = container_of(node, struct cluster_member, of_endpoint);
		bool is_other = member_judge(m);

		member_hear(m);
		if (is_other)
			view_judge(m->tier->view);
	}
}

/* Only what it serves is another: how fit it is, they have heard. */
static void hear_load(struct endpoint *e)
{
	list_for_each (node, &e->members)
		member_hear(container_of(node, struct cluster_member, of_endpoint));
}

void cluster_hear_view(struct cluster_view *v)
{
	for (uint32_t i = 0; i < v->members_count; i++)
		if (v->members[i].tier != NULL)
			member_judge(&v->members[i]);
	view_judge(v);
	members_hear(v);
}

void cluster_hear_fallen(struct cluster *c)
{
	struct endpoint *e, *next;

	if (atomic_load_explicit(&c->fallen, memory_order_relaxed) == NULL)
		return;
	for (e = atomic_exchange_explicit(&c->fallen, NULL, memory_order_acquire); e != NULL; e = next) {
		next = e->fallen_next;
		/* from here on it may be pushed again; an exchange, so that what fell before it is seen */
		atomic_exchange_explicit(&e->is_fallen, false, memory_order_acq_rel);
		hear_load(e);
	}
}

/* --- a pick --- */

static struct cluster_member *member_of(const struct cluster_view *v, const struct endpoint *e)
{
	return hash_map_find(&v->by_endpoint, &e, sizeof(e));
}

const struct cluster_member *cluster_view_member(const struct cluster_view *v, const struct endpoint *e)
{
	return member_of(v, e);
}

const struct cluster_member *cluster_view_by_token(const struct cluster_view *v, const char *token, size_t len)
{
	return hash_map_find(&v->by_token, token, len);
}

void cluster_session_learn(struct cluster_view *v, const void *session, size_t len, const struct endpoint *e,
			   uint64_t now_ms)
{
	learned_put(&v->cluster->learned, session, len, e->id_hash, now_ms);
}

const struct cluster_member *cluster_session_find(struct cluster_view *v, const void *session, size_t len,
						  uint64_t now_ms)
{
	uint64_t id;

	if (!learned_find(&v->cluster->learned, session, len, &id, now_ms))
		return NULL;
	return hash_map_find(&v->by_id, &id, sizeof(id));
}

/* Closes what this request has tried, or opens it again; returns how many candidates that were. */
static uint32_t tried_set(struct cluster_view *v, const struct pick *p, bool is_tried)
{
	uint32_t count = 0;

	assert(p->tried_count <= PICK_TRIED_MAX);
	for (uint32_t i = 0; i < p->tried_count; i++) {
		struct cluster_member *m = member_of(v, p->tried[i]);

		if (m == NULL || m->tier == NULL || m->is_tried == is_tried)
			continue;
		count += m->is_candidate;
		m->is_tried = is_tried;
		member_hear(m);
	}
	return count;
}

/* Where there is nothing to choose from, the reason is that of the best who is left: one that is full will have room
 * again, one that was tried has failed. */
static enum pick_result tier_choose(struct cluster_view *v, uint32_t tried_count, struct cluster_tier **out)
{
	uint32_t candidates_count = 0, max_connections = v->config->max_connections;

	for (unsigned i = 0; i < TIER_COUNT; i++)
		candidates_count += v->tiers[i]->candidates_count;
	if (candidates_count == 0)
		return PICK_NONE;
	if (candidates_count == tried_count)
		return PICK_TRIED;
	if (max_connections != 0 && cluster_active(v->cluster) >= max_connections)
		return PICK_FULL;
	for (unsigned i = 0; i < TIER_COUNT; i++) {
		*out = v->tiers[i];
		if (v->tiers[i]->open_count > 0)
			return PICK_OK;
	}
	return PICK_FULL;
}

static void clock_heed(struct cluster *c)
{
	uint64_t due_ms = atomic_load_explicit(&c->due_ms, memory_order_relaxed), now_ms;

	if (due_ms == 0)
		return;
	now_ms = clock_now_ms();
	if (now_ms >= due_ms)
		cluster_clock(c, now_ms);
}

static void endpoint_take_place(struct endpoint *e, const struct cluster_config *config)
{
	endpoint_ref(e);
	if (config->max_pending > 0)
		atomic_fetch_add_explicit(&e->pending, 1, memory_order_relaxed);
	if (e->fitness.slow_from_ms != 0)
		fitness_pace(e, config);
	atomic_fetch_add_explicit(&e->active, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&e->total, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&e->cluster->active, 1, memory_order_relaxed);
	hear_load(e);
}

/* Who served the client before goes on, as long as it may: also a backup, which has its session. */
static struct endpoint *wanted_or_chosen(struct cluster_tier *t, const struct pick *p)
{
	uint32_t place;

	if (p->wanted != NULL && p->wanted->is_open)
		return p->wanted->endpoint;
	place = t->algorithm->pick(t, p);
	assert(place < t->count && t->members[place]->is_open);
	return t->members[place]->endpoint;
}

enum pick_result cluster_pick(struct cluster_view *v, const struct pick *p, struct endpoint **out)
{
	struct cluster *c = v->cluster;
	struct cluster_tier *t = NULL;
	struct endpoint *picked = NULL;
	enum pick_result result;

	pthread_mutex_lock(&c->lock);
	cluster_hear_fallen(c);
	clock_heed(c);
	result = tier_choose(v, p->tried_count == 0 ? 0 : tried_set(v, p, true), &t);
	if (result == PICK_OK) {
		picked = wanted_or_chosen(t, p);
	}
	if (p->tried_count != 0)
		tried_set(v, p, false);
	if (picked != NULL) {
		endpoint_take_place(picked, v->config);
		*out = picked;
	}
	pthread_mutex_unlock(&c->lock);
	return result;
}
