#include "control/admin_endpoints.h"

#include "base/log.h"
#include "control/admin_job.h"
#include "control/control.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define PROGRESS_MS 500u
#define WEIGHT_MAX  1000000
#define ADDED_MAX   4096u /* endpoints of one cluster that were added */
#define BY_ADMIN    "asked for on the admin socket"

static void no_endpoint(struct admin_client *c)
{
	admin_problem(c, 404, "cluster \"%.200s\" has no endpoint \"%.200s\"", c->args[0], c->args[1]);
}

/* ---- modes ---- */

bool control_set_mode(struct control *c, const char *cluster, const char *endpoint, enum endpoint_mode mode)
{
	struct endpoint *e = roster_find(c->clusters, cluster, endpoint);

	if (e == NULL)
		return false;
	endpoint_set_mode(e, mode, BY_ADMIN);
	endpoint_unref(e);
	monitor_look(&c->monitor, &c->ring);
	return true;
}

static void set_mode(struct admin_client *c, enum endpoint_mode mode)
{
	if (control_set_mode(admin_control(c), c->args[0], c->args[1], mode))
		admin_endpoint(c);
	else
		no_endpoint(c);
}

void admin_endpoint_ready(struct admin_client *c)
{
	set_mode(c, ENDPOINT_READY);
}

void admin_endpoint_disable(struct admin_client *c)
{
	set_mode(c, ENDPOINT_DISABLED);
}

/* ---- a drain that is watched: a line of JSON twice a second, until nothing is left or it stays after all ---- */

struct progress {
	struct admin_job job;
	struct admin_client *client;
	struct timer timer;
};

static void progress_free(struct admin_job *job)
{
	struct progress *p = container_of(job, struct progress, job);

	timer_cancel(&p->timer);
	free(p);
}

static void progress_over(struct progress *p)
{
	struct admin_client *c = p->client;

	c->resume = NULL;
	c->user = NULL;
	admin_job_end(&p->job);
	admin_end(c);
}

static void line_write(struct admin_client *c, json_t *line)
{
	char *text = json_dumps(line, JSON_COMPACT);

	json_decref(line);
	if (text != NULL && admin_write(c, text, strlen(text)))
		admin_write(c, "\n", 1);
	free(text);
}

/* false: that was the last line. */
static bool progress_say(struct admin_client *c)
{
	const struct endpoint_row *row;
	bool goes_on = false;
	struct roster r;

	roster_take(&r, admin_control(c)->clusters, c->args[0]);
	row = roster_row(&r, c->args[0], c->args[1]);
	if (row != NULL) {
		/* the monitor looks a moment after the command: till then it does not leave yet */
		goes_on = row->active > 0 && (row->mode == ENDPOINT_DRAINING || row->leaving != REASON_NONE);
		if (!admin_is_full(c))
			line_write(c, admin_endpoint_json(row));
	}
	roster_done(&r);
	return goes_on;
}

static void on_progress(struct timer *t)
{
	struct progress *p = container_of(t, struct progress, timer);

	if (admin_is_gone(p->client) || !admin_can_ask(p->job.admin) || !progress_say(p->client))
		progress_over(p);
	else
		ring_timer_arm(&admin_control(p->client)->ring, &p->timer, PROGRESS_MS);
}

static void on_resume(struct admin_client *c)
{
	if (admin_is_gone(c))
		progress_over(c->user);
}

static void progress_start(struct admin_client *c)
{
	struct progress *p = calloc(1, sizeof(*p));

	if (p == NULL) {
		admin_problem(c, 503, "it drains; memory is exhausted, so that nobody watches it");
		return;
	}
	admin_job_begin(&p->job, c->admin, progress_free);
	p->client = c;
	timer_init(&p->timer, on_progress);
	c->user = p;
	c->resume = on_resume;
	admin_begin(c, 200, "application/x-ndjson");
	on_progress(&p->timer);
}

void admin_endpoint_drain(struct admin_client *c)
{
	char wait[8];

	if (!control_set_mode(admin_control(c), c->args[0], c->args[1], ENDPOINT_DRAINING))
		no_endpoint(c);
	else if (admin_param(c, "wait", wait, sizeof(wait)) && strcmp(wait, "true") == 0 &&
		 admin_can_ask(c->admin))
		progress_start(c);
	else
		admin_endpoint(c);
}

