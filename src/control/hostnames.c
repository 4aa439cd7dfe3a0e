#include "control/hostnames.h"

#include "base/log.h"
#include "base/random.h"
#include "cluster/resolve.h"
#include "control/control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AGAIN_MIN_MS   5000u
#define AGAIN_MAX_MS   3600000u
#define FAILED_MS      2000u
#define JITTER_PERCENT 10u

struct followed {
	struct list link;
	struct hostnames *names;
	struct endpoint *endpoint; /* a reference */
	char *host;
	uint16_t port;
	struct timer timer;
	bool is_asking;
	bool is_wanted; /* by the configuration in force */
	bool is_dropped; /* goes with its answer */
	bool has_failed; /* said */
};

static void watch_free(struct followed *w)
{
	endpoint_unref(w->endpoint);
	free(w->host);
	free(w);
}

static void watch_drop(struct followed *w)
{
	list_remove(&w->link);
	timer_cancel(&w->timer);
	w->is_dropped = true;
	if (!w->is_asking)
		watch_free(w);
}

/* ---- answers ---- */

static void failed(struct followed *w, const char *error)
{
	char why[ENDPOINT_WHY_MAX];
	struct addr was;
	bool has_old = endpoint_addr(w->endpoint, &was);

	if (!w->has_failed) {
		snprintf(why, sizeof(why), "cannot be looked up: %s", error);
		if (!has_old)
			endpoint_say(w->endpoint, why);
		log_warn("cluster %s: endpoint %s %s: %s", cluster_name(w->endpoint->cluster), w->endpoint->name, why,
			 has_old ? "it keeps its old address" : "it is asked for again");
	}
	w->has_failed = true;
}

static void found(struct followed *w, const struct resolver_result *r)
{
	uint32_t count = r->answers_count < RESOLVE_MAX_ADDRS ? (uint32_t)r->answers_count : RESOLVE_MAX_ADDRS;
	struct addr *addrs = calloc(count, sizeof(*addrs)), now;
	char text[ADDR_TEXT_MAX];

	if (addrs == NULL) {
		failed(w, "out of memory");
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		addrs[i] = r->answers[i].addr;
		addr_set_port(&addrs[i], w->port);
	}
	if (endpoint_set_addrs(w->endpoint, addrs, count) && endpoint_addr(w->endpoint, &now)) {
		addr_print(&now, text);
		if (w->has_failed)
			endpoint_say(w->endpoint, "its name was found");
		log_info("cluster %s: endpoint %s is at %s", cluster_name(w->endpoint->cluster), w->endpoint->name, text);
	}
	w->has_failed = false;
}

static uint64_t again_ms(const struct resolver_result *r)
{
	uint64_t ms = (uint64_t)r->ttl_s * 1000;

	if (r->error != NULL)
		return FAILED_MS;
	return ms < AGAIN_MIN_MS ? AGAIN_MIN_MS : ms > AGAIN_MAX_MS ? AGAIN_MAX_MS : ms;
}

static void on_answer(void *user, const struct resolver_result *r)
{
	struct followed *w = user;

	w->is_asking = false;
	if (w->is_dropped) {
		watch_free(w);
		return;
	}
	if (r->error != NULL)
		failed(w, r->error);
	else
		found(w, r);
	ring_timer_arm(&w->names->control->ring, &w->timer, random_jitter(again_ms(r), JITTER_PERCENT));
}

static void on_timer(struct timer *t)
{
	struct followed *w = container_of(t, struct followed, timer);

	w->is_asking = true;
	resolver_ask_host(&w->names->control->discovery.resolver, w->host, on_answer, w);
}

/* ---- which ---- */

static struct followed *watch_of(struct hostnames *n, const struct endpoint *e)
{
	list_for_each(node, &n->watches) {
		struct followed *w = container_of(node, struct followed, link);

		if (w->endpoint == e)
			return w;
	}
	return NULL;
}

static void watch_begin(struct hostnames *n, const struct cluster_member *m)
{
	struct followed *w = calloc(1, sizeof(*w));

	if (w != NULL)
		w->host = strdup(m->config->host);
	if (w == NULL || w->host == NULL) {
		log_error("endpoint %s: out of memory: its name is not looked up again", m->endpoint->name);
		free(w);
		return;
	}
	w->names = n;
	w->endpoint = m->endpoint;
	endpoint_ref(w->endpoint);
	w->port = m->config->port;
	w->is_wanted = true;
	timer_init(&w->timer, on_timer);
	list_append(&n->watches, &w->link);
	ring_timer_arm(&n->control->ring, &w->timer, 0);
}

static void follow_member(struct hostnames *n, const struct cluster_member *m)
{
	struct followed *w;

	if (m->config->addr_literal.len > 0)
		return;
	w = watch_of(n, m->endpoint);
	if (w == NULL) {
		watch_begin(n, m);
		return;
	}
	w->is_wanted = true;
	if (!w->is_asking)
		ring_timer_arm(&n->control->ring, &w->timer, 0);
}

void hostnames_follow(struct hostnames *n, const struct snapshot *s)
{
	list_for_each(node, &n->watches)
		container_of(node, struct followed, link)->is_wanted = false;
	for (size_t i = 0; i < s->config->clusters_count; i++) {
		const struct cluster_view *v = s->clusters[i].view;

		for (uint32_t j = 0; j < v->members_count; j++)
			follow_member(n, &v->members[j]);
	}
	list_for_each_safe(node, next, &n->watches) {
		struct followed *w = container_of(node, struct followed, link);

		if (!w->is_wanted)
			watch_drop(w);
	}
}

void hostnames_init(struct hostnames *n, struct control *c)
{
	n->control = c;
	list_init(&n->watches);
}

void hostnames_stop(struct hostnames *n)
{
	if (n->control == NULL)
		return;
	list_for_each_safe(node, next, &n->watches)
		watch_drop(container_of(node, struct followed, link));
}
