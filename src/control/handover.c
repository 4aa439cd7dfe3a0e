#include "control/handover.h"

#include "base/digest.h"
#include "base/log.h"
#include "cluster/handover.h"
#include "config/errors.h"
#include "control/control.h"
#include "net/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Of what is written.  Another number is refused by the one that comes, and the one that goes stays. */
#define FORMAT 1
#define SYSTEMD_FIRST_FD 3

/* ---- bytes as text ---- */

static json_t *bytes_to_json(const void *bytes, size_t len)
{
	char text[256];

	hex_encode(bytes, len, text);
	return json_string(text);
}

static bool bytes_of_json(const json_t *value, uint8_t *out, size_t len)
{
	const char *text = json_string_value(value);

	if (text == NULL || strlen(text) != 2 * len)
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned byte;

		if (sscanf(text + 2 * i, "%2x", &byte) != 1)
			return false;
		out[i] = (uint8_t)byte;
	}
	return true;
}

/* ---- the one that goes ---- */

struct writing {
	json_t *list;
	struct handover *out;
	bool has_failed;
};

static void add_fd(struct writing *w, int fd)
{
	int *more = realloc(w->out->fds, (w->out->fds_count + 1) * sizeof(*more));

	if (more == NULL) {
		w->has_failed = true;
		return;
	}
	more[w->out->fds_count++] = fd;
	w->out->fds = more;
}

static void write_socket(void *user, const struct addr *addr, const int *fds, unsigned count, bool is_lent)
{
	struct writing *w = user;
	char text[ADDR_TEXT_MAX];
	json_t *list = json_array();

	for (unsigned i = 0; i < count; i++) {
		json_array_append_new(list, json_integer(fds[i]));
		add_fd(w, fds[i]);
	}
	addr_print(addr, text);
	json_array_append_new(w->list, json_pack("{s:s, s:o, s:b}", "address", text, "fds", list, "lent", is_lent));
}

static void write_endpoint(const struct endpoint_state *s, void *user)
{
	struct writing *w = user;
	json_t *row = json_pack("{s:s, s:s, s:i, s:i, s:s, s:I, s:i, s:I, s:I}", "cluster", s->cluster, "endpoint",
				s->endpoint, "mode", (int)s->mode, "health", (int)s->health, "why", s->why, "since_ns",
				(json_int_t)s->since_ns, "ejections", (int)s->ejections, "ejected_for_ms",
				(json_int_t)s->ejected_for_ms, "weight", (json_int_t)s->weight);

	if (s->slow_since_ms != HANDOVER_NO_SLOW_START)
		json_object_set_new(row, "slow_since_ms", json_integer((json_int_t)s->slow_since_ms));
	json_array_append_new(w->list, row);
}

static json_t *doors_json(struct control *c, struct writing *w)
{
	json_t *list = json_array();

	for (int i = 0; i < ADMIN_DOORS; i++) {
		const struct admin_listening *l = c->admin.doors[i];
		char text[ADDR_TEXT_MAX];

		if (l == NULL)
			continue;
		addr_print(&l->addr, text);
		json_array_append_new(list, json_pack("{s:i, s:s, s:i}", "door", i, "address", text, "fd", l->fd));
		add_fd(w, l->fd);
	}
	return list;
}

static json_t *tickets_json(struct control *c)
{
	struct tls_tickets_state state;
	json_t *keys = json_array(), *all;

	tls_tickets_save(c->tickets, &state);
	for (size_t i = 0; i < sizeof(state.is_set) && state.is_set[i]; i++)
		json_array_append_new(keys, bytes_to_json(state.keys[i], sizeof(state.keys[i])));
	all = json_pack("{s:I, s:o}", "age_ms", (json_int_t)state.age_ms, "keys", keys);
	explicit_bzero(&state, sizeof(state));
	return all;
}

static json_t *state_json(struct control *c, struct writing *w)
{
	uint8_t secret[STICKY_SECRET_LEN];
	json_t *all = json_pack("{s:i, s:s, s:i, s:b}", "format", FORMAT, "version", HF_VERSION, "pid", (int)getpid(), "away",
				c->admin.is_away);
	enum log_level level = atomic_load(&log_threshold);

	if (level != reload_log_level(c->snapshot->config))
		json_object_set_new(all, "log_level", json_integer(level));

	w->list = json_array();
	sockets_each(&c->sockets, write_socket, w);
	json_object_set_new(all, "sockets", w->list);
	json_object_set_new(all, "admin", doors_json(c, w));
	w->list = json_array();
	handover_each(c->clusters, write_endpoint, w);
	json_object_set_new(all, "endpoints", w->list);
	json_object_set_new(all, "tickets", tickets_json(c));
	handover_secret(c->clusters, secret);
	json_object_set_new(all, "affinity_secret", bytes_to_json(secret, sizeof(secret)));
	explicit_bzero(secret, sizeof(secret));
	if (c->start.pid_fd >= 0) {
		json_object_set_new(all, "pid_file", json_string(c->start.pid_file));
		json_object_set_new(all, "pid_fd", json_integer(c->start.pid_fd));
		add_fd(w, c->start.pid_fd);
	}
	return all;
}

