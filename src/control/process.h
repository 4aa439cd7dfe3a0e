/* What the process is to the system: its limits, its pid file, its user.
 *
 * Called by: main, control; before threads start. */
#ifndef CONTROL_PROCESS_H
#define CONTROL_PROCESS_H

#include "config/config.h"

#include <sys/types.h>

/* The soft limit of open files becomes the hard one: before anything is armed, since a multishot accept keeps the limit
 * that it was armed under. */
void process_raise_files(void);

/* How many clients the limit of open files holds with an endpoint's connection for each, what is open now left aside. */
unsigned process_connections_max(void);

/* No exec gives this process more rights than it has. */
void process_no_new_privileges(void);

/* Keys stay out of core files, and other processes of the same user cannot read this one's memory (ptrace, /proc/PID/mem). */
void process_forbid_dumps(void);

/* How many threads this process may run at once. */
unsigned process_cores(void);

/* Entries of a worker's ring: locked memory bounds rings of users that are not root. */
unsigned process_ring_entries(void);

/* false: told in `errors`.  A path or user of NULL is none, and good.  *fd stays open (-1: there is no path), so that the
 * number can be changed when privileges are gone. */
bool process_pid_write(const char *path, int *fd, struct config_errors *errors);
void process_pid_change(int fd, pid_t pid);
void process_pid_remove(const char *path);

/* A log that root has opened becomes the user's, who has to open it again one day.  Nothing where this is not root, or it
 * is not a plain file. */
void process_give(const char *path, const char *user);

/* Whether there is this user; NULL is none, and good. */
bool process_user_is_known(const char *user);

/* Gives up root for good, when this is root.  false: told in `errors`. */
bool process_become(const char *user, struct config_errors *errors);

#endif
