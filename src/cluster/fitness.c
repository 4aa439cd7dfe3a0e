#include "cluster/fitness.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "cluster/inside.h"

#include <stdio.h>
#include <string.h>

/* A slow start goes in steps of a hundredth. */
#define SLOW_STEP 10u
/* slow_start_rate is kept over intervals of this length, or of as long as one connection takes. */
#define PACE_MS 100u

const char *endpoint_mode_name(enum endpoint_mode mode)
{
	static const char *const names[] = {
		[ENDPOINT_READY] = "ready",
		[ENDPOINT_DRAINING] = "draining",
		[ENDPOINT_DISABLED] = "disabled",
	};

	return names[mode];
}

const char *endpoint_health_name(enum endpoint_health health)
{
	static const char *const names[] = {
		[ENDPOINT_UNCHECKED] = "unchecked",
		[ENDPOINT_UP] = "up",
		[ENDPOINT_DOWN] = "down",
	};

	return names[health];
}

/* ---- the clock ---- */

static void due_at(struct cluster *c, uint64_t at_ms)
{
	uint64_t due_ms = atomic_load_explicit(&c->due_ms, memory_order_relaxed);

	if (due_ms == 0 || at_ms < due_ms)
		atomic_store_explicit(&c->due_ms, at_ms, memory_order_relaxed);
}

static uint64_t slow_start_ms(const struct cluster *c)
{
	const struct cluster_config *policy = cluster_policy(c);

	return policy == NULL ? 0 : policy->slow_start_ms;
}

static uint64_t pace_interval_ms(double rate_per_s)
{
	uint64_t one_ms = (uint64_t)(1000 / rate_per_s);

	return one_ms > PACE_MS ? one_ms : PACE_MS;
}

void fitness_pace(struct endpoint *e, const struct cluster_config *config)
{
	struct endpoint_fitness *f = &e->fitness;
	double rate_per_s = config->slow_start_rate_per_s;
	uint64_t now_ms, interval_ms;

	if (rate_per_s <= 0)
		return;
	now_ms = clock_now_ms();
	interval_ms = pace_interval_ms(rate_per_s);
	if (now_ms >= f->pace_ms + interval_ms) {
		f->pace_ms = now_ms;
		f->paced = 0;
	}
	f->paced++;
	if (f->paced + 1 > rate_per_s * (double)interval_ms / 1000) {
		f->is_paced_out = true;
		due_at(e->cluster, f->pace_ms + interval_ms);
	}
}

static void pace_go_on(struct endpoint *e, uint64_t now_ms)
{
	const struct cluster_config *policy = cluster_policy(e->cluster);
	struct endpoint_fitness *f = &e->fitness;
	uint64_t open_ms;

	if (!f->is_paced_out)
		return;
	open_ms = policy == NULL || policy->slow_start_rate_per_s <= 0 || f->slow_from_ms == 0 ?
			  0 :
			  f->pace_ms + pace_interval_ms(policy->slow_start_rate_per_s);
	f->is_paced_out = now_ms < open_ms;
	if (f->is_paced_out)
		due_at(e->cluster, open_ms);
}

static void slow_begin(struct endpoint *e, uint64_t now_ms, uint64_t whole_ms)
{
	if (whole_ms == 0)
		return;
	e->fitness.slow_from_ms = now_ms;
	e->fitness.share = SLOW_STEP;
	due_at(e->cluster, now_ms + whole_ms / (ENDPOINT_FULL_SHARE / SLOW_STEP) + 1);
}

static void slow_go_on(struct endpoint *e, uint64_t now_ms)
{
	struct endpoint_fitness *f = &e->fitness;
	uint64_t whole_ms = slow_start_ms(e->cluster), gone_ms = now_ms - f->slow_from_ms, share;

	if (gone_ms >= whole_ms) {
		f->slow_from_ms = 0;
		f->share = ENDPOINT_FULL_SHARE;
		return;
	}
	share = gone_ms * ENDPOINT_FULL_SHARE / whole_ms;
	f->share = (uint32_t)(share < SLOW_STEP ? SLOW_STEP : share - share % SLOW_STEP);
	due_at(e->cluster, f->slow_from_ms + (f->share + SLOW_STEP) * whole_ms / ENDPOINT_FULL_SHARE + 1);
}

