/* A client that takes its messages too slowly: websocket.send_buffer is what may wait for it, websocket.slow_client what
 * is done when that is full.
 *
 * pause and close: the mark of its stream; the endpoint is not read above it, and `close` ends what stays there for
 * slow_timeout.  drop_oldest and latest: the stream takes little, and the rest waits in a ws_queue, out of which whole
 * messages go; the endpoint is held back only when nothing may go. */
#include "base/log.h"
#include "proxy/counters.h"
#include "proxy/session.h"
#include "proxy/ws_inside.h"

/* What the stream itself may hold where the rest waits above it: one write's worth. */
#define STREAM_SHARE 16384u

/* A message that is taken out of a compressed stream would break what follows: there, dropping is pausing. */
bool slow_drops(const struct ws_relay *r)
{
	enum slow_client p = policy_of(r)->slow_client;

	return (p == SLOW_CLIENT_DROP_OLDEST || p == SLOW_CLIENT_LATEST) && compress_may_drop(r, BACKEND);
}

bool slow_takes(const struct ws_relay *r, unsigned marks)
{
	if (slow_waits(r))
		return true;
	return slow_drops(r) && (marks & WS_PIECE_BEGINS) && r->sides[CLIENT].d != NULL &&
	       duplex_is_full(r->sides[CLIENT].d);
}

static uint64_t bound_of(const struct ws_relay *r)
{
	return policy_of(r)->send_buffer_bytes;
}

void slow_rebind(struct ws_relay *r)
{
	uint64_t mark = bound_of(r);

	if (slow_drops(r) && mark > STREAM_SHARE)
		mark = STREAM_SHARE;
	if (r->sides[CLIENT].d != NULL)
		duplex_mark(r->sides[CLIENT].d, session_mark_of(r->sides[CLIENT].d, (uint32_t)mark));
}

/* ---- the queue ---- */

bool slow_waits(const struct ws_relay *r)
{
	return r->care != NULL && r->care->has_queue && !ws_queue_is_empty(&r->care->queue);
}

uint32_t slow_waiting(const struct ws_relay *r)
{
	return slow_waits(r) ? (uint32_t)r->care->queue.cost : 0;
}

static struct ws_queue *queue_of(struct ws_relay *r)
{
	struct ws_care *care = ws_care_of(r);

	if (care == NULL)
		return NULL;
	if (!care->has_queue)
		ws_queue_init(&care->queue);
	care->has_queue = true;
	return &care->queue;
}

static void dropped(struct ws_relay *r, enum ws_queue_dropped what)
{
	r->care->dropped[BACKEND]++;
	counter_add(PROXY_SLOW_CLIENT + policy_of(r)->slow_client, 1);
	if (what != WS_QUEUE_BEGUN)
		return;
	ws_sift_drop_rest(&r->sides[BACKEND].sift);
	r->sides[BACKEND].is_within = false;
}

/* Above the bound: drops what may go. */
static void queue_trim(struct ws_relay *r, struct ws_queue *q)
{
	bool keeps_latest = policy_of(r)->slow_client == SLOW_CLIENT_LATEST;
	enum ws_queue_dropped what;

	if (q->cost <= bound_of(r) || !slow_drops(r))
		return;
	while (keeps_latest ? ws_queue_has_several(q) : q->cost > bound_of(r)) {
		what = ws_queue_drop_oldest(q);
		if (what == WS_QUEUE_NONE)
			return;
		dropped(r, what);
	}
	if (q->cost > bound_of(r) && (what = ws_queue_drop_oldest(q)) != WS_QUEUE_NONE)
		dropped(r, what);
}

bool slow_push(struct ws_relay *r, const uint8_t *at, size_t len, unsigned marks)
{
	struct ws_queue *q = queue_of(r);

	if (q == NULL)
		return false;
	if (ws_queue_push(q, at, (uint32_t)len, marks))
		queue_trim(r, q);
	else
		r->care->is_broken = true;
	return true;
}

/* As much as the stream takes; `all`: everything, for it is the end. */
void slow_pump(struct ws_relay *r, bool all)
{
	struct duplex *d = r->sides[CLIENT].d;

	while (slow_waits(r) && d != NULL && (all || !duplex_is_full(d)))
		duplex_write(d, ws_queue_pop(&r->care->queue));
}

void slow_done(struct ws_relay *r)
{
	if (r->care != NULL && r->care->has_queue)
		ws_queue_done(&r->care->queue);
}

/* ---- full, and room again ---- */

bool slow_is_full(const struct ws_relay *r)
{
	if (slow_drops(r)) /* nothing may go; or a message that has begun to leave is longer than the bound */
		return (slow_waits(r) && r->care->queue.cost > bound_of(r)) ||
		       (r->sides[CLIENT].d != NULL && r->sides[CLIENT].d->queued >= bound_of(r));
	return slow_waits(r) || (r->sides[CLIENT].d != NULL && duplex_is_full(r->sides[CLIENT].d));
}

void slow_began(struct ws_relay *r)
{
	enum slow_client policy = policy_of(r)->slow_client;
	struct ws_care *care;

	if (!slow_drops(r)) /* dropping counts what it drops */
		counter_add(PROXY_SLOW_CLIENT + (policy == SLOW_CLIENT_CLOSE ? SLOW_CLIENT_CLOSE : SLOW_CLIENT_PAUSE), 1);
	if (policy != SLOW_CLIENT_CLOSE)
		return;
	care = ws_care_of(r);
	if (care == NULL)
		return;
	if (care->slow_since_ms == 0)
		care->slow_since_ms = ring_of(r)->now_ms;
	if (r->why == REASON_NONE)
		relay_timer_set(r);
}

void slow_ended(struct ws_relay *r)
{
	if (r->care != NULL)
		r->care->slow_since_ms = 0;
}

uint64_t slow_due(const struct ws_relay *r)
{
	const struct websocket_policy *p = policy_of(r);

	if (r->care == NULL || r->care->slow_since_ms == 0 || p->slow_client != SLOW_CLIENT_CLOSE ||
	    p->slow_timeout_ms == 0)
		return UINT64_MAX;
	return r->care->slow_since_ms + p->slow_timeout_ms;
}
