/* cluster/fitness, cluster/outlier: who is well, ejections and their bounds, panics, zones, slow starts. */
#include "cluster_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "cluster/fitness.h"
#include "cluster/inside.h"
#include "cluster/outlier.h"
#include "cluster/pick.h"

enum { WELL = 0, DOWN = 1, EJECTED = 2, DRAINING = 4, DISABLED = 8, REMOTE = 16, BACKUP = 32 };

/* Whom a hundred picks may reach, as bits; 0: PICK_NONE. */
static const struct {
	const char *name;
	unsigned panic_percent, want, count;
	unsigned is[4];
} cases[] = {
	{ "all are well", 25, 7, 3, { WELL, WELL, WELL } },
	{ "who is down is left alone", 25, 5, 3, { WELL, DOWN, WELL } },
	{ "who is ejected is left alone", 25, 5, 3, { WELL, EJECTED, WELL } },
	{ "who is draining is left alone", 25, 5, 3, { WELL, DRAINING, WELL } },
	{ "who is disabled is left alone", 25, 5, 3, { WELL, DISABLED, WELL } },
	{ "half is enough", 50, 1, 2, { WELL, DOWN } },
	{ "less than the threshold is a panic", 51, 3, 2, { WELL, DOWN } },
	{ "a panic spares who is draining", 90, 5, 3, { WELL, DRAINING, DOWN } },
	{ "draining ones do not count", 100, 1, 2, { WELL, DRAINING } },
	{ "all down: a panic", 1, 3, 2, { DOWN, EJECTED } },
	{ "all down, and never a panic", 0, 0, 2, { DOWN, EJECTED } },
	{ "all draining", 25, 0, 2, { DRAINING, DISABLED } },
	{ "a backup before a panic", 100, 4, 3, { DOWN, DOWN, BACKUP } },
	{ "backups panic too", 25, 2, 2, { DRAINING, BACKUP | DOWN } },
	{ "a panic without backups that are down", 25, 1, 2, { DOWN, BACKUP | DOWN } },
	{ "the own zone first", 25, 3, 3, { WELL, WELL, REMOTE } },
	{ "another zone where the own one is down", 25, 4, 3, { DOWN, DOWN, REMOTE } },
	{ "another zone before backups", 25, 2, 3, { DOWN, REMOTE, BACKUP } },
};

static void set_up(struct cluster_view *v, unsigned i, unsigned is)
{
	struct endpoint *e = v->members[i].endpoint;

	if (is & DOWN)
		endpoint_set_health(e, ENDPOINT_DOWN, "a test");
	if (is & DRAINING)
		endpoint_set_mode(e, ENDPOINT_DRAINING, "a test");
	if (is & DISABLED)
		endpoint_set_mode(e, ENDPOINT_DISABLED, "a test");
	if (is & EJECTED) {
		pthread_mutex_lock(&v->cluster->lock);
		fitness_eject(e, clock_now_ms(), 3600000, "a test");
		pthread_mutex_unlock(&v->cluster->lock);
	}
}

static unsigned reached(struct cluster_view *v)
{
	unsigned bits = 0;

	for (uint64_t i = 0; i < 100; i++) {
		struct endpoint *e = pick_one(v, hash_mix(i));

		if (e == NULL)
			continue;
		bits |= 1u << index_of(v, e);
		pick_over(e);
	}
	return bits;
}

