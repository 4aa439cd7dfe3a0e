/* What a worker says of itself when asked: a copy of its gauges, made in its own thread.
 *
 * Called by: control/gather, by mail. */
#ifndef PROXY_WORKER_REPORT_H
#define PROXY_WORKER_REPORT_H

#include "proxy/worker.h"

#define REPORT_NAME_MAX 64

struct report_listener {
	char name[REPORT_NAME_MAX]; /* cut */
	uint32_t clients;	    /* of every kind */
	uint32_t websockets;	    /* of these */
	bool is_tcp;
};

struct worker_report {
	uint32_t connections;
	uint32_t websockets, tcp;
	uint64_t turns, completions, cq_overflows, sq_full, buffers_starved;
	uint64_t buffers, buffers_taken; /* receive buffers, and those in use */
	uint64_t buffer_bytes;
	uint64_t slab_bytes;
	uint64_t queued_bytes; /* that wait to leave, on all sockets */
	struct report_listener *listeners; /* on the heap, gives (free); NULL: none, or memory is out */
	uint32_t listeners_count;
};

/* In the worker's thread. */
void worker_report_make(const struct worker *w, struct worker_report *out);

#endif
