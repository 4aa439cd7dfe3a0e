/* What a broken file is told: YAML, keys, types and the environment; every message whole, with its place. */
#include "config_broken.h"

/* clang-format off */
static const struct broken cases[] = {
	/* YAML */
	{ "",
	  "t: the file is empty: at the least it needs `listeners:` and `clusters:`" },
	{ "# nothing\n",
	  "t: the file is empty: at the least it needs `listeners:` and `clusters:`" },
	{ "- a\n",
	  "t:1:1: a configuration is a mapping, `key: value`, and this is a list" },
	{ "word\n",
	  "t:1:1: a configuration is a mapping, `key: value`, and this is a single value" },
	{ "a: [1\nb: 2\n",
	  "t:2:2: YAML: did not find expected ',' or ']' while parsing a flow sequence: check the "
		"indentation, that brackets and quotes are closed, and that ${NAME} inside brackets is "
		"quoted" },
	{ "a: {b: ${C}}\n",
	  "t:1:9: YAML: did not find expected ',' or '}' while parsing a flow mapping: check the "
		"indentation, that brackets and quotes are closed, and that ${NAME} inside brackets is "
		"quoted" },
	{ "a: b: c\n",
	  "t:1:5: YAML: mapping values are not allowed in this context: check the indentation, and "
		"quote values that hold \": \"" },
	{ "a:\n\011b: c\n",
	  "t:2:1: YAML: found character that cannot start any token while scanning for the next "
		"token: indent with spaces, not tabs, and quote values that begin with @, ` or %" },
	{ "a: \"x\n",
	  "t:2:1: YAML: found unexpected end of stream while scanning a quoted scalar" },
	{ "host: *.example.com\n",
	  "t:1:8: YAML: did not find expected alphabetic or numeric character while scanning an "
		"alias: a value that begins with * must be quoted, \"*.example.com\"" },
	{ "a: @b\n",
	  "t:1:4: YAML: found character that cannot start any token while scanning for the next "
		"token: indent with spaces, not tabs, and quote values that begin with @, ` or %" },
	{ "a: \"\\q\"\n",
	  "t:1:5: YAML: found unknown escape character while parsing a quoted scalar" },
	{ "a: \"\377\"\n",
	  "t:1:5: not UTF-8: save the file in that encoding" },
	{ "a: 1\nb: \001\n",
	  "t:2:4: YAML: control characters are not allowed" },
	{ "a: \"\\0\"\n",
	  "t:1:4: a value holds a NUL byte" },
	{ "a: 1\n---\nb: 2\n",
	  "t:2:1: a second document: a configuration is one" },
	{ "a: *b\n",
	  "t:1:4: alias \"*b\" names no anchor: define it before, as &b" },
	{ "a: &b [*b]\n",
	  "t:1:8: an alias stands inside what it names: it would never end" },
	{ "a: !tag b\n",
	  "t:1:4: YAML tags mean nothing here: leave out the word after !" },
	{ "[a]: b\n",
	  "t:1:1: a key must be a single word, not a list or mapping" },
	{ "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
	  "t:1:65: nested too deep: at most 64 levels" },
	{ IN_FILE("x-a: {<<: word}"),
	  "t:1:11: \"<<\" merges mappings, of 1000 keys together at most" },
	{ IN_FILE("log: {level: info}\nlog: {level: warn}"),
	  "t:2:1: key \"log\" is given twice: it stands on line 1 already" },
	{ IN_FILE("log: {level: info, format: text, level: warn}"),
	  "t:1:34: key \"level\" is given twice: it stands on line 1 already" },
	/* keys that are not ours */
	{ IN_FILE("worker: 2"),
	  "t:1:1: unknown key \"worker\": did you mean \"workers\"?" },
	{ IN_FILE("Workers: 2"),
	  "t:1:1: unknown key \"Workers\": did you mean \"workers\"?" },
	{ IN_FILE("pid-file: /x"),
	  "t:1:1: unknown key \"pid-file\": did you mean \"pid_file\"?" },
	{ IN_FILE("threads: 2"),
	  "t:1:1: unknown key \"threads\": did you mean \"workers\"?" },
	{ IN_FILE("maxconn: 5"),
	  "t:1:1: unknown key \"maxconn\": did you mean \"limits.max_connections\"?" },
	{ IN_FILE("backends: []"),
	  "t:1:1: unknown key \"backends\": did you mean \"clusters\"?" },
	{ IN_FILE("upstreams: []"),
	  "t:1:1: unknown key \"upstreams\": did you mean \"clusters\"?" },
	{ IN_FILE("services: []"),
	  "t:1:1: unknown key \"services\": did you mean \"clusters\"?" },
	{ IN_FILE("frontends: []"),
	  "t:1:1: unknown key \"frontends\": did you mean \"listeners\"?" },
	{ IN_FILE("entryPoints: {}"),
	  "t:1:1: unknown key \"entryPoints\": did you mean \"listeners\"?" },
	{ IN_FILE("grace: 5s"),
	  "t:1:1: unknown key \"grace\": it belongs to \"shutdown.grace\"" },
	{ IN_FILE("stats: {}"),
	  "t:1:1: unknown key \"stats\": did you mean \"admin\"?" },
	{ IN_FILE("endpoints: []"),
	  "t:1:1: unknown key \"endpoints\": it belongs to \"clusters.endpoints\"" },
	{ IN_FILE("zzzzzzzz: 1"),
	  "t:1:1: unknown key \"zzzzzzzz\"" },
	{ IN_FILE("log: {lvl: info}"),
	  "t:1:7: unknown key \"lvl\"" },
	{ IN_FILE("limits: {max_conns: 5}"),
	  "t:1:10: unknown key \"max_conns\": did you mean \"max_connections\"?" },
	{ IN_FILE("log: {access_log: x}"),
	  "t:1:7: unknown key \"access_log\": did you mean \"access\"?" },
	{ IN_LISTENER("listen: \"80\""),
	  "t:2:59: unknown key \"listen\": did you mean \"bind\"?" },
	{ IN_LISTENER("ssl: {}"),
	  "t:2:59: unknown key \"ssl\": did you mean \"tls\"?" },
	{ IN_LISTENER("server_name: a"),
	  "t:2:59: unknown key \"server_name\": did you mean \"routes.host\"?" },
	{ IN_LISTENER("keepalive_timeout: 5s"),
	  "t:2:59: unknown key \"keepalive_timeout\": did you mean \"timeouts.keep_alive\"?" },
	{ IN_LISTENER("timeout: 5s"),
	  "t:2:59: unknown key \"timeout\": did you mean \"timeouts\"?" },
	{ IN_LISTENER("locations: []"),
	  "t:2:59: unknown key \"locations\": did you mean \"routes\"?" },
	{ IN_LISTENER("client_max_body_size: 1MiB"),
	  "t:2:59: unknown key \"client_max_body_size\": did you mean \"http.max_body_size\"?" },
	{ IN_ROUTE("backend: c"),
	  "t:5:18: unknown key \"backend\": did you mean \"cluster\"?" },
	{ IN_ROUTE("proxy_read_timeout: 60s"),
	  "t:5:18: unknown key \"proxy_read_timeout\": did you mean \"websocket.idle_timeout\"?" },
	{ IN_ROUTE("hostname: a"),
	  "t:5:18: unknown key \"hostname\": did you mean \"host\"?" },
	{ IN_ROUTE("prefix: /"),
	  "t:5:18: unknown key \"prefix\": did you mean \"path\"?" },
	{ IN_ROUTE("redirect: /"),
	  "t:5:18: unknown key \"redirect\": did you mean \"respond\"?" },
	{ IN_ROUTE("websockets: {}"),
	  "t:5:18: unknown key \"websockets\": did you mean \"websocket\"?" },
	{ IN_ROUTE("websocket: {heartbeat: 5s}"),
	  "t:5:30: unknown key \"heartbeat\": did you mean \"ping_interval\"?" },
	{ IN_CLUSTER("lb_policy: rr"),
	  "t:2:41: unknown key \"lb_policy\": did you mean \"balance\"?" },
	{ IN_CLUSTER("servers: []"),
	  "t:2:41: unknown key \"servers\": did you mean \"endpoints\"?" },
	{ IN_CLUSTER("maxconn: 1"),
	  "t:2:41: unknown key \"maxconn\": did you mean \"max_connections\"?" },
	{ IN_CLUSTER("sticky: true"),
	  "t:2:41: unknown key \"sticky\": did you mean \"affinity\"?" },
	{ IN_CLUSTER("health_check: {}"),
	  "t:2:41: unknown key \"health_check\": did you mean \"health\"?" },
	{ IN_CLUSTER("outlier_detection: {}"),
	  "t:2:41: unknown key \"outlier_detection\": did you mean \"outlier\"?" },
	{ IN_CLUSTER("timeouts: {conect: 1s}"),
	  "t:2:52: unknown key \"conect\": did you mean \"connect\"?" },
	{ IN_CLUSTER("proxy_connect_timeout: 1s"),
	  "t:2:41: unknown key \"proxy_connect_timeout\": did you mean \"timeouts.connect\"?" },
	{ IN_CLUSTER("slowstart: 1s"),
	  "t:2:41: unknown key \"slowstart\": did you mean \"slow_start\"?" },
	/* types */
	{ IN_FILE("workers: [1]"),
	  "t:1:10: \"workers\" must be a single value, not a list" },
	{ IN_FILE("workers: many"),
	  "t:1:10: workers: \"many\" is no number of threads: write auto or 1 to 1024" },
	{ IN_FILE("workers: 0"),
	  "t:1:10: workers: 0 threads do nothing: write auto or 1 to 1024" },
	{ IN_FILE("workers: 5000"),
	  "t:1:10: workers: 5000 is too large: at most 1024" },
	{ IN_FILE("workers:"),
	  "t:1:9: \"workers\" has no value: give one, or leave the key out" },
	{ IN_FILE("log: info"),
	  "t:1:6: \"log\" must be a mapping, not a single value: its keys stand below it, indented" },
	{ IN_FILE("log: [a]"),
	  "t:1:6: \"log\" must be a mapping, not a list: its keys stand below it, indented" },
	{ IN_FILE("log: {level: verbose}"),
	  "t:1:14: level: \"verbose\" is not allowed here: write error, warn, info or debug" },
	{ IN_FILE("log: {level: warning}"),
	  "t:1:14: level: \"warning\" is not allowed here (did you mean \"warn\"?): write error, "
		"warn, info or debug" },
	{ IN_FILE("log: {access: yes please}"),
	  "t:1:15: \"access\" must be a mapping, not a single value: its keys stand below it, "
		"indented" },
	{ IN_FILE("log: {access: {sample: 10}}"),
	  "t:1:24: sample: \"10\" has no unit; this is a percentage: write 50% or 0.5%" },
	{ IN_FILE("log: {access: {sample: 101%}}"),
	  "t:1:24: sample: 101% is too large: at most 100%" },
	{ IN_FILE("log: {access: {events: [open, shut]}}"),
	  "t:1:31: events: \"shut\" is not allowed here: write open or close" },
	{ IN_FILE("shutdown: {grace: 5}"),
	  "t:1:19: grace: \"5\" has no unit; this is a duration: write 500ms, 30s, 5m, 1h or 1d" },
	{ IN_FILE("shutdown: {grace: 5x}"),
	  "t:1:19: grace: \"5x\" has an unknown unit; this is a duration: write 500ms, 30s, 5m, 1h "
		"or 1d" },
	{ IN_FILE("shutdown: {grace: -5s}"),
	  "t:1:19: grace: \"-5s\" is not a duration: write 500ms, 30s, 5m, 1h or 1d" },
	{ IN_FILE("shutdown: {grace: soon}"),
	  "t:1:19: grace: \"soon\" is not a duration: write 500ms, 30s, 5m, 1h or 1d" },
	{ IN_FILE("shutdown: {grace: 2d}"),
	  "t:1:19: grace: 2d is too large: at most 1d" },
	{ IN_FILE("shutdown: {grace: 1s1h}"),
	  "t:1:19: grace: \"1s1h\" has an unknown unit; this is a duration: write 500ms, 30s, 5m, "
		"1h or 1d" },
	{ IN_FILE("shutdown: {grace: 99999999999999999999s}"),
	  "t:1:19: grace: \"99999999999999999999s\" is too large for a duration: write 500ms, 30s, "
		"5m, 1h or 1d" },
	{ IN_FILE("limits: {max_connections: 1.5}"),
	  "t:1:27: max_connections: \"1.5\" is not a whole number: write digits only" },
	{ IN_FILE("limits: {max_connections: 5000000000}"),
	  "t:1:27: max_connections: 5000000000 is too large: at most 4294967295" },
	{ IN_FILE("limits: {max_connections: 10k}"),
	  "t:1:27: max_connections: \"10k\" is not a whole number: write digits only" },
	{ IN_FILE("limits: {session_memory: 10MB}"),
	  "t:1:26: session_memory: "
		"\"10MB\" has an unknown unit; this is a size: write 512B, 64KiB, 1MiB or 1GiB" },
	{ IN_FILE("limits: {session_memory: 100}"),
	  "t:1:26: session_memory: "
		"\"100\" has no unit; this is a size: write 512B, 64KiB, 1MiB or 1GiB" },
	{ IN_FILE("limits: {per_ip: {connection_rate: 50}}"),
	  "t:1:36: connection_rate: \"50\" "
		"has no unit; this is a rate: write 50/s, 5/m or 1/h" },
	{ IN_FILE("limits: {per_ip: {connection_rate: 50/d}}"),
	  "t:1:36: connection_rate: \"50/d\" "
		"has an unknown unit; this is a rate: write 50/s, 5/m or 1/h" },
	{ IN_FILE("limits: {per_ip: {ipv6_prefix: 0}}"),
	  "t:1:32: ipv6_prefix: 0 is not "
		"allowed here: at least 1" },
	{ IN_FILE("limits: {per_ip: {ipv6_prefix: 129}}"),
	  "t:1:32: ipv6_prefix: 129 is too "
		"large: at most 128" },
	{ IN_FILE("trusted_proxies: [10.0.0.0/33]"),
	  "t:1:19: trusted_proxies: \"10.0.0.0/33\" is no network: write 10.0.0.0/8, "
		"\"2001:db8::/32\" or one address" },
	{ IN_FILE("trusted_proxies: 10.0.0.1/8"),
	  "t:1:18: trusted_proxies: \"10.0.0.1/8\" has bits behind its prefix length: write the "
		"network's first address" },
	{ IN_FILE("trusted_proxies: [a]"),
	  "t:1:19: trusted_proxies: \"a\" is no network: write 10.0.0.0/8, \"2001:db8::/32\" or "
		"one address" },
	{ IN_FILE("trusted_proxies: {a: b}"),
	  "t:1:18: \"trusted_proxies\" must be a list or a single value, not a mapping" },
	{ IN_FILE("user: \"\""),
	  "t:1:7: user: an empty text means nothing here: leave the key out" },
	{ IN_FILE("user: \"a\\nb\""),
	  "t:1:7: user: control characters (such as a line break) are not allowed here" },
	{ IN_FILE("admin: {listen: 9901}"),
	  "t:1:17: listen: \"9901\" is no "
		"address: write 0.0.0.0:443, \"[::]:443\" or unix:/run/holdfast.sock" },
	/* the environment */
	{ IN_FILE("user: ${HF_TEST_UNSET}"),
	  "t:1:7: user: environment variable HF_TEST_UNSET is not set: set it, or give a default, "
		"${HF_TEST_UNSET:-...}" },
	{ IN_FILE("user: ${HF_TEST_UNSET"),
	  "t:1:7: user: \"${\" is never closed: add }, or write $${ for a plain ${" },
	{ IN_FILE("user: ${1}"),
	  "t:1:7: user: \"${1}\" is no environment variable: write ${NAME} or ${NAME:-default}, or "
		"$${ for a plain ${" },
	{ IN_FILE("user: ${HF_TEST_UNSET:+x}"),
	  "t:1:7: user: \"${HF_TEST_UNSET:+x}\" is no environment variable: write ${NAME} or "
		"${NAME:-default}, or $${ for a plain ${" },
	{ IN_FILE("workers: ${HF_TEST_UNSET:-none}"),
	  "t:1:10: workers: \"none\" is no number of threads: write auto or 1 to 1024" },
};
/* clang-format on */

