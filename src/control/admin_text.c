#include "control/admin_text.h"

#include "base/clock.h"
#include "cluster/queue.h"
#include "control/admin_connections.h"
#include "control/admin_endpoints.h"
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
	uint64_t waiting, current, limit, total, errors, weight, active, backup;
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
		{ "qcur", r->waiting, r->type == STAT_TYPE_BACKEND },
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

static const char *endpoint_status(const struct endpoint_row *e)
{
	static const struct {
		const char *state, *status;
	} rows[] = {
		{ "removed", "DRAIN" },	    { "unresolved", "MAINT (resolution)" }, { "draining", "DRAIN" },
		{ "disabled", "MAINT" },    { "ejected", "DOWN" },		    { "down", "DOWN" },
		{ "ready", "no check" },    { "up", "UP" },
	};

	if (e->is_usable && e->weight == 0)
		return "DRAIN";
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(e->state, rows[i].state) == 0)
			return rows[i].status;
	return "UP";
}

static void stat_cluster(struct str *s, const struct cluster_view *v, unsigned id, const struct roster *r)
{
	struct stat_row sum = { .proxy = v->config->name, .service = "BACKEND", .status = "DOWN", .proxy_id = id,
				.type = STAT_TYPE_BACKEND, .waiting = cluster_waiting(v->cluster), .current = cluster_active(v->cluster),
				.limit = v->config->max_connections };
	unsigned server_id = 0;

	for (size_t i = 0; i < r->count; i++) {
		const struct endpoint_row *e = &r->rows[i];
		struct stat_row row = { .proxy = v->config->name, .service = e->endpoint, .status = endpoint_status(e),
					.proxy_id = id, .type = STAT_TYPE_SERVER, .current = e->active,
					.limit = e->max_connections, .total = e->total, .errors = e->failures,
					.weight = e->weight, .active = !e->is_backup, .backup = e->is_backup };

		if (strcmp(e->cluster, v->config->name) != 0)
			continue;
		row.server_id = ++server_id;
		stat_row(s, &row);
		sum.total += row.total;
		sum.errors += row.errors;
		sum.weight += row.weight;
		sum.active += row.active;
		sum.backup += row.backup;
		if (e->is_usable && e->weight > 0)
			sum.status = "UP";
	}
	stat_row(s, &sum);
}

