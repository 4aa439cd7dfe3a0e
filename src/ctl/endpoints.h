/* The commands of holdfastctl about endpoints.
 *
 * Called by: ctl/commands. */
#ifndef CTL_ENDPOINTS_H
#define CTL_ENDPOINTS_H

#include "ctl/commands.h"

int run_endpoint(struct ctl *c);
int run_drain(struct ctl *c);
int run_endpoint_ready(struct ctl *c);
int run_disable(struct ctl *c);
int run_weight(struct ctl *c);
int run_add(struct ctl *c);
int run_remove(struct ctl *c);
int run_rebalance(struct ctl *c);

#endif