static void every_fault_is_named_with_its_place(void **state)
{
	(void)state;
	broken_files_check(cases, ARRAY_LEN(cases));
}

static void all_errors_come_in_one_run_and_in_order(void **state)
{
	static const char file[] = "worker: 2\n"
				   "log: {level: loud}\n"
				   "shutdown: {grace: 5}\n"
				   "listeners:\n"
				   "- name: w\n"
				   "  bind: [\"127.0.0.1:80\", \"127.0.0.1:80\"]\n"
				   "  routes:\n"
				   "  - {cluster: d, host: \"~ (\"}\n"
				   "clusters:\n"
				   "- {name: c, balance: leastconn, endpoints: []}\n";
	char *got = errors_of(file, strlen(file));

	(void)state;
	assert_string_equal(got, "t:1:1: unknown key \"worker\": did you mean \"workers\"?\n"
				 "t:2:14: level: \"loud\" is not allowed here: write error, warn, info or "
				 "debug\n"
				 "t:3:19: grace: \"5\" has no unit; this is a duration: write 500ms, 30s, "
				 "5m, 1h or 1d\n"
				 "t:6:26: address \"127.0.0.1:80\" is bound twice: line 6 has it already\n"
				 "t:8:15: cluster \"d\" is not defined: add it under `clusters:`\n"
				 "t:8:24: host: regular expression \"(\": missing closing parenthesis, at "
				 "byte 2\n"
				 "t:10:3: cluster \"c\" has no endpoints: add `endpoints:` or `discover:`\n"
				 "t:10:22: balance: \"leastconn\" is no algorithm (did you mean "
				 "\"least_connections\"?): write "
				 "round_robin, least_connections, random_two, ip_hash or consistent_hash\n");
	free(got);
}

