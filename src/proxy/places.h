/* How many clients the whole process may have at once, and who waits for one to leave.
 *
 * Taken before a connection is accepted, so that further clients wait in the kernel's queue.  A worker that finds no place
 * is told by mail when one is free.
 * Called by: proxy/listener (takes), proxy/worker (gives). */
#ifndef PROXY_PLACES_H
#define PROXY_PLACES_H

#include "base/list.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct worker;

struct places {
	atomic_uint used;
	atomic_uint waiting; /* workers that want to be told */
	atomic_uint max;     /* 0: no limit; changes with the configuration */
	pthread_mutex_t lock; /* of groups: when listeners come and go */
	struct list groups;
};

/* The clients of the listeners of one name, over all workers. */
struct place_group {
	struct list link;
	char *name;
	unsigned refs;
	atomic_uint used;
};

void places_init(struct places *p);
void places_done(struct places *p); /* no group is left */

/* The group of the name, made where there is none; a reference.  NULL: memory is out. */
struct place_group *place_group_ref(struct places *p, const char *name);
void place_group_unref(struct places *p, struct place_group *g); /* accepts NULL */
/* A place in a group of at most so many; 0: no limit. */
bool place_group_take(struct place_group *g, unsigned max);
void place_group_give(struct place_group *g, unsigned count);

/* A place for one client.  false: there is none, and the worker's listeners will be asked to go on when there is. */
bool place_take(struct worker *w);
void place_give(struct worker *w);
/* The limit has changed: whoever waits looks again. */
void places_wake(struct worker *from);

#endif
