#include "proxy/places.h"

#include "proxy/listener.h"
#include "proxy/worker.h"

#include <stdlib.h>
#include <string.h>

static bool take_below(atomic_uint *count, unsigned max)
{
	unsigned used = atomic_load(count);

	do {
		if (max > 0 && used >= max)
			return false;
	} while (!atomic_compare_exchange_weak(count, &used, used + 1));
	return true;
}

static bool try_take(struct places *p)
{
	return take_below(&p->used, atomic_load(&p->max));
}

/* ---- groups ---- */

void places_init(struct places *p)
{
	pthread_mutex_init(&p->lock, NULL);
	list_init(&p->groups);
}

void places_done(struct places *p)
{
	pthread_mutex_destroy(&p->lock);
}

static struct place_group *group_find(struct places *p, const char *name)
{
	list_for_each(node, &p->groups) {
		struct place_group *g = container_of(node, struct place_group, link);

		if (strcmp(g->name, name) == 0)
			return g;
	}
	return NULL;
}

static struct place_group *group_new(struct places *p, const char *name)
{
	struct place_group *g = calloc(1, sizeof(*g));

	if (g == NULL)
		return NULL;
	g->name = strdup(name);
	if (g->name == NULL) {
		free(g);
		return NULL;
	}
	list_append(&p->groups, &g->link);
	return g;
}

struct place_group *place_group_ref(struct places *p, const char *name)
{
	struct place_group *g;

	pthread_mutex_lock(&p->lock);
	g = group_find(p, name);
	if (g == NULL)
		g = group_new(p, name);
	if (g != NULL)
		g->refs++;
	pthread_mutex_unlock(&p->lock);
	return g;
}

void place_group_unref(struct places *p, struct place_group *g)
{
	if (g == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	if (--g->refs == 0)
		list_remove(&g->link);
	else
		g = NULL;
	pthread_mutex_unlock(&p->lock);
	if (g != NULL)
		free(g->name);
	free(g);
}

bool place_group_take(struct place_group *g, unsigned max)
{
	return take_below(&g->used, max);
}

void place_group_give(struct place_group *g, unsigned count)
{
	atomic_fetch_sub(&g->used, count);
}

/* ---- the process's ---- */

bool place_take(struct worker *w)
{
	if (try_take(w->places))
		return true;
	if (!atomic_exchange(&w->is_waiting, true))
		atomic_fetch_add(&w->places->waiting, 1);
	/* One may have been given back before anybody could know that we wait. */
	return try_take(w->places);
}

static void on_place(struct mail *m)
{
	listeners_resume(container_of(m, struct worker, place_mail));
}

void places_wake(struct worker *from)
{
	struct places *p = from->places;

	for (unsigned i = 0; i < from->all_count && atomic_load(&p->waiting) > 0; i++) {
		struct worker *w = &from->all[i];

		if (!atomic_exchange(&w->is_waiting, false))
			continue;
		atomic_fetch_sub(&p->waiting, 1);
		if (w == from) {
			listeners_resume(w);
			continue;
		}
		w->place_mail.run = on_place;
		ring_post(&from->ring, &w->ring, &w->place_mail);
	}
}

void place_give(struct worker *w)
{
	atomic_fetch_sub(&w->places->used, 1);
	if (atomic_load(&w->places->waiting) > 0)
		places_wake(w);
}
