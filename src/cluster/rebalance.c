#include "cluster/rebalance.h"

#include "base/log.h"
#include "cluster/inside.h"

static uint32_t active_of(const struct endpoint *e)
{
	return atomic_load_explicit(&e->active, memory_order_relaxed);
}

static uint32_t excess_of(const struct cluster_member *m, uint64_t active, uint64_t weight)
{
	uint64_t share = (active * m->weight + weight - 1) / weight, own = active_of(m->endpoint);

	return own > share ? (uint32_t)(own - share) : 0;
}

uint32_t rebalance_locked(const struct cluster_view *v)
{
	uint64_t active = 0, weight = 0;
	uint32_t all = 0;

	for (uint32_t i = 0; i < v->members_count; i++) {
		const struct cluster_member *m = &v->members[i];

		if (m->tier == NULL || m->is_backup || !m->is_well)
			continue;
		active += active_of(m->endpoint);
		weight += m->weight;
	}
	for (uint32_t i = 0; i < v->members_count; i++) {
		const struct cluster_member *m = &v->members[i];
		struct endpoint *e = m->endpoint;
		bool counts = m->tier != NULL && !m->is_backup && m->is_well;
		uint32_t excess = counts ? excess_of(m, active, weight) : 0;

		atomic_store_explicit(&e->shed_of, active_of(e), memory_order_relaxed);
		atomic_store_explicit(&e->shed_total, excess, memory_order_relaxed);
		atomic_store_explicit(&e->shed_left, excess, memory_order_release);
		all += excess;
		if (excess > 0)
			log_info("cluster %s: endpoint %s: rebalance: sheds %u of %u connections", v->cluster->name, e->name,
				 excess, active_of(e));
	}
	return all;
}

uint32_t rebalance_claim(struct endpoint *e, uint32_t count)
{
	uint32_t left = atomic_load_explicit(&e->shed_left, memory_order_acquire), claim;
	uint64_t total = atomic_load_explicit(&e->shed_total, memory_order_relaxed);
	uint64_t of = atomic_load_explicit(&e->shed_of, memory_order_relaxed);
	uint64_t share = of == 0 ? 0 : (total * count + of - 1) / of;

	if (share > count)
		share = count;
	do {
		claim = share < left ? (uint32_t)share : left;
	} while (claim > 0 && !atomic_compare_exchange_weak_explicit(&e->shed_left, &left, left - claim,
								      memory_order_relaxed, memory_order_relaxed));
	return claim;
}
