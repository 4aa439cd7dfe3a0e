/* Weighted round robin: exact shares in every period of as many picks as the sum of the weights, and smooth within it.
 *
 * Each member has `weight` turns in a period, evenly spaced in [0, 1); members of equal weight are shifted against each
 * other by equal steps, so that together they make an even comb as well.  Who has the earliest turn is picked, and its
 * next turn enters: the logarithm of the members, where the textbook's way touches all of them.  1, 1, 1 goes in the
 * file's order; 5, 1, 1 goes a b a a a c a.
 * A member that was closed goes on with its next turn from now: what it missed is not made up for.  One in a slow start
 * lets turns pass. */
#include "cluster/tournament.h"

#include <stdlib.h>

/* Times within a period are 63-bit fractions. */
#define PERIOD ((uint64_t)1 << 63)
/* So many turns in a row are let pass, when all are in their slow starts. */
#define SKIPS_MAX 128u

struct comb {
	uint64_t stride; /* between two turns */
	uint64_t phase;	 /* of the first */
	uint32_t weight;
	uint32_t turn; /* the next, 0 .. weight - 1 */
	uint32_t saved; /* shares of turns that it let pass, in thousandths of one */
};

struct round {
	struct tournament turns; /* rank: period, then time within it */
	struct comb *combs;
	struct rank now; /* the latest turn that was taken */
};

struct by_weight {
	uint32_t weight, place;
};

static int by_weight_compare(const void *a, const void *b)
{
	const struct by_weight *x = a, *y = b;

	if (x->weight != y->weight)
		return x->weight < y->weight ? -1 : 1;
	return x->place < y->place ? -1 : x->place > y->place;
}

/* The combs of `count` members of one weight: shifted by (rank + 1/2) / count of a stride. */
static void combs_shift(struct round *r, const struct by_weight *same, uint32_t count)
{
	uint64_t stride = PERIOD / same->weight;

	for (uint32_t i = 0; i < count; i++) {
		r->combs[same[i].place] = (struct comb){
			.stride = stride,
			.phase = (uint64_t)((unsigned __int128)stride * (2 * (uint64_t)i + 1) /
					    (2 * (uint64_t)count)),
			.weight = same[i].weight,
		};
		r->turns.ranks[same[i].place].second = r->combs[same[i].place].phase;
	}
}

static bool round_prepare(struct cluster_tier *t)
{
	struct round *r = calloc(1, sizeof(*r));
	struct by_weight *sorted = calloc(t->count, sizeof(*sorted));
	bool ok = r != NULL && sorted != NULL;

	t->prepared = r;
	if (ok)
		r->combs = calloc(t->count, sizeof(*r->combs));
	ok = ok && tournament_init(&r->turns, t->count) && r->combs != NULL;
	for (uint32_t i = 0; ok && i < t->count; i++)
		sorted[i] = (struct by_weight){ t->members[i]->weight, i };
	if (ok) {
		qsort(sorted, t->count, sizeof(*sorted), by_weight_compare);
		for (uint32_t from = 0, to = 0; from < t->count; from = to) {
			while (to < t->count && sorted[to].weight == sorted[from].weight)
				to++;
			combs_shift(r, sorted + from, to - from);
		}
	}
	free(sorted);
	return ok;
}

static void round_forget(struct cluster_tier *t)
{
	struct round *r = t->prepared;

	if (r != NULL) {
		tournament_done(&r->turns);
		free(r->combs);
	}
	free(r);
	t->prepared = NULL;
}

/* The first turn of the comb that is not before now. */
static void comb_catch_up(struct comb *c, struct rank *turn, const struct rank *now)
{
	uint64_t missed = 0;

	if (turn->first > now->first || (turn->first == now->first && turn->second >= now->second))
		return;
	if (now->second > c->phase)
		missed = (now->second - c->phase + c->stride - 1) / c->stride;
	turn->first = now->first + missed / c->weight;
	c->turn = (uint32_t)(missed % c->weight);
	turn->second = c->phase + c->turn * c->stride;
}

static void round_changed(struct cluster_tier *t, uint32_t place)
{
	struct round *r = t->prepared;
	bool is_open = t->members[place]->is_open;

	if (is_open == tournament_has(&r->turns, place))
		return;
	if (is_open) {
		comb_catch_up(&r->combs[place], &r->turns.ranks[place], &r->now);
		tournament_enter(&r->turns, place);
	} else {
		tournament_leave(&r->turns, place);
	}
}

static uint32_t turn_take(struct round *r)
{
	uint32_t place = tournament_first(&r->turns);
	struct comb *c = &r->combs[place];
	struct rank *turn = &r->turns.ranks[place];

	r->now = *turn;
	if (++c->turn == c->weight) {
		c->turn = 0;
		turn->first++;
	}
	turn->second = c->phase + c->turn * c->stride;
	tournament_enter(&r->turns, place);
	return place;
}

static bool lets_pass(struct comb *c, const struct cluster_member *m)
{
	if (m->share >= ENDPOINT_FULL_SHARE)
		return false;
	c->saved += m->share;
	if (c->saved < ENDPOINT_FULL_SHARE)
		return true;
	c->saved -= ENDPOINT_FULL_SHARE;
	return false;
}

static uint32_t round_pick(struct cluster_tier *t, const struct pick *p)
{
	struct round *r = t->prepared;
	uint32_t place = turn_take(r);

	(void)p;
	for (unsigned i = 0; i < SKIPS_MAX && lets_pass(&r->combs[place], t->members[place]); i++)
		place = turn_take(r);
	return place;
}

const struct algorithm algorithm_round_robin = {
	.name = "round_robin",
	.prepare = round_prepare,
	.forget = round_forget,
	.changed = round_changed,
	.pick = round_pick,
};
