#include "control/reload.h"

#include "base/clock.h"
#include "base/log.h"
#include "config/errors.h"
#include "control/control.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void reload_log_errors(const struct config_errors *errors)
{
	size_t shown = 0;

	for (size_t i = 0; i < errors->list_count; i++) {
		const struct config_error *e = &errors->list[i];

		log_line(e->is_warning ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR, "%s", e->text);
		shown += !e->is_warning;
	}
	if (errors->errors_count > shown)
		log_error("and %zu more", errors->errors_count - shown);
}

/* ---- what concerns the whole process ---- */

/* What is configured, as far as descriptors go: who was accepted is to be served. */
static unsigned places_max(const struct control *c, const struct config *config)
{
	unsigned wanted = config->limits.max_connections, held = c->start.connections_held;

	if (held == 0) /* not known yet */
		return wanted;
	return wanted == 0 || wanted > held ? held : wanted;
}

void reload_set_places(struct control *c, const struct config *config)
{
	atomic_store(&c->places.max, places_max(c, config));
}

enum log_level reload_log_level(const struct config *config)
{
	static const enum log_level levels[] = {
		[CONFIG_LOG_ERROR] = LOG_LEVEL_ERROR,
		[CONFIG_LOG_WARN] = LOG_LEVEL_WARN,
		[CONFIG_LOG_INFO] = LOG_LEVEL_INFO,
		[CONFIG_LOG_DEBUG] = LOG_LEVEL_DEBUG,
	};

	return levels[config->log.level];
}

void reload_set_globals(struct control *c, const struct config *config)
{
	log_set_level(reload_log_level(config));
	log_set_format(config->log.format == CONFIG_LOG_JSON ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT);
	reload_set_places(c, config);
}

static const char *access_path(const struct config *config)
{
	return config->log.access == NULL ? NULL : config->log.access->path;
}

static bool is_same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* A file that stays is left alone: after privileges were dropped it might not open again. */
static bool access_log_follow(const struct config *old, const struct config *config,
			      struct config_errors *errors)
{
	const char *path = access_path(config);
	int err;

	if (is_same_text(access_path(old), path))
		return true;
	err = log_access_open(path);
	if (err < 0)
		config_errors_add(errors, path, 0, 0, false, "the access log cannot be opened: %s",
				  strerror(-err));
	return err == 0;
}

