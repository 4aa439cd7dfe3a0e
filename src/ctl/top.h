/* `holdfastctl top`: connections and messages a second, and load by endpoint, again and again.
 *
 * Called by: ctl/commands. */
#ifndef CTL_TOP_H
#define CTL_TOP_H

#include "ctl/commands.h"

/* Until it is interrupted, or --count times; redraws the screen on a terminal, else prints one table after another. */
int run_top(struct ctl *c);

#endif
