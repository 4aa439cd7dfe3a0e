/* A tournament: which of many has the lowest rank, kept while ranks change.
 *
 * A binary tree of winners over a fixed number of players; a change replays one path to the root.  Equal ranks: the lower
 * index wins.  Called by: the algorithms of this floor.  Not for sharing between threads. */
#ifndef CLUSTER_TOURNAMENT_H
#define CLUSTER_TOURNAMENT_H

#include "cluster/pick.h"

/* Compared by `first`, then by `second`. */
struct rank {
	uint64_t first, second;
};

struct tournament {
	uint32_t count;
	uint32_t *winners;  /* node 1 is the root, the leaves begin at `count`; `count`: nobody below */
	struct rank *ranks; /* also of who is out */
};

/* `count` > 0 players, all out, ranks zero.  false: out of memory; tournament_done() may follow. */
bool tournament_init(struct tournament *t, uint32_t count);
void tournament_done(struct tournament *t); /* accepts zeros */

/* Plays with ranks[player], which the caller has set. */
void tournament_enter(struct tournament *t, uint32_t player);
void tournament_leave(struct tournament *t, uint32_t player);

static inline bool tournament_has(const struct tournament *t, uint32_t player)
{
	return t->winners[t->count + player] != t->count;
}

/* PICK_NOBODY: all are out. */
static inline uint32_t tournament_first(const struct tournament *t)
{
	return t->winners[1] != t->count ? t->winners[1] : PICK_NOBODY;
}

#endif
