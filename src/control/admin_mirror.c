#include "control/admin_mirror.h"

#include "base/log.h"
#include "control/admin_job.h"
#include "control/control.h"
#include "proxy/connections.h"
#include "proxy/ws_mirror.h"

#include <stdio.h>
#include <stdlib.h>

struct mirror {
	struct admin_job job;
	struct ws_mirror frames;
	struct mail errand;    /* the beginning, then what ends it from here */
	struct mail lines_mail, over_mail; /* from the worker */
	atomic_bool lines_posted;
	struct worker *worker;
	uint32_t place, serial;
	struct admin_client *client;
	bool is_found;
	bool has_begun;	  /* the worker has answered */
	bool is_over;	  /* the connection has ended */
	bool is_stopping; /* the worker is asked to let go */
};

static void mirror_free(struct admin_job *job)
{
	free(container_of(job, struct mirror, job));
}

static struct control *control_of(const struct mirror *m)
{
	return m->job.admin->control;
}

/* ---- in the worker's thread ---- */

static void frames_notify(struct ws_mirror *frames, bool is_over)
{
	struct mirror *m = container_of(frames, struct mirror, frames);

	if (is_over)
		ring_post(&m->worker->ring, &control_of(m)->ring, &m->over_mail);
	else if (!atomic_exchange(&m->lines_posted, true))
		ring_post(&m->worker->ring, &control_of(m)->ring, &m->lines_mail);
}

static void begin_back(struct mail *mail);
static void stop_back(struct mail *mail);

static void begin_there(struct mail *mail)
{
	struct mirror *m = container_of(mail, struct mirror, errand);
	struct connection *c = connections_find(&m->worker->open, m->place, m->serial);

	m->is_found = c != NULL && c->face->mirror != NULL && c->face->mirror(c->object, &m->frames);
	m->errand.run = begin_back;
	ring_post(&m->worker->ring, &control_of(m)->ring, &m->errand);
}

static void stop_there(struct mail *mail)
{
	struct mirror *m = container_of(mail, struct mirror, errand);

	ws_mirror_detach(&m->frames);
	m->errand.run = stop_back;
	ring_post(&m->worker->ring, &control_of(m)->ring, &m->errand);
}

/* ---- in control's ---- */

static void mirror_end(struct mirror *m)
{
	struct admin_client *c = m->client;

	c->resume = NULL;
	c->user = NULL;
	if (m->is_found)
		log_info("mirror of connection %u-%u-%u ends: %llu frames were left out", m->worker->index, m->place, m->serial,
			 (unsigned long long)m->frames.dropped);
	admin_job_end(&m->job);
	admin_end(c);
}

/* Everything that the peer takes; false: there is more. */
static bool lines_write(struct mirror *m)
{
	char text[4096];
	size_t len;

	while (!admin_is_gone(m->client) && !admin_is_full(m->client)) {
		len = ws_mirror_take(&m->frames, text, sizeof(text));
		if (len == 0)
			return true;
		admin_write(m->client, text, len);
	}
	return admin_is_gone(m->client);
}

/* What there is to do: lines, the end of the connection, the end of who asked. */
static void mirror_look(struct mirror *m)
{
	if (!m->has_begun || m->is_stopping)
		return;
	if (m->is_over) {
		if (lines_write(m))
			mirror_end(m);
	} else if (admin_is_gone(m->client)) {
		m->is_stopping = true;
		m->errand.run = stop_there;
		ring_post(&control_of(m)->ring, &m->worker->ring, &m->errand);
	} else {
		lines_write(m);
	}
}

static void on_lines(struct mail *mail)
{
	struct mirror *m = container_of(mail, struct mirror, lines_mail);

	atomic_store(&m->lines_posted, false); /* before the look */
	mirror_look(m);
}

static void on_over(struct mail *mail)
{
	struct mirror *m = container_of(mail, struct mirror, over_mail);

	m->is_over = true;
	mirror_look(m);
}

static void stop_back(struct mail *mail)
{
	mirror_end(container_of(mail, struct mirror, errand)); /* behind all that the worker had to say */
}

static void begin_back(struct mail *mail)
{
	struct mirror *m = container_of(mail, struct mirror, errand);
	struct admin_client *c = m->client;

	if (!m->is_found) {
		c->resume = NULL;
		c->user = NULL;
		admin_job_end(&m->job);
		admin_problem(c, 404, "there is no WebSocket %.40s that can be mirrored", c->args[0]);
		return;
	}
	m->has_begun = true;
	log_info("mirror of connection %u-%u-%u begins: up to %u bytes of each frame", m->worker->index, m->place, m->serial,
		 m->frames.payload_max);
	admin_begin(c, 200, "application/x-ndjson");
	mirror_look(m);
}

static void on_resume(struct admin_client *c)
{
	mirror_look(c->user);
}

/* ---- the request ---- */

/* false: it was refused. */
static bool payload_read(struct admin_client *c, uint32_t *out)
{
	char text[24], *end;
	unsigned long value;

	*out = 64;
	if (!admin_param(c, "bytes", text, sizeof(text)))
		return true;
	value = strtoul(text, &end, 10);
	if (end == text || *end != '\0' || value > WS_MIRROR_PAYLOAD_MAX) {
		admin_problem(c, 400, "bytes: 0 to %u of each payload can be shown", WS_MIRROR_PAYLOAD_MAX);
		return false;
	}
	*out = (uint32_t)value;
	return true;
}

void admin_mirror(struct admin_client *c)
{
	struct control *control = admin_control(c);
	const struct config *config = control->snapshot->config;
	unsigned worker, place, serial;
	uint32_t payload_max;
	int used = 0;
	struct mirror *m;

	if (config->admin == NULL || !config->admin->mirror) {
		admin_problem(c, 403, "admin.mirror is off: payloads are the users'");
		return;
	}
	if (!payload_read(c, &payload_max))
		return;
	if (sscanf(c->args[0], "%u-%u-%u%n", &worker, &place, &serial, &used) != 3 || c->args[0][used] != '\0' ||
	    worker >= control->crew.count || place == CONNECTION_NONE) {
		admin_problem(c, 404, "there is no connection %.40s", c->args[0]);
		return;
	}
	m = admin_can_ask(c->admin) ? calloc(1, sizeof(*m)) : NULL;
	if (m == NULL) {
		admin_problem(c, 503, "no memory, or the process is about to end");
		return;
	}
	c->keep_alive = false;
	c->is_endless = true;
	duplex_read(c->d, true);
	admin_job_begin(&m->job, c->admin, mirror_free);
	m->frames.notify = frames_notify;
	m->frames.payload_max = payload_max;
	m->errand.run = begin_there;
	m->lines_mail.run = on_lines;
	m->over_mail.run = on_over;
	m->worker = &control->crew.workers[worker];
	m->place = place;
	m->serial = serial;
	m->client = c;
	c->user = m;
	c->resume = on_resume;
	ring_post(&control->ring, &m->worker->ring, &m->errand);
}
