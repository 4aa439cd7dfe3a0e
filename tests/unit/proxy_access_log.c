/* proxy/access_log: one line for each thing that happened, in a fixed order, and none that a client wrote. */
#include "proxy_setup.h"

#include "base/log.h"
#include "proxy/access_log.h"

#include <unistd.h>

#define JSON	 "log: {access: {path: /dev/null, format: json}}"
#define COMBINED "log: {access: {path: /dev/null, format: combined}}"

static char path[] = "/tmp/proxy_access_log_XXXXXX";

static int file_make(void **state)
{
	(void)state;
	return mkstemp(path) < 0 ? -1 : 0;
}

static int file_remove(void **state)
{
	(void)state;
	return unlink(path);
}

/* The whole way: what access_write() gives, as it is in the file.  Gives (free). */
static char *written(const struct access_entry *e, const struct access_end *ends, size_t count)
{
	char *text = NULL;
	size_t len = 0;
	FILE *in, *out = open_memstream(&text, &len);

	assert_non_null(out);
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(log_access_open(path), 0);
	assert_int_equal(log_start(), 0);
	for (size_t i = 0; i < count; i++)
		access_write(e, &ends[i]);
	log_stop();
	in = fopen(path, "r");
	assert_non_null(in);
	for (int c = getc(in); c != EOF; c = getc(in))
		putc(c, out);
	fclose(in);
	assert_int_equal(fclose(out), 0);
	return text;
}

/* Times and ids are others each time: digits of a time become 0, an id becomes ID. */
static void mask(char *text, const char *id)
{
	char *at;

	for (at = strstr(text, "\"time\":\""); at != NULL; at = strstr(at + 1, "\"time\":\""))
		for (char *p = at + 8; *p != '"'; p++)
			*p = *p >= '0' && *p <= '9' ? '0' : *p;
	for (at = strchr(text, '['); at != NULL && at[1] >= '0' && at[1] <= '9'; at = NULL)
		for (char *p = at + 1; *p != ']'; p++)
			*p = (*p >= '0' && *p <= '9') ? '0' : (*p >= 'A' && *p <= 'z') ? 'x' : *p;
	while (*id != '\0' && (at = strstr(text, id)) != NULL) {
		memmove(at + 2, at + strlen(id), strlen(at + strlen(id)) + 1);
		memcpy(at, "ID", 2);
	}
}

#define TIME "{\"time\":\"0000-00-00T00:00:00.000Z\","
#define CLF  "[00/xxx/0000:00:00:00 +0000]"

static const struct access_end plain = {
	.event = "request",
	.status = 200,
	.cluster = "c",
	.endpoint = "10.0.0.1:80",
	.bytes_in = 100,
	.bytes_out = 2000,
	.body_out = 1900,
	.duration_us = 1234567,
};

static const struct access_end socket_ends[] = {
	{ .event = "open", .status = 101, .cluster = "c", .endpoint = "e", .duration_us = 5 },
	{ .event = "close",
	  .status = 101,
	  .cluster = "c",
	  .endpoint = "e",
	  .bytes_in = 1,
	  .bytes_out = 2,
	  .body_out = 2,
	  .duration_us = 1000,
	  .why = REASON_TIMEOUT_WS_IDLE,
	  .is_websocket = true,
	  .messages_in = 3,
	  .messages_out = 4,
	  .close_code = 1001,
	  .closed_by = CLOSED_BY_PROXY },
};

