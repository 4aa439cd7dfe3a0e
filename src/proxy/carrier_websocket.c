#include "proxy/carrier_websocket.h"

#include "base/random.h"
#include "base/str.h"
#include "net/stream.h"
#include "proxy/carrier_http.h"
#include "proxy/carrier_ws_inside.h"
#include "proxy/counters.h"
#include "proxy/fallback.h"
#include "proxy/ferry.h"
#include "proxy/hello.h"
#include "proxy/listener.h"
#include "proxy/session_names.h"
#include "wire/sockjs.h"
#include "wire/ws_handshake.h"

#include <stdio.h>
#include <stdlib.h>

#define HELLO_MS    10000u	/* from the 101 to the first message */
#define STUCK_BEATS 3u		/* a client that takes nothing for so long is gone */

static const struct carrier_ops ops;

/* ---- the end ---- */

static void asking_free(struct carrier_ws *c)
{
	if (c->asking == NULL)
		return;
	view_unref(c->asking->view);
	free(c->asking->head);
	free(c->asking);
	c->asking = NULL;
}

static void free_soon(struct session_soon *soon)
{
	struct carrier_ws *c = container_of(soon, struct carrier_ws, soon);

	free(c->partial);
	free(c);
}

/* The stream has been let go: gives back what came with it.  Freed when nobody is on the stack. */
static void carrier_over(struct carrier_ws *c)
{
	struct session *s;

	if (c->is_gone)
		return;
	c->is_gone = true;
	c->d = NULL;
	list_remove(&c->link);
	list_remove(&c->soon.link);
	timer_cancel(&c->timer);
	s = c->carrier.session;
	session_detach(&c->carrier);
	if (s != NULL && c->is_sockjs)
		session_forget(s, REASON_CLIENT_CLOSED);
	asking_free(c);
	if (c->listener != NULL) {
		connections_remove(&c->worker->open, c->connection);
		listener_client_gone(c->listener);
	}
	c->soon.run = free_soon;
	session_soon(c->worker, &c->soon);
}

static void over_by_ferry(void *user)
{
	struct carrier_ws *c = user;

	c->d = NULL;
	carrier_over(c);
}

void carrier_ws_close(struct carrier_ws *c, uint16_t code, const char *text)
{
	uint8_t frame[WS_CONTROL_MAX];
	int len = ws_close_write(frame, sizeof(frame), code, text, NULL);

	if (c->d != NULL && len > 0)
		duplex_write(c->d, ring_copy(&c->worker->ring, frame, (uint32_t)len));
	if (c->d != NULL)
		duplex_finish(c->d);
	carrier_over(c);
}

/* ---- writing ---- */

void carrier_ws_frame(struct carrier_ws *c, uint8_t opcode, unsigned lead, const void *payload, uint32_t len)
{
	struct ws_frame f = { .payload_len = (uint64_t)len + lead, .opcode = opcode, .is_final = true };
	struct buf *b = c->d != NULL ? buf_new(WS_HEADER_MAX + 1 + len) : NULL;
	uint32_t head;

	if (b == NULL) {
		if (c->d != NULL) { /* it is not sent; another carrier has it again */
			duplex_close(c->d, REASON_NO_MEMORY);
			carrier_over(c);
		}
		return;
	}
	head = (uint32_t)ws_frame_write_header(b->data, WS_HEADER_MAX, &f);
	if (lead)
		b->data[head++] = '\0';
	if (len > 0)
		memcpy(b->data + head, payload, len);
	c->silent_ms = c->worker->ring.now_ms;
	duplex_write(c->d, (struct slice){ b, b->data, head + len });
}

/* \0NAME VALUE; takes the string. */
static void control_write(struct carrier_ws *c, struct str *s)
{
	if (!s->is_cut)
		carrier_ws_frame(c, WS_OP_TEXT, 1, s->at, (uint32_t)s->len);
	str_done(s);
}

static void number_write(struct carrier_ws *c, const char *name, uint64_t value)
{
	struct str s;

	str_init_heap(&s, 64);
	str_cstr(&s, name);
	str_char(&s, ' ');
	str_dec(&s, value);
	control_write(c, &s);
}

static void message_write(struct carrier_ws *c, const struct message *m)
{
	struct str s;

	if (m->kind == MESSAGE_CLOSE) {
		str_init_heap(&s, 2048);
		str_cstr(&s, "close ");
		carrier_close_print(&s, m);
		control_write(c, &s);
		return;
	}
	carrier_ws_frame(c, m->kind == MESSAGE_TEXT ? WS_OP_TEXT : WS_OP_BINARY, m->kind == MESSAGE_TEXT && m->len > 0 && m->bytes[0] == 0,
		    m->bytes, m->len);
}

