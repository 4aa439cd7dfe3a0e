#include "control/control.h"

#include "base/clock.h"
#include "base/log.h"
#include "config/errors.h"
#include "control/process.h"
#include "net/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Leaks are looked for by a thread that has to look into the process. */
#ifdef __has_feature
#define IS_SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED true
#else
#define IS_SANITIZED false
#endif

#define RING_ENTRIES	 256u
#define MONITOR_ENTRIES	 256u
#define ROTATE_DEFAULT_S 43200u /* until a configuration with tickets comes */

/* ---- configurations ---- */

uint64_t control_rotate_s(const struct config *config)
{
	for (size_t i = 0; i < config->listeners_count; i++) {
		const struct listener_tls *t = config->listeners[i].tls;

		if (t != NULL && t->session_tickets != NULL)
			return t->session_tickets->rotate_ms / 1000;
	}
	return ROTATE_DEFAULT_S;
}

static struct snapshot *snapshot_of(struct control *c, struct config *config, struct config_errors *errors)
{
	const struct snapshot_sources sources = { .clusters = c->clusters,
						  .tickets = c->tickets,
						  .limits = c->limits,
						  .revocations = c->revocations,
						  .own_tls_listener = c->options->own_tls_listener,
						  .own_tls = c->options->own_tls };

	files_want(&c->files, config);
	discovery_prepare(c->clusters, config);
	/* the system's way of looking up, which blocks, where no other was asked for */
	clusters_set_lookup(c->clusters, config->resolver.servers_count == 0);
	return snapshot_new(config, &sources, errors);
}

struct snapshot *control_load(struct control *c, struct config_errors *errors)
{
	struct config *config = c->options->load(c->options->load_user, errors);
	struct snapshot *s;

	if (config == NULL)
		return NULL;
	s = snapshot_of(c, config, errors);
	config_unref(config);
	return s;
}

struct snapshot *control_again(struct control *c, struct config_errors *errors)
{
	return snapshot_of(c, c->snapshot->config, errors);
}

static bool add_failure(struct config_errors *errors, const char *what, int err)
{
	config_errors_add(errors, "holdfast", 0, 0, false, "%s: %s", what, strerror(err < 0 ? -err : err));
	return false;
}

static bool load_first(struct control *c, struct config_errors *errors)
{
	struct config *config = c->options->load(c->options->load_user, errors);

	if (config == NULL)
		return false;
	c->start.rotate_s = control_rotate_s(config);
	c->clusters = clusters_new();
	c->tickets = tls_tickets_new((uint32_t)c->start.rotate_s);
	c->start.table_entries = config->limits.table_entries;
	c->limits = limit_table_new(c->start.table_entries);
	c->revocations = revocations_new();
	if (c->clusters != NULL && c->tickets != NULL && c->limits != NULL && c->revocations != NULL &&
	    heritage_give_keys(&c->heritage, c))
		c->snapshot = snapshot_of(c, config, errors);
	else
		add_failure(errors, "keys and tables", ENOMEM);
	config_unref(config);
	return c->snapshot != NULL;
}

static void start_from_nothing(struct control *c, const struct control_options *options)
{
	memset(c, 0, sizeof(*c));
	c->options = options;
	c->crew.ended_fd = -1;
	c->signals.fd = -1;
	sockets_init(&c->sockets, 0);
	places_init(&c->places);
	c->start.pid_fd = -1;
	heritage_init(&c->heritage);
	shutdown_init(&c->shutdown, c);
	upgrade_init(&c->upgrade, c);
	reload_init(&c->reload);
	admin_init(&c->admin, c);
	notify_init(&c->notify);
	watcher_init(&c->watcher);
	files_init(&c->files, c);
	c->began_wall_ns = clock_wall_ns();
}

/* ---- the check alone ---- */

/* 0, or why no file could be made beside `path`. */
static int directory_fault(const char *path)
{
	char directory[PATH_MAX] = ".";
	const char *slash = strrchr(path, '/');
	struct stat st;

	if (slash != NULL)
		snprintf(directory, sizeof(directory), "%.*s", (int)(slash - path > 0 ? slash - path : 1), path);
	if (stat(directory, &st) < 0)
		return errno;
	if (!S_ISDIR(st.st_mode))
		return ENOTDIR;
	return access(directory, W_OK | X_OK) < 0 ? errno : 0;
}

/* 0, or why the log could not be opened; it is neither made nor written. */
static int log_fault(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd >= 0) {
		close(fd);
		return 0;
	}
	if (errno == ENOENT)
		return directory_fault(path);
	return errno == ENXIO ? 0 : errno; /* a pipe whose reader is still to come */
}

