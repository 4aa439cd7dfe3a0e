/* proxy/error_page: what a refused client reads, in the language that it asked for. */
#include "proxy_setup.h"

#include "proxy/error_page.h"

static const struct {
	const char *accept;
	bool want; /* JSON */
} cases[] = {
	{ "", false },
	{ "*/*", false },
	{ "text/html", false },
	{ "text/html,application/xhtml+xml,*/*;q=0.8", false },
	{ "application/json", true },
	{ "application/json, text/plain, */*", true },
	{ "*/*, application/json", true },
	{ "Application/JSON", true },
	{ "application/problem+json", true },
	{ "application/*", true },
	{ "application/*;q=0.5, text/*;q=0.4", true },
	{ "text/html, application/json", false },
	{ "application/json, text/html", false },
	{ "text/html;q=0.9, application/json", true },
	{ "text/html, application/json;q=0.9", false },
	{ "application/json;q=0", false },
	{ "application/json;q=0, */*", false },
	{ "text/html;q=0, */*", true },
	{ "application/json;q=0.001", true },
	{ "application/json ; charset=utf-8 ; Q=1.000, text/html;q=0.999", true },
	{ "application/json;q=1.001, text/html;q=0.1", false },
	{ "application/json;q=, text/html;q=0.1", false },
	{ "application/json;q=0.1234, */*;q=0.1", false },
	{ "application/json;", true },
	{ "application/json;;q=1", true },
	{ "text/plain", false },
	{ "image/png, */*;q=0.1", false },
	{ ",,;,", false },
};

static void json_is_for_those_who_prefer_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (accept_prefers_json(cases[i].accept, strlen(cases[i].accept)) != cases[i].want)
			fail_msg("Accept: %s", cases[i].accept);
}

static void accept_in_several_fields_is_one_list(void **state)
{
	struct error_page page;
	struct setup s;

	(void)state;
	setup_config(&s, "{cluster: c}", "");
	assert_int_equal(setup_get(&s, "/", "Accept: text/html;q=0.5\r\nAccept: application/json\r\n"),
			 REASON_NONE);
	error_page_make(&page, REASON_NO_ROUTE, 0, &s.head);
	assert_string_equal(page.type, "application/json");
	assert_int_equal(setup_get(&s, "/", ""), REASON_NONE);
	error_page_make(&page, REASON_NO_ROUTE, 0, &s.head);
	assert_string_equal(page.type, "text/html; charset=utf-8");
	setup_done(&s);
}

static const struct http_field json_field = { "accept", "application/json", 16, 6, HTTP_ACCEPT };

static void json_page_names_status_reason_and_key(void **state)
{
	struct http_field field = json_field;
	struct http_head head = { .fields = &field, .field_count = 1, .seen = HTTP_BIT(HTTP_ACCEPT) };
	struct error_page page;

	(void)state;
	error_page_make(&page, REASON_BODY_TOO_LARGE, 0, &head);
	assert_int_equal(page.status, 413);
	assert_bytes("413", page.body, page.len,
		     "{\"status\":413,\"error\":\"Content Too Large\",\"reason\":\"body_too_large\","
		     "\"detail\":\"the body is too large (http.max_body_size)\"}\n");
	error_page_make(&page, REASON_NO_ROUTE, 421, &head);
	assert_int_equal(page.status, 421);
	assert_bytes("421", page.body, page.len,
		     "{\"status\":421,\"error\":\"Misdirected Request\",\"reason\":\"no_route\","
		     "\"detail\":\"no route matches\"}\n");
}

static void every_reason_has_a_page(void **state)
{
	struct http_field field = json_field;
	struct http_head head = { .fields = &field, .field_count = 1, .seen = HTTP_BIT(HTTP_ACCEPT) };
	struct error_page page;
	char number[16];

	(void)state;
	for (unsigned why = 0; why < REASON_COUNT; why++) {
		error_page_make(&page, why, 0, NULL);
		assert_true(page.status >= 400 && page.status <= 599);
		assert_true(page.len > 0 && page.len < ERROR_PAGE_MAX);
		snprintf(number, sizeof(number), ">%u ", page.status);
		assert_non_null(memmem(page.body, page.len, number, strlen(number)));
		error_page_make(&page, why, 0, &head);
		assert_true(page.len < ERROR_PAGE_MAX);
		/* our own words need no escapes, in either language */
		for (const char *p = reason_of(why)->text; *p != '\0'; p++)
			assert_null(memchr("<>&\"\\", *p, 5));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_is_for_those_who_prefer_it),
		cmocka_unit_test(accept_in_several_fields_is_one_list),
		cmocka_unit_test(json_page_names_status_reason_and_key),
		cmocka_unit_test(every_reason_has_a_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
