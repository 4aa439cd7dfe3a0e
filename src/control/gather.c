#include "control/gather.h"

#include "control/control.h"

#include <stdlib.h>
#include <string.h>

static void gather_free(struct admin_job *job)
{
	struct gather *g = container_of(job, struct gather, job);

	for (unsigned i = 0; i < g->count; i++)
		free(g->parts[i].report.listeners);
	free(g);
}

static void part_back(struct mail *mail)
{
	struct gather_part *p = container_of(mail, struct gather_part, mail);
	struct gather *g = p->gather;

	if (--g->waiting > 0)
		return;
	g->done(g->client, g);
	admin_job_end(&g->job);
}

/* In the worker's thread. */
static void part_there(struct mail *mail)
{
	struct gather_part *p = container_of(mail, struct gather_part, mail);

	worker_report_make(p->worker, &p->report);
	p->mail.run = part_back;
	ring_post(&p->worker->ring, &p->gather->job.admin->control->ring, &p->mail);
}

void gather_start(struct admin_client *client, void (*done)(struct admin_client *, const struct gather *))
{
	struct control *c = admin_control(client);
	unsigned count = c->crew.count;
	struct gather *g;

	if (!admin_can_ask(client->admin)) {
		admin_problem(client, 503, "the process is about to end");
		return;
	}
	g = calloc(1, sizeof(*g) + count * sizeof(g->parts[0]));
	if (g == NULL) {
		admin_problem(client, 503, "memory is exhausted");
		return;
	}
	admin_job_begin(&g->job, client->admin, gather_free);
	g->client = client;
	g->done = done;
	g->waiting = g->count = count;
	for (unsigned i = 0; i < count; i++) {
		g->parts[i] = (struct gather_part){ .mail.run = part_there, .gather = g, .worker = &c->crew.workers[i] };
		ring_post(&c->ring, &c->crew.workers[i].ring, &g->parts[i].mail);
	}
}

void gather_sum(const struct gather *g, struct worker_report *sum)
{
	*sum = (struct worker_report){ 0 };
	for (unsigned i = 0; i < g->count; i++) {
		const struct worker_report *r = &g->parts[i].report;

		sum->connections += r->connections;
		sum->websockets += r->websockets;
		sum->tcp += r->tcp;
		sum->turns += r->turns;
		sum->completions += r->completions;
		sum->cq_overflows += r->cq_overflows;
		sum->sq_full += r->sq_full;
		sum->buffers_starved += r->buffers_starved;
		sum->buffers += r->buffers;
		sum->buffers_taken += r->buffers_taken;
		sum->queued_bytes += r->queued_bytes;
		sum->buffer_bytes += r->buffer_bytes;
		sum->slab_bytes += r->slab_bytes;
	}
}

static struct report_listener *listener_of(struct report_listener *all, uint32_t *count, uint32_t cap, const char *name)
{
	for (uint32_t i = 0; i < *count; i++)
		if (strcmp(all[i].name, name) == 0)
			return &all[i];
	if (*count == cap)
		return NULL;
	memcpy(all[*count].name, name, REPORT_NAME_MAX);
	return &all[(*count)++];
}

uint32_t gather_listeners(const struct gather *g, struct report_listener *out, uint32_t cap)
{
	uint32_t count = 0;

	memset(out, 0, cap * sizeof(*out));
	for (unsigned i = 0; i < g->count; i++) {
		const struct worker_report *r = &g->parts[i].report;

		for (uint32_t j = 0; j < r->listeners_count; j++) {
			struct report_listener *l = listener_of(out, &count, cap, r->listeners[j].name);

			if (l == NULL)
				continue;
			l->clients += r->listeners[j].clients;
			l->websockets += r->listeners[j].websockets;
			l->is_tcp = r->listeners[j].is_tcp;
		}
	}
	return count;
}
