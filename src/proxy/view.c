#include "proxy/view.h"

#include <stdlib.h>

struct view *view_new(struct snapshot *s)
{
	struct view *v = malloc(sizeof(*v));

	if (v == NULL) {
		snapshot_unref(s);
		return NULL;
	}
	*v = (struct view){ s, 1 };
	return v;
}

void view_unref(struct view *v)
{
	if (v == NULL || --v->refs > 0)
		return;
	snapshot_unref(v->snapshot);
	free(v);
}
