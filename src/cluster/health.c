#include "cluster/health.h"

#include "base/log.h"
#include "base/random.h"
#include "cluster/fitness.h"
#include "cluster/leaving.h"
#include "cluster/probe.h"
#include "net/stream.h"
#include "wire/proxy_protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Checks that begin together are spread over so much. */
#define FIRST_SPREAD_MS 200u

struct check {
	struct monitor *monitor;
	struct endpoint *endpoint;	     /* a reference; the map's key */
	const struct cluster_config *config; /* of the order in force; `health` is there */
	const struct endpoint_config *member;
	struct tls_context *tls;
	struct timer timer; /* the next probe's begin, or the deadline of the one that runs */
	struct duplex *d;
	struct probe *probe; /* while one runs */
	uint32_t good, bad;  /* in a row */
	bool is_named;	     /* by the order in force */
	bool is_open;
};

static const struct health_config *config_of(const struct check *c)
{
	return c->config->health;
}

/* ---- states ---- */

static bool is_changing(const struct check *c)
{
	enum endpoint_health health = c->endpoint->fitness.health; /* nobody else changes it */

	return (health == ENDPOINT_DOWN && c->good > 0) || (health == ENDPOINT_UP && c->bad > 0);
}

static void arm_next(struct check *c)
{
	const struct health_config *h = config_of(c);
	uint64_t wait_ms = h->interval_ms;

	if (is_changing(c) && h->fast_interval_ms < wait_ms)
		wait_ms = h->fast_interval_ms;
	ring_timer_arm(&c->monitor->ring, &c->timer, random_jitter(wait_ms, (uint32_t)h->jitter_percent));
}

static void count_good(struct check *c, const char *why)
{
	enum endpoint_health health = c->endpoint->fitness.health;

	c->bad = 0;
	if (c->good < UINT32_MAX)
		c->good++;
	if (health == ENDPOINT_UNCHECKED || (health == ENDPOINT_DOWN && c->good >= config_of(c)->healthy))
		endpoint_set_health(c->endpoint, ENDPOINT_UP, why);
}

static void count_bad(struct check *c, const char *why)
{
	enum endpoint_health health = c->endpoint->fitness.health;

	c->good = 0;
	if (c->bad < UINT32_MAX)
		c->bad++;
	if (health == ENDPOINT_UNCHECKED || (health == ENDPOINT_UP && c->bad >= config_of(c)->unhealthy))
		endpoint_set_health(c->endpoint, ENDPOINT_DOWN, why);
}

/* The probe is over; `cut` ends the connection without ceremony. */
static void probe_end(struct check *c, bool is_cut)
{
	if (c->d != NULL && is_cut)
		duplex_close(c->d, REASON_INTERNAL);
	else if (c->d != NULL)
		duplex_finish(c->d);
	c->d = NULL;
	if (c->probe != NULL)
		probe_done(c->probe);
	free(c->probe);
	c->probe = NULL;
}

static void verdict(struct check *c, bool is_good, const char *text)
{
	enum endpoint_health before = c->endpoint->fitness.health;
	char why[ENDPOINT_WHY_MAX];

	snprintf(why, sizeof(why), "check: %s", text);
	probe_end(c, !is_good || c->probe == NULL || c->probe->type != HEALTH_WEBSOCKET);
	if (is_good)
		count_good(c, why);
	else
		count_bad(c, why);
	arm_next(c);
	if (c->endpoint->fitness.health != before)
		leaving_look(c->monitor);
}

/* ---- a probe ---- */

static void send_new(struct check *c)
{
	struct probe *p = c->probe;
	uint32_t len = p->out_len - p->out_sent;

	if (len == 0)
		return;
	duplex_write(c->d, ring_copy(&c->monitor->ring, p->out + p->out_sent, len));
	p->out_sent = p->out_len;
}

static void heed(struct check *c, enum probe_verdict v)
{
	char why[PROBE_WHY_MAX];

	send_new(c);
	if (v == PROBE_MORE)
		return;
	memcpy(why, c->probe->why, sizeof(why));
	verdict(c, v == PROBE_GOOD, why);
}

static void on_open(struct duplex *d)
{
	struct check *c = d->user;

	c->is_open = true;
	duplex_read(d, true);
	heed(c, probe_open(c->probe));
}

static void on_bytes(struct duplex *d, struct slice in)
{
	struct check *c = d->user;

	heed(c, probe_feed(c->probe, in.at, in.len));
}

static void on_eof(struct duplex *d)
{
	struct check *c = d->user;

	heed(c, probe_eof(c->probe));
}

static void on_room(struct duplex *d)
{
	(void)d;
}

static void on_closed(struct duplex *d, enum reason why)
{
	struct check *c = d->user;
	char cause[256], text[ENDPOINT_WHY_MAX];

	stream_error_text(d, cause, sizeof(cause));
	c->d = NULL;
	if (c->is_open)
		snprintf(text, sizeof(text), "%s", reason_of(why)->text);
	else if (why == REASON_CONNECT_FAILED)
		snprintf(text, sizeof(text), "it does not accept connections: %.80s", cause);
	else
		snprintf(text, sizeof(text), "%s%s%.60s", reason_of(why)->text, cause[0] != '\0' ? ": " : "", cause);
	verdict(c, false, text);
}

static const struct duplex_events events = { on_open, on_bytes, on_eof, on_room, on_closed };

