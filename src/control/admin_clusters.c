/* The commands about clusters and their endpoints. */
#include "control/admin_commands.h"

#include "control/control.h"

#include <jansson.h>
#include <string.h>

static json_t *endpoint_json(const struct cluster_member *m)
{
	struct endpoint *e = m->endpoint;
	struct addr addr;
	char text[ADDR_TEXT_MAX] = "";
	bool is_resolved = endpoint_addr(e, &addr);

	if (is_resolved)
		addr_print(&addr, text);
	return json_pack("{s:s, s:s, s:s, s:i, s:b, s:I, s:I, s:I, s:I}", "endpoint", e->name, "address", text, "state",
			 !is_resolved ? "unresolved" : m->weight == 0 ? "drained" : "ready", "weight", (int)m->weight,
			 "backup", m->is_backup, "active", (json_int_t)atomic_load(&e->active), "max_connections",
			 (json_int_t)m->max_connections, "total", (json_int_t)atomic_load(&e->total), "failures",
			 (json_int_t)atomic_load(&e->failures));
}

static json_t *cluster_json(const struct cluster_view *v)
{
	json_t *endpoints = json_array();

	for (uint32_t i = 0; i < v->members_count; i++)
		json_array_append_new(endpoints, endpoint_json(&v->members[i]));
	return json_pack("{s:s, s:s, s:I, s:o}", "cluster", v->config->name, "balance", v->config->balance, "active",
			 (json_int_t)cluster_active(v->cluster), "endpoints", endpoints);
}

struct json_t *admin_clusters_json(const struct admin_client *c)
{
	const struct snapshot *s = admin_control(c)->snapshot;
	json_t *list = json_array();

	for (size_t i = 0; i < s->config->clusters_count; i++)
		json_array_append_new(list, cluster_json(s->clusters[i].view));
	return list;
}

void admin_clusters(struct admin_client *c)
{
	admin_answer_json(c, 200, json_pack("{s:o}", "clusters", admin_clusters_json(c)));
}

void admin_cluster(struct admin_client *c)
{
	const struct snapshot *s = admin_control(c)->snapshot;
	const struct cluster_config *config = config_find_cluster(s->config, c->args[0]);

	if (config == NULL)
		admin_problem(c, 404, "there is no cluster \"%.200s\"", c->args[0]);
	else
		admin_answer_json(c, 200, cluster_json(s->clusters[config->index].view));
}