static const struct {
	const char *rest;
	const char *head;
	const char *tls;
	const struct access_end *ends;
	size_t count;
	const char *want;
} cases[] = {
	{ JSON,
	  "POST /page/1?q=1 HTTP/1.1\r\nHost: LocalHost:80\r\nUser-Agent: tester\r\nReferer: "
	  "http://from/\r\n\r\n",
	  "", &plain, 1,
	  TIME "\"event\":\"request\",\"request_id\":\"ID\",\"client\":\"192.0.2.7\",\"listener\":\"web\","
	       "\"route\":\"all\","
	       "\"cluster\":\"c\",\"endpoint\":\"10.0.0.1:80\",\"method\":\"POST\",\"path\":\"/page/1?q=1\","
	       "\"host\":\"localhost\",\"protocol\":\"HTTP/"
	       "1.1\",\"status\":200,\"bytes_in\":100,\"bytes_out\":2000,"
	       "\"duration_ms\":1234.567,\"referer\":\"http://from/\",\"user_agent\":\"tester\"}\n" },
	{ JSON, "GET http://X/./a HTTP/1.0\r\n\r\n", "TLSv1.3",
	  &(const struct access_end){ .event = "request", .why = REASON_TIMEOUT_BODY }, 1,
	  TIME
	  "\"event\":\"request\",\"request_id\":\"ID\",\"client\":\"192.0.2.7\",\"listener\":\"web\","
	  "\"route\":\"all\","
	  "\"method\":\"GET\",\"path\":\"/./a\",\"host\":\"x\",\"protocol\":\"HTTP/1.0\",\"tls\":\"TLSv1.3\","
	  "\"bytes_in\":0,\"bytes_out\":0,\"duration_ms\":0.000,\"reason\":\"timeout_body\",\"key\":"
	  "\"timeouts.body\"}\n" },
	{ JSON,
	  "GET /\",\"status\":200,\"x\":\" HTTP/1.1\r\nHost: x\r\nUser-Agent: "
	  "\",\\\t\xff\xc2\x85\xe2\x80\xa8\r\n\r\n",
	  NULL,
	  &(const struct access_end){
		  .event = "request", .status = 404, .why = REASON_NO_ROUTE, .duration_us = 1 },
	  1,
	  TIME "\"event\":\"request\",\"request_id\":\"ID\",\"client\":\"192.0.2.7\",\"listener\":\"web\","
	       "\"route\":\"all\","
	       "\"method\":\"GET\",\"path\":\"/"
	       "\\\",\\\"status\\\":200,\\\"x\\\":\\\"\",\"host\":\"x\",\"protocol\":\"HTTP/1.1\","
	       "\"status\":404,\"bytes_in\":0,\"bytes_out\":0,\"duration_ms\":0.001,"
	       "\"user_agent\":\"\\\",\\\\\\t\\ufffd\\u0085\\u2028\",\"reason\":\"no_route\"}\n" },
	{ JSON, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "", socket_ends, 2,
	  TIME "\"event\":\"open\",\"request_id\":\"ID\",\"client\":\"192.0.2.7\",\"listener\":\"web\","
	       "\"route\":\"all\","
	       "\"cluster\":\"c\",\"endpoint\":\"e\",\"method\":\"GET\",\"path\":\"/"
	       "\",\"host\":\"x\",\"protocol\":\"HTTP/1.1\","
	       "\"status\":101,\"bytes_in\":0,\"bytes_out\":0,\"duration_ms\":0.005}\n" TIME
	       "\"event\":\"close\",\"request_id\":\"ID\",\"client\":\"192.0.2.7\",\"listener\":\"web\","
	       "\"route\":\"all\","
	       "\"cluster\":\"c\",\"endpoint\":\"e\",\"method\":\"GET\",\"path\":\"/"
	       "\",\"host\":\"x\",\"protocol\":\"HTTP/1.1\","
	       "\"status\":101,\"bytes_in\":1,\"bytes_out\":2,\"duration_ms\":1.000,\"messages_in\":3,"
	       "\"messages_out\":4,"
	       "\"close_code\":1001,\"closed_by\":\"proxy\",\"reason\":\"timeout_websocket_idle\","
	       "\"key\":\"websocket.idle_timeout\"}\n" },
	{ COMBINED,
	  "GET /a?b HTTP/1.1\r\nHost: x\r\nUser-Agent: quo\"ted\\\t\xff\r\nReferer: http://x/\r\n\r\n", "",
	  &plain, 1,
	  "192.0.2.7 - - " CLF
	  " \"GET /a?b HTTP/1.1\" 200 1900 \"http://x/\" \"quo\\\"ted\\\\\\x09\\xff\"\n" },
	{ COMBINED, "GET http://x/a HTTP/1.0\r\nUser-Agent:\r\n\r\n", "",
	  &(const struct access_end){ .event = "request" }, 1,
	  "192.0.2.7 - - " CLF " \"GET http://x/a HTTP/1.0\" - 0 \"-\" \"-\"\n" },
	{ COMBINED, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "", socket_ends, 2,
	  "192.0.2.7 - - " CLF " \"GET / HTTP/1.1\" 101 0 \"-\" \"-\" event=open\n"
	  "192.0.2.7 - - " CLF " \"GET / HTTP/1.1\" 101 2 \"-\" \"-\" event=close duration_ms=1.000 bytes_in=1 messages_in=3 "
	  "messages_out=4 close_code=1001 closed_by=proxy reason=timeout_websocket_idle key=websocket.idle_timeout\n" },
};

