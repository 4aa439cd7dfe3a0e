#include "proxy/fallback.h"

#include "base/digest.h"
#include "base/hash.h"
#include "base/random.h"
#include "base/str.h"
#include "guard/jwt.h"
#include "proxy/carrier_http.h"
#include "proxy/carrier_websocket.h"
#include "proxy/counters.h"
#include "proxy/ferry.h"
#include "proxy/held.h"
#include "proxy/listener.h"
#include "proxy/session.h"
#include "proxy/session_names.h"
#include "proxy/sockjs.h"
#include "wire/event_stream.h"
#include "wire/json.h"
#include "wire/websocket.h"
#include "wire/ws_handshake.h"

#include <stdlib.h>
#include <string.h>

#define BODY_MAX (64u << 20) /* where http.max_body_size has no limit */
#define HEAD_MAX (1u << 17)

/* ---- which requests ---- */

static bool allows(const struct fallback_config *f, const char *carrier)
{
	for (size_t i = 0; i < f->carriers_count; i++)
		if (strcmp(f->carriers[i], carrier) == 0)
			return true;
	return false;
}

/* text/plain;holdfast=1, with any white space and other parameters. */
static bool type_is_ours(const struct http_field *f)
{
	static const char type[] = "text/plain", mark[] = "holdfast=1";
	const char *at = f->value, *end = f->value + f->value_len;

	if (f->value_len < sizeof(type) - 1 || !http_text_is(at, sizeof(type) - 1, type, sizeof(type) - 1))
		return false;
	for (at += sizeof(type) - 1; at < end;) {
		const char *next;

		while (at < end && (*at == ' ' || *at == ';' || *at == '\t'))
			at++;
		next = memchr(at, ';', (size_t)(end - at));
		next = next != NULL ? next : end;
		while (next > at && (next[-1] == ' ' || next[-1] == '\t'))
			next--;
		if (http_text_is(at, (size_t)(next - at), mark, sizeof(mark) - 1))
			return true;
		at = next < end ? next + 1 : end;
	}
	return false;
}

static bool accepts_stream(const struct http_head *head)
{
	static const char type[] = "text/event-stream";
	const struct http_field *f = http_head_find(head, HTTP_ACCEPT, NULL);

	return f != NULL && f->value_len >= sizeof(type) - 1 && http_text_is(f->value, sizeof(type) - 1, type, sizeof(type) - 1);
}

static bool offers_ours(const struct http_head *head)
{
	for (const struct http_field *f = http_head_find(head, HTTP_SEC_WEBSOCKET_PROTOCOL, NULL); f != NULL;
	     f = http_head_find(head, HTTP_SEC_WEBSOCKET_PROTOCOL, f + 1))
		if (ws_protocols_contain(f->value, f->value_len, FALLBACK_PROTOCOL, sizeof(FALLBACK_PROTOCOL) - 1))
			return true;
	return false;
}

enum fallback_kind fallback_kind_of(const struct request *r, bool is_upgrade)
{
	const struct fallback_config *f = r->route->fallback;
	const struct http_field *type;

	if (f == NULL)
		return FALLBACK_NONE;
	if (f->sockjs != NULL && sockjs_takes(r, is_upgrade))
		return FALLBACK_SOCKJS;
	if (is_upgrade)
		return allows(f, "websocket") && offers_ours(r->head) ? FALLBACK_WEBSOCKET : FALLBACK_NONE;
	if (r->head->method_id == HTTP_METHOD_GET)
		return allows(f, "eventsource") && accepts_stream(r->head) ? FALLBACK_EVENTSOURCE : FALLBACK_NONE;
	if (r->head->method_id != HTTP_METHOD_POST)
		return FALLBACK_NONE;
	type = http_head_find(r->head, HTTP_CONTENT_TYPE, NULL);
	return type != NULL && type_is_ours(type) ? FALLBACK_POST : FALLBACK_NONE;
}

/* ---- what is kept of a request ---- */

/* Browsers leave Origin out of some requests to where the page itself came from, and not out of others. */
static bool is_same_origin(const struct http_head *head, const struct http_field *origin)
{
	static const char mark[] = "://";
	const char *at = memmem(origin->value, origin->value_len, mark, sizeof(mark) - 1);

	if (at == NULL || head->host == NULL)
		return false;
	at += sizeof(mark) - 1;
	return http_text_is(at, (size_t)(origin->value + origin->value_len - at), head->host, head->host_len);
}

