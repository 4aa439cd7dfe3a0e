#include "control/admin.h"

#include "base/log.h"
#include "config/errors.h"
#include "control/admin_client.h"
#include "control/control.h"
#include "control/admin_job.h"
#include "net/socket.h"
#include "net/stream.h"
#include "proxy/counters.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ACCEPTS_A_TURN 16
#define RETRY_MS       200u
#define SAMPLE_MS      1000u
#define STOP_TURNS_MS  2000u

/* ---- accepting ---- */

static void listening_poll(struct admin_listening *l)
{
	struct io_uring_sqe *sqe;

	if (l->fd < 0 || l->admin->is_stopping || l->owner.in_flight > 0)
		return;
	sqe = ring_sqe(&l->admin->control->ring);
	io_uring_prep_poll_add(sqe, l->fd, POLLIN);
	ring_sqe_own(sqe, &l->poll_op);
}

static void on_poll(struct op *op, int res, uint32_t flags)
{
	struct admin_listening *l = container_of(op, struct admin_listening, poll_op);
	struct admin *a = l->admin;
	int fd = -EAGAIN;

	(void)flags;
	if (l->fd < 0 || a->is_stopping)
		return;
	for (unsigned i = 0; res >= 0 && i < ACCEPTS_A_TURN; i++) {
		fd = a->clients_count < ADMIN_CLIENTS_MAX ? socket_accept(l->fd, NULL) : -EMFILE;
		if (fd < 0)
			break;
		admin_client_start(a, l->door, fd);
	}
	if (fd < 0 && fd != -EAGAIN)
		ring_timer_arm(&a->control->ring, &l->retry, RETRY_MS);
	else
		listening_poll(l);
}

static void on_retry(struct timer *t)
{
	listening_poll(container_of(t, struct admin_listening, retry));
}

static void listening_free(struct owner *o)
{
	free(container_of(o, struct admin_listening, owner));
}

static struct admin_listening *listening_new(struct admin *a, enum admin_door door, const struct addr *addr, int fd)
{
	struct admin_listening *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	owner_init(&l->owner, &a->control->ring, listening_free);
	op_init(&l->poll_op, &l->owner, on_poll);
	timer_init(&l->retry, on_retry);
	l->admin = a;
	l->door = door;
	l->addr = *addr;
	l->fd = fd;
	return l;
}

static void listening_leave(struct admin_listening *l)
{
	if (l == NULL)
		return;
	if (l->owner.in_flight > 0) {
		struct io_uring_sqe *sqe = ring_sqe(&l->admin->control->ring);

		io_uring_prep_cancel(sqe, &l->poll_op, 0);
		ring_sqe_forget(sqe);
	}
	timer_cancel(&l->retry);
	close(l->fd);
	l->fd = -1;
	if (!l->admin->is_handed)
		socket_unlink(&l->addr);
	owner_close(&l->owner);
}

/* ---- configurations ---- */

static void wanted(const struct config *config, struct addr out[ADMIN_DOORS])
{
	char path[sizeof(((struct addr *)NULL)->un.sun_path) + 8];

	for (int i = 0; i < ADMIN_DOORS; i++)
		out[i] = (struct addr){ .len = 0 };
	if (config->admin == NULL)
		return;
	if (config->admin->socket != NULL &&
	    (size_t)snprintf(path, sizeof(path), "unix:%s", config->admin->socket) < sizeof(path))
		(void)addr_parse(&out[ADMIN_UNIX], path);
	out[ADMIN_TCP] = config->admin->listen;
}

