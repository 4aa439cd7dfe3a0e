/* What tests of the proxy's rooms without sockets share: a configuration from a few lines, and a request
 * under it. */
#ifndef UNIT_PROXY_SETUP_H
#define UNIT_PROXY_SETUP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/list.h"
#include "proxy/request.h"
#include "proxy/route.h"
#include "wire/http1_parse.h"

#define SETUP_FIELDS_MAX 64

struct setup {
	struct config *config;
	struct http_field fields[SETUP_FIELDS_MAX];
	struct http_head head;
	struct addr peer, local;
	struct request r;
	char *in; /* the head, in a block of its own */
	char scratch[16384];
};

/* `routes` is what stands in the list of routes of listener "web", `rest` further keys of the file. */
static inline void setup_config(struct setup *s, const char *routes, const char *rest)
{
	struct config_errors errors;
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	fprintf(out,
		"%s\nlisteners:\n- name: web\n  bind: 127.0.0.1:80\n  routes: [%s]\n"
		"clusters: [{name: c, endpoints: [\"10.0.0.1:80\"]}, {name: d, endpoints: "
		"[\"10.0.0.2:80\"]}]\n",
		rest, routes);
	assert_int_equal(fclose(out), 0);
	memset(s, 0, sizeof(*s));
	config_errors_init(&errors);
	s->config = config_load_bytes("t", text, len, &errors);
	if (s->config == NULL) {
		config_errors_print(&errors, stderr);
		fail_msg("the configuration is wrong: %s", text);
	}
	config_errors_done(&errors);
	free(text);
	assert_int_equal(addr_parse(&s->peer, "192.0.2.7:4711"), 0);
	assert_int_equal(addr_parse(&s->local, "127.0.0.1:8080"), 0);
}

static inline void setup_done(struct setup *s)
{
	free(s->in);
	config_unref(s->config);
	s->in = NULL;
	s->config = NULL;
}

/* A whole head, empty line included; NUL-terminated. */
static inline void setup_head(struct setup *s, const char *text)
{
	const struct http1_limits limits = { 0 };
	size_t len = strlen(text);
	int got;

	free(s->in);
	s->in = malloc(len > 0 ? len : 1);
	assert_non_null(s->in);
	memcpy(s->in, text, len);
	http_head_init(&s->head, s->fields, SETUP_FIELDS_MAX);
	got = http1_parse_request((const uint8_t *)s->in, len, &limits, NULL, &s->head);
	if (got != (int)len)
		fail_msg("%d from the parser: %s", got, text);
	s->r = (struct request){
		.head = &s->head,
		.config = s->config,
		.listener = &s->config->listeners[0],
		.peer = &s->peer,
		.local = &s->local,
		.is_tls = s->r.is_tls,
	};
}

static inline enum reason setup_request(struct setup *s, const char *text)
{
	enum reason why;

	setup_head(s, text);
	why = request_prepare(&s->r, s->scratch, s->head.path_len + s->head.host_len);
	return why != REASON_NONE ? why : route_find(&s->r);
}

/* "GET TARGET" with a Host and further lines. */
static inline enum reason setup_get(struct setup *s, const char *target, const char *lines)
{
	char text[20000];

	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", target, lines);
	return setup_request(s, text);
}

static inline void assert_bytes(const char *name, const char *got, size_t len, const char *want)
{
	if (len != strlen(want) || memcmp(got, want, len) != 0)
		fail_msg("%s: got\n%.*s\nwant\n%s", name, (int)len, got, want);
}

#endif
