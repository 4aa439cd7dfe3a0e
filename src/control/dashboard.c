#include "control/dashboard.h"

#include "control/admin_commands.h"
#include "control/control.h"
#include "control/gather.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define EVERY_MS 1000u

/* ---- the page ---- */

/* The assembler reads the file (DASHBOARD_FILE is its path, from the Makefile), as demo/page does. */
__asm__(".section .rodata\n"
	".balign 16\n"
	".global dashboard_html\n"
	".hidden dashboard_html\n"
	"dashboard_html:\n"
	".incbin \"" DASHBOARD_FILE "\"\n"
	".global dashboard_html_end\n"
	".hidden dashboard_html_end\n"
	"dashboard_html_end:\n"
	".byte 0\n"
	".text\n");

extern const char dashboard_html[], dashboard_html_end[];

void dashboard_page(struct admin_client *c)
{
	admin_answer(c, 200, "text/html; charset=utf-8", dashboard_html,
		     (size_t)((uintptr_t)dashboard_html_end - (uintptr_t)dashboard_html));
}

/* ---- its events ---- */

/* One page that listens; a job, so that the end of the process frees it. */
struct events {
	struct admin_job job;
	struct admin_client *client;
	struct timer timer;
	bool is_asking; /* workers have been asked */
};

static void events_free(struct admin_job *job)
{
	struct events *e = container_of(job, struct events, job);

	timer_cancel(&e->timer);
	free(e);
}

static void events_over(struct events *e)
{
	struct admin_client *c = e->client;

	admin_job_end(&e->job);
	admin_end(c);
}

static void event_write(struct admin_client *c, json_t *event)
{
	char *text = event != NULL ? json_dumps(event, JSON_COMPACT) : NULL;

	json_decref(event);
	if (text == NULL)
		return; /* the next one may find memory */
	admin_write(c, "data: ", 6);
	admin_write(c, text, strlen(text));
	admin_write(c, "\n\n", 2);
	free(text);
}

static void on_gathered(struct admin_client *c, const struct gather *g)
{
	struct events *e = c->user;

	e->is_asking = false;
	if (admin_is_gone(c)) {
		events_over(e);
		return;
	}
	if (!admin_is_full(c)) /* who reads slowly sees fewer of them */
		event_write(c, json_pack("{s:o, s:o}", "status", admin_status_json(c, g), "clusters", admin_clusters_json(c)));
	ring_timer_arm(&admin_control(c)->ring, &e->timer, EVERY_MS);
}

static void on_timer(struct timer *t)
{
	struct events *e = container_of(t, struct events, timer);

	if (!admin_can_ask(e->job.admin)) {
		events_over(e);
		return;
	}
	e->is_asking = true;
	gather_start(e->client, on_gathered);
}

/* The peer takes more again, or is gone. */
static void on_resume(struct admin_client *c)
{
	struct events *e = c->user;

	if (admin_is_gone(c) && !e->is_asking)
		events_over(e);
}

void dashboard_events(struct admin_client *c)
{
	struct events *e = admin_can_ask(c->admin) ? calloc(1, sizeof(*e)) : NULL;

	if (e == NULL) {
		admin_problem(c, 503, "not now");
		return;
	}
	admin_job_begin(&e->job, c->admin, events_free);
	e->client = c;
	timer_init(&e->timer, on_timer);
	c->user = e;
	c->resume = on_resume;
	c->keep_alive = false;
	admin_begin(c, 200, "text/event-stream");
	on_timer(&e->timer);
}
