/* What the admin asks of workers: one errand after another, or one to each, by mail.
 *
 * A job is on admin.jobs until it is over, so that the end of the process can free what no worker will answer any more.
 * Called by: control/gather, control/admin_connections. */
#ifndef CONTROL_ADMIN_JOB_H
#define CONTROL_ADMIN_JOB_H

#include "control/admin_client.h"
#include "control/crew.h"

struct admin_job {
	struct list link; /* of admin.jobs */
	struct admin *admin;
	void (*free)(struct admin_job *);
};

void admin_job_begin(struct admin_job *j, struct admin *a, void (*free)(struct admin_job *));
/* Over: frees. */
void admin_job_end(struct admin_job *j);
/* All that are left; threads have ended. */
void admin_jobs_drop(struct admin *a);

/* Are there workers that answer? */
bool admin_can_ask(const struct admin *a);

#endif