uint64_t fallback_bind(const struct exchange *x, const struct request *r)
{
	const struct http_field *origin = http_head_find(r->head, HTTP_ORIGIN, NULL);
	char subject[256];
	long len = r->token != NULL ? jwt_claim(r->token, "sub", subject, sizeof(subject)) : 0;
	uint64_t bind = session_name(x->route->name, (unsigned)strlen(x->route->name), 1);

	bind = session_name(x->listener->config->name, (unsigned)strlen(x->listener->config->name), bind);
	if (origin != NULL && !is_same_origin(r->head, origin))
		bind = session_name(origin->value, origin->value_len, bind + 1);
	return len > 0 ? session_name(subject, (unsigned)len, bind + 2) : bind;
}

/* Fields that belong to the carrier's request, not to the handshake that the endpoint gets. */
static bool is_of_carrier(const struct http_head *head, const struct http_field *f)
{
	const uint64_t own = HTTP_BIT(HTTP_CONTENT_LENGTH) | HTTP_BIT(HTTP_CONTENT_TYPE) | HTTP_BIT(HTTP_ACCEPT) |
			     HTTP_BIT(HTTP_LAST_EVENT_ID) | HTTP_BIT(HTTP_EXPECT) | HTTP_BIT(HTTP_SEC_WEBSOCKET_KEY) |
			     HTTP_BIT(HTTP_SEC_WEBSOCKET_VERSION) | HTTP_BIT(HTTP_SEC_WEBSOCKET_PROTOCOL) |
			     HTTP_BIT(HTTP_SEC_WEBSOCKET_EXTENSIONS) | HTTP_BIT(HTTP_TRAILER) |
			     HTTP_BIT(HTTP_CONTENT_ENCODING);

	return (f->id != HTTP_OTHER && (own & HTTP_BIT(f->id)) != 0) || http_field_is_hop_by_hop(head, f);
}

char *fallback_head_copy(const struct request *r, size_t *len)
{
	const struct http_head *head = r->head;
	struct str s;

	str_init_heap(&s, HEAD_MAX);
	str_cstr(&s, "GET ");
	str_bytes(&s, head->target, head->target_len);
	str_cstr(&s, " HTTP/1.1\r\n");
	if (!http_head_has(head, HTTP_HOST))
		str_cstr(&s, "Host: localhost\r\n"); /* HTTP/1.0 may have none, a handshake may not */
	for (uint32_t i = 0; i < head->field_count; i++) {
		const struct http_field *f = &head->fields[i];

		if (is_of_carrier(head, f))
			continue;
		str_bytes(&s, f->name, f->name_len);
		str_cstr(&s, ": ");
		str_bytes(&s, f->value, f->value_len);
		str_cstr(&s, "\r\n");
	}
	if (s.is_cut) {
		str_done(&s);
		return NULL;
	}
	*len = s.len;
	return s.at;
}

void fallback_head_end(struct str *out, const char *head, size_t len, const char *protocols)
{
	uint8_t random[16];
	char key[WS_KEY_LEN + 1];

	random_bytes(random, sizeof(random));
	ws_key_make(random, key);
	str_bytes(out, head, len);
	str_cstr(out, "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ");
	str_cstr(out, key);
	str_cstr(out, "\r\n");
	if (protocols[0] != '\0') {
		str_cstr(out, "Sec-WebSocket-Protocol: ");
		str_cstr(out, protocols);
		str_cstr(out, "\r\n");
	}
	str_cstr(out, "\r\n");
}

/* ---- a POST, while its body comes ---- */

struct post {
	struct exchange *x;
	struct held body;
	char *head;
	size_t head_len;
	struct addr peer, local;
	const char *tls_version;
	uint64_t bind;
	bool is_tls;
	bool is_stream; /* the answer is to be one */
};

/* NULL: memory is out, and the request is refused. */
static struct post *post_new(struct exchange *x, const struct request *r)
{
	struct post *p = calloc(1, sizeof(*p));

