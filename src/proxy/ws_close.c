/* The end of a WebSocket: Close frames of the proxy's own, what is logged and counted, and freeing. */
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "cluster/outlier.h"
#include "proxy/backend.h"
#include "proxy/counters.h"
#include "proxy/session.h"
#include "proxy/ws_inside.h"

#include <stdio.h>
#include <stdlib.h>

#define REST_MAX (1u << 20)

void relay_log(struct ws_relay *r, const char *event)
{
	bool is_open = event[0] == 'o';

	access_write(r->log, &(struct access_end){
				     .event = event,
				     .status = 101,
				     .cluster = cluster_name(r->endpoint->cluster),
				     .endpoint = r->endpoint->name,
				     .bytes_in = r->sides[CLIENT].bytes,
				     .bytes_out = r->sides[BACKEND].bytes,
				     .body_out = r->sides[BACKEND].bytes,
				     .duration_us = (clock_now_ns() - r->began_ns) / 1000,
				     .why = is_open ? REASON_NONE : r->why,
				     .is_websocket = !is_open,
				     .messages_in = r->sides[CLIENT].messages,
				     .messages_out = r->sides[BACKEND].messages,
				     .dropped_in = r->care != NULL ? r->care->dropped[CLIENT] : 0,
				     .dropped_out = r->care != NULL ? r->care->dropped[BACKEND] : 0,
				     .close_code = is_open ? 0 : r->close_code,
				     .closed_by = r->closed_by,
			     });
}

/* A WebSocket that its endpoint drops so soon has failed. */
#define DEATH_NS 1000000000u

/* An endpoint that goes without a Close right after the handshake is broken; one that says Close is not. */
static void tell_outlier(const struct ws_relay *r)
{
	bool has_vanished = r->closed_by == CLOSED_BY_BACKEND && r->why != REASON_WS_CLOSED;

	if (has_vanished && clock_now_ns() - r->began_ns < DEATH_NS)
		outlier_died(r->endpoint);
	else
		outlier_succeeded(r->endpoint);
}

/* Both streams have been let go: logs, counts off, frees. */
static void relay_free(struct ws_relay *r)
{
	struct worker *w = r->worker;
	struct listener *l = r->listener;

	relay_log(r, "close");
	access_free(r->log);
	counter_sub(PROXY_WEBSOCKETS_OPEN, 1);
	tell_outlier(r);
	proxy_count_close(r->close_code, r->closed_by);
	if (r->why != REASON_NONE)
		counter_add(COUNTERS_REASONS + r->why, 1);
	connections_remove(&w->open, r->connection);
	l->websockets--;
	list_remove(&r->link);
	timer_cancel(&r->timer);
	slow_done(r);
	compress_done(r);
	if (r->care != NULL && r->care->mirror != NULL)
		ws_mirror_detach(r->care->mirror);
	if (r->care != NULL)
		slice_unref(r->care->rest);
	if (r->care != NULL)
		free(r->care->own_close);
	free(r->care);
	free(r->token);
	backend_place_give(w, r->endpoint);
	if (r->holds_view)
		view_unref(r->view);
	slab_free(&w->relay_slab, r);
	listener_client_gone(l);
}

void relay_blame(struct ws_relay *r, enum reason why, int by)
{
	if (r->why != REASON_NONE)
		return;
	r->why = (uint8_t)why;
	r->closed_by = (uint8_t)by;
}

void relay_finish(struct ws_relay *r)
{
	slow_pump(r, true);
	for (int i = 0; i < 2; i++)
		if (r->sides[i].d != NULL)
			duplex_finish(r->sides[i].d);
	relay_free(r);
}

void relay_cut(struct ws_relay *r, enum reason why)
{
	for (int i = 0; i < 2; i++)
		if (r->sides[i].d != NULL)
			duplex_close(r->sides[i].d, why);
	relay_free(r);
}

/* ---- Close frames of our own ---- */

