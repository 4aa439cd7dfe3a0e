#include "control/upgrade.h"

#include "base/log.h"
#include "base/str.h"
#include "config/errors.h"
#include "control/control.h"
#include "control/process.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* ---- the one that goes: how it ends ---- */

static void waiters_done(struct upgrade *u, pid_t pid, const char *why)
{
	struct list *node;

	while ((node = list_take_first(&u->waiters)) != NULL) {
		struct upgrade_waiter *w = container_of(node, struct upgrade_waiter, link);

		w->done(w, pid, why);
	}
}

/* The new process is gone or goes. */
static void forget(struct upgrade *u)
{
	timer_cancel(&u->deadline);
	if (u->channel >= 0)
		close(u->channel);
	u->channel = -1;
	free(u->said);
	u->said = NULL;
	u->pid = 0;
}

static void reload_if_asked(struct control *c)
{
	if (!c->upgrade.is_reload)
		return;
	c->upgrade.is_reload = false;
	reload_ask(c);
}

static void failed(struct upgrade *u, const char *why)
{
	struct control *c = u->control;

	log_error("upgrade: refused, this process goes on: %s", why);
	notify_ready(&c->notify, "the last upgrade was refused, the old binary goes on");
	u->failed_count++;
	waiters_done(u, 0, why);
	reload_if_asked(c);
}

/* What it was is told by its exit status where it has not said more. */
static void reap(struct upgrade *u, char *why, size_t cap)
{
	int status = 0;
	pid_t done = 0;

	assert(u->pid > 0);
	/* it has closed the channel, so it ends, or hangs in its end: nobody has to wait for that */
	for (unsigned i = 0; i < 50 && done == 0; i++) {
		done = waitpid(u->pid, &status, WNOHANG);
		if (done == 0)
			usleep(10000);
	}
	if (done == 0 && kill(u->pid, SIGKILL) == 0)
		waitpid(u->pid, &status, 0);
	if (WIFSIGNALED(status))
		snprintf(why, cap, "the new process was ended by signal %d before it was ready", WTERMSIG(status));
	else
		snprintf(why, cap, "the new process has ended with status %d before it was ready: see its log",
			 WEXITSTATUS(status));
}

static void has_ended(struct upgrade *u, const char *said)
{
	char why[128];

	reap(u, why, sizeof(why));
	forget(u);
	failed(u, said != NULL ? said : why);
}

/* ---- the one that goes: what it hears ---- */

static char *errors_text(const json_t *list)
{
	struct str text;
	const json_t *row;
	char *copy;
	size_t i;

	str_init_heap(&text, UPGRADE_SAID_MAX);
	json_array_foreach(list, i, row) {
		if (i > 0)
			str_char(&text, '\n');
		str_cstr(&text, json_string_value(row) != NULL ? json_string_value(row) : "?");
	}
	copy = strdup(str_text(&text));
	str_done(&text);
	return copy;
}

