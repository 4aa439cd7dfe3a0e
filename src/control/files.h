/* What the configuration in force has been read from besides its own file: keys of tokens, revocations, lists of addresses,
 * certificates.
 *
 * When one of them changes, the same configuration is made anew from them all and handed to the workers; if one cannot be
 * used, that is said, and what was read before stays in force.
 * Called by: control (what it reads), reload (what is in force).  Control's thread. */
#ifndef CONTROL_FILES_H
#define CONTROL_FILES_H

#include "config/config.h"
#include "control/watch.h"

struct control;

struct files {
	struct control *control;
	struct list list; /* struct watched_file */
};

void files_init(struct files *f, struct control *c);
/* One that is about to be read: its files are watched from now on. */
void files_want(struct files *f, const struct config *config);
/* The one in force: others are watched no more. */
void files_follow(struct files *f, const struct config *config);
void files_stop(struct files *f);

#endif
