/* Files that are watched by inotify, and what is done when one changes.
 *
 * The name "*" stands for everything in a directory, what is taken away too.  Watches the directories, since a file that is put in place of another is another one; the name "..data" counts for all
 * files of its directory (that is how Kubernetes swaps what it mounts).  Changes are gathered for a moment, so that a
 * certificate and its key, written one after the other, are one change.
 * Called by: control/discovery, control/files.  Control's thread and ring. */
#ifndef CONTROL_WATCH_H
#define CONTROL_WATCH_H

#include "base/list.h"
#include "net/ring.h"

struct watch {
	struct list link;
	char *path;
	const char *name; /* its last part */
	int wd;		  /* of its directory; -1: it cannot be watched */
	bool is_due;
	void (*changed)(struct watch *); /* must not add or remove watches */
};

struct watcher {
	struct ring *ring; /* NULL: not started */
	struct list watches;
	struct timer gather;
	struct op op;
	int fd; /* inotify */
	bool is_listening;
	char events[4096];
};

/* Notes changes from now on, and tells of them once it is started. */
void watcher_init(struct watcher *w);
void watcher_start(struct watcher *w, struct ring *ring);
void watcher_done(struct watcher *w); /* after the ring; all watches are gone */

/* Begins (before the file is read, or a change in between is missed); says in the log when the directory cannot be watched.  false: memory is out. */
bool watch_add(struct watcher *w, struct watch *watch, const char *path, void (*changed)(struct watch *));
void watch_remove(struct watch *watch); /* accepts zeroes */

#endif