	if (p != NULL)
		p->head = fallback_head_copy(r, &p->head_len);
	if (p == NULL || p->head == NULL) {
		free(p);
		exchange_refuse(x, REASON_NO_MEMORY);
		return NULL;
	}
	p->x = x;
	p->peer = *r->peer;
	p->local = *r->local;
	p->is_tls = r->is_tls;
	p->tls_version = r->is_tls ? "tls" : "";
	return p;
}

static void post_free(struct post *p)
{
	held_done(&p->body);
	free(p->head);
	free(p);
}

static void post_refuse(struct post *p, enum reason why)
{
	struct exchange *x = p->x;

	post_free(p);
	exchange_refuse(x, why);
}

/* ---- opening ---- */

static struct carrier *carrier_of(struct exchange *x, const struct fallback_call *call)
{
	return carrier_http_new(x, call->carrier, call->hello.hold_ms, call->hello.kind == HELLO_OPEN);
}

/* The session is this worker's: the exchange is its first carrier's. */
static void open_here(struct post *p, const struct fallback_call *call)
{
	struct exchange *x = p->x;
	struct str head;
	struct session_open o = {
		.worker = x->worker,
		.listener = x->listener,
		.view = x->view,
		.route = x->route,
		.peer = &p->peer,
		.local = &p->local,
		.is_tls = p->is_tls,
		.tls_version = p->tls_version,
		.bind = call->bind,
		.nonce = call->name,
		.turn = call->hello.turn,
		.keep_ms = (uint32_t)x->route->fallback->keep_ms,
		.message_key = x->has_message_key ? &x->message_key : NULL,
	};
	struct carrier *c = carrier_of(x, call);
	enum reason why = REASON_NO_MEMORY;
	struct session *s;

	str_init_heap(&head, HEAD_MAX);
	fallback_head_end(&head, p->head, p->head_len, call->hello.protocols);
	o.head = head.at;
	o.head_len = head.len;
	if (c != NULL && !head.is_cut)
		why = session_open(&o, c, &s);
	str_done(&head);
	if (why == REASON_NONE) {
		post_free(p);
		return;
	}
	session_names_remove(call->name);
	if (c != NULL)
		carrier_http_drop(c);
	post_refuse(p, why);
}

/* ---- a session that there is ---- */

static const enum reason refused_for[] = {
	[CORE_GAP] = REASON_SESSION_GAP,     [CORE_FULL] = REASON_SESSION_GAP,	    [CORE_CLOSED] = REASON_SESSION_GAP,
	[CORE_FUTURE] = REASON_SESSION_GRAMMAR, [CORE_NO_MEMORY] = REASON_NO_MEMORY,
};

static void attach_here(struct exchange *x, struct fallback_call *call, struct session *s)
{
	struct carrier *c = carrier_of(x, call);
	enum core_result result;

	if (c == NULL) {
		exchange_refuse(x, REASON_NO_MEMORY);
		return;
	}
	result = session_attach(s, c, call->hello.turn == UINT64_MAX ? session_turn(s) + 1 : call->hello.turn, call->hello.got);
	if (result == CORE_STALE) {
		carrier_http_stale(c);
	} else if (result != CORE_OK) {
		carrier_http_drop(c);
		exchange_refuse(x, refused_for[result]);
	}
}

/* One record of an `up`.  *number is the next message's. */
static enum core_result record_take(struct session *s, const struct event_record *r, uint64_t *number)
{
	struct message *m = NULL;
	uint64_t id;
	struct json j;
	size_t len;
	long n;

	if (event_record_is(r, "ack") && r->data != NULL) {
		j = json_of(r->data, r->data_len);
		return json_uint(&j, &id) && json_is_done(&j) ? session_ack(s, id) : CORE_FUTURE;
	}
	if (r->data == NULL || (r->id != NULL && (!event_record_number(r, &id) || id != *number)))
		return CORE_FUTURE;
	if (event_record_is(r, "close")) {
		m = message_new(MESSAGE_CLOSE, WS_CONTROL_PAYLOAD_MAX);
		n = m != NULL ? hello_close_parse(r->data, r->data_len, m->bytes) : 0;
	} else if (event_record_is(r, "b")) {
		m = message_new(MESSAGE_BINARY, (uint32_t)(r->data_len / 4 * 3));
		n = m != NULL ? base64_decode(r->data, r->data_len, m->bytes) : 0;
	} else if (r->event == NULL) {
		m = message_new(MESSAGE_TEXT, (uint32_t)r->data_len);
		j = json_of(r->data, r->data_len);
		n = m != NULL && json_string(&j, (char *)m->bytes, &len) && json_is_done(&j) ? (long)len : -1;
	} else {
		return CORE_FUTURE;
	}
	if (m == NULL)
		return CORE_NO_MEMORY;
	if (n < 0) {
		free(m);
		return CORE_FUTURE;
	}
	m->len = (uint32_t)n;
	return session_take(s, (*number)++, m);
}

