#include "net/resolver.h"

#include "base/str.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 2000
#define TRIES	   2
#define SERVERS_TEXT_MAX 1024

/* ---- sockets ---- */

static void slot_arm(struct resolver_slot *s)
{
	struct io_uring_sqe *sqe;
	unsigned events = (s->wants_read ? POLLIN : 0u) | (s->wants_write ? POLLOUT : 0u);

	if (s->is_armed || s->is_over || events == 0 || s->resolver->is_stopping)
		return;
	sqe = ring_sqe(s->resolver->ring);
	io_uring_prep_poll_add(sqe, s->fd, events);
	ring_sqe_own(sqe, &s->op);
	s->is_armed = true;
}

static void slot_cancel(struct resolver_slot *s)
{
	struct io_uring_sqe *sqe;

	if (!s->is_armed || s->resolver->is_stopping)
		return;
	sqe = ring_sqe(s->resolver->ring);
	io_uring_prep_cancel(sqe, &s->op, 0);
	ring_sqe_forget(sqe);
}

static void deadline_set(struct resolver *r)
{
	struct timeval most = { 3600, 0 }, room;
	struct timeval *t = ares_timeout(r->channel, &most, &room);
	uint64_t ms = (uint64_t)t->tv_sec * 1000 + (uint64_t)t->tv_usec / 1000;

	if (ms < 3600000)
		ring_timer_arm(r->ring, &r->timer, ms + 1);
	else
		timer_cancel(&r->timer);
}

static void on_poll(struct op *op, int res, uint32_t flags)
{
	struct resolver_slot *s = container_of(op, struct resolver_slot, op);
	struct resolver *r = s->resolver;
	int fd = s->fd;

	(void)flags;
	s->is_armed = false;
	if (s->is_over) {
		s->fd = -1;
		s->is_over = false;
		return;
	}
	if (r->is_stopping || res == -ECANCELED) {
		slot_arm(s); /* it wants other events */
		return;
	}
	ares_process_fd(r->channel, res < 0 || (res & ~POLLOUT) != 0 ? fd : ARES_SOCKET_BAD,
			res > 0 && (res & POLLOUT) != 0 ? fd : ARES_SOCKET_BAD);
	if (s->fd == fd)
		slot_arm(s);
	deadline_set(r);
}

static struct resolver_slot *slot_of(struct resolver *r, int fd)
{
	struct resolver_slot *free_one = NULL;

	for (size_t i = 0; i < RESOLVER_SOCKETS_MAX; i++) {
		struct resolver_slot *s = &r->slots[i];

		if (s->fd == fd && !s->is_over)
			return s;
		if (s->fd < 0 && free_one == NULL)
			free_one = s;
	}
	return free_one;
}

/* c-ares wants other events of a socket; neither: it closes it.  A poll holds the file until it is cancelled.  Where there
 * is no slot the query times out. */
static void on_socket(void *user, ares_socket_t fd, int wants_read, int wants_write)
{
	struct resolver *r = user;
	struct resolver_slot *s = slot_of(r, fd);
	bool has_changed;

	if (s == NULL || (s->fd < 0 && !wants_read && !wants_write))
		return;
	has_changed = s->wants_read != (wants_read != 0) || s->wants_write != (wants_write != 0);
	s->fd = fd;
	s->wants_read = wants_read != 0;
	s->wants_write = wants_write != 0;
	if (!wants_read && !wants_write && !s->is_armed) {
		s->fd = -1;
	} else if (!wants_read && !wants_write) {
		s->is_over = true;
		slot_cancel(s);
	} else if (s->is_armed && has_changed) {
		slot_cancel(s); /* armed again when that has ended */
	} else {
		slot_arm(s);
	}
}

static void on_deadline(struct timer *t)
{
	struct resolver *r = container_of(t, struct resolver, timer);

	ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	deadline_set(r);
}

/* ---- life ---- */

static bool servers_set(struct resolver *r, const struct addr *servers, size_t count)
{
	char text[SERVERS_TEXT_MAX], one[ADDR_TEXT_MAX];
	struct str s;

	str_init(&s, text, sizeof(text));
	for (size_t i = 0; i < count; i++) {
		addr_print(&servers[i], one);
		str_cstr(&s, i > 0 ? "," : "");
		str_cstr(&s, one);
	}
	return count == 0 || ares_set_servers_ports_csv(r->channel, str_text(&s)) == ARES_SUCCESS;
}

