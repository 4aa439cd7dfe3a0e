#include "control/watch.h"

#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define GATHER_MS 50u
#define MASK	  (IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_ONLYDIR)

static void on_gathered(struct timer *t)
{
	struct watcher *w = container_of(t, struct watcher, gather);

	list_for_each_safe(node, next, &w->watches) {
		struct watch *watch = container_of(node, struct watch, link);

		if (!watch->is_due)
			continue;
		watch->is_due = false;
		watch->changed(watch);
	}
}

static bool concerns(const struct watch *watch, const struct inotify_event *e)
{
	if ((e->mask & IN_Q_OVERFLOW) != 0)
		return true;
	if (e->wd != watch->wd || e->len == 0)
		return false;
	if (strcmp(watch->name, "*") == 0)
		return true;
	return (e->mask & (IN_DELETE | IN_MOVED_FROM)) == 0 &&
	       (strcmp(e->name, watch->name) == 0 || strcmp(e->name, "..data") == 0);
}

static void event_take(struct watcher *w, const struct inotify_event *e)
{
	list_for_each(node, &w->watches) {
		struct watch *watch = container_of(node, struct watch, link);

		if (!concerns(watch, e))
			continue;
		watch->is_due = true;
		ring_timer_arm(w->ring, &w->gather, GATHER_MS);
	}
}

static void listen_again(struct watcher *w);

static void on_events(struct op *op, int res, uint32_t flags)
{
	struct watcher *w = container_of(op, struct watcher, op);
	size_t at = 0;

	(void)flags;
	w->is_listening = false;
	if (res <= 0)
		return;
	while (at + sizeof(struct inotify_event) <= (size_t)res) {
		struct inotify_event e;

		memcpy(&e, w->events + at, sizeof(e));
		event_take(w, (const struct inotify_event *)(const void *)(w->events + at));
		at += sizeof(e) + e.len;
	}
	listen_again(w);
}

static void listen_again(struct watcher *w)
{
	struct io_uring_sqe *sqe;

	if (w->is_listening || w->fd < 0 || w->ring == NULL)
		return;
	sqe = ring_sqe(w->ring);
	op_init(&w->op, NULL, on_events);
	io_uring_prep_read(sqe, w->fd, w->events, sizeof(w->events), 0);
	ring_sqe_own(sqe, &w->op);
	w->is_listening = true;
}

static int directory_watch(struct watcher *w, const char *path)
{
	const char *slash = strrchr(path, '/');
	char *directory = slash == NULL ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
	int wd = directory != NULL && w->fd >= 0 ? inotify_add_watch(w->fd, directory, MASK) : -1;

	if (wd < 0)
		log_warn("%s: cannot be watched: %s: changes are seen on reload only", path, strerror(errno));
	free(directory);
	return wd;
}

bool watch_add(struct watcher *w, struct watch *watch, const char *path, void (*changed)(struct watch *))
{
	const char *slash;

	watch->path = strdup(path);
	if (watch->path == NULL)
		return false;
	slash = strrchr(watch->path, '/');
	watch->name = slash != NULL ? slash + 1 : watch->path;
	watch->is_due = false;
	watch->changed = changed;
	watch->wd = directory_watch(w, path);
	list_append(&w->watches, &watch->link);
	return true;
}

void watch_remove(struct watch *watch)
{
	if (watch->path == NULL)
		return;
	list_remove(&watch->link);
	free(watch->path);
	watch->path = NULL;
}

void watcher_init(struct watcher *w)
{
	w->ring = NULL;
	list_init(&w->watches);
	timer_init(&w->gather, on_gathered);
	w->fd = inotify_init1(IN_CLOEXEC);
	w->is_listening = false;
}

void watcher_start(struct watcher *w, struct ring *ring)
{
	w->ring = ring;
	listen_again(w);
}

void watcher_done(struct watcher *w)
{
	timer_cancel(&w->gather);
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
	w->ring = NULL;
}
