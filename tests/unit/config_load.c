/* A good file: what its snapshot holds, what it defaults to, and who may hold it. */
#include "config/config.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/list.h"

static struct config *load(const char *text, const char *want_warnings)
{
	struct config_errors errors;
	struct config *c;
	char *said = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&said, &size);

	assert_non_null(out);
	config_errors_init(&errors);
	c = config_load_bytes("t", text, strlen(text), &errors);
	config_errors_print(&errors, out);
	assert_int_equal(fclose(out), 0);
	config_errors_done(&errors);
	assert_string_equal(said, want_warnings);
	free(said);
	assert_non_null(c);
	return c;
}

#define SMALLEST                            \
	"listeners:\n"                      \
	"  - name: web\n"                   \
	"    bind: 0.0.0.0:8080\n"          \
	"    routes: [{ cluster: chat }]\n" \
	"clusters:\n"                       \
	"  - name: chat\n"                  \
	"    endpoints: [\"127.0.0.1:9001\"]\n"

static void the_smallest_file_has_every_default(void **state)
{
	struct config *c = load(SMALLEST, "");
	const struct listener_config *l = &c->listeners[0];
	const struct route_config *r = &l->routes[0];
	const struct cluster_config *k = &c->clusters[0];

	(void)state;
	assert_int_equal(c->workers, 0);
	assert_null(c->user);
	assert_null(c->pid_file);
	assert_int_equal(c->log.level, CONFIG_LOG_INFO);
	assert_int_equal(c->log.format, CONFIG_LOG_TEXT);
	assert_null(c->log.access);
	assert_null(c->admin);
	assert_int_equal(c->limits.max_connections, 200000);
	assert_int_equal(c->shutdown.grace_ms, 30000);
	assert_int_equal(l->bind_count, 1);
	assert_int_equal(addr_port(&l->bind[0]), 8080);
	assert_int_equal(l->protocol, LISTENER_HTTP);
	assert_int_equal(l->proxy_protocol, PROXY_PROTOCOL_IN_OFF);
	assert_null(l->tls);
	assert_int_equal(l->timeouts.handshake_ms, 10000);
	assert_int_equal(l->timeouts.header_ms, 10000);
	assert_int_equal(l->timeouts.body_ms, 30000);
	assert_int_equal(l->timeouts.keep_alive_ms, 75000);
	assert_int_equal(l->timeouts.idle_ms, 600000);
	assert_int_equal(l->http.max_header_size_bytes, 32768);
	assert_int_equal(l->http.max_headers, 100);
	assert_int_equal(l->http.max_body_size_bytes, 16 << 20);
	assert_string_equal(r->name, "route-1");
	assert_int_equal(r->host_count, 0);
	assert_int_equal(r->path.kind, PATTERN_PREFIX);
	assert_string_equal(r->path.text, "/");
	assert_int_equal(r->targets_count, 1);
	assert_ptr_equal(r->targets[0].cluster, k);
	assert_int_equal(r->targets_weight, 1);
	assert_int_equal(r->websocket.max_message_size_bytes, 1 << 20);
	assert_int_equal(r->websocket.idle_timeout_ms, 0);
	assert_int_equal(r->websocket.compression, WS_COMPRESSION_PASS);
	assert_null(r->respond);
	assert_string_equal(k->balance, "round_robin");
	assert_int_equal(k->protocol, BACKEND_HTTP1);
	assert_null(k->tls);
	assert_int_equal(k->timeouts.connect_ms, 3000);
	assert_int_equal(k->timeouts.response_ms, 60000);
	assert_int_equal(k->retries.attempts, 2);
	assert_int_equal(k->retries.on, RETRY_ON_CONNECT | RETRY_ON_RESET);
	assert_int_equal(k->pool.max_idle, 64);
	assert_int_equal(k->endpoints_count, 1);
	assert_string_equal(k->endpoints[0].host, "127.0.0.1");
	assert_int_equal(k->endpoints[0].port, 9001);
	assert_int_equal(k->endpoints[0].weight, 1);
	assert_true(k->endpoints[0].addr_literal.len > 0);
	config_unref(c);
}

