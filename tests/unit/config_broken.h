/* Broken files and what they are told: the table's type, its words, and who goes through it. */
#ifndef UNIT_CONFIG_BROKEN_H
#define UNIT_CONFIG_BROKEN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/list.h"
#include "config/config.h"

#define LISTENERS_LINES "listeners:\n- {name: w, bind: \"127.0.0.1:80\", routes: [{cluster: c}]}\n"
#define CLUSTERS_LINES	"clusters:\n- {name: c, endpoints: [\"10.0.0.1:80\"]}\n"

/* A good file, but for the text. */
#define IN_FILE(x) x "\n" LISTENERS_LINES CLUSTERS_LINES
#define IN_LISTENER(x) \
	"listeners:\n- {name: w, bind: \"127.0.0.1:80\", routes: [{cluster: c}], " x "}\n" CLUSTERS_LINES
#define IN_TCP(x)     "listeners:\n- {name: w, bind: \"127.0.0.1:80\", protocol: tcp, " x "}\n" CLUSTERS_LINES
#define ROUTES_LINES  "listeners:\n- name: w\n  bind: 127.0.0.1:80\n  routes:"
#define IN_ROUTE(x)   ROUTES_LINES "\n  - {cluster: c, " x "}\n" CLUSTERS_LINES
#define ROUTES(x)     ROUTES_LINES " [" x "]\n" CLUSTERS_LINES
#define IN_CLUSTER(x) "clusters:\n- {name: c, endpoints: [\"10.0.0.1:80\"], " x "}\n" LISTENERS_LINES
#define CLUSTERS(x)   "clusters: [" x "]\n" LISTENERS_LINES

struct broken {
	const char *file;
	const char *want; /* all messages, a line each */
};

/* What a file is told; gives (free). */
static inline char *errors_of(const char *bytes, size_t len)
{
	struct config_errors errors;
	struct config *c;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	config_errors_init(&errors);
	c = config_load_bytes("t", bytes, len, &errors);
	assert_int_equal(c == NULL, errors.errors_count > 0);
	config_errors_print(&errors, out);
	config_errors_done(&errors);
	config_unref(c);
	assert_int_equal(fclose(out), 0);
	return text;
}

static inline void broken_files_check(const struct broken *cases, size_t count)
{
	unsetenv("HF_TEST_UNSET");
	for (size_t i = 0; i < count; i++) {
		char *got = errors_of(cases[i].file, strlen(cases[i].file));
		size_t len = strlen(got);

		assert_true(len > 0);
		got[len - 1] = '\0'; /* the last line's end */
		if (strcmp(got, cases[i].want) != 0)
			fail_msg("file:\n%s\ngot:\n%s\nwant:\n%s", cases[i].file, got, cases[i].want);
		free(got);
	}
}

#endif
