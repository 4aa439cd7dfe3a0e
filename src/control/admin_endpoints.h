/* Endpoints, commanded at run time: drained, readied, disabled, weighed, added, removed; clusters rebalanced.
 *
 * Changes are the endpoint's or the cluster's, not a worker's; the monitor and the workers are told.
 * Called by: control/admin_commands, control/admin_text. */
#ifndef CONTROL_ADMIN_ENDPOINTS_H
#define CONTROL_ADMIN_ENDPOINTS_H

#include "cluster/fitness.h"
#include "cluster/roster.h"
#include "control/admin_commands.h"

struct control;

/* false: there is no such endpoint. */
bool control_set_mode(struct control *c, const char *cluster, const char *endpoint, enum endpoint_mode mode);
/* 0, -ENOENT or -ENOMEM. */
int control_set_weight(struct control *c, const char *cluster, const char *endpoint, uint32_t weight);

/* Gives (json_decref). */
struct json_t *admin_endpoint_json(const struct endpoint_row *row);
/* The cluster of the path, as it is in force; NULL: the client has been told that there is none. */
const struct cluster_view *admin_find_cluster(struct admin_client *c);

#endif