static void endpoints_are_addresses_or_names(void **state)
{
	static const struct {
		const char *text, *host;
		uint16_t port;
		bool is_literal;
	} cases[] = {
		{ "10.0.0.1:8080", "10.0.0.1", 8080, true },
		{ "[2001:db8::1]:80", "2001:db8::1", 80, true },
		{ "unix:/run/chat.sock", "/run/chat.sock", 0, true },
		{ "chat.internal:65535", "chat.internal", 65535, false },
		{ "localhost:1", "localhost", 1, false },
		{ "a_b-c.d.:80", "a_b-c.d.", 80, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[512];
		const struct endpoint_config *e;
		struct config *c;

		snprintf(text, sizeof(text),
			 "listeners: [{name: w, bind: \"127.0.0.1:80\", routes: [{cluster: c}]}]\n"
			 "clusters: [{name: c, endpoints: [{address: \"%s\", weight: 3, max_connections: 7, "
			 "backup: true}]}]\n",
			 cases[i].text);
		c = load(text, "");
		e = &c->clusters[0].endpoints[0];
		assert_string_equal(e->address, cases[i].text);
		assert_string_equal(e->host, cases[i].host);
		assert_int_equal(e->port, cases[i].port);
		assert_int_equal(e->addr_literal.len > 0, cases[i].is_literal);
		assert_int_equal(e->weight, 3);
		assert_int_equal(e->max_connections, 7);
		assert_true(e->backup);
		config_unref(c);
	}
}

static const struct {
	const char *pattern, *text;
	int want;
} hosts[] = {
	{ "Chat.Example.com", "chat.example.com", 1 },
	{ "chat.example.com", "a.chat.example.com", 0 },
	{ "'*.example.com'", "a.example.com", 1 },
	{ "'*.example.com'", "a.b.example.com", 1 },
	{ "'*.example.com'", "example.com", 0 },
	{ "'*.example.com'", ".example.com", 0 },
	{ "'*.example.com'", "aexample.com", 0 },
	{ "'~ ^c[0-9]+[.]de$'", "c12.de", 1 },
	{ "'~ ^c[0-9]+[.]de$'", "c.de", 0 },
	{ "'~^c[0-9]+[.]de$'", "c1.de", 1 },
	{ "'[::1]'", "[::1]", 1 },
};

static const struct {
	const char *pattern, *text;
	int want;
} paths[] = {
	{ "/ws", "/ws", 1 },	   { "/ws", "/ws/", 1 },      { "/ws", "/ws/a", 1 },  { "/ws", "/wsx", 0 },
	{ "/ws", "/w", 0 },	   { "/ws", "/", 0 },	      { "/ws/", "/ws/", 1 },  { "/ws/", "/ws/a", 1 },
	{ "/ws/", "/ws", 0 },	   { "/", "/", 1 },	      { "/", "/a", 1 },	      { "/", "*", 0 },
	{ "'= /ws'", "/ws", 1 },   { "'= /ws'", "/ws/", 0 },  { "'=/ws'", "/ws", 1 }, { "'= *'", "*", 1 },
	{ "'~ ^/a+$'", "/aa", 1 }, { "'~ ^/a+$'", "/ab", 0 }, { "'~ a'", "/bab", 1 },
};

static int match_in_route(const char *key, const char *pattern, const char *text)
{
	char file[512];
	struct config *c;
	int got;

	snprintf(file, sizeof(file),
		 "listeners:\n- name: w\n  bind: 127.0.0.1:80\n  routes:\n  - respond: {}\n    %s: %s\n", key,
		 pattern);
	c = load(file, "");
	got = pattern_match(strcmp(key, "host") == 0 ? &c->listeners[0].routes[0].host[0]
						     : &c->listeners[0].routes[0].path,
			    text, strlen(text));
	config_unref(c);
	return got;
}

static void patterns_match_as_the_manual_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
		if (match_in_route("host", hosts[i].pattern, hosts[i].text) != hosts[i].want)
			fail_msg("host %s, %s", hosts[i].pattern, hosts[i].text);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		if (match_in_route("path", paths[i].pattern, paths[i].text) != paths[i].want)
			fail_msg("path %s, %s", paths[i].pattern, paths[i].text);
}

