/* cluster/cluster, cluster/view, cluster/endpoint: what a pick answers, and what lives across reloads. */
#include "cluster_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/log.h"
#include "cluster/pick.h"

/* No name: refused without asking anybody (RFC 1035 3.1: no empty label but the last). */
#define NO_HOST ((char *)(uintptr_t) "no..such")

/* What is the matter with an endpoint. */
enum {
	WELL = 0,
	TRIED = 1,
	FULL = 2,
	UNRESOLVED = 4,
	WEIGHT_0 = 8,
	BACKUP = 16,
};

static const struct {
	const char *name;
	enum pick_result want;
	int picked; /* -1: nobody */
	uint32_t cluster_max;
	unsigned count;
	unsigned is[4];
} cases[] = {
	{ "nobody there", PICK_NONE, -1, 0, 0, { 0 } },
	{ "one who is well", PICK_OK, 0, 0, 1, { WELL } },
	{ "weight 0 alone", PICK_NONE, -1, 0, 1, { WEIGHT_0 } },
	{ "unresolved alone", PICK_NONE, -1, 0, 2, { UNRESOLVED, WEIGHT_0 | BACKUP } },
	{ "the tried one is passed over", PICK_OK, 1, 0, 2, { TRIED, WELL } },
	{ "the full one is passed over", PICK_OK, 1, 0, 2, { FULL, WELL } },
	{ "all tried", PICK_TRIED, -1, 0, 2, { TRIED, TRIED } },
	{ "all tried, and who is no candidate", PICK_TRIED, -1, 0, 3, { TRIED, UNRESOLVED, WEIGHT_0 } },
	{ "all full", PICK_FULL, -1, 0, 2, { FULL, FULL } },
	{ "one tried, one full", PICK_FULL, -1, 0, 2, { TRIED, FULL } },
	{ "tried and full", PICK_TRIED, -1, 0, 1, { TRIED | FULL } },
	{ "the cluster is full", PICK_FULL, -1, 1, 2, { FULL, WELL } },
	{ "the cluster is full, but all were tried", PICK_TRIED, -1, 1, 1, { TRIED | FULL } },
	{ "a backup waits", PICK_OK, 1, 0, 2, { BACKUP, WELL } },
	{ "a backup for a tried one", PICK_OK, 1, 0, 2, { TRIED, BACKUP } },
	{ "a backup for a full one", PICK_OK, 1, 0, 2, { FULL, BACKUP } },
	{ "a backup for an unresolved one", PICK_OK, 1, 0, 2, { UNRESOLVED, BACKUP } },
	{ "a backup for weight 0", PICK_OK, 1, 0, 2, { WEIGHT_0, BACKUP } },
	{ "a backup that was tried too", PICK_TRIED, -1, 0, 2, { TRIED, BACKUP | TRIED } },
	{ "a backup that is full", PICK_FULL, -1, 0, 2, { TRIED, BACKUP | FULL } },
	{ "the second backup", PICK_OK, 2, 0, 3, { TRIED, BACKUP | FULL, BACKUP } },
	{ "backups alone", PICK_OK, 0, 0, 1, { BACKUP } },
};

static void run_case(size_t n, const char *balance)
{
	struct clusters *clusters = clusters_new();
	struct fixture *f = fixture_new(balance, 0, NULL);
	struct endpoint *picked = NULL;
	struct cluster_view *v;
	struct pick p = { 0 };
	enum pick_result got;

	f->config.max_connections = cases[n].cluster_max;
	for (unsigned i = 0; i < cases[n].count; i++) {
		unsigned is = cases[n].is[i];
		struct endpoint_config *e = fixture_add(f, i, is & WEIGHT_0 ? 0 : 1);

		e->backup = (is & BACKUP) != 0;
		e->max_connections = is & FULL ? 1 : 0;
		if (is & UNRESOLVED) {
			e->addr_literal.len = 0;
			e->host = NO_HOST;
		}
	}
	v = cluster_view_new(clusters, &f->config);
	assert_non_null(v);
	/* what is full is filled by another view, where nobody else may be picked */
	for (unsigned i = 0; i < cases[n].count; i++) {
		struct endpoint *e = v->members[i].endpoint;

		if (cases[n].is[i] & TRIED)
			p.tried[p.tried_count++] = e;
		if (cases[n].is[i] & FULL) {
			struct fixture *alone = fixture_new("round_robin", 0, NULL);
			struct cluster_view *filling;

			fixture_add(alone, i, 1);
			filling = cluster_view_new(clusters, &alone->config);
			assert_ptr_equal(pick_one(filling, 0), e);
			cluster_view_free(filling);
			free(alone);
		}
	}
	got = cluster_pick(v, &p, &picked);
	if (got != cases[n].want)
		fail_msg("%s, %s: %d, want %d", balance, cases[n].name, got, cases[n].want);
	if (got == PICK_OK && (int)index_of(v, picked) != cases[n].picked)
		fail_msg("%s, %s: picked %u, want %d", balance, cases[n].name, index_of(v, picked),
			 cases[n].picked);
	if (got == PICK_OK)
		pick_over(picked);
	for (unsigned i = 0; i < cases[n].count; i++) {
		if (cases[n].is[i] & FULL)
			pick_over(v->members[i].endpoint);
		assert_int_equal(v->members[i].endpoint->active, 0);
	}
	assert_int_equal(cluster_active(v->cluster), 0);
	cluster_view_free(v);
	clusters_free(clusters);
	free(f);
}

