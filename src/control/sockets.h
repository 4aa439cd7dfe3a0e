/* Listening sockets, by address: opened once, and kept as long as a configuration names them.
 *
 * TCP has one socket for each worker (SO_REUSEPORT: the kernel spreads connections), UNIX has one that all share.  A
 * change opens what is new before anything else happens, all of it or nothing, and closes what is left over only when
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

/* Whether what the configuration names and is not there yet could be opened, as far as asking tells.  As sockets_open(). */
bool sockets_probe(struct sockets *s, const struct config *c, struct config_errors *errors);

/* Opens what the configuration names and is not there yet.  false: one could not be opened; each that could not is told
 * as "ADDRESS: why", and all is as before. */
bool sockets_open(struct sockets *s, const struct config *c, struct config_errors *errors);

/* Closes what the configuration (NULL: none) does not name, and removes the files of UNIX sockets. */
void sockets_keep(struct sockets *s, const struct config *c);

/* How many sockets_of() has for each worker. */
size_t sockets_count(const struct config *c);
/* Fills in what one worker listens on under this configuration, whose sockets are open: sockets_count() of them. */
void sockets_of(const struct sockets *s, const struct config *c, unsigned worker, struct worker_socket *out);

#endif
