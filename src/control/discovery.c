#include "control/discovery.h"

#include "base/log.h"
#include "base/random.h"
#include "config/errors.h"
#include "control/control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JITTER_PERCENT 10u
#define TTL_MAX_S      86400u

/* One endpoint on its way: of an address record, or of a service record and its target's. */
struct find {
	struct finder *finder;
	struct addr addr; /* len 0: not known */
	uint16_t port, weight;
	bool is_backup;
	char target[RESOLVER_NAME_MAX]; /* "": the address is its name */
};

struct finder {
	struct list link;
	struct discovery *discovery;
	char *cluster, *dns, *file;
	enum discover_type type;
	uint16_t port;
	uint64_t refresh_ms;
	struct timer timer;
	struct watch watch; /* of `file` */
	struct find *finds;
	size_t finds_count;
	unsigned asking; /* questions without an answer */
	uint32_t ttl_s;
	bool is_dropped; /* goes with the last answer */
	bool has_failed; /* said */
};

/* ---- life of a finder ---- */

static void finder_free(struct finder *f)
{
	free(f->cluster);
	free(f->dns);
	free(f->file);
	free(f->finds);
	free(f);
}

static void finder_drop(struct finder *f)
{
	list_remove(&f->link);
	watch_remove(&f->watch);
	timer_cancel(&f->timer);
	f->is_dropped = true;
	if (f->asking == 0)
		finder_free(f);
}

static const struct endpoint_list *known(const struct finder *f)
{
	return clusters_discovered(f->discovery->control->clusters, f->cluster);
}

static void again_after(struct finder *f, uint64_t ms)
{
	ring_timer_arm(&f->discovery->control->ring, &f->timer, random_jitter(ms, JITTER_PERCENT));
}

static void say_failed(struct finder *f, const char *why)
{
	const struct endpoint_list *list = known(f);

	if (!f->has_failed)
		log_warn("cluster \"%s\": discovery of %s failed: %s: %s", f->cluster, f->dns != NULL ? f->dns : f->file, why,
			 list != NULL ? "the last good answer stays" : "there are no endpoints of it yet");
	f->has_failed = true;
}

/* Takes the list. */
static void publish(struct finder *f, struct endpoint_list *list)
{
	struct control *c = f->discovery->control;
	size_t count = list->endpoints_count;

	if (f->has_failed)
		log_info("cluster \"%s\": discovery of %s works again", f->cluster, f->dns != NULL ? f->dns : f->file);
	f->has_failed = false;
	if (endpoint_list_is_equal(known(f), list)) {
		endpoint_list_unref(list);
		return;
	}
	if (clusters_set_discovered(c->clusters, f->cluster, list) < 0) {
		say_failed(f, "out of memory");
		return;
	}
	log_info("cluster \"%s\": %zu endpoint%s discovered", f->cluster, count, count == 1 ? "" : "s");
	reload_refresh(c);
}

/* ---- DNS ---- */

/* What nobody can be connected to, whatever a server says. */
static bool is_usable(const struct addr *a)
{
	uint32_t ip;

	if (a->sa.sa_family == AF_INET6)
		return !IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr) && !IN6_IS_ADDR_MULTICAST(&a->in6.sin6_addr);
	ip = ntohl(a->in.sin_addr.s_addr);
	return ip != 0 && ip < 0xe0000000u;
}

static void find_print(const struct find *e, char out[RESOLVER_NAME_MAX + 8])
{
	if (e->target[0] != '\0')
		snprintf(out, RESOLVER_NAME_MAX + 8, "%.247s:%u", e->target, e->port);
	else
		addr_print(&e->addr, out);
}

/* Answers come in any order: by name, so that the same endpoints are the same list. */
static int find_compare(const void *a, const void *b)
{
	char x[RESOLVER_NAME_MAX + 8], y[RESOLVER_NAME_MAX + 8];

	find_print(a, x);
	find_print(b, y);
	return strcmp(x, y);
}

static struct endpoint_list *list_of(struct finder *f)
{
	struct endpoint_list *list = endpoint_list_new(f->finds_count);

	qsort(f->finds, f->finds_count, sizeof(*f->finds), find_compare);
	for (size_t i = 0; list != NULL && i < f->finds_count; i++) {
		const struct find *e = &f->finds[i];
		char name[RESOLVER_NAME_MAX + 8];
		struct endpoint_config *made;

		if (e->addr.len == 0 || (i > 0 && find_compare(e, e - 1) == 0))
			continue;
		find_print(e, name);
		if (!endpoint_list_add(list, name))
			continue; /* a name that is none */
		made = &list->endpoints[list->endpoints_count - 1];
		made->addr_literal = e->addr;
		made->weight = e->weight;
		made->backup = e->is_backup;
	}
	return list;
}

