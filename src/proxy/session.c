#include "proxy/session.h"

#include "base/digest.h"
#include "base/log.h"
#include "base/random.h"
#include "proxy/counters.h"
#include "proxy/listener.h"
#include "proxy/session_inside.h"
#include "proxy/session_names.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A Close that the client itself has asked for is kept for its acknowledgement no longer than this. */
#define FAREWELL_MS 10000u

static struct session_table *table_of(const struct session *s)
{
	return s->worker->sessions;
}

/* ---- end ---- */

static void name_free(struct session *s)
{
	if (!s->is_named)
		return;
	hash_map_remove(&table_of(s)->by_nonce, &s->nonce, sizeof(s->nonce));
	session_names_remove(s->nonce);
	s->is_named = false;
}

static void session_free(struct session *s)
{
	struct session_table *t = table_of(s);

	assert(!s->has_relay && s->carrier == NULL);
	hash_map_remove(&t->by_secret, s->secret, sizeof(s->secret));
	name_free(s);
	list_remove(&s->link);
	list_remove(&s->dirty);
	timer_cancel(&s->timer);
	session_leg_done(s);
	session_core_done(&s->core);
	session_account(s);
	free(s->protocol);
	free(s->cookies);
	counter_sub(PROXY_SESSIONS_OPEN, 1);
	free(s);
}

void session_settle(struct session *s)
{
	bool is_heard = s->core.down.count == 0; /* the client has the Close, or there will be none */

	if (s->has_relay || s->opening != NULL || s->carrier != NULL)
		return;
	if (!s->is_open || is_heard || !timer_is_armed(&s->timer))
		session_free(s);
}

static void on_timer(struct timer *timer)
{
	struct session *s = container_of(timer, struct session, timer);

	if (s->has_relay)
		counter_add(COUNTERS_REASONS + REASON_SESSION_LOST, 1);
	session_leg_end(s, REASON_SESSION_LOST);
	session_open_cancel(s);
	list_remove(&s->dirty);
	session_free(s);
}

void session_end(struct session *s, enum reason why)
{
	if (s->opening != NULL) {
		session_open_cancel(s);
		session_refused(s, why, 0);
		return;
	}
	if (s->has_relay && !s->core.down_closed) {
		const struct reason_row *row = reason_of(why);

		session_put_close(s, row->close_code, row->text, strlen(row->text));
	}
	session_leg_end(s, why);
	session_touch(s);
}

void session_forget(struct session *s, enum reason why)
{
	name_free(s);
	s->times.keep_ms = 1;
	session_end(s, why);
	if (timer_is_armed(&s->timer))
		ring_timer_arm(&s->worker->ring, &s->timer, 1);
}

/* ---- what a turn has brought ---- */

/* The ring may be about to sleep, with nothing else to wake it. */
static void poke_arm(struct worker *w)
{
	if (!timer_is_armed(&w->sessions->poke))
		ring_timer_arm(&w->ring, &w->sessions->poke, 1);
}

void session_touch(struct session *s)
{
	struct session_table *t = table_of(s);

	if (!list_is_empty(&s->dirty))
		return;
	poke_arm(s->worker);
	list_append(&t->dirty, &s->dirty);
}

void session_soon(struct worker *w, struct session_soon *what)
{
	poke_arm(w);
	list_append(&w->sessions->soon, &what->link);
}

static void carrier_drop(struct session *s, bool is_over)
{
	struct carrier *c = s->carrier;

	s->carrier = NULL;
	c->session = NULL;
	c->ops->gone(c, is_over);
}

static void detached_begin(struct session *s)
{
	uint32_t keep_ms = s->times.keep_ms;

	if (!s->has_relay && s->opening == NULL && s->core.up_closed && keep_ms > FAREWELL_MS)
		keep_ms = FAREWELL_MS;
	s->detached_ms = s->worker->ring.now_ms;
	ring_timer_arm(&s->worker->ring, &s->timer, keep_ms);
}

