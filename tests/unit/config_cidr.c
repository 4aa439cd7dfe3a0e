/* Networks: which texts are one, and which addresses are in it. */
#include "config/cidr.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/list.h"

static const struct {
	const char *text;
	int error;
	const char *printed;
} texts[] = {
	{ "10.0.0.0/8", 0, "10.0.0.0/8" },
	{ "192.0.2.1", 0, "192.0.2.1/32" },
	{ "0.0.0.0/0", 0, "0.0.0.0/0" },
	{ "2001:db8::/32", 0, "2001:db8::/32" },
	{ "::1", 0, "::1/128" },
	{ "::/0", 0, "::/0" },
	{ "::ffff:10.0.0.0/104", 0, "10.0.0.0/8" },
	{ "10.0.0.0/33", -EINVAL, NULL },
	{ "10.0.0.0/", -EINVAL, NULL },
	{ "10.0.0.0/-1", -EINVAL, NULL },
	{ "10.0.0.0/8x", -EINVAL, NULL },
	{ "10.0.0.0/0008", -EINVAL, NULL },
	{ "10.0.0/8", -EINVAL, NULL },
	{ "2001:db8::/129", -EINVAL, NULL },
	{ "", -EINVAL, NULL },
	{ "/8", -EINVAL, NULL },
	{ "example.com", -EINVAL, NULL },
	{ "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc", -EINVAL, NULL },
	{ "10.0.0.1/8", -ERANGE, NULL },
	{ "2001:db8::1/32", -ERANGE, NULL },
};

static void networks_are_read_and_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		char printed[CIDR_TEXT_MAX];
		struct cidr c;
		int error = cidr_parse(&c, texts[i].text);

		if (error != texts[i].error)
			fail_msg("%s: %d", texts[i].text, error);
		if (error != 0)
			continue;
		assert_int_equal(cidr_print(&c, printed), strlen(texts[i].printed));
		assert_string_equal(printed, texts[i].printed);
	}
}

static const struct {
	const char *network, *address;
	bool is_inside;
} members[] = {
	{ "10.0.0.0/8", "10.255.0.1:80", true },
	{ "10.0.0.0/8", "11.0.0.1:80", false },
	{ "10.0.0.0/8", "[::ffff:10.1.2.3]:80", true },
	{ "10.0.0.0/8", "[a00::]:80", false },
	{ "10.0.0.0/8", "unix:/run/x", false },
	{ "192.0.2.128/25", "192.0.2.128:1", true },
	{ "192.0.2.128/25", "192.0.2.127:1", false },
	{ "192.0.2.1", "192.0.2.1:1", true },
	{ "192.0.2.1", "192.0.2.2:1", false },
	{ "0.0.0.0/0", "1.2.3.4:1", true },
	{ "0.0.0.0/0", "[2001:db8::1]:1", false },
	{ "::/0", "[2001:db8::1]:1", true },
	{ "2001:db8::/33", "[2001:db8:7fff::]:1", true },
	{ "2001:db8::/33", "[2001:db8:8000::]:1", false },
};

static void a_network_holds_its_addresses_only(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		struct cidr c;
		struct addr a;

		assert_int_equal(cidr_parse(&c, members[i].network), 0);
		assert_int_equal(addr_parse(&a, members[i].address), 0);
		if (cidr_contains(&c, &a) != members[i].is_inside)
			fail_msg("%s in %s", members[i].address, members[i].network);
		assert_int_equal(cidr_list_contains(&c, 1, &a), members[i].is_inside);
		assert_false(cidr_list_contains(&c, 0, &a));
	}
}

static void no_address_is_nowhere(void **state)
{
	struct addr none = { 0 };
	struct cidr all;

	(void)state;
	assert_int_equal(cidr_parse(&all, "0.0.0.0/0"), 0);
	assert_false(cidr_contains(&all, &none));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(networks_are_read_and_written),
		cmocka_unit_test(a_network_holds_its_addresses_only),
		cmocka_unit_test(no_address_is_nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
