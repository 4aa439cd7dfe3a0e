#include "control/admin_connections.h"

#include "control/admin_commands.h"
#include "control/control.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLICE_COUNT 128u   /* connections that match, and */
#define SLICE_LOOKS 1024u  /* those that are looked at, in one errand */
#define SLICE_BYTES 131072u

struct walk {
	struct admin_job job;
	struct mail mail;
	struct admin_client *client;
	struct walk_options options;
	unsigned worker, worker_end; /* whose turn it is */
	uint32_t cursor;	     /* in its table */
	uint32_t only_place, only_serial; /* one connection; place CONNECTION_NONE: all */
	uint64_t count;
	bool is_worker_over;
	bool is_asking; /* an errand is under way */
	struct str out;
};

static void walk_free(struct admin_job *job)
{
	struct walk *w = container_of(job, struct walk, job);

	str_done(&w->out);
	free(w);
}

/* ---- in the worker's thread ---- */

static bool text_matches(const char *wanted, const char *text)
{
	return wanted[0] == '\0' || (text != NULL && strcmp(wanted, text) == 0);
}

static bool token_matches(const struct token_names *wanted, const struct token_names *token)
{
	for (unsigned i = 0; i < TOKEN_NAMES; i++)
		if (wanted->at[i] != 0 && wanted->at[i] != token->at[i])
			return false;
	return true;
}

static bool matches(const struct walk_filter *f, const struct connection_info *i)
{
	return text_matches(f->cluster, i->cluster) && text_matches(f->endpoint, i->endpoint) &&
	       text_matches(f->listener, i->listener) && text_matches(f->route, i->route) &&
	       text_matches(f->ip, i->client) && text_matches(f->kind, i->kind) && token_matches(&f->token, &i->token);
}

/* One that memory is out for is left out whole. */
static bool print(struct walk *w, const struct connection_info *info)
{
	size_t len = w->out.len;

	w->options.print(&w->out, info, w->count == 0);
	if (w->out.is_cut) {
		str_rewind(&w->out, len);
		return false;
	}
	w->count++;
	return true;
}

/* true: one more that counts. */
static bool look(struct walk *w, struct worker *worker, struct connection *c, uint32_t place)
{
	struct connection_info info;

	connection_describe(&worker->open, place, worker->ring.now_ms, &info);
	if (!matches(&w->options.filter, &info))
		return false;
	if (!w->options.is_ending)
		return print(w, &info);
	if (!c->face->end(c->object, &w->options.end))
		return false;
	w->count++;
	return true;
}

static void slice_all(struct walk *w, struct worker *worker)
{
	uint32_t found = 0, looks = 0;

	w->is_worker_over = false;
	while (found < SLICE_COUNT && looks < SLICE_LOOKS && w->out.len < SLICE_BYTES / 2 &&
	       w->count < w->options.limit) {
		struct connection *c = connections_next(&worker->open, &w->cursor);

		if (c == NULL) {
			w->is_worker_over = true;
			return;
		}
		looks++;
		found += look(w, worker, c, w->cursor);
	}
}

static void walk_back(struct mail *mail);

static void walk_there(struct mail *mail)
{
	struct walk *w = container_of(mail, struct walk, mail);
	struct control *control = w->job.admin->control;
	struct worker *worker = &control->crew.workers[w->worker];

	str_reset(&w->out);
	if (w->only_place == CONNECTION_NONE) {
		slice_all(w, worker);
	} else {
		struct connection *c = connections_find(&worker->open, w->only_place, w->only_serial);

		if (c != NULL)
			look(w, worker, c, w->only_place);
		w->is_worker_over = true;
	}
	w->mail.run = walk_back;
	ring_post(&worker->ring, &control->ring, &w->mail);
}

/* ---- in control's ---- */

static void walk_over(struct walk *w)
{
	struct admin_client *c = w->client;
	void (*done)(struct admin_client *, uint64_t) = w->options.done;
	uint64_t count = w->count;

	c->resume = NULL;
	c->user = NULL;
	admin_job_end(&w->job);
	done(c, count);
}

