/* The demo's three servers: where they listen, who is connected, their ring and thread.
 *
 * Called by: demo. */
#ifndef DEMO_SERVERS_H
#define DEMO_SERVERS_H

#include "base/addr.h"
#include "demo/chat.h"
#include "net/ring.h"

#define SERVERS_COUNT	 3
#define SERVERS_VISITORS 600u /* all three together; further ones are turned away */

struct server {
	struct servers *servers;
	const char *name;
	struct addr addr;
	char address[ADDR_TEXT_MAX];
	int fd;
	struct op poll_op;
	struct timer retry;
	unsigned people; /* in the chat */
};

struct servers {
	struct ring ring;
	bool has_ring;
	bool has_thread;
	pthread_t thread;
	struct server at[SERVERS_COUNT];
	struct list visitors;
	unsigned visitors_count;
	struct chat chat;
	int stop_fd; /* eventfd */
	uint64_t stop_more;
	struct op stop_op;
	struct timer wake; /* while it ends */
};

/* Listens on three loopback ports and makes the ring.  0 or a negative errno; servers_done() in any case. */
int servers_init(struct servers *s);
/* Starts the thread.  0 or a negative errno. */
int servers_start(struct servers *s);
/* Ends the thread, closes all. */
void servers_done(struct servers *s);

#endif
