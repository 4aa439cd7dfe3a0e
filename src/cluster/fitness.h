/* How fit an endpoint is: its mode, its health, whether it is ejected, how far its slow start has come.
 *
 * State of the endpoint, not of a configuration: it survives reloads.  Each change is heard by the members at once, and
 * stands in the log with its reason.
 * Called by: control (modes), cluster/health, cluster/outlier, cluster/view.  Locks: the cluster's, taken here, except
 * where a comment says that the caller holds it. */
#ifndef CLUSTER_FITNESS_H
#define CLUSTER_FITNESS_H

#include "cluster/cluster.h"

const char *endpoint_mode_name(enum endpoint_mode mode);     /* "ready", "draining", "disabled" */
const char *endpoint_health_name(enum endpoint_health health); /* "unchecked", "up", "down" */

/* What is asked for it from now on; `why` (borrowed, one clause) says by whom. */
void endpoint_set_mode(struct endpoint *e, enum endpoint_mode mode, const char *why);
/* What checks have found; a change alone does something. */
void endpoint_set_health(struct endpoint *e, enum endpoint_health health, const char *why);

/* A view that is being made names it: where its cluster serves already and it does not, it starts slowly. */
void fitness_arrive(struct endpoint *e, const struct cluster_config *config);

/* Under the lock: why it is as it is, since now. */
void fitness_say(struct endpoint *e, const char *why);

/* Under the lock: it is put aside until then. */
void fitness_eject(struct endpoint *e, uint64_t now_ms, uint64_t for_ms, const char *why);

/* Under the lock: a connection to one in its slow start; where slow_start_rate forbids another one, it is closed until the
 * clock says otherwise. */
void fitness_pace(struct endpoint *e, const struct cluster_config *config);

/* Under the lock: another view is the newest. */
void cluster_policies_changed(struct cluster *c);

#endif
