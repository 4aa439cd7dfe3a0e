/* A configuration into force: read, checked, made into a snapshot with its sockets, and handed to every worker.
 *
 * The new one comes as a whole or not at all.  One is on its way at a time: what is asked for meanwhile is one more
 * reload afterwards, however often it was asked.  When the last worker has answered, the old snapshot loses control's
 * reference, and sockets that nobody listens on any more are closed.
 * Called by: control (the first), signals. */
#ifndef CONTROL_RELOAD_H
#define CONTROL_RELOAD_H

#include "proxy/snapshot.h"

struct control;

struct reload {
	struct snapshot *next; /* on its way, with a reference; NULL: none */
	unsigned waiting;      /* workers that have not answered */
	bool is_asked;	       /* again, meanwhile */
	bool is_refresh;       /* `next` is the configuration in force with other endpoints */
	bool is_stale;	       /* endpoints have changed, meanwhile */
};

/* Reads the configuration again. */
void reload_ask(struct control *c);

/* The endpoints of a cluster are others than those that views were made of: the same configuration anew. */
void reload_refresh(struct control *c);

/* Hands a snapshot, whose sockets are open, to every worker; takes the caller's reference.  0, or -ENOMEM: nothing has
 * happened. */
int reload_spread(struct control *c, struct snapshot *s);

/* Lines for the process log. */
void reload_log_errors(const struct config_errors *errors);
/* What a configuration says of logs and limits of the whole process. */
void reload_set_globals(struct control *c, const struct config *config);

/* Threads are over: gives back what was on its way. */
void reload_done(struct reload *r);

#endif