void close_with(struct ws_relay *r, uint16_t code, const char *text)
{
	struct ws_care *care = ws_care_of(r);

	if (care == NULL)
		return;
	if (care->own_close == NULL)
		care->own_close = calloc(1, sizeof(*care->own_close));
	if (care->own_close == NULL)
		return;
	care->own_close->code = code;
	snprintf(care->own_close->text, sizeof(care->own_close->text), "%s", text);
}

static const struct ws_own_close *own_close(const struct ws_relay *r)
{
	return r->care != NULL ? r->care->own_close : NULL;
}

/* What stands in a Close frame: what was asked for, the key that caused it, or a clause. */
static const char *close_text(const struct ws_relay *r, enum reason why, char *out, size_t cap)
{
	const struct reason_row *row = reason_of(why);

	if (own_close(r) != NULL && own_close(r)->text[0] != '\0')
		return own_close(r)->text;
	if (row->key == NULL)
		return row->text;
	snprintf(out, cap, "%s: %s", row->key, row->text);
	return out;
}

struct close_words {
	uint16_t code;
	const char *text;
};

static int close_write(uint8_t *out, const uint8_t *key, const void *what)
{
	const struct close_words *words = what;

	return ws_close_write(out, WS_CONTROL_MAX, words->code, words->text, key);
}

/* Tells a side once that it is over, if a frame may stand there. */
static void side_tell(struct ws_relay *r, int to, uint16_t code, const char *text)
{
	struct ws_side *from = &r->sides[!to];

	if (!from->is_muted && !from->is_closed && may_inject(r, to))
		side_inject(r, to, close_write, &(struct close_words){ code, text });
	from->is_muted = true;
}

void relay_close(struct ws_relay *r, enum reason why, uint16_t code, const char *text, int by)
{
	char room[WS_CLOSE_REASON_MAX + 1];

	relay_blame(r, why, by);
	if (code == 0)
		code = reason_of(why)->close_code;
	if (text == NULL)
		text = close_text(r, why, room, sizeof(room));
	if (r->close_code == 0)
		r->close_code = code;
	side_tell(r, CLIENT, code, text);
	side_tell(r, BACKEND, code, text);
	relay_finish(r);
}

bool is_closing_gently(const struct ws_relay *r)
{
	return r->why != REASON_NONE && r->closed_by == CLOSED_BY_PROXY;
}

/* Now that both have had their Close they get CLOSE_WAIT_MS to answer it. */
static void close_told(struct ws_relay *r)
{
	if (!is_told(r))
		return;
	r->message_ms = ring_of(r)->now_ms;
	if (r->sides[CLIENT].is_delayed) /* its Close may be among what waits */
		r->care->delayed_until_ms = ring_of(r)->now_ms;
	side_read(r, CLIENT);
	side_read(r, BACKEND);
	relay_timer_set(r);
}

/* Where a Close has to wait for the rest of a frame, its source is read although there is no room: bounded. */
static void rest_fetch(struct ws_relay *r, int from)
{
	struct ws_side *s = &r->sides[from];

	if (!s->is_within || s->tracker.payload_left > REST_MAX)
		return;
	s->is_held = false;
	side_read(r, from);
}

/* A side that is within a frame is told at its end (close_at_boundary), and is cut when that does not come in time. */
bool relay_close_gently(struct ws_relay *r, enum reason why)
{
	uint64_t now = ring_of(r)->now_ms;
	bool was_told = is_told(r);
	char room[WS_CLOSE_REASON_MAX + 1];
	const char *text = close_text(r, why, room, sizeof(room));
	uint16_t code = own_close(r) != NULL && own_close(r)->code != 0 ? own_close(r)->code : leaving_code(r, why);

	if (r->why == REASON_NONE)
		r->close_at_ms = now;
	relay_blame(r, why, CLOSED_BY_PROXY);
	r->close_code = code;
	rest_fetch(r, CLIENT);
	rest_fetch(r, BACKEND);
	for (int to = 0; to < 2; to++)
		if (may_inject(r, to) || now >= r->close_at_ms + CLOSE_WAIT_MS)
			side_tell(r, to, code, text);
	if (!was_told)
		close_told(r);
	return close_is_answered(r);
}

