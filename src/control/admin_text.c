#include "control/admin_text.h"

#include "base/clock.h"
#include "control/admin_connections.h"
#include "control/control.h"
#include "control/gather.h"
#include "proxy/counters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX ((size_t)4 << 20)

static void say(struct admin_client *c, const char *text)
{
	admin_write(c, text, strlen(text));
}

/* ---- show info ---- */

static void info_done(struct admin_client *client, const struct gather *g)
{
	const struct control *c = admin_control(client);
	struct worker_report sum;
	uint64_t up_s = (clock_wall_ns() - c->began_wall_ns) / 1000000000;
	char text[1024];

	gather_sum(g, &sum);
	snprintf(text, sizeof(text),
		 "Name: holdfast\nVersion: %s\nNbthread: %u\nNbproc: 1\nProcess_num: 1\nPid: %d\nUptime: %llud "
		 "%lluh%02llum%02llus\nUptime_sec: %llu\nMaxconn: %u\nHard_maxconn: %u\nCurrConns: %u\nCumConns: %llu\n"
		 "CumReq: %llu\nConnRate: %.0f\nSessRate: %.0f\nTasks: %u\nStopping: %d\nIdle_pct: 100\nnode: holdfast\n\n",
		 HF_VERSION, c->crew.count, (int)getpid(), (unsigned long long)up_s / 86400,
		 (unsigned long long)up_s / 3600 % 24, (unsigned long long)up_s / 60 % 60, (unsigned long long)up_s % 60,
		 (unsigned long long)up_s, atomic_load(&c->places.max),
		 atomic_load(&c->places.max), sum.connections,
		 (unsigned long long)(counter_sum(PROXY_WEBSOCKETS) + counter_sum(PROXY_TCP_CONNECTIONS)),
		 (unsigned long long)counter_sum(PROXY_REQUESTS), admin_rate(client->admin, ADMIN_RATE_HANDSHAKES),
		 admin_rate(client->admin, ADMIN_RATE_REQUESTS), sum.connections, c->shutdown.state != SHUTDOWN_NOT);
	say(client, text);
	admin_end(client);
}

static void show_info(struct admin_client *c, char **args)
{
	(void)args;
	gather_start(c, info_done);
}

/* ---- show stat ---- */

/* The fields by name; those that are not known stay empty, as HAProxy's do. */
static const char *const stat_fields[] = {
	"pxname", "svname", "qcur",	 "qmax",   "scur",     "smax",	     "slim",	"stot",	   "bin",
	"bout",	  "dreq",   "dresp",	 "ereq",   "econ",     "eresp",	     "wretr",	"wredis",  "status",
	"weight", "act",    "bck",	 "chkfail", "chkdown", "lastchg",    "downtime", "qlimit", "pid",
	"iid",	  "sid",    "throttle", "lbtot",   "tracked", "type",	     "rate",	"rate_lim", "rate_max",
	"check_status",
};
enum { STAT_TYPE_FRONTEND, STAT_TYPE_BACKEND, STAT_TYPE_SERVER };

struct stat_row {
	const char *proxy, *service, *status;
	uint64_t current, limit, total, errors, weight, active, backup;
	unsigned proxy_id, server_id, type;
	bool is_server;
};

static void stat_field(struct str *s, const struct stat_row *r, const char *name)
{
	const struct {
		const char *name;
		uint64_t value;
		bool is_there;
	} numbers[] = {
		{ "scur", r->current, true },
		{ "slim", r->limit, r->limit > 0 },
		{ "stot", r->total, true },
		{ "econ", r->errors, r->type != STAT_TYPE_FRONTEND },
		{ "weight", r->weight, r->type != STAT_TYPE_FRONTEND },
		{ "act", r->active, r->type != STAT_TYPE_FRONTEND },
		{ "bck", r->backup, r->type != STAT_TYPE_FRONTEND },
		{ "pid", 1, true },
		{ "iid", r->proxy_id, true },
		{ "sid", r->server_id, true },
		{ "type", r->type, true },
		{ "lbtot", r->total, r->type != STAT_TYPE_FRONTEND },
	};

	if (strcmp(name, "pxname") == 0)
		str_cstr(s, r->proxy);
	else if (strcmp(name, "svname") == 0)
		str_cstr(s, r->service);
	else if (strcmp(name, "status") == 0)
		str_cstr(s, r->status);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		if (numbers[i].is_there && strcmp(numbers[i].name, name) == 0)
			str_dec(s, numbers[i].value);
	str_char(s, ',');
}

