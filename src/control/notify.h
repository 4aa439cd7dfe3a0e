/* What systemd is told of the process (Type=notify, Type=notify-reload, WatchdogSec=): datagrams to NOTIFY_SOCKET.
 *
 * Called by: control (start, end), reload, shutdown.  Where nobody listens, nothing happens. */
#ifndef CONTROL_NOTIFY_H
#define CONTROL_NOTIFY_H

#include "net/ring.h"

#include <sys/types.h>

struct notify {
	struct ring *ring;
	struct timer watchdog;
	uint64_t every_ms; /* 0: nobody watches */
	int fd;		   /* -1: nobody listens */
};

/* Looks for NOTIFY_SOCKET and WATCHDOG_USEC. */
void notify_init(struct notify *n);
/* The ring runs: the watchdog is fed from now on, as long as it turns. */
void notify_start(struct notify *n, struct ring *ring);
void notify_done(struct notify *n);

void notify_ready(const struct notify *n, const char *status);
void notify_reloading(const struct notify *n);
void notify_stopping(const struct notify *n);
/* Another process is the service from now on; this one says nothing more. */
void notify_main_pid(struct notify *n, pid_t pid);

#endif
