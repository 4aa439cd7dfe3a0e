#include "proxy/worker_report.h"

#include "proxy/listener.h"

#include <stdio.h>
#include <stdlib.h>

static void report_listeners(const struct worker *w, struct worker_report *out)
{
	uint32_t count = 0;

	list_for_each(node, &w->listeners)
		count++;
	if (count > 0)
		out->listeners = calloc(count, sizeof(*out->listeners));
	if (out->listeners == NULL)
		return;
	list_for_each(node, &w->listeners) {
		const struct listener *l = container_of(node, struct listener, link);
		struct report_listener *r = &out->listeners[out->listeners_count++];

		snprintf(r->name, sizeof(r->name), "%s", l->config->name);
		r->clients = l->clients;
		r->websockets = l->websockets;
		r->is_tcp = l->config->protocol == LISTENER_TCP;
		out->websockets += l->websockets;
		out->tcp += r->is_tcp ? l->clients : 0;
	}
}

void worker_report_make(const struct worker *w, struct worker_report *out)
{
	const struct ring *r = &w->ring;

	*out = (struct worker_report){
		.connections = w->connections,
		.turns = r->stats.turns,
		.completions = r->stats.completions,
		.cq_overflows = r->stats.cq_overflows,
		.sq_full = r->stats.sq_full,
		.buffers_starved = r->stats.buffers_starved,
		.buffers = r->small.provided + r->large.provided,
		.queued_bytes = r->stats.queued_bytes,
		.buffers_taken = r->small.taken + r->large.taken,
		.buffer_bytes = (uint64_t)r->small.provided * r->small.size + (uint64_t)r->large.provided * r->large.size,
		.slab_bytes = slab_bytes(&w->arrival_slab) + slab_bytes(&w->h1_slab) + slab_bytes(&w->exchange_slab) +
			      slab_bytes(&w->forward_slab) + slab_bytes(&w->relay_slab) + slab_bytes(&w->tcp_slab) +
			      slab_bytes(&r->streams),
	};
	report_listeners(w, out);
}