void fitness_say(struct endpoint *e, const char *why)
{
	e->fitness.since_ns = clock_wall_ns();
	snprintf(e->fitness.why, sizeof(e->fitness.why), "%s", why);
}

static void readmit(struct endpoint *e, uint64_t now_ms)
{
	e->fitness.ejected_until_ms = 0;
	e->fitness.readmitted_ms = now_ms;
	atomic_store_explicit(&e->streak, 0, memory_order_relaxed);
	fitness_say(e, "the ejection is over");
	log_info("cluster %s: endpoint %s: the ejection is over", e->cluster->name, e->name);
	slow_begin(e, now_ms, slow_start_ms(e->cluster));
}

void cluster_clock(struct cluster *c, uint64_t now_ms)
{
	struct endpoint *e;
	size_t cursor = 0;

	atomic_store_explicit(&c->due_ms, 0, memory_order_relaxed);
	while ((e = hash_map_next(&c->endpoints, &cursor)) != NULL) {
		struct endpoint_fitness *f = &e->fitness;

		if (f->ejected_until_ms == 0 && f->slow_from_ms == 0 && !f->is_paced_out)
			continue;
		if (f->ejected_until_ms > now_ms)
			due_at(c, f->ejected_until_ms);
		else if (f->ejected_until_ms != 0)
			readmit(e, now_ms);
		if (f->slow_from_ms != 0)
			slow_go_on(e, now_ms);
		pace_go_on(e, now_ms);
		cluster_hear_endpoint(e);
	}
}

void cluster_policies_changed(struct cluster *c)
{
	const struct cluster_config *policy = cluster_policy(c);

	atomic_store_explicit(&c->eject_after, policy == NULL ? 0 : policy->outlier.consecutive_failures,
			      memory_order_relaxed);
	cluster_clock(c, clock_now_ms()); /* slow_start may be another */
}

/* ---- changes ---- */

void fitness_arrive(struct endpoint *e, const struct cluster_config *config)
{
	struct cluster *c = e->cluster;

	pthread_mutex_lock(&c->lock);
	if (!list_is_empty(&c->views) && list_is_empty(&e->members) && e->fitness.slow_from_ms == 0)
		slow_begin(e, clock_now_ms(), config->slow_start_ms);
	pthread_mutex_unlock(&c->lock);
}

void endpoint_set_mode(struct endpoint *e, enum endpoint_mode mode, const char *why)
{
	struct cluster *c = e->cluster;

	pthread_mutex_lock(&c->lock);
	if (mode != e->fitness.mode) {
		bool is_back = mode == ENDPOINT_READY && e->fitness.mode == ENDPOINT_DISABLED;

		e->fitness.mode = mode;
		fitness_say(e, why);
		log_info("cluster %s: endpoint %s is %s: %s", c->name, e->name, endpoint_mode_name(mode), why);
		if (is_back)
			slow_begin(e, clock_now_ms(), slow_start_ms(c));
		cluster_hear_endpoint(e);
	}
	pthread_mutex_unlock(&c->lock);
}

void endpoint_set_health(struct endpoint *e, enum endpoint_health health, const char *why)
{
	struct cluster *c = e->cluster;

	pthread_mutex_lock(&c->lock);
	if (health != e->fitness.health) {
		bool is_back = health == ENDPOINT_UP && e->fitness.health == ENDPOINT_DOWN;

		e->fitness.health = health;
		fitness_say(e, why);
		log_line(health == ENDPOINT_DOWN ? LOG_LEVEL_WARN : LOG_LEVEL_INFO,
			 "cluster %s: endpoint %s is %s: %s", c->name, e->name, endpoint_health_name(health), why);
		if (is_back)
			slow_begin(e, clock_now_ms(), slow_start_ms(c));
		cluster_hear_endpoint(e);
	}
	pthread_mutex_unlock(&c->lock);
}

void fitness_eject(struct endpoint *e, uint64_t now_ms, uint64_t for_ms, const char *why)
{
	e->fitness.ejected_until_ms = now_ms + for_ms;
	e->fitness.ejections_total++;
	fitness_say(e, why);
	log_warn("cluster %s: endpoint %s is ejected for %llu.%03llu s: %s", e->cluster->name, e->name,
		 (unsigned long long)for_ms / 1000, (unsigned long long)for_ms % 1000, why);
	due_at(e->cluster, now_ms + for_ms);
	cluster_hear_endpoint(e);
}
