#include "proxy/backend.h"

#include "base/clock.h"
#include "base/histogram.h"
#include "base/log.h"
#include "cluster/outlier.h"
#include "net/stream.h"
#include "cluster/queue.h"
#include "proxy/counters.h"
#include "proxy/waiting.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static void backend_try(struct backend *b);

void backend_place_give(struct worker *w, struct endpoint *e)
{
	struct cluster *c = e->cluster;

	endpoint_release(e);
	waiting_tell(w, c);
	endpoint_unref(e); /* last: it holds the cluster */
}

void backend_answered(struct backend *b)
{
	if (!b->is_pending)
		return;
	b->is_pending = false;
	endpoint_answered(b->endpoint);
	waiting_tell(b->worker, b->endpoint->cluster);
}

static void place_drop(struct backend *b)
{
	if (b->endpoint == NULL)
		return;
	backend_answered(b);
	backend_place_give(b->worker, b->endpoint);
	b->endpoint = NULL;
}

static void remember_tried(struct backend *b)
{
	struct pick *p = &b->pick;

	if (p->tried_count < PICK_TRIED_MAX)
		p->tried[p->tried_count++] = b->endpoint;
}

static void say_failed(const struct backend *b, enum reason why, const char *cause)
{
	log_warn("cluster %s: endpoint %s: %s%s%s", b->cluster->view->config->name, b->endpoint->name, reason_of(why)->text,
		 cause[0] != '\0' ? ": " : "", cause);
}

bool backend_retry(struct backend *b, enum reason why)
{
	if (b->endpoint != NULL)
		remember_tried(b);
	b->why = (uint8_t)why;
	backend_drop(b, why);
	if (b->attempts_left == 0)
		return false;
	b->attempts_left--;
	counter_add(PROXY_RETRIES, 1);
	backend_try(b);
	return true;
}

/* ---- connecting ---- */

static void on_open(struct duplex *d)
{
	struct backend *b = d->user;
	uint64_t took_us = (clock_now_ns() - b->connect_ns) / 1000;

	b->is_open = true;
	histogram_add_us(HISTOGRAM_CONNECT, took_us);
	endpoint_connected(b->endpoint, took_us);
	duplex_use(d, b->events, b->user);
	b->on_ready(b);
}

static void on_bytes(struct duplex *d, struct slice s)
{
	(void)d;
	(void)s;
}

static void on_nothing(struct duplex *d)
{
	(void)d;
}

static void on_closed(struct duplex *d, enum reason why)
{
	struct backend *b = d->user;
	char cause[256];
	struct addr at;

	stream_error_text(d, cause, sizeof(cause));
	say_failed(b, why, cause);
	b->d = NULL;
	outlier_failed(b->endpoint, why);
	if (why != REASON_BACKEND_TLS && endpoint_addr(b->endpoint, &at))
		endpoint_addr_failed(b->endpoint, &at); /* its name may have others */
	if (!(b->cluster->view->config->retries.on & RETRY_ON_CONNECT))
		b->attempts_left = 0;
	if (!backend_retry(b, why))
		b->on_failed(b, why);
}

static const struct duplex_events connecting = { on_open, on_bytes, on_nothing, on_nothing, on_closed };

/* The next of the cluster's addresses that is of the endpoint's family; NULL: the kernel's choice. */
static const struct addr *source_of(struct worker *w, const struct cluster_config *c, const struct addr *to)
{
	for (size_t i = 0; i < c->source_addresses_count; i++) {
		const struct addr *a = &c->source_addresses[w->next_source++ % c->source_addresses_count];

		if (a->sa.sa_family == to->sa.sa_family)
			return a;
	}
	return NULL;
}

static void say_no_source(const struct backend *b, const struct addr *from, int err)
{
	char text[ADDR_TEXT_MAX];

	addr_print_host(from, text);
	log_warn("cluster %s: no connection from %s: %s", b->cluster->view->config->name, text, strerror(err));
}

/* What an idle connection has to be to serve: made as the cluster says, to the address that is in use. */
static uint64_t kind_now(const struct backend *b)
{
	return b->cluster->kind + atomic_load_explicit(&b->endpoint->addr_turn, memory_order_relaxed);
}

static bool is_out_of_descriptors(void)
{
	return errno == EMFILE || errno == ENFILE;
}