/* ---- what the session calls ---- */

static struct carrier_ws *ws_of(struct carrier *c)
{
	return container_of(c, struct carrier_ws, carrier);
}

static void beat_arm(struct carrier_ws *c)
{
	c->beat_ms = random_jitter(session_times(c->carrier.session)->beat_ms, 20);
	ring_timer_arm(&c->worker->ring, &c->timer, c->beat_ms < 1000 ? c->beat_ms : 1000);
}

static void on_opened(struct carrier *carrier)
{
	struct carrier_ws *c = ws_of(carrier);
	struct str s;

	asking_free(c);
	if (c->is_sockjs) {
		c->next = 1;
		c->is_heard = true;
		carrier_ws_frame(c, WS_OP_TEXT, 0, "o", 1);
		if (!c->is_gone)
			ring_timer_arm(&c->worker->ring, &c->timer, c->heartbeat_ms);
		return;
	}
	str_init_heap(&s, 2048);
	str_cstr(&s, "open ");
	carrier_open_print(&s, c->carrier.session);
	c->next = session_tell_ack(c->carrier.session) + 1;
	control_write(c, &s);
	if (!c->is_gone)
		beat_arm(c);
}

/* There was no `open`, so that this close has no number. */
static void refusal_say(struct carrier_ws *c, unsigned status, const char *text)
{
	struct str s;

	str_init_heap(&s, 512);
	str_cstr(&s, "close [1006,\"");
	str_dec(&s, status);
	str_char(&s, ' ');
	str_cstr(&s, text);
	str_cstr(&s, "\"]");
	control_write(c, &s);
	carrier_ws_close(c, status == 503 || status == 429 ? WS_CLOSE_TRY_LATER : WS_CLOSE_POLICY, "");
}

void carrier_ws_refuse(struct carrier_ws *c, enum reason why, unsigned status)
{
	const struct reason_row *row = reason_of(why);

	counter_add(COUNTERS_REFUSED + why, 1);
	if (c->is_sockjs) {
		carrier_ws_close(c, WS_CLOSE_TRY_LATER, row->text);
		return;
	}
	refusal_say(c, status != 0 ? status : row->status, row->text);
}

static void on_refused(struct carrier *carrier, enum reason why, unsigned status)
{
	carrier_ws_refuse(ws_of(carrier), why, status);
}

/* a["..."], and c[...] at the end, which ends the connection too. */
static void sockjs_flush(struct carrier_ws *c)
{
	struct session *s = c->carrier.session;
	const struct message *m;
	uint64_t number;

	while (!c->is_gone && !duplex_is_full(c->d) && (m = session_next(s, &number)) != NULL) {
		bool is_close = m->kind == MESSAGE_CLOSE;
		struct str frame;

		str_init_heap(&frame, SIZE_MAX);
		if (is_close) {
			sockjs_write_close(&frame, m->len >= 2 ? (unsigned)m->bytes[0] << 8 | m->bytes[1] : 0, m->bytes + 2,
					   m->len > 2 ? m->len - 2 : 0);
		} else {
			str_cstr(&frame, "a[");
			sockjs_write_string(&frame, m->bytes, m->len);
			str_char(&frame, ']');
		}
		session_ack(s, number);
		if (!frame.is_cut)
			carrier_ws_frame(c, WS_OP_TEXT, 0, frame.at, (uint32_t)frame.len);
		str_done(&frame);
		if (is_close && !c->is_gone)
			carrier_ws_close(c, WS_CLOSE_NORMAL, "");
	}
}

static void on_flush(struct carrier *carrier)
{
	struct carrier_ws *c = ws_of(carrier);
	struct session *s = c->carrier.session;
	const struct message *m;
	uint64_t number;

	if (c->is_sockjs) {
		sockjs_flush(c);
		return;
	}

	while (!c->is_gone && !duplex_is_full(c->d) && (m = session_next(s, &number)) != NULL) {
		if (session_owes_ack(s))
			number_write(c, "ack", session_tell_ack(s));
		if (!c->is_gone)
			message_write(c, m);
	}
}

static void on_gone(struct carrier *carrier, bool is_over)
{
	struct carrier_ws *c = ws_of(carrier);
	struct str s;

	if (!is_over && !c->is_sockjs) {
		str_init_heap(&s, 64);
		str_cstr(&s, "gone null");
		control_write(c, &s);
	}
	if (!c->is_gone)
		carrier_ws_close(c, WS_CLOSE_NORMAL, "");
}

