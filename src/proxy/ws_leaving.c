/* WebSockets whose endpoint leaves, or sheds what it has too much: each gets a moment at which it is closed, which the
 * cluster hands out at its rate, whatever worker asks. */
#include "cluster/leaving.h"
#include "cluster/rebalance.h"
#include "proxy/ws_inside.h"

#include <stdlib.h>

void close_plan(struct ws_relay *r, enum reason why, uint64_t at_ms)
{
	r->close_why = (uint8_t)why;
	r->close_at_ms = at_ms;
}

static bool is_of_endpoint(enum reason why)
{
	return why == REASON_ENDPOINT_REMOVED || why == REASON_ENDPOINT_DRAINING || why == REASON_ENDPOINT_UNHEALTHY ||
	       why == REASON_REBALANCE;
}

uint16_t leaving_code(const struct ws_relay *r, enum reason why)
{
	return is_of_endpoint(why) ? endpoint_close_code(r->endpoint) : reason_of(why)->close_code;
}

bool leaving_heed(struct ws_relay *r)
{
	enum reason why = endpoint_closing(r->endpoint);

	if (why != REASON_NONE && r->close_at_ms == 0) {
		close_plan(r, why, endpoint_close_at(r->endpoint, why, ring_of(r)->now_ms));
		return true;
	}
	if (why == REASON_NONE && r->close_at_ms != 0 && is_of_endpoint(r->close_why) && r->close_why != REASON_REBALANCE) {
		close_plan(r, REASON_NONE, 0);
		return true;
	}
	return false;
}

struct shed_row {
	const struct endpoint *endpoint;
	struct ws_relay *relay;
};

/* By endpoint, the least recently active first. */
static int shed_compare(const void *a, const void *b)
{
	const struct shed_row *x = a, *y = b;

	if (x->endpoint != y->endpoint)
		return x->endpoint < y->endpoint ? -1 : 1;
	return x->relay->message_ms < y->relay->message_ms ? -1 : x->relay->message_ms > y->relay->message_ms;
}

static bool may_shed(const struct ws_relay *r)
{
	return r->why == REASON_NONE && r->close_at_ms == 0 && rebalance_is_on(r->endpoint);
}

static void shed_group(struct worker *w, const struct shed_row *rows, uint32_t count)
{
	struct endpoint *e = rows[0].relay->endpoint;
	uint32_t claimed = rebalance_claim(e, count);

	for (uint32_t i = 0; i < claimed; i++) {
		close_plan(rows[i].relay, REASON_REBALANCE, endpoint_close_at(e, REASON_REBALANCE, w->ring.now_ms));
		relay_timer_set(rows[i].relay);
	}
}

static void relays_shed(struct worker *w)
{
	struct shed_row *rows;
	uint32_t count = 0, filled = 0;

	list_for_each(node, &w->relays)
		count += may_shed(container_of(node, struct ws_relay, link));
	rows = count == 0 ? NULL : malloc(count * sizeof(*rows));
	if (rows == NULL)
		return; /* nothing to shed, or no memory to choose: they stay */
	list_for_each(node, &w->relays) {
		struct ws_relay *r = container_of(node, struct ws_relay, link);

		if (filled < count && may_shed(r))
			rows[filled++] = (struct shed_row){ r->endpoint, r };
	}
	qsort(rows, filled, sizeof(*rows), shed_compare);
	for (uint32_t from = 0, to = 0; from < filled; from = to) {
		while (to < filled && rows[to].endpoint == rows[from].endpoint)
			to++;
		shed_group(w, rows + from, to - from);
	}
	free(rows);
}

void ws_relays_heed(struct worker *w)
{
	if (w->is_draining)
		return; /* all are closed anyhow */
	list_for_each(node, &w->relays) {
		struct ws_relay *r = container_of(node, struct ws_relay, link);

		if (r->why == REASON_NONE && leaving_heed(r))
			relay_timer_set(r);
	}
	relays_shed(w);
}