static enum core_result records_take(struct session *s, const struct fallback_call *call)
{
	const char *at = (const char *)call->body->data + call->rest_at;
	size_t left = call->body_len - call->rest_at;
	uint64_t number = call->hello.from;
	enum core_result result = session_ack(s, call->hello.got);

	while (left > 0 && (result == CORE_OK || result == CORE_DUPLICATE)) {
		struct event_record r;
		long used = event_record_parse(at, left, &r);

		if (used <= 0)
			return CORE_FUTURE;
		result = record_take(s, &r, &number);
		at += used;
		left -= (size_t)used;
	}
	return result;
}

static void up_here(struct exchange *x, struct fallback_call *call, struct session *s)
{
	enum core_result result = records_take(s, call);
	struct str body;

	session_deliver(s);
	if (result == CORE_FUTURE || result == CORE_NO_MEMORY) {
		exchange_refuse(x, refused_for[result]);
		return;
	}
	str_init_heap(&body, 256);
	event_write_number(&body, "ack", session_tell_ack(s));
	event_write_number(&body, "beat", session_told(s));
	if (result == CORE_OK || result == CORE_DUPLICATE) {
		fallback_answer(x, 200, &body);
		return;
	}
	counter_add(COUNTERS_REFUSED + REASON_SESSION_GAP, 1);
	x->why = REASON_SESSION_GAP;
	fallback_answer(x, 409, &body);
}

void fallback_serve(struct exchange *x, struct fallback_call *call)
{
	struct session *s;

	if (call->sockjs.is_set) {
		sockjs_serve(x, call);
		buf_unref(call->body);
		return;
	}
	s = call->hello.kind == HELLO_OPEN ? session_find_nonce(x->worker, call->name) :
					     session_find(x->worker, call->secret);
	if (s == NULL || !session_is_bound(s, call->bind))
		exchange_refuse(x, REASON_SESSION_UNKNOWN);
	else if (call->hello.kind == HELLO_UP)
		up_here(x, call, s);
	else
		attach_here(x, call, s);
	buf_unref(call->body);
}

/* ---- the body is here ---- */

static bool call_make(struct post *p, struct fallback_call *call)
{
	struct slice body = held_slice(&p->body);
	struct event_record r;
	long used = event_record_parse((const char *)body.at, body.len, &r);

	*call = (struct fallback_call){ .bind = p->bind, .carrier = p->is_stream ? CARRIER_STREAM : CARRIER_POLL };
	if (used <= 0 || r.event == NULL || r.data == NULL || !hello_parse(r.event, r.event_len, r.data, r.data_len, &call->hello))
		return false;
	call->rest_at = (uint32_t)used;
	return call->hello.kind == HELLO_UP || (uint32_t)used == body.len;
}

static bool carrier_is_allowed(const struct post *p, const struct fallback_call *call)
{
	const struct fallback_config *f = p->x->route->fallback;

	if (call->hello.kind == HELLO_UP)
		return true;
	return allows(f, p->is_stream ? "stream" : "poll");
}

/* The worker that has the session.  false: it was opened, or refused. */
static bool owner_find(struct post *p, struct fallback_call *call, unsigned *owner)
{
	struct worker *w = p->x->worker;

	if (call->hello.kind != HELLO_OPEN) {
		if (session_token_read(w, call->hello.token, call->hello.token_len, owner, call->secret))
			return true;
		post_refuse(p, REASON_SESSION_UNKNOWN);
		return false;
	}
	call->name = session_name(call->hello.nonce, call->hello.nonce_len, call->bind);
	switch (session_names_claim(call->name, w->index, owner)) {
	case SESSION_TAKEN:
		return true;
	case SESSION_CLAIMED:
		open_here(p, call);
		return false;
	default:
		post_refuse(p, REASON_NO_MEMORY);
		return false;
	}
}

