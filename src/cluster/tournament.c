#include "cluster/tournament.h"

#include <stdlib.h>

bool tournament_init(struct tournament *t, uint32_t count)
{
	*t = (struct tournament){ .count = count };
	t->winners = malloc(2 * (size_t)count * sizeof(*t->winners));
	t->ranks = calloc(count, sizeof(*t->ranks));
	if (t->winners == NULL || t->ranks == NULL)
		return false;
	for (size_t i = 0; i < 2 * (size_t)count; i++)
		t->winners[i] = PICK_NOBODY;
	return true;
}

void tournament_done(struct tournament *t)
{
	free(t->winners);
	free(t->ranks);
	*t = (struct tournament){ 0 };
}

static bool is_before(const struct rank *x, uint32_t a, const struct rank *y, uint32_t b)
{
	if (x->first != y->first)
		return x->first < y->first;
	return x->second != y->second ? x->second < y->second : a < b;
}

/* From the player's leaf to the root.  Nothing changes above a match that the player neither won before nor wins now. */
static void replay(struct tournament *t, uint32_t player)
{
	uint32_t *winners = t->winners, node = t->count + player, best = winners[node];
	struct rank rank = t->ranks[player];

	while (node > 1) {
		uint32_t other = winners[node ^ 1], before = winners[node /= 2];

		if (other != PICK_NOBODY &&
		    (best == PICK_NOBODY || is_before(&t->ranks[other], other, &rank, best))) {
			best = other;
			rank = t->ranks[other];
		}
		if (before == best && best != player)
			return;
		winners[node] = best;
	}
}

void tournament_enter(struct tournament *t, uint32_t player)
{
	t->winners[t->count + player] = player;
	replay(t, player);
}

void tournament_leave(struct tournament *t, uint32_t player)
{
	t->winners[t->count + player] = PICK_NOBODY;
	replay(t, player);
}