static void header_values_are_cut_at_their_variables(void **state)
{
	struct config *c = load("listeners:\n- name: w\n  bind: 127.0.0.1:80\n  routes:\n"
				"  - cluster: c\n"
				"    request_headers: {set: {X-A: \"a$host-$$5 "
				"$1$claim.sub-id.$request_uri$\"}, add: {X-B: plain}, "
				"remove: [X-Secret]}\n"
				"clusters: [{name: c, endpoints: [\"127.0.0.1:1\"]}]\n",
				"");
	static const struct {
		enum variable variable;
		const char *text;
	} want[] = {
		{ VARIABLE_LITERAL, "a" },    { VARIABLE_HOST, NULL },	 { VARIABLE_LITERAL, "-$5 $1" },
		{ VARIABLE_CLAIM, "sub-id" }, { VARIABLE_LITERAL, "." }, { VARIABLE_REQUEST_URI, NULL },
		{ VARIABLE_LITERAL, "$" },
	};
	const struct header_edits *e = &c->listeners[0].routes[0].request_headers;

	(void)state;
	assert_int_equal(e->set_count, 1);
	assert_string_equal(e->set[0].name, "X-A");
	assert_int_equal(e->set[0].value.parts_count, ARRAY_LEN(want));
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		assert_int_equal(e->set[0].value.parts[i].variable, want[i].variable);
		if (want[i].text != NULL) {
			assert_string_equal(e->set[0].value.parts[i].text, want[i].text);
			assert_int_equal(e->set[0].value.parts[i].text_len, strlen(want[i].text));
		}
	}
	assert_string_equal(e->add[0].value.text, "plain");
	assert_string_equal(e->remove[0], "x-secret");
	config_unref(c);
}

static void weighted_clusters_are_resolved(void **state)
{
	struct config *c = load("listeners: [{name: w, bind: \"127.0.0.1:80\", routes: [{clusters: [{name: "
				"b, weight: 95}, "
				"{name: a, weight: 5}, {name: b}]}]}]\n"
				"clusters: [{name: a, endpoints: [\"x:1\"]}, {name: b, endpoints: "
				"[\"x:1\"]}]\n",
				"");
	const struct route_config *r = &c->listeners[0].routes[0];

	(void)state;
	assert_int_equal(r->targets_count, 3);
	assert_ptr_equal(r->targets[0].cluster, &c->clusters[1]);
	assert_ptr_equal(r->targets[1].cluster, &c->clusters[0]);
	assert_int_equal(r->targets[2].weight, 1);
	assert_int_equal(r->targets_weight, 101);
	assert_int_equal(c->clusters[1].index, 1);
	assert_ptr_equal(config_find_cluster(c, "b"), &c->clusters[1]);
	assert_null(config_find_cluster(c, "d"));
	assert_ptr_equal(config_find_route(config_find_listener(c, "w"), "route-1"), r);
	assert_null(config_find_listener(c, "v"));
	assert_null(config_find_route(&c->listeners[0], "x"));
	config_unref(c);
}

static void tcp_listeners_lead_to_clusters(void **state)
{
	struct config *c = load("listeners: [{name: w, bind: [\"127.0.0.1:80\", \"unix:/run/x\"], protocol: "
				"tcp, cluster: a, "
				"sni: {\"*.B.de\": b}, timeouts: {idle: 1h30m}}]\n"
				"clusters: [{name: a, endpoints: [\"x:1\"]}, {name: b, endpoints: "
				"[\"x:1\"]}]\n",
				"");
	const struct listener_config *l = &c->listeners[0];

	(void)state;
	assert_int_equal(l->protocol, LISTENER_TCP);
	assert_ptr_equal(l->cluster_resolved, &c->clusters[0]);
	assert_ptr_equal(l->sni[0].resolved, &c->clusters[1]);
	assert_int_equal(pattern_match(&l->sni[0].host, "x.b.de", 6), 1);
	assert_int_equal(l->timeouts.idle_ms, 5400000);
	config_unref(c);
}

static void values_come_from_the_environment(void **state)
{
	struct config *c;

	(void)state;
	setenv("HF_TEST_PORT", "8443", 1);
	setenv("HF_TEST_WORKERS", "3", 1);
	unsetenv("HF_TEST_UNSET");
	c = load("workers: ${HF_TEST_WORKERS}\nuser: ${HF_TEST_UNSET:-nobody}\n"
		 "listeners: [{name: w, bind: \"127.0.0.1:${HF_TEST_PORT}\", routes: [{respond: {body: "
		 "\"$${x} $host\"}}]}]\n",
		 "");
	assert_int_equal(c->workers, 3);
	assert_string_equal(c->user, "nobody");
	assert_int_equal(addr_port(&c->listeners[0].bind[0]), 8443);
	assert_string_equal(c->listeners[0].routes[0].respond->body.text, "${x} $host");
	config_unref(c);
}

