/* Least connections: the next one goes where it makes the lowest load, (active + 1) / weight.
 *
 * So weights 1, 2, 3 hold 2, 4, 6 of twelve long-lived connections.  Among equals it goes round: who was picked longest
 * ago is next. */
#include "cluster/tournament.h"

#include <stdlib.h>

struct least {
	struct tournament loads; /* rank: load, then when it was picked last */
	uint64_t turn;
};

static bool least_prepare(struct cluster_tier *t)
{
	struct least *l = calloc(1, sizeof(*l));

	t->prepared = l;
	if (l == NULL || !tournament_init(&l->loads, t->count))
		return false;
	for (uint32_t i = 0; i < t->count; i++)
		l->loads.ranks[i].second = i;
	l->turn = t->count;
	return true;
}

static void least_forget(struct cluster_tier *t)
{
	struct least *l = t->prepared;

	if (l != NULL)
		tournament_done(&l->loads);
	free(l);
	t->prepared = NULL;
}

/* 31 bits behind the point: below 64 altogether, and equal loads of different weights are equal.  In a slow start the
 * weight is but a share of itself. */
static uint64_t load_of(const struct cluster_member *m)
{
	unsigned __int128 load = ((uint64_t)m->active + 1) << 31;

	if (m->share < ENDPOINT_FULL_SHARE) {
		load = load * ENDPOINT_FULL_SHARE / ((uint64_t)m->weight * m->share);
		return load > UINT64_MAX ? UINT64_MAX : (uint64_t)load;
	}
	return (uint64_t)load / m->weight;
}

static void least_changed(struct cluster_tier *t, uint32_t place)
{
	const struct cluster_member *m = t->members[place];
	struct least *l = t->prepared;

	if (!m->is_open) {
		if (tournament_has(&l->loads, place))
			tournament_leave(&l->loads, place);
		return;
	}
	l->loads.ranks[place].first = load_of(m);
	tournament_enter(&l->loads, place);
}

static uint32_t least_pick(struct cluster_tier *t, const struct pick *p)
{
	struct least *l = t->prepared;
	uint32_t place = tournament_first(&l->loads);

	(void)p;
	l->loads.ranks[place].second = l->turn++; /* replayed by changed() */
	return place;
}

const struct algorithm algorithm_least_connections = {
	.name = "least_connections",
	.prepare = least_prepare,
	.forget = least_forget,
	.changed = least_changed,
	.pick = least_pick,
};