static int compare_fds(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

static bool read_handed(struct upgrade *u, const json_t *list)
{
	const json_t *row;
	size_t i;

	u->handed = calloc(json_array_size(list) + 1, sizeof(*u->handed));
	if (u->handed == NULL)
		return false;
	json_array_foreach(list, i, row)
		u->handed[u->handed_count++] = (int)json_integer_value(row);
	qsort(u->handed, u->handed_count, sizeof(*u->handed), compare_fds);
	return true;
}

/* From here on the other one is the service: what is still open is served to its end. */
static void taken_over(struct upgrade *u, const json_t *said)
{
	struct control *c = u->control;

	if (!read_handed(u, json_object_get(said, "sockets"))) {
		log_error("upgrade: out of memory");
		has_ended(u, "out of memory");
		return;
	}
	timer_cancel(&u->deadline);
	close(u->channel);
	u->channel = -1;
	u->is_handed = true;
	sockets_hand_over(&c->sockets, u->handed, u->handed_count);
	if (json_is_true(json_object_get(said, "pid_file"))) {
		process_pid_change(c->start.pid_fd, u->pid);
		free(c->start.pid_file);
		c->start.pid_file = NULL;
	}
	notify_main_pid(&c->notify, u->pid);
	admin_hand_over(&c->admin);
	log_info("upgrade: process %ld has taken over", (long)u->pid);
	if (u->is_reload)
		kill(u->pid, SIGHUP);
	reload_give_up(c);
	waiters_done(u, u->pid, NULL);
	shutdown_handed_over(c);
}

static void listen_to(struct upgrade *u)
{
	struct io_uring_sqe *sqe = ring_sqe(&u->control->ring);

	io_uring_prep_recv(sqe, u->channel, u->said, UPGRADE_SAID_MAX, 0);
	ring_sqe_own(sqe, &u->said_op);
}

static void on_said(struct op *op, int res, uint32_t flags)
{
	struct upgrade *u = container_of(op, struct upgrade, said_op);
	json_t *said = res > 0 ? json_loadb(u->said, (size_t)res, 0, NULL) : NULL;
	char *why = NULL;

	(void)flags;
	if (u->said == NULL || u->is_handed || u->pid == 0) {
		json_decref(said);
		return; /* given up meanwhile */
	}
	if (json_is_true(json_object_get(said, "ready"))) {
		taken_over(u, said);
	} else {
		why = said != NULL ? errors_text(json_object_get(said, "errors")) : NULL;
		has_ended(u, why);
	}
	free(why);
	json_decref(said);
}

/* Its channel ends with it: that is heard, and ends the wait. */
static void on_deadline(struct timer *t)
{
	struct upgrade *u = container_of(t, struct upgrade, deadline);

	log_warn("upgrade: process %ld was not ready in time (upgrade.timeout)", (long)u->pid);
	kill(u->pid, SIGKILL);
}

/* ---- the one that goes: how it begins ---- */

/* This process's environment, but what concerns this process alone; gives an array of borrowed strings. */
static char **environment(char *ours)
{
	static const char *const without[] = { "WATCHDOG_PID=", "LISTEN_PID=", "LISTEN_FDS=", HANDOVER_ENV "=" };
	size_t count = 0, used = 0;
	char **out;

	while (environ[count] != NULL)
		count++;
	out = calloc(count + 2, sizeof(*out));
	for (size_t i = 0; out != NULL && i < count; i++) {
		bool is_left_out = false;

		for (size_t k = 0; k < ARRAY_LEN(without); k++)
			is_left_out = is_left_out || strncmp(environ[i], without[k], strlen(without[k])) == 0;
		if (!is_left_out)
			out[used++] = environ[i];
	}
	if (out != NULL)
		out[used] = ours;
	return out;
}

/* Descriptors keep their numbers: in a child, one that is duplicated onto itself stays open. */
static int spawn(struct upgrade *u, const struct handover *h, int their_end)
{
	const struct control_options *o = u->control->options;
	posix_spawn_file_actions_t actions;
	char ours[64];
	char **env;
	int err;

	snprintf(ours, sizeof(ours), HANDOVER_ENV "=%d,%d", their_end, h->memfd);
	env = environment(ours);
	if (env == NULL)
		return ENOMEM;
	err = posix_spawn_file_actions_init(&actions);
	if (err == 0) {
		err = posix_spawn_file_actions_adddup2(&actions, their_end, their_end);
		for (size_t i = 0; i < h->fds_count && err == 0; i++)
			err = posix_spawn_file_actions_adddup2(&actions, h->fds[i], h->fds[i]);
		if (err == 0)
			err = posix_spawn(&u->pid, o->binary, &actions, NULL, o->arguments, env);
		posix_spawn_file_actions_destroy(&actions);
	}
	free(env);
	if (err != 0)
		u->pid = 0;
	return err;
}

/* 0 or an errno. */
static int start(struct upgrade *u)
{
	struct handover h = { .memfd = -1 };
	int ends[2], err;

	u->said = malloc(UPGRADE_SAID_MAX);
	if (u->said == NULL)
		return ENOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return errno;
	u->channel = ends[0];
	err = -handover_write(u->control, &h);
	if (err == 0)
		err = spawn(u, &h, ends[1]);
	handover_done(&h);
	close(ends[1]);
	return err;
}

static void begin(struct control *c)
{
	struct upgrade *u = &c->upgrade;
	char why[512];
	int err;

	if (c->options->binary == NULL) {
		failed(u, "what runs here has no file on disk that could take over");
		return;
	}
	log_info("upgrade: starting %s", c->options->binary);
	err = start(u);
	if (err != 0) {
		forget(u);
		snprintf(why, sizeof(why), "%s cannot be started: %s", c->options->binary, strerror(err));
		failed(u, why);
		return;
	}
	listen_to(u);
	ring_timer_arm(&c->ring, &u->deadline, c->snapshot->config->upgrade.timeout_ms);
}

void upgrade_ask(struct control *c)
{
	struct upgrade *u = &c->upgrade;

	if (c->shutdown.state != SHUTDOWN_NOT) {
		log_info("upgrade: not any more, the process is about to end");
		waiters_done(u, 0, "the process is about to end");
	} else if (upgrade_is_starting(u)) {
		log_info("upgrade: process %ld is starting already", (long)u->pid);
	} else if (c->reload.next != NULL) {
		u->is_asked = true;
	} else {
		begin(c);
	}
}

void upgrade_ask_for(struct control *c, struct upgrade_waiter *w)
{
	list_append(&c->upgrade.waiters, &w->link);
	upgrade_ask(c);
}

void upgrade_go_on(struct control *c)
{
	if (!c->upgrade.is_asked || c->reload.next != NULL)
		return;
	c->upgrade.is_asked = false;
	upgrade_ask(c);
}

void upgrade_give_up(struct control *c)
{
	struct upgrade *u = &c->upgrade;

	if (upgrade_is_starting(u)) {
		log_info("upgrade: given up, the process is about to end");
		kill(u->pid, SIGKILL);
		waitpid(u->pid, NULL, 0);
		shutdown(u->channel, SHUT_RDWR); /* the receive ends, and finds nothing to do */
		u->is_handed = false;
		timer_cancel(&u->deadline);
		u->pid = 0;
	}
	waiters_done(u, 0, "the process is about to end");
}

void upgrade_init(struct upgrade *u, struct control *c)
{
	*u = (struct upgrade){ .control = c, .channel = -1 };
	list_init(&u->waiters);
	timer_init(&u->deadline, on_deadline);
	op_init(&u->said_op, NULL, on_said);
}

void upgrade_done(struct upgrade *u)
{
	forget(u);
	free(u->handed);
	u->handed = NULL;
}

/* ---- the one that comes ---- */

static void say(struct control *c, json_t *what)
{
	char *text = json_dumps(what, JSON_COMPACT);

	if (text != NULL && send(c->heritage.channel, text, strlen(text), MSG_NOSIGNAL) < 0)
		log_warn("upgrade: the process before does not listen: %s", strerror(errno));
	free(text);
	json_decref(what);
}

/* Numbers of what this process has opened itself would say something else to the other. */
struct used {
	const struct heritage *heritage;
	json_t *list;
};

static void add_sockets(void *user, const struct addr *addr, const int *fds, unsigned count, bool is_lent)
{
	struct used *u = user;

	(void)addr;
	(void)is_lent;
	for (unsigned i = 0; i < count; i++)
		if (heritage_has_fd(u->heritage, fds[i]))
			json_array_append_new(u->list, json_integer(fds[i]));
}

void upgrade_ready(struct control *c)
{
	struct used u = { &c->heritage, NULL };
	bool has_pid = c->start.has_pid_of_before;

	if (c->heritage.state == NULL)
		return;
	sockets_settle(&c->sockets);
	sockets_keep(&c->sockets, c->snapshot->config);
	admin_adopted(&c->admin);
	if (has_pid)
		c->start.pid_file = strdup(c->snapshot->config->pid_file);
	u.list = json_array();
	sockets_each(&c->sockets, add_sockets, &u);
	say(c, json_pack("{s:b, s:b, s:o}", "ready", true, "pid_file", has_pid, "sockets", u.list));
	log_info("upgrade: took over from process %lld",
		 (long long)json_integer_value(json_object_get(c->heritage.state, "pid")));
	heritage_done(&c->heritage);
}

void upgrade_failed(struct control *c, const struct config_errors *errors)
{
	json_t *list = json_array();
	size_t len = 0;

	for (size_t i = 0; i < errors->list_count && len < UPGRADE_SAID_MAX / 4; i++) {
		len += strlen(errors->list[i].text);
		if (!errors->list[i].is_warning)
			json_array_append_new(list, json_string(errors->list[i].text));
	}
	if (c->heritage.channel >= 0)
		say(c, json_pack("{s:b, s:o}", "ready", false, "errors", list));
	else
		json_decref(list);
}