static void an_error_in_what_is_aliased_is_told_once(void **state)
{
	static const char file[] = "x-timeouts: &t {header: 5}\n"
				   "listeners:\n"
				   "- {name: a, bind: \"127.0.0.1:80\", timeouts: *t, routes: [{cluster: "
				   "c}]}\n"
				   "- {name: b, bind: \"127.0.0.1:81\", timeouts: *t, routes: [{cluster: "
				   "c}]}\n" CLUSTERS_LINES;
	char *got = errors_of(file, strlen(file));

	(void)state;
	assert_string_equal(got, "t:1:25: header: \"5\" has no unit; this is a duration: write 500ms, 30s, "
				 "5m, 1h or 1d\n");
	free(got);
}

/* Nine levels of nine aliases each: 9^9 words, were they unfolded. */
static void aliases_cannot_unfold_without_bound(void **state)
{
	char file[2048] = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
	char *got;

	(void)state;
	for (int i = 1; i < 10; i++) {
		char line[128];

		snprintf(line, sizeof(line),
			 "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i, i - 1,
			 i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
		strncat(file, line, sizeof(file) - strlen(file) - 1);
	}
	got = errors_of(file, strlen(file));
	assert_string_equal(got, "t:6:15: aliases unfold to more than 200000 values: write fewer\n");
	free(got);
}

static void what_is_too_large_is_refused(void **state)
{
	size_t len = ((size_t)16 << 20) + 1;
	char *bytes = malloc(len), *got;

	(void)state;
	assert_non_null(bytes);
	memset(bytes, '#', len);
	got = errors_of(bytes, len);
	assert_string_equal(got, "t: larger than 16 MiB: not a configuration\n");
	free(got);
	free(bytes);
}

static void thousands_of_errors_are_counted_and_not_all_kept(void **state)
{
	struct config_errors errors;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	assert_non_null(out);
	for (int i = 0; i < 3000; i++)
		fprintf(out, "zzz%d: 1\n", i);
	fputs(LISTENERS_LINES CLUSTERS_LINES, out);
	assert_int_equal(fclose(out), 0);
	config_errors_init(&errors);
	assert_null(config_load_bytes("t", text, size, &errors));
	assert_int_equal(errors.errors_count, 3000);
	assert_int_equal(errors.list_count, 500);
	config_errors_done(&errors);
	free(text);
}

static void a_file_that_cannot_be_read_says_why(void **state)
{
	struct config_errors errors;

	(void)state;
	config_errors_init(&errors);
	assert_null(config_load("/nonexistent/holdfast.yaml", &errors));
	assert_int_equal(errors.list_count, 1);
	assert_string_equal(errors.list[0].text, "/nonexistent/holdfast.yaml: cannot read it: No such file "
						 "or directory");
	config_errors_done(&errors);
	config_errors_init(&errors);
	assert_null(config_load("/", &errors));
	assert_string_equal(errors.list[0].text, "/: cannot read it: Is a directory");
	config_errors_done(&errors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_fault_is_named_with_its_place),
		cmocka_unit_test(all_errors_come_in_one_run_and_in_order),
		cmocka_unit_test(an_error_in_what_is_aliased_is_told_once),
		cmocka_unit_test(aliases_cannot_unfold_without_bound),
		cmocka_unit_test(what_is_too_large_is_refused),
		cmocka_unit_test(thousands_of_errors_are_counted_and_not_all_kept),
		cmocka_unit_test(a_file_that_cannot_be_read_says_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
