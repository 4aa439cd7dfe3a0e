#include "cluster/maglev.h"

#include "base/hash.h"
#include "cluster/tournament.h"

#include <stdlib.h>

/* Another size is another table, where nearly every key moves: so there are few of them, and none is left by clusters
 * that grow and shrink in a usual way.  At least ten entries a member. */
static const uint32_t sizes[] = { 65537, 655373, 6553621, 65536043 };

static uint32_t size_for(uint32_t count)
{
	size_t i = 0;

	while (i + 1 < ARRAY_LEN(sizes) && sizes[i] / 10 < count)
		i++;
	return sizes[i];
}

/* A member's own order of all entries: from one that its id says, in steps that its id says. */
struct walk {
	uint32_t at, step;
};

static uint32_t entry_next(const struct maglev *m, struct walk *w)
{
	uint32_t at;

	do {
		at = w->at;
		w->at = (uint32_t)(((uint64_t)w->at + w->step) % m->size);
	} while (m->entries[at] != PICK_NOBODY);
	return at;
}

/* Whose turn it is: each has turns at (n + 1/2) / weight, whoever else there is, so that one who goes does not change
 * the order of the others. */
static void fill(struct maglev *m, const struct maglev_member *members, struct walk *walks,
		 struct tournament *turns)
{
	for (uint32_t i = 0; i < turns->count; i++) {
		turns->ranks[i].first = ((uint64_t)1 << 32) / members[i].weight;
		turns->ranks[i].second = 1;
		tournament_enter(turns, i);
	}
	for (uint32_t placed = 0; placed < m->size; placed++) {
		uint32_t i = tournament_first(turns);
		struct rank *turn = &turns->ranks[i];

		m->entries[entry_next(m, &walks[i])] = i;
		turn->second += 2;
		turn->first = (turn->second << 32) / members[i].weight;
		tournament_enter(turns, i);
	}
}

bool maglev_init(struct maglev *m, const struct maglev_member *members, uint32_t count)
{
	struct walk *walks = calloc(count, sizeof(*walks));
	struct tournament turns;
	bool ok = tournament_init(&turns, count) && walks != NULL;

	m->size = size_for(count);
	m->entries = malloc(m->size * sizeof(*m->entries));
	ok = ok && m->entries != NULL;
	for (uint32_t i = 0; ok && i < m->size; i++)
		m->entries[i] = PICK_NOBODY;
	for (uint32_t i = 0; ok && i < count; i++) {
		walks[i].at = (uint32_t)(hash_mix(members[i].id_hash) % m->size);
		walks[i].step = 1 + (uint32_t)(hash_mix(~members[i].id_hash) % (m->size - 1));
	}
	if (ok)
		fill(m, members, walks, &turns);
	tournament_done(&turns);
	free(walks);
	return ok;
}

void maglev_done(struct maglev *m)
{
	free(m->entries);
	*m = (struct maglev){ 0 };
}