static void session_look(struct session *s)
{
	struct carrier *c = s->carrier;

	if (s->is_failed && (s->has_relay || s->opening != NULL)) {
		session_end(s, s->failed_why != REASON_NONE ? s->failed_why : REASON_NO_MEMORY);
	} else if (s->refused_why != REASON_NONE) {
		s->carrier = NULL;
		if (c != NULL) {
			c->session = NULL;
			c->ops->refused(c, s->refused_why, s->refused_status);
		}
		session_free(s);
		return;
	}
	session_leg_deliver(s);
	if (s->closes_on_full && s->has_relay && session_core_is_full(&s->core))
		session_end(s, REASON_SESSION_FULL);
	if (s->carrier != NULL && s->is_open && !s->is_announced) {
		s->is_announced = true;
		s->carrier->ops->opened(s->carrier);
	}
	if (s->carrier != NULL && s->is_open)
		s->carrier->ops->flush(s->carrier);
	if (s->carrier == NULL && !timer_is_armed(&s->timer))
		detached_begin(s);
	session_settle(s);
}

static void soon_run(struct session_table *t)
{
	struct list taken, *node;

	list_init(&taken);
	list_splice(&taken, &t->soon);
	while ((node = list_take_first(&taken)) != NULL) {
		struct session_soon *s = container_of(node, struct session_soon, link);

		s->run(s);
	}
}

static void on_turn(struct ring *ring)
{
	struct worker *w = ring->user;
	struct session_table *t = w->sessions;
	struct list taken, *node;

	if (list_is_empty(&t->dirty) && list_is_empty(&t->soon))
		return;
	timer_cancel(&t->poke);
	soon_run(t);
	list_init(&taken);
	list_splice(&taken, &t->dirty);
	while ((node = list_take_first(&taken)) != NULL)
		session_look(container_of(node, struct session, dirty));
}

/* The ring was about to sleep: this turn has on_turn() at its end. */
static void on_poke(struct timer *timer)
{
	(void)timer;
}

/* ---- memory of all ---- */

static uint64_t memory_of_all(const struct worker *w)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < w->all_count; i++)
		if (w->all[i].sessions != NULL)
			sum += atomic_load_explicit(&w->all[i].sessions->memory, memory_order_relaxed);
	return sum;
}

static struct session *longest_detached(struct session_table *t)
{
	struct session *oldest = NULL;

	list_for_each(node, &t->all) {
		struct session *s = container_of(node, struct session, link);

		if (s->carrier == NULL && s->has_relay && !s->core.down_closed && s->memory > 0 &&
		    (oldest == NULL || s->detached_ms < oldest->detached_ms))
			oldest = s;
	}
	return oldest;
}

/* Above the cap those go first for whom nobody comes; where there is none, the one that wants more. */
static void memory_shed(struct session *s, uint64_t max)
{
	struct session *victim = longest_detached(table_of(s));

	if (victim == NULL && memory_of_all(s->worker) > max + max / 8) /* a margin for those of other workers to go first */
		victim = s;
	if (victim == NULL || victim->core.down_closed || victim->is_failed)
		return;
	victim->is_failed = true;
	victim->failed_why = REASON_SESSION_MEMORY;
	session_touch(victim);
}

void session_account(struct session *s)
{
	struct session_table *t = table_of(s);
	uint64_t now = session_core_memory(&s->core) + (s->partial != NULL ? s->partial_cap : 0);
	uint64_t before = s->memory, mine = atomic_load_explicit(&t->memory, memory_order_relaxed);
	uint64_t max = s->worker->view != NULL ? s->worker->view->snapshot->config->limits.session_memory_bytes : 0;
	uint64_t queued = s->core.down.bytes;
	uint64_t by_count = (uint64_t)s->core.down.count * s->core.window_bytes / SESSION_WINDOW_MESSAGES;

	s->memory = now;
	atomic_store_explicit(&t->memory, mine + now - before, memory_order_relaxed);
	if (now > before && max > 0 && memory_of_all(s->worker) > max)
		memory_shed(s, max);
	if (queued < by_count)
		queued = by_count;
	s->duplex.queued = queued < UINT32_MAX ? (uint32_t)queued : UINT32_MAX;
	if (duplex_is_full(&s->duplex))
		s->wants_room = true;
}

/* ---- finding ---- */

struct session *session_find(struct worker *w, const uint8_t secret[SESSION_SECRET_LEN])
{
	return hash_map_find(&w->sessions->by_secret, secret, SESSION_SECRET_LEN);
}

struct session *session_find_nonce(struct worker *w, uint64_t nonce)
{
	return hash_map_find(&w->sessions->by_nonce, &nonce, sizeof(nonce));
}

