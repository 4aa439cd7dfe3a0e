/* cluster/pool: what is kept, what is given, and what ends an idle connection; on duplexes that only take notes. */
#include "cluster_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "cluster/pool.h"

struct fake {
	struct duplex duplex;
	bool is_reading;
	unsigned closed_count;
};

static void fake_read(struct duplex *d, bool on)
{
	container_of(d, struct fake, duplex)->is_reading = on;
}

static void fake_close(struct duplex *d, enum reason why)
{
	assert_int_equal(why, REASON_NONE);
	container_of(d, struct fake, duplex)->closed_count++;
}

/* What has come already is heard as soon as somebody listens. */
static void fake_read_ended(struct duplex *d, bool on)
{
	if (on)
		d->events->on_eof(d);
}

static const struct duplex_ops fake_ops = { .read = fake_read, .close = fake_close };
static const struct duplex_ops ended_ops = { .read = fake_read_ended, .close = fake_close };

struct bench {
	struct ring ring; /* its timers and its clock are used, nothing else */
	struct pool pool;
	struct clusters *clusters;
	struct fixture *fixture;
	struct cluster_view *view;
	struct endpoint *a, *b;
	struct fake fakes[8];
};

static int bench_open(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	b->ring.now_ms = 1000000;
	timers_init(&b->ring.timers, b->ring.now_ms);
	pool_init(&b->pool, &b->ring);
	b->clusters = clusters_new();
	b->fixture = fixture_new("round_robin", 2, NULL);
	b->view = cluster_view_new(b->clusters, &b->fixture->config);
	b->a = b->view->members[0].endpoint;
	b->b = b->view->members[1].endpoint;
	for (size_t i = 0; i < ARRAY_LEN(b->fakes); i++)
		b->fakes[i].duplex.ops = &fake_ops;
	*state = b;
	return 0;
}

/* Everything goes, in the order of a process that ends: endpoints are held by what is idle alone. */
static int bench_close(void **state)
{
	struct bench *b = *state;

	cluster_view_free(b->view);
	clusters_free(b->clusters);
	pool_done(&b->pool);
	assert_int_equal(b->pool.count, 0);
	for (size_t i = 0; i < ARRAY_LEN(b->fakes); i++)
		assert_true(b->fakes[i].closed_count <= 1);
	free(b->fixture);
	free(b);
	return 0;
}

static void time_goes_by(struct bench *b, uint64_t ms)
{
	b->ring.now_ms += ms;
	timers_run(&b->ring.timers, b->ring.now_ms);
}

static void the_newest_goes_first(void **state)
{
	struct bench *b = *state;

	for (unsigned i = 0; i < 3; i++)
		pool_put(&b->pool, b->a, 7, &b->fakes[i].duplex, 64, 0);
	assert_int_equal(b->pool.count, 3);
	assert_true(b->fakes[2].is_reading);
	assert_null(pool_take(&b->pool, b->b, 7));
	for (unsigned i = 3; i-- > 0;) {
		assert_ptr_equal(pool_take(&b->pool, b->a, 7), &b->fakes[i].duplex);
		assert_false(b->fakes[i].is_reading);
		assert_null(b->fakes[i].duplex.user);
		assert_int_equal(b->fakes[i].closed_count, 0);
	}
	assert_null(pool_take(&b->pool, b->a, 7));
	assert_int_equal(b->pool.count, 0);
}

static void another_kind_does_not_serve(void **state)
{
	struct bench *b = *state;

	pool_put(&b->pool, b->a, 1, &b->fakes[0].duplex, 64, 0);
	pool_put(&b->pool, b->a, 2, &b->fakes[1].duplex, 64, 0);
	pool_put(&b->pool, b->b, 2, &b->fakes[2].duplex, 64, 0);
	assert_ptr_equal(pool_take(&b->pool, b->a, 1), &b->fakes[0].duplex);
	assert_int_equal(b->fakes[1].closed_count, 1);
	assert_int_equal(b->fakes[2].closed_count, 0);
	assert_null(pool_take(&b->pool, b->b, 3));
	assert_int_equal(b->fakes[2].closed_count, 1);
	assert_int_equal(b->pool.count, 0);
}

static void the_oldest_makes_room(void **state)
{
	struct bench *b = *state;

	for (unsigned i = 0; i < 4; i++)
		pool_put(&b->pool, b->a, 1, &b->fakes[i].duplex, 2, 0);
	pool_put(&b->pool, b->b, 1, &b->fakes[4].duplex, 2, 0);
	pool_put(&b->pool, b->b, 1, &b->fakes[5].duplex, 0, 0); /* nothing is to be kept */
	assert_int_equal(b->pool.count, 3);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(b->fakes[i].closed_count, i < 2 || i == 5);
}

