/* What a reload changes, key by key. */
#include "config/diff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BASE                                                                                                 \
	"listeners: [{name: web, bind: ['127.0.0.1:80'], routes: [{name: a, cluster: c}, {name: b, cluster: d}]}]\n" \
	"clusters: [{name: c, endpoints: ['10.0.0.1:80', '10.0.0.2:80']}, {name: d, endpoints: ['10.0.0.3:80']}]\n"

static const struct {
	const char *name, *now, *want;
} cases[] = {
	{ "nothing", BASE, "" },
	{ "order of clusters is none",
	  "listeners: [{name: web, bind: ['127.0.0.1:80'], routes: [{name: a, cluster: c}, {name: b, cluster: d}]}]\n"
	  "clusters: [{name: d, endpoints: ['10.0.0.3:80']}, {name: c, endpoints: ['10.0.0.1:80', '10.0.0.2:80']}]\n",
	  "" },
	{ "a key below several names", BASE "shutdown: {grace: 9s}\n", "shutdown.grace 30s>9s;" },
	{ "an endpoint goes, another comes",
	  "listeners: [{name: web, bind: ['127.0.0.1:80'], routes: [{name: a, cluster: c}, {name: b, cluster: d}]}]\n"
	  "clusters: [{name: c, endpoints: ['10.0.0.1:80', '10.0.0.9:80']}, {name: d, endpoints: ['10.0.0.3:80']}]\n",
	  "clusters.c.endpoints.10.0.0.2:80 >(none);clusters.c.endpoints.10.0.0.9:80 (none)>;" },
	{ "a list of values is one value",
	  "listeners: [{name: web, bind: ['127.0.0.1:80', '127.0.0.1:81'], routes: [{name: a, cluster: c}, {name: b, "
	  "cluster: d}]}]\n"
	  "clusters: [{name: c, endpoints: ['10.0.0.1:80', '10.0.0.2:80']}, {name: d, endpoints: ['10.0.0.3:80']}]\n",
	  "listeners.web.bind 127.0.0.1:80>127.0.0.1:80, 127.0.0.1:81;" },
	{ "an option that was absent", BASE "admin: {listen: '127.0.0.1:99'}\n", "admin (none)>;" },
};

static struct config *load(const char *text)
{
	struct config_errors errors;
	struct config *c;

	config_errors_init(&errors);
	c = config_load_bytes("t", text, strlen(text), &errors);
	if (c == NULL)
		config_errors_print(&errors, stderr);
	config_errors_done(&errors);
	assert_non_null(c);
	return c;
}

static void add(void *user, const char *path, const char *from, const char *to)
{
	char *out = user;
	size_t len = strlen(out);

	snprintf(out + len, 1024 - len, "%s %s>%s;", path, from != NULL ? from : "(none)", to != NULL ? to : "(none)");
}

static void changes_are_named(void **state)
{
	struct config *base = load(BASE);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config *now = load(cases[i].now);
		char got[1024] = "";

		assert_int_equal(config_diff(base, now, add, got), 0);
		if (strcmp(got, cases[i].want) != 0)
			fail_msg("%s: \"%s\", want \"%s\"", cases[i].name, got, cases[i].want);
		config_unref(now);
	}
	config_unref(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(changes_are_named) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
