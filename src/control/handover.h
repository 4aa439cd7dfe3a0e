/* What a process that is upgraded hands to the one that takes over, and what that one takes.
 *
 * Listening sockets and the pid file are inherited descriptors, under the same numbers; the rest (which they are, ticket
 * keys, the secret of affinity cookies, states of endpoints, what was commanded at run time) is JSON in a memfd, which
 * nobody else can open.  HOLDFAST_UPGRADE in the environment says "CHANNEL,MEMFD".
 * Whoever is started by systemd with sockets (LISTEN_FDS) takes those in the same way.
 * Called by: control (takes), control/upgrade (writes). */
#ifndef CONTROL_HANDOVER_H
#define CONTROL_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>

struct control;
struct config_errors;
struct json_t;

#define HANDOVER_ENV "HOLDFAST_UPGRADE"

/* ---- the one that goes ---- */

struct handover {
	int memfd;
	int *fds; /* what is inherited, the memfd too; ascending */
	size_t fds_count;
};

/* 0, or a negative errno; handover_done() in any case. */
int handover_write(struct control *c, struct handover *out);
void handover_done(struct handover *h);

/* ---- the one that comes ---- */

struct heritage {
	struct json_t *state; /* NULL: it was not started by an upgrade */
	int channel;	      /* to the one before; -1 */
};

void heritage_init(struct heritage *h);
/* Reads the environment and takes it out of it.  false: what is there is not understood (`errors`). */
bool heritage_take(struct heritage *h, struct config_errors *errors);
void heritage_done(struct heritage *h);

/* Before the first view is made: keys and secrets. */
bool heritage_give_keys(const struct heritage *h, struct control *c);
/* The first configuration is in force for this thread: endpoints and the log become what they were. */
void heritage_give_states(const struct heritage *h, struct control *c);
/* Before addresses are asked for: sockets (of systemd as well), the pid file. */
bool heritage_give_sockets(const struct heritage *h, struct control *c, struct config_errors *errors);

/* Is this number that of a listening socket of the one before? */
bool heritage_has_fd(const struct heritage *h, int fd);

#endif