static void stat_row(struct str *s, const struct stat_row *r)
{
	for (size_t i = 0; i < ARRAY_LEN(stat_fields); i++)
		stat_field(s, r, stat_fields[i]);
	str_char(s, '\n');
}

static const char *endpoint_status(const struct cluster_member *m)
{
	struct addr addr;

	if (!endpoint_addr(m->endpoint, &addr))
		return "MAINT (resolution)";
	return m->weight == 0 ? "DRAIN" : "UP";
}

static void stat_cluster(struct str *s, const struct cluster_view *v, unsigned id)
{
	struct stat_row sum = { .proxy = v->config->name, .service = "BACKEND", .status = "DOWN", .proxy_id = id,
				.type = STAT_TYPE_BACKEND, .current = cluster_active(v->cluster),
				.limit = v->config->max_connections };

	for (uint32_t i = 0; i < v->members_count; i++) {
		const struct cluster_member *m = &v->members[i];
		struct stat_row row = { .proxy = v->config->name, .service = m->endpoint->name,
					.status = endpoint_status(m), .proxy_id = id, .server_id = i + 1,
					.type = STAT_TYPE_SERVER, .current = atomic_load(&m->endpoint->active),
					.limit = m->max_connections, .total = atomic_load(&m->endpoint->total),
					.errors = atomic_load(&m->endpoint->failures), .weight = m->weight,
					.active = !m->is_backup, .backup = m->is_backup };

		stat_row(s, &row);
		sum.total += row.total;
		sum.errors += row.errors;
		sum.weight += row.weight;
		sum.active += row.active;
		sum.backup += row.backup;
		if (strcmp(row.status, "UP") == 0)
			sum.status = "UP";
	}
	stat_row(s, &sum);
}

static void stat_done(struct admin_client *client, const struct gather *g)
{
	const struct snapshot *snapshot = admin_control(client)->snapshot;
	struct report_listener rows[256];
	uint32_t count = gather_listeners(g, rows, ARRAY_LEN(rows));
	struct str s;

	str_init_heap(&s, TEXT_MAX);
	str_cstr(&s, "# ");
	for (size_t i = 0; i < ARRAY_LEN(stat_fields); i++) {
		str_cstr(&s, stat_fields[i]);
		str_char(&s, ',');
	}
	str_char(&s, '\n');
	for (uint32_t i = 0; i < count; i++)
		stat_row(&s, &(struct stat_row){ .proxy = rows[i].name, .service = "FRONTEND", .status = "OPEN",
						 .current = rows[i].clients, .proxy_id = i + 1, .type = STAT_TYPE_FRONTEND });
	for (size_t i = 0; i < snapshot->config->clusters_count; i++)
		stat_cluster(&s, snapshot->clusters[i].view, count + (unsigned)i + 1);
	str_char(&s, '\n');
	admin_write(client, s.at, s.len);
	str_done(&s);
	admin_end(client);
}

static void show_stat(struct admin_client *c, char **args)
{
	(void)args;
	gather_start(c, stat_done);
}

/* ---- show servers state ---- */

static void show_servers_state(struct admin_client *c, char **args)
{
	const struct snapshot *snapshot = admin_control(c)->snapshot;
	struct str s;

	str_init_heap(&s, TEXT_MAX);
	str_cstr(&s, "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight "
		     "srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state "
		     "srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord\n");
	for (size_t i = 0; i < snapshot->config->clusters_count; i++) {
		const struct cluster_view *v = snapshot->clusters[i].view;

		if (args[0] != NULL && strcmp(args[0], v->config->name) != 0)
			continue;
		for (uint32_t j = 0; j < v->members_count; j++) {
			const struct cluster_member *m = &v->members[j];
			char line[1024], host[ADDR_TEXT_MAX] = "-";
			struct addr addr = { .len = 0 };

			if (endpoint_addr(m->endpoint, &addr))
				addr_print_host(&addr, host);
			snprintf(line, sizeof(line), "%zu %.200s %u %.200s %s %d %d %u %u 0 1 0 0 0 0 0 0 - %u -\n", i + 1,
				 v->config->name, j + 1, m->endpoint->name, host, addr.len > 0 ? 2 : 0,
				 m->weight == 0 ? 8 : 0, m->weight, m->config->weight,
				 addr.len > 0 ? addr_port(&addr) : 0);
			str_cstr(&s, line);
		}
	}
	str_char(&s, '\n');
	admin_write(c, s.at, s.len);
	str_done(&s);
	admin_end(c);
}

/* ---- sessions ---- */

