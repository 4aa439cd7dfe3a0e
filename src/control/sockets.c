#include "control/sockets.h"

#include "config/errors.h"
#include "net/socket.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of one address, beyond the number of workers. */
#define LENT_MAX 64u

struct listening {
	struct list link;
	struct addr addr;
	bool is_new; /* of the sockets_open() that is running */
	bool is_adopted;
	bool is_handed; /* another process has it as well */
	bool is_lent;	/* systemd's, for good */
	unsigned count;
	unsigned cap;
	int fds[]; /* one for each worker, one for all, or as many as were inherited */
};

void sockets_init(struct sockets *s, unsigned workers)
{
	list_init(&s->all);
	s->workers = workers;
}

void sockets_done(struct sockets *s)
{
	sockets_keep(s, NULL);
}

static bool is_unix(const struct addr *a)
{
	return a->sa.sa_family == AF_UNIX;
}

/* ---- finding ---- */

static struct listening *find(const struct sockets *s, const struct addr *a)
{
	list_for_each (node, &s->all) {
		struct listening *l = container_of(node, struct listening, link);

		if (addr_is_equal(&l->addr, a))
			return l;
	}
	return NULL;
}

static bool names(const struct config *c, const struct addr *a)
{
	for (size_t i = 0; c != NULL && i < c->listeners_count; i++)
		for (size_t j = 0; j < c->listeners[i].bind_count; j++)
			if (addr_is_equal(&c->listeners[i].bind[j], a))
				return true;
	return false;
}

/* ---- opening ---- */

static const char *remedy(int err)
{
	static const struct {
		int err;
		const char *text;
	} rows[] = {
		{ EADDRINUSE, " (another process listens there)" },
		{ EADDRNOTAVAIL, " (no interface of this machine has it)" },
		{ EACCES,
		  " (a port below 1024 wants root or CAP_NET_BIND_SERVICE; a path a writable directory)" },
		{ ENOENT, " (its directory is missing)" },
		{ EMFILE, " (raise the limit of open files: ulimit -n, LimitNOFILE=)" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].err == err)
			return rows[i].text;
	return "";
}

static void add_error(struct config_errors *errors, const struct addr *a, int err)
{
	char text[ADDR_TEXT_MAX];

	addr_print(a, text);
	config_errors_add(errors, text, 0, 0, false, "%s%s", strerror(err), remedy(err));
}

/* Our own sockets on the port, whatever the host: [::]:80 and 0.0.0.0:80 stand in a probe's way, and not in one
 * another's. */
static bool has_port(const struct sockets *s, const struct addr *a)
{
	list_for_each (node, &s->all) {
		const struct listening *l = container_of(node, struct listening, link);

		if (!is_unix(&l->addr) && addr_port(&l->addr) == addr_port(a))
			return true;
	}
	return false;
}

/* SO_REUSEPORT lets every process of this user join in silently, and each would get its share of the connections: so a
 * socket without it asks first.  0, or why not. */
static int probe(struct sockets *s, const struct addr *a)
{
	int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err = 0, one = 1;

	if (fd < 0)
		return errno;
	if (is_unix(a)) {
		/* a file that nobody listens on is no obstacle: socket_listen() removes it */
		if (connect(fd, &a->sa, a->len) == 0 || errno == EAGAIN)
			err = EADDRINUSE;
		close(fd);
		return err;
	}
	/* connections of an earlier process in TIME_WAIT are no obstacle */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 || bind(fd, &a->sa, a->len) < 0)
		err = errno;
	close(fd);
	return err == EADDRINUSE && has_port(s, a) ? 0 : err;
}

static void listening_free(struct listening *l)
{
	for (unsigned i = 0; i < l->count; i++)
		close(l->fds[i]);
	/* the file is there only when it is ours: bind(2) has made it */
	if (l->count > 0 && !l->is_handed && !l->is_lent)
		socket_unlink(&l->addr);
	list_remove(&l->link);
	free(l);
}

static struct listening *listening_new(struct sockets *s, const struct addr *a, unsigned cap)
{
	struct listening *l = calloc(1, sizeof(*l) + cap * sizeof(l->fds[0]));

	if (l == NULL)
		return NULL;
	l->addr = *a;
	l->cap = cap;
	list_append(&s->all, &l->link);
	return l;
}

/* 0, or why not. */
static int open_one(struct sockets *s, const struct addr *a)
{
	unsigned wanted = is_unix(a) ? 1 : s->workers;
	struct listening *l = listening_new(s, a, wanted);

	if (l == NULL)
		return ENOMEM;
	l->is_new = true;
	while (l->count < wanted) {
		int fd = socket_listen(a, !is_unix(a));

		if (fd < 0) {
			listening_free(l);
			return -fd;
		}
		l->fds[l->count++] = fd;
	}
	return 0;
}

