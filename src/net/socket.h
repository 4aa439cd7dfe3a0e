/* Sockets of the kernel: made, bound, accepted, named.  Plain descriptors; what is done with them afterwards is
 * net/stream's.
 *
 * Called by: net/stream, proxy/listener, control (listening sockets), demo.  No call blocks. */
#ifndef NET_SOCKET_H
#define NET_SOCKET_H

#include "base/addr.h"

#include <stdbool.h>

/* Bound and listening.  Nonblocking, close-on-exec, SO_REUSEADDR; TCP_NODELAY, which accepted ones inherit.  `shared`
 * sets SO_REUSEPORT, so that each worker can have one of its own (not for UNIX).  The file of a UNIX socket that nobody
 * listens on any more is removed first.  The descriptor, or a negative errno. */
int socket_listen(const struct addr *a, bool shared);

/* The file of a UNIX listener, when it is left; nothing for others. */
void socket_unlink(const struct addr *a);

/* One connection out of a listener's queue, blocking mode as io_uring wants it, close-on-exec.  `peer` (mapped IPv4 as
 * IPv4; len 0 for an unnamed UNIX peer) may be NULL.  The descriptor, or a negative errno; -EAGAIN: the queue is empty. */
int socket_accept(int listener, struct addr *peer);

/* A socket to connect from: TCP_NODELAY where the family knows it; bound to `from` (port 0) with
 * IP_BIND_ADDRESS_NO_PORT unless that is NULL.  The descriptor, or a negative errno. */
int socket_new(const struct addr *to, const struct addr *from);

/* The descriptor's own address (mapped IPv4 as IPv4); len 0 when there is none. */
void socket_local(int fd, struct addr *out);

bool socket_is_unix(int fd);

/* The close to come sends a reset, and forgets what is unsent. */
void socket_reset_on_close(int fd);

#endif
