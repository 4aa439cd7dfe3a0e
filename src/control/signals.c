#include "control/signals.h"

#include "base/log.h"
#include "control/control.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static void reopen_logs(struct control *c)
{
	const struct access_log_config *access = c->snapshot->config->log.access;
	int err;

	if (access == NULL || strcmp(access->path, "-") == 0)
		return; /* standard output is whose it is */
	err = log_access_reopen();
	if (err < 0)
		log_error("%s: %s: the access log goes on into the old file", access->path, strerror(-err));
	else
		log_info("%s: opened again", access->path);
}

static const struct {
	int number;
	const char *name;
	void (*act)(struct control *);
} actions[] = {
	{ SIGHUP, "SIGHUP", reload_ask },     { SIGTERM, "SIGTERM", shutdown_gracefully },
	{ SIGINT, "SIGINT", shutdown_now }, /* also within the grace */
	{ SIGQUIT, "SIGQUIT", shutdown_now }, { SIGUSR1, "SIGUSR1", reopen_logs },
	{ SIGUSR2, "SIGUSR2", upgrade_ask },
};

static void make_set(sigset_t *set)
{
	sigemptyset(set);
	for (size_t i = 0; i < ARRAY_LEN(actions); i++)
		sigaddset(set, actions[i].number);
}

void signals_block(void)
{
	sigset_t set;

	make_set(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

int signals_init(struct signals *s, struct control *control)
{
	sigset_t set;

	make_set(&set);
	s->control = control;
	s->fd = signalfd(-1, &set, SFD_CLOEXEC);
	return s->fd < 0 ? -errno : 0;
}

static void on_signals(struct op *op, int res, uint32_t flags)
{
	struct signals *s = container_of(op, struct signals, read_op);
	size_t count = res > 0 ? (size_t)res / sizeof(s->infos[0]) : 0;

	(void)flags;
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < ARRAY_LEN(actions); j++) {
			if ((int)s->infos[i].ssi_signo != actions[j].number)
				continue;
			log_debug("%s", actions[j].name);
			actions[j].act(s->control);
		}
	}
	signals_listen(s);
}

void signals_listen(struct signals *s)
{
	struct io_uring_sqe *sqe = ring_sqe(&s->control->ring);

	op_init(&s->read_op, NULL, on_signals);
	io_uring_prep_read(sqe, s->fd, s->infos, sizeof(s->infos), 0);
	ring_sqe_own(sqe, &s->read_op);
}

void signals_done(struct signals *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}