/* The next slice, unless the peer has to take the last one first. */
static void walk_go_on(struct admin_client *c)
{
	struct walk *w = c->user;

	if (w->is_asking)
		return;
	if (w->worker >= w->worker_end || w->count >= w->options.limit || admin_is_gone(c) ||
	    !admin_can_ask(w->job.admin)) {
		walk_over(w);
		return;
	}
	if (admin_is_full(c))
		return; /* resumed when there is room, or it is gone */
	w->is_asking = true;
	w->mail.run = walk_there;
	ring_post(&admin_control(c)->ring, &admin_control(c)->crew.workers[w->worker].ring, &w->mail);
}

static void walk_back(struct mail *mail)
{
	struct walk *w = container_of(mail, struct walk, mail);

	w->is_asking = false;
	if (w->is_worker_over) {
		w->worker++;
		w->cursor = 0;
	}
	admin_write(w->client, w->out.at, w->out.len);
	walk_go_on(w->client);
}

static struct walk *walk_new(struct admin_client *c, const struct walk_options *options)
{
	struct walk *w = admin_can_ask(c->admin) ? calloc(1, sizeof(*w)) : NULL;

	if (w == NULL)
		return NULL;
	admin_job_begin(&w->job, c->admin, walk_free);
	str_init_heap(&w->out, SLICE_BYTES);
	w->client = c;
	w->options = *options;
	w->worker_end = admin_control(c)->crew.count;
	c->user = w;
	c->resume = walk_go_on;
	return w;
}

void walk_start(struct admin_client *c, const struct walk_options *options)
{
	if (walk_new(c, options) == NULL)
		options->done(c, 0);
	else
		walk_go_on(c);
}

bool walk_end_one(struct admin_client *c, const char *id, const struct connection_end *end,
		  void (*done)(struct admin_client *, uint64_t count))
{
	struct walk_options options = { .limit = UINT64_MAX, .is_ending = true, .end = *end, .done = done };
	unsigned worker, place, serial;
	int used = 0;
	struct walk *w;

	if (sscanf(id, "%u-%u-%u%n", &worker, &place, &serial, &used) != 3 || id[used] != '\0' ||
	    worker >= admin_control(c)->crew.count || place == CONNECTION_NONE)
		return false;
	w = walk_new(c, &options);
	if (w == NULL) {
		done(c, 0);
		return true;
	}
	w->worker = worker;
	w->worker_end = worker + 1;
	w->only_place = place;
	w->only_serial = serial;
	walk_go_on(c);
	return true;
}

/* ---- the list ---- */

static void member(struct str *s, const char *name, const char *value)
{
	if (value == NULL)
		return;
	str_cstr(s, ", \"");
	str_cstr(s, name);
	str_cstr(s, "\": ");
	str_json(s, value, strlen(value));
}

static void number(struct str *s, const char *name, uint64_t value)
{
	str_cstr(s, ", \"");
	str_cstr(s, name);
	str_cstr(s, "\": ");
	str_dec(s, value);
}

static void print_json(struct str *s, const struct connection_info *i, bool is_first)
{
	str_cstr(s, is_first ? "\n{\"id\": \"" : ",\n{\"id\": \"");
	str_cstr(s, i->id);
	str_char(s, '"');
	member(s, "client", i->client);
	if (i->client_port != 0)
		number(s, "port", i->client_port);
	member(s, "kind", i->kind);
	member(s, "state", i->state);
	if (i->transport != NULL)
		member(s, "transport", i->transport);
	member(s, "listener", i->listener);
	member(s, "route", i->route);
	member(s, "cluster", i->cluster);
	member(s, "endpoint", i->endpoint);
	str_cstr(s, ", \"age_seconds\": ");
	str_dec_point(s, i->age_ms, 3);
	number(s, "bytes_in", i->bytes_in);
	number(s, "bytes_out", i->bytes_out);
	number(s, "messages_in", i->messages_in);
	number(s, "messages_out", i->messages_out);
	number(s, "dropped_in", i->dropped_in);
	number(s, "dropped_out", i->dropped_out);
	if (i->rtt_us != 0) {
		str_cstr(s, ", \"rtt_seconds\": ");
		str_dec_point(s, i->rtt_us, 6);
	}
	number(s, "queued_client", i->queued_client);
	number(s, "queued_backend", i->queued_backend);
	str_char(s, '}');
}

