/* A configuration into force: read, checked, made into a snapshot with its sockets, and handed to every worker.
 *
 * The new one comes as a whole or not at all.  One is on its way at a time: what is asked for meanwhile is one more
 * reload afterwards, however often it was asked.  When the last worker has answered, the old snapshot loses control's
 * reference, and sockets that nobody listens on any more are closed.
 * Called by: control (the first), signals. */
#ifndef CONTROL_RELOAD_H
#define CONTROL_RELOAD_H

#include "base/list.h"
#include "base/log.h"
#include "proxy/snapshot.h"

struct control;

/* Who has asked for a reload and wants to know what came of it. */
struct reload_waiter {
	struct list link;
	/* The new configuration is good, and on its way. */
	void (*read)(struct reload_waiter *, const struct config *old, const struct config *fresh,
		     const struct config_errors *warnings);
	/* In force everywhere (NULL), or refused; the last call. */
	void (*done)(struct reload_waiter *, const struct config_errors *errors);
};

struct reload {
	struct snapshot *next; /* on its way, with a reference; NULL: none */
	unsigned waiting;      /* workers that have not answered */
	bool is_asked;	       /* again, meanwhile */
	bool is_refresh;       /* `next` is the configuration in force with other endpoints */
	bool is_stale;	       /* endpoints have changed, meanwhile */
	bool has_new_files;    /* files have, meanwhile */
	struct list waiters;   /* of the one on its way */
	struct list later;     /* of the one after it */
	struct list others;    /* who waits for other endpoints: those on their way, */
	struct list others_later; /* and those of the snapshot after it */
	/* for /status and the metrics */
	struct config_errors last_errors; /* of the last one, where it was refused */
	bool has_failed;
	uint64_t good_wall_ns;
	uint64_t good_count, failed_count;
};

/* Reads the configuration again. */
void reload_ask(struct control *c);
/* The same for somebody who wants to know; keeps `w` until its done(). */
void reload_ask_for(struct control *c, struct reload_waiter *w);
void reload_init(struct reload *r);
/* The process ends: whoever waits is told so. */
void reload_give_up(struct control *c);

/* The endpoints of a cluster are others than those that views were made of: the same configuration anew. */
void reload_refresh(struct control *c);
/* The same for somebody who wants to know when they are in force; keeps `w` until its done(), `read` is not called. */
void reload_refresh_for(struct control *c, struct reload_waiter *w);

/* Files that it was read from have changed: the same configuration from them as they are now. */
void reload_files(struct control *c);

/* Hands a snapshot, whose sockets are open, to every worker; takes the caller's reference.  0, or -ENOMEM: nothing has
 * happened. */
int reload_spread(struct control *c, struct snapshot *s);

/* Lines for the process log. */
void reload_log_errors(const struct config_errors *errors);
/* What a configuration says of logs and limits of the whole process. */
/* limits.max_connections, as far as descriptors go. */
void reload_set_places(struct control *c, const struct config *config);
void reload_set_globals(struct control *c, const struct config *config);

enum log_level reload_log_level(const struct config *config);

/* Threads are over: gives back what was on its way. */
void reload_done(struct reload *r);

#endif
