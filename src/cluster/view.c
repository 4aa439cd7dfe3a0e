/* Views: a cluster as one snapshot describes it, made whole or not at all.
 *
 * Called by: proxy/snapshot.  Making blocks while names are looked up, outside of every lock; freeing may happen in any
 * thread, whoever drops the snapshot.  Locks: the cluster's, to link members to their endpoints and to unlink them. */
#include "cluster/cluster.h"

#include "base/log.h"
#include "cluster/fitness.h"
#include "cluster/inside.h"
#include "cluster/resolve.h"
#include "cluster/roster.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool endpoint_resolve(struct endpoint *e, const struct endpoint_config *config)
{
	const char *cluster = e->cluster->name, *error = NULL;
	struct addr *addrs = NULL;
	uint32_t count = 1;

	if (config->addr_literal.len == 0 && (e->was_looked_up || !e->cluster->registry->looks_up))
		return true;
	e->was_looked_up = true;
	if (config->addr_literal.len == 0) {
		count = resolve_host(config->host, config->port, &addrs, &error);
	} else {
		addrs = malloc(sizeof(*addrs));
		if (addrs == NULL)
			return false;
		*addrs = config->addr_literal;
	}
	if (count > 0)
		endpoint_set_addrs(e, addrs, count);
	else
		log_warn("cluster \"%s\": endpoint \"%s\" cannot be looked up (%s): it is not used before that succeeds", cluster,
			 e->name, error);
	return true;
}

/* What stands there twice is found by its first member.  False: out of memory. */
static bool put_once(struct hash_map *map, const void *key, size_t len, struct cluster_member *m)
{
	return hash_map_find(map, key, len) != NULL || hash_map_put(map, key, len, m) == 0;
}

/* What brings clients back to a member.  `secret` NULL: no cookie. */
static bool member_set_affinity(struct cluster_view *v, struct cluster_member *m, const uint8_t *secret)
{
	if (secret != NULL) {
		sticky_token(secret, v->cluster->name, m->endpoint->name, m->token);
		if (!put_once(&v->by_token, m->token, STICKY_TOKEN_LEN, m))
			return false;
	}
	return v->config->affinity.learn == NULL ||
	       put_once(&v->by_id, &m->endpoint->id_hash, sizeof(m->endpoint->id_hash), m);
}

static bool view_set_affinity(struct cluster_view *v)
{
	const struct affinity_cookie *cookie = v->config->affinity.cookie;
	uint8_t secret[STICKY_SECRET_LEN];
	const char *fault = NULL;

	memcpy(secret, v->cluster->registry->sticky_secret, sizeof(secret));
	if (cookie != NULL && cookie->secret_file != NULL)
		fault = sticky_secret_read(cookie->secret_file, secret);
	if (fault != NULL) /* it was good a moment ago: proxy/snapshot has looked */
		log_error("cluster \"%s\": %s: %s: its cookies are signed with a secret of this process",
			  v->config->name, cookie->secret_file, fault);
	for (uint32_t i = 0; i < v->members_count; i++)
		if (!member_set_affinity(v, &v->members[i], cookie != NULL ? secret : NULL))
			return false;
	return true;
}

static bool view_has(const struct cluster_view *v, const char *name)
{
	struct endpoint *e;

	pthread_mutex_lock(&v->cluster->lock);
	e = hash_map_find(&v->cluster->endpoints, name, strlen(name));
	pthread_mutex_unlock(&v->cluster->lock);
	/* compared by address alone: it may be gone meanwhile, and is no member then */
	return e != NULL && hash_map_find(&v->by_endpoint, &e, sizeof(e)) != NULL;
}

static bool view_add_member(struct cluster_view *v, const struct endpoint_config *config)
{
	struct endpoint *e = endpoint_find(v->cluster, config->address);
	struct cluster_member *m = &v->members[v->members_count];
	const char *own_zone = v->config->own_zone;

	if (e == NULL)
		return false;
	fitness_arrive(e, v->config);
	*m = (struct cluster_member){
		.endpoint = e,
		.config = config,
		.weight = config->weight,
		.max_connections = config->max_connections,
		.is_backup = config->backup,
		.is_remote = config->zone != NULL && own_zone != NULL && strcmp(config->zone, own_zone) != 0,
		.share = ENDPOINT_FULL_SHARE,
	};
	list_init(&m->of_endpoint);
	v->members_count++;
	/* an address that stands there twice is one endpoint: found by its first member */
	if (!put_once(&v->by_endpoint, &m->endpoint, sizeof(m->endpoint), m))
		return false;
	return endpoint_resolve(e, config);
}

