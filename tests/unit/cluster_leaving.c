/* cluster/leaving, cluster/rebalance, cluster/roster: what a command does, without a thread: turns are when they look. */
#include "cluster_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "cluster/fitness.h"
#include "cluster/inside.h"
#include "cluster/leaving.h"
#include "cluster/rebalance.h"
#include "cluster/roster.h"

static unsigned told;

static void tell(struct ring *from, void *user)
{
	(void)from;
	(void)user;
	told++;
}

/* A monitor that has an order and a ring for its timer, and no thread. */
struct bench {
	struct clusters *clusters;
	struct fixture *f;
	struct cluster_view *v;
	struct monitor m;
	struct monitor_cluster in_force;
	struct monitor_order order;
};

static void on_timer(struct timer *t)
{
	(void)t;
}

static void bench_start(struct bench *b, unsigned count)
{
	memset(b, 0, sizeof(*b));
	b->clusters = clusters_new();
	b->f = fixture_new("least_connections", count, NULL);
	b->f->config.drain = (struct drain_config){ 0, 4321, 10 };
	b->f->config.rebalance = (struct rebalance_config){ 0, 10 };
	b->v = cluster_view_new(b->clusters, &b->f->config);
	b->in_force = (struct monitor_cluster){ b->v, NULL };
	b->order = (struct monitor_order){ .clusters = &b->in_force, .clusters_count = 1 };
	b->m.clusters = b->clusters;
	b->m.order = &b->order;
	b->m.tell = tell;
	timer_init(&b->m.leaving_timer, on_timer);
	timers_init(&b->m.ring.timers, clock_now_ms());
	b->m.ring.now_ms = clock_now_ms();
	told = 0;
	leaving_look(&b->m);
}

static void bench_end(struct bench *b)
{
	timer_cancel(&b->m.leaving_timer);
	cluster_view_free(b->v);
	clusters_free(b->clusters);
	free(b->f);
}

static void a_drain_closes_at_its_rate_until_it_is_taken_back(void **state)
{
	struct endpoint *e, *other;
	struct bench b;
	uint64_t first_ms;

	(void)state;
	bench_start(&b, 2);
	e = b.v->members[0].endpoint;
	other = b.v->members[1].endpoint;
	endpoint_set_mode(e, ENDPOINT_DRAINING, "a test");
	endpoint_set_mode(other, ENDPOINT_DRAINING, "a test");
	leaving_look(&b.m);
	assert_int_equal(endpoint_closing(e), REASON_ENDPOINT_DRAINING);
	assert_int_equal(endpoint_close_code(e), 4321);
	assert_int_equal(told, 1);
	/* ten a second, over both */
	first_ms = endpoint_close_at(e, REASON_ENDPOINT_DRAINING, 5000);
	assert_int_equal(first_ms, 5000);
	assert_int_equal(endpoint_close_at(other, REASON_ENDPOINT_DRAINING, 5000), 5100);
	assert_int_equal(endpoint_close_at(e, REASON_ENDPOINT_DRAINING, 5000), 5200);
	assert_int_equal(endpoint_close_at(e, REASON_ENDPOINT_DRAINING, 9000), 9000);
	leaving_look(&b.m);
	assert_int_equal(told, 1); /* nothing is new */
	endpoint_set_mode(e, ENDPOINT_READY, "a test");
	leaving_look(&b.m);
	assert_int_equal(endpoint_closing(e), REASON_NONE);
	assert_int_equal(endpoint_closing(other), REASON_ENDPOINT_DRAINING);
	assert_int_equal(told, 2);
	bench_end(&b);
}

static void a_drain_waits_and_disabling_closes_nothing(void **state)
{
	struct endpoint *e;
	struct bench b;

	(void)state;
	bench_start(&b, 2);
	e = b.v->members[0].endpoint;
	b.f->config.drain.timeout_ms = 3600000;
	endpoint_set_mode(e, ENDPOINT_DRAINING, "a test");
	leaving_look(&b.m);
	assert_int_equal(endpoint_closing(e), REASON_NONE);
	assert_true(timer_is_armed(&b.m.leaving_timer));
	b.f->config.drain.timeout_ms = 0; /* as a reload would */
	leaving_look(&b.m);
	assert_int_equal(endpoint_closing(e), REASON_ENDPOINT_DRAINING);
	endpoint_set_mode(e, ENDPOINT_DISABLED, "a test");
	leaving_look(&b.m);
	assert_int_equal(endpoint_closing(e), REASON_NONE);
	assert_int_equal(pick_one(b.v, 0), b.v->members[1].endpoint);
	pick_over(b.v->members[1].endpoint);
	bench_end(&b);
}

