/* The end: gently, within the grace, or at once.
 *
 *   not ──TERM──> draining ──all empty, or grace over, or INT──> stopping ──all threads ended──> the loop ends
 *    └────────────────────────INT, QUIT, a worker that failed──────^
 *
 * Listening sockets are closed as soon as every worker has let go of them, and not before: what is in their queues would
 * be lost.
 * Called by: signals, crew. */
#ifndef CONTROL_SHUTDOWN_H
#define CONTROL_SHUTDOWN_H

#include "net/timers.h"

#include <stdbool.h>

struct control;
struct crew_member;

enum shutdown_state { SHUTDOWN_NOT, SHUTDOWN_DRAINING, SHUTDOWN_STOPPING };

struct shutdown {
	struct control *control;
	enum shutdown_state state;
	bool has_failed;  /* it was not a signal that ended it */
	unsigned letting; /* workers that have not yet let go of their sockets */
	unsigned empty;	  /* workers whose last client has gone */
	struct timer deadline;
};

void shutdown_init(struct shutdown *s, struct control *c);

/* Before the worker's thread starts: it tells when its last client has gone. */
void shutdown_watch(struct crew_member *m);

/* SIGTERM; nothing when it is under way. */
void shutdown_gracefully(struct control *c);
/* SIGINT, SIGQUIT; also cuts a grace short. */
void shutdown_now(struct control *c);
/* A worker thread is over. */
void shutdown_worker_ended(struct control *c);

#endif