/* Those of the list that are not members yet: what the configuration says of one holds. */
static bool view_add_found(struct cluster_view *v, const struct endpoint_list *list, bool is_added)
{
	for (size_t i = 0; list != NULL && i < list->endpoints_count; i++) {
		uint32_t before = v->members_count;

		if (view_has(v, list->endpoints[i].address))
			continue;
		if (!view_add_member(v, &list->endpoints[i]))
			return false;
		v->members[before].is_added = is_added;
	}
	return true;
}

static bool view_add_members(struct cluster_view *v)
{
	for (size_t i = 0; i < v->config->endpoints_count; i++)
		if (!view_add_member(v, &v->config->endpoints[i]))
			return false;
	return view_add_found(v, v->discovered, false) && view_add_found(v, v->added, true);
}

static void tier_free(struct cluster_tier *t)
{
	if (t == NULL)
		return;
	t->algorithm->forget(t);
	free(t->members);
	free(t);
}

static enum cluster_tier_kind tier_of(const struct cluster_member *m)
{
	return m->is_backup ? TIER_BACKUP : m->is_remote ? TIER_REMOTE : TIER_LOCAL;
}

static struct cluster_tier *tier_new(struct cluster_view *v, const struct algorithm *algorithm,
				     enum cluster_tier_kind kind)
{
	struct cluster_tier *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->algorithm = algorithm;
	t->config = v->config;
	t->view = v;
	t->members = calloc((size_t)v->members_count + 1, sizeof(struct cluster_member *));
	for (uint32_t i = 0; t->members != NULL && i < v->members_count; i++) {
		struct cluster_member *m = &v->members[i];

		if (m->weight == 0 || tier_of(m) != kind)
			continue;
		m->tier = t;
		m->place = t->count;
		t->members[t->count++] = m;
	}
	if (t->members == NULL || (t->count > 0 && !algorithm->prepare(t))) {
		tier_free(t);
		return NULL;
	}
	return t;
}

/* From here on the members hear of their endpoints, and this is the newest view: its policies hold. */
static void view_link(struct cluster_view *v)
{
	pthread_mutex_lock(&v->cluster->lock);
	cluster_hear_fallen(v->cluster);
	list_append(&v->cluster->views, &v->of_cluster);
	cluster_policies_changed(v->cluster);
	for (uint32_t i = 0; i < v->members_count; i++) {
		struct cluster_member *m = &v->members[i];

		if (m->tier != NULL)
			list_append(&m->endpoint->members, &m->of_endpoint);
	}
	cluster_hear_view(v);
	pthread_mutex_unlock(&v->cluster->lock);
}

static void tiers_free(struct cluster_tier *tiers[TIER_COUNT])
{
	for (unsigned i = 0; i < TIER_COUNT; i++)
		tier_free(tiers[i]);
}

static bool tiers_make(struct cluster_view *v, const struct algorithm *algorithm, struct cluster_tier *out[TIER_COUNT])
{
	for (unsigned i = 0; i < TIER_COUNT; i++) {
		out[i] = tier_new(v, algorithm, i);
		if (out[i] == NULL)
			return false;
	}
	return true;
}

static struct endpoint_list *list_ref(struct endpoint_list *l)
{
	return l != NULL ? endpoint_list_ref(l) : NULL;
}

static size_t list_count(const struct endpoint_list *l)
{
	return l != NULL ? l->endpoints_count : 0;
}

/* Weights that were set by command. */
static void keep_weights(struct cluster_view *v, const struct cluster_view *old)
{
	for (uint32_t i = 0; i < v->members_count; i++) {
		const struct cluster_member *was = cluster_view_member(old, v->members[i].endpoint);

		if (was != NULL && was->weight != was->config->weight)
			v->members[i].weight = was->weight;
	}
}

