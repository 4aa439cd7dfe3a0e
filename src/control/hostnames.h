/* Names of endpoints: looked up again by their TTL, and again and again where that fails.
 *
 * A name that is new is looked up once when its view is made, so that the first request finds an address; everything after that
 * happens here, without blocking.  What fails keeps the addresses it had.
 * Called by: control, control/reload. */
#ifndef CONTROL_HOSTNAMES_H
#define CONTROL_HOSTNAMES_H

#include "base/list.h"

struct control;
struct snapshot;

struct hostnames {
	struct control *control;
	struct list watches;
};

void hostnames_init(struct hostnames *n, struct control *c);
/* Another configuration, or other endpoints, are in force: these names, and no others, asked for at once. */
void hostnames_follow(struct hostnames *n, const struct snapshot *s);
/* Before the resolver's end. */
void hostnames_stop(struct hostnames *n);

#endif