static void check_path(const struct config *config, const char *key, const char *path, int fault, struct config_errors *errors)
{
	if (fault != 0)
		config_errors_add(errors, config->file, 0, 0, true, "%s: %s: %s; a start here would fail", key, path,
				  strerror(fault));
}

/* What the start would open, and a check must leave alone.  Warnings, since the file may be meant for another machine. */
static void check_paths(const struct config *config, struct config_errors *errors)
{
	if (config->log.access != NULL && strcmp(config->log.access->path, "-") != 0)
		check_path(config, "log.access.path", config->log.access->path, log_fault(config->log.access->path), errors);
	for (size_t i = 0; i < config->listeners_count; i++) {
		for (size_t j = 0; j < config->listeners[i].bind_count; j++) {
			const struct addr *a = &config->listeners[i].bind[j];

			if (a->sa.sa_family == AF_UNIX && a->un.sun_path[0] != '\0')
				check_path(config, "listeners.bind", a->un.sun_path, directory_fault(a->un.sun_path), errors);
		}
	}
	if (config->admin != NULL && config->admin->socket != NULL)
		check_path(config, "admin.socket", config->admin->socket, directory_fault(config->admin->socket), errors);
	if (!process_user_is_known(config->user))
		config_errors_add(errors, config->file, 0, 0, true, "user: there is no \"%s\"; a start here would fail", config->user);
}

bool control_check(const struct control_options *options, struct config_errors *errors)
{
	struct control *c = malloc(sizeof(*c));
	bool is_good;

	if (c == NULL)
		return add_failure(errors, "the check", ENOMEM);
	start_from_nothing(c, options);
	is_good = load_first(c, errors);
	if (is_good)
		check_paths(c->snapshot->config, errors);
	control_done(c);
	free(c);
	return is_good;
}

/* ---- start ---- */

static bool open_access_log(const struct config *config, struct config_errors *errors)
{
	const char *path = config->log.access == NULL ? NULL : config->log.access->path;
	int err = log_access_open(path);

	if (err < 0)
		config_errors_add(errors, path, 0, 0, false, "the access log cannot be opened: %s",
				  strerror(-err));
	return err == 0;
}

static bool copy_text(char **to, const char *text)
{
	*to = text == NULL ? NULL : strdup(text);
	return text == NULL || *to != NULL;
}

static bool write_pid(struct control *c, const char *path, struct config_errors *errors)
{
	if (c->start.has_pid_of_before)
		return true;
	if (!copy_text(&c->start.pid_file, path))
		return add_failure(errors, "start", ENOMEM);
	if (process_pid_write(path, &c->start.pid_fd, errors))
		return true;
	free(c->start.pid_file);
	c->start.pid_file = NULL;
	return false;
}

/* Rings while locked memory is not counted yet, and before anybody can connect. */
static bool make_rings(struct control *c, struct config_errors *errors)
{
	int err = ring_init(&c->ring, RING_ENTRIES, true);

	if (err < 0)
		return add_failure(errors, "control's ring", err);
	c->has_ring = true;
	err = crew_init(&c->crew, c, c->sockets.workers, &c->places, process_ring_entries());
	if (err < 0)
		return add_failure(errors, "the workers' rings (see RLIMIT_MEMLOCK and RLIMIT_NOFILE)", err);
	for (unsigned i = 0; i < c->crew.count; i++)
		shutdown_watch(&c->crew.members[i]);
	discovery_init(&c->discovery, c);
	hostnames_init(&c->hostnames, c);
	err = monitor_init(&c->monitor, c->clusters, MONITOR_ENTRIES);
	if (err < 0)
		return add_failure(errors, "the monitor's ring (see RLIMIT_MEMLOCK and RLIMIT_NOFILE)", err);
	c->monitor.tell = crew_heed_endpoints;
	c->monitor.tell_user = &c->crew;
	err = signals_init(&c->signals, c);
	if (err < 0)
		return add_failure(errors, "signalfd", err);
	return true;
}

/* Sockets and files while their owner may open them. */
static bool open_all(struct control *c, struct config_errors *errors)
{
	const struct config *config = c->snapshot->config;
	bool is_good;

	sockets_init(&c->sockets, config->workers != 0 ? config->workers : process_cores());
	if (!heritage_give_sockets(&c->heritage, c, errors))
		return false;
	/* each is tried, so that one run finds all that is wrong */
	is_good = open_access_log(config, errors);
	is_good = sockets_probe(&c->sockets, config, errors) && is_good;
	is_good = admin_prepare(&c->admin, config, errors) && is_good;
	if (!process_user_is_known(config->user)) {
		config_errors_add(errors, config->file, 0, 0, false, "user: there is no \"%s\"", config->user);
		is_good = false;
	}
	if (!is_good || !make_rings(c, errors))
		return false;
	/* Between the two: who sees the process listen finds its pid, and who starts it twice does not lose the first one's. */
	return write_pid(c, config->pid_file, errors) && sockets_open(&c->sockets, config, errors);
}