static struct cluster_view *view_make(struct clusters *c, const struct cluster_config *config,
				      const struct cluster_view *old)
{
	const struct algorithm *algorithm = algorithm_find(config->balance);
	struct cluster_view *v = calloc(1, sizeof(*v));

	assert(algorithm != NULL); /* config/check has compared it with algorithm_names() */
	if (v == NULL)
		return NULL;
	v->config = config;
	list_init(&v->of_cluster);
	hash_map_init(&v->by_endpoint);
	hash_map_init(&v->by_token);
	hash_map_init(&v->by_id);
	v->cluster = cluster_find(c, config->name);
	if (config->discover != NULL)
		v->discovered = list_ref(clusters_discovered(c, config->name));
	v->added = list_ref(clusters_added(c, config->name));
	v->members = calloc(config->endpoints_count + list_count(v->discovered) + list_count(v->added) + 1,
			    sizeof(*v->members));
	if (v->cluster == NULL || v->members == NULL)
		goto fail;
	if (!view_add_members(v) || !view_set_affinity(v))
		goto fail;
	if (old != NULL)
		keep_weights(v, old);
	if (!tiers_make(v, algorithm, v->tiers))
		goto fail;
	view_link(v);
	return v;
fail:
	cluster_view_free(v);
	return NULL;
}

struct cluster_view *cluster_view_new(struct clusters *c, const struct cluster_config *config)
{
	return view_make(c, config, NULL);
}

struct cluster_view *cluster_view_again(struct clusters *c, const struct cluster_view *old)
{
	return view_make(c, old->config, old);
}

void cluster_view_free(struct cluster_view *v)
{
	if (v == NULL)
		return;
	if (v->cluster != NULL) {
		pthread_mutex_lock(&v->cluster->lock);
		for (uint32_t i = 0; i < v->members_count; i++)
			list_remove(&v->members[i].of_endpoint);
		list_remove(&v->of_cluster);
		cluster_policies_changed(v->cluster);
		pthread_mutex_unlock(&v->cluster->lock);
	}
	for (uint32_t i = 0; i < v->members_count; i++)
		endpoint_unref(v->members[i].endpoint);
	tiers_free(v->tiers);
	if (v->cluster != NULL)
		cluster_unref(v->cluster);
	hash_map_done(&v->by_endpoint);
	hash_map_done(&v->by_token);
	hash_map_done(&v->by_id);
	endpoint_list_unref(v->discovered);
	endpoint_list_unref(v->added);
	free(v->members);
	free(v);
}

/* --- weights at run time --- */

/* Who has got a weight hears of its endpoint, who has none does not. */
static void member_relink(struct cluster_member *m)
{
	list_remove(&m->of_endpoint);
	list_init(&m->of_endpoint);
	if (m->tier != NULL)
		list_append(&m->endpoint->members, &m->of_endpoint);
}

/* Under the lock: the tiers anew, by the members' weights.  false: out of memory, and all is as it was. */
static bool view_retier(struct cluster_view *v, struct cluster_member *m, uint32_t weight)
{
	size_t size = v->members_count * sizeof(*v->members);
	struct cluster_member *before = malloc(size);
	struct cluster_tier *tiers[TIER_COUNT] = { NULL };

	if (before == NULL)
		return false;
	memcpy(before, v->members, size);
	for (uint32_t i = 0; i < v->members_count; i++) {
		struct cluster_member *other = &v->members[i];

		other->tier = NULL;
		other->is_present = other->is_well = other->is_candidate = other->is_open = false;
		other->active = 0;
	}
	m->weight = weight;
	if (!tiers_make(v, algorithm_find(v->config->balance), tiers)) {
		memcpy(v->members, before, size);
		tiers_free(tiers);
		free(before);
		return false;
	}
	free(before);
	tiers_free(v->tiers);
	memcpy(v->tiers, tiers, sizeof(tiers));
	for (uint32_t i = 0; i < v->members_count; i++)
		member_relink(&v->members[i]);
	cluster_hear_view(v);
	return true;
}

int endpoint_set_weight(struct endpoint *e, uint32_t weight)
{
	struct cluster *c = e->cluster;
	int err = 0;

	pthread_mutex_lock(&c->lock);
	cluster_hear_fallen(c);
	list_for_each(node, &c->views) {
		struct cluster_view *v = container_of(node, struct cluster_view, of_cluster);
		struct cluster_member *m = hash_map_find(&v->by_endpoint, &e, sizeof(e));

		if (m != NULL && m->weight != weight && !view_retier(v, m, weight))
			err = -ENOMEM;
	}
	if (err == 0)
		log_info("cluster %s: endpoint %s has weight %u until the next reload", c->name, e->name, weight);
	pthread_mutex_unlock(&c->lock);
	return err;
}
