#include "control/admin_commands.h"

#include "control/admin_mirror.h"
#include "control/dashboard.h"
#include "wire/uri.h"

#include <jansson.h>
#include <string.h>

static const struct admin_command commands[] = {
	{ HTTP_METHOD_GET, "/status", admin_status, true, "version, uptime, connections, rates, the last reload" },
	{ HTTP_METHOD_GET, "/health", admin_health, true, "200 while the process works" },
	{ HTTP_METHOD_GET, "/ready", admin_ready, true, "200 while new connections are wanted, else 503" },
	{ HTTP_METHOD_GET, "/metrics", admin_metrics, true, "Prometheus text" },
	{ HTTP_METHOD_GET, "/clusters", admin_clusters, false, "clusters with their endpoints" },
	{ HTTP_METHOD_GET, "/clusters/*", admin_cluster, false, "one cluster" },
	{ HTTP_METHOD_POST, "/clusters/*/rebalance", admin_rebalance, false,
	  "closes what endpoints have above their share, at rebalance.rate" },
	{ HTTP_METHOD_POST, "/clusters/*/endpoints", admin_endpoint_add, false,
	  "{\"address\": HOST:PORT, \"weight\", \"max_connections\", \"backup\", \"zone\"}: adds it, until it is removed" },
	{ HTTP_METHOD_GET, "/clusters/*/endpoints/*", admin_endpoint, false, "one endpoint" },
	{ HTTP_METHOD_PATCH, "/clusters/*/endpoints/*", admin_endpoint_change, false,
	  "{\"weight\": N}, until the next reload" },
	{ HTTP_METHOD_DELETE, "/clusters/*/endpoints/*", admin_endpoint_remove, false, "takes out one that was added" },
	{ HTTP_METHOD_POST, "/clusters/*/endpoints/*/drain", admin_endpoint_drain, false,
	  "nothing new for it, and its connections leave; ?wait=true tells how that goes" },
	{ HTTP_METHOD_POST, "/clusters/*/endpoints/*/ready", admin_endpoint_ready, false, "it serves again" },
	{ HTTP_METHOD_POST, "/clusters/*/endpoints/*/disable", admin_endpoint_disable, false,
	  "nothing new for it, and its connections are left alone" },
	{ HTTP_METHOD_GET, "/connections", admin_connections, false,
	  "open connections; ?cluster= &endpoint= &listener= &route= &ip= &kind= &limit=" },
	{ HTTP_METHOD_GET, "/connections/*/frames", admin_mirror, false,
	  "what a WebSocket's peers send, live, a line of JSON a frame; ?bytes= of each payload; where admin.mirror allows it" },
	{ HTTP_METHOD_DELETE, "/connections/*", admin_kill_one, false, "ends one; ?code= &reason=" },
	{ HTTP_METHOD_DELETE, "/connections", admin_kill_some, false,
	  "ends all that a filter (as in the list) names; ?code= &reason=" },
	{ HTTP_METHOD_POST, "/revocations", admin_revoke, false,
	  "{\"jti\" or \"sub\": NAME, \"seconds\": N}: refuses the token from now on, closes its connections" },
	{ HTTP_METHOD_GET, "/revocations", admin_revocations, false, "what has been revoked here" },
	{ HTTP_METHOD_DELETE, "/revocations", admin_unrevoke, false, "?jti= or ?sub=: takes it back" },
	{ HTTP_METHOD_POST, "/reload", admin_reload, false, "reads the configuration again; says what has changed" },
	{ HTTP_METHOD_GET, "/config/diff", admin_config_diff, false, "what a reload would change" },
	{ HTTP_METHOD_POST, "/upgrade", admin_upgrade, false, "the binary on disk takes over; answers when it has" },
	{ HTTP_METHOD_POST, "/log", admin_log_level, false, "{\"level\": error|warn|info|debug}" },
	{ HTTP_METHOD_POST, "/drain", admin_away, false, "/ready says 503, nothing else changes" },
	{ HTTP_METHOD_DELETE, "/drain", admin_back, false, "/ready says 200 again" },
	{ HTTP_METHOD_GET, "/", dashboard_page, true, "the dashboard" },
	{ HTTP_METHOD_GET, "/events", dashboard_events, true, "status and clusters once a second, as server-sent events" },
	{ HTTP_METHOD_GET, "/help", admin_help, true, "this list" },
};

/* One segment of a path from `at`; its length. */
static size_t segment_len(const char *at)
{
	return strcspn(at, "/");
}

/* false: another path, or a segment that cannot be decoded. */
static bool path_matches(struct admin_client *c, const char *pattern)
{
	const char *path = c->path;
	unsigned args = 0;

	while (*pattern == '/' && *path == '/') {
		size_t want = segment_len(++pattern), have = segment_len(++path);

		if (want == 1 && *pattern == '*') {
			long used = uri_decode(path, have, false, c->args[args], ADMIN_ARG_MAX - 1);

			if (used <= 0)
				return false;
			c->args[args++][used] = '\0';
		} else if (want != have || memcmp(pattern, path, want) != 0) {
			return false;
		}
		pattern += want;
		path += have;
	}
	return *pattern == '\0' && *path == '\0';
}

static bool method_matches(const struct admin_client *c, const struct admin_command *row)
{
	return row->method == c->method || (row->method == HTTP_METHOD_GET && c->method == HTTP_METHOD_HEAD);
}

/* The path is known, the method is not: what would be.  args[0] becomes the Allow field. */
static void refuse_method(struct admin_client *c)
{
	char allow[ADMIN_ARG_MAX] = "";

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!path_matches(c, commands[i].path))
			continue;
		if (allow[0] != '\0')
			strcat(allow, ", "); /* a handful of methods: there is room */
		strcat(allow, http_method_name(commands[i].method));
	}
	memcpy(c->args[0], allow, sizeof(allow));
	admin_problem(c, 405, "%s takes %s", c->path, allow);
}

void admin_dispatch(struct admin_client *c)
{
	bool is_known = false;

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		const struct admin_command *row = &commands[i];

		if (!path_matches(c, row->path))
			continue;
		is_known = true;
		if (!method_matches(c, row))
			continue;
		c->command = row;
		/* A browser that reaches the socket (through a forwarded port) is not to be led to command by any page. */
		if (c->is_from_page && row->method != HTTP_METHOD_GET)
			admin_problem(c, 403, "requests of pages may only read");
		else if (c->door == ADMIN_TCP && !row->is_public)
			admin_problem(c, 403, "this address may only be read: ask the UNIX socket (admin.socket)");
		else
			row->run(c);
		return;
	}
	if (is_known)
		refuse_method(c);
	else
		admin_problem(c, 404, "there is no %s: GET /help lists what there is", c->path);
}

void admin_help(struct admin_client *c)
{
	json_t *list = json_array();

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:b}", "method",
						      http_method_name(commands[i].method), "path", commands[i].path,
						      "does", commands[i].does, "read_only", commands[i].is_public));
	admin_answer_json(c, 200, json_pack("{s:s, s:o}", "door", c->door == ADMIN_UNIX ? "unix" : "tcp", "commands",
					    list));
}