static void stat_done(struct admin_client *client, const struct gather *g)
{
	const struct snapshot *snapshot = admin_control(client)->snapshot;
	struct report_listener rows[256];
	uint32_t count = gather_listeners(g, rows, ARRAY_LEN(rows));
	struct roster r;
	struct str s;

	roster_take(&r, admin_control(client)->clusters, NULL);
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
		stat_cluster(&s, snapshot->clusters[i].view, count + (unsigned)i + 1, &r);
	roster_done(&r);
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

/* srv_op_state: 0 stopped, 2 running; srv_admin_state: bits of HAProxy's. */
static void state_row(struct str *s, const struct endpoint_row *e, size_t cluster_id, unsigned id)
{
	enum { FORCED_MAINT = 0x01, FORCED_DRAIN = 0x08, RESOLVER_MAINT = 0x20 };
	int admin_state = (e->mode == ENDPOINT_DISABLED ? FORCED_MAINT : 0) |
			  (e->mode == ENDPOINT_DRAINING ? FORCED_DRAIN : 0) | (e->addr.len == 0 ? RESOLVER_MAINT : 0);
	uint64_t changed_s = e->since_ns == 0 ? 0 : (clock_wall_ns() - e->since_ns) / 1000000000;
	char line[1024], host[ADDR_TEXT_MAX] = "-";

	if (e->addr.len > 0)
		addr_print_host(&e->addr, host);
	snprintf(line, sizeof(line), "%zu %.200s %u %.200s %s %d %d %u %u %llu 1 0 0 0 0 0 0 0 - %u -\n", cluster_id, e->cluster,
		 id, e->endpoint, host, e->is_usable ? 2 : 0, admin_state, e->weight, e->configured_weight,
		 (unsigned long long)changed_s, e->addr.len > 0 ? addr_port(&e->addr) : 0);
	str_cstr(s, line);
}

static void show_servers_state(struct admin_client *c, char **args)
{
	const struct snapshot *snapshot = admin_control(c)->snapshot;
	struct roster r;
	struct str s;

	roster_take(&r, admin_control(c)->clusters, NULL);
	str_init_heap(&s, TEXT_MAX);
	str_cstr(&s, "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight "
		     "srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state "
		     "srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord\n");
	for (size_t i = 0; i < snapshot->config->clusters_count; i++) {
		const char *name = snapshot->config->clusters[i].name;
		unsigned id = 0;

		if (args[0] != NULL && strcmp(args[0], name) != 0)
			continue;
		for (size_t j = 0; j < r.count; j++)
			if (strcmp(r.rows[j].cluster, name) == 0)
				state_row(&s, &r.rows[j], i + 1, ++id);
	}
	str_char(&s, '\n');
	admin_write(c, s.at, s.len);
	str_done(&s);
	roster_done(&r);
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

/* "cluster/endpoint" cut in two: endpoints may hold slashes themselves (unix:/run/x), names of clusters do not.  false:
 * there is no such endpoint. */
static bool server_find(struct admin_client *c, char *text, const char **endpoint)
{
	char *slash = text != NULL ? strchr(text, '/') : NULL;
	struct endpoint *e;

	if (slash == NULL)
		return false;
	*slash = '\0';
	*endpoint = slash + 1;
	e = roster_find(admin_control(c)->clusters, text, *endpoint);
	endpoint_unref(e);
	return e != NULL;
}

static void no_server(struct admin_client *c)
{
	say(c, "No such server.\n\n");
	admin_end(c);
}

static void shutdown_sessions(struct admin_client *c, char **args)
{
	struct walk_options o = { .limit = UINT64_MAX, .is_ending = true, .end.why = REASON_KILLED, .done = sessions_done };
	const char *endpoint;

	if (!server_find(c, args[0], &endpoint)) {
		no_server(c);
		return;
	}
	snprintf(o.filter.cluster, sizeof(o.filter.cluster), "%s", args[0]);
	snprintf(o.filter.endpoint, sizeof(o.filter.endpoint), "%s", endpoint);
	walk_start(c, &o);
}

/* ---- servers ---- */

static void done(struct admin_client *c, const char *text)
{
	say(c, text);
	say(c, "\n");
	admin_end(c);
}

static bool mode_find(const char *word, enum endpoint_mode *out)
{
	static const struct {
		const char *word;
		enum endpoint_mode mode;
	} modes[] = { { "ready", ENDPOINT_READY }, { "drain", ENDPOINT_DRAINING }, { "maint", ENDPOINT_DISABLED } };

	for (size_t i = 0; word != NULL && i < ARRAY_LEN(modes); i++) {
		*out = modes[i].mode;
		if (strcmp(word, modes[i].word) == 0)
			return true;
	}
	return false;
}

/* "N", or "N%" of what is configured; at most HAProxy's 256 or what is configured. */
static bool weight_find(struct admin_client *c, const char *cluster, const char *endpoint, const char *word, uint32_t *out)
{
	char *end = NULL;
	unsigned long n = word != NULL && *word >= '0' && *word <= '9' ? strtoul(word, &end, 10) : 0;
	const struct endpoint_row *row;
	struct roster r;

	if (end == NULL || n > 1000000 || (strcmp(end, "%") != 0 && *end != '\0'))
		return false;
	*out = (uint32_t)n;
	if (*end == '\0')
		return true;
	roster_take(&r, admin_control(c)->clusters, cluster);
	row = roster_row(&r, cluster, endpoint);
	*out = row != NULL ? (uint32_t)((uint64_t)row->configured_weight * n / 100) : 0;
	roster_done(&r);
	return *out <= 1000000;
}

static void set_server(struct admin_client *c, char **args)
{
	struct control *control = admin_control(c);
	const char *endpoint, *what = args[0] != NULL ? args[1] : NULL;
	enum endpoint_mode mode;
	uint32_t weight;

	if (!server_find(c, args[0], &endpoint)) {
		no_server(c);
	} else if (what != NULL && strcmp(what, "state") == 0) {
		if (!mode_find(args[2], &mode)) {
			done(c, "'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n");
			return;
		}
		control_set_mode(control, args[0], endpoint, mode);
		done(c, "");
	} else if (what != NULL && strcmp(what, "weight") == 0) {
		if (!weight_find(c, args[0], endpoint, args[2], &weight))
			done(c, "Malformed weight.\n");
		else
			done(c, control_set_weight(control, args[0], endpoint, weight) < 0 ? "Out of memory.\n" : "");
	} else {
		done(c, "usage: set server <backend>/<server> state|weight ...\n");
	}
}

static void server_set_mode(struct admin_client *c, char **args, enum endpoint_mode mode)
{
	const char *endpoint;

	if (!server_find(c, args[0], &endpoint)) {
		no_server(c);
		return;
	}
	control_set_mode(admin_control(c), args[0], endpoint, mode);
	done(c, "");
}

static void enable_server(struct admin_client *c, char **args)
{
	server_set_mode(c, args, ENDPOINT_READY);
}

static void disable_server(struct admin_client *c, char **args)
{
	server_set_mode(c, args, ENDPOINT_DISABLED);
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
	{ "set server", set_server },
	{ "enable server", enable_server },
	{ "disable server", disable_server },
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
