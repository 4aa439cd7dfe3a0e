#include "cluster/outlier.h"

#include "base/clock.h"
#include "cluster/fitness.h"
#include "cluster/inside.h"

#include <stdio.h>

/* An ejection lasts at most so many times eject_for. */
#define GROWTH_MAX 10u

/* Under the lock: whether one more may be ejected of those whom the newest view names. */
static bool may_eject(const struct cluster *c)
{
	const struct cluster_view *v = cluster_newest(c);
	uint32_t ejected = 1, count = 0;

	if (v == NULL)
		return false;
	for (uint32_t i = 0; i < v->members_count; i++) {
		const struct cluster_member *m = &v->members[i];

		if (m->tier == NULL)
			continue;
		count++;
		ejected += m->endpoint->fitness.ejected_until_ms != 0;
	}
	return ejected * 100.0 <= v->config->outlier.max_ejected_percent * count;
}

/* Under the lock.  Each eject_for that went well makes the next ejection shorter again. */
static uint64_t eject_for_ms(struct endpoint_fitness *f, const struct outlier_config *policy, uint64_t now_ms)
{
	uint64_t good = (now_ms - f->readmitted_ms) / policy->eject_for_ms;

	f->ejections -= (uint32_t)(good < f->ejections ? good : f->ejections);
	if (f->ejections < GROWTH_MAX)
		f->ejections++;
	return policy->eject_for_ms * f->ejections;
}

static void eject(struct endpoint *e, unsigned streak, const char *last)
{
	struct cluster *c = e->cluster;
	char why[ENDPOINT_WHY_MAX];
	uint64_t now_ms = clock_now_ms();

	pthread_mutex_lock(&c->lock);
	cluster_clock(c, now_ms);
	if (e->fitness.ejected_until_ms == 0 && may_eject(c)) {
		snprintf(why, sizeof(why), "%u failures in a row, the last: %s", streak, last);
		fitness_eject(e, now_ms, eject_for_ms(&e->fitness, &cluster_policy(c)->outlier, now_ms), why);
	}
	pthread_mutex_unlock(&c->lock);
}

static void count_failure(struct endpoint *e, const char *text)
{
	unsigned limit = atomic_load_explicit(&e->cluster->eject_after, memory_order_relaxed);
	unsigned streak = atomic_fetch_add_explicit(&e->streak, 1, memory_order_relaxed) + 1;

	atomic_fetch_add_explicit(&e->failures, 1, memory_order_relaxed);
	if (limit != 0 && streak % limit == 0) /* where the cap forbids it now: tried again after as many */
		eject(e, streak, text);
}

void outlier_failed(struct endpoint *e, enum reason why)
{
	count_failure(e, reason_of(why)->text);
}

void outlier_failed_status(struct endpoint *e, unsigned status)
{
	char text[32];

	snprintf(text, sizeof(text), "status %u", status);
	count_failure(e, text);
}

void outlier_died(struct endpoint *e)
{
	atomic_store_explicit(&e->is_dying, true, memory_order_relaxed);
	count_failure(e, "a WebSocket died in its first second");
}

/* Looks before it writes: what goes well all the time should not be passed between caches. */
static void streak_end(struct endpoint *e)
{
	if (atomic_load_explicit(&e->streak, memory_order_relaxed) != 0)
		atomic_store_explicit(&e->streak, 0, memory_order_relaxed);
}

void outlier_succeeded(struct endpoint *e)
{
	if (atomic_load_explicit(&e->is_dying, memory_order_relaxed))
		atomic_store_explicit(&e->is_dying, false, memory_order_relaxed);
	streak_end(e);
}

void outlier_upgraded(struct endpoint *e)
{
	if (!atomic_load_explicit(&e->is_dying, memory_order_relaxed))
		streak_end(e);
}
