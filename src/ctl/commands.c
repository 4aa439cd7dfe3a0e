#include "ctl/commands.h"

#include "ctl/endpoints.h"
#include "ctl/http.h"
#include "ctl/table.h"
#include "ctl/top.h"

#include <jansson.h>
#include <stdlib.h>

/* ---- asking ---- */

const char *ctl_option(const struct ctl *c, const char *name)
{
	for (int i = 0; i < c->options_count; i++)
		if (strcmp(c->options[i].name, name) == 0)
			return c->options[i].value;
	return NULL;
}

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value != NULL ? value : "-";
}

static double number(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

/* An answer that says no, to stderr: its detail, and each of its errors. */
static void print_problem(const struct http_answer *a)
{
	json_t *problem = json_loadb(a->body.at != NULL ? a->body.at : "", a->body.len, 0, NULL), *row;
	size_t i;

	fprintf(stderr, "holdfastctl: %s\n",
		json_object_get(problem, "detail") != NULL ? text(problem, "detail") : "the answer is not understood");
	json_array_foreach(json_object_get(problem, "errors"), i, row)
		fprintf(stderr, "%s\n", json_string_value(row));
	json_decref(problem);
}

int ctl_ask(const struct ctl *c, const char *method, const char *target, const char *body, json_t **out)
{
	struct http_answer answer;
	char error[512];
	int status = CTL_OK;

	*out = NULL;
	if (http_ask(c->socket, method, target, body, &answer, NULL, NULL, error, sizeof(error)) < 0) {
		fprintf(stderr, "holdfastctl: %s\n", error);
		status = CTL_UNREACHABLE;
	} else if (answer.status >= 400) {
		if (c->is_json)
			fwrite(answer.body.at, 1, answer.body.len, stdout);
		else
			print_problem(&answer);
		status = CTL_REFUSED;
	} else {
		*out = json_loadb(answer.body.at != NULL ? answer.body.at : "", answer.body.len, 0, NULL);
		if (*out == NULL) {
			fprintf(stderr, "holdfastctl: the answer is not understood\n");
			status = CTL_UNREACHABLE;
		}
	}
	str_done(&answer.body);
	return status;
}

int ctl_stream(const struct ctl *c, const char *method, const char *target,
	       bool (*on_part)(void *user, const void *bytes, size_t len), void *user)
{
	struct http_answer answer;
	char error[512];
	int status = CTL_OK;

	if (http_ask(c->socket, method, target, NULL, &answer, on_part, user, error, sizeof(error)) < 0) {
		fprintf(stderr, "holdfastctl: %s\n", error);
		status = CTL_UNREACHABLE;
	} else if (answer.status >= 400) {
		print_problem(&answer);
		status = CTL_REFUSED;
	}
	str_done(&answer.body);
	return status;
}

/* What is asked for: PATH, or PATH/ARGUMENT where one was given. */
static void target_begin(const struct ctl *c, struct str *target, const char *path)
{
	str_init_heap(target, 65536);
	str_cstr(target, path);
	if (c->args_count > 0) {
		str_char(target, '/');
		http_encode(target, c->args[0]);
	}
}

/* Asks and, with --json, prints the answer as it is: then *out is NULL. */
static int ask(const struct ctl *c, const char *method, const char *target, const char *body, json_t **out)
{
	int status = ctl_ask(c, method, target, body, out);

	if (status == CTL_OK && c->is_json) {
		json_dumpf(*out, stdout, JSON_INDENT(2));
		fputc('\n', stdout);
		json_decref(*out);
		*out = NULL;
	}
	return status;
}

/* ---- status ---- */

static void print_reload(const json_t *reload)
{
	const json_t *row;
	size_t i;

	printf("last reload    %s", json_is_true(json_object_get(reload, "successful")) ? "good" : "REFUSED");
	printf(", in force since %s\n", text(reload, "last_success"));
	json_array_foreach(json_object_get(reload, "errors"), i, row)
		printf("               %s\n", json_string_value(row));
}

static int run_status(struct ctl *c)
{
	char room[16];
	json_t *s, *connections, *rates;
	int status = ask(c, "GET", "/status", NULL, &s);

	if (s == NULL)
		return status;
	connections = json_object_get(s, "connections");
	rates = json_object_get(s, "rates");
	printf("holdfast       %s, pid %.0f, %s%s, up %s\n", text(s, "version"), number(s, "pid"), text(s, "state"),
	       json_is_true(json_object_get(s, "away")) ? " (sent away: /ready says 503)" : "",
	       table_duration(number(s, "uptime_seconds"), room));
	printf("configuration  %s\n", text(s, "configuration"));
	printf("workers        %.0f\n", number(s, "workers"));
	printf("connections    %.0f (%.0f WebSocket, %.0f HTTP, %.0f TCP) of %.0f\n", number(connections, "total"),
	       number(connections, "websocket"), number(connections, "http"), number(connections, "tcp"),
	       number(connections, "max"));
	printf("a second       %s", table_count(number(rates, "websockets_per_second"), room));
	printf(" WebSockets, %s requests", table_count(number(rates, "requests_per_second"), room));
	printf(", %s messages in", table_count(number(rates, "messages_in_per_second"), room));
	printf(", %s out\n", table_count(number(rates, "messages_out_per_second"), room));
	print_reload(json_object_get(s, "reload"));
	json_decref(s);
	return CTL_OK;
}

/* ---- clusters ---- */

static enum table_colour state_colour(const char *state)
{
	if (strcmp(state, "ready") == 0 || strcmp(state, "up") == 0)
		return TABLE_GOOD;
	return strcmp(state, "draining") == 0 || strcmp(state, "removed") == 0 ? TABLE_WARN : TABLE_BAD;
}

static void cluster_rows(struct table *t, const json_t *cluster)
{
	const json_t *e;
	size_t i;

	json_array_foreach(json_object_get(cluster, "endpoints"), i, e) {
		table_add(t, TABLE_PLAIN, "%s", text(cluster, "cluster"));
		table_add(t, TABLE_PLAIN, "%s", text(e, "endpoint"));
		table_add(t, state_colour(text(e, "state")), "%s", text(e, "state"));
		table_add(t, TABLE_PLAIN, "%.0f%s", number(e, "weight"),
			  json_is_true(json_object_get(e, "backup")) ? " backup" : "");
		table_add(t, TABLE_PLAIN, "%.0f", number(e, "active"));
		table_add(t, TABLE_PLAIN, "%.0f", number(e, "total"));
		table_add(t, number(e, "failures") > 0 ? TABLE_WARN : TABLE_PLAIN, "%.0f", number(e, "failures"));
		table_add(t, TABLE_PLAIN, "%s", text(e, "why"));
	}
}

static int run_clusters(struct ctl *c)
{
	static const char *const names[] = { "CLUSTER", "ENDPOINT", "STATE", ">WEIGHT", ">ACTIVE", ">TOTAL", ">FAILURES", "WHY" };
	struct table t;
	struct str target;
	json_t *answer, *row;
	size_t i;
	int status;

	target_begin(c, &target, "/clusters");
	status = ask(c, "GET", str_text(&target), NULL, &answer);
	str_done(&target);
	if (answer == NULL)
		return status;
	table_init(&t, names, sizeof(names) / sizeof(names[0]));
	if (c->args_count > 0)
		cluster_rows(&t, answer);
	json_array_foreach(json_object_get(answer, "clusters"), i, row)
		cluster_rows(&t, row);
	table_print(&t, stdout, c->has_colour);
	table_done(&t);
	json_decref(answer);
	return CTL_OK;
}

/* ---- connections ---- */

/* "?cluster=c&kind=websocket" of the options that were given. */
static void query_add(const struct ctl *c, struct str *target)
{
	for (int i = 0; i < c->options_count; i++) {
		str_char(target, i == 0 ? '?' : '&');
		str_cstr(target, c->options[i].name);
		str_char(target, '=');
		http_encode(target, c->options[i].value);
	}
}

static void connection_row(struct table *t, const json_t *row)
{
	char room[16];

	table_add(t, TABLE_PLAIN, "%s", text(row, "id"));
	table_add(t, TABLE_PLAIN, "%s", text(row, "client"));
	table_add(t, TABLE_PLAIN, "%s", text(row, "kind"));
	table_add(t, strcmp(text(row, "state"), "closing") == 0 ? TABLE_WARN : TABLE_PLAIN, "%s", text(row, "state"));
	table_add(t, TABLE_PLAIN, "%s", text(row, "route"));
	table_add(t, TABLE_PLAIN, "%s", text(row, "endpoint"));
	table_add(t, TABLE_PLAIN, "%s", table_duration(number(row, "age_seconds"), room));
	table_add(t, TABLE_PLAIN, "%s", table_count(number(row, "messages_in"), room));
	table_add(t, TABLE_PLAIN, "%s", table_count(number(row, "messages_out"), room));
	table_add(t, TABLE_PLAIN, "%s", table_bytes(number(row, "bytes_in"), room));
	table_add(t, TABLE_PLAIN, "%s", table_bytes(number(row, "bytes_out"), room));
	table_add(t, TABLE_PLAIN, "%s", table_bytes(number(row, "queued_client") + number(row, "queued_backend"), room));
}

static bool print_part(void *user, const void *bytes, size_t len)
{
	(void)user;
	return fwrite(bytes, 1, len, stdout) == len;
}

/* For text, and for what may be long: passed on as it comes. */
static int stream(const struct ctl *c, const char *target)
{
	return ctl_stream(c, "GET", target, print_part, NULL);
}

static int run_connections(struct ctl *c)
{
	static const char *const names[] = { "ID", "CLIENT", "KIND", "STATE", "ROUTE", "ENDPOINT", ">AGE", ">MSG IN",
					     ">MSG OUT", ">IN", ">OUT", ">QUEUED" };
	struct str target;
	struct table t;
	json_t *answer = NULL, *row;
	size_t i;
	int status;

	target_begin(c, &target, "/connections");
	query_add(c, &target);
	status = c->is_json ? stream(c, str_text(&target)) : ctl_ask(c, "GET", str_text(&target), NULL, &answer);
	str_done(&target);
	if (answer == NULL)
		return status;
	table_init(&t, names, sizeof(names) / sizeof(names[0]));
	json_array_foreach(json_object_get(answer, "connections"), i, row)
		connection_row(&t, row);
	table_print(&t, stdout, c->has_colour);
	table_done(&t);
	json_decref(answer);
	return CTL_OK;
}

static int run_kill(struct ctl *c)
{
	struct str target;
	json_t *answer;
	int status;

	target_begin(c, &target, "/connections");
	query_add(c, &target);
	status = ask(c, "DELETE", str_text(&target), NULL, &answer);
	str_done(&target);
	if (answer != NULL)
		printf("closed %.0f\n", number(answer, "closed"));
	json_decref(answer);
	return status;
}

/* ---- the configuration ---- */

static void print_changes(const struct ctl *c, const json_t *answer)
{
	static const char *const names[] = { "", "KEY", "NOW", "THEN" };
	struct table t;
	const json_t *row;
	size_t i;

	table_init(&t, names, sizeof(names) / sizeof(names[0]));
	json_array_foreach(json_object_get(answer, "changes"), i, row) {
		const char *change = text(row, "change");
		bool is_added = strcmp(change, "added") == 0, is_removed = strcmp(change, "removed") == 0;

		table_add(&t, is_added ? TABLE_GOOD : is_removed ? TABLE_BAD : TABLE_WARN, "%s",
			  is_added ? "+" : is_removed ? "-" : "~");
		table_add(&t, TABLE_PLAIN, "%s", text(row, "key"));
		table_add(&t, TABLE_PLAIN, "%s", is_added ? "" : text(row, "from"));
		table_add(&t, TABLE_PLAIN, "%s", is_removed ? "" : text(row, "to"));
	}
	if (t.cells_count > 0)
		table_print(&t, stdout, c->has_colour);
	else
		printf("nothing changes\n");
	table_done(&t);
	json_array_foreach(json_object_get(answer, "warnings"), i, row)
		printf("%s\n", json_string_value(row));
}

static int run_diff(struct ctl *c)
{
	json_t *answer;
	int status = ask(c, "GET", "/config/diff", NULL, &answer);

	if (answer != NULL)
		print_changes(c, answer);
	json_decref(answer);
	return status;
}

static int run_check(struct ctl *c)
{
	json_t *answer, *row;
	size_t i;
	int status = ask(c, "GET", "/config/diff", NULL, &answer);

	if (answer != NULL) {
		json_array_foreach(json_object_get(answer, "warnings"), i, row)
			printf("%s\n", json_string_value(row));
		printf("good: a reload would change %zu key%s\n", json_array_size(json_object_get(answer, "changes")),
		       json_array_size(json_object_get(answer, "changes")) == 1 ? "" : "s");
	}
	json_decref(answer);
	return status;
}

static int run_reload(struct ctl *c)
{
	json_t *answer;
	int status = ask(c, "POST", "/reload", NULL, &answer);

	if (answer != NULL) {
		print_changes(c, answer);
		printf("in force\n");
	}
	json_decref(answer);
	return status;
}

/* ---- tokens ---- */

static int run_revoke(struct ctl *c)
{
	const char *jti = ctl_option(c, "jti"), *sub = ctl_option(c, "sub"), *seconds = ctl_option(c, "seconds");
	json_t *body = json_object(), *answer = NULL;
	char *sent = NULL;
	int status = CTL_USAGE;

	if (jti != NULL)
		json_object_set_new(body, "jti", json_string(jti));
	if (sub != NULL)
		json_object_set_new(body, "sub", json_string(sub));
	if (seconds != NULL)
		json_object_set_new(body, "seconds", json_integer(strtoll(seconds, NULL, 10)));
	sent = json_dumps(body, 0);
	if (sent != NULL)
		status = ask(c, "POST", "/revocations", sent, &answer);
	if (answer != NULL)
		printf("%lld closed\n", (long long)json_integer_value(json_object_get(answer, "closed")));
	json_decref(answer);
	json_decref(body);
	free(sent);
	return status;
}

/* ---- the process ---- */

static int run_log(struct ctl *c)
{
	json_t *body = json_pack("{s:s}", "level", c->args[0]), *answer = NULL;
	char *sent = json_dumps(body, 0);
	int status = sent != NULL ? ask(c, "POST", "/log", sent, &answer) : CTL_USAGE;

	if (answer != NULL)
		printf("the log's level is %s until the next reload\n", text(answer, "level"));
	json_decref(answer);
	json_decref(body);
	free(sent);
	return status;
}

static int run_upgrade(struct ctl *c)
{
	json_t *answer;
	int status = ask(c, "POST", "/upgrade", NULL, &answer);

	if (answer != NULL)
		printf("process %.0f has taken over; process %.0f drains\n", number(answer, "pid"), number(answer, "before"));
	json_decref(answer);
	return status;
}

static int run_drain_self(struct ctl *c)
{
	json_t *answer;
	int status = ask(c, ctl_option(c, "off") != NULL ? "DELETE" : "POST", "/drain", NULL, &answer);

	if (answer != NULL)
		printf("/ready says %s\n", json_is_true(json_object_get(answer, "away")) ? "503" : "200");
	json_decref(answer);
	return status;
}

static int run_metrics(struct ctl *c)
{
	return stream(c, "/metrics");
}

static int run_ready(struct ctl *c)
{
	json_t *answer;
	int status;

	if (c->args_count == 2)
		return run_endpoint_ready(c);
	if (c->args_count == 1) {
		fprintf(stderr, "holdfastctl: ready alone, or with a cluster and an endpoint\n");
		return CTL_USAGE;
	}
	status = ask(c, "GET", "/ready", NULL, &answer);

	if (answer != NULL)
		printf("ready\n");
	json_decref(answer);
	return status;
}

static int run_help(struct ctl *c)
{
	for (const struct ctl_command *row = ctl_commands; row->words != NULL; row++)
		printf("%s%s%s %s\n    %s\n", c->has_colour ? "\033[1m" : "", row->words, c->has_colour ? "\033[0m" : "",
		       row->usage, row->does);
	return CTL_OK;
}

/* For the shell's completion: one word of a command, or option, a line. */
static int run_words(struct ctl *c)
{
	(void)c;
	for (const struct ctl_command *row = ctl_commands; row->words != NULL; row++)
		printf("%s\t%s\n", row->words, row->options);
	return CTL_OK;
}

#define FILTER "[--cluster=C] [--endpoint=E] [--listener=L] [--route=R] [--ip=A] [--kind=http|websocket|tcp]"
#define FILTER_OPTIONS "cluster endpoint listener route ip kind"

const struct ctl_command ctl_commands[] = {
	{ "status", "", 0, 0, "", run_status, "version, uptime, connections, rates, the last reload" },
	{ "clusters", "[C]", 0, 1, "", run_clusters, "endpoints: state, weight, load, failures" },
	{ "endpoint", "C E", 2, 2, "", run_endpoint, "one endpoint of a cluster" },
	{ "drain", "C E [--wait]", 2, 2, "wait", run_drain,
	  "nothing new for an endpoint, and its connections leave; --wait tells how that goes, and ends with it" },
	{ "disable", "C E", 2, 2, "", run_disable, "nothing new for an endpoint; its connections are left alone" },
	{ "weight", "C E N", 3, 3, "", run_weight, "the share of an endpoint, until the next reload" },
	{ "add", "C HOST:PORT [--weight=N] [--max-connections=N] [--backup] [--zone=Z]", 2, 2,
	  "weight max-connections backup zone", run_add, "one more endpoint, until it is removed" },
	{ "remove", "C E", 2, 2, "", run_remove, "takes out an endpoint that was added" },
	{ "rebalance", "C", 1, 1, "", run_rebalance, "closes what endpoints have above their share" },
	{ "connections", FILTER " [--limit=N]", 0, 0, FILTER_OPTIONS " limit", run_connections, "open connections" },
	{ "kill", "ID | " FILTER " [--code=N] [--reason=TEXT]", 0, 1, FILTER_OPTIONS " code reason", run_kill,
	  "closes one, or all that a filter names" },
	{ "revoke", "--jti=NAME | --sub=NAME [--seconds=N]", 0, 0, "jti sub seconds", run_revoke,
	  "refuses a token from now on, and closes its live connections" },
	{ "config check", "", 0, 0, "", run_check, "whether the file is good, without loading it" },
	{ "config diff", "", 0, 0, "", run_diff, "what a reload would change" },
	{ "config reload", "", 0, 0, "", run_reload, "the same as `reload`" },
	{ "reload", "", 0, 0, "", run_reload, "reads the configuration again; says what has changed, or what is wrong" },
	{ "upgrade", "", 0, 0, "", run_upgrade, "the binary now on disk takes over; says so when it has, or what is wrong" },
	{ "log", "error|warn|info|debug", 1, 1, "", run_log, "the log's level, until the next reload" },
	{ "drain-self", "[--off]", 0, 0, "off", run_drain_self, "/ready says 503, nothing else changes" },
	{ "ready", "[C E]", 0, 2, "", run_ready,
	  "exit status 0 while new connections are wanted; with an endpoint: it serves again" },
	{ "metrics", "", 0, 0, "", run_metrics, "what Prometheus reads" },
	{ "top", "[--delay=SECONDS] [--count=N]", 0, 0, "delay count", run_top, "a live table" },
	{ "help", "", 0, 0, "", run_help, "this list" },
	{ "words", "", 0, 0, "", run_words, "commands and options, for the shell's completion" },
	{ NULL, NULL, 0, 0, NULL, NULL, NULL },
};
