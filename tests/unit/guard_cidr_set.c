/* Sets of networks: the same answers as the list that they were made of, and how few steps those take. */
#include "guard/cidr_set.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/list.h"

static struct addr addr_of(const char *text)
{
	struct addr a = { 0 };

	if (inet_pton(AF_INET, text, &a.in.sin_addr) == 1) {
		a.len = sizeof(a.in);
		a.in.sin_family = AF_INET;
	} else {
		assert_int_equal(inet_pton(AF_INET6, text, &a.in6.sin6_addr), 1);
		a.len = sizeof(a.in6);
		a.in6.sin6_family = AF_INET6;
	}
	return a;
}

static struct cidr_set set_of(const char *const *texts, size_t count)
{
	struct cidr list[64];
	struct cidr_list all = { list, count };
	struct cidr_set s;

	for (size_t i = 0; i < count; i++)
		assert_int_equal(cidr_parse(&list[i], texts[i]), 0);
	assert_true(cidr_set_init(&s, &all, 1));
	return s;
}

static const char *const networks[] = { "10.0.0.0/8",	   "10.1.0.0/16",     "192.0.2.0/25", "192.0.2.128/25",
					"198.51.100.7/32", "255.255.255.255", "0.0.0.0/32",   "2001:db8::/33",
					"2001:db8:8000::/33", "fe80::1",      "ffff::/16" };

static const struct {
	const char *address;
	bool is_in;
} members[] = {
	{ "10.0.0.0", true },	    { "10.255.255.255", true }, { "9.255.255.255", false }, { "11.0.0.0", false },
	{ "192.0.2.127", true },    { "192.0.2.128", true },	{ "192.0.3.0", false },	    { "198.51.100.7", true },
	{ "198.51.100.6", false },  { "198.51.100.8", false },	{ "255.255.255.255", true }, { "255.255.255.254", false },
	{ "0.0.0.0", true },	    { "0.0.0.1", false },	{ "2001:db8::", true },	    { "2001:db8:ffff::1", true },
	{ "2001:db9::", false },    { "2001:db7:ffff::", false }, { "fe80::1", true },	    { "fe80::2", false },
	{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true },	{ "::ffff:10.2.3.4", true }, { "::ffff:11.2.3.4", false },
	{ "::10.2.3.4", false },
};

static void addresses_are_found_in_their_networks(void **state)
{
	struct cidr_set s = set_of(networks, ARRAY_LEN(networks));

	(void)state;
	assert_int_equal(s.v4_count, 5); /* what lies within another, or touches it, is no range of its own */
	assert_int_equal(s.v6_count, 3);
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		struct addr a = addr_of(members[i].address);

		if (cidr_set_has(&s, &a) != members[i].is_in)
			fail_msg("%s", members[i].address);
	}
	cidr_set_done(&s);
}

static void everything_and_nothing(void **state)
{
	static const char *const all[] = { "0.0.0.0/0", "::/0", "10.0.0.0/8", "ffff::/16" };
	struct addr v4 = addr_of("203.0.113.9"), v6 = addr_of("2001:db8::1"), none = { 0 };
	struct addr local = { .len = sizeof(local.un), .un.sun_family = AF_UNIX };
	struct cidr_set s = set_of(all, ARRAY_LEN(all));

	(void)state;
	assert_true(cidr_set_has(&s, &v4));
	assert_true(cidr_set_has(&s, &v6));
	assert_false(cidr_set_has(&s, &none));
	assert_false(cidr_set_has(&s, &local));
	cidr_set_done(&s);
	s = set_of(all, 0);
	assert_true(cidr_set_is_empty(&s));
	assert_false(cidr_set_has(&s, &v4));
	cidr_set_done(&s);
}

/* Whatever the set joins, it says what the list says: random networks of both families, and addresses at their edges. */
static void a_set_says_what_its_list_says(void **state)
{
	enum { COUNT = 2000 };
	struct cidr *list = calloc(COUNT, sizeof(*list));
	struct cidr_list all = { list, COUNT };
	struct cidr_set s;
	unsigned seed = 7;

	(void)state;
	assert_non_null(list);
	for (unsigned i = 0; i < COUNT; i++) {
		list[i].family = i % 2 ? AF_INET : AF_INET6;
		list[i].bits = (uint8_t)(8 + rand_r(&seed) % (i % 2 ? 25 : 121));
		for (unsigned bit = 0; bit < list[i].bits; bit++)
			if (rand_r(&seed) & 64)
				list[i].bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	}
	assert_true(cidr_set_init(&s, &all, 1));
	for (unsigned i = 0; i < 20000; i++) {
		const struct cidr *c = &list[(unsigned)rand_r(&seed) % COUNT];
		struct addr a = { 0 };
		uint8_t *bytes;
		unsigned total = c->family == AF_INET ? 4 : 16;

		a.len = c->family == AF_INET ? sizeof(a.in) : sizeof(a.in6);
		a.sa.sa_family = c->family;
		bytes = c->family == AF_INET ? (uint8_t *)&a.in.sin_addr : a.in6.sin6_addr.s6_addr;
		memcpy(bytes, c->bytes, total);
		bytes[(unsigned)rand_r(&seed) % total] ^= (uint8_t)(1u << rand_r(&seed) % 8); /* just in it, or just outside */
		if (cidr_set_has(&s, &a) != cidr_list_contains(list, COUNT, &a))
			fail_msg("address %u", i);
	}
	cidr_set_done(&s);
	free(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_found_in_their_networks),
		cmocka_unit_test(everything_and_nothing),
		cmocka_unit_test(a_set_says_what_its_list_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