/* false: nothing was begun; errno says why. */
static bool backend_connect(struct backend *b)
{
	const struct cluster_config *c = b->cluster->view->config;
	const struct cluster_member *m = cluster_view_member(b->cluster->view, b->endpoint);
	struct addr to;
	struct stream_target t = {
		.to = &to,
		.preface = b->preface,
		.preface_len = b->preface_len,
		.tls = b->cluster->tls,
		.timeout_ms = c->timeouts.connect_ms,
	};

	errno = 0;
	b->kind = kind_now(b); /* before the address: one that changes now is an old one later */
	if (!endpoint_addr(b->endpoint, &to))
		return false;
	if (c->tls != NULL)
		t.sni = c->tls->sni != NULL ? c->tls->sni : m != NULL ? m->config->host : NULL;
	t.from = source_of(b->worker, c, &to);
	b->is_reused = b->is_open = false;
	b->connect_ns = clock_now_ns();
	b->d = stream_connect(&b->worker->ring, &t);
	if (b->d == NULL) {
		if (t.from != NULL && errno != ENOMEM && !is_out_of_descriptors())
			say_no_source(b, t.from, errno);
		return false;
	}
	duplex_use(b->d, &connecting, b);
	return true;
}

static bool backend_reuse(struct backend *b)
{
	if (!b->may_reuse)
		return false;
	b->kind = kind_now(b);
	b->d = pool_take(&b->worker->pool, b->endpoint, b->kind);
	if (b->d == NULL)
		return false;
	b->is_reused = b->is_open = true;
	duplex_use(b->d, b->events, b->user);
	return true;
}

enum pick_result backend_pick(struct backend *b)
{
	enum pick_result result = cluster_pick(b->cluster->view, &b->pick, &b->endpoint);

	if (result != PICK_OK)
		b->endpoint = NULL;
	b->is_pending = result == PICK_OK && b->cluster->view->config->max_pending > 0;
	return result;
}

void backend_go(struct backend *b, enum pick_result result)
{
	if (result != PICK_OK) {
		b->on_failed(b, result == PICK_TRIED && b->why != REASON_NONE ? b->why : REASON_NO_ENDPOINT);
		return;
	}
	if (backend_reuse(b)) {
		b->on_ready(b);
		return;
	}
	if (!backend_connect(b)) {
		enum reason why = is_out_of_descriptors() ? REASON_NO_DESCRIPTORS : REASON_NO_MEMORY;

		place_drop(b);
		b->on_failed(b, why);
	}
}

static void backend_try(struct backend *b)
{
	bool may_wait = b->cluster->view->config->queue.max > 0;
	enum pick_result result = PICK_FULL;
	enum reason why;

	/* who waits already comes first */
	if (!may_wait || cluster_waiting(b->cluster->view->cluster) == 0)
		result = backend_pick(b);
	if (result != PICK_FULL) {
		backend_go(b, result);
		return;
	}
	why = waiting_join(b);
	if (why != REASON_NONE)
		b->on_failed(b, why);
}

void backend_start(struct backend *b)
{
	b->attempts_left = b->cluster->view->config->retries.attempts;
	backend_try(b);
}

void backend_again(struct backend *b)
{
	assert(b->endpoint != NULL);
	if (b->d != NULL)
		duplex_close(b->d, REASON_NONE);
	b->d = NULL;
	b->may_reuse = false;
	if (!backend_connect(b)) {
		enum reason why = is_out_of_descriptors() ? REASON_NO_DESCRIPTORS : REASON_NO_MEMORY;

		place_drop(b);
		b->on_failed(b, why);
	}
}

/* ---- letting go ---- */

void backend_keep(struct backend *b)
{
	const struct cluster_config *c = b->cluster->view->config;

	/* What stands behind the response would be taken for the next one. */
	if (!stream_is_quiet(b->d))
		duplex_close(b->d, REASON_BACKEND_BAD_RESPONSE);
	else if (c->pool.max_idle == 0 || b->worker->is_draining || b->worker->is_stopping)
		duplex_finish(b->d);
	else
		pool_put(&b->worker->pool, b->endpoint, b->kind, b->d, c->pool.max_idle, c->timeouts.idle_ms);
	b->d = NULL;
	place_drop(b);
}

void backend_drop(struct backend *b, enum reason why)
{
	if (b->d != NULL && why == REASON_NONE && b->is_open)
		duplex_finish(b->d);
	else if (b->d != NULL)
		duplex_close(b->d, why);
	b->d = NULL;
	place_drop(b);
	waiting_leave(b);
}

struct duplex *backend_give(struct backend *b, struct endpoint **endpoint)
{
	struct duplex *d = b->d;

	backend_answered(b);
	*endpoint = b->endpoint;
	b->d = NULL;
	b->endpoint = NULL;
	return d;
}
