/* cluster/cluster among threads: totals add up while views come and go.  Worth most under ThreadSanitizer. */
#include "cluster_fixture.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/random.h"
#include "cluster/pick.h"

#define THREADS 4
#define PICKS	20000
#define HELD	32
#define COUNT	20
#define LIMIT	5

struct worker {
	struct cluster_view *view;
	pthread_t thread;
	unsigned picked, full;
};

/* Picks and gives back at random; a limit is never seen to be broken. */
static void *work(void *user)
{
	struct worker *w = user;
	struct endpoint *held[HELD] = { NULL };
	struct addr addr;

	for (unsigned i = 0; i < PICKS; i++) {
		struct endpoint **slot = &held[random_below(HELD)];

		if (*slot != NULL) {
			pick_over(*slot);
			*slot = NULL;
		}
		*slot = pick_one(w->view, random_fast());
		if (*slot == NULL) {
			w->full++;
			continue;
		}
		w->picked++;
		if ((*slot)->active > LIMIT || !endpoint_addr(*slot, &addr))
			abort();
	}
	for (unsigned i = 0; i < HELD; i++) {
		if (held[i] != NULL)
			pick_over(held[i]);
	}
	return NULL;
}

/* What a reload does meanwhile: other members, in and out. */
static void reload(struct clusters *clusters, const char *balance, unsigned times)
{
	for (unsigned n = 0; n < times; n++) {
		struct fixture *f = fixture_new(balance, 0, NULL);
		struct cluster_view *v;
		struct endpoint *e;

		for (unsigned i = n % 3; i < COUNT + n % 5; i++)
			fixture_add(f, i, 1 + n % 2)->max_connections = LIMIT;
		v = cluster_view_new(clusters, &f->config);
		e = pick_one(v, n);
		cluster_view_free(v);
		if (e != NULL)
			pick_over(e); /* perhaps the last who knows it */
		free(f);
	}
}

static void totals_add_up(void **state)
{
	(void)state;
	for (const char *const *name = algorithm_names(); *name != NULL; name++) {
		struct clusters *clusters = clusters_new();
		struct fixture *f = fixture_new(*name, COUNT, NULL);
		struct worker workers[THREADS] = { 0 };
		struct cluster_view *v;
		uint64_t total = 0, picked = 0, full = 0;

		for (unsigned i = 0; i < COUNT; i++)
			f->endpoints[i].max_connections = LIMIT;
		v = cluster_view_new(clusters, &f->config);
		for (unsigned i = 0; i < THREADS; i++) {
			workers[i].view = v;
			assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
		}
		reload(clusters, *name, 20);
		for (unsigned i = 0; i < THREADS; i++) {
			pthread_join(workers[i].thread, NULL);
			picked += workers[i].picked;
			full += workers[i].full;
		}
		for (unsigned i = 0; i < COUNT; i++) {
			assert_int_equal(v->members[i].endpoint->active, 0);
			total += v->members[i].endpoint->total;
		}
		assert_int_equal(picked + full, THREADS * PICKS);
		assert_in_range(total, picked, picked + 20); /* and the reloads' own */
		assert_int_equal(cluster_active(v->cluster), 0);
		cluster_view_free(v);
		clusters_free(clusters);
		free(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(totals_add_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
