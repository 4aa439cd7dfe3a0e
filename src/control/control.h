/* The process from its configuration to its end: what the main thread does while workers work.
 *
 * Owns what outlives configurations: the workers, the living clusters, ticket keys, listening sockets, the count of
 * places; and the snapshot in force.  It has a ring of its own, which reads signals and gets the workers' mail; it may
 * block (reading files, looking up names), since no connection waits for it.
 * Called by: main. */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include "cluster/monitor.h"
#include "control/admin.h"
#include "control/crew.h"
#include "control/discovery.h"
#include "control/handover.h"
#include "control/files.h"
#include "control/hostnames.h"
#include "control/notify.h"
#include "control/reload.h"
#include "control/shutdown.h"
#include "control/signals.h"
#include "control/sockets.h"
#include "control/upgrade.h"

struct control_options {
	/* Gives the configuration, or NULL and errors; at start and for each reload. */
	struct config *(*load)(void *user, struct config_errors *errors);
	void *load_user;
	/* How this process was started: what an upgrade starts again.  NULL: it cannot be. */
	const char *binary;
	char **arguments;
	/* See struct snapshot_sources; borrowed as long as control is there. */
	const char *own_tls_listener;
	struct tls_context *own_tls;
};

/* What the start has settled, whatever later configurations say. */
struct control_start {
	uint32_t workers; /* as written */
	char *user;
	char *pid_file; /* NULL as well while it is not written, or another process's by now */
	int pid_fd;	/* -1: there is none */
	bool has_pid_of_before; /* the process before writes our number into it */
	uint64_t rotate_s;
	unsigned connections_held; /* so many find descriptors; 0: not known yet */
	uint32_t table_entries;
};

struct control {
	const struct control_options *options;
	struct ring ring;
	bool has_ring;
	bool has_log;
	struct clusters *clusters;
	struct tls_tickets *tickets;
	struct snapshot *snapshot; /* in force, or the one to begin with */
	struct limit_table *limits;
	struct revocations *revocations;
	struct places places;
	struct sockets sockets;
	struct crew crew;
	struct monitor monitor;
	struct signals signals;
	struct reload reload;
	struct watcher watcher;
	struct discovery discovery;
	struct files files;
	struct hostnames hostnames;
	struct shutdown shutdown;
	struct upgrade upgrade;
	struct heritage heritage; /* until this process is ready */
	struct admin admin;
	struct notify notify;
	struct control_start start;
	uint64_t began_wall_ns;
};

/* Everything that a configuration has to pass before it is run, without running it (-t). */
bool control_check(const struct control_options *options, struct config_errors *errors);

/* Reads the configuration, opens what it names, makes the workers' rings, writes the pid file, starts the log, drops
 * privileges: in this order.  `options` is kept.  false: what is wrong is in `errors`, and control_done() is due as well.
 * On success `errors` has warnings. */
bool control_init(struct control *c, const struct control_options *options, struct config_errors *errors);
/* Runs until a signal ends it.  The process's exit status. */
int control_run(struct control *c);
/* Accepts what is half made. */
void control_done(struct control *c);

/* For reload: the configuration as it is now, as a snapshot with one reference; NULL: see `errors`. */
struct snapshot *control_load(struct control *c, struct config_errors *errors);
/* The configuration in force, made anew from the files that it names. */
struct snapshot *control_again(struct control *c, struct config_errors *errors);
/* How often ticket keys change; the first listener with tickets says it. */
uint64_t control_rotate_s(const struct config *config);

#endif