static void mask_lines(char *text, const char *id)
{
	for (char *line = text; *line != '\0'; line = strchr(line, '\n') + 1)
		mask(line, id);
}

static void lines_of_requests(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct access_entry *e;
		struct setup s;
		char *got;

		setup_config(&s, "{name: all, cluster: c}", cases[i].rest);
		assert_int_equal(setup_request(&s, cases[i].head), REASON_NONE);
		e = access_request(&s.config->log, &s.r, cases[i].tls);
		assert_non_null(e);
		memset(s.in, 'x', strlen(cases[i].head)); /* it keeps nothing of the request */
		got = written(e, cases[i].ends, cases[i].count);
		mask_lines(got, s.r.id);
		assert_bytes(cases[i].head, got, strlen(got), cases[i].want);
		free(got);
		access_free(e);
		setup_done(&s);
	}
}

static const struct {
	const char *rest;
	const char *text; /* NULL: a TCP connection */
	const char *want;
} others[] = {
	{ JSON, "NONSENSE\r\n",
	  TIME "\"event\":\"close\",\"client\":\"192.0.2.7\",\"listener\":\"web\",\"line\":\"NONSENSE\","
	       "\"status\":400,"
	       "\"bytes_in\":0,\"bytes_out\":0,\"duration_ms\":0.000,\"reason\":\"bad_request\"}\n" },
	{ JSON, "\x01\x1b]0;x\x07\"}\n{",
	  TIME "\"event\":\"close\",\"client\":\"192.0.2.7\",\"listener\":\"web\",\"line\":"
	       "\"\\u0001\\u001b]0;x\\u0007\\\"}\\n{\",\"status\":400,\"bytes_in\":0,\"bytes_out\":0,"
	       "\"duration_ms\":0.000,"
	       "\"reason\":\"bad_request\"}\n" },
	{ JSON, NULL,
	  TIME "\"event\":\"close\",\"client\":\"192.0.2.7\",\"listener\":\"web\",\"protocol\":\"tcp\","
	       "\"tls\":\"TLSv1.2\","
	       "\"bytes_in\":0,\"bytes_out\":0,\"duration_ms\":0.000}\n" },
	{ COMBINED, "\x01\x02 \"nonsense\\\n\r\n",
	  "192.0.2.7 - - " CLF " \"\\x01\\x02 \\\"nonsense\\\\\" 400 0 \"-\" \"-\" event=close duration_ms=0.000 bytes_in=0 reason=bad_request\n" },
	{ COMBINED, "", "192.0.2.7 - - " CLF " \"\" 400 0 \"-\" \"-\" event=close duration_ms=0.000 bytes_in=0 reason=bad_request\n" },
	{ COMBINED, NULL, "192.0.2.7 - - " CLF " \"TCP web\" - 0 \"-\" \"-\" event=close duration_ms=0.000 bytes_in=0\n" },
};

static void lines_of_what_is_no_request(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		const struct access_end end = { .event = "close",
						.status = others[i].text != NULL ? 400 : 0,
						.why = others[i].text != NULL ? REASON_BAD_REQUEST
									      : REASON_NONE };
		const struct listener_config *l;
		struct access_entry *e;
		struct setup s;
		char *got;

		setup_config(&s, "{cluster: c}", others[i].rest);
		l = &s.config->listeners[0];
		if (others[i].text != NULL)
			e = access_malformed(&s.config->log, l, &s.peer, others[i].text,
					     strlen(others[i].text));
		else
			e = access_connection(&s.config->log, l, &s.peer, "TLSv1.2");
		assert_non_null(e);
		got = written(e, &end, 1);
		mask_lines(got, "");
		assert_bytes(others[i].want, got, strlen(got), others[i].want);
		free(got);
		access_free(e);
		setup_done(&s);
	}
}

/* ---- bounds ---- */

/* A line of the longest that a client can make is whole: quotes are even, braces close, nothing steers a
 * terminal. */
static void check_whole(const char *line, size_t max)
{
	size_t len = strlen(line), quotes = 0;

	assert_true(len > 8192 && len < max);
	assert_ptr_equal(strchr(line, '\n'), line + len - 1);
	for (size_t i = 0; i + 1 < len; i++) {
		assert_true((uint8_t)line[i] >= 0x20 && (uint8_t)line[i] != 0x7f);
		if (line[i] == '\\')
			i++;
		else
			quotes += line[i] == '"';
	}
	assert_int_equal(quotes % 2, 0);
}