bool session_is_bound(const struct session *s, uint64_t bind)
{
	return s->bind == bind;
}

void session_token_write(const struct session *s, char out[SESSION_TOKEN_MAX])
{
	int n = snprintf(out, SESSION_TOKEN_MAX, "%s-%u.", session_node(), s->worker->index);

	base64url_encode(s->secret, sizeof(s->secret), out + n);
}

static int url_digit(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const char *found = c != '\0' ? strchr(digits, c) : NULL;

	return found != NULL ? (int)(found - digits) : -1;
}

/* 22 digits of base64url are 16 bytes and four bits, which have to be zero: one text for each secret. */
static bool secret_read(const char *text, uint8_t out[SESSION_SECRET_LEN])
{
	uint32_t bits = 0;
	unsigned have = 0, len = 0;

	for (int i = 0; i < 22; i++) {
		int digit = url_digit(text[i]);

		if (digit < 0)
			return false;
		bits = bits << 6 | (uint32_t)digit;
		have += 6;
		if (have >= 8 && len < SESSION_SECRET_LEN) {
			have -= 8;
			out[len++] = (uint8_t)(bits >> have);
		}
	}
	return (bits & ((1u << have) - 1)) == 0;
}

bool session_token_read(struct worker *w, const char *token, size_t len, unsigned *worker,
			uint8_t secret[SESSION_SECRET_LEN])
{
	size_t node_len = strlen(session_node());
	const char *at = token + node_len + 1, *dot = token + len - 23;
	unsigned index = 0;

	if (len < node_len + 2 + 23 || len >= SESSION_TOKEN_MAX || memcmp(token, session_node(), node_len) != 0 ||
	    at[-1] != '-' || *dot != '.')
		return false;
	for (; at < dot; at++) {
		if (*at < '0' || *at > '9' || index > 9999)
			return false;
		index = index * 10 + (unsigned)(*at - '0');
	}
	*worker = index;
	return index < w->all_count && secret_read(dot + 1, secret);
}

/* ---- carriers ---- */

enum core_result session_attach(struct session *s, struct carrier *c, uint64_t turn, uint64_t got)
{
	enum core_result result = session_core_attach(&s->core, turn, got);

	if (result != CORE_OK)
		return result;
	session_account(s);
	if (s->carrier != NULL)
		carrier_drop(s, false);
	timer_cancel(&s->timer);
	counter_add(PROXY_SESSION_ATTACHES, 1);
	s->carrier = c;
	c->session = s;
	s->is_announced = false;
	session_touch(s);
	return CORE_OK;
}

void session_detach(struct carrier *c)
{
	struct session *s = c->session;

	if (s == NULL)
		return;
	assert(s->carrier == c);
	s->carrier = NULL;
	c->session = NULL;
	detached_begin(s);
	session_touch(s); /* not freed here: our caller may still have it in hand */
}

const struct message *session_next(struct session *s, uint64_t *number)
{
	return session_core_next(&s->core, number);
}

bool session_has_next(const struct session *s)
{
	return session_core_has_next(&s->core);
}

bool session_next_is_close(const struct session *s)
{
	return s->core.unsent->kind == MESSAGE_CLOSE;
}

bool session_has_carrier(const struct session *s)
{
	return s->carrier != NULL;
}

bool session_is_said(const struct session *s)
{
	return s->core.down_closed && !session_core_has_next(&s->core);
}

enum core_result session_ack(struct session *s, uint64_t number)
{
	enum core_result result = session_core_ack(&s->core, number);

	session_account(s);
	session_touch(s);
	return result;
}

void session_ack_silently(struct session *s)
{
	while (s->core.down.count > 0 && s->core.down_acked < s->core.down_sent &&
	       (s->core.down.bytes > s->core.window_bytes / 2 || s->core.down.count > SESSION_WINDOW_MESSAGES / 2))
		session_core_ack(&s->core, s->core.down_acked + 1);
	session_account(s);
	session_touch(s);
}

enum core_result session_take(struct session *s, uint64_t number, struct message *m)
{
	enum core_result result;

	if (session_core_is_up_full(&s->core))
		session_leg_deliver(s); /* as much as the endpoint takes */
	result = session_core_take(&s->core, number, m);

	session_account(s);
	session_touch(s);
	return result;
}

