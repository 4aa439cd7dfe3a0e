/* wire/event_stream: records read however they are cut, and read back as they were written. */
#include "wire/event_stream.h"

#include "base/digest.h"
#include "base/list.h"
#include "wire/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct {
	const char *in;
	long want; /* bytes used, or an error; 0: more */
	const char *event, *data, *id;
} cases[] = {
	{ "data: \"x\"\n\n", 11, NULL, "\"x\"", NULL },
	{ "data:1\n\nmore", 8, NULL, "1", NULL },
	{ "data:  1\n\n", 10, NULL, " 1", NULL },
	{ "id: 7\nevent: b\ndata: AAEC\n\n", 27, "b", "AAEC", "7" },
	{ "event: ack\r\ndata: 12\r\n\r\n", 24, "ack", "12", NULL },
	{ ": hello\n\nretry: 1000\n\ndata: 1\n\n", 31, NULL, "1", NULL },
	{ "data\n\n", 6, NULL, "", NULL },
	{ "event: gone\n\n", 13, "gone", NULL, NULL },
	{ "data: 1\ndata: 2\n\n", -EVENT_STREAM_FIELD, NULL, NULL, NULL },
	{ "id: 1\nid: 2\n\n", -EVENT_STREAM_FIELD, NULL, NULL, NULL },
	{ "dat: 1\n\n", -EVENT_STREAM_FIELD, NULL, NULL, NULL },
	{ "datax: 1\n\n", -EVENT_STREAM_FIELD, NULL, NULL, NULL },
	{ " data: 1\n\n", -EVENT_STREAM_FIELD, NULL, NULL, NULL },
	{ "data: 1\r2\n\n", -EVENT_STREAM_LINE_END, NULL, NULL, NULL },
	{ "data: 1\n", 0, NULL, NULL, NULL },
	{ "data: 1", 0, NULL, NULL, NULL },
	{ "\n\n\n", 0, NULL, NULL, NULL },
	{ "", 0, NULL, NULL, NULL },
};

static bool same(const char *got, size_t len, const char *want)
{
	return want == NULL ? got == NULL : got != NULL && len == strlen(want) && memcmp(got, want, len) == 0;
}

static void records_are_the_same_however_they_are_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct event_record r = { 0 };
		size_t len = strlen(cases[i].in);
		long got = 0;

		for (size_t n = 0; n <= len && got == 0; n++) {
			char *cut = malloc(n > 0 ? n : 1);

			memcpy(cut, cases[i].in, n);
			got = event_record_parse(cut, n, &r);
			free(cut);
		}
		if (got != cases[i].want)
			fail_msg("%s: %ld, want %ld", cases[i].in, got, cases[i].want);
		if (got <= 0)
			continue;
		event_record_parse(cases[i].in, len, &r);
		if (!same(r.event, r.event_len, cases[i].event) || !same(r.data, r.data_len, cases[i].data) ||
		    !same(r.id, r.id_len, cases[i].id))
			fail_msg("%s", cases[i].in);
	}
}

static void what_is_written_is_read(void **state)
{
	static const char text[] = "line\nline\r\"quotes\" \\ \xe2\x80\xa8 \0 end";
	static const uint8_t bytes[] = { 0, 1, 2, 0xff, '\n' };
	struct event_record r;
	struct json j;
	struct str s;
	char decoded[256];
	size_t len;
	long used;
	uint64_t number;

	(void)state;
	str_init_heap(&s, 4096);
	event_write_id(&s, NULL, 41);
	event_write_text(&s, text, sizeof(text) - 1);
	event_write_id(&s, "token", 42);
	event_write_binary(&s, bytes, sizeof(bytes));
	event_write_number(&s, "ack", 12);
	event_write_value(&s, "move", "{\"in\":4000}", 11);
	used = event_record_parse(s.at, s.len, &r);
	assert_true(used > 0 && event_record_number(&r, &number) && number == 41 && r.data_len < sizeof(decoded));
	j = json_of(r.data, r.data_len);
	assert_true(json_string(&j, decoded, &len) && json_is_done(&j));
	assert_int_equal(len, sizeof(text) - 1);
	assert_memory_equal(decoded, text, len);
	used += event_record_parse(s.at + used, s.len - (size_t)used, &r);
	assert_true(event_record_is(&r, "b") && same(r.id, r.id_len, "token.42") && !event_record_number(&r, &number));
	assert_int_equal(base64_decode(r.data, r.data_len, decoded), (long)sizeof(bytes));
	assert_memory_equal(decoded, bytes, sizeof(bytes));
	used += event_record_parse(s.at + used, s.len - (size_t)used, &r);
	assert_true(event_record_is(&r, "ack") && same(r.data, r.data_len, "12"));
	used += event_record_parse(s.at + used, s.len - (size_t)used, &r);
	assert_true(event_record_is(&r, "move"));
	assert_int_equal(used, s.len);
	str_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_are_the_same_however_they_are_cut),
		cmocka_unit_test(what_is_written_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