static void every_algorithm_answers_alike(void **state)
{
	(void)state;
	for (const char *const *name = algorithm_names(); *name != NULL; name++) {
		for (size_t n = 0; n < ARRAY_LEN(cases); n++)
			run_case(n, *name);
	}
}

static void algorithms_are_found_by_name(void **state)
{
	unsigned count = 0;

	(void)state;
	for (const char *const *name = algorithm_names(); *name != NULL; name++, count++)
		assert_string_equal(algorithm_find(*name)->name, *name);
	assert_int_equal(count, 5);
	assert_non_null(algorithm_find(CONFIG_BALANCE_DEFAULT));
	assert_null(algorithm_find("no_such"));
}

static void limits_hold_and_open_again(void **state)
{
	(void)state;
	for (const char *const *name = algorithm_names(); *name != NULL; name++) {
		struct clusters *clusters = clusters_new();
		struct fixture *f = fixture_new(*name, 2, NULL);
		struct cluster_view *v;
		struct endpoint *held[5], *again;
		struct pick p = { 0 };

		f->endpoints[0].max_connections = 2;
		f->endpoints[1].max_connections = 3;
		v = cluster_view_new(clusters, &f->config);
		for (unsigned i = 0; i < 5; i++)
			assert_non_null(held[i] = pick_one(v, i));
		assert_int_equal(v->members[0].endpoint->active, 2);
		assert_int_equal(v->members[1].endpoint->active, 3);
		assert_int_equal(cluster_pick(v, &p, &again), PICK_FULL);
		for (unsigned i = 0; i < 5; i++) {
			endpoint_release(held[i]);
			assert_ptr_equal(again = pick_one(v, 7), held[i]);
			endpoint_unref(again);
		}
		for (unsigned i = 0; i < 5; i++)
			pick_over(held[i]);
		assert_int_equal(v->members[0].endpoint->total + v->members[1].endpoint->total, 10);
		cluster_view_free(v);
		clusters_free(clusters);
		free(f);
	}
}

static void a_reload_keeps_counts_and_identity(void **state)
{
	struct clusters *clusters = clusters_new();
	struct fixture *old = fixture_new("least_connections", 3, NULL);
	struct fixture *new = fixture_new("least_connections", 0, NULL);
	struct cluster_view *v = cluster_view_new(clusters, &old->config), *w;
	struct endpoint *held[6], *e;

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		held[i] = pick_one(v, 0);
	/* e0 goes, e1 and e2 change places, e3 is new */
	fixture_add(new, 2, 1);
	fixture_add(new, 1, 1);
	fixture_add(new, 3, 1);
	w = cluster_view_new(clusters, &new->config);
	assert_ptr_equal(w->cluster, v->cluster);
	assert_ptr_equal(w->members[0].endpoint, v->members[2].endpoint);
	assert_ptr_equal(w->members[1].endpoint, v->members[1].endpoint);
	assert_int_equal(w->members[0].endpoint->active, 2);
	assert_int_equal(w->members[2].endpoint->active, 0);
	assert_null(cluster_view_member(w, v->members[0].endpoint));
	assert_ptr_equal(cluster_view_member(w, w->members[2].endpoint), &w->members[2]);
	/* the new one is the emptiest, for two picks; each view hears of the other's */
	for (unsigned i = 0; i < 2; i++) {
		assert_ptr_equal(e = pick_one(w, 0), w->members[2].endpoint);
		endpoint_unref(e);
	}
	assert_ptr_equal(e = pick_one(v, 0), v->members[0].endpoint);
	pick_over(e);
	endpoint_release(w->members[2].endpoint);
	endpoint_release(w->members[2].endpoint);
	cluster_view_free(v);
	assert_int_equal(cluster_active(w->cluster), 6);
	for (unsigned i = 0; i < 6; i++)
		pick_over(held[i]); /* e0 goes here */
	cluster_view_free(w);
	clusters_free(clusters);
	free(old);
	free(new);
}

