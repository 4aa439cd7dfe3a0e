/* A worker's listening socket: accepts, asks for the PROXY header and TLS, and hands the client on.
 *
 * Polls the socket and accepts by system call, a bounded number a turn: that gives the peer's address with the connection,
 * takes no client for whom there is no place (limits.max_connections), and where descriptors run out leaves the rest in
 * the kernel's queue and pauses.
 * Called by: proxy/worker. */
#ifndef PROXY_LISTENER_H
#define PROXY_LISTENER_H

#include "proxy/view.h"
#include "proxy/worker.h"

struct listener {
	struct list link; /* of worker.listeners, while it listens */
	struct owner owner;
	struct op poll_op;
	struct timer retry;
	struct worker *worker;
	struct view *view; /* whose configuration it goes by: the one in force, or the last one that knew it */
	const struct listener_config *config;
	size_t index; /* in that configuration */
	struct addr addr;
	int fd;
	struct place_group *group; /* of all listeners of its name; NULL: memory was out */
	uint64_t refused;	   /* since the log last told of one */
	uint64_t refused_told_ms;
	uint32_t clients; /* connections that came in here and still live: they hold the listener */
	uint32_t websockets; /* of these */
	bool is_polling;
	bool is_full; /* no place, or no descriptor: waits to be told, or for its timer */
	bool is_handed; /* another process accepts from this very socket */
	bool has_left;
};

/* Begins to listen; fd stays control's.  NULL: memory is out. */
struct listener *listener_new(struct worker *w, const struct worker_socket *socket);
/* Another configuration of the same address. */
void listener_rebind(struct listener *l, const struct worker_socket *socket);
/* Takes what the queue holds (is_handed: leaves it there), then listens no more; goes with its last client. */
void listener_leave(struct listener *l);
/* There may be places again. */
void listeners_resume(struct worker *w);

/* A client of this listener has gone, whatever it was: gives its place back, and lets the listener go. */
void listener_client_gone(struct listener *l);

/* A client was refused before anything was spent on it: counted, and told of in the log now and then. */
void listener_refused(struct listener *l, const struct addr *peer, enum reason why);
/* May this client stay?  `guest` (0: none) is for stream_set_guest(). */
enum reason listener_admit(struct listener *l, const struct addr *peer, uint64_t *guest);

static inline struct tls_context *listener_tls(const struct listener *l)
{
	return l->view->snapshot->listener_tls[l->index];
}

#endif
