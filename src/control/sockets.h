/* Listening sockets, by address: opened once, and kept as long as a configuration names them.
 *
 * TCP has one socket for each worker (SO_REUSEPORT: the kernel spreads connections), UNIX has one that all share.  What
 * was inherited, from systemd or from the process before, is used as it is: workers share where there are too few, and
 * listen on several where there are too many, so that no queue is without a reader.  A change opens what is new before anything else happens, all of it or nothing, and closes what is left over only when
 * told that no worker listens there any more: connections in a closed socket's queue are lost.
 * Called by: control, reload, shutdown.  One thread. */
#ifndef CONTROL_SOCKETS_H
#define CONTROL_SOCKETS_H

#include "base/list.h"
#include "config/config.h"
#include "proxy/worker.h"

struct sockets {
	struct list all; /* struct listening */
	unsigned workers;
};

void sockets_init(struct sockets *s, unsigned workers);
/* Closes all. */
void sockets_done(struct sockets *s);

/* Takes listening sockets that this process has been given; before the first configuration.  They are another's as well,
 * who removes files, until sockets_settle().  0 or -ENOMEM. */
int sockets_adopt(struct sockets *s, const struct addr *addr, const int *fds, unsigned count, bool is_lent);
/* One of systemd's, who keeps it: of an address that may have several. */
int sockets_borrow(struct sockets *s, const struct addr *addr, int fd);
/* The one before has gone its way: all sockets are this process's. */
void sockets_settle(struct sockets *s);

/* Whether what the configuration names and is not there yet could be opened, as far as asking tells.  As sockets_open(). */
bool sockets_probe(struct sockets *s, const struct config *c, struct config_errors *errors);

/* Opens what the configuration names and is not there yet.  false: one could not be opened; each that could not is told
 * as "ADDRESS: why", and all is as before. */
bool sockets_open(struct sockets *s, const struct config *c, struct config_errors *errors);

/* Closes what the configuration (NULL: none) does not name, and removes the files of UNIX sockets. */
void sockets_keep(struct sockets *s, const struct config *c);

/* What one worker listens on under this configuration, whose sockets are open; how many they are.  `out` NULL: only
 * counts. */
size_t sockets_of(const struct sockets *s, const struct config *c, unsigned worker, struct worker_socket *out);

/* Each address with its descriptors. */
typedef void sockets_visit_fn(void *user, const struct addr *addr, const int *fds, unsigned count, bool is_lent);
void sockets_each(const struct sockets *s, sockets_visit_fn *visit, void *user);
/* Another process accepts from these, and removes files when their time has come. */
void sockets_hand_over(struct sockets *s, const int *fds, size_t count);

#endif