static void what_nobody_holds_is_forgotten(void **state)
{
	struct clusters *clusters = clusters_new();
	struct fixture *f = fixture_new("round_robin", 2, NULL);
	struct cluster_view *v = cluster_view_new(clusters, &f->config);
	struct endpoint *held = pick_one(v, 0);

	(void)state;
	/* the pick's reference keeps the endpoint, its cluster and the registry alive */
	cluster_view_free(v);
	v = cluster_view_new(clusters, &f->config);
	assert_ptr_equal(v->members[0].endpoint, held);
	assert_int_equal(v->members[0].active, 1);
	assert_int_equal(v->members[1].endpoint->total, 0);
	cluster_view_free(v);
	clusters_free(clusters);
	assert_string_equal(cluster_name(held->cluster), "test");
	pick_over(held);
	free(f);
}

static void give_addr(struct endpoint *e, const char *text, bool is_other)
{
	struct addr *addrs = calloc(2, sizeof(*addrs));

	assert_non_null(addrs);
	assert_int_equal(addr_parse(&addrs[0], text), 0);
	assert_int_equal(addr_parse(&addrs[1], "10.9.9.9:1"), 0);
	assert_int_equal(endpoint_set_addrs(e, addrs, 2), is_other);
}

/* A view looks up what is new, once; others find it later, and older views hear of that. */
static void names_are_looked_up_once_and_found_later(void **state)
{
	struct clusters *clusters = clusters_new();
	struct fixture *f = fixture_new("round_robin", 1, NULL), *g = fixture_new("round_robin", 2, NULL);
	struct cluster_view *v, *w;
	struct endpoint *picked, *e;
	struct pick p = { 0 };
	struct addr addr;

	(void)state;
	f->endpoints[0].addr_literal.len = 0;
	f->endpoints[0].host = NO_HOST;
	v = cluster_view_new(clusters, &f->config);
	e = v->members[0].endpoint;
	assert_int_equal(cluster_pick(v, &p, &picked), PICK_NONE);
	assert_false(endpoint_addr(e, &addr));
	g->endpoints[0].addr_literal.len = 0;
	g->endpoints[0].host = (char *)(uintptr_t) "localhost";
	g->endpoints[1].addr_literal.len = 0;
	g->endpoints[1].host = (char *)(uintptr_t) "localhost";
	g->endpoints[1].port = 8081;
	w = cluster_view_new(clusters, &g->config);
	assert_false(endpoint_addr(e, &addr)); /* not again: it would block */
	assert_true(endpoint_addr(w->members[1].endpoint, &addr));
	assert_int_equal(addr_port(&addr), 8081);
	give_addr(e, "10.1.1.1:80", true);
	assert_ptr_equal(picked = pick_one(v, 0), e);
	pick_over(picked);
	/* the one in use stays, whatever the order */
	give_addr(e, "10.1.1.2:80", true);
	endpoint_addr(e, &addr);
	endpoint_addr_failed(e, &addr);
	give_addr(e, "10.1.1.3:80", false);
	endpoint_addr(e, &addr);
	assert_int_equal(addr_port(&addr), 1);
	cluster_view_free(v);
	cluster_view_free(w);
	clusters_free(clusters);
	free(f);
	free(g);
}

static void an_address_that_fails_makes_way(void **state)
{
	struct clusters *clusters = clusters_new();
	struct fixture *f = fixture_new("round_robin", 1, NULL);
	struct cluster_view *v = cluster_view_new(clusters, &f->config);
	struct endpoint *e = v->members[0].endpoint;
	struct addr two[2], addr;

	(void)state;
	assert_int_equal(addr_parse(&two[0], "[::1]:80"), 0);
	assert_int_equal(addr_parse(&two[1], "127.0.0.1:80"), 0);
	/* the only one stays whatever becomes of it */
	assert_true(endpoint_addr(e, &addr));
	endpoint_addr_failed(e, &addr);
	assert_true(endpoint_addr(e, &addr));
	assert_true(addr_is_equal(&addr, &f->endpoints[0].addr_literal));
	free(e->addrs);
	e->addrs = malloc(sizeof(two));
	memcpy(e->addrs, two, sizeof(two));
	e->addrs_count = 2;
	for (unsigned i = 0; i < 3; i++)
		endpoint_addr_failed(e, &two[0]); /* heard thrice, done once */
	assert_true(endpoint_addr(e, &addr));
	assert_true(addr_is_equal(&addr, &two[1]));
	endpoint_addr_failed(e, &two[1]);
	assert_true(endpoint_addr(e, &addr));
	assert_true(addr_is_equal(&addr, &two[0]));
	cluster_view_free(v);
	clusters_free(clusters);
	free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_algorithm_answers_alike),
		cmocka_unit_test(algorithms_are_found_by_name),
		cmocka_unit_test(limits_hold_and_open_again),
		cmocka_unit_test(a_reload_keeps_counts_and_identity),
		cmocka_unit_test(what_nobody_holds_is_forgotten),
		cmocka_unit_test(names_are_looked_up_once_and_found_later),
		cmocka_unit_test(an_address_that_fails_makes_way),
	};

	log_set_level(LOG_LEVEL_ERROR); /* not what cannot be looked up */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
