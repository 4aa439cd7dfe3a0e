#include "control/notify.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void tell(const struct notify *n, const char *text)
{
	if (n->fd >= 0)
		(void)!send(n->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int dial(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t len = path != NULL ? strlen(path) : 0;
	int fd;

	if (len < 2 || len >= sizeof(to.sun_path) || (path[0] != '/' && path[0] != '@'))
		return -1;
	memcpy(to.sun_path, path, len);
	if (path[0] == '@') /* abstract */
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&to, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static void on_watchdog(struct timer *t)
{
	struct notify *n = container_of(t, struct notify, watchdog);

	tell(n, "WATCHDOG=1");
	ring_timer_arm(n->ring, t, n->every_ms);
}

void notify_init(struct notify *n)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");

	*n = (struct notify){ .fd = dial(getenv("NOTIFY_SOCKET")) };
	timer_init(&n->watchdog, on_watchdog);
	if (n->fd >= 0 && usec != NULL && (pid == NULL || strtol(pid, NULL, 10) == (long)getpid()))
		n->every_ms = strtoull(usec, NULL, 10) / 2000; /* twice as often as is asked for */
}

void notify_start(struct notify *n, struct ring *ring)
{
	n->ring = ring;
	if (n->every_ms > 0)
		on_watchdog(&n->watchdog);
}

void notify_done(struct notify *n)
{
	timer_cancel(&n->watchdog);
	if (n->fd >= 0)
		close(n->fd);
	n->fd = -1;
}

void notify_ready(const struct notify *n, const char *status)
{
	char text[512];

	snprintf(text, sizeof(text), "READY=1\nSTATUS=%.400s", status);
	tell(n, text);
}

void notify_reloading(const struct notify *n)
{
	char text[96];

	/* notify-reload pairs it with the READY=1 that follows */
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_now_ns() / 1000);
	tell(n, text);
}

void notify_stopping(const struct notify *n)
{
	tell(n, "STOPPING=1\nSTATUS=stopping");
}

void notify_main_pid(struct notify *n, pid_t pid)
{
	char text[128];

	/* only the main process is heard (NotifyAccess=main): so this one says it, and as its last word */
	snprintf(text, sizeof(text), "MAINPID=%ld\nREADY=1\nSTATUS=upgraded, process %ld drains", (long)pid, (long)getpid());
	tell(n, text);
	notify_done(n);
}