static void round_over(struct finder *f)
{
	struct endpoint_list *list = list_of(f);
	uint64_t ttl_ms = (uint64_t)(f->ttl_s < TTL_MAX_S ? f->ttl_s : TTL_MAX_S) * 1000;

	if (list == NULL || list->endpoints_count == 0) {
		say_failed(f, list == NULL ? "out of memory" : "no target has an address");
		endpoint_list_unref(list);
	} else {
		publish(f, list);
	}
	again_after(f, ttl_ms > f->refresh_ms ? ttl_ms : f->refresh_ms);
}

/* Whether the finder is still there. */
static bool answer_taken(struct finder *f)
{
	f->asking--;
	if (f->is_dropped && f->asking == 0)
		finder_free(f);
	else
		return !f->is_dropped;
	return false;
}

static void target_take(struct find *e, const struct resolver_result *r)
{
	for (size_t i = 0; e->addr.len == 0 && i < r->answers_count; i++) {
		if (!is_usable(&r->answers[i].addr))
			continue;
		e->addr = r->answers[i].addr;
		addr_set_port(&e->addr, e->port);
	}
	if (r->error == NULL && r->ttl_s < e->finder->ttl_s)
		e->finder->ttl_s = r->ttl_s;
}

static void on_target_v6(void *user, const struct resolver_result *r)
{
	struct find *e = user;
	struct finder *f = e->finder;

	if (!answer_taken(f))
		return;
	target_take(e, r);
	if (f->asking == 0)
		round_over(f);
}

static void on_target(void *user, const struct resolver_result *r)
{
	struct find *e = user;
	struct finder *f = e->finder;

	if (f->is_dropped) {
		answer_taken(f);
		return;
	}
	target_take(e, r);
	if (e->addr.len == 0 && !f->discovery->resolver.is_stopping)
		resolver_ask(&f->discovery->resolver, e->target, RESOLVER_AAAA, on_target_v6, e); /* this question goes on */
	else
		on_target_v6(e, &(struct resolver_result){ .error = "" });
}

static bool finds_take(struct finder *f, const struct resolver_result *r)
{
	uint16_t first = UINT16_MAX;

	free(f->finds);
	f->finds = calloc(r->answers_count + 1, sizeof(*f->finds));
	f->finds_count = 0;
	f->ttl_s = r->ttl_s;
	for (size_t i = 0; i < r->answers_count; i++)
		first = r->answers[i].priority < first ? r->answers[i].priority : first;
	for (size_t i = 0; f->finds != NULL && i < r->answers_count; i++) {
		const struct resolver_answer *a = &r->answers[i];
		struct find *e = &f->finds[f->finds_count];

		if (f->type != DISCOVER_SRV && !is_usable(&a->addr))
			continue;
		f->finds_count++;
		*e = (struct find){ .finder = f, .addr = a->addr, .port = f->port, .weight = 1 };
		if (f->type == DISCOVER_SRV) {
			e->port = a->port;
			e->weight = a->weight > 0 ? a->weight : 1;
			e->is_backup = a->priority > first;
			memcpy(e->target, a->target, sizeof(e->target));
		} else {
			addr_set_port(&e->addr, f->port);
		}
	}
	return f->finds != NULL;
}

static void on_answer(void *user, const struct resolver_result *r)
{
	struct finder *f = user;
	size_t count;

	if (!answer_taken(f))
		return;
	if (r->error != NULL || !finds_take(f, r)) {
		say_failed(f, r->error != NULL ? r->error : "out of memory");
		again_after(f, f->refresh_ms);
		return;
	}
	if (f->type != DISCOVER_SRV) {
		round_over(f);
		return;
	}
	/* counted at once: an answer may come within the call */
	count = f->finds_count;
	f->asking = (unsigned)count;
	if (count == 0)
		round_over(f);
	for (size_t i = 0; i < count; i++)
		resolver_ask(&f->discovery->resolver, f->finds[i].target, RESOLVER_A, on_target, &f->finds[i]);
}

/* ---- files ---- */

static void errors_say(const struct config_errors *errors, enum log_level level)
{
	for (size_t i = 0; i < errors->list_count; i++)
		log_line(level, "%s", errors->list[i].text);
}

static void file_look(struct finder *f)
{
	struct config_errors errors;
	struct endpoint_list *list;

	config_errors_init(&errors);
	list = endpoint_list_load(f->file, &errors);
	if (list != NULL) {
		publish(f, list);
	} else {
		if (!f->has_failed)
			errors_say(&errors, LOG_LEVEL_WARN);
		say_failed(f, "it cannot be used");
	}
	config_errors_done(&errors);
	again_after(f, f->refresh_ms);
}