bool close_is_answered(struct ws_relay *r)
{
	if (!r->sides[CLIENT].is_closed || !r->sides[BACKEND].is_closed)
		return true;
	relay_finish(r);
	return false;
}

void close_at_boundary(struct ws_relay *r, int from)
{
	char room[WS_CLOSE_REASON_MAX + 1];

	if (!is_closing_gently(r) || is_told(r))
		return;
	side_tell(r, !from, r->close_code, close_text(r, r->why, room, sizeof(room)));
	close_told(r);
}

/* ---- Close frames of theirs, and their lack ---- */

void relay_violation(struct ws_relay *r, int from, int error)
{
	bool is_big = ws_close_code_of(error) == WS_CLOSE_TOO_BIG;
	enum reason why = is_big ? REASON_WS_TOO_BIG : error == -WS_ERR_MEMORY ? REASON_NO_MEMORY : REASON_WS_PROTOCOL;
	const struct websocket_policy *p = policy_of(r);
	char text[WS_CLOSE_REASON_MAX + 1];
	struct connection_info about;

	if (error == -WS_ERR_RATIO)
		snprintf(text, sizeof(text), "websocket.deflate.max_ratio");
	else if (is_big)
		snprintf(text, sizeof(text), "%s", p->max_message_size_bytes > 0 ? "websocket.max_message_size" :
										   "websocket.max_frame_size");
	else
		snprintf(text, sizeof(text), "%s: %s", from == CLIENT ? "client" : "endpoint", ws_error_text(error));
	connection_describe(&r->worker->open, r->connection, r->worker->ring.now_ms, &about);
	log_info("websocket %s: from %s to %s: %s", about.id, from == CLIENT ? about.client : r->endpoint->name,
		 from == CLIENT ? r->endpoint->name : about.client, ws_error_text(error));
	relay_close(r, why, ws_close_code_of(error), text, from == CLIENT ? CLOSED_BY_CLIENT : CLOSED_BY_BACKEND);
}

bool close_passed(struct ws_relay *r, int from, uint16_t code)
{
	struct ws_side *s = &r->sides[from];

	s->is_closed = true;
	if (r->close_code == 0)
		r->close_code = code;
	relay_blame(r, REASON_WS_CLOSED, from == CLIENT ? CLOSED_BY_CLIENT : CLOSED_BY_BACKEND);
	r->message_ms = ring_of(r)->now_ms; /* CLOSE_WAIT_MS from now */
	if (r->sides[!from].is_closed) {
		relay_finish(r);
		return false;
	}
	relay_timer_set(r);
	return true;
}

bool side_ended(struct ws_relay *r, int side, enum reason why)
{
	static const enum reason vanished[] = { [CLIENT] = REASON_CLIENT_CLOSED, [BACKEND] = REASON_BACKEND_CLOSED };
	bool is_proper = r->sides[CLIENT].is_closed || r->sides[BACKEND].is_closed;

	if (is_closing_gently(r) && is_told(r)) { /* an end is an answer too */
		r->sides[side].is_closed = true;
		return close_is_answered(r);
	}
	if (is_proper) {
		relay_finish(r);
		return false;
	}
	if (why == REASON_NONE)
		why = vanished[side];
	if (r->close_code == 0)
		r->close_code = WS_CLOSE_ABNORMAL;
	if (side == BACKEND && session_transport_of(r->sides[CLIENT].d) != NULL)
		r->sides[BACKEND].is_muted = true; /* a session can say that there was no Close */
	relay_close(r, why, 0, NULL, side == CLIENT ? CLOSED_BY_CLIENT : CLOSED_BY_BACKEND);
	return false;
}
