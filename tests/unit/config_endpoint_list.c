/* config/endpoint_list: lists of endpoints in files of their own, and those that are put together. */
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/list.h"

static const struct {
	const char *text;
	const char *want; /* "address*weight " each, with "backup"; NULL: refused */
} files[] = {
	{ "- 127.0.0.1:80\n", "127.0.0.1:80*1 " },
	{ "[\"127.0.0.1:80\", \"[::1]:81\"]", "127.0.0.1:80*1 [::1]:81*1 " },
	{ "[{\"address\": \"a.test:80\", \"weight\": 7, \"backup\": true}]", "a.test:80*7 backup " },
	{ "endpoints:\n- 127.0.0.1:80\n", "127.0.0.1:80*1 " },
	{ "[]", "" },
	{ "endpoints: []", "" },
	{ "- 127.0.0.1:80\n- 127.0.0.1:80\n", NULL },
	{ "- 127.0.0.1\n", NULL },
	{ "- {weight: 1}\n", NULL },
	{ "- {address: \"127.0.0.1:80\", wait: 1}\n", NULL },
	{ "{endpoint: []}", NULL },
	{ "[", NULL },
};

static struct endpoint_list *load(const char *text, size_t *errors_count)
{
	char path[] = "/tmp/hf_endpoints_XXXXXX";
	int fd = mkstemp(path);
	struct config_errors errors;
	struct endpoint_list *l;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	config_errors_init(&errors);
	l = endpoint_list_load(path, &errors);
	*errors_count = errors.errors_count;
	config_errors_done(&errors);
	unlink(path);
	return l;
}

static void a_file_is_a_list_or_says_what_is_wrong(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		size_t errors_count, at = 0;
		struct endpoint_list *l = load(files[i].text, &errors_count);
		char got[256] = "";

		if ((l == NULL) != (files[i].want == NULL) || (l == NULL) != (errors_count > 0))
			fail_msg("%s: %s, %zu errors", files[i].text, l == NULL ? "refused" : "taken", errors_count);
		for (size_t j = 0; l != NULL && j < l->endpoints_count; j++) {
			const struct endpoint_config *e = &l->endpoints[j];

			at += (size_t)snprintf(got + at, sizeof(got) - at, "%s*%u %s", e->address, e->weight,
					       e->backup ? "backup " : "");
			assert_true(e->port > 0 && e->host[0] != '\0');
		}
		if (l != NULL)
			assert_string_equal(got, files[i].want);
		endpoint_list_unref(l);
	}
}

static void lists_are_equal_when_their_endpoints_are(void **state)
{
	struct endpoint_list *a = endpoint_list_new(2), *b = endpoint_list_new(2);

	(void)state;
	assert_non_null(a);
	assert_non_null(b);
	assert_true(endpoint_list_is_equal(a, b));
	assert_false(endpoint_list_is_equal(a, NULL));
	assert_true(endpoint_list_add(a, "10.0.0.1:80"));
	assert_false(endpoint_list_add(a, "10.0.0.1"));
	assert_false(endpoint_list_is_equal(a, b));
	assert_true(endpoint_list_add(b, "10.0.0.1:80"));
	assert_true(endpoint_list_is_equal(a, b));
	b->endpoints[0].weight = 2;
	assert_false(endpoint_list_is_equal(a, b));
	endpoint_list_unref(endpoint_list_ref(a));
	assert_int_equal(a->endpoints_count, 1);
	endpoint_list_unref(a);
	endpoint_list_unref(b);
	endpoint_list_unref(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_a_list_or_says_what_is_wrong),
		cmocka_unit_test(lists_are_equal_when_their_endpoints_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
