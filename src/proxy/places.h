/* How many clients the whole process may have at once, and who waits for one to leave.
 *
 * Taken before a connection is accepted, so that further clients wait in the kernel's queue.  A worker that finds no place
 * is told by mail when one is free.
 * Called by: proxy/listener (takes), proxy/worker (gives). */
#ifndef PROXY_PLACES_H
#define PROXY_PLACES_H

#include <stdatomic.h>
#include <stdbool.h>

struct worker;

struct places {
	atomic_uint used;
	atomic_uint waiting; /* workers that want to be told */
	atomic_uint max;     /* 0: no limit; changes with the configuration */
};

/* A place for one client.  false: there is none, and the worker's listeners will be asked to go on when there is. */
bool place_take(struct worker *w);
void place_give(struct worker *w);
/* The limit has changed: whoever waits looks again. */
void places_wake(struct worker *from);

#endif