static void only_the_excess_is_shed(void **state)
{
	static struct endpoint *kept[30];
	struct endpoint *e;
	struct bench b;

	(void)state;
	bench_start(&b, 1);
	e = b.v->members[0].endpoint;
	for (unsigned i = 0; i < 30; i++)
		kept[i] = pick_one(b.v, 0);
	fixture_add(b.f, 1, 1);
	fixture_add(b.f, 2, 1);
	cluster_view_free(b.v);
	b.v = cluster_view_new(b.clusters, &b.f->config);
	b.in_force.view = b.v;
	leaving_look(&b.m);
	assert_false(rebalance_is_on(e));
	assert_int_equal(cluster_rebalance(b.clusters, "test"), 20);
	assert_int_equal(cluster_rebalance(b.clusters, "nobody"), -1);
	/* three workers have 20, 7 and 3 of them */
	assert_int_equal(rebalance_claim(e, 20), 14);
	assert_int_equal(rebalance_claim(e, 7), 5);
	assert_int_equal(rebalance_claim(e, 3), 1);
	assert_false(rebalance_is_on(e));
	for (unsigned i = 0; i < 30; i++)
		pick_over(kept[i]);
	bench_end(&b);
}

static void the_roster_says_it_all(void **state)
{
	const struct endpoint_row *rows;
	struct endpoint *e;
	struct roster r;
	struct bench b;

	(void)state;
	bench_start(&b, 3);
	e = roster_find(b.clusters, "test", "e1");
	assert_ptr_equal(e, b.v->members[1].endpoint);
	assert_null(roster_find(b.clusters, "test", "e9"));
	assert_null(roster_find(b.clusters, "none", "e1"));
	endpoint_set_health(e, ENDPOINT_DOWN, "a check");
	endpoint_set_mode(b.v->members[2].endpoint, ENDPOINT_DRAINING, "asked to");
	leaving_look(&b.m);
	roster_take(&r, b.clusters, NULL);
	rows = r.rows;
	assert_int_equal(r.count, 3);
	assert_string_equal(rows[0].state, "ready");
	assert_true(rows[0].is_usable);
	assert_string_equal(rows[0].endpoint, "e0");
	assert_ptr_equal(roster_row(&r, "test", "e2"), &rows[2]);
	assert_null(roster_row(&r, "test", "e3"));
	assert_string_equal(rows[1].state, "down");
	assert_string_equal(rows[1].why, "a check");
	assert_string_equal(rows[2].state, "draining");
	assert_int_equal(rows[2].closing, REASON_ENDPOINT_DRAINING);
	assert_false(rows[1].is_usable || rows[2].is_usable);
	roster_done(&r);
	endpoint_unref(e);
	bench_end(&b);
}

static unsigned picks_of(struct cluster_view *v, unsigned member, unsigned count)
{
	unsigned got = 0;

	for (unsigned i = 0; i < count; i++) {
		struct endpoint *e = pick_one(v, hash_mix(i));

		assert_non_null(e);
		got += index_of(v, e) == member;
		pick_over(e);
	}
	return got;
}

static void weights_change_at_run_time(void **state)
{
	(void)state;
	for (unsigned which = 0; which < 2; which++) {
		static const char *const algorithms[] = { "round_robin", "consistent_hash" };
		struct clusters *clusters = clusters_new();
		struct fixture *f = fixture_new(algorithms[which], 2, (const uint32_t[]){ 1, 0 });
		struct cluster_view *v = cluster_view_new(clusters, &f->config);
		struct endpoint *held = pick_one(v, 1);

		assert_int_equal(picks_of(v, 1, 100), 0);
		assert_int_equal(endpoint_set_weight(v->members[1].endpoint, 3), 0);
		assert_in_range(picks_of(v, 1, 400), 270, 330);
		assert_int_equal(endpoint_set_weight(v->members[0].endpoint, 0), 0);
		assert_int_equal(picks_of(v, 1, 50), 50);
		assert_int_equal(endpoint_set_weight(v->members[1].endpoint, 0), 0);
		assert_null(pick_one(v, 1));
		pick_over(held);
		assert_int_equal(cluster_active(v->cluster), 0);
		cluster_view_free(v);
		clusters_free(clusters);
		free(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_drain_closes_at_its_rate_until_it_is_taken_back),
		cmocka_unit_test(a_drain_waits_and_disabling_closes_nothing),
		cmocka_unit_test(only_the_excess_is_shed),
		cmocka_unit_test(the_roster_says_it_all),
		cmocka_unit_test(weights_change_at_run_time),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