static bool settle(struct control *c, struct config_errors *errors)
{
	const struct config *config = c->snapshot->config;
	int err;

	c->start.workers = config->workers;
	if (!copy_text(&c->start.user, config->user))
		return add_failure(errors, "start", ENOMEM);
	process_no_new_privileges();
	/* before privileges go: it opens stderr a second time */
	err = log_start();
	if (err < 0)
		return add_failure(errors, "the log's thread", err);
	c->has_log = true;
	if (config->log.access != NULL && strcmp(config->log.access->path, "-") != 0)
		process_give(config->log.access->path, config->user);
	c->start.connections_held = process_connections_max();
	reload_set_places(c, config);
	if (!process_become(config->user, errors))
		return false;
	if (!IS_SANITIZED)
		process_forbid_dumps();
	return true;
}

static bool init(struct control *c, const struct control_options *options, struct config_errors *errors)
{
	start_from_nothing(c, options);
	if (!heritage_take(&c->heritage, errors) || !load_first(c, errors))
		return false;
	reload_set_globals(c, c->snapshot->config);
	heritage_give_states(&c->heritage, c);
	return open_all(c, errors) && settle(c, errors);
}

bool control_init(struct control *c, const struct control_options *options, struct config_errors *errors)
{
	bool is_good = init(c, options, errors);

	if (!is_good)
		upgrade_failed(c, errors);
	return is_good;
}

/* ---- run ---- */

static void log_sockets(const struct config *config)
{
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < config->listeners_count; i++) {
		for (size_t j = 0; j < config->listeners[i].bind_count; j++) {
			addr_print(&config->listeners[i].bind[j], text);
			log_info("listener \"%s\": %s", config->listeners[i].name, text);
		}
	}
}

/* The first configuration comes to the workers as every later one does. */
static int start_work(struct control *c)
{
	struct snapshot *first = c->snapshot;
	int err;

	signals_listen(&c->signals);
	watcher_start(&c->watcher, &c->ring);
	admin_commit(&c->admin, true);
	admin_start(&c->admin);
	notify_start(&c->notify, &c->ring);
	err = crew_start(&c->crew);
	if (err == 0)
		err = monitor_start(&c->monitor);
	if (err < 0) {
		log_error("the workers could not be started: %s", strerror(-err));
		return err;
	}
	log_sockets(first->config);
	if (atomic_load(&c->places.max) != first->config->limits.max_connections)
		log_info("up to %u connections at once, since each takes two of the descriptors that RLIMIT_NOFILE allows (ulimit -n, "
			 "LimitNOFILE=)", atomic_load(&c->places.max));
	err = reload_spread(c, snapshot_ref(first));
	if (err < 0)
		log_error("start: out of memory");
	return err;
}

int control_run(struct control *c)
{
	int err = ring_enable(&c->ring);

	if (err < 0) {
		log_error("control's ring: %s", strerror(-err));
		return EXIT_FAILURE;
	}
	if (start_work(c) < 0) {
		c->shutdown.has_failed = true;
		shutdown_now(c);
	}
	err = ring_run(&c->ring);
	if (err < 0) {
		/* Nobody would hear a signal any more, and threads cannot be reached. */
		log_error("control's ring: %s", strerror(-err));
		log_stop();
		_exit(EXIT_FAILURE);
	}
	crew_join(&c->crew);
	admin_stop(&c->admin);
	log_info("shutdown: done");
	return c->shutdown.has_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

void control_done(struct control *c)
{
	admin_done(&c->admin);
	notify_done(&c->notify);
	sockets_done(&c->sockets);
	reload_done(&c->reload);
	monitor_done(&c->monitor); /* it writes to the workers' mail */
	crew_done(&c->crew);
	hostnames_stop(&c->hostnames);
	discovery_stop(&c->discovery);
	files_stop(&c->files);
	if (c->has_ring)
		ring_done(&c->ring);
	upgrade_done(&c->upgrade);
	heritage_done(&c->heritage);
	discovery_done(&c->discovery);
	watcher_done(&c->watcher);
	signals_done(&c->signals);
	snapshot_unref(c->snapshot);
	clusters_free(c->clusters);
	tls_tickets_free(c->tickets);
	limit_table_free(c->limits);
	revocations_free(c->revocations);
	places_done(&c->places);
	process_pid_remove(c->start.pid_file);
	if (c->start.pid_fd >= 0)
		close(c->start.pid_fd);
	free(c->start.user);
	free(c->start.pid_file);
	if (c->has_log)
		log_stop();
	else
		log_access_open(NULL);
}
