/* cluster/queue, and what keeps endpoints from being picked for a while: max_pending, slow_start_rate. */
#include "cluster_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "cluster/fitness.h"
#include "cluster/inside.h"
#include "cluster/queue.h"

static void the_queue_is_in_order_and_bounded(void **state)
{
	struct clusters *clusters = clusters_new();
	struct fixture *f = fixture_new("round_robin", 1, NULL);
	struct cluster_view *v = cluster_view_new(clusters, &f->config);
	struct cluster *c = v->cluster;
	struct cluster_waiter w[4];
	int workers[4];

	(void)state;
	assert_null(cluster_queue_first(c));
	for (unsigned i = 0; i < 4; i++) {
		w[i].worker = &workers[i];
		assert_int_equal(cluster_queue_join(c, &w[i], 3), i < 3);
	}
	assert_int_equal(cluster_waiting(c), 3);
	assert_ptr_equal(cluster_queue_first(c), &workers[0]);
	assert_true(cluster_queue_is_first(c, &w[0]));
	assert_false(cluster_queue_is_first(c, &w[1]));
	cluster_queue_leave(c, &w[1]); /* from the middle */
	cluster_queue_leave(c, &w[0]);
	assert_ptr_equal(cluster_queue_first(c), &workers[2]);
	assert_true(cluster_queue_join(c, &w[3], 3));
	assert_true(cluster_queue_is_first(c, &w[2]));
	cluster_queue_leave(c, &w[2]);
	cluster_queue_leave(c, &w[3]);
	assert_int_equal(cluster_waiting(c), 0);
	cluster_view_free(v);
	clusters_free(clusters);
	free(f);
}

static void so_many_may_be_pending_and_no_more(void **state)
{
	(void)state;
	for (const char *const *name = algorithm_names(); *name != NULL; name++) {
		struct clusters *clusters = clusters_new();
		struct fixture *f = fixture_new(*name, 2, NULL);
		struct endpoint *held[6];
		struct cluster_view *v;
		struct pick p = { 0 };
		struct endpoint *e;

		f->config.max_pending = 3;
		v = cluster_view_new(clusters, &f->config);
		for (unsigned i = 0; i < 6; i++)
			assert_non_null(held[i] = pick_one(v, i));
		assert_int_equal(cluster_pick(v, &p, &e), PICK_FULL);
		/* an answer makes room although the place is kept */
		endpoint_answered(held[0]);
		assert_ptr_equal(e = pick_one(v, 0), held[0]);
		assert_int_equal(atomic_load(&e->active), 4);
		endpoint_answered(e);
		pick_over(e);
		for (unsigned i = 0; i < 6; i++) {
			if (i > 0)
				endpoint_answered(held[i]);
			pick_over(held[i]);
		}
		assert_int_equal(atomic_load(&v->members[0].endpoint->pending), 0);
		assert_int_equal(atomic_load(&v->members[1].endpoint->pending), 0);
		cluster_view_free(v);
		clusters_free(clusters);
		free(f);
	}
}

/* The clock is given, as cluster_clock() takes it. */
static void who_recovers_gets_so_many_a_second(void **state)
{
	(void)state;
	for (const char *const *name = algorithm_names(); *name != NULL; name++) {
		struct clusters *clusters = clusters_new();
		struct fixture *f = fixture_new(*name, 1, NULL);
		struct endpoint *e, *held[64];
		unsigned count = 0, before;
		struct cluster_view *v;

		f->config.slow_start_ms = 3600000;
		f->config.slow_start_rate_per_s = 50;
		v = cluster_view_new(clusters, &f->config);
		e = v->members[0].endpoint;
		/* a cluster that begins does not start slowly */
		for (; count < 20; count++)
			assert_non_null(held[count] = pick_one(v, count));
		endpoint_set_health(e, ENDPOINT_DOWN, "a test");
		endpoint_set_health(e, ENDPOINT_UP, "a test");
		for (unsigned tenth = 0; tenth < 3; tenth++) {
			before = count;
			e->fitness.pace_ms =
				clock_now_ms() + 60000; /* so that no tenth ends within the loop */
			e->fitness.paced = 0;
			while ((held[count] = pick_one(v, count)) != NULL)
				count++;
			assert_int_equal(count - before, 5);
			assert_true(e->fitness.is_paced_out);
			pthread_mutex_lock(&v->cluster->lock);
			cluster_clock(v->cluster, e->fitness.pace_ms + 50);
			assert_true(e->fitness.is_paced_out);
			cluster_clock(v->cluster, e->fitness.pace_ms + 100);
			pthread_mutex_unlock(&v->cluster->lock);
			assert_false(e->fitness.is_paced_out);
		}
		while (count > 0)
			pick_over(held[--count]);
		cluster_view_free(v);
		clusters_free(clusters);
		free(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_queue_is_in_order_and_bounded),
		cmocka_unit_test(so_many_may_be_pending_and_no_more),
		cmocka_unit_test(who_recovers_gets_so_many_a_second),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