/* Whoever may connect may command: mode and group are the file's from its first moment on. */
static int open_unix(const struct addr *addr, const struct config *config, const char **what)
{
	const struct admin_config *admin = config->admin;
	const struct passwd *user = config->user != NULL && geteuid() == 0 ? getpwnam(config->user) : NULL;
	const struct group *group = admin->group != NULL ? getgrnam(admin->group) : NULL;
	const char *path = addr->un.sun_path;
	mode_t old;
	int fd;

	if (admin->group != NULL && group == NULL) {
		*what = " (admin.group: there is no such group)";
		return -EINVAL;
	}
	old = umask(0777 & ~(mode_t)admin->mode);
	fd = socket_listen(addr, false);
	umask(old);
	if (fd < 0)
		return fd;
	if ((user != NULL || group != NULL) &&
	    chown(path, user != NULL ? user->pw_uid : (uid_t)-1,
		  group != NULL ? group->gr_gid : user != NULL ? user->pw_gid : (gid_t)-1) < 0) {
		int err = -errno;

		*what = " (admin.group: whoever runs this must be a member of it)";
		close(fd);
		socket_unlink(addr);
		return err;
	}
	return fd;
}

static int open_door(struct admin *a, enum admin_door door, const struct addr *addr, const struct config *config, const char **what)
{
	int fd = a->given[door].fd;

	if (fd >= 0 && addr_is_equal(&a->given[door].addr, addr)) {
		a->given[door].fd = -1;
		return fd;
	}
	if (door != ADMIN_UNIX)
		return socket_listen(addr, false);
	fd = open_unix(addr, config, what);
	if (fd == -EADDRINUSE)
		*what = " (another process listens there, or a file is in the way)";
	return fd;
}

static bool door_prepare(struct admin *a, enum admin_door door, const struct addr *addr, const struct config *config,
			 struct config_errors *errors)
{
	struct admin_listening *l = a->doors[door];
	const char *what = "";
	char text[ADDR_TEXT_MAX];

	a->next[door].is_changed = false;
	if (l == NULL ? addr->len == 0 : addr->len > 0 && addr_is_equal(&l->addr, addr))
		return true;
	a->next[door].addr = *addr;
	a->next[door].fd = -1;
	if (addr->len > 0) {
		a->next[door].fd = open_door(a, door, addr, config, &what);
		if (a->next[door].fd < 0) {
			addr_print(addr, text);
			config_errors_add(errors, text, 0, 0, false, "admin: %s%s", strerror(-a->next[door].fd), what);
			return false;
		}
	}
	a->next[door].is_changed = true;
	return true;
}

bool admin_prepare(struct admin *a, const struct config *config, struct config_errors *errors)
{
	struct addr addrs[ADMIN_DOORS];
	bool is_good = true;

	wanted(config, addrs);
	if (config->admin != NULL && config->admin->socket != NULL && addrs[ADMIN_UNIX].len == 0) {
		config_errors_add(errors, config->file, 0, 0, false,
				  "admin.socket: \"%.200s\" is no path of a socket, which has 107 bytes at most",
				  config->admin->socket);
		return false;
	}
	for (int i = 0; i < ADMIN_DOORS; i++)
		is_good = door_prepare(a, (enum admin_door)i, &addrs[i], config, errors) && is_good;
	if (!is_good)
		admin_commit(a, false);
	return is_good;
}

void admin_commit(struct admin *a, bool is_good)
{
	for (int i = 0; i < ADMIN_DOORS; i++) {
		if (!a->next[i].is_changed)
			continue;
		a->next[i].is_changed = false;
		if (is_good) {
			listening_leave(a->doors[i]);
			a->doors[i] = NULL;
			if (a->next[i].fd >= 0)
				a->doors[i] = listening_new(a, (enum admin_door)i, &a->next[i].addr, a->next[i].fd);
			if (a->doors[i] != NULL) {
				listening_poll(a->doors[i]);
				continue;
			}
		}
		if (a->next[i].fd >= 0) {
			close(a->next[i].fd);
			if (!a->is_handed)
				socket_unlink(&a->next[i].addr);
		}
	}
}

/* ---- from one process to the next ---- */

void admin_adopt(struct admin *a, enum admin_door door, const struct addr *addr, int fd)
{
	a->is_handed = true; /* until this process is ready, its files are the other's */
	a->given[door].addr = *addr;
	a->given[door].fd = fd;
}

void admin_adopted(struct admin *a)
{
	a->is_handed = false;
	for (int i = 0; i < ADMIN_DOORS; i++) {
		if (a->given[i].fd < 0)
			continue;
		close(a->given[i].fd);
		a->given[i].fd = -1;
		socket_unlink(&a->given[i].addr);
	}
}