static void print_session(struct str *s, const struct connection_info *i, bool is_first)
{
	(void)is_first;
	str_cstr(s, i->id);
	str_cstr(s, ": proto=");
	str_cstr(s, i->kind);
	str_cstr(s, " src=");
	str_cstr(s, i->client);
	str_char(s, ':');
	str_dec(s, i->client_port);
	str_cstr(s, " fe=");
	str_cstr(s, i->listener);
	str_cstr(s, " be=");
	str_cstr(s, i->cluster != NULL ? i->cluster : "<NONE>");
	str_cstr(s, " srv=");
	str_cstr(s, i->endpoint != NULL ? i->endpoint : "<none>");
	str_cstr(s, " age=");
	str_dec(s, i->age_ms / 1000);
	str_cstr(s, "s state=");
	str_cstr(s, i->state);
	str_char(s, '\n');
}

static void sessions_done(struct admin_client *c, uint64_t count)
{
	(void)count;
	say(c, "\n");
	admin_end(c);
}

static void show_sess(struct admin_client *c, char **args)
{
	struct walk_options o = { .limit = UINT64_MAX, .print = print_session, .done = sessions_done };

	(void)args;
	walk_start(c, &o);
}

static void one_done(struct admin_client *c, uint64_t count)
{
	say(c, count > 0 ? "\n" : "No such session (use 'show sess').\n\n");
	admin_end(c);
}

static void shutdown_session(struct admin_client *c, char **args)
{
	const struct connection_end end = { .why = REASON_KILLED };

	if (args[0] == NULL || !walk_end_one(c, args[0], &end, one_done))
		one_done(c, 0);
}

/* "cluster/endpoint"; endpoints may hold slashes themselves (unix:/run/x). */
static const struct cluster_member *member_of(struct admin_client *c, const char *text)
{
	const struct snapshot *s = admin_control(c)->snapshot;
	const char *slash = text != NULL ? strchr(text, '/') : NULL;

	for (size_t i = 0; slash != NULL && i < s->config->clusters_count; i++) {
		const struct cluster_view *v = s->clusters[i].view;

		if (strlen(v->config->name) != (size_t)(slash - text) ||
		    memcmp(v->config->name, text, (size_t)(slash - text)) != 0)
			continue;
		for (uint32_t j = 0; j < v->members_count; j++)
			if (strcmp(v->members[j].endpoint->name, slash + 1) == 0)
				return &v->members[j];
	}
	return NULL;
}

static void no_server(struct admin_client *c)
{
	say(c, "No such server.\n\n");
	admin_end(c);
}

static void shutdown_sessions(struct admin_client *c, char **args)
{
	struct walk_options o = { .limit = UINT64_MAX, .is_ending = true, .end.why = REASON_KILLED, .done = sessions_done };
	const struct cluster_member *m = member_of(c, args[0]);

	if (m == NULL) {
		no_server(c);
		return;
	}
	snprintf(o.filter.cluster, sizeof(o.filter.cluster), "%s", cluster_name(m->endpoint->cluster));
	snprintf(o.filter.endpoint, sizeof(o.filter.endpoint), "%s", m->endpoint->name);
	walk_start(c, &o);
}

/* ---- which command ---- */

static void help(struct admin_client *c, char **args);

static const struct {
	const char *words;
	void (*run)(struct admin_client *, char **args); /* what follows the words, ended by NULL */
} rows[] = {
	{ "show info", show_info },
	{ "show stat", show_stat },
	{ "show sess", show_sess },
	{ "show servers state", show_servers_state },
	{ "shutdown sessions server", shutdown_sessions },
	{ "shutdown session", shutdown_session },
	{ "help", help },
};

static void help(struct admin_client *c, char **args)
{
	(void)args;
	say(c, "The following commands are known:\n");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		say(c, "  ");
		say(c, rows[i].words);
		say(c, "\n");
	}
	say(c, "Everything else: HTTP on this socket, GET /help\n\n");
	admin_end(c);
}

void admin_text_run(struct admin_client *c, char *line)
{
	char *args[8] = { NULL }, *at;
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t len = strlen(rows[i].words);

		if (strncmp(line, rows[i].words, len) != 0 || (line[len] != '\0' && line[len] != ' '))
			continue;
		for (char *word = strtok_r(line + len, " ", &at); word != NULL && count < ARRAY_LEN(args) - 1;
		     word = strtok_r(NULL, " ", &at))
			args[count++] = word;
		rows[i].run(c, args);
		return;
	}
	say(c, "Unknown command.\n");
	help(c, args);
}
