#include "control/shutdown.h"

#include "base/log.h"
#include "control/control.h"

#include <assert.h>
#include <stdio.h>
#include <unistd.h>

/* Workers end their grace themselves: this is for one that does not. */
#define GRACE_MORE_MS 2000u
/* To close what is left, which takes a worker no more than seconds. */
#define STOP_MAX_MS 30000u

static void on_deadline(struct timer *t)
{
	struct shutdown *s = container_of(t, struct shutdown, deadline);

	if (s->state == SHUTDOWN_DRAINING) {
		log_info("shutdown: the grace is over");
		shutdown_now(s->control);
		return;
	}
	log_error("shutdown: %u of %u workers do not end: giving up on them",
		  s->control->crew.threads - s->control->crew.ended, s->control->crew.threads);
	log_stop();
	_exit(1);
}

void shutdown_init(struct shutdown *s, struct control *c)
{
	*s = (struct shutdown){ .control = c };
	timer_init(&s->deadline, on_deadline);
}

/* ---- gently ---- */

static void drain_there(struct crew_member *m)
{
	worker_drain(m->worker, &m->leave);
}

static void drain_back(struct crew_member *m)
{
	struct control *c = m->control;

	assert(c->shutdown.letting > 0);
	if (--c->shutdown.letting > 0)
		return;
	sockets_keep(&c->sockets, NULL);
	if (c->shutdown.is_hurried && c->shutdown.how.why == REASON_UPGRADED) {
		c->shutdown.how.why = REASON_SHUTDOWN; /* once */
		c->shutdown.is_hurried = false;
		shutdown_gracefully(c);
	}
}

static void empty_back(struct crew_member *m)
{
	struct control *c = m->control;

	if (++c->shutdown.empty == c->crew.count && c->shutdown.state == SHUTDOWN_DRAINING) {
		log_info("shutdown: the last connection has gone");
		shutdown_now(c);
	}
}

/* In the worker's thread. */
static void on_empty(struct worker *w, void *user)
{
	struct crew_member *m = user;

	(void)w;
	if (m->is_empty_told)
		return;
	m->is_empty_told = true;
	errand_tell(&m->empty, m, empty_back);
}

void shutdown_watch(struct crew_member *m)
{
	m->worker->on_empty = on_empty;
	m->worker->on_empty_user = m;
}

static void grace_print(const struct worker_leave *how, char out[32])
{
	if (how->is_endless)
		snprintf(out, 32, "all the time they want");
	else
		snprintf(out, 32, "%llu.%03llu s", (unsigned long long)how->grace_ms / 1000,
			 (unsigned long long)how->grace_ms % 1000);
}

static void drain(struct control *c, const struct worker_leave *how)
{
	struct shutdown *s = &c->shutdown;
	char grace[32];

	grace_print(how, grace);
	log_info("shutdown: accepting no more; open connections have %s", grace);
	s->state = SHUTDOWN_DRAINING;
	s->letting = c->crew.count;
	for (unsigned i = 0; i < c->crew.count; i++) {
		struct crew_member *m = &c->crew.members[i];

		m->leave = *how;
		errand_send(&m->drain, m, drain_there, drain_back);
	}
	if (how->is_endless)
		timer_cancel(&s->deadline);
	else
		ring_timer_arm(&c->ring, &s->deadline, how->grace_ms + GRACE_MORE_MS);
}

void shutdown_gracefully(struct control *c)
{
	struct shutdown *s = &c->shutdown;
	const struct worker_leave how = { .why = REASON_SHUTDOWN,
					  .grace_ms = c->snapshot->config->shutdown.grace_ms,
					  .handed = s->how.handed,
					  .handed_count = s->how.handed_count };

	if (s->state == SHUTDOWN_NOT) {
		notify_stopping(&c->notify);
		upgrade_give_up(c);
		drain(c, &how);
	} else if (s->is_over_taken && s->state == SHUTDOWN_DRAINING && !s->is_hurried) {
		s->is_hurried = true;
		if (s->letting == 0)
			drain(c, &how);
	}
}

void shutdown_handed_over(struct control *c)
{
	uint64_t drain_ms = c->snapshot->config->upgrade.drain_ms;

	c->shutdown.is_over_taken = true;
	c->shutdown.how = (struct worker_leave){ .why = REASON_UPGRADED,
						 .grace_ms = drain_ms,
						 .is_endless = drain_ms == 0,
						 .is_served = true,
						 .handed = c->upgrade.handed,
						 .handed_count = c->upgrade.handed_count };
	drain(c, &c->shutdown.how);
}

/* ---- at once ---- */

static void stop_there(struct crew_member *m)
{
	worker_stop(m->worker);
}

void shutdown_now(struct control *c)
{
	if (c->shutdown.state == SHUTDOWN_STOPPING)
		return;
	if (c->shutdown.state == SHUTDOWN_NOT) {
		notify_stopping(&c->notify);
		upgrade_give_up(c);
	}
	c->shutdown.state = SHUTDOWN_STOPPING;
	log_info("shutdown: stopping");
	for (unsigned i = 0; i < c->crew.threads; i++)
		errand_send(&c->crew.members[i].stop, &c->crew.members[i], stop_there, NULL);
	ring_timer_arm(&c->ring, &c->shutdown.deadline, STOP_MAX_MS);
	shutdown_worker_ended(c); /* where there is none to wait for */
}

void shutdown_worker_ended(struct control *c)
{
	if (c->shutdown.state != SHUTDOWN_STOPPING && c->crew.ended > 0) {
		log_error("a worker has ended by itself: the process cannot go on");
		c->shutdown.has_failed = true;
		shutdown_now(c);
	}
	if (c->shutdown.state == SHUTDOWN_STOPPING && c->crew.ended == c->crew.threads && !c->ring.is_stopping) {
		monitor_stop(&c->monitor, &c->ring);
		ring_stop(&c->ring);
	}
}
