/* The commands about the process as a whole. */
#include "control/admin_commands.h"

#include "base/clock.h"
#include "base/log.h"
#include "control/control.h"
#include "control/gather.h"
#include "proxy/counters.h"

#include <jansson.h>
#include <string.h>
#include <unistd.h>

static const char *const states[] = {
	[SHUTDOWN_NOT] = "running",
	[SHUTDOWN_DRAINING] = "draining",
	[SHUTDOWN_STOPPING] = "stopping",
};

/* ---- status ---- */

static json_t *status_listeners(const struct gather *g)
{
	struct report_listener rows[256];
	uint32_t count = gather_listeners(g, rows, ARRAY_LEN(rows));
	json_t *list = json_array();

	for (uint32_t i = 0; i < count; i++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:I}", "name", rows[i].name, "protocol",
						      rows[i].is_tcp ? "tcp" : "http", "connections",
						      (json_int_t)rows[i].clients, "websockets",
						      (json_int_t)rows[i].websockets));
	return list;
}

static json_t *status_reload(const struct reload *r)
{
	char at[CLOCK_ISO_MAX] = "";
	json_t *errors = json_array();

	if (r->good_wall_ns > 0)
		clock_print_iso(r->good_wall_ns, at);
	for (size_t i = 0; i < r->last_errors.list_count; i++)
		json_array_append_new(errors, json_string(r->last_errors.list[i].text));
	return json_pack("{s:b, s:s, s:I, s:I, s:o}", "successful", !r->has_failed, "last_success", at, "succeeded",
			 (json_int_t)r->good_count, "failed", (json_int_t)r->failed_count, "errors", errors);
}

static json_t *status_connections(const struct control *c, const struct worker_report *sum)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "total", (json_int_t)sum->connections, "websocket",
			 (json_int_t)sum->websockets, "tcp", (json_int_t)sum->tcp, "http",
			 (json_int_t)(sum->connections - sum->websockets - sum->tcp), "max",
			 (json_int_t)atomic_load(&c->places.max));
}

static json_t *status_totals(void)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "requests", (json_int_t)counter_sum(PROXY_REQUESTS), "websockets",
			 (json_int_t)counter_sum(PROXY_WEBSOCKETS), "tcp_connections",
			 (json_int_t)counter_sum(PROXY_TCP_CONNECTIONS), "messages_in",
			 (json_int_t)proxy_messages(false), "messages_out",
			 (json_int_t)proxy_messages(true));
}

static json_t *status_rates(const struct admin *a)
{
	return json_pack("{s:f, s:f, s:f, s:f}", "websockets_per_second", admin_rate(a, ADMIN_RATE_HANDSHAKES),
			 "requests_per_second", admin_rate(a, ADMIN_RATE_REQUESTS), "messages_in_per_second",
			 admin_rate(a, ADMIN_RATE_MESSAGES_IN), "messages_out_per_second",
			 admin_rate(a, ADMIN_RATE_MESSAGES_OUT));
}

struct json_t *admin_status_json(const struct admin_client *client, const struct gather *g)
{
	const struct control *c = admin_control(client);
	struct worker_report sum;
	char began[CLOCK_ISO_MAX];

	gather_sum(g, &sum);
	clock_print_iso(c->began_wall_ns, began);
	return json_pack("{s:s, s:i, s:s, s:b, s:s, s:f, s:i, s:s, s:o, s:o, s:o, s:o, s:o}", "version", HF_VERSION, "pid",
			 (int)getpid(), "state", states[c->shutdown.state], "away", client->admin->is_away, "started",
			 began, "uptime_seconds", (double)(clock_wall_ns() - c->began_wall_ns) / 1e9, "workers",
			 (int)c->crew.count, "configuration", c->snapshot->config->file, "connections",
			 status_connections(c, &sum), "rates", status_rates(client->admin), "totals", status_totals(),
			 "listeners", status_listeners(g), "reload", status_reload(&c->reload));
}

static void status_done(struct admin_client *client, const struct gather *g)
{
	admin_answer_json(client, 200, admin_status_json(client, g));
}

void admin_status(struct admin_client *c)
{
	gather_start(c, status_done);
}

/* ---- for balancers and orchestrators ---- */

void admin_health(struct admin_client *c)
{
	/* that this thread answers, and that no worker has ended, is what there is to know */
	if (admin_control(c)->crew.ended > 0)
		admin_problem(c, 503, "a worker has ended");
	else
		admin_answer_json(c, 200, json_pack("{s:s}", "status", "ok"));
}

void admin_ready(struct admin_client *c)
{
	const struct control *control = admin_control(c);

	if (control->shutdown.state != SHUTDOWN_NOT)
		admin_problem(c, 503, "the process is about to end");
	else if (c->admin->is_away)
		admin_problem(c, 503, "sent away by POST /drain");
	else
		admin_answer_json(c, 200, json_pack("{s:s}", "status", "ready"));
}

static void set_away(struct admin_client *c, bool is_away)
{
	if (c->admin->is_away != is_away)
		log_info("admin: %s", is_away ? "not ready from now on: balancers in front look away" : "ready again");
	c->admin->is_away = is_away;
	admin_answer_json(c, 200, json_pack("{s:b}", "away", is_away));
}

void admin_away(struct admin_client *c)
{
	set_away(c, true);
}

void admin_back(struct admin_client *c)
{
	set_away(c, false);
}

/* ---- the log ---- */

void admin_log_level(struct admin_client *c)
{
	static const char *const levels[] = {
		[LOG_LEVEL_ERROR] = "error",
		[LOG_LEVEL_WARN] = "warn",
		[LOG_LEVEL_INFO] = "info",
		[LOG_LEVEL_DEBUG] = "debug",
	};
	json_error_t error;
	json_t *body = json_loadb(c->body_text.at != NULL ? c->body_text.at : "", c->body_text.len, 0, &error);
	const char *wanted = json_string_value(json_object_get(body, "level"));

	for (size_t i = 0; wanted != NULL && i < ARRAY_LEN(levels); i++) {
		if (strcmp(wanted, levels[i]) != 0)
			continue;
		log_set_level((enum log_level)i);
		log_info("admin: the log's level is %s until the next reload", levels[i]);
		json_decref(body);
		admin_answer_json(c, 200, json_pack("{s:s}", "level", levels[i]));
		return;
	}
	json_decref(body);
	admin_problem(c, 400, "a body like {\"level\": \"debug\"} is wanted: error, warn, info or debug");
}
