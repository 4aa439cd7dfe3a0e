/* A report of every worker at once: what /status and /metrics are made of.
 *
 * Called by: control/admin_status, control/metrics, control/admin_text. */
#ifndef CONTROL_GATHER_H
#define CONTROL_GATHER_H

#include "control/admin_job.h"
#include "proxy/worker_report.h"

struct gather;

struct gather_part {
	struct mail mail;
	struct gather *gather;
	struct worker *worker;
	struct worker_report report;
};

struct gather {
	struct admin_job job;
	struct admin_client *client;
	void (*done)(struct admin_client *, const struct gather *);
	unsigned waiting;
	unsigned count;
	struct gather_part parts[]; /* one a worker */
};

/* Asks all workers; then `done` answers the client.  Where nobody can be asked, the client is refused. */
void gather_start(struct admin_client *client, void (*done)(struct admin_client *, const struct gather *));

/* Over all workers; `listeners` are joined by name into `out` (at most cap), whose count is returned. */
void gather_sum(const struct gather *g, struct worker_report *sum);
uint32_t gather_listeners(const struct gather *g, struct report_listener *out, uint32_t cap);

#endif
