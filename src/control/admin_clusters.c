/* What is told of clusters and their endpoints. */
#include "control/admin_endpoints.h"

#include "base/clock.h"
#include "cluster/queue.h"
#include "control/control.h"

#include <jansson.h>
#include <string.h>

/* ---- one endpoint ---- */

static void set(json_t *o, const char *key, json_t *value)
{
	json_object_set_new(o, key, value);
}

/* When the last of its connections will have been told to go; they may also go by themselves. */
static json_t *leaving_json(const struct endpoint_row *row)
{
	double wait_s = (double)row->close_in_ms / 1000;
	double close_s = row->close_rate_per_s > 0 ? row->active / row->close_rate_per_s : 0;

	if (row->leaving == REASON_NONE)
		return json_null();
	return json_pack("{s:s, s:b, s:f, s:f, s:I, s:f}", "reason", reason_of(row->leaving)->word, "closing",
			 row->closing != REASON_NONE, "closes_in_seconds", wait_s, "rate",
			 row->close_rate_per_s, "remaining", (json_int_t)row->active, "eta_seconds",
			 row->active > 0 ? wait_s + close_s : 0.0);
}

struct json_t *admin_endpoint_json(const struct endpoint_row *row)
{
	char address[ADDR_TEXT_MAX] = "", since[CLOCK_ISO_MAX] = "";
	json_t *o = json_object();

	if (row->addr.len > 0)
		addr_print(&row->addr, address);
	if (row->since_ns != 0)
		clock_print_iso(row->since_ns, since);
	set(o, "endpoint", json_string(row->endpoint));
	set(o, "address", json_string(address));
	set(o, "state", json_string(row->state));
	set(o, "why", json_string(row->why));
	set(o, "since", row->since_ns != 0 ? json_string(since) : json_null());
	set(o, "mode", json_string(endpoint_mode_name(row->mode)));
	set(o, "health", json_string(endpoint_health_name(row->health)));
	set(o, "ejected_for_seconds", json_real((double)row->ejected_for_ms / 1000));
	set(o, "ejections", json_integer((json_int_t)row->ejections));
	set(o, "weight", json_integer(row->weight));
	set(o, "configured_weight", json_integer(row->configured_weight));
	set(o, "share", json_real((double)row->share / ENDPOINT_FULL_SHARE));
	set(o, "backup", json_boolean(row->is_backup));
	set(o, "added", json_boolean(row->is_added));
	set(o, "active", json_integer(row->active));
	set(o, "pending", json_integer(row->pending));
	set(o, "max_connections", json_integer(row->max_connections));
	set(o, "total", json_integer((json_int_t)row->total));
	set(o, "failures", json_integer((json_int_t)row->failures));
	set(o, "connect_ms", row->connect_us > 0 ? json_real(row->connect_us / 1000.0) : json_null());
	set(o, "rebalance_left", json_integer(row->shed_left));
	set(o, "leaving", leaving_json(row));
	return o;
}

/* ---- clusters ---- */

/* The rows from `at` on that are of the same cluster; `at` is moved behind them. */
static json_t *rows_json(const struct roster *r, size_t *at)
{
	const char *cluster = r->rows[*at].cluster;
	json_t *endpoints = json_array();

	for (; *at < r->count && strcmp(r->rows[*at].cluster, cluster) == 0; ++*at)
		json_array_append_new(endpoints, admin_endpoint_json(&r->rows[*at]));
	return endpoints;
}

static json_t *endpoints_json(const struct roster *r, const char *cluster)
{
	for (size_t i = 0; i < r->count; i++)
		if (strcmp(r->rows[i].cluster, cluster) == 0)
			return rows_json(r, &i);
	return json_array();
}

static json_t *cluster_json(const struct cluster_view *v, const struct roster *r)
{
	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:o}", "cluster", v->config->name, "balance",
			 v->config->balance, "active", (json_int_t)cluster_active(v->cluster), "waiting",
			 (json_int_t)cluster_waiting(v->cluster), "max_connections", (json_int_t)v->config->max_connections, "endpoints",
			 endpoints_json(r, v->config->name));
}

/* Those that no configuration names any more, and that still have connections. */
static void add_removed(json_t *list, const struct snapshot *s, const struct roster *r)
{
	for (size_t i = 0; i < r->count;) {
		const char *cluster = r->rows[i].cluster;
		json_t *endpoints = rows_json(r, &i);

		if (config_find_cluster(s->config, cluster) == NULL)
			json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:o}", "cluster", cluster,
							      "balance", "removed", "active",
							      (json_int_t)r->rows[i - 1].active, "endpoints",
							      endpoints));
		else
			json_decref(endpoints);
	}
}

struct json_t *admin_clusters_json(const struct admin_client *c)
{
	const struct control *control = admin_control(c);
	const struct snapshot *s = control->snapshot;
	json_t *list = json_array();
	struct roster r;

	roster_take(&r, control->clusters, NULL);
	for (size_t i = 0; i < s->config->clusters_count; i++)
		json_array_append_new(list, cluster_json(s->clusters[i].view, &r));
	add_removed(list, s, &r);
	roster_done(&r);
	return list;
}

void admin_clusters(struct admin_client *c)
{
	admin_answer_json(c, 200, json_pack("{s:o}", "clusters", admin_clusters_json(c)));
}

const struct cluster_view *admin_find_cluster(struct admin_client *c)
{
	const struct snapshot *s = admin_control(c)->snapshot;
	const struct cluster_config *config = config_find_cluster(s->config, c->args[0]);

	if (config != NULL)
		return s->clusters[config->index].view;
	admin_problem(c, 404, "there is no cluster \"%.200s\"", c->args[0]);
	return NULL;
}

void admin_cluster(struct admin_client *c)
{
	const struct cluster_view *v = admin_find_cluster(c);
	struct roster r;

	if (v == NULL)
		return;
	roster_take(&r, admin_control(c)->clusters, v->config->name);
	admin_answer_json(c, 200, cluster_json(v, &r));
	roster_done(&r);
}

void admin_endpoint(struct admin_client *c)
{
	const struct endpoint_row *row;
	struct roster r;

	roster_take(&r, admin_control(c)->clusters, c->args[0]);
	row = roster_row(&r, c->args[0], c->args[1]);
	if (row == NULL)
		admin_problem(c, 404, "cluster \"%.200s\" has no endpoint \"%.200s\"", c->args[0],
			      c->args[1]);
	else
		admin_answer_json(c, 200, admin_endpoint_json(row));
	roster_done(&r);
}
