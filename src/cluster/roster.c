#include "cluster/roster.h"

#include "base/clock.h"
#include "cluster/fitness.h"
#include "cluster/inside.h"
#include "cluster/leaving.h"
#include "cluster/rebalance.h"

#include <stdlib.h>
#include <string.h>

static const char *state_of(const struct endpoint *e, bool is_named)
{
	const struct endpoint_fitness *f = &e->fitness;

	if (!is_named)
		return "removed";
	if (e->addrs_count == 0)
		return "unresolved";
	if (f->mode != ENDPOINT_READY)
		return endpoint_mode_name(f->mode);
	if (f->ejected_until_ms != 0)
		return "ejected";
	return f->health == ENDPOINT_UNCHECKED ? "ready" : endpoint_health_name(f->health);
}

/* ---- listing ---- */

struct listing {
	struct roster *roster;
	const char *cluster; /* NULL: all */
	uint64_t now_ms;
};

/* How many addresses a connection to it may come from. */
static uint32_t sources_of(const struct cluster_config *c, const struct addr *to)
{
	uint32_t count = 0;

	for (size_t i = 0; c != NULL && to->len > 0 && i < c->source_addresses_count; i++)
		count += c->source_addresses[i].sa.sa_family == to->sa.sa_family;
	return count > 0 ? count : 1;
}

static void row_add_member(struct endpoint_row *row, const struct cluster_member *m)
{
	row->weight = m->weight;
	row->configured_weight = m->config->weight;
	row->max_connections = m->max_connections;
	row->is_backup = m->is_backup;
	row->is_added = m->is_added;
}

static void row_add_fitness(struct endpoint_row *row, const struct endpoint *e, uint64_t now_ms)
{
	const struct endpoint_fitness *f = &e->fitness;
	uint64_t close_at_ms = e->leaving.from_ms + endpoint_close_after_ms(e);

	row->mode = f->mode;
	row->health = f->health;
	memcpy(row->why, f->why, sizeof(row->why));
	row->since_ns = f->since_ns;
	row->ejected_for_ms = f->ejected_until_ms > now_ms ? f->ejected_until_ms - now_ms : 0;
	row->ejections = f->ejections_total;
	row->share = f->share;
	row->leaving = e->leaving.cause;
	row->closing = endpoint_closing(e);
	row->close_rate_per_s = e->leaving.rate_per_s;
	if (row->leaving != REASON_NONE && close_at_ms > now_ms)
		row->close_in_ms = close_at_ms - now_ms;
	row->is_usable = e->addrs_count > 0 && f->mode == ENDPOINT_READY && f->health != ENDPOINT_DOWN &&
			 f->ejected_until_ms == 0;
}

static void row_add(struct listing *l, struct endpoint *e, const struct cluster_member *m)
{
	struct endpoint_row *row = &l->roster->rows[l->roster->count++];

	endpoint_ref(e);
	*row = (struct endpoint_row){
		.of = e,
		.cluster = e->cluster->name,
		.endpoint = e->name,
		.state = state_of(e, m != NULL),
		.active = atomic_load_explicit(&e->active, memory_order_relaxed),
		.pending = atomic_load_explicit(&e->pending, memory_order_relaxed),
		.idle = atomic_load_explicit(&e->idle, memory_order_relaxed),
		.total = atomic_load_explicit(&e->total, memory_order_relaxed),
		.failures = atomic_load_explicit(&e->failures, memory_order_relaxed),
		.connect_us = atomic_load_explicit(&e->connect_us, memory_order_relaxed),
		.shed_left = atomic_load_explicit(&e->shed_left, memory_order_relaxed),
	};
	if (e->addrs_count > 0)
		row->addr = e->addrs[e->addrs_at];
	row->sources_count = sources_of(cluster_policy(e->cluster), &row->addr);
	row_add_fitness(row, e, l->now_ms);
	if (m != NULL)
		row_add_member(row, m);
}

static bool room_for(struct roster *r, size_t more)
{
	struct endpoint_row *rows;

	if (r->count + more <= r->max)
		return true;
	rows = realloc(r->rows, (r->count + more) * sizeof(*rows));
	if (rows == NULL)
		return false;
	r->rows = rows;
	r->max = r->count + more;
	return true;
}

static void list_cluster(struct cluster *c, void *user)
{
	struct listing *l = user;
	const struct cluster_view *v;
	struct endpoint *e;
	size_t cursor = 0;

	if (l->cluster != NULL && strcmp(c->name, l->cluster) != 0)
		return;
	pthread_mutex_lock(&c->lock);
	cluster_clock(c, l->now_ms); /* where nobody picks, ejections are over all the same */
	v = cluster_newest(c);
	if (room_for(l->roster, c->endpoints.count)) {
		/* one that stands there twice is its first member */
		for (uint32_t i = 0; v != NULL && i < v->members_count; i++)
			if (cluster_view_member(v, v->members[i].endpoint) == &v->members[i])
				row_add(l, v->members[i].endpoint, &v->members[i]);
		/* of what is removed, an idle connection may be all that is left: nobody waits for that */
		while ((e = hash_map_next(&c->endpoints, &cursor)) != NULL)
			if ((v == NULL || cluster_view_member(v, e) == NULL) && atomic_load(&e->active) > 0)
				row_add(l, e, NULL);
	}
	pthread_mutex_unlock(&c->lock);
}

void roster_take(struct roster *r, struct clusters *registry, const char *cluster)
{
	struct listing l = { .roster = r, .cluster = cluster, .now_ms = clock_now_ms() };

	memset(r, 0, sizeof(*r));
	clusters_each(registry, list_cluster, &l);
}

void roster_done(struct roster *r)
{
	for (size_t i = 0; i < r->count; i++)
		endpoint_unref(r->rows[i].of);
	free(r->rows);
	memset(r, 0, sizeof(*r));
}

const struct endpoint_row *roster_row(const struct roster *r, const char *cluster, const char *endpoint)
{
	for (size_t i = 0; i < r->count; i++)
		if (strcmp(r->rows[i].cluster, cluster) == 0 && strcmp(r->rows[i].endpoint, endpoint) == 0)
			return &r->rows[i];
	return NULL;
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