static void long_lines_are_cut_and_whole(void **state)
{
	static const char *const formats[] = { JSON, COMBINED };
	static const char fill[] = { 'a', '"', '\\', '\t' };
	static char many[30001], target[30001], text[130000];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(formats) * ARRAY_LEN(fill); i++) {
		char c = fill[i / ARRAY_LEN(formats)];
		struct access_entry *e;
		struct setup s;
		char *got;

		/* a tab may stand in a field, and in no target; at a field's ends it is trimmed */
		memset(many, c, sizeof(many) - 1);
		memset(target, c == '\t' ? '"' : c, sizeof(target) - 1);
		snprintf(text, sizeof(text),
			 "GET /%s?b HTTP/1.1\r\nHost: x\r\nReferer: x%sx\r\nUser-Agent: x%sx\r\n\r\n", target,
			 many, many);
		setup_config(&s, "{name: all, cluster: c}", formats[i % 2]);
		setup_head(&s, text);
		request_prepare(&s.r, s.scratch, sizeof(s.scratch));
		e = access_request(&s.config->log, &s.r, "");
		assert_non_null(e);
		got = written(e, &plain, 1);
		check_whole(got, 40000);
		free(got);
		access_free(e);
		e = access_malformed(&s.config->log, s.r.listener, &s.peer, many, sizeof(many) - 1);
		assert_non_null(e);
		access_free(e);
		setup_done(&s);
	}
}

static void log_that_is_off_makes_no_entries(void **state)
{
	struct setup s;

	(void)state;
	setup_config(&s, "{cluster: c}", "");
	assert_int_equal(setup_get(&s, "/", ""), REASON_NONE);
	assert_null(access_request(&s.config->log, &s.r, ""));
	assert_null(access_malformed(&s.config->log, s.r.listener, &s.peer, "x", 1));
	assert_null(access_connection(&s.config->log, s.r.listener, &s.peer, ""));
	access_write(NULL, &plain);
	access_free(NULL);
	setup_done(&s);
}

static unsigned sampled(const char *rest)
{
	unsigned count = 0;
	struct setup s;

	setup_config(&s, "{cluster: c}", rest);
	assert_int_equal(setup_get(&s, "/", ""), REASON_NONE);
	for (int i = 0; i < 4000; i++) {
		struct access_entry *e = access_request(&s.config->log, &s.r, "");

		count += e != NULL;
		access_free(e);
	}
	setup_done(&s);
	return count;
}

static void sample_is_about_its_share(void **state)
{
	unsigned quarter = sampled("log: {access: {path: /dev/null, sample: 25%}}");

	(void)state;
	assert_in_range(quarter, 800, 1200);
	assert_int_equal(sampled("log: {access: {path: /dev/null, sample: 100%}}"), 4000);
	assert_int_equal(sampled("log: {access: {path: /dev/null, sample: 0%}}"), 0);
}

static void events_choose_lines(void **state)
{
	static const struct {
		const char *rest;
		unsigned want;
	} wants[] = {
		{ "log: {access: {path: /dev/null, events: [open]}}", 1 },
		{ "log: {access: {path: /dev/null, events: [close]}}", 2 },
		{ "log: {access: {path: /dev/null, events: [open, close]}}", 3 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wants); i++) {
		struct access_entry *e;
		struct setup s;
		char *got;

		setup_config(&s, "{cluster: c}", wants[i].rest);
		assert_int_equal(setup_get(&s, "/", ""), REASON_NONE);
		e = access_request(&s.config->log, &s.r, "");
		got = written(e, socket_ends, 2);
		assert_int_equal(strstr(got, "\"event\":\"open\"") != NULL, wants[i].want & 1);
		assert_int_equal(strstr(got, "\"event\":\"close\"") != NULL, wants[i].want >> 1);
		free(got);
		got = written(e, &plain, 1);
		assert_non_null(strstr(got, "\"event\":\"request\""));
		free(got);
		access_free(e);
		setup_done(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_of_requests),
		cmocka_unit_test(lines_of_what_is_no_request),
		cmocka_unit_test(long_lines_are_cut_and_whole),
		cmocka_unit_test(log_that_is_off_makes_no_entries),
		cmocka_unit_test(sample_is_about_its_share),
		cmocka_unit_test(events_choose_lines),
	};

	return cmocka_run_group_tests(tests, file_make, file_remove);
}