static void what_is_to_come_is_accepted_with_one_warning_each(void **state)
{
	config_unref(load("listeners:\n"
			  "- name: w\n"
			  "  bind: 127.0.0.1:80\n"
			  "  routes:\n"
			  "  - cluster: c\n"
			  "    auth: {jwt: {keys: /dev/null, claims: {role: [a, b], x: y}, forward: {X-User: "
			  "sub}}}\n"
			  "clusters:\n"
			  "- name: c\n"
			  "  balance: ip_hash\n"
			  "  protocol: h2\n"
			  "  health: {type: websocket}\n"
			  "  endpoints: [\"a:1\"]\n",
			  "t:9:12: warning: balance \"ip_hash\" is not yet in effect\n"
			  "t:10:13: warning: protocol \"h2\" is not yet in effect\n"));
	(void)state;
}

static void algorithms_are_what_main_hands_in(void **state)
{
	static const char *const names[] = { "round_robin", "ip_hash", "fastest", NULL };
	struct config *c;

	(void)state;
	config_set_algorithms(names);
	c = load("listeners: [{name: w, bind: \"127.0.0.1:80\", routes: [{cluster: c}]}]\n"
		 "clusters: [{name: c, balance: fastest, endpoints: [\"x:1\"]}, {name: d, balance: ip_hash, "
		 "endpoints: [\"x:1\"]}]\n",
		 "");
	config_set_algorithms(NULL);
	assert_string_equal(c->clusters[0].balance, "fastest");
	config_unref(c);
}

static void an_optional_mapping_may_be_off_on_or_empty(void **state)
{
	struct config *c = load("log:\n  access: on\n"
				"listeners:\n"
				"- {name: a, bind: \"127.0.0.1:1\", routes: [{respond: }]}\n"
				"- {name: b, bind: \"127.0.0.1:2\", tls: off, routes: [{respond: {}}]}\n"
				"- name: c\n"
				"  bind: 127.0.0.1:3\n"
				"  routes: [{respond: {}}]\n"
				"  tls: {session_tickets: off, certificates: [{cert: /dev/null, key: "
				"/dev/null}]}\n"
				"- name: d\n"
				"  bind: 127.0.0.1:4\n"
				"  routes: [{respond: {}}]\n"
				"  tls: {certificates: [{cert: /dev/null, key: /dev/null}]}\n",
				"");

	(void)state;
	assert_non_null(c->log.access);
	assert_string_equal(c->log.access->path, "-");
	assert_int_equal(c->log.access->events, ACCESS_LOG_OPEN | ACCESS_LOG_CLOSE);
	assert_true(c->log.access->sample_percent == 100);
	assert_int_equal(c->listeners[0].routes[0].respond->status, 200);
	assert_null(c->listeners[1].tls);
	assert_null(c->listeners[2].tls->session_tickets);
	assert_int_equal(c->listeners[2].tls->alpn_count, 1);
	assert_string_equal(c->listeners[2].tls->alpn[0], "http/1.1");
	assert_int_equal(c->listeners[3].tls->session_tickets->rotate_ms, 12 * 3600 * 1000);
	config_unref(c);
}

static void *ref_and_unref(void *arg)
{
	for (int i = 0; i < 10000; i++)
		config_unref(config_ref(arg));
	return NULL;
}

static void a_snapshot_is_held_by_several_threads(void **state)
{
	struct config *c = load(SMALLEST, "");
	pthread_t threads[2];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ref_and_unref, c), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	assert_string_equal(c->clusters[0].name, "chat");
	config_unref(c);
	config_unref(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_smallest_file_has_every_default),
		cmocka_unit_test(endpoints_are_addresses_or_names),
		cmocka_unit_test(patterns_match_as_the_manual_says),
		cmocka_unit_test(header_values_are_cut_at_their_variables),
		cmocka_unit_test(weighted_clusters_are_resolved),
		cmocka_unit_test(tcp_listeners_lead_to_clusters),
		cmocka_unit_test(values_come_from_the_environment),
		cmocka_unit_test(what_is_to_come_is_accepted_with_one_warning_each),
		cmocka_unit_test(algorithms_are_what_main_hands_in),
		cmocka_unit_test(an_optional_mapping_may_be_off_on_or_empty),
		cmocka_unit_test(a_snapshot_is_held_by_several_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
