/* The table of admin commands: one row a command.
 *
 * Called by: control/admin_client. */
#ifndef CONTROL_ADMIN_COMMANDS_H
#define CONTROL_ADMIN_COMMANDS_H

#include "control/admin_client.h"

struct admin_command {
	uint8_t method;	  /* enum http_method; GET answers HEAD too */
	const char *path; /* "*" stands for one segment, decoded into args[] */
	void (*run)(struct admin_client *);
	bool is_public;	  /* also on the TCP address */
	const char *does; /* one clause, for `GET /help` */
};

struct gather;
/* What GET /status and GET /clusters answer; gives (json_decref). */
struct json_t *admin_status_json(const struct admin_client *c, const struct gather *g);
struct json_t *admin_clusters_json(const struct admin_client *c);

/* Answers a request that has come whole. */
void admin_dispatch(struct admin_client *c);

/* The commands, each in the room of what it is about. */
void admin_status(struct admin_client *c);
void admin_health(struct admin_client *c);
void admin_ready(struct admin_client *c);
void admin_away(struct admin_client *c);
void admin_back(struct admin_client *c);
void admin_reload(struct admin_client *c);
void admin_upgrade(struct admin_client *c);
void admin_config_diff(struct admin_client *c);
void admin_log_level(struct admin_client *c);
void admin_clusters(struct admin_client *c);
void admin_cluster(struct admin_client *c);
void admin_endpoint(struct admin_client *c);
void admin_endpoint_drain(struct admin_client *c);
void admin_endpoint_ready(struct admin_client *c);
void admin_endpoint_disable(struct admin_client *c);
void admin_endpoint_change(struct admin_client *c);
void admin_endpoint_add(struct admin_client *c);
void admin_endpoint_remove(struct admin_client *c);
void admin_rebalance(struct admin_client *c);
void admin_connections(struct admin_client *c);
void admin_kill_one(struct admin_client *c);
void admin_kill_some(struct admin_client *c);
void admin_revoke(struct admin_client *c);
void admin_revocations(struct admin_client *c);
void admin_unrevoke(struct admin_client *c);
void admin_metrics(struct admin_client *c);
void admin_help(struct admin_client *c);

#endif
