#include "cluster/roster.h"

#include "base/clock.h"
#include "cluster/fitness.h"
#include "cluster/inside.h"
#include "cluster/leaving.h"
#include "cluster/rebalance.h"

#include <string.h>

static const char *state_of(const struct endpoint *e)
{
	const struct endpoint_fitness *f = &e->fitness;

	if (e->leaving.is_unnamed)
		return "removed";
	if (f->mode != ENDPOINT_READY)
		return endpoint_mode_name(f->mode);
	return f->ejected_until_ms != 0 ? "ejected" : endpoint_health_name(f->health);
}

/* ---- listing ---- */

struct listing {
	void (*visit)(const struct endpoint_row *row, void *user);
	void *user;
};

static struct endpoint_row row_of(const struct endpoint *e, uint64_t now_ms)
{
	const struct endpoint_fitness *f = &e->fitness;
	const struct cluster_view *v = cluster_newest(e->cluster);
	const struct cluster_member *m = v == NULL ? NULL : cluster_view_member(v, e);

	return (struct endpoint_row){
		.cluster = e->cluster->name,
		.endpoint = e->name,
		.state = state_of(e),
		.why = f->why,
		.since_ns = f->since_ns,
		.ejected_for_ms = f->ejected_until_ms > now_ms ? f->ejected_until_ms - now_ms : 0,
		.weight = m == NULL ? 0 : m->weight,
		.share = f->share,
		.active = atomic_load_explicit(&e->active, memory_order_relaxed),
		.total = atomic_load_explicit(&e->total, memory_order_relaxed),
		.failures = atomic_load_explicit(&e->failures, memory_order_relaxed),
		.closing = endpoint_closing(e),
		.is_backup = m != NULL && m->is_backup,
	};
}

static void list_cluster(struct cluster *c, void *user)
{
	const struct listing *l = user;
	uint64_t now_ms = clock_now_ms();
	struct endpoint *e;
	size_t cursor = 0;

	pthread_mutex_lock(&c->lock);
	cluster_clock(c, now_ms); /* where nobody picks, ejections are over all the same */
	while ((e = hash_map_next(&c->endpoints, &cursor)) != NULL) {
		struct endpoint_row row = row_of(e, now_ms);

		l->visit(&row, l->user);
	}
	pthread_mutex_unlock(&c->lock);
}

void roster_each(struct clusters *registry, void (*visit)(const struct endpoint_row *row, void *user), void *user)
{
	struct listing l = { visit, user };

	clusters_each(registry, list_cluster, &l);
}

/* ---- by name ---- */

struct search {
	const char *cluster, *endpoint;
	struct endpoint *found;
	long shed;
};

static void search_endpoint(struct cluster *c, void *user)
{
	struct search *s = user;

	if (strcmp(c->name, s->cluster) != 0)
		return;
	pthread_mutex_lock(&c->lock);
	s->found = hash_map_find(&c->endpoints, s->endpoint, strlen(s->endpoint));
	if (s->found != NULL)
		endpoint_ref(s->found);
	pthread_mutex_unlock(&c->lock);
}

struct endpoint *roster_find(struct clusters *registry, const char *cluster, const char *endpoint)
{
	struct search s = { .cluster = cluster, .endpoint = endpoint };

	clusters_each(registry, search_endpoint, &s);
	return s.found;
}

static void rebalance_cluster(struct cluster *c, void *user)
{
	struct search *s = user;

	if (strcmp(c->name, s->cluster) != 0)
		return;
	pthread_mutex_lock(&c->lock);
	s->shed = cluster_newest(c) == NULL ? 0 : rebalance_locked(cluster_newest(c));
	pthread_mutex_unlock(&c->lock);
}

long cluster_rebalance(struct clusters *registry, const char *cluster)
{
	struct search s = { .cluster = cluster, .shed = -1 };

	clusters_each(registry, rebalance_cluster, &s);
	return s.shed;
}