void discovery_prepare(struct clusters *clusters, const struct config *config)
{
	for (size_t i = 0; i < config->clusters_count; i++) {
		const struct cluster_config *c = &config->clusters[i];
		struct config_errors errors;
		struct endpoint_list *list;

		if (c->discover == NULL || c->discover->endpoints_file == NULL)
			continue;
		config_errors_init(&errors);
		list = endpoint_list_load(c->discover->endpoints_file, &errors);
		if (list != NULL)
			clusters_set_discovered(clusters, c->name, list);
		else
			errors_say(&errors, LOG_LEVEL_WARN);
		config_errors_done(&errors);
	}
}

static void on_file(struct watch *watch)
{
	file_look(container_of(watch, struct finder, watch));
}

/* ---- all of them ---- */

static void on_timer(struct timer *t)
{
	static const enum resolver_type types[] = { [DISCOVER_A] = RESOLVER_A,
						    [DISCOVER_AAAA] = RESOLVER_AAAA,
						    [DISCOVER_SRV] = RESOLVER_SRV };
	struct finder *f = container_of(t, struct finder, timer);

	if (f->file != NULL) {
		file_look(f);
		return;
	}
	f->asking = 1;
	resolver_ask(&f->discovery->resolver, f->dns, types[f->type], on_answer, f);
}

static bool is_same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool is_wanted(const struct finder *f, const struct cluster_config *c)
{
	const struct discover_config *d = c->discover;

	return d != NULL && strcmp(f->cluster, c->name) == 0 && is_same_text(f->dns, d->dns) &&
	       is_same_text(f->file, d->endpoints_file) && f->type == d->type && f->port == d->port &&
	       f->refresh_ms == d->refresh_ms;
}

static void finder_begin(struct discovery *d, const struct cluster_config *c)
{
	struct finder *f = calloc(1, sizeof(*f));
	const struct discover_config *from = c->discover;

	if (f != NULL) {
		f->cluster = strdup(c->name);
		f->dns = from->dns != NULL ? strdup(from->dns) : NULL;
		f->file = from->endpoints_file != NULL ? strdup(from->endpoints_file) : NULL;
	}
	if (f == NULL || f->cluster == NULL || (f->dns == NULL && f->file == NULL)) {
		log_error("cluster \"%s\": discovery: out of memory", c->name);
		if (f != NULL)
			finder_free(f);
		return;
	}
	f->discovery = d;
	f->type = from->type;
	f->port = (uint16_t)from->port;
	f->refresh_ms = from->refresh_ms;
	timer_init(&f->timer, on_timer);
	list_append(&d->finders, &f->link);
	if (f->file != NULL && !watch_add(&d->control->watcher, &f->watch, f->file, on_file))
		log_warn("%s: out of memory: it is looked at from time to time", f->file);
	ring_timer_arm(&d->control->ring, &f->timer, 0);
}

static struct finder *finder_of(struct discovery *d, const struct cluster_config *c)
{
	list_for_each(node, &d->finders) {
		struct finder *f = container_of(node, struct finder, link);

		if (is_wanted(f, c))
			return f;
	}
	return NULL;
}

static bool finder_has_cluster(const struct finder *f, const struct config *config)
{
	for (size_t i = 0; i < config->clusters_count; i++)
		if (is_wanted(f, &config->clusters[i]))
			return true;
	return false;
}

void discovery_follow(struct discovery *d, const struct config *config)
{
	list_for_each_safe(node, next, &d->finders) {
		struct finder *f = container_of(node, struct finder, link);

		if (!finder_has_cluster(f, config))
			finder_drop(f);
	}
	for (size_t i = 0; i < config->clusters_count; i++)
		if (config->clusters[i].discover != NULL && finder_of(d, &config->clusters[i]) == NULL)
			finder_begin(d, &config->clusters[i]);
}

void discovery_init(struct discovery *d, struct control *control)
{
	const struct config *config = control->snapshot->config;

	d->control = control;
	list_init(&d->finders);
	if (!resolver_init(&d->resolver, &control->ring, config->resolver.servers, config->resolver.servers_count))
		log_error("the resolver cannot be set up: names of `discover` are not looked up");
}

void discovery_stop(struct discovery *d)
{
	if (d->control == NULL)
		return;
	list_for_each_safe(node, next, &d->finders)
		finder_drop(container_of(node, struct finder, link));
	resolver_stop(&d->resolver);
}

void discovery_done(struct discovery *d)
{
	d->control = NULL;
}
