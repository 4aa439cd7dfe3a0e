#include "cluster/handover.h"

#include "base/clock.h"
#include "cluster/fitness.h"
#include "cluster/inside.h"
#include "cluster/roster.h"

#include <stdio.h>
#include <string.h>

/* ---- telling ---- */

struct telling {
	void (*visit)(const struct endpoint_state *state, void *user);
	void *user;
};

static struct endpoint_state state_of(const struct endpoint *e, const struct cluster_member *m, uint64_t now_ms)
{
	const struct endpoint_fitness *f = &e->fitness;

	return (struct endpoint_state){
		.cluster = e->cluster->name,
		.endpoint = e->name,
		.mode = f->mode,
		.health = f->health,
		.why = f->why,
		.since_ns = f->since_ns,
		.ejections = f->ejections,
		.ejected_for_ms = f->ejected_until_ms > now_ms ? f->ejected_until_ms - now_ms : 0,
		.slow_since_ms = f->slow_from_ms != 0 ? now_ms - f->slow_from_ms : HANDOVER_NO_SLOW_START,
		.weight = m->weight != m->config->weight ? (int64_t)m->weight : -1,
	};
}

static void tell_cluster(struct cluster *c, void *user)
{
	const struct telling *t = user;
	uint64_t now_ms = clock_now_ms();
	const struct cluster_view *v;

	pthread_mutex_lock(&c->lock);
	cluster_clock(c, now_ms);
	v = cluster_newest(c);
	for (uint32_t i = 0; v != NULL && i < v->members_count; i++) {
		struct endpoint_state s = state_of(v->members[i].endpoint, &v->members[i], now_ms);

		t->visit(&s, t->user);
	}
	pthread_mutex_unlock(&c->lock);
}

void handover_each(struct clusters *registry, void (*visit)(const struct endpoint_state *state, void *user), void *user)
{
	struct telling t = { visit, user };

	clusters_each(registry, tell_cluster, &t);
}

/* ---- hearing ---- */

static void restore_fitness(struct endpoint *e, const struct endpoint_state *s, uint64_t now_ms)
{
	struct endpoint_fitness *f = &e->fitness;

	f->mode = s->mode;
	f->health = s->health;
	f->since_ns = s->since_ns;
	snprintf(f->why, sizeof(f->why), "%s", s->why);
	f->ejections = s->ejections;
	f->ejected_until_ms = s->ejected_for_ms > 0 ? now_ms + s->ejected_for_ms : 0;
	if (s->slow_since_ms != HANDOVER_NO_SLOW_START && s->slow_since_ms < now_ms)
		f->slow_from_ms = now_ms - s->slow_since_ms;
	cluster_hear_endpoint(e);
	cluster_clock(e->cluster, now_ms); /* which finds out what is due next */
}

bool handover_restore(struct clusters *registry, const struct endpoint_state *state)
{
	struct endpoint *e = roster_find(registry, state->cluster, state->endpoint);

	if (e == NULL)
		return false;
	pthread_mutex_lock(&e->cluster->lock);
	restore_fitness(e, state, clock_now_ms());
	pthread_mutex_unlock(&e->cluster->lock);
	if (state->weight >= 0)
		(void)endpoint_set_weight(e, (uint32_t)state->weight); /* without memory: the configuration's */
	endpoint_unref(e);
	return true;
}

/* ---- the secret ---- */

void handover_secret(const struct clusters *registry, uint8_t out[STICKY_SECRET_LEN])
{
	memcpy(out, registry->sticky_secret, STICKY_SECRET_LEN);
}

void handover_set_secret(struct clusters *registry, const uint8_t secret[STICKY_SECRET_LEN])
{
	memcpy(registry->sticky_secret, secret, STICKY_SECRET_LEN);
}