static const struct carrier_ops ops = { "websocket", on_opened, on_refused, on_flush, on_gone };

/* ---- the first message ---- */

static void open_here(struct carrier_ws *c, const struct fallback_call *call)
{
	struct asking *a = c->asking;
	struct session_open o = {
		.worker = c->worker,
		.listener = c->listener,
		.view = a->view,
		.route = a->route,
		.peer = &a->peer,
		.local = &a->local,
		.is_tls = a->is_tls,
		.tls_version = a->is_tls ? "tls" : "",
		.bind = c->bind,
		.nonce = call->name,
		.turn = call->hello.turn,
		.keep_ms = (uint32_t)a->route->fallback->keep_ms,
		.message_key = a->has_message_key ? &a->message_key : NULL,
	};
	enum reason why = REASON_NO_MEMORY;
	struct session *s;
	struct str head;

	str_init_heap(&head, 1 << 17);
	fallback_head_end(&head, a->head, a->head_len, call->hello.protocols);
	o.head = head.at;
	o.head_len = head.len;
	if (!head.is_cut)
		why = session_open(&o, &c->carrier, &s);
	str_done(&head);
	if (why == REASON_NONE)
		return;
	session_names_remove(call->name);
	carrier_ws_refuse(c, why, 0);
}

static void attach_here(struct carrier_ws *c, const struct fallback_call *call)
{
	struct session *s = call->hello.kind == HELLO_OPEN ? session_find_nonce(c->worker, call->name) :
							     session_find(c->worker, call->secret);
	enum core_result result;

	if (s == NULL || !session_is_bound(s, call->bind)) {
		carrier_ws_refuse(c, REASON_SESSION_UNKNOWN, 0);
		return;
	}
	result = session_attach(s, &c->carrier, call->hello.turn, call->hello.got);
	if (result == CORE_STALE)
		on_gone(&c->carrier, false);
	else if (result != CORE_OK)
		carrier_ws_refuse(c, REASON_SESSION_GRAMMAR, 0);
}

static struct carrier_ws *carrier_new(struct worker *w, struct duplex *d);

/* The stream of a client that came in on another worker. */
static void arrived(struct worker *w, struct duplex *d, struct slice early, struct fallback_call *call)
{
	struct carrier_ws *c = carrier_new(w, d);

	if (c == NULL) {
		duplex_close(d, REASON_NO_MEMORY);
		return;
	}
	c->has_greeted = true;
	c->bind = call->bind;
	c->message_max = call->hello.hold_ms;
	attach_here(c, call);
	carrier_ws_read(c, early);
}

/* Where the session is.  `rest` came behind the first message. */
static void greeted(struct carrier_ws *c, struct fallback_call *call, struct slice rest)
{
	struct worker *w = c->worker;
	unsigned owner = 0;
	struct ferry_stream over;

	if (call->hello.kind == HELLO_OPEN) {
		call->name = session_name(call->hello.nonce, call->hello.nonce_len, c->bind);
		switch (session_names_claim(call->name, w->index, &owner)) {
		case SESSION_CLAIMED:
			open_here(c, call);
			return;
		case SESSION_NO_ROOM:
			carrier_ws_refuse(c, REASON_NO_MEMORY, 0);
			return;
		default:
			break;
		}
	} else if (!session_token_read(w, call->hello.token, call->hello.token_len, &owner, call->secret)) {
		carrier_ws_refuse(c, REASON_SESSION_UNKNOWN, 0);
		return;
	}
	if (owner == w->index) {
		attach_here(c, call);
		return;
	}
	call->hello.hold_ms = c->message_max;
	over = (struct ferry_stream){ c->d, rest, *call, arrived, over_by_ferry, c };
	if (!ferry_stream(w, &w->all[owner], &over)) {
		carrier_ws_refuse(c, REASON_NO_MEMORY, 0);
		return;
	}
	asking_free(c);
	timer_cancel(&c->timer);
	list_remove(&c->link);
	c->d = NULL; /* the ferry's; over_by_ferry() comes */
}

void carrier_ws_greet(struct carrier_ws *c, const char *text, size_t len, struct slice rest)
{
	struct fallback_call call = { .bind = c->bind };
	const char *space = memchr(text, ' ', len);
	size_t name_len = space != NULL ? (size_t)(space - text) : len;

	c->has_greeted = true;
	if (space == NULL || !hello_parse(text, name_len, space + 1, len - name_len - 1, &call.hello) ||
	    call.hello.kind == HELLO_UP)
		carrier_ws_refuse(c, REASON_SESSION_GRAMMAR, 0);
	else
		greeted(c, &call, rest);
}

/* ---- the stream's events ---- */