/* ---- weights ---- */

int control_set_weight(struct control *c, const char *cluster, const char *endpoint, uint32_t weight)
{
	struct endpoint *e = roster_find(c->clusters, cluster, endpoint);
	int err;

	if (e == NULL)
		return -ENOENT;
	err = endpoint_set_weight(e, weight);
	endpoint_unref(e);
	return err;
}

static bool weight_read(const struct admin_client *c, uint32_t *out)
{
	json_t *body = json_loadb(c->body_text.at != NULL ? c->body_text.at : "", c->body_text.len, 0, NULL);
	json_t *weight = json_object_get(body, "weight");
	json_int_t n = json_integer_value(weight);
	bool is_good = json_is_integer(weight) && json_object_size(body) == 1 && n >= 0 && n <= WEIGHT_MAX;

	*out = is_good ? (uint32_t)n : 0;
	json_decref(body);
	return is_good;
}

void admin_endpoint_change(struct admin_client *c)
{
	uint32_t weight;
	int err;

	if (!weight_read(c, &weight)) {
		admin_problem(c, 400, "a body like {\"weight\": 2} is wanted: 0 to %d", WEIGHT_MAX);
		return;
	}
	err = control_set_weight(admin_control(c), c->args[0], c->args[1], weight);
	if (err == -ENOENT)
		no_endpoint(c);
	else if (err < 0)
		admin_problem(c, 503, "memory is exhausted: the weight is as it was");
	else
		admin_endpoint(c);
}

/* ---- added and removed ---- */

/* Who waits until other endpoints are in force. */
struct waiter {
	struct reload_waiter base;
	struct admin_client *client;
	int status;
	json_t *answer;
};

static void on_in_force(struct reload_waiter *base, const struct config_errors *errors)
{
	struct waiter *w = container_of(base, struct waiter, base);

	if (errors != NULL)
		admin_problem(w->client, 503, "%.200s",
			      errors->list_count > 0 ? errors->list[0].text : "not now");
	else
		admin_answer_json(w->client, w->status, json_incref(w->answer));
	json_decref(w->answer);
	free(w);
}

/* The list is what was added from now on (taken); the client is answered once all workers go by it. */
static void follow(struct admin_client *c, struct endpoint_list *list, int status, json_t *answer)
{
	struct control *control = admin_control(c);
	struct waiter *w = control->shutdown.state == SHUTDOWN_NOT ? calloc(1, sizeof(*w)) : NULL;

	if (w == NULL || list == NULL || clusters_set_added(control->clusters, c->args[0], list) < 0) {
		if (w == NULL)
			endpoint_list_unref(list);
		free(w);
		json_decref(answer);
		admin_problem(c, 503, "not now: memory is exhausted, or the process is about to end");
		return;
	}
	*w = (struct waiter){ .client = c, .status = status, .answer = answer, .base.done = on_in_force };
	reload_refresh_for(control, &w->base);
}

/* What was added so far, but for `without`, and room for `more`.  NULL: out of memory. */
static struct endpoint_list *added_again(const struct endpoint_list *old, const char *without, size_t more)
{
	size_t count = old != NULL ? old->endpoints_count : 0;
	struct endpoint_list *list = endpoint_list_new(count + more);

	for (size_t i = 0; list != NULL && i < count; i++) {
		if (without != NULL && strcmp(old->endpoints[i].address, without) == 0)
			continue;
		if (!endpoint_list_copy(list, &old->endpoints[i])) {
			endpoint_list_unref(list);
			return NULL;
		}
	}
	return list;
}

/* The body as the item of a list: what a configuration may say of an endpoint, and its errors with their positions. */
static struct endpoint_list *endpoints_read(struct admin_client *c)
{
	struct endpoint_list *list = NULL;
	struct config_errors errors;
	json_t *texts = json_array();
	struct str text;