/* Compared with what was in force when the process started: that is what counts until the next start. */
static void warn_of_start_keys(const struct control *c, const struct config *config)
{
	const struct control_start *start = &c->start;
	const struct {
		const char *key;
		bool is_same;
	} rows[] = {
		{ "workers", start->workers == config->workers },
		{ "user", is_same_text(start->user, config->user) },
		{ "pid_file", is_same_text(start->pid_file, config->pid_file) },
		{ "limits.table_entries", start->table_entries == config->limits.table_entries },
		{ "tls.session_tickets.rotate", start->rotate_s == control_rotate_s(config) },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (!rows[i].is_same)
			log_warn("%s: %s has changed, and takes effect only at the next start", config->file,
				 rows[i].key);
}

/* ---- to the workers ---- */

static void apply_there(struct crew_member *m)
{
	struct snapshot *s = m->snapshot;

	m->snapshot = NULL;
	worker_apply(m->worker, s, m->sockets, m->sockets_count);
}

static void waiters_read(struct control *c, const struct config *fresh, const struct config_errors *warnings)
{
	list_for_each(node, &c->reload.waiters) {
		struct reload_waiter *w = container_of(node, struct reload_waiter, link);

		w->read(w, c->snapshot->config, fresh, warnings);
	}
}

/* `errors` NULL: it is in force. */
static void waiters_done(struct list *waiters, const struct config_errors *errors)
{
	struct list *node;

	while ((node = list_take_first(waiters)) != NULL) {
		struct reload_waiter *w = container_of(node, struct reload_waiter, link);

		w->done(w, errors);
	}
}

static void reload_failed(struct control *c, struct config_errors *errors)
{
	struct reload *r = &c->reload;

	log_error("reload: refused, the old configuration stays in force");
	config_errors_done(&r->last_errors);
	r->last_errors = *errors; /* takes them */
	config_errors_init(errors);
	r->has_failed = true;
	r->failed_count++;
	notify_ready(&c->notify, "the last reload was refused, the old configuration is in force");
	waiters_done(&r->waiters, &r->last_errors);
}

static void reload_succeeded(struct control *c, bool is_first)
{
	struct reload *r = &c->reload;

	config_errors_done(&r->last_errors);
	config_errors_init(&r->last_errors);
	r->has_failed = false;
	r->good_wall_ns = clock_wall_ns();
	r->good_count += !is_first;
	if (c->shutdown.state == SHUTDOWN_NOT)
		notify_ready(&c->notify, "running");
	waiters_done(&r->waiters, NULL);
}

static void snapshot_release(void *held)
{
	snapshot_unref(held);
}

/* The monitor goes by what the workers go by. */
static void tell_monitor(struct control *c)
{
	struct snapshot *s = c->snapshot;
	size_t count = s->config->clusters_count;
	struct monitor_order *o = calloc(1, sizeof(*o));

	if (o != NULL)
		o->clusters = calloc(count + 1, sizeof(*o->clusters));
	if (o == NULL || o->clusters == NULL) {
		log_error("out of memory: endpoints are checked by the old configuration");
		free(o);
		return;
	}
	for (size_t i = 0; i < count; i++)
		o->clusters[i] = (struct monitor_cluster){ s->clusters[i].view, s->clusters[i].tls };
	o->clusters_count = count;
	o->held = snapshot_ref(s);
	o->release = snapshot_release;
	monitor_apply(&c->monitor, &c->ring, o);
}

static void spread_over(struct control *c)
{
	struct snapshot *old = c->snapshot;
	bool is_first = old == c->reload.next;

	c->snapshot = c->reload.next;
	c->reload.next = NULL;
	snapshot_unref(old);
	if (!c->reload.is_refresh)
		reload_succeeded(c, is_first);
	if (c->shutdown.state != SHUTDOWN_NOT)
		return; /* which closes all sockets, when all workers have let go of them */
	if (is_first)
		upgrade_ready(c);
	sockets_keep(&c->sockets, c->snapshot->config);
	tell_monitor(c);
	if (is_first)
		log_info("holdfast " HF_VERSION " is ready: %u worker%s", c->crew.count,
			 c->crew.count == 1 ? "" : "s");
	else if (!c->reload.is_refresh)
		log_info("reload: the new configuration is in force");
	c->reload.is_refresh = false;
	discovery_follow(&c->discovery, c->snapshot->config);
	files_follow(&c->files, c->snapshot->config);
	hostnames_follow(&c->hostnames, c->snapshot);
	waiters_done(&c->reload.others, NULL);
	list_splice(&c->reload.others, &c->reload.others_later);
	if (c->reload.is_asked) {
		c->reload.is_asked = c->reload.has_new_files = false;
		list_splice(&c->reload.waiters, &c->reload.later);
		reload_ask(c);
	} else if (c->reload.has_new_files) {
		reload_files(c);
	}
	/* also where what was asked for has been refused: other endpoints are no part of the file */
	if (c->reload.is_stale && c->reload.next == NULL)
		reload_refresh(c);
	upgrade_go_on(c);
}

static void apply_back(struct crew_member *m)
{
	free(m->sockets);
	m->sockets = NULL;
	assert(m->control->reload.waiting > 0);
	if (--m->control->reload.waiting == 0)
		spread_over(m->control);
}

/* Before the first errand leaves, so that nothing can fail half way. */
static bool prepare_members(struct control *c, const struct config *config)
{
	for (unsigned i = 0; i < c->crew.count; i++) {
		struct crew_member *m = &c->crew.members[i];
		size_t count = sockets_of(&c->sockets, config, i, NULL);

		m->sockets = calloc(count + 1, sizeof(*m->sockets));
		if (m->sockets == NULL) {
			while (i-- > 0) {
				free(c->crew.members[i].sockets);
				c->crew.members[i].sockets = NULL;
			}
			return false;
		}
		m->sockets_count = count;
		sockets_of(&c->sockets, config, i, m->sockets);
	}
	return true;
}

int reload_spread(struct control *c, struct snapshot *s)
{
	assert(c->reload.next == NULL);
	if (!prepare_members(c, s->config)) {
		snapshot_unref(s);
		return -ENOMEM;
	}
	c->reload.next = s;
	c->reload.is_stale = false;
	c->reload.waiting = c->crew.count;
	for (unsigned i = 0; i < c->crew.count; i++) {
		c->crew.members[i].snapshot = snapshot_ref(s);
		errand_send(&c->crew.members[i].apply, &c->crew.members[i], apply_there, apply_back);
	}
	return 0;
}

/* ---- asked ---- */

/* Everything that can go wrong, in an order in which what was done can be taken back. */
static struct snapshot *make_next(struct control *c, struct config_errors *errors)
{
	const struct config *old = c->snapshot->config;
	struct snapshot *s = control_load(c, errors);

	if (s == NULL)
		return NULL;
	if (sockets_open(&c->sockets, s->config, errors)) {
		if (admin_prepare(&c->admin, s->config, errors)) {
			if (access_log_follow(old, s->config, errors))
				return s;
			admin_commit(&c->admin, false);
		}
		sockets_keep(&c->sockets, old);
	}
	snapshot_unref(s);
	return NULL;
}

void reload_ask(struct control *c)
{
	struct config_errors errors;
	struct snapshot *s;

	if (c->shutdown.state != SHUTDOWN_NOT) {
		log_info("reload: not any more, the process is about to end");
		return;
	}
	if (upgrade_is_starting(&c->upgrade)) {
		c->upgrade.is_reload = true; /* whoever is in charge then */
		return;
	}
	if (c->reload.next != NULL) {
		c->reload.is_asked = true;
		return;
	}
	notify_reloading(&c->notify);
	config_errors_init(&errors);
	s = make_next(c, &errors);
	reload_log_errors(&errors);
	if (s == NULL) {
		reload_failed(c, &errors);
		return;
	}
	waiters_read(c, s->config, &errors);
	config_errors_done(&errors);
	if (config_is_equal(c->snapshot->config, s->config))
		log_info("reload: nothing changed; certificates are read again all the same");
	warn_of_start_keys(c, s->config);
	reload_set_globals(c, s->config);
	if (reload_spread(c, s) < 0) {
		config_errors_init(&errors);
		config_errors_add(&errors, "reload", 0, 0, false, "out of memory");
		reload_failed(c, &errors);
		admin_commit(&c->admin, false);
		reload_set_globals(c, c->snapshot->config);
		sockets_keep(&c->sockets, c->snapshot->config);
		return;
	}
	admin_commit(&c->admin, true);
}

void reload_ask_for(struct control *c, struct reload_waiter *w)
{
	list_append(c->reload.next != NULL ? &c->reload.later : &c->reload.waiters, &w->link);
	reload_ask(c);
}

void reload_give_up(struct control *c)
{
	struct config_errors errors;

	config_errors_init(&errors);
	config_errors_add(&errors, "reload", 0, 0, false, "the process is about to end");
	waiters_done(&c->reload.waiters, &errors);
	waiters_done(&c->reload.later, &errors);
	waiters_done(&c->reload.others, &errors);
	waiters_done(&c->reload.others_later, &errors);
	config_errors_done(&errors);
}

void reload_init(struct reload *r)
{
	list_init(&r->waiters);
	list_init(&r->later);
	list_init(&r->others);
	list_init(&r->others_later);
	config_errors_init(&r->last_errors);
}

static void refresh_failed(struct control *c)
{
	struct config_errors errors;

	c->reload.is_refresh = c->reload.is_stale = false;
	log_error("out of memory: the endpoints stay as they are");
	config_errors_init(&errors);
	config_errors_add(&errors, "endpoints", 0, 0, false, "out of memory");
	waiters_done(&c->reload.others, &errors);
	config_errors_done(&errors);
}

void reload_refresh(struct control *c)
{
	struct snapshot *s;

	c->reload.is_stale = c->reload.next != NULL;
	if (c->shutdown.state != SHUTDOWN_NOT || c->reload.is_stale)
		return;
	s = snapshot_again(c->snapshot, c->clusters);
	c->reload.is_refresh = true;
	if (s == NULL || reload_spread(c, s) < 0)
		refresh_failed(c);
}

void reload_refresh_for(struct control *c, struct reload_waiter *w)
{
	list_append(c->reload.next != NULL ? &c->reload.others_later : &c->reload.others, &w->link);
	reload_refresh(c);
}

void reload_files(struct control *c)
{
	struct config_errors errors;
	struct snapshot *s;

	c->reload.has_new_files = c->reload.next != NULL;
	if (c->shutdown.state != SHUTDOWN_NOT || c->reload.has_new_files)
		return;
	config_errors_init(&errors);
	s = control_again(c, &errors);
	reload_log_errors(&errors);
	config_errors_done(&errors);
	c->reload.is_refresh = true;
	if (s == NULL)
		log_error("what was read from the files before stays in force");
	else if (reload_spread(c, s) == 0)
		return;
	c->reload.is_refresh = false;
}

void reload_done(struct reload *r)
{
	config_errors_done(&r->last_errors);
	snapshot_unref(r->next);
	r->next = NULL;
}
