#include "control/admin_job.h"

#include "control/control.h"

void admin_job_begin(struct admin_job *j, struct admin *a, void (*free)(struct admin_job *))
{
	j->admin = a;
	j->free = free;
	list_append(&a->jobs, &j->link);
}

void admin_job_end(struct admin_job *j)
{
	list_remove(&j->link);
	j->free(j);
}

void admin_jobs_drop(struct admin *a)
{
	list_for_each_safe(node, next, &a->jobs)
		admin_job_end(container_of(node, struct admin_job, link));
}

bool admin_can_ask(const struct admin *a)
{
	return !a->is_stopping && a->control->shutdown.state != SHUTDOWN_STOPPING && a->control->crew.ended == 0;
}
