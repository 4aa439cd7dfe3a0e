/* A worker's hold on a snapshot: counted without atomics by the requests of that worker that go by it. */
#ifndef PROXY_VIEW_H
#define PROXY_VIEW_H

#include "proxy/snapshot.h"

struct view {
	struct snapshot *snapshot; /* a reference */
	uint32_t refs;
};

/* Takes the snapshot's reference, on failure too.  NULL: memory is out. */
struct view *view_new(struct snapshot *s);
void view_unref(struct view *v); /* accepts NULL */

static inline struct view *view_ref(struct view *v)
{
	v->refs++;
	return v;
}

#endif