static void on_open(struct duplex *d)
{
	(void)d;
}

static void on_bytes(struct duplex *d, struct slice in)
{
	carrier_ws_read(d->user, in);
}

static void on_eof(struct duplex *d)
{
	struct carrier_ws *c = d->user;

	duplex_finish(d);
	carrier_over(c);
}

static void on_room(struct duplex *d)
{
	struct carrier_ws *c = d->user;

	if (c->carrier.session != NULL)
		session_touch(c->carrier.session);
}

static void on_closed(struct duplex *d, enum reason why)
{
	(void)why;
	carrier_over(d->user);
}

static const struct duplex_events events = { on_open, on_bytes, on_eof, on_room, on_closed };

/* ---- deadlines ---- */

static bool is_stuck(struct carrier_ws *c)
{
	uint64_t beat_ms = session_times(c->carrier.session)->beat_ms;
	bool moves = c->d->queued == 0 || c->d->queued != c->queued_seen;

	c->queued_seen = c->d->queued;
	c->stuck = moves ? 0 : c->stuck + 1;
	return (uint64_t)c->stuck * 1000 > beat_ms * STUCK_BEATS;
}

/* A ping; who says nothing until the next one is gone. */
static void sockjs_beat(struct carrier_ws *c)
{
	if (!c->is_heard) {
		duplex_close(c->d, REASON_WS_CLIENT_DEAD);
		carrier_over(c);
		return;
	}
	c->is_heard = false;
	carrier_ws_frame(c, WS_OP_PING, 0, NULL, 0);
	if (!c->is_gone)
		ring_timer_arm(&c->worker->ring, &c->timer, c->heartbeat_ms);
}

static void on_timer(struct timer *t)
{
	struct carrier_ws *c = container_of(t, struct carrier_ws, timer);
	struct session *s = c->carrier.session;
	uint64_t now = c->worker->ring.now_ms;

	if (s == NULL) {
		carrier_ws_close(c, WS_CLOSE_POLICY, "no open");
		return;
	}
	if (c->next == 0) { /* the endpoint has yet to answer; its deadlines are others' */
		ring_timer_arm(&c->worker->ring, &c->timer, HELLO_MS);
		return;
	}
	if (c->is_sockjs) {
		sockjs_beat(c);
		return;
	}
	if (is_stuck(c)) {
		counter_add(COUNTERS_REASONS + REASON_TIMEOUT_WRITE, 1);
		duplex_close(c->d, REASON_TIMEOUT_WRITE);
		carrier_over(c);
		return;
	}
	if (session_owes_ack(s))
		number_write(c, "ack", session_tell_ack(s));
	if (!c->is_gone && now >= c->silent_ms + c->beat_ms && c->d->queued == 0)
		number_write(c, "beat", session_told(s));
	if (!c->is_gone)
		beat_arm(c);
}

/* ---- start ---- */

static void describe(const void *object, struct connection_info *out)
{
	const struct carrier_ws *c = object;

	out->listener = c->listener->config->name;
	out->state = "carrier";
	out->queued_client = c->d != NULL ? c->d->queued : 0;
}

static bool end_asked(void *object, const struct connection_end *how)
{
	struct carrier_ws *c = object;

	if (c->d == NULL)
		return false;
	duplex_close(c->d, how->why);
	carrier_over(c);
	return true;
}

static const struct connection_face face = { "http", describe, end_asked, NULL, NULL };

static struct carrier_ws *carrier_new(struct worker *w, struct duplex *d)
{
	struct carrier_ws *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->carrier.ops = &ops;
	c->worker = w;
	c->message_max = MESSAGE_MAX;
	list_init(&c->soon.link);
	list_init(&c->link);
	timer_init(&c->timer, on_timer);
	ws_tracker_init(&c->tracker, WS_FROM_CLIENT, 0);
	c->d = d;
	if (d != NULL) {
		list_append(session_sockets(w), &c->link);
		duplex_use(d, &events, c);
		duplex_read(d, true);
	}
	counter_add(PROXY_CARRIERS + 3, 1);
	return c;
}

/* A session that nobody else can name. */
static void sockjs_open(struct carrier_ws *c)
{
	struct fallback_call call = { .hello.turn = 1 };
	unsigned owner;

	c->has_greeted = true;
	random_bytes(&call.name, sizeof(call.name));
	if (session_names_claim(call.name, c->worker->index, &owner) == SESSION_CLAIMED)
		open_here(c, &call);
	else
		carrier_ws_refuse(c, REASON_NO_MEMORY, 0);
}

