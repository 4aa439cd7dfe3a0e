/* The commands of HAProxy's socket that agents and scripts speak, on ours: a line, its answer, the end.
 *
 * Frontends are listeners, backends clusters, servers endpoints.
 * Called by: control/admin_client. */
#ifndef CONTROL_ADMIN_TEXT_H
#define CONTROL_ADMIN_TEXT_H

#include "control/admin_client.h"

/* Answers and ends; changes `line`. */
void admin_text_run(struct admin_client *c, char *line);

#endif