	config_errors_init(&errors);
	str_init_heap(&text, ADMIN_BODY_MAX + 4);
	str_char(&text, '[');
	str_bytes(&text, c->body_text.at != NULL ? c->body_text.at : "", c->body_text.len);
	str_char(&text, ']');
	if (!text.is_cut)
		list = endpoint_list_load_bytes("endpoint", text.at, text.len, &errors);
	for (size_t i = 0; i < errors.list_count; i++)
		json_array_append_new(texts, json_string(errors.list[i].text));
	if (list == NULL || list->endpoints_count == 0) {
		admin_problem_with(
			c, 400, "a body like {\"address\": \"10.0.0.9:80\", \"weight\": 1} is wanted", texts);
		endpoint_list_unref(list);
		list = NULL;
	} else {
		json_decref(texts);
	}
	str_done(&text);
	config_errors_done(&errors);
	return list;
}

/* true: each is new to the cluster, and there is room for them. */
static bool may_add(struct admin_client *c, const struct cluster_view *v, const struct endpoint_list *more)
{
	const struct endpoint_list *old = clusters_added(admin_control(c)->clusters, v->config->name);

	if ((old != NULL ? old->endpoints_count : 0) + more->endpoints_count > ADDED_MAX) {
		admin_problem(c, 409, "%u endpoints have been added to this cluster already", ADDED_MAX);
		return false;
	}
	for (size_t i = 0; i < more->endpoints_count; i++) {
		const char *name = more->endpoints[i].address;

		for (uint32_t j = 0; j < v->members_count; j++) {
			if (strcmp(v->members[j].endpoint->name, name) == 0) {
				admin_problem(c, 409, "cluster \"%.200s\" has endpoint \"%.200s\" already",
					      c->args[0], name);
				return false;
			}
		}
	}
	return true;
}

void admin_endpoint_add(struct admin_client *c)
{
	struct control *control = admin_control(c);
	const struct cluster_view *v = admin_find_cluster(c);
	struct endpoint_list *more = v != NULL ? endpoints_read(c) : NULL, *list = NULL;
	json_t *names = json_array();

	if (more == NULL || !may_add(c, v, more)) {
		json_decref(names);
		endpoint_list_unref(more);
		return;
	}
	list = added_again(clusters_added(control->clusters, c->args[0]), NULL, more->endpoints_count);
	for (size_t i = 0; list != NULL && i < more->endpoints_count; i++) {
		const char *name = more->endpoints[i].address;

		json_array_append_new(names, json_string(name));
		/* one that was drained before it was removed is meant to serve now */
		control_set_mode(control, c->args[0], name, ENDPOINT_READY);
		log_info("cluster %s: endpoint %s is added: " BY_ADMIN, c->args[0], name);
		if (!endpoint_list_copy(list, &more->endpoints[i])) {
			endpoint_list_unref(list);
			list = NULL;
		}
	}
	endpoint_list_unref(more);
	follow(c, list, 201, json_pack("{s:o}", "added", names));
}

static bool was_added(const struct endpoint_list *list, const char *name)
{
	for (size_t i = 0; list != NULL && i < list->endpoints_count; i++)
		if (strcmp(list->endpoints[i].address, name) == 0)
			return true;
	return false;
}

void admin_endpoint_remove(struct admin_client *c)
{
	struct control *control = admin_control(c);
	const struct endpoint_list *old = clusters_added(control->clusters, c->args[0]);
	struct endpoint *e = roster_find(control->clusters, c->args[0], c->args[1]);

	if (was_added(old, c->args[1])) {
		log_info("cluster %s: endpoint %s is removed: " BY_ADMIN, c->args[0], c->args[1]);
		follow(c, added_again(old, c->args[1], 0), 200, json_pack("{s:s}", "removed", c->args[1]));
	} else if (e == NULL) {
		no_endpoint(c);
	} else {
		admin_problem(c, 409,
			      "endpoint \"%.200s\" was not added here: take it out of where it stands, or "
			      "drain or disable it",
			      c->args[1]);
	}
	endpoint_unref(e);
}

/* ---- rebalancing ---- */

void admin_rebalance(struct admin_client *c)
{
	struct control *control = admin_control(c);
	long shed = admin_find_cluster(c) == NULL ? -1 : cluster_rebalance(control->clusters, c->args[0]);

	if (shed < 0)
		return; /* has been told */
	if (shed > 0)
		crew_heed_endpoints(&control->ring, &control->crew);
	admin_answer_json(c, 200, json_pack("{s:I}", "shed", (json_int_t)shed));
}
