/* cluster/maglev, consistent_hash: even, the same everywhere, hardly moved, and within its bound. */
#include "cluster_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/hash.h"
#include "cluster/maglev.h"

#define KEYS 100000

static uint32_t owner_of(struct cluster_view *v, uint64_t hash)
{
	struct endpoint *e = pick_one(v, hash);
	uint32_t index;

	assert_non_null(e);
	index = index_of(v, e);
	pick_over(e);
	return index;
}

static const struct {
	const char *name;
	unsigned count;
	uint32_t weights[12];
} tables[] = {
	{ "one", 1, { 1 } },
	{ "ten", 10, { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 } },
	{ "ten that are heavy", 10, { 900, 900, 900, 900, 900, 900, 900, 900, 900, 900 } },
	{ "weights", 4, { 1, 2, 3, 4 } },
	{ "very different ones", 3, { 1000000, 1000, 1 } },
};

static void a_table_has_exact_shares(void **state)
{
	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(tables); n++) {
		struct maglev_member members[12];
		uint32_t counts[12] = { 0 };
		struct maglev table;
		uint64_t sum = 0;

		for (unsigned i = 0; i < tables[n].count; i++) {
			members[i] = (struct maglev_member){ hash64(&i, sizeof(i), 0), tables[n].weights[i] };
			sum += tables[n].weights[i];
		}
		assert_true(maglev_init(&table, members, tables[n].count));
		for (uint64_t h = 0; h < table.size; h++)
			counts[maglev_find(&table, h)]++;
		for (unsigned i = 0; i < tables[n].count; i++) {
			int64_t off = (int64_t)(counts[i] * sum) - (int64_t)table.size * tables[n].weights[i];

			if (llabs(off) > (int64_t)sum)
				fail_msg("%s: member %u has %u of %u", tables[n].name, i, counts[i],
					 table.size);
		}
		maglev_done(&table);
	}
}

static void ten_endpoints_get_a_tenth_each(void **state)
{
	struct clusters *clusters = clusters_new();
	struct fixture *f = fixture_new("consistent_hash", 10, NULL);
	struct cluster_view *v = cluster_view_new(clusters, &f->config);
	uint32_t counts[10] = { 0 };

	(void)state;
	/* hashes that lie evenly over the table: what is left is its own unevenness */
	for (uint64_t key = 0; key < KEYS; key++)
		counts[owner_of(v, key * 65537 / KEYS)]++;
	for (unsigned i = 0; i < 10; i++)
		assert_in_range(counts[i], KEYS / 10 - KEYS / 1000, KEYS / 10 + KEYS / 1000);
	/* and hashed ones: as even as chance */
	memset(counts, 0, sizeof(counts));
	for (uint64_t key = 0; key < KEYS; key++)
		counts[owner_of(v, hash64(&key, sizeof(key), 0))]++;
	for (unsigned i = 0; i < 10; i++)
		assert_in_range(counts[i], KEYS / 10 - KEYS / 200, KEYS / 10 + KEYS / 200);
	cluster_view_free(v);
	clusters_free(clusters);
	free(f);
}

/* Two processes, so to speak: registries of their own, and files in another order. */
static void every_process_agrees(void **state)
{
	const char *names[] = { "consistent_hash", "ip_hash" };

	(void)state;
	for (unsigned n = 0; n < 2; n++) {
		struct clusters *a = clusters_new(), *b = clusters_new();
		struct fixture *f = fixture_new(names[n], 0, NULL), *g = fixture_new(names[n], 0, NULL);
		struct cluster_view *v, *w;
		struct pick p = { 0 }, q = { 0 };

		for (unsigned i = 0; i < 10; i++) {
			fixture_add(f, i, 1 + i % 3);
			fixture_add(g, i * 7 % 10, 1 + i * 7 % 10 % 3);
		}
		v = cluster_view_new(a, &f->config);
		w = cluster_view_new(b, &g->config);
		/* also when some were tried */
		for (unsigned tried = 0; tried <= 8; tried += 4) {
			for (unsigned i = p.tried_count; i < tried; i++) {
				p.tried[p.tried_count++] = v->members[i * 7 % 10].endpoint;
				q.tried[q.tried_count++] = w->members[i].endpoint;
			}
			for (uint64_t key = 0; key < (tried == 0 ? KEYS : KEYS / 5); key++) {
				struct endpoint *x, *y;

				p.hash = q.hash = hash64(&key, sizeof(key), 0);
				assert_int_equal(cluster_pick(v, &p, &x), PICK_OK);
				assert_int_equal(cluster_pick(w, &q, &y), PICK_OK);
				assert_string_equal(x->name, y->name);
				pick_over(x);
				pick_over(y);
			}
		}
		cluster_view_free(v);
		cluster_view_free(w);
		clusters_free(a);
		clusters_free(b);
		free(f);
		free(g);
	}
}