static void only_who_is_fit_is_picked(void **state)
{
	static char other_zone[] = "b";
	(void)state;
	for (const char *const *name = algorithm_names(); *name != NULL; name++) {
		for (size_t n = 0; n < ARRAY_LEN(cases); n++) {
			struct clusters *clusters = clusters_new();
			struct fixture *f = fixture_new(*name, cases[n].count, NULL);
			struct cluster_view *v, *again;
			unsigned got;

			f->config.panic_threshold_percent = cases[n].panic_percent;
			f->config.own_zone = "a";
			for (unsigned i = 0; i < cases[n].count; i++) {
				f->endpoints[i].zone = cases[n].is[i] & REMOTE ? other_zone : NULL;
				f->endpoints[i].backup = cases[n].is[i] & BACKUP;
			}
			v = cluster_view_new(clusters, &f->config);
			for (unsigned i = 0; i < cases[n].count; i++)
				set_up(v, i, cases[n].is[i]);
			got = reached(v);
			if (got != cases[n].want)
				fail_msg("%s, %s: %u, want %u", *name, cases[n].name, got, cases[n].want);
			/* and it outlives a reload */
			again = cluster_view_new(clusters, &f->config);
			cluster_view_free(v);
			got = reached(again);
			if (got != cases[n].want)
				fail_msg("%s, %s, reloaded: %u, want %u", *name, cases[n].name, got, cases[n].want);
			cluster_view_free(again);
			clusters_free(clusters);
			free(f);
		}
	}
}

static struct cluster_view *eject_view(struct clusters *clusters, struct fixture *f)
{
	f->config.outlier = (struct outlier_config){ 3, 1000, 50 };
	return cluster_view_new(clusters, &f->config);
}

static void fail_times(struct endpoint *e, unsigned times)
{
	while (times-- > 0)
		outlier_failed(e, REASON_CONNECT_FAILED);
}

static void failures_in_a_row_eject(void **state)
{
	struct clusters *clusters = clusters_new();
	struct fixture *f = fixture_new("round_robin", 4, NULL);
	struct cluster_view *v = eject_view(clusters, f);
	struct endpoint *e = v->members[0].endpoint;

	(void)state;
	fail_times(e, 2);
	outlier_succeeded(e);
	fail_times(e, 2);
	assert_int_equal(reached(v), 15);
	outlier_failed_status(e, 503);
	assert_int_equal(reached(v), 14);
	assert_string_equal(e->fitness.why, "3 failures in a row, the last: status 503");
	/* half of four are two: the third stays */
	fail_times(v->members[1].endpoint, 3);
	fail_times(v->members[2].endpoint, 3);
	assert_int_equal(reached(v), 12);
	/* and goes as soon as there is room for it */
	pthread_mutex_lock(&v->cluster->lock);
	cluster_clock(v->cluster, clock_now_ms() + 1001);
	pthread_mutex_unlock(&v->cluster->lock);
	assert_int_equal(reached(v), 15);
	fail_times(v->members[2].endpoint, 3);
	assert_int_equal(reached(v), 11);
	cluster_view_free(v);
	clusters_free(clusters);
	free(f);
}

static void a_handshake_does_not_excuse_a_death(void **state)
{
	struct clusters *clusters = clusters_new();
	struct fixture *f = fixture_new("round_robin", 2, NULL);
	struct cluster_view *v = eject_view(clusters, f);
	struct endpoint *e = v->members[0].endpoint;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		outlier_upgraded(e);
		outlier_died(e);
	}
	assert_int_equal(reached(v), 2);
	cluster_view_free(v);
	clusters_free(clusters);
	free(f);
}

static void each_ejection_lasts_longer_until_it_goes_well(void **state)
{
	struct clusters *clusters = clusters_new();
	struct fixture *f = fixture_new("round_robin", 2, NULL);
	struct cluster_view *v = eject_view(clusters, f);
	struct endpoint *e = v->members[0].endpoint;

	(void)state;
	for (unsigned i = 1; i <= 12; i++) {
		uint64_t now_ms, lasts_ms;

		fail_times(e, 3);
		now_ms = clock_now_ms();
		lasts_ms = e->fitness.ejected_until_ms - now_ms;
		assert_in_range(lasts_ms, 1000 * (i < 10 ? i : 10) - 500, 1000 * (i < 10 ? i : 10));
		pthread_mutex_lock(&v->cluster->lock);
		cluster_clock(v->cluster, e->fitness.ejected_until_ms);
		e->fitness.readmitted_ms = now_ms; /* as if it had been over by then */
		pthread_mutex_unlock(&v->cluster->lock);
	}
	e->fitness.readmitted_ms = clock_now_ms() - 8500; /* eight times eject_for went well */
	fail_times(e, 3);
	assert_in_range(e->fitness.ejected_until_ms - clock_now_ms(), 2500, 3000);
	cluster_view_free(v);
	clusters_free(clusters);
	free(f);
}