/* ---- inherited ---- */

int sockets_adopt(struct sockets *s, const struct addr *addr, const int *fds, unsigned count, bool is_lent)
{
	/* systemd's come one at a time */
	struct listening *l = listening_new(s, addr, (count > s->workers ? count : s->workers) + (is_lent ? LENT_MAX : 0));

	if (l == NULL)
		return -ENOMEM;
	memcpy(l->fds, fds, count * sizeof(*fds));
	l->count = count;
	l->is_adopted = l->is_handed = true;
	l->is_lent = is_lent;
	return 0;
}

int sockets_borrow(struct sockets *s, const struct addr *addr, int fd)
{
	struct listening *l = find(s, addr);

	if (l == NULL)
		return sockets_adopt(s, addr, &fd, 1, true);
	if (l->count == l->cap)
		return -ENOSPC;
	l->fds[l->count++] = fd;
	return 0;
}

void sockets_settle(struct sockets *s)
{
	list_for_each (node, &s->all)
		container_of(node, struct listening, link)->is_handed = false;
}

/* One for each worker, where more than one process's worth was not inherited; where that may not be, they are shared. */
static void complete(struct sockets *s)
{
	list_for_each (node, &s->all) {
		struct listening *l = container_of(node, struct listening, link);

		if (!l->is_adopted || is_unix(&l->addr))
			continue;
		while (l->count < s->workers && l->count < l->cap) {
			int fd = socket_listen(&l->addr, true);

			if (fd < 0)
				break;
			l->fds[l->count++] = fd;
		}
		l->is_adopted = false;
	}
}

typedef int each_fn(struct sockets *s, const struct addr *a);

/* For every address that is not open; true: all went well. */
static bool each_missing(struct sockets *s, const struct config *c, each_fn *fn, struct config_errors *errors)
{
	bool is_good = true;

	for (size_t i = 0; i < c->listeners_count; i++) {
		for (size_t j = 0; j < c->listeners[i].bind_count; j++) {
			const struct addr *a = &c->listeners[i].bind[j];
			int err = find(s, a) != NULL ? 0 : fn(s, a);

			if (err != 0) {
				add_error(errors, a, err);
				is_good = false;
			}
		}
	}
	return is_good;
}

bool sockets_probe(struct sockets *s, const struct config *c, struct config_errors *errors)
{
	return each_missing(s, c, probe, errors);
}

bool sockets_open(struct sockets *s, const struct config *c, struct config_errors *errors)
{
	bool is_good = sockets_probe(s, c, errors) && each_missing(s, c, open_one, errors);

	list_for_each_safe (node, next, &s->all) {
		struct listening *l = container_of(node, struct listening, link);

		if (l->is_new && !is_good)
			listening_free(l);
		else
			l->is_new = false;
	}
	if (is_good)
		complete(s);
	return is_good;
}

void sockets_keep(struct sockets *s, const struct config *c)
{
	list_for_each_safe (node, next, &s->all) {
		struct listening *l = container_of(node, struct listening, link);

		if (!names(c, &l->addr))
			listening_free(l);
	}
}

/* ---- for the workers ---- */

size_t sockets_of(const struct sockets *s, const struct config *c, unsigned worker, struct worker_socket *out)
{
	size_t used = 0;

	assert(worker < s->workers);
	for (size_t i = 0; i < c->listeners_count; i++) {
		for (size_t j = 0; j < c->listeners[i].bind_count; j++) {
			const struct listening *l = find(s, &c->listeners[i].bind[j]);

			assert(l != NULL);
			for (unsigned k = worker % l->count; k < l->count; k += s->workers, used++)
				if (out != NULL)
					out[used] = (struct worker_socket){ .addr = l->addr,
									    .fd = l->fds[k],
									    .listener = &c->listeners[i],
									    .listener_index = i };
		}
	}
	return used;
}

/* ---- for the next process ---- */

void sockets_each(const struct sockets *s, sockets_visit_fn *visit, void *user)
{
	list_for_each (node, &s->all) {
		const struct listening *l = container_of(node, struct listening, link);

		visit(user, &l->addr, l->fds, l->count, l->is_lent);
	}
}

void sockets_hand_over(struct sockets *s, const int *fds, size_t count)
{
	list_for_each (node, &s->all) {
		struct listening *l = container_of(node, struct listening, link);

		for (size_t i = 0; i < count; i++)
			l->is_handed = l->is_handed || fds[i] == l->fds[0];
	}
}
