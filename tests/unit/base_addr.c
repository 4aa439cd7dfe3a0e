/* base/addr: text forms, comparison, hashes. */
#include "base/addr.h"

#include "base/list.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define PATH_107 \
	"/23456789012345678901234567890123456789012345678901234567890" \
	"12345678901234567890123456789012345678901234567"

static const struct {
	const char *text, *printed, *host;
	uint16_t port;
} good[] = {
	{ "10.0.0.1:80", "10.0.0.1:80", "10.0.0.1", 80 },
	{ "0.0.0.0:0", "0.0.0.0:0", "0.0.0.0", 0 },
	{ "255.255.255.255:65535", "255.255.255.255:65535", "255.255.255.255", 65535 },
	{ "*:443", "[::]:443", "::", 443 },
	{ "[::]:443", "[::]:443", "::", 443 },
	{ "[::1]:80", "[::1]:80", "::1", 80 },
	{ "[2001:DB8:0:0:0:0:0:1]:8443", "[2001:db8::1]:8443", "2001:db8::1", 8443 },
	{ "[::ffff:192.0.2.1]:80", "[::ffff:192.0.2.1]:80", "192.0.2.1", 80 },
	{ "[fe80::1%1]:80", "[fe80::1%1]:80", "fe80::1%1", 80 },
	{ "[fe80::1%lo]:80", "[fe80::1%1]:80", "fe80::1%1", 80 },
	{ "[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255%4294967295]:65535",
	  "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535",
	  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295", 65535 },
	{ "unix:/run/x.sock", "unix:/run/x.sock", "unix:", 0 },
	{ "unix:@abstract", "unix:@abstract", "unix:", 0 },
	{ "unix:" PATH_107, "unix:" PATH_107, "unix:", 0 },
};

static const char *const bad[] = {
	"", ":", ":80", "10.0.0.1", "10.0.0.1:", "10.0.0.1:65536", "10.0.0.1:99999", "10.0.0.1:000080", "10.0.0.1:-1",
	"10.0.0.1:+80", "10.0.0.1: 80", "10.0.0.1:80 ", " 10.0.0.1:80", "10.0.0.1:8o", "10.0.0:80", "10.0.0.256:80",
	"010.0.0.1.2:80", "::1:80", "::1", "[::1]", "[::1]80", "[::1:80", "::1]:80", "[]:80", "[10.0.0.1]:80",
	"[::1%]:80", "[::1%0]:80", "[::1%nosuchdevice]:80", "[::1%4294967296]:80", "[*]:80", "**:80", "localhost:80",
	"unix:", "unix:@", "unix:" PATH_107 "x", "Unix:/x",
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:80",
};

static void addresses_are_parsed_and_printed(void **state)
{
	char out[ADDR_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct addr a, again;

		if (addr_parse(&a, good[i].text) != 0)
			fail_msg("%s is refused", good[i].text);
		assert_int_equal(addr_print(&a, out), strlen(good[i].printed));
		assert_string_equal(out, good[i].printed);
		assert_int_equal(addr_parse(&again, out), 0);
		assert_true(addr_is_equal(&a, &again));
		assert_int_equal(addr_hash(&a, 7), addr_hash(&again, 7));
		assert_int_equal(addr_print_host(&a, out), strlen(good[i].host));
		assert_string_equal(out, good[i].host);
		assert_int_equal(addr_port(&a), good[i].port);
	}
}

static void what_is_no_address_is_refused(void **state)
{
	struct addr a, before;

	(void)state;
	memset(&a, 0x5a, sizeof(a));
	before = a;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (addr_parse(&a, bad[i]) != -EINVAL)
			fail_msg("%s is taken", bad[i]);
		assert_memory_equal(&a, &before, sizeof(a));
	}
}

static struct addr addr_of(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(&a, text), 0);
	return a;
}