/* How many of `count` picks, all kept, go to the last member. */
static unsigned share_of_last(struct cluster_view *v, unsigned count, struct endpoint **kept)
{
	unsigned got = 0;

	for (unsigned i = 0; i < count; i++) {
		kept[i] = pick_one(v, hash_mix(i + 1));
		assert_non_null(kept[i]);
		got += index_of(v, kept[i]) == v->members_count - 1;
	}
	for (unsigned i = 0; i < count; i++)
		pick_over(kept[i]);
	return got;
}

static void a_newcomer_starts_slowly(void **state)
{
	static struct endpoint *kept[4000];

	(void)state;
	for (const char *const *name = algorithm_names(); *name != NULL; name++) {
		struct clusters *clusters = clusters_new();
		struct fixture *f = fixture_new(*name, 3, NULL);
		struct cluster_view *before, *v;
		struct endpoint *e;
		unsigned early, half, late;

		f->config.slow_start_ms = 1000000;
		before = cluster_view_new(clusters, &f->config);
		assert_int_equal(before->members[0].endpoint->fitness.share, ENDPOINT_FULL_SHARE);
		fixture_add(f, 3, 1);
		v = cluster_view_new(clusters, &f->config);
		e = v->members[3].endpoint;
		early = share_of_last(v, 4000, kept);
		pthread_mutex_lock(&v->cluster->lock);
		cluster_clock(v->cluster, clock_now_ms() + 500000);
		pthread_mutex_unlock(&v->cluster->lock);
		assert_in_range(e->fitness.share, 490, 500);
		atomic_store(&v->cluster->due_ms, 0); /* the picks are made at that time */
		half = share_of_last(v, 4000, kept);
		pthread_mutex_lock(&v->cluster->lock);
		cluster_clock(v->cluster, clock_now_ms() + 1000000);
		pthread_mutex_unlock(&v->cluster->lock);
		assert_int_equal(e->fitness.share, ENDPOINT_FULL_SHARE);
		late = share_of_last(v, 4000, kept);
		/* of a thousand that are its due: a hundredth, half, all */
		if (early > 60 || half < 450 || half > 750 || late < 900 || late > 1100)
			fail_msg("%s: %u, %u, %u", *name, early, half, late);
		cluster_view_free(before);
		cluster_view_free(v);
		clusters_free(clusters);
		free(f);
	}
}

static void who_comes_back_starts_slowly(void **state)
{
	struct clusters *clusters = clusters_new();
	struct fixture *f = fixture_new("round_robin", 2, NULL);
	struct cluster_view *v;
	struct endpoint *e;

	(void)state;
	f->config.slow_start_ms = 60000;
	v = eject_view(clusters, f);
	e = v->members[0].endpoint;
	endpoint_set_health(e, ENDPOINT_UP, "the first check");
	assert_int_equal(e->fitness.share, ENDPOINT_FULL_SHARE);
	endpoint_set_health(e, ENDPOINT_DOWN, "a check");
	endpoint_set_health(e, ENDPOINT_UP, "a check");
	assert_int_equal(e->fitness.share, 10);
	/* a reload without slow starts ends them */
	f->config.slow_start_ms = 0;
	cluster_view_free(cluster_view_new(clusters, &f->config));
	assert_int_equal(e->fitness.share, ENDPOINT_FULL_SHARE);
	cluster_view_free(v);
	clusters_free(clusters);
	free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_who_is_fit_is_picked),
		cmocka_unit_test(failures_in_a_row_eject),
		cmocka_unit_test(a_handshake_does_not_excuse_a_death),
		cmocka_unit_test(each_ejection_lasts_longer_until_it_goes_well),
		cmocka_unit_test(a_newcomer_starts_slowly),
		cmocka_unit_test(who_comes_back_starts_slowly),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
