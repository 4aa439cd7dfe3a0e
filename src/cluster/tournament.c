#include "cluster/tournament.h"

#include <stdlib.h>

/* Nobody is player `count`, whose rank is the highest there is: a match needs no other question. */
bool tournament_init(struct tournament *t, uint32_t count)
{
	*t = (struct tournament){ .count = count };
	t->winners = malloc(2 * (size_t)count * sizeof(*t->winners));
	t->ranks = calloc((size_t)count + 1, sizeof(*t->ranks));
	if (t->winners == NULL || t->ranks == NULL)
		return false;
	t->ranks[count] = (struct rank){ UINT64_MAX, UINT64_MAX };
	for (size_t i = 0; i < 2 * (size_t)count; i++)
		t->winners[i] = count;
	return true;
}

void tournament_done(struct tournament *t)
{
	free(t->winners);
	free(t->ranks);
	*t = (struct tournament){ 0 };
}

static unsigned __int128 key_of(const struct rank *r)
{
	return (unsigned __int128)r->first << 64 | r->second;
}

/* From the player's leaf to the root.  Nothing changes above a match that the player neither won before nor wins now. */
static void replay(struct tournament *t, uint32_t player)
{
	const struct rank *ranks = t->ranks;
	uint32_t *winners = t->winners;
	size_t node = (size_t)t->count + player, best = winners[node]; /* no narrower: it is the way of every pick */
	unsigned __int128 key = key_of(&ranks[best]);

	while (node > 1) {
		size_t other = winners[node ^ 1];
		unsigned __int128 others = key_of(&ranks[other]);

		if (others <= key && (others != key || other < best)) {
			best = other;
			key = others;
		}
		node /= 2;
		if (best != player && winners[node] == best)
			return;
		winners[node] = (uint32_t)best;
	}
}

void tournament_enter(struct tournament *t, uint32_t player)
{
	t->winners[t->count + player] = player;
	replay(t, player);
}

void tournament_leave(struct tournament *t, uint32_t player)
{
	t->winners[t->count + player] = t->count;
	replay(t, player);
}