static void different_addresses_are_not_equal(void **state)
{
	static const char *const texts[] = { "10.0.0.1:80",	   "10.0.0.1:81",    "10.0.0.2:80", "[::1]:80",
					     "[::1]:81",	   "[::2]:80",	     "[::1%1]:80",
					     "[::ffff:10.0.0.1]:80", "unix:/a",	     "unix:/ab",    "unix:@a" };
	struct addr none = { 0 };

	(void)state;
	assert_true(addr_is_equal(&none, &none));
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct addr a = addr_of(texts[i]);

		assert_false(addr_is_equal(&a, &none));
		for (size_t j = 0; j < ARRAY_LEN(texts); j++) {
			struct addr b = addr_of(texts[j]);

			assert_int_equal(addr_is_equal(&a, &b), i == j);
			if (i != j)
				assert_int_not_equal(addr_hash(&a, 1), addr_hash(&b, 1));
		}
	}
}

static void what_the_kernel_leaves_does_not_matter(void **state)
{
	struct addr a = addr_of("[2001:db8::1]:80"), b = a;
	struct addr path = addr_of("unix:/run/x"), longer = path;

	(void)state;
	b.in6.sin6_flowinfo = 77;
	assert_true(addr_is_equal(&a, &b));
	assert_int_equal(addr_hash(&a, 0), addr_hash(&b, 0));
	/* getsockname() counts the NUL or not, accept() may give the whole struct */
	longer.len = sizeof(longer.un);
	assert_true(addr_is_equal(&path, &longer));
	longer.len = path.len - 1;
	assert_true(addr_is_equal(&path, &longer));
}

static void mapped_address_becomes_ipv4(void **state)
{
	struct addr a = addr_of("[::ffff:10.0.0.1]:80"), want = addr_of("10.0.0.1:80"), other = addr_of("[::1]:80");
	struct addr same = other, path = addr_of("unix:/x");

	(void)state;
	addr_unmap(&a);
	assert_true(addr_is_equal(&a, &want));
	assert_int_equal(a.len, sizeof(struct sockaddr_in));
	addr_unmap(&same);
	assert_true(addr_is_equal(&same, &other));
	addr_unmap(&path);
	assert_int_equal(path.sa.sa_family, AF_UNIX);
}

static void port_is_set_where_there_is_one(void **state)
{
	struct addr v4 = addr_of("10.0.0.1:1"), v6 = addr_of("[::1]:1"), path = addr_of("unix:/x"), none = { 0 };

	(void)state;
	addr_set_port(&v4, 8080);
	addr_set_port(&v6, 8080);
	addr_set_port(&path, 8080);
	addr_set_port(&none, 8080);
	assert_int_equal(addr_port(&v4), 8080);
	assert_int_equal(addr_port(&v6), 8080);
	assert_int_equal(addr_port(&path), 0);
	assert_int_equal(addr_port(&none), 0);
}

static void no_address_has_a_text_too(void **state)
{
	struct addr none = { 0 }, unnamed = { .len = sizeof(sa_family_t) }, strange = { .len = 16 };
	char out[ADDR_TEXT_MAX];

	(void)state;
	unnamed.sa.sa_family = AF_UNIX;
	strange.sa.sa_family = 250;
	addr_print(&none, out);
	assert_string_equal(out, "-");
	addr_print(&unnamed, out);
	assert_string_equal(out, "unix:");
	addr_print(&strange, out);
	assert_string_equal(out, "?");
	addr_print_host(&strange, out);
	assert_string_equal(out, "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_parsed_and_printed),
		cmocka_unit_test(what_is_no_address_is_refused),
		cmocka_unit_test(different_addresses_are_not_equal),
		cmocka_unit_test(what_the_kernel_leaves_does_not_matter),
		cmocka_unit_test(mapped_address_becomes_ipv4),
		cmocka_unit_test(port_is_set_where_there_is_one),
		cmocka_unit_test(no_address_has_a_text_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
