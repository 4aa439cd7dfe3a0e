/* The dashboard: one page without parts from elsewhere, and the events that keep it current.
 *
 * The page is HTML in the tree and bytes in the program.  Its events are server-sent: once a second the status and all
 * clusters, made as GET /status and GET /clusters make them.
 * Called by: control/admin_commands. */
#ifndef CONTROL_DASHBOARD_H
#define CONTROL_DASHBOARD_H

#include "control/admin_client.h"

void dashboard_page(struct admin_client *c);
void dashboard_events(struct admin_client *c);

#endif