uint64_t session_deliver(struct session *s)
{
	session_leg_deliver(s);
	return s->core.up_done;
}

bool session_owes_ack(const struct session *s)
{
	return s->up_told < s->core.up_done;
}

uint64_t session_tell_ack(struct session *s)
{
	s->up_told = s->core.up_done;
	return s->up_told;
}

uint64_t session_told(const struct session *s)
{
	return s->core.down_told;
}

uint64_t session_acked(const struct session *s)
{
	return s->core.down_acked;
}

uint64_t session_got(const struct session *s)
{
	return s->core.up_got;
}

uint64_t session_turn(const struct session *s)
{
	return s->core.turn;
}

const char *session_protocol(const struct session *s)
{
	return s->protocol != NULL ? s->protocol : "";
}

const char *session_cookies(const struct session *s)
{
	return s->cookies != NULL ? s->cookies : "";
}

uint32_t session_window(const struct session *s)
{
	return (uint32_t)s->core.window_bytes;
}

const struct fallback_times *session_times(const struct session *s)
{
	return &s->times;
}

void session_keep(struct session *s, uint32_t keep_ms)
{
	s->times.keep_ms = keep_ms;
}

/* ---- of all ---- */

struct list *session_sockets(struct worker *w)
{
	return &w->sessions->sockets;
}

bool session_table_init(struct worker *w)
{
	struct session_table *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return false;
	list_init(&t->all);
	list_init(&t->dirty);
	list_init(&t->soon);
	list_init(&t->sockets);
	hash_map_init(&t->by_secret);
	hash_map_init(&t->by_nonce);
	timer_init(&t->poke, on_poke);
	w->sessions = t;
	w->ring.on_turn = on_turn;
	return true;
}

struct session *session_new(struct worker *w, const struct session_open *o)
{
	const struct fallback_config *f = o->route->fallback;
	struct session_table *t = w->sessions;
	struct session *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	random_bytes(s->secret, sizeof(s->secret));
	if (hash_map_put(&t->by_secret, s->secret, sizeof(s->secret), s) < 0) {
		free(s);
		return NULL;
	}
	s->nonce = o->nonce;
	s->is_named = o->nonce != 0 && hash_map_put(&t->by_nonce, &s->nonce, sizeof(s->nonce), s) == 0;
	s->duplex = (struct duplex){ .ops = &session_leg_ops, .high = (uint32_t)f->window_bytes };
	s->worker = w;
	s->listener = o->listener;
	s->bind = o->bind;
	s->times = (struct fallback_times){ o->keep_ms, (uint32_t)f->beat_ms, (uint32_t)f->hold_ms };
	s->closes_on_full = f->overflow == FALLBACK_OVERFLOW_CLOSE;
	session_core_init(&s->core, f->window_bytes);
	ws_tracker_init(&s->tracker, WS_FROM_SERVER, 0);
	timer_init(&s->timer, on_timer);
	list_init(&s->dirty);
	list_append(&t->all, &s->link);
	counter_add(PROXY_SESSIONS_OPEN, 1);
	return s;
}

void sessions_close(struct worker *w)
{
	struct session_table *t = w->sessions;

	list_for_each_safe(node, next, &t->all) {
		struct session *s = container_of(node, struct session, link);

		session_open_cancel(s);
		session_leg_end(s, REASON_SHUTDOWN);
		if (s->carrier != NULL)
			carrier_drop(s, true);
		session_free(s);
	}
}

void session_table_done(struct worker *w)
{
	struct session_table *t = w->sessions;

	if (t == NULL)
		return;
	soon_run(t);
	hash_map_done(&t->by_secret);
	hash_map_done(&t->by_nonce);
	free(t);
	w->sessions = NULL;
}

static const struct session *session_of(const struct duplex *d)
{
	return d != NULL && d->ops == &session_leg_ops ? container_of(d, struct session, duplex) : NULL;
}

const char *session_transport_of(const struct duplex *d)
{
	const struct session *s = session_of(d);

	if (s == NULL)
		return NULL;
	return s->carrier != NULL ? s->carrier->ops->name : "detached";
}

uint32_t session_mark_of(const struct duplex *d, uint32_t mark)
{
	const struct session *s = session_of(d);

	return s != NULL ? (uint32_t)s->core.window_bytes : mark;
}
