/* proxy/ws_mirror: frames as lines, however they are cut; what does not fit is left out whole, and counted. */
#include "proxy/ws_mirror.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static unsigned lines, ends;

static void notify(struct ws_mirror *m, bool is_over)
{
	(void)m;
	lines += !is_over;
	ends += is_over;
}

static struct ws_mirror *mirror_new(struct ws_mirror **holder, uint32_t payload_max)
{
	struct ws_mirror *m = calloc(1, sizeof(*m));
	struct ws_tracker client, backend;

	assert_non_null(m);
	ws_tracker_init(&client, WS_FROM_CLIENT, 0);
	ws_tracker_init(&backend, WS_FROM_SERVER, 0);
	m->notify = notify;
	m->payload_max = payload_max;
	lines = ends = 0;
	ws_mirror_attach(m, holder, &client, &backend, 1000);
	return m;
}

/* "Hello" masked with 37 fa 21 3d (RFC 6455 5.7), a ping of nothing, 200 bytes in two fragments. */
static size_t stream_make(uint8_t *out)
{
	static const uint8_t hello[] = { 0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
					 0x89, 0x80, 0,	   0,	 0,    0,    0x02, 0x82, 0,    0,    0,
					 0,    'h',  'i',  0x80, 0xc6, 0,    0,	   0,	 0 };

	memcpy(out, hello, sizeof(hello));
	memset(out + sizeof(hello), 'x', 70);
	return sizeof(hello) + 70;
}

static void frames_are_lines_however_they_are_cut(void **state)
{
	static const char want[] =
		"{\"ms\": 5, \"from\": \"client\", \"opcode\": \"text\", \"fin\": true, \"rsv\": 0, \"length\": 5, \"payload\": \"SGVsbA==\"}\n"
		"{\"ms\": 5, \"from\": \"client\", \"opcode\": \"ping\", \"fin\": true, \"rsv\": 0, \"length\": 0, \"payload\": \"\"}\n"
		"{\"ms\": 5, \"from\": \"client\", \"opcode\": \"binary\", \"fin\": false, \"rsv\": 0, \"length\": 2, \"payload\": \"aGk=\"}\n"
		"{\"ms\": 5, \"from\": \"client\", \"opcode\": \"continuation\", \"fin\": true, \"rsv\": 0, \"length\": 70, \"payload\": \"eHh4eA==\"}\n";
	uint8_t in[256];
	size_t len = stream_make(in);

	(void)state;
	for (size_t step = 1; step <= len; step++) {
		struct ws_mirror *holder = NULL, *m = mirror_new(&holder, 4);
		char out[2048];
		size_t got;

		assert_ptr_equal(holder, m);
		for (size_t at = 0; at < len; at += step)
			ws_mirror_look(m, true, in + at, step < len - at ? step : len - at, 1005);
		got = ws_mirror_take(m, out, sizeof(out));
		assert_int_equal(got, sizeof(want) - 1);
		assert_memory_equal(out, want, got);
		assert_int_equal(lines, 4);
		assert_int_equal(ws_mirror_take(m, out, sizeof(out)), 0);
		ws_mirror_detach(m);
		ws_mirror_detach(m);
		assert_null(holder);
		assert_int_equal(ends, 1);
		free(m);
	}
}

/* Frames that are shown, frames that a line says were left out, and those left out since add up; no line is ever cut. */
static void what_does_not_fit_is_counted(void **state)
{
	struct ws_mirror *holder = NULL, *m = mirror_new(&holder, WS_MIRROR_PAYLOAD_MAX);
	uint8_t in[4 + 1024] = { 0x82, 126, 0x04, 0x00 };
	static char out[WS_MIRROR_BUFFER + 1];
	unsigned seen = 0, told = 0, sent = 0;

	(void)state;
	for (unsigned round = 0; round < 50; round++) {
		size_t got;

		for (unsigned i = 0; i < 1 + round % 7 * 20; i++, sent++)
			ws_mirror_look(m, false, in, sizeof(in), 1000);
		got = ws_mirror_take(m, out, WS_MIRROR_BUFFER);
		out[got] = '\0';
		assert_true(got > 0 && out[got - 1] == '\n');
		for (char *line = strtok(out, "\n"); line != NULL; line = strtok(NULL, "\n")) {
			unsigned n;

			if (sscanf(line, "{\"dropped\": %u}", &n) == 1)
				told += n;
			else
				seen++;
			assert_true(line[0] == '{' && line[strlen(line) - 1] == '}');
		}
	}
	assert_true(m->dropped > 0 && told == m->dropped_told);
	assert_int_equal(seen + m->dropped, sent);
	ws_mirror_detach(m);
	free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_are_lines_however_they_are_cut),
		cmocka_unit_test(what_does_not_fit_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
