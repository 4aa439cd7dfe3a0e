/* Signals, as something to read: HUP, TERM, INT, QUIT, USR1, USR2.
 *
 * All of them are blocked in every thread and read from a signalfd through control's ring, so that no code is ever
 * interrupted.
 * Called by: main (before any thread starts), control. */
#ifndef CONTROL_SIGNALS_H
#define CONTROL_SIGNALS_H

#include "net/ring.h"

#include <sys/signalfd.h>

struct control;

#define SIGNALS_AT_ONCE 8

struct signals {
	struct control *control;
	int fd;
	struct op read_op;
	struct signalfd_siginfo infos[SIGNALS_AT_ONCE];
};

/* Blocks them for the calling thread and those that it starts; ignores SIGPIPE. */
void signals_block(void);

/* 0 or a negative errno. */
int signals_init(struct signals *s, struct control *control);
/* Begins to read. */
void signals_listen(struct signals *s);
/* After the ring. */
void signals_done(struct signals *s);

#endif
