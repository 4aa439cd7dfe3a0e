/* The end: gently, within the grace, or at once.
 *
 *   not ──TERM, or another process has taken over──> draining ──all empty, or grace over, or INT──> stopping ──all threads ended──> the loop ends
 *    └────────────────────────INT, QUIT, a worker that failed──────^
 *
 * Listening sockets are closed as soon as every worker has let go of them, and not before: what is in their queues would
 * be lost.
 * Called by: signals, crew. */
#ifndef CONTROL_SHUTDOWN_H
#define CONTROL_SHUTDOWN_H

#include "net/timers.h"
#include "proxy/worker.h"

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
	struct worker_leave how;
	bool is_over_taken; /* another process goes on with the service */
	bool is_hurried;    /* SIGTERM came within the drain of an upgrade */
};

void shutdown_init(struct shutdown *s, struct control *c);

/* Before the worker's thread starts: it tells when its last client has gone. */
void shutdown_watch(struct crew_member *m);

/* SIGTERM; nothing when it is under way, but that the drain of an upgrade gets no longer than that. */
void shutdown_gracefully(struct control *c);
/* Another process accepts: what is open has upgrade.drain. */
void shutdown_handed_over(struct control *c);
/* SIGINT, SIGQUIT; also cuts a grace short. */
void shutdown_now(struct control *c);
/* A worker thread is over. */
void shutdown_worker_ended(struct control *c);

#endif
