/* How a session gets its endpoint: the handshake that a WebSocket client would have sent, as an exchange of the proxy's
 * own, given to the same handler that serves clients (proxy/forward).  So routes, affinity, retries, PROXY headers and
 * failures are what they are for any WebSocket.
 *
 * The client's half of that exchange is here: a refusal becomes the session's, a 101 makes the session the client's
 * duplex of the relay that follows. */
#include "base/str.h"
#include "proxy/access_log.h"
#include "proxy/counters.h"
#include "proxy/forward.h"
#include "proxy/listener.h"
#include "proxy/places.h"
#include "proxy/session_inside.h"
#include "proxy/session_names.h"
#include "proxy/token.h"
#include "base/clock.h"
#include "wire/http1_parse.h"
#include "wire/ws_handshake.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- the client's half ---- */

static void places_give(struct session *s)
{
	struct worker *w = s->worker;

	connections_remove(&w->open, s->connection);
	s->connection = CONNECTION_NONE;
	if (s->guest != 0)
		w->ring.guest_gone(&w->ring, s->guest);
	s->guest = 0;
	listener_client_gone(s->listener);
}

void session_refused(struct session *s, enum reason why, unsigned status)
{
	s->refused_why = (uint8_t)(why != REASON_NONE ? why : REASON_BACKEND_UPGRADE);
	s->refused_status = (uint16_t)status;
	session_touch(s);
}

static void cookies_take(struct session *s, const struct response_head *h)
{
	struct str text;

	str_init_heap(&text, 16384);
	for (uint32_t i = 0; i < h->own_count; i++)
		if (h->own[i].id == HTTP_SET_COOKIE) {
			str_bytes(&text, h->own[i].value, h->own[i].value_len);
			str_char(&text, '\n');
		}
	for (const struct http_field *f = http_head_find(h->from, HTTP_SET_COOKIE, NULL); f != NULL;
	     f = http_head_find(h->from, HTTP_SET_COOKIE, f + 1)) {
		str_bytes(&text, f->value, f->value_len);
		str_char(&text, '\n');
	}
	if (text.len > 0 && !text.is_cut) {
		str_char(&text, '\0');
		s->cookies = text.is_cut ? NULL : text.at;
	}
	if (s->cookies == NULL)
		str_done(&text);
}

static void own_head(struct exchange *x, struct response_head *h)
{
	struct session *s = x->client;
	const struct http_field *f;

	if (h->status < 200 && h->status != 101)
		return;
	x->status = h->status;
	x->response_begun = true;
	if (h->status != 101 || h->from == NULL)
		return;
	f = http_head_find(h->from, HTTP_SEC_WEBSOCKET_PROTOCOL, NULL);
	if (f != NULL)
		s->protocol = text_copy(f->value, f->value_len);
	cookies_take(s, h);
}

static bool own_body(struct exchange *x, struct slice in)
{
	(void)x;
	slice_unref(in); /* what a refusal says: the client gets its status */
	return true;
}

static bool own_pass(struct exchange *x, struct duplex *from, uint64_t len, const struct passage_events *e, void *user)
{
	(void)x, (void)from, (void)len, (void)e, (void)user;
	return false;
}

/* The handler has let go: the exchange ends, and with it the hope of a session. */
static void own_over(struct exchange *x, enum reason why, unsigned status)
{
	struct session *s = x->client;

	s->opening = NULL;
	x->handler = NULL;
	exchange_free(x);
	places_give(s);
	session_refused(s, why, status);
}

static void own_end(struct exchange *x, const struct http_field *trailers, uint32_t count)
{
	(void)trailers, (void)count;
	own_over(x, x->why, x->status >= 400 ? x->status : 502);
}

static void own_abort(struct exchange *x, enum reason why)
{
	own_over(x, why, x->status >= 400 ? x->status : 502);
}

static void own_read(struct exchange *x, bool on)
{
	(void)x, (void)on;
}

static struct duplex *own_upgrade(struct exchange *x, struct slice *early)
{
	struct session *s = x->client;

	*early = SLICE_EMPTY;
	s->opening = NULL;
	s->connection = CONNECTION_NONE; /* the relay's now, as the listener's client */
	s->is_open = s->has_relay = true;
	counter_add(PROXY_SESSIONS, 1);
	session_touch(s);
	return &s->duplex;
}

static const struct exchange_client own_ops = {
	.head = own_head,
	.body = own_body,
	.pass = own_pass,
	.end = own_end,
	.abort = own_abort,
	.read = own_read,
	.upgrade = own_upgrade,
};

void session_open_cancel(struct session *s)
{
	struct exchange *x = s->opening;

	if (x == NULL)
		return;
	s->opening = NULL;
	x->why = REASON_CLIENT_CLOSED;
	if (x->handler != NULL)
		x->handler->gone(x, REASON_CLIENT_CLOSED);
	exchange_free(x);
	places_give(s);
}

/* ---- looked at from outside, until the relay is ---- */

static void describe(const void *object, struct connection_info *out)
{
	const struct session *s = object;

	out->listener = s->listener->config->name;
	out->route = s->opening->route->name;
	out->cluster = s->opening->cluster;
	out->endpoint = s->opening->endpoint;
	out->state = "opening";
	out->transport = s->carrier != NULL ? s->carrier->ops->name : "detached";
}

