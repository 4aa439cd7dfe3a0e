/* The table of open connections: places, ids that are used once, walks that miss nobody who stays. */
#include "proxy/connections.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT 1000u /* several pages */

static void describe(const void *object, struct connection_info *out)
{
	out->listener = object;
}

static const struct connection_face face = { .kind = "test", .describe = describe };
static const struct connection_face other_face = { .kind = "other", .describe = describe };

static char listener[] = "web";

static void walk_gives_each_once(void **state)
{
	struct connections t;
	uint32_t places[COUNT], cursor = 0, seen = 0;

	(void)state;
	connections_init(&t, 3);
	for (uint32_t i = 0; i < COUNT; i++)
		places[i] = connections_add(&t, &face, listener, NULL, i);
	for (uint32_t i = 0; i < COUNT; i += 3)
		connections_remove(&t, places[i]);
	assert_int_equal(t.used, COUNT - (COUNT + 2) / 3);
	while (connections_next(&t, &cursor) != NULL) {
		/* those behind the cursor may go meanwhile, those before it too */
		if (seen == 10)
			connections_remove(&t, places[COUNT - 2]);
		seen++;
	}
	assert_int_equal(seen, t.used);
	connections_done(&t);
}

static void old_id_never_means_a_new_connection(void **state)
{
	struct connections t;
	uint32_t place, again, cursor = 0, serial;

	(void)state;
	connections_init(&t, 0);
	place = connections_add(&t, &face, listener, NULL, 0);
	serial = connections_next(&t, &cursor)->serial;
	assert_non_null(connections_find(&t, place, serial));
	connections_remove(&t, place);
	assert_null(connections_find(&t, place, serial));
	again = connections_add(&t, &face, listener, NULL, 0);
	assert_int_equal(again, place);
	assert_null(connections_find(&t, place, serial));
	assert_non_null(connections_find(&t, place, serial + 1));
	assert_null(connections_find(&t, CONNECTION_NONE, 0));
	assert_null(connections_find(&t, 1u << 30, 0));
	connections_done(&t);
}

static void place_and_address_stay_when_it_is_carried_by_another(void **state)
{
	static const struct {
		const char *peer, *said, *want;
		uint16_t port;
	} cases[] = {
		{ "10.0.0.1:80", NULL, "10.0.0.1", 80 },
		{ "[2001:db8::1]:443", NULL, "2001:db8::1", 443 },
		{ "unix:@peer", NULL, "unix:", 0 },
		{ "10.0.0.1:80", "203.0.113.9", "203.0.113.9", 0 },
		{ "10.0.0.1:80", "2001:db8::9", "2001:db8::9", 0 },
		{ "10.0.0.1:80", "nonsense", "10.0.0.1", 80 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct connections t;
		struct connection_info info;
		struct addr peer;
		uint32_t place;

		assert_int_equal(addr_parse(&peer, cases[i].peer), 0);
		connections_init(&t, 7);
		place = connections_add(&t, &face, listener, &peer, 1000);
		if (cases[i].said != NULL)
			connections_set_client(&t, place, cases[i].said);
		connections_move(&t, place, &other_face, listener);
		connection_describe(&t, place, 3500, &info);
		assert_string_equal(info.client, cases[i].want);
		assert_int_equal(info.client_port, cases[i].port);
		assert_string_equal(info.kind, "other");
		assert_string_equal(info.id, "7-1-1");
		assert_string_equal(info.listener, listener);
		assert_int_equal(info.age_ms, 2500);
		connections_remove(&t, place);
		connections_done(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(walk_gives_each_once),
		cmocka_unit_test(old_id_never_means_a_new_connection),
		cmocka_unit_test(place_and_address_stay_when_it_is_carried_by_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
