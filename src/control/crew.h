/* The workers as control sees them: their threads, and errands to them.
 *
 * An errand is a call in a worker's thread and an answer in control's, both by mail.  Errands of one worker are done in
 * the order in which they were sent.
 * Called by: control, reload, shutdown. */
#ifndef CONTROL_CREW_H
#define CONTROL_CREW_H

#include "proxy/worker.h"

struct control;
struct crew_member;

struct errand {
	struct mail mail;
	struct crew_member *member;
	void (*there)(struct crew_member *); /* in the worker's thread */
	void (*back)(struct crew_member *);  /* in control's; NULL: no answer is wanted */
};

struct crew_member {
	struct control *control;
	struct worker *worker;
	struct errand apply, drain, stop, empty;
	/* what `apply` carries: a reference that the worker takes, and its sockets */
	struct snapshot *snapshot;
	struct worker_socket *sockets;
	size_t sockets_count;
	struct worker_leave leave; /* what `drain` carries */
	bool is_empty_told; /* of the worker's thread */
};

struct crew {
	struct control *control;
	struct worker *workers;
	struct crew_member *members;
	unsigned count;	  /* workers that are made */
	unsigned threads; /* threads that were started and not joined */
	unsigned ended;	  /* threads that have said that they are over */
	int ended_fd;	  /* eventfd: written by each thread as its last act */
	uint64_t ended_more;
	struct op ended_op;
};

/* Makes workers and their rings; before privileges are dropped.  0 or a negative errno; crew_done() in any case. */
int crew_init(struct crew *crew, struct control *control, unsigned count, struct places *places,
	      unsigned ring_entries);
/* Starts the threads and waits until each can get mail.  0 or a negative errno: then some may run, and shutdown ends
 * them. */
int crew_start(struct crew *crew);
/* Waits for the end of the threads. */
void crew_join(struct crew *crew);
/* Frees all; accepts what is half made. */
void crew_done(struct crew *crew);

/* Endpoints have begun or ceased to close their connections: tells every worker.  `crew` is a struct crew; in the thread
 * of `from`. */
void crew_heed_endpoints(struct ring *from, void *crew);

/* Sends one; it must not be under way. */
void errand_send(struct errand *e, struct crew_member *m, void (*there)(struct crew_member *),
		 void (*back)(struct crew_member *));
/* The same from the worker's own thread: `back` alone. */
void errand_tell(struct errand *e, struct crew_member *m, void (*back)(struct crew_member *));

#endif