/* A header that says that the proxy speaks for itself. */
static uint32_t preface_make(const struct check *c, uint8_t out[PP_V1_MAX])
{
	struct pp_header h = { .transport = PP_TRANSPORT_STREAM, .is_local = true };
	int len = 0;

	if (config_of(c)->port != 0)
		return 0;
	if (c->config->proxy_protocol == PROXY_PROTOCOL_OUT_V1)
		len = pp_write_v1(out, PP_V1_MAX, &h);
	else if (c->config->proxy_protocol == PROXY_PROTOCOL_OUT_V2)
		len = pp_write_v2(out, PP_V1_MAX, &h, NULL, 0, false);
	return len > 0 ? (uint32_t)len : 0;
}

static bool probe_connect(struct check *c, struct addr *to)
{
	uint8_t preface[PP_V1_MAX];
	struct stream_target t = {
		.to = to,
		.preface = preface,
		.preface_len = preface_make(c, preface),
		.tls = c->tls,
		.timeout_ms = config_of(c)->timeout_ms,
	};

	if (config_of(c)->port != 0 && to->sa.sa_family != AF_UNIX)
		addr_set_port(to, (uint16_t)config_of(c)->port);
	if (c->tls != NULL)
		t.sni = c->config->tls->sni != NULL ? c->config->tls->sni : c->member->host;
	c->d = stream_connect(&c->monitor->ring, &t);
	if (c->d == NULL)
		return false;
	c->is_open = false;
	duplex_use(c->d, &events, c);
	return true;
}

static void probe_begin(struct check *c)
{
	const char *host = c->member->addr_literal.sa.sa_family == AF_UNIX ? "localhost" : c->endpoint->name;
	struct addr to;

	if (!endpoint_addr(c->endpoint, &to)) { /* not to be found: nobody picks it either */
		arm_next(c);
		return;
	}
	c->probe = malloc(sizeof(*c->probe));
	if (c->probe == NULL || !probe_init(c->probe, config_of(c), host) || !probe_connect(c, &to)) {
		log_warn("cluster %s: endpoint %s cannot be checked just now: no memory, no descriptors, or health.headers "
			 "are too long",
			 c->config->name, c->endpoint->name);
		probe_end(c, true);
		arm_next(c);
		return;
	}
	/* the connect has the same deadline, and tells more: it comes first */
	ring_timer_arm(&c->monitor->ring, &c->timer, config_of(c)->timeout_ms + TIMER_TICK_MS);
}

static void on_timer(struct timer *t)
{
	struct check *c = container_of(t, struct check, timer);
	char text[PROBE_WHY_MAX];

	if (c->probe == NULL) {
		probe_begin(c);
		return;
	}
	snprintf(text, sizeof(text), "no answer in time (health.timeout), where %s was awaited", probe_waits_for(c->probe));
	verdict(c, false, text);
}

/* ---- what is checked ---- */

static void check_end(struct check *c)
{
	timer_cancel(&c->timer);
	probe_end(c, true);
	endpoint_unref(c->endpoint);
	free(c);
}

static struct check *check_new(struct monitor *m, struct endpoint *e)
{
	struct check *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->monitor = m;
	c->endpoint = e;
	timer_init(&c->timer, on_timer);
	if (hash_map_put(&m->checks, &c->endpoint, sizeof(c->endpoint), c) != 0) {
		free(c);
		return NULL;
	}
	endpoint_ref(e);
	ring_timer_arm(&m->ring, &c->timer, random_below(FIRST_SPREAD_MS));
	return c;
}

static void follow_member(struct monitor *m, const struct monitor_cluster *mc, const struct cluster_member *member)
{
	struct endpoint *e = member->endpoint;
	struct check *c = hash_map_find(&m->checks, &e, sizeof(e));

	if (c == NULL)
		c = check_new(m, e);
	if (c == NULL) {
		log_error("cluster %s: endpoint %s is not checked: out of memory", mc->view->config->name, e->name);
		return;
	}
	c->config = mc->view->config;
	c->member = member->config;
	c->tls = mc->tls;
	c->is_named = true;
	if (c->probe == NULL)
		return;
	if (c->probe->type == config_of(c)->type) {
		c->probe->config = config_of(c);
	} else {
		probe_end(c, true);
		ring_timer_arm(&m->ring, &c->timer, 0);
	}
}

static void drop_unnamed(struct monitor *m)
{
	struct check *c, *gone;
	size_t cursor;

	do { /* the map must not change while it is walked */
		gone = NULL;
		cursor = 0;
		while (gone == NULL && (c = hash_map_next(&m->checks, &cursor)) != NULL)
			if (!c->is_named)
				gone = c;
		if (gone != NULL) {
			hash_map_remove(&m->checks, &gone->endpoint, sizeof(gone->endpoint));
			endpoint_set_health(gone->endpoint, ENDPOINT_UNCHECKED, "it is not checked any more");
			check_end(gone);
		}
	} while (gone != NULL);
}

void health_follow(struct monitor *m)
{
	struct check *c;
	size_t cursor = 0;

	while ((c = hash_map_next(&m->checks, &cursor)) != NULL)
		c->is_named = false;
	for (size_t i = 0; m->order != NULL && i < m->order->clusters_count; i++) {
		const struct monitor_cluster *mc = &m->order->clusters[i];

		for (uint32_t j = 0; mc->view->config->health != NULL && j < mc->view->members_count; j++)
			follow_member(m, mc, &mc->view->members[j]);
	}
	drop_unnamed(m);
}

void health_done(struct monitor *m)
{
	struct check *c;
	size_t cursor = 0;

	while ((c = hash_map_next(&m->checks, &cursor)) != NULL)
		check_end(c);
	hash_map_done(&m->checks);
}
