#include "cluster/leaving.h"

#include "base/clock.h"
#include "base/log.h"
#include "cluster/inside.h"
#include "cluster/rebalance.h"

/* So often is looked whether the last connection has gone. */
#define EMPTY_LOOK_MS 500u

struct look {
	struct monitor *monitor;
	uint64_t now_ms, next_ms;
	bool has_changed; /* workers are to be told */
};

static void next_at(struct look *l, uint64_t at_ms)
{
	if (at_ms < l->next_ms)
		l->next_ms = at_ms;
}

static const struct cluster_view *view_in_force(const struct monitor *m, const struct cluster *c)
{
	for (size_t i = 0; m->order != NULL && i < m->order->clusters_count; i++)
		if (m->order->clusters[i].view->cluster == c)
			return m->order->clusters[i].view;
	return NULL;
}

/* ---- one endpoint, under the lock ---- */

static enum reason cause_of(const struct endpoint *e)
{
	const struct endpoint_fitness *f = &e->fitness;

	if (e->leaving.is_unnamed)
		return REASON_ENDPOINT_REMOVED;
	if (f->mode == ENDPOINT_DRAINING)
		return REASON_ENDPOINT_DRAINING;
	if (f->health == ENDPOINT_DOWN && e->leaving.on_unhealthy != ON_UNHEALTHY_KEEP)
		return REASON_ENDPOINT_UNHEALTHY;
	return REASON_NONE;
}

static void policy_take(struct endpoint *e, const struct cluster_config *config)
{
	struct endpoint_leaving *l = &e->leaving;

	l->timeout_ms = config->drain.timeout_ms;
	l->rate_per_s = config->drain.rate_per_s;
	l->shed_rate_per_s = config->rebalance.rate_per_s;
	l->on_unhealthy = config->health == NULL ? ON_UNHEALTHY_KEEP : config->health->on_unhealthy;
	atomic_store_explicit(&e->close_code, (unsigned short)config->drain.close_code, memory_order_relaxed);
}

uint64_t endpoint_close_after_ms(const struct endpoint *e)
{
	bool is_at_once = e->leaving.cause == REASON_ENDPOINT_UNHEALTHY && e->leaving.on_unhealthy == ON_UNHEALTHY_CLOSE;

	return is_at_once ? 0 : e->leaving.timeout_ms;
}

static void leaving_begin(struct endpoint *e, enum reason cause, const struct look *l)
{
	unsigned active = atomic_load_explicit(&e->active, memory_order_relaxed);

	e->leaving.cause = cause;
	e->leaving.from_ms = l->now_ms;
	e->leaving.is_empty = active == 0;
	if (active > 0)
		log_info("cluster %s: endpoint %s: %s: %u connections, to be closed in %llu s, %.0f a second", e->cluster->name,
			 e->name, reason_of(cause)->text, active, (unsigned long long)endpoint_close_after_ms(e) / 1000,
			 e->leaving.rate_per_s);
}

static void leaving_end(struct endpoint *e, struct look *l)
{
	e->leaving.cause = REASON_NONE;
	if (endpoint_closing(e) == REASON_NONE)
		return;
	atomic_store_explicit(&e->closing, REASON_NONE, memory_order_relaxed);
	e->cluster->close_next_us = 0; /* turns that nobody takes any more */
	l->has_changed = true;
	log_info("cluster %s: endpoint %s: its connections are not closed any more", e->cluster->name, e->name);
}

static void leaving_go_on(struct endpoint *e, struct look *l)
{
	uint64_t until_ms = e->leaving.from_ms + endpoint_close_after_ms(e);
	unsigned active = atomic_load_explicit(&e->active, memory_order_relaxed);

	if (l->now_ms < until_ms) {
		next_at(l, until_ms);
	} else if (endpoint_closing(e) != e->leaving.cause) {
		atomic_store_explicit(&e->closing, (unsigned char)e->leaving.cause, memory_order_relaxed);
		l->has_changed = true;
	}
	if (active > 0) {
		e->leaving.is_empty = false;
		next_at(l, l->now_ms + EMPTY_LOOK_MS);
	} else {
		endpoint_say_left(e, l->now_ms);
	}
}

static void look_at(struct endpoint *e, const struct cluster_view *v, struct look *l)
{
	bool is_named = v != NULL && cluster_view_member(v, e) != NULL;
	enum reason cause;

	if (is_named)
		policy_take(e, v->config);
	if (is_named && e->leaving.is_unnamed && v->config->rebalance.after_ms > 0)
		e->cluster->rebalance_at_ms = l->now_ms + v->config->rebalance.after_ms;
	e->leaving.is_unnamed = !is_named;
	cause = cause_of(e);
	if (cause == REASON_NONE && e->leaving.cause != REASON_NONE)
		leaving_end(e, l);
	if (cause != REASON_NONE && e->leaving.cause == REASON_NONE)
		leaving_begin(e, cause, l);
	e->leaving.cause = cause;
	if (cause != REASON_NONE)
		leaving_go_on(e, l);
}

/* ---- all ---- */

static void look_cluster(struct cluster *c, void *user)
{
	struct look *l = user;
	const struct cluster_view *v = view_in_force(l->monitor, c);
	struct endpoint *e;
	size_t cursor = 0;

	pthread_mutex_lock(&c->lock);
	while ((e = hash_map_next(&c->endpoints, &cursor)) != NULL)
		look_at(e, v, l);
	if (!c->was_in_force)
		c->rebalance_at_ms = 0; /* all of it is new */
	c->was_in_force = v != NULL;
	if (c->rebalance_at_ms != 0 && v != NULL) {
		if (l->now_ms >= c->rebalance_at_ms) {
			c->rebalance_at_ms = 0;
			l->has_changed |= rebalance_locked(v) > 0;
		} else {
			next_at(l, c->rebalance_at_ms);
		}
	}
	pthread_mutex_unlock(&c->lock);
}

void leaving_look(struct monitor *m)
{
	struct look l = { .monitor = m, .now_ms = clock_now_ms(), .next_ms = UINT64_MAX };

	if (m->order == NULL)
		return; /* nothing is in force yet */
	clusters_each(m->clusters, look_cluster, &l);
	if (l.has_changed)
		m->tell(&m->ring, m->tell_user);
	if (l.next_ms != UINT64_MAX)
		ring_timer_arm(&m->ring, &m->leaving_timer, l.next_ms - l.now_ms);
	else
		timer_cancel(&m->leaving_timer);
}

/* ---- for the relays ---- */

uint64_t endpoint_close_at(struct endpoint *e, enum reason why, uint64_t now_ms)
{
	struct cluster *c = e->cluster;
	uint64_t at_us = now_ms * 1000;
	double rate_per_s;

	pthread_mutex_lock(&c->lock);
	rate_per_s = why == REASON_REBALANCE ? e->leaving.shed_rate_per_s : e->leaving.rate_per_s;
	if (rate_per_s > 0) {
		if (c->close_next_us > at_us)
			at_us = c->close_next_us;
		c->close_next_us = at_us + (uint64_t)(1e6 / rate_per_s);
	}
	pthread_mutex_unlock(&c->lock);
	return (at_us + 999) / 1000;
}

uint16_t endpoint_close_code(const struct endpoint *e)
{
	return atomic_load_explicit(&e->close_code, memory_order_relaxed);
}
