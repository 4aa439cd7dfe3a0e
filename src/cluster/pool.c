#include "cluster/pool.h"

#include <string.h>

/* The idle connections to one endpoint.  It goes with the last of them, so that an endpoint which is gone from the
 * configuration is not held for ever. */
struct pool_shelf {
	struct endpoint *endpoint; /* a reference */
	struct list idles;	   /* newest first */
	uint32_t count;
};

struct idle {
	struct list link; /* shelf->idles */
	struct pool *pool;
	struct pool_shelf *shelf;
	struct duplex *duplex;
	uint64_t kind;
	struct timer timer;
};

/* Off the shelf; the shelf may be gone afterwards. */
static struct duplex *idle_remove(struct idle *i)
{
	struct pool_shelf *shelf = i->shelf;
	struct pool *p = i->pool;
	struct duplex *d = i->duplex;

	timer_cancel(&i->timer);
	list_remove(&i->link);
	slab_free(&p->idles, i);
	p->count--;
	atomic_fetch_sub_explicit(&shelf->endpoint->idle, 1, memory_order_relaxed);
	if (--shelf->count == 0) {
		hash_map_remove(&p->by_endpoint, &shelf->endpoint, sizeof(shelf->endpoint));
		endpoint_unref(shelf->endpoint);
		slab_free(&p->shelves, shelf);
	}
	return d;
}

static void idle_close(struct idle *i)
{
	duplex_close(idle_remove(i), REASON_NONE);
}

/* Nobody asked: a late response of the last request, or a word of farewell (408).  Neither is the next one's answer. */
static void on_bytes(struct duplex *d, struct slice s)
{
	(void)s;
	idle_close(d->user);
}

static void on_eof(struct duplex *d)
{
	idle_close(d->user);
}

static void on_closed(struct duplex *d, enum reason why)
{
	(void)why;
	idle_remove(d->user);
}

static void on_nothing(struct duplex *d)
{
	(void)d;
}

static const struct duplex_events idle_events = {
	.on_open = on_nothing,
	.on_bytes = on_bytes,
	.on_eof = on_eof,
	.on_room = on_nothing,
	.on_closed = on_closed,
};

static void on_idle_too_long(struct timer *t)
{
	idle_close(container_of(t, struct idle, timer));
}

void pool_init(struct pool *p, struct ring *ring)
{
	*p = (struct pool){ .ring = ring };
	hash_map_init(&p->by_endpoint);
	slab_init_of(&p->idles, struct idle);
	slab_init_of(&p->shelves, struct pool_shelf);
}

void pool_done(struct pool *p)
{
	struct pool_shelf *shelf;
	size_t cursor = 0;

	while ((shelf = hash_map_next(&p->by_endpoint, &cursor)) != NULL) {
		while (shelf->count > 1)
			idle_close(container_of(shelf->idles.prev, struct idle, link));
		idle_close(container_of(shelf->idles.next, struct idle, link));
		cursor = 0; /* the map has changed */
	}
	hash_map_done(&p->by_endpoint);
	slab_done(&p->idles);
	slab_done(&p->shelves);
}

static struct pool_shelf *shelf_find(struct pool *p, struct endpoint *e)
{
	return hash_map_find(&p->by_endpoint, &e, sizeof(e));
}

static struct pool_shelf *shelf_make(struct pool *p, struct endpoint *e)
{
	struct pool_shelf *shelf = slab_alloc_zeroed(&p->shelves);

	if (shelf == NULL)
		return NULL;
	shelf->endpoint = e;
	list_init(&shelf->idles);
	if (hash_map_put(&p->by_endpoint, &shelf->endpoint, sizeof(e), shelf) != 0) {
		slab_free(&p->shelves, shelf);
		return NULL;
	}
	endpoint_ref(e);
	return shelf;
}

void pool_put(struct pool *p, struct endpoint *e, uint64_t kind, struct duplex *d, uint32_t max_idle,
	      uint64_t idle_ms)
{
	struct idle *i = max_idle == 0 ? NULL : slab_alloc_zeroed(&p->idles);
	struct pool_shelf *shelf = i == NULL ? NULL : shelf_find(p, e);

	if (i != NULL && shelf == NULL)
		shelf = shelf_make(p, e);
	if (shelf == NULL) {
		slab_free(&p->idles, i);
		duplex_close(d, REASON_NONE);
		return;
	}
	*i = (struct idle){ .pool = p, .shelf = shelf, .duplex = d, .kind = kind };
	timer_init(&i->timer, on_idle_too_long);
	list_prepend(&shelf->idles, &i->link);
	shelf->count++;
	p->count++;
	atomic_fetch_add_explicit(&e->idle, 1, memory_order_relaxed);
	while (shelf->count > max_idle)
		idle_close(container_of(shelf->idles.prev, struct idle, link));
	if (idle_ms != 0)
		ring_timer_arm(p->ring, &i->timer, idle_ms);
	duplex_use(d, &idle_events, i);
	duplex_read(d, true); /* last: what has come already may end it at once */
}

struct duplex *pool_take(struct pool *p, struct endpoint *e, uint64_t kind)
{
	struct pool_shelf *shelf = shelf_find(p, e);
	struct duplex *d;

	while (shelf != NULL) {
		struct idle *i = container_of(shelf->idles.next, struct idle, link);
		bool is_last = shelf->count == 1;

		if (i->kind == kind) {
			d = idle_remove(i);
			duplex_use(d, NULL, NULL);
			duplex_read(d, false);
			return d;
		}
		idle_close(i);
		if (is_last)
			shelf = NULL;
	}
	return NULL;
}

/* --- what a connection is --- */

static uint64_t mix_number(uint64_t hash, uint64_t value)
{
	return hash_mix(hash + value + 0x9e3779b97f4a7c15u);
}

/* Absent and empty are different. */
static uint64_t mix_text(uint64_t hash, const char *text)
{
	return text == NULL ? mix_number(hash, 0) : hash64(text, strlen(text), mix_number(hash, 1));
}

uint64_t cluster_connection_kind(const struct cluster_config *c)
{
	const struct cluster_tls *tls = c->tls;
	uint64_t hash = mix_number(0, tls != NULL);

	if (tls != NULL) {
		hash = mix_number(hash, tls->verify);
		hash = mix_text(hash, tls->ca);
		hash = mix_text(hash, tls->sni);
		hash = mix_text(hash, tls->client_cert);
		hash = mix_text(hash, tls->client_key);
	}
	hash = mix_number(hash, c->protocol);
	hash = mix_number(hash, c->proxy_protocol);
	for (size_t i = 0; i < c->source_addresses_count; i++)
		hash = addr_hash(&c->source_addresses[i], hash);
	return hash;
}