bool resolver_init(struct resolver *r, struct ring *ring, const struct addr *servers, size_t count)
{
	struct ares_options o = { .timeout = TIMEOUT_MS, .tries = TRIES, .sock_state_cb = on_socket,
				  .sock_state_cb_data = r };
	ares_channel channel;

	memset(r, 0, sizeof(*r));
	r->ring = ring;
	timer_init(&r->timer, on_deadline);
	for (size_t i = 0; i < RESOLVER_SOCKETS_MAX; i++) {
		op_init(&r->slots[i].op, NULL, on_poll);
		r->slots[i].resolver = r;
		r->slots[i].fd = -1;
	}
	if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS ||
	    ares_init_options(&channel, &o, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB) != ARES_SUCCESS)
		return false;
	r->channel = channel;
	return servers_set(r, servers, count);
}

void resolver_stop(struct resolver *r)
{
	if (r->channel == NULL)
		return;
	r->is_stopping = true;
	timer_cancel(&r->timer);
	ares_destroy(r->channel);
	r->channel = NULL;
	ares_library_cleanup();
}

/* ---- questions ---- */

struct question {
	enum resolver_type type;
	resolver_done_fn *done;
	void *user;
};

static size_t parse_a(const unsigned char *in, int len, struct resolver_answer *out, uint32_t *ttl_s)
{
	struct ares_addrttl *got = calloc(RESOLVER_ANSWERS_MAX, sizeof(*got));
	int count = RESOLVER_ANSWERS_MAX;

	if (got == NULL || ares_parse_a_reply(in, len, NULL, got, &count) != ARES_SUCCESS)
		count = 0;
	for (int i = 0; i < count; i++) {
		out[i].addr.len = sizeof(out[i].addr.in);
		out[i].addr.in.sin_family = AF_INET;
		out[i].addr.in.sin_addr = got[i].ipaddr;
		*ttl_s = (uint32_t)got[i].ttl < *ttl_s ? (uint32_t)got[i].ttl : *ttl_s;
	}
	free(got);
	return (size_t)count;
}

static size_t parse_aaaa(const unsigned char *in, int len, struct resolver_answer *out, uint32_t *ttl_s)
{
	struct ares_addr6ttl *got = calloc(RESOLVER_ANSWERS_MAX, sizeof(*got));
	int count = RESOLVER_ANSWERS_MAX;

	if (got == NULL || ares_parse_aaaa_reply(in, len, NULL, got, &count) != ARES_SUCCESS)
		count = 0;
	for (int i = 0; i < count; i++) {
		out[i].addr.len = sizeof(out[i].addr.in6);
		out[i].addr.in6.sin6_family = AF_INET6;
		memcpy(&out[i].addr.in6.sin6_addr, &got[i].ip6addr, 16);
		*ttl_s = (uint32_t)got[i].ttl < *ttl_s ? (uint32_t)got[i].ttl : *ttl_s;
	}
	free(got);
	return (size_t)count;
}

