/* The binary on disk takes over, and no connection is refused.
 *
 *   not ──USR2, POST /upgrade──> starting ──ready──> (shutdown: draining, what is open)
 *    ^                              │
 *    └── it has ended, or is late ──┘
 *
 * A new process is started with this one's arguments, and inherits its listening sockets: the very same, so that both
 * accept from the same queues until this one stops.  The new one reads the configuration, starts its workers, puts it in
 * force, and says so on a channel; or says what is wrong, and all goes on as before.
 * Called by: signals, admin_upgrade (the one that goes); control, reload (the one that comes). */
#ifndef CONTROL_UPGRADE_H
#define CONTROL_UPGRADE_H

#include "base/list.h"
#include "net/ring.h"

#include <sys/types.h>

struct control;
struct config_errors;
struct worker_leave;

#define UPGRADE_SAID_MAX 65536u

/* Who wants to know what came of it. */
struct upgrade_waiter {
	struct list link;
	/* The last call: the new process's number, or 0 and why not, line by line. */
	void (*done)(struct upgrade_waiter *, pid_t pid, const char *why);
};

struct upgrade {
	struct control *control;
	pid_t pid;   /* of the new one; 0: none is starting */
	int channel; /* -1: none */
	struct op said_op;
	struct timer deadline;
	struct list waiters;
	char *said; /* UPGRADE_SAID_MAX, while one is starting */
	uint64_t failed_count;
	bool is_asked;	 /* once the reload under way is over */
	bool is_reload;	 /* SIGHUP came meanwhile */
	bool is_handed;	 /* the new one has taken over */
	int *handed;	 /* the sockets it took; ascending */
	size_t handed_count;
};

void upgrade_init(struct upgrade *u, struct control *c);
void upgrade_done(struct upgrade *u);

/* ---- the one that goes ---- */

void upgrade_ask(struct control *c);
void upgrade_ask_for(struct control *c, struct upgrade_waiter *w);
static inline bool upgrade_is_starting(const struct upgrade *u)
{
	return u->pid != 0 && !u->is_handed;
}
/* A reload is over; the process is about to end. */
void upgrade_go_on(struct control *c);
void upgrade_give_up(struct control *c);

/* ---- the one that comes ---- */

/* The first configuration is in force everywhere: the one before may go. */
void upgrade_ready(struct control *c);
/* It cannot start: says why. */
void upgrade_failed(struct control *c, const struct config_errors *errors);

#endif