static void what_an_endpoint_says_ends_it(void **state)
{
	struct bench *b = *state;
	const struct duplex_events *events;

	for (unsigned i = 0; i < 4; i++)
		pool_put(&b->pool, b->a, 1, &b->fakes[i].duplex, 64, 0);
	events = b->fakes[0].duplex.events;
	events->on_bytes(&b->fakes[0].duplex, slice_static("HTTP/1.1 408", 12));
	assert_int_equal(b->fakes[0].closed_count, 1);
	events->on_eof(&b->fakes[1].duplex);
	assert_int_equal(b->fakes[1].closed_count, 1);
	events->on_closed(&b->fakes[2].duplex, REASON_BACKEND_RESET); /* is over: not to be touched */
	assert_int_equal(b->fakes[2].closed_count, 0);
	events->on_room(&b->fakes[3].duplex);
	assert_int_equal(b->pool.count, 1);
	assert_ptr_equal(pool_take(&b->pool, b->a, 1), &b->fakes[3].duplex);
	/* one that has ended before it is listened to */
	b->fakes[4].duplex.ops = &ended_ops;
	pool_put(&b->pool, b->a, 1, &b->fakes[4].duplex, 64, 1000);
	assert_int_equal(b->fakes[4].closed_count, 1);
	assert_int_equal(b->pool.count, 0);
	time_goes_by(b, 2000);
	assert_int_equal(b->fakes[4].closed_count, 1);
}

static void idle_for_too_long_is_over(void **state)
{
	struct bench *b = *state;

	pool_put(&b->pool, b->a, 1, &b->fakes[0].duplex, 64, 60000);
	pool_put(&b->pool, b->a, 1, &b->fakes[1].duplex, 64, 0);
	time_goes_by(b, 30000);
	pool_put(&b->pool, b->a, 1, &b->fakes[2].duplex, 64, 60000);
	time_goes_by(b, 29000);
	assert_int_equal(b->fakes[0].closed_count, 0);
	time_goes_by(b, 2000);
	assert_int_equal(b->fakes[0].closed_count, 1);
	assert_int_equal(b->fakes[2].closed_count, 0);
	/* taken and kept again: the clock begins anew */
	assert_ptr_equal(pool_take(&b->pool, b->a, 1), &b->fakes[2].duplex);
	time_goes_by(b, 50000);
	pool_put(&b->pool, b->a, 1, &b->fakes[2].duplex, 64, 60000);
	time_goes_by(b, 50000);
	assert_int_equal(b->fakes[2].closed_count, 0);
	assert_int_equal(b->fakes[1].closed_count, 0);
	assert_int_equal(b->pool.count, 2);
}

static void an_endpoint_is_held_as_long_as_something_is_idle(void **state)
{
	struct bench *b = *state;

	pool_put(&b->pool, b->a, 1, &b->fakes[0].duplex, 64, 0);
	pool_put(&b->pool, b->a, 1, &b->fakes[1].duplex, 64, 0);
	assert_int_equal(b->a->refcount, 2);
	assert_non_null(pool_take(&b->pool, b->a, 1));
	assert_int_equal(b->a->refcount, 2);
	assert_non_null(pool_take(&b->pool, b->a, 1));
	assert_int_equal(b->a->refcount, 1);
	/* left for the end: bench_close() frees the view first */
	for (unsigned i = 2; i < 6; i++)
		pool_put(&b->pool, i % 2 ? b->a : b->b, i, &b->fakes[i].duplex, 64, 1000);
}

static char *text(const char *literal)
{
	return (char *)(uintptr_t)literal;
}

/* All that is said when connecting makes a difference, and nothing else does. */
static void a_kind_is_all_that_is_said_when_connecting(void **state)
{
	struct cluster_tls plain_tls = { .verify = true }, tls[] = {
		{ .verify = false },
		{ .verify = true, .ca = text("a") },
		{ .verify = true, .sni = text("a") },
		{ .verify = true, .sni = text("") },
		{ .verify = true, .client_cert = text("a") },
		{ .verify = true, .client_key = text("a") },
	};
	struct addr sources[2] = { 0 };
	struct cluster_config configs[] = {
		{ 0 },
		{ .protocol = BACKEND_H2 },
		{ .proxy_protocol = PROXY_PROTOCOL_OUT_V1 },
		{ .proxy_protocol = PROXY_PROTOCOL_OUT_V2 },
		{ .source_addresses = &sources[0], .source_addresses_count = 1 },
		{ .source_addresses = &sources[1], .source_addresses_count = 1 },
		{ .source_addresses = &sources[0], .source_addresses_count = 2 },
		{ .tls = &plain_tls },
		{ .tls = &tls[0] },
		{ .tls = &tls[1] },
		{ .tls = &tls[2] },
		{ .tls = &tls[3] },
		{ .tls = &tls[4] },
		{ .tls = &tls[5] },
	};

	(void)state;
	assert_int_equal(addr_parse(&sources[0], "10.0.0.1:0"), 0);
	assert_int_equal(addr_parse(&sources[1], "10.0.0.2:0"), 0);
	for (size_t i = 0; i < ARRAY_LEN(configs); i++) {
		struct cluster_config same = configs[i];

		same.name = text("another");
		same.timeouts.connect_ms = 1;
		assert_true(cluster_connection_kind(&same) == cluster_connection_kind(&configs[i]));
		for (size_t j = 0; j < i; j++)
			assert_true(cluster_connection_kind(&configs[i]) !=
				    cluster_connection_kind(&configs[j]));
	}
}

#define on_bench(test) cmocka_unit_test_setup_teardown(test, bench_open, bench_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_bench(the_newest_goes_first),
		on_bench(another_kind_does_not_serve),
		on_bench(the_oldest_makes_room),
		on_bench(what_an_endpoint_says_ends_it),
		on_bench(idle_for_too_long_is_over),
		on_bench(an_endpoint_is_held_as_long_as_something_is_idle),
		cmocka_unit_test(a_kind_is_all_that_is_said_when_connecting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