static unsigned u16_at(const unsigned char *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

/* The least TTL of the SRV records: c-ares leaves it out (RFC 1035 4.1). */
static void srv_ttl(const unsigned char *in, int len, uint32_t *ttl_s)
{
	const unsigned char *at = in + 12, *end = in + len;
	unsigned questions = len < 12 ? 0 : u16_at(in + 4), answers = len < 12 ? 0 : u16_at(in + 6);
	char *name;
	long used;

	for (unsigned i = 0; i < questions + answers; i++) {
		if (at >= end || ares_expand_name(at, in, len, &name, &used) != ARES_SUCCESS)
			return;
		ares_free_string(name);
		at += used;
		if (end - at < (i < questions ? 4 : 10))
			return;
		if (i >= questions) {
			uint32_t ttl = (uint32_t)u16_at(at + 4) << 16 | u16_at(at + 6);

			if (u16_at(at) == ns_t_srv && ttl < *ttl_s)
				*ttl_s = ttl;
			if (end - at < 10 + (long)u16_at(at + 8))
				return;
			at += 10 + u16_at(at + 8);
		} else {
			at += 4;
		}
	}
}

static size_t parse_srv(const unsigned char *in, int len, struct resolver_answer *out, uint32_t *ttl_s)
{
	struct ares_srv_reply *got = NULL;
	size_t count = 0;

	if (ares_parse_srv_reply(in, len, &got) != ARES_SUCCESS)
		return 0;
	for (const struct ares_srv_reply *s = got; s != NULL && count < RESOLVER_ANSWERS_MAX; s = s->next) {
		struct resolver_answer *a = &out[count];

		if (s->port == 0 || s->host[0] == '\0' || strlen(s->host) >= sizeof(a->target))
			continue; /* "." is "not here" (RFC 2782) */
		memcpy(a->target, s->host, strlen(s->host) + 1);
		a->priority = s->priority;
		a->weight = s->weight;
		a->port = s->port;
		count++;
	}
	ares_free_data(got);
	srv_ttl(in, len, ttl_s);
	return count;
}

static const struct {
	int type;
	size_t (*parse)(const unsigned char *, int, struct resolver_answer *, uint32_t *);
} types[] = {
	[RESOLVER_A] = { ns_t_a, parse_a },
	[RESOLVER_AAAA] = { ns_t_aaaa, parse_aaaa },
	[RESOLVER_SRV] = { ns_t_srv, parse_srv },
};

size_t resolver_parse(enum resolver_type type, const unsigned char *in, int len, struct resolver_answer *out,
		      uint32_t *ttl_s)
{
	return types[type].parse(in, len, out, ttl_s);
}

static void on_answer(void *user, int status, int timeouts, unsigned char *in, int len)
{
	struct question *q = user;
	struct resolver_result result = { .ttl_s = UINT32_MAX };
	struct resolver_answer *answers = calloc(RESOLVER_ANSWERS_MAX, sizeof(*answers));

	(void)timeouts;
	if (status == ARES_SUCCESS && answers != NULL)
		result.answers_count = resolver_parse(q->type, in, len, answers, &result.ttl_s);
	result.answers = answers;
	if (status != ARES_SUCCESS)
		result.error = ares_strerror(status);
	else if (result.answers_count == 0)
		result.error = answers == NULL ? "out of memory" : "the answer has no usable record";
	q->done(q->user, &result);
	free(answers);
	free(q);
}

void resolver_ask(struct resolver *r, const char *name, enum resolver_type type, resolver_done_fn *done, void *user)
{
	struct question *q = malloc(sizeof(*q));

	if (q == NULL || r->channel == NULL) {
		free(q);
		done(user, &(struct resolver_result){ .error = "there is no resolver" });
		return;
	}
	*q = (struct question){ type, done, user };
	ares_search(r->channel, name, ns_c_in, types[type].type, on_answer, q);
	deadline_set(r);
}

/* ---- hosts ---- */

static bool host_take(struct resolver_answer *a, const struct ares_addrinfo_node *n)
{
	if ((n->ai_family != AF_INET && n->ai_family != AF_INET6) || n->ai_addrlen > sizeof(a->addr.in6))
		return false;
	a->addr.len = n->ai_addrlen;
	memcpy(&a->addr.sa, n->ai_addr, n->ai_addrlen);
	addr_set_port(&a->addr, 0);
	return true;
}

static void on_addrinfo(void *user, int status, int timeouts, struct ares_addrinfo *got)
{
	struct question *q = user;
	struct resolver_result result = { .ttl_s = UINT32_MAX };
	struct resolver_answer *answers = calloc(RESOLVER_ANSWERS_MAX, sizeof(*answers));

	(void)timeouts;
	for (struct ares_addrinfo_node *n = got != NULL ? got->nodes : NULL;
	     n != NULL && answers != NULL && result.answers_count < RESOLVER_ANSWERS_MAX; n = n->ai_next) {
		if (!host_take(&answers[result.answers_count], n))
			continue;
		result.answers_count++;
		if (n->ai_ttl >= 0 && (uint32_t)n->ai_ttl < result.ttl_s)
			result.ttl_s = (uint32_t)n->ai_ttl;
	}
	result.answers = answers;
	if (status != ARES_SUCCESS)
		result.error = ares_strerror(status);
	else if (result.answers_count == 0)
		result.error = answers == NULL ? "out of memory" : "no address";
	q->done(q->user, &result);
	free(answers);
	free(q);
	ares_freeaddrinfo(got);
}

void resolver_ask_host(struct resolver *r, const char *name, resolver_done_fn *done, void *user)
{
	const struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct question *q = malloc(sizeof(*q));

	if (q == NULL || r->channel == NULL) {
		free(q);
		done(user, &(struct resolver_result){ .error = "there is no resolver" });
		return;
	}
	*q = (struct question){ .done = done, .user = user };
	ares_getaddrinfo(r->channel, name, NULL, &hints, on_addrinfo, q);
	deadline_set(r);
}