/* The 101, once nobody of the request is on the stack. */
static void upgrade_soon(struct session_soon *soon)
{
	struct carrier_ws *c = container_of(soon, struct carrier_ws, soon);
	struct exchange *x = c->x;
	struct slice early;

	c->x = NULL;
	x->handler = NULL;
	c->listener = x->listener;
	c->connection = x->connection;
	c->d = x->client_ops->upgrade(x, &early);
	if (c->d == NULL) {
		exchange_free(x);
		carrier_over(c);
		slice_unref(early);
		return;
	}
	if (x->guest != 0 && stream_set_guest(c->d, x->guest))
		x->guest = 0;
	exchange_free(x);
	connections_move(&c->worker->open, c->connection, &face, c);
	list_append(session_sockets(c->worker), &c->link);
	duplex_use(c->d, &events, c);
	duplex_read(c->d, true);
	ring_timer_arm(&c->worker->ring, &c->timer, HELLO_MS);
	if (c->is_sockjs)
		sockjs_open(c);
	if (early.len > 0)
		carrier_ws_read(c, early);
	slice_unref(early);
}

static void gone_before(struct exchange *x, enum reason why)
{
	struct carrier_ws *c = x->handler_user;

	(void)why;
	x->handler = NULL;
	list_remove(&c->soon.link);
	asking_free(c);
	free(c);
}

static const struct exchange_handler handler = {
	.body = exchange_ignore_body,
	.end = exchange_ignore_end,
	.room = exchange_ignore_room,
	.gone = gone_before,
};

static bool asking_make(struct carrier_ws *c, struct exchange *x, const struct request *r,
			char *(*head_make)(const struct request *, size_t *))
{
	struct asking *a = calloc(1, sizeof(*a));

	c->asking = a;
	if (a == NULL)
		return false;
	a->head = head_make(r, &a->head_len);
	a->view = view_ref(x->view);
	a->route = x->route;
	a->peer = *r->peer;
	a->local = *r->local;
	a->is_tls = r->is_tls;
	a->message_key = x->message_key;
	a->has_message_key = x->has_message_key;
	return a->head != NULL;
}

static void accept_say(struct exchange *x, const struct request *r, bool is_sockjs)
{
	const struct http_field *key = http_head_find(r->head, HTTP_SEC_WEBSOCKET_KEY, NULL);
	char accept[WS_ACCEPT_LEN + 1];
	const struct http_field fields[] = {
		{ "sec-websocket-accept", accept, WS_ACCEPT_LEN, 20, HTTP_SEC_WEBSOCKET_ACCEPT },
		{ "sec-websocket-protocol", FALLBACK_PROTOCOL, sizeof(FALLBACK_PROTOCOL) - 1, 22, HTTP_SEC_WEBSOCKET_PROTOCOL },
	};
	struct response_head head = { .status = 101, .own = fields, .own_count = is_sockjs ? 1 : 2, .framing = RESPONSE_NO_BODY,
				      .is_upgrade = true };

	ws_accept_compute(key->value, accept);
	x->client_ops->head(x, &head);
}

static void start(struct exchange *x, const struct request *r, char *(*head_make)(const struct request *, size_t *),
		  bool is_sockjs)
{
	struct carrier_ws *c = carrier_new(x->worker, NULL);
	uint64_t max = x->route->websocket.max_message_size_bytes;

	if (c == NULL || !asking_make(c, x, r, head_make)) {
		if (c != NULL)
			asking_free(c);
		free(c);
		exchange_refuse(x, REASON_NO_MEMORY);
		return;
	}
	c->bind = fallback_bind(x, r);
	c->is_sockjs = is_sockjs;
	if (is_sockjs)
		c->heartbeat_ms = (uint32_t)x->route->fallback->sockjs->heartbeat_ms;
	if (max > 0 && max < MESSAGE_MAX)
		c->message_max = max;
	c->x = x;
	x->handler = &handler;
	x->handler_user = c;
	accept_say(x, r, is_sockjs);
	c->soon.run = upgrade_soon;
	session_soon(c->worker, &c->soon);
}

void carrier_websocket_start(struct exchange *x, const struct request *r)
{
	start(x, r, fallback_head_copy, false);
}

void carrier_websocket_start_sockjs(struct exchange *x, const struct request *r,
				    char *(*head_make)(const struct request *, size_t *))
{
	start(x, r, head_make, true);
}

void carrier_websockets_close(struct worker *w)
{
	list_for_each_safe(node, next, session_sockets(w)) {
		struct carrier_ws *c = container_of(node, struct carrier_ws, link);

		if (c->d != NULL)
			duplex_close(c->d, REASON_SHUTDOWN);
		carrier_over(c);
	}
}