static void list_done(struct admin_client *c, uint64_t count)
{
	char end[64];
	int len = snprintf(end, sizeof(end), "\n], \"count\": %llu}\n", (unsigned long long)count);

	admin_write(c, end, (size_t)len);
	admin_end(c);
}

/* true: at least one key is given. */
static bool filter_read(const struct admin_client *c, struct walk_filter *f)
{
	const struct {
		const char *name;
		char *to;
		size_t cap;
	} rows[] = {
		{ "cluster", f->cluster, sizeof(f->cluster) },	  { "endpoint", f->endpoint, sizeof(f->endpoint) },
		{ "listener", f->listener, sizeof(f->listener) }, { "route", f->route, sizeof(f->route) },
		{ "ip", f->ip, sizeof(f->ip) },			  { "kind", f->kind, sizeof(f->kind) },
	};
	bool is_given = false;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		is_given = (admin_param(c, rows[i].name, rows[i].to, rows[i].cap) && rows[i].to[0] != '\0') || is_given;
	return is_given;
}

void admin_connections(struct admin_client *c)
{
	static const char begin[] = "{\"connections\": [";
	struct walk_options o = { .limit = UINT64_MAX, .print = print_json, .done = list_done };
	char limit[24], *end;

	filter_read(c, &o.filter);
	if (admin_param(c, "limit", limit, sizeof(limit))) {
		o.limit = strtoull(limit, &end, 10);
		if (end == limit || *end != '\0') {
			admin_problem(c, 400, "limit: \"%s\" is no number", limit);
			return;
		}
		if (o.limit == 0) /* 0 is none, as everywhere */
			o.limit = UINT64_MAX;
	}
	if (!admin_can_ask(c->admin)) {
		admin_problem(c, 503, "the process is about to end");
		return;
	}
	admin_begin(c, 200, "application/json");
	admin_write(c, begin, sizeof(begin) - 1);
	walk_start(c, &o);
}

/* ---- ending ---- */

/* false: it was refused. */
static bool end_read(struct admin_client *c, struct connection_end *out)
{
	char text[CONNECTION_WORDS_MAX], *end;
	unsigned long code;

	*out = (struct connection_end){ .why = REASON_KILLED };
	admin_param(c, "reason", out->words, sizeof(out->words));
	if (!admin_param(c, "code", text, sizeof(text)))
		return true;
	code = strtoul(text, &end, 10);
	/* what may stand in a Close frame (RFC 6455 7.4) */
	if (*end != '\0' || !((code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
			      (code >= 3000 && code <= 4999))) {
		admin_problem(c, 400, "code: \"%.20s\" is no close code that may be sent", text);
		return false;
	}
	out->close_code = (uint16_t)code;
	return true;
}

static void some_done(struct admin_client *c, uint64_t count)
{
	admin_answer_json(c, 200, json_pack("{s:I}", "closed", (json_int_t)count));
}

static void one_done(struct admin_client *c, uint64_t count)
{
	if (count == 0)
		admin_problem(c, 404, "there is no connection %.40s", c->args[0]);
	else
		some_done(c, count);
}

void admin_kill_one(struct admin_client *c)
{
	struct connection_end how;

	if (end_read(c, &how) && !walk_end_one(c, c->args[0], &how, one_done))
		one_done(c, 0);
}

void admin_kill_some(struct admin_client *c)
{
	struct walk_options o = { .limit = UINT64_MAX, .is_ending = true, .done = some_done };

	if (!end_read(c, &o.end))
		return;
	if (!filter_read(c, &o.filter))
		admin_problem(c, 400, "which ones? ?cluster= &endpoint= &listener= &route= &ip= or &kind= is wanted");
	else
		walk_start(c, &o);
}
