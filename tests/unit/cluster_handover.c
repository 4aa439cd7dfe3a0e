/* cluster/handover: what one process knows of endpoints, the next one knows as well. */
#include "cluster_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "cluster/fitness.h"
#include "cluster/handover.h"
#include "cluster/inside.h"
#include "cluster/roster.h"

#define COUNT 6

/* The names that a state borrows live as long as the first registry. */
struct told {
	struct endpoint_state states[COUNT];
	unsigned count;
};

static void note(const struct endpoint_state *s, void *user)
{
	struct told *t = user;

	assert_true(t->count < COUNT);
	t->states[t->count++] = *s;
}

static void states_are_told_and_restored(void **state)
{
	struct clusters *before = clusters_new(), *after = clusters_new();
	struct fixture *f = fixture_new("least_connections", COUNT, NULL);
	struct cluster_view *old = cluster_view_new(before, &f->config), *new;
	struct told told = { .count = 0 };
	struct endpoint *e;

	(void)state;
	endpoint_set_health(old->members[0].endpoint, ENDPOINT_DOWN, "check: refused");
	endpoint_set_mode(old->members[1].endpoint, ENDPOINT_DRAINING, "by hand");
	endpoint_set_mode(old->members[2].endpoint, ENDPOINT_DISABLED, "by hand");
	pthread_mutex_lock(&old->cluster->lock);
	fitness_eject(old->members[3].endpoint, clock_now_ms(), 3600000, "5 failures");
	pthread_mutex_unlock(&old->cluster->lock);
	assert_int_equal(endpoint_set_weight(old->members[4].endpoint, 7), 0);
	handover_each(before, note, &told);
	assert_int_equal(told.count, COUNT);

	new = cluster_view_new(after, &f->config);
	for (unsigned i = 0; i < COUNT; i++)
		assert_true(handover_restore(after, &told.states[i]));
	e = new->members[0].endpoint;
	assert_int_equal(e->fitness.health, ENDPOINT_DOWN);
	assert_string_equal(e->fitness.why, "check: refused");
	assert_int_equal(new->members[1].endpoint->fitness.mode, ENDPOINT_DRAINING);
	assert_int_equal(new->members[2].endpoint->fitness.mode, ENDPOINT_DISABLED);
	e = new->members[3].endpoint;
	assert_true(e->fitness.ejected_until_ms > clock_now_ms() + 3000000);
	assert_int_equal(new->members[4].weight, 7);
	assert_int_equal(new->members[5].weight, 1);
	for (uint64_t i = 0; i < 40; i++) { /* only those who are fit */
		e = pick_one(new, i);
		assert_true(e == new->members[4].endpoint || e == new->members[5].endpoint);
		pick_over(e);
	}
	cluster_view_free(old);
	cluster_view_free(new);
	clusters_free(before);
	clusters_free(after);
	free(f);
}

static void an_endpoint_that_nobody_names_is_forgotten(void **state)
{
	struct clusters *c = clusters_new();
	struct endpoint_state s = { .cluster = "gone", .endpoint = "10.0.0.1:80", .why = "", .weight = -1 };

	(void)state;
	assert_false(handover_restore(c, &s));
	clusters_free(c);
}

static void a_slow_start_goes_on(void **state)
{
	struct clusters *c = clusters_new();
	struct fixture *f = fixture_new("round_robin", 2, NULL);
	struct cluster_view *v;
	struct endpoint_state s = { .cluster = "test", .endpoint = "e1", .why = "", .weight = -1, .slow_since_ms = 15000 };

	(void)state;
	f->config.slow_start_ms = 60000;
	v = cluster_view_new(c, &f->config);
	assert_true(handover_restore(c, &s));
	assert_in_range(v->members[1].endpoint->fitness.share, 240, 260);
	s.slow_since_ms = HANDOVER_NO_SLOW_START;
	s.endpoint = "e0";
	assert_true(handover_restore(c, &s));
	assert_int_equal(v->members[0].endpoint->fitness.share, ENDPOINT_FULL_SHARE);
	cluster_view_free(v);
	clusters_free(c);
	free(f);
}

static void cookies_have_the_same_tokens(void **state)
{
	struct clusters *before = clusters_new(), *after = clusters_new();
	struct fixture *f = fixture_new("round_robin", 2, NULL);
	struct affinity_cookie cookie = { 0 };
	struct cluster_view *old, *new;
	uint8_t secret[STICKY_SECRET_LEN];

	(void)state;
	f->config.affinity.cookie = &cookie;
	old = cluster_view_new(before, &f->config);
	handover_secret(before, secret);
	handover_set_secret(after, secret);
	new = cluster_view_new(after, &f->config);
	assert_string_equal(old->members[1].token, new->members[1].token);
	cluster_view_free(old);
	cluster_view_free(new);
	clusters_free(before);
	clusters_free(after);
	free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(states_are_told_and_restored),
		cmocka_unit_test(an_endpoint_that_nobody_names_is_forgotten),
		cmocka_unit_test(a_slow_start_goes_on),
		cmocka_unit_test(cookies_have_the_same_tokens),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