static void one_that_goes_moves_little_more_than_its_own(void **state)
{
	struct clusters *clusters = clusters_new();
	struct fixture *f = fixture_new("consistent_hash", 10, NULL), *g;
	struct cluster_view *v = cluster_view_new(clusters, &f->config), *w;

	(void)state;
	for (unsigned gone = 0; gone < 10; gone += 3) {
		unsigned moved = 0;

		g = fixture_new("consistent_hash", 0, NULL);
		for (unsigned i = 0; i < 10; i++) {
			if (i != gone)
				fixture_add(g, i, 1);
		}
		w = cluster_view_new(clusters, &g->config);
		for (uint64_t key = 0; key < KEYS; key++) {
			uint64_t hash = hash64(&key, sizeof(key), 0);

			moved += v->members[owner_of(v, hash)].endpoint !=
				 w->members[owner_of(w, hash)].endpoint;
		}
		assert_in_range(moved, KEYS / 10 - KEYS / 100, KEYS / 10 + KEYS / 50);
		cluster_view_free(w);
		free(g);
	}
	cluster_view_free(v);
	clusters_free(clusters);
	free(f);
}

/* Who is down for a moment moves his own keys only, and they are spread over all others. */
static void one_that_was_tried_moves_only_its_own(void **state)
{
	struct clusters *clusters = clusters_new();
	struct fixture *f = fixture_new("ip_hash", 10, NULL);
	struct cluster_view *v = cluster_view_new(clusters, &f->config);
	struct pick p = { .tried = { v->members[4].endpoint }, .tried_count = 1 };
	uint32_t moved_to[10] = { 0 }, moved = 0;

	(void)state;
	for (uint64_t key = 0; key < KEYS; key++) {
		struct endpoint *e = NULL;
		uint32_t before;

		p.hash = hash64(&key, sizeof(key), 0);
		before = owner_of(v, p.hash);
		assert_int_equal(cluster_pick(v, &p, &e), PICK_OK);
		if (before != 4) {
			assert_int_equal(index_of(v, e), before);
		} else {
			moved_to[index_of(v, e)]++;
			moved++;
		}
		pick_over(e);
	}
	for (unsigned i = 0; i < 10; i++)
		assert_in_range(moved_to[i], i == 4 ? 0 : moved / 9 * 8 / 10,
				i == 4 ? 0 : moved / 9 * 12 / 10);
	cluster_view_free(v);
	clusters_free(clusters);
	free(f);
}

/* Keys of which a few are very common, connections that stay: nobody above bound * mean, rounded up. */
static void bounded_loads_stay_within_the_bound(void **state)
{
	static const double bounds[] = { 1.0, 1.25, 2.0 };
	const uint32_t weights[] = { 1, 1, 1, 2, 1, 3, 1, 1 };
	const unsigned sum = 11;

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(bounds); n++) {
		struct clusters *clusters = clusters_new();
		struct fixture *f = fixture_new("consistent_hash", 8, weights);
		struct cluster_view *v;

		f->config.hash_bound = bounds[n];
		v = cluster_view_new(clusters, &f->config);
		for (uint64_t k = 1; k <= 11000; k++) {
			uint64_t key = k % 4 != 0 ? k % 3 : k;
			struct endpoint *e = pick_one(v, hash64(&key, sizeof(key), 0));
			uint32_t i = index_of(v, e);
			double most = bounds[n] * (double)k * weights[i] / sum;

			if ((double)e->active >= most + 1)
				fail_msg("bound %.2f: %u of %lu", bounds[n], e->active, (unsigned long)k);
			endpoint_unref(e);
		}
		for (unsigned i = 0; i < 8; i++) {
			while (v->members[i].endpoint->active > 0)
				endpoint_release(v->members[i].endpoint);
		}
		cluster_view_free(v);
		clusters_free(clusters);
		free(f);
	}
}

/* All but one of a thousand are full: the walk ends. */
static void the_last_open_one_is_found(void **state)
{
	struct clusters *clusters = clusters_new();
	struct fixture *f = fixture_new("consistent_hash", 1000, NULL);
	struct cluster_view *v;
	struct endpoint *e;

	(void)state;
	f->config.hash_bound = 100;
	for (unsigned i = 0; i < 1000; i++)
		f->endpoints[i].max_connections = i == 77 ? 0 : 1;
	v = cluster_view_new(clusters, &f->config);
	for (uint64_t key = 0; key < 3000; key++) {
		assert_non_null(e = pick_one(v, hash64(&key, sizeof(key), 0)));
		endpoint_unref(e);
	}
	for (unsigned i = 0; i < 1000; i++) {
		e = v->members[i].endpoint;
		assert_int_equal(e->active, i == 77 ? 2001 : 1);
		while (e->active > 0)
			endpoint_release(e);
	}
	cluster_view_free(v);
	clusters_free(clusters);
	free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_table_has_exact_shares),
		cmocka_unit_test(ten_endpoints_get_a_tenth_each),
		cmocka_unit_test(every_process_agrees),
		cmocka_unit_test(one_that_goes_moves_little_more_than_its_own),
		cmocka_unit_test(one_that_was_tried_moves_only_its_own),
		cmocka_unit_test(bounded_loads_stay_within_the_bound),
		cmocka_unit_test(the_last_open_one_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