static bool end_asked(void *object, const struct connection_end *how)
{
	session_end(object, how->why);
	return true;
}

static const struct connection_face face = { "websocket", describe, end_asked, NULL, NULL };

/* ---- start ---- */

/* The listener in the configuration that the route is of: a reload may have come between the request and its body. */
static const struct listener_config *listener_config_of(const struct session_open *o)
{
	return config_find_listener(o->view->snapshot->config, o->listener->config->name);
}

static size_t listener_index_of(const struct session_open *o)
{
	return (size_t)(listener_config_of(o) - o->view->snapshot->config->listeners);
}

/* A session is one connection in every limit. */
static enum reason places_take(struct session *s, const struct session_open *o, const struct request *r)
{
	struct listener *l = o->listener;
	struct worker *w = o->worker;
	struct guard_hold hold;
	enum reason why;

	if (!place_take(w))
		return REASON_MAX_CONNECTIONS;
	if (l->group != NULL && !place_group_take(l->group, l->config->limits.max_connections)) {
		place_give(w);
		return REASON_LISTENER_CONNECTIONS;
	}
	l->clients++;
	w->connections++;
	why = guard_forwarded(o->view->snapshot->guard, listener_index_of(o), &r->client_addr, w->ring.now_ms * 1000000, &hold);
	if (why != REASON_NONE) {
		listener_client_gone(l);
		return why;
	}
	s->guest = guest_of(hold);
	s->connection = connections_add(&w->open, &face, s, o->peer, w->ring.now_ms);
	if (r->is_trusted)
		connections_set_client(&w->open, s->connection, r->client);
	return REASON_NONE;
}

/* The request as the handler wants it, made of the head's text. */
static enum reason request_make(const struct session_open *o, struct http_head *head, struct request *r, struct jwt *token)
{
	struct worker *w = o->worker;
	const struct jwt_config *c = o->route->auth.jwt;
	char room[JWT_MAX_LEN];
	struct guard_request q = { .client = o->peer };
	const char *text;
	size_t len;
	enum reason why;

	if (listener_config_of(o) == NULL)
		return REASON_LISTENER_GONE;
	q.listener = listener_index_of(o);
	q.route = (size_t)(o->route - listener_config_of(o)->routes);
	http_head_init(head, w->fields, w->fields_cap);
	if (http1_parse_request((const uint8_t *)o->head, o->head_len, &(struct http1_limits){ 0 }, NULL, head) <= 0)
		return REASON_HEADERS_TOO_LARGE;
	*r = (struct request){
		.head = head,
		.config = o->view->snapshot->config,
		.listener = listener_config_of(o),
		.route = o->route,
		.peer = o->peer,
		.local = o->local,
		.is_tls = o->is_tls,
	};
	why = request_prepare(r, w->scratch, w->scratch_cap);
	if (why != REASON_NONE || c == NULL)
		return why;
	/* It was good a moment ago; its claims are wanted for the head. */
	if (!token_find(c, r, room, sizeof(room), &text, &len))
		return REASON_TOKEN_MISSING;
	why = jwt_check(guard_route_of(o->view->snapshot->guard, &q)->jwt, text, len, clock_wall_ns() / 1000000000, token);
	r->token = token;
	return why;
}

static enum reason handshake_begin(struct session *s, const struct session_open *o)
{
	struct worker *w = o->worker;
	struct jwt token = { 0 };
	struct http_head head;
	struct request r;
	struct exchange *x = NULL;
	enum reason why = request_make(o, &head, &r, &token);

	if (why == REASON_NONE && (x = exchange_new(w, &own_ops, s)) == NULL)
		why = REASON_NO_MEMORY;
	if (why == REASON_NONE)
		why = places_take(s, o, &r);
	if (why != REASON_NONE) {
		if (x != NULL)
			exchange_free(x);
		jwt_done(&token);
		return why;
	}
	view_unref(x->view);
	x->view = view_ref(o->view);
	x->listener = o->listener;
	x->route = o->route;
	x->method = HTTP_METHOD_GET;
	x->version_minor = 1;
	x->is_upgrade = x->request_over = true;
	x->connection = s->connection;
	x->log = access_request(&o->view->snapshot->config->log, &r, o->tls_version);
	if (o->message_key != NULL) {
		x->message_key = *o->message_key;
		x->has_message_key = true;
	}
	x->is_logged = true; /* no line of a request, but those of a WebSocket */
	s->opening = x;
	forward_start(x, &r);
	jwt_done(&token);
	return REASON_NONE;
}

enum reason session_open(const struct session_open *o, struct carrier *c, struct session **out)
{
	struct session *s = session_new(o->worker, o);
	enum reason why;

	if (s == NULL)
		return REASON_NO_MEMORY;
	why = handshake_begin(s, o);
	if (why != REASON_NONE) {
		session_settle(s);
		return why;
	}
	if (session_attach(s, c, o->turn, 0) != CORE_OK) /* a turn of 0 */
		session_keep(s, 1);
	*out = s;
	return REASON_NONE;
}