void admin_hand_over(struct admin *a)
{
	a->is_handed = true;
	for (int i = 0; i < ADMIN_DOORS; i++) {
		if (a->doors[i] != NULL)
			listening_leave(a->doors[i]);
		a->doors[i] = NULL;
	}
}

/* ---- rates ---- */

static void sample(struct admin *a)
{
	static const unsigned ids[ADMIN_RATES] = {
		[ADMIN_RATE_HANDSHAKES] = PROXY_WEBSOCKETS,
		[ADMIN_RATE_REQUESTS] = PROXY_REQUESTS,
	};

	a->samples_at = (a->samples_at + 1) % ADMIN_SAMPLES;
	a->samples_count += a->samples_count < ADMIN_SAMPLES;
	a->sample_ms[a->samples_at] = a->control->ring.now_ms;
	for (unsigned i = 0; i < ADMIN_RATES; i++)
		a->samples[a->samples_at][i] = ids[i] != 0 ? counter_sum(ids[i]) : proxy_messages(i == ADMIN_RATE_MESSAGES_OUT);
}

static void on_sample(struct timer *t)
{
	struct admin *a = container_of(t, struct admin, sample_timer);

	if (a->doors[ADMIN_UNIX] != NULL || a->doors[ADMIN_TCP] != NULL)
		sample(a);
	ring_timer_arm(&a->control->ring, t, SAMPLE_MS);
}

double admin_rate(const struct admin *a, unsigned which)
{
	unsigned oldest = (a->samples_at + ADMIN_SAMPLES - (a->samples_count - 1)) % ADMIN_SAMPLES;
	uint64_t ms;

	if (a->samples_count < 2)
		return 0;
	ms = a->sample_ms[a->samples_at] - a->sample_ms[oldest];
	return ms == 0 ? 0 : (double)(a->samples[a->samples_at][which] - a->samples[oldest][which]) * 1000 / (double)ms;
}

/* ---- start and end ---- */

void admin_init(struct admin *a, struct control *c)
{
	*a = (struct admin){ .control = c };
	list_init(&a->clients);
	list_init(&a->jobs);
	for (int i = 0; i < ADMIN_DOORS; i++)
		a->given[i].fd = -1;
	timer_init(&a->sample_timer, on_sample);
}

void admin_start(struct admin *a)
{
	for (int i = 0; i < ADMIN_DOORS; i++)
		if (a->doors[i] != NULL)
			listening_poll(a->doors[i]);
	on_sample(&a->sample_timer);
}

void admin_stop(struct admin *a)
{
	struct ring *ring = &a->control->ring;
	uint64_t until_ms = ring->now_ms + STOP_TURNS_MS;

	a->is_stopping = true;
	timer_cancel(&a->sample_timer);
	for (int i = 0; i < ADMIN_DOORS; i++) {
		listening_leave(a->doors[i]);
		a->doors[i] = NULL;
	}
	/* what workers said before they ended is still read; then nobody waits any more */
	ring_timer_arm(ring, &a->sample_timer, 10);
	ring_turn(ring);
	admin_jobs_drop(a);
	reload_give_up(a->control);
	list_for_each_safe(node, next, &a->clients)
		admin_client_drop(container_of(node, struct admin_client, link));
	while (ring->owners > 0 && ring->now_ms < until_ms) {
		streams_end(ring);
		ring_timer_arm(ring, &a->sample_timer, 10); /* so that the turn ends */
		if (ring_turn(ring) < 0)
			break;
	}
	timer_cancel(&a->sample_timer);
}

void admin_done(struct admin *a)
{
	admin_commit(a, false);
	for (int i = 0; i < ADMIN_DOORS; i++) {
		if (a->given[i].fd >= 0) /* this process never came to work: they are the other's still */
			close(a->given[i].fd);
		a->given[i].fd = -1;
		if (a->doors[i] == NULL)
			continue;
		close(a->doors[i]->fd);
		if (!a->is_handed)
			socket_unlink(&a->doors[i]->addr);
		free(a->doors[i]);
		a->doors[i] = NULL;
	}
}
