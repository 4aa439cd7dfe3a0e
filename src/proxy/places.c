#include "proxy/places.h"

#include "proxy/listener.h"
#include "proxy/worker.h"

static bool try_take(struct places *p)
{
	unsigned max = atomic_load(&p->max);
	unsigned used = atomic_load(&p->used);

	do {
		if (max > 0 && used >= max)
			return false;
	} while (!atomic_compare_exchange_weak(&p->used, &used, used + 1));
	return true;
}

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