static void post_whole(struct post *p)
{
	struct exchange *x = p->x;
	struct worker *w = x->worker;
	struct fallback_call call;
	unsigned owner;

	x->handler = NULL;
	if (!call_make(p, &call)) {
		post_refuse(p, REASON_SESSION_GRAMMAR);
		return;
	}
	if (!carrier_is_allowed(p, &call)) {
		post_refuse(p, REASON_SESSION_CARRIER);
		return;
	}
	if (!owner_find(p, &call, &owner))
		return;
	call.body = buf_ref(p->body.buf);
	call.rest_at += p->body.at;
	call.body_len = p->body.len + p->body.at;
	post_free(p);
	if (owner == w->index)
		fallback_serve(x, &call);
	else
		ferry_exchange(x, &w->all[owner], &call);
}

static void post_body(struct exchange *x, struct slice s)
{
	struct post *p = x->handler_user;

	if ((uint64_t)p->body.len + s.len > BODY_MAX || !held_append(&p->body, s)) {
		x->handler = NULL;
		post_refuse(p, REASON_BODY_TOO_LARGE);
	}
}

static void post_end(struct exchange *x, const struct http_field *trailers, uint32_t count)
{
	(void)trailers, (void)count;
	post_whole(x->handler_user);
}

static void post_gone(struct exchange *x, enum reason why)
{
	(void)why;
	x->handler = NULL;
	post_free(x->handler_user);
}

static const struct exchange_handler post_handler = { .body = post_body, .end = post_end, .room = exchange_ignore_room, .gone = post_gone };

static void post_start(struct exchange *x, const struct request *r)
{
	struct post *p = post_new(x, r);

	if (p == NULL)
		return;
	p->bind = fallback_bind(x, r);
	p->is_stream = accepts_stream(r->head);
	x->handler = &post_handler;
	x->handler_user = p;
	if (x->request_over)
		post_whole(p);
	else
		x->client_ops->read(x, true);
}

/* ---- a bare EventSource ---- */

/* TOKEN.NUMBER as the browser gives it back. */
static bool last_event_read(const struct http_field *f, struct fallback_call *call, unsigned *owner, struct worker *w)
{
	const char *dot = NULL;
	struct event_record r = { 0 };

	for (const char *at = f->value; at < f->value + f->value_len; at++)
		if (*at == '.')
			dot = at;
	if (dot == NULL || !session_token_read(w, f->value, (size_t)(dot - f->value), owner, call->secret))
		return false;
	r.id = dot + 1;
	r.id_len = (size_t)(f->value + f->value_len - r.id);
	call->hello.turn = UINT64_MAX; /* the next */
	return event_record_number(&r, &call->hello.got);
}

static void eventsource_start(struct exchange *x, const struct request *r)
{
	const struct http_field *last = http_head_find(r->head, HTTP_LAST_EVENT_ID, NULL);
	struct worker *w = x->worker;
	struct fallback_call call = { .bind = fallback_bind(x, r), .carrier = CARRIER_EVENTSOURCE };
	struct post *p;
	unsigned owner = 0;

	if (last != NULL && last->value_len > 0) {
		call.hello.kind = HELLO_RESUME;
		if (!last_event_read(last, &call, &owner, w))
			exchange_refuse(x, REASON_SESSION_UNKNOWN);
		else if (owner == w->index)
			fallback_serve(x, &call);
		else
			ferry_exchange(x, &w->all[owner], &call);
		return;
	}
	p = post_new(x, r);
	if (p == NULL)
		return;
	call.hello.turn = 1;
	random_bytes(&call.name, sizeof(call.name)); /* nobody else knows it */
	if (session_names_claim(call.name, w->index, &owner) == SESSION_CLAIMED)
		open_here(p, &call);
	else
		post_refuse(p, REASON_NO_MEMORY);
}

/* ---- start ---- */

void fallback_start(struct exchange *x, const struct request *r, enum fallback_kind kind)
{
	static void (*const starts[])(struct exchange *, const struct request *) = {
		[FALLBACK_POST] = post_start,
		[FALLBACK_EVENTSOURCE] = eventsource_start,
		[FALLBACK_WEBSOCKET] = carrier_websocket_start,
		[FALLBACK_SOCKJS] = sockjs_start,
	};

	starts[kind](x, r);
}