static int compare_fds(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

int handover_write(struct control *c, struct handover *out)
{
	struct writing w = { .out = out };
	json_t *all;
	int err = 0;

	*out = (struct handover){ .memfd = memfd_create("holdfast-upgrade", MFD_CLOEXEC) };
	if (out->memfd < 0)
		return -errno;
	all = state_json(c, &w);
	add_fd(&w, out->memfd);
	if (all == NULL || w.has_failed || json_dumpfd(all, out->memfd, JSON_COMPACT) < 0)
		err = -ENOMEM;
	json_decref(all);
	qsort(out->fds, out->fds_count, sizeof(*out->fds), compare_fds);
	return err;
}

void handover_done(struct handover *h)
{
	if (h->memfd >= 0)
		close(h->memfd);
	free(h->fds);
	*h = (struct handover){ .memfd = -1 };
}

/* ---- the one that comes ---- */

void heritage_init(struct heritage *h)
{
	*h = (struct heritage){ .channel = -1 };
}

static bool refuse(struct config_errors *errors, const char *what)
{
	config_errors_add(errors, "upgrade", 0, 0, false, "%s", what);
	return false;
}

bool heritage_take(struct heritage *h, struct config_errors *errors)
{
	const char *text = getenv(HANDOVER_ENV);
	int memfd;

	if (text == NULL)
		return true;
	if (sscanf(text, "%d,%d", &h->channel, &memfd) != 2 || fcntl(h->channel, F_SETFD, FD_CLOEXEC) < 0 ||
	    lseek(memfd, 0, SEEK_SET) < 0) {
		h->channel = -1;
		return refuse(errors, HANDOVER_ENV " is set, and not by a process that is being upgraded");
	}
	unsetenv(HANDOVER_ENV);
	h->state = json_loadfd(memfd, 0, NULL);
	close(memfd);
	if (json_integer_value(json_object_get(h->state, "format")) != FORMAT)
		return refuse(errors, "this version does not understand what the running one hands over: restart instead");
	return true;
}

void heritage_done(struct heritage *h)
{
	json_decref(h->state);
	if (h->channel >= 0)
		close(h->channel);
	heritage_init(h);
}

bool heritage_give_keys(const struct heritage *h, struct control *c)
{
	const json_t *tickets = json_object_get(h->state, "tickets"), *key;
	struct tls_tickets_state state = { .age_ms = (uint64_t)json_integer_value(json_object_get(tickets, "age_ms")) };
	uint8_t secret[STICKY_SECRET_LEN];
	bool is_good = true;
	size_t i;

	if (h->state == NULL)
		return true;
	json_array_foreach(json_object_get(tickets, "keys"), i, key) {
		if (i < sizeof(state.is_set))
			state.is_set[i] = bytes_of_json(key, state.keys[i], sizeof(state.keys[i]));
	}
	tls_tickets_restore(c->tickets, &state);
	explicit_bzero(&state, sizeof(state));
	is_good = bytes_of_json(json_object_get(h->state, "affinity_secret"), secret, sizeof(secret));
	if (is_good)
		handover_set_secret(c->clusters, secret);
	explicit_bzero(secret, sizeof(secret));
	return is_good;
}

static const char *text_of(const json_t *row, const char *key)
{
	const char *text = json_string_value(json_object_get(row, key));

	return text != NULL ? text : "";
}

static json_int_t number_of(const json_t *row, const char *key)
{
	return json_integer_value(json_object_get(row, key));
}

void heritage_give_states(const struct heritage *h, struct control *c)
{
	const json_t *row;
	size_t i;

	json_array_foreach(json_object_get(h->state, "endpoints"), i, row) {
		const json_t *slow = json_object_get(row, "slow_since_ms");
		struct endpoint_state s = {
			.cluster = text_of(row, "cluster"),
			.endpoint = text_of(row, "endpoint"),
			.mode = (enum endpoint_mode)number_of(row, "mode"),
			.health = (enum endpoint_health)number_of(row, "health"),
			.why = text_of(row, "why"),
			.since_ns = (uint64_t)number_of(row, "since_ns"),
			.ejections = (uint32_t)number_of(row, "ejections"),
			.ejected_for_ms = (uint64_t)number_of(row, "ejected_for_ms"),
			.slow_since_ms = slow != NULL ? (uint64_t)json_integer_value(slow) : HANDOVER_NO_SLOW_START,
			.weight = number_of(row, "weight"),
		};

		handover_restore(c->clusters, &s);
	}
	if (h->state != NULL) {
		c->admin.is_away = json_is_true(json_object_get(h->state, "away"));
		if (json_object_get(h->state, "log_level") != NULL)
			log_set_level((enum log_level)number_of(h->state, "log_level"));
	}
}

/* ---- sockets ---- */

static bool adopt_row(struct control *c, const json_t *row)
{
	const json_t *fds = json_object_get(row, "fds"), *fd;
	unsigned count = (unsigned)json_array_size(fds);
	int *list = calloc(count + 1, sizeof(*list));
	struct addr addr;
	bool is_good = list != NULL && count > 0 && addr_parse(&addr, text_of(row, "address")) == 0;
	size_t i;

	json_array_foreach(fds, i, fd) {
		if (is_good)
			list[i] = (int)json_integer_value(fd);
		is_good = is_good && fcntl(list[i], F_SETFD, FD_CLOEXEC) == 0;
	}
	is_good = is_good && sockets_adopt(&c->sockets, &addr, list, count,
					     json_is_true(json_object_get(row, "lent"))) == 0;
	free(list);
	return is_good;
}

static bool adopt_door(struct control *c, const json_t *row)
{
	json_int_t door = number_of(row, "door");
	int fd = (int)number_of(row, "fd");
	struct addr addr;

	if (door < 0 || door >= ADMIN_DOORS || addr_parse(&addr, text_of(row, "address")) < 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return false;
	admin_adopt(&c->admin, (enum admin_door)door, &addr, fd);
	return true;
}

/* The one before writes our number where its own stands, if the file is the same. */
static void adopt_pid(const struct heritage *h, struct control *c)
{
	const json_t *fd = json_object_get(h->state, "pid_fd");
	const char *wanted = c->snapshot->config->pid_file;

	if (fd == NULL)
		return;
	fcntl((int)json_integer_value(fd), F_SETFD, FD_CLOEXEC);
	c->start.has_pid_of_before = wanted != NULL && strcmp(wanted, text_of(h->state, "pid_file")) == 0;
	if (c->start.has_pid_of_before)
		c->start.pid_fd = (int)json_integer_value(fd);
	else
		close((int)json_integer_value(fd));
}

/* sd_listen_fds(3): from descriptor 3 on; one address may have several. */
static bool adopt_of_systemd(struct control *c, struct config_errors *errors)
{
	const char *pid = getenv("LISTEN_PID"), *count_text = getenv("LISTEN_FDS");
	int count = count_text != NULL ? atoi(count_text) : 0, one = 1;
	bool is_ours = pid != NULL && strtol(pid, NULL, 10) == (long)getpid();

	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	for (int fd = SYSTEMD_FIRST_FD; is_ours && fd < SYSTEMD_FIRST_FD + count; fd++) {
		int flags = fcntl(fd, F_GETFL), type = 0;
		socklen_t len = sizeof(type);
		struct addr addr;

		if (flags < 0 || getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &type, &len) < 0 || type == 0)
			return refuse(errors, "LISTEN_FDS: a descriptor is no listening socket (Accept=no, ListenStream=)");
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
		fcntl(fd, F_SETFD, FD_CLOEXEC);
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* not for UNIX: never mind */
		socket_local(fd, &addr);
		if (sockets_borrow(&c->sockets, &addr, fd) < 0)
			return refuse(errors, "LISTEN_FDS: more sockets of one address than can be used");
	}
	return true;
}

bool heritage_give_sockets(const struct heritage *h, struct control *c, struct config_errors *errors)
{
	bool is_good = true;
	const json_t *row;
	size_t i;

	if (h->state == NULL)
		return adopt_of_systemd(c, errors);
	json_array_foreach(json_object_get(h->state, "sockets"), i, row)
		is_good = is_good && adopt_row(c, row);
	json_array_foreach(json_object_get(h->state, "admin"), i, row)
		is_good = is_good && adopt_door(c, row);
	adopt_pid(h, c);
	return is_good || refuse(errors, "the sockets of the running process cannot be taken over");
}

bool heritage_has_fd(const struct heritage *h, int wanted)
{
	const json_t *row, *fd;
	size_t i, k;

	json_array_foreach(json_object_get(h->state, "sockets"), i, row)
		json_array_foreach(json_object_get(row, "fds"), k, fd)
			if (json_integer_value(fd) == wanted)
				return true;
	return false;
}
