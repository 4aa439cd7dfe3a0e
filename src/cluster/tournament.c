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

static uint32_t match(const struct rank *ranks, uint32_t a, uint32_t b)
{
	const struct rank *x, *y;

	if (a == PICK_NOBODY)
		return b;
	if (b == PICK_NOBODY)
		return a;
	x = &ranks[a];
	y = &ranks[b];
	if (x->first != y->first)
		return x->first < y->first ? a : b;
	if (x->second != y->second)
		return x->second < y->second ? a : b;
	return a < b ? a : b;
}

/* Nothing changes above a match that the player neither won before nor wins now. */
static void replay(struct tournament *t, uint32_t player)
{
	uint32_t *winners = t->winners;

	for (uint32_t node = (t->count + player) / 2; node >= 1; node /= 2) {
		uint32_t before = winners[node];
		uint32_t now = match(t->ranks, winners[2 * node], winners[2 * node + 1]);

		winners[node] = now;
		if (before == now && now != player)
			return;
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
