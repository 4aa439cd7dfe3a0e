#include "proxy/sockjs.h"

#include "base/digest.h"
#include "base/random.h"
#include "base/str.h"
#include "guard/jwt.h"
#include "proxy/carrier_sockjs.h"
#include "proxy/carrier_websocket.h"
#include "proxy/ferry.h"
#include "proxy/forward.h"
#include "proxy/held.h"
#include "proxy/listener.h"
#include "proxy/session.h"
#include "proxy/session_names.h"
#include "wire/cookie.h"
#include "wire/http1_parse.h"
#include "wire/json.h"
#include "wire/sockjs.h"

#include <stdio.h>
#include <stdlib.h>

#define TEXT_TYPE "text/plain; charset=UTF-8"
#define HTML_TYPE "text/html; charset=UTF-8"
#define BODY_MAX  (16u << 20)
#define HEAD_MAX  (1u << 17)

static const struct sockjs_config *config_of(const struct request *r)
{
	return r->route->fallback->sockjs;
}

/* ---- which requests ---- */

/* What stands behind the route's own path. */
static void target_of(const struct request *r, struct sockjs_target *out)
{
	size_t base = r->route->path.kind == PATTERN_REGEX ? 0 : r->route->path.text_len;

	if (base > 0 && r->route->path.text[base - 1] == '/')
		base--;
	if (base > r->path_len)
		base = r->path_len;
	sockjs_target_parse(r->path + base, r->path_len - base, out);
}

bool sockjs_takes(const struct request *r, bool is_upgrade)
{
	struct sockjs_target t;

	if (r->route->fallback == NULL || config_of(r) == NULL)
		return false;
	target_of(r, &t);
	/* At the base itself WebSockets are the endpoint's own, and posts the fallback's. */
	if (is_upgrade || r->head->method_id == HTTP_METHOD_POST)
		return t.page != SOCKJS_GREETING;
	return true;
}

/* ---- pages ---- */

static void refuse_method(struct exchange *x, const struct sockjs_ask *ask, const char *allow)
{
	const struct http_field field = { "allow", allow, (uint32_t)strlen(allow), 5, HTTP_ALLOW };

	sockjs_answer(x, ask, 405, NULL, &field, 1, NULL, 0);
}

/* May a page of elsewhere ask, and with what?  Cached for a year. */
static void answer_options(struct exchange *x, const struct request *r, struct sockjs_ask *ask, const char *methods)
{
	const struct http_field *wanted = http_head_find(r->head, HTTP_ACCESS_CONTROL_REQUEST_HEADERS, NULL);
	struct http_field fields[5] = {
		{ "access-control-allow-methods", methods, (uint32_t)strlen(methods), 28, HTTP_OTHER },
		{ "access-control-max-age", "31536000", 8, 22, HTTP_OTHER },
		{ "cache-control", "public, max-age=31536000", 24, 13, HTTP_CACHE_CONTROL },
		{ "expires", "Thu, 31 Dec 2037 23:55:55 GMT", 29, 7, HTTP_EXPIRES },
	};
	uint32_t count = 4;

	if (wanted != NULL && wanted->value_len > 0)
		fields[count++] = (struct http_field){ "access-control-allow-headers", wanted->value, wanted->value_len, 28, HTTP_OTHER };
	ask->is_cached = true;
	sockjs_answer(x, ask, 204, NULL, fields, count, NULL, 0);
}

static void answer_info(struct exchange *x, const struct request *r, struct sockjs_ask *ask)
{
	const struct sockjs_config *c = config_of(r);
	char text[160];
	uint32_t entropy;
	int len;

	ask->cookie[0] = '\0';
	if (r->head->method_id == HTTP_METHOD_OPTIONS) {
		answer_options(x, r, ask, "OPTIONS, GET");
		return;
	}
	if (r->head->method_id != HTTP_METHOD_GET) {
		refuse_method(x, ask, "OPTIONS, GET");
		return;
	}
	random_bytes(&entropy, sizeof(entropy));
	len = snprintf(text, sizeof(text), "{\"websocket\":%s,\"origins\":[\"*:*\"],\"cookie_needed\":%s,\"entropy\":%u}",
		       c->websocket ? "true" : "false", c->cookie ? "true" : "false", entropy);
	sockjs_answer(x, ask, 200, "application/json; charset=UTF-8", NULL, 0, text, (size_t)len);
}

static void answer_greeting(struct exchange *x, const struct request *r, struct sockjs_ask *ask)
{
	static const char text[] = "Welcome to SockJS!\n";

	ask->cookie[0] = '\0';
	if (r->head->method_id == HTTP_METHOD_GET || r->head->method_id == HTTP_METHOD_HEAD)
		sockjs_answer(x, ask, 200, TEXT_TYPE, NULL, 0, text, sizeof(text) - 1);
	else
		refuse_method(x, ask, "GET");
}

static void answer_iframe(struct exchange *x, const struct request *r, struct sockjs_ask *ask)
{
	const struct http_field *known = http_head_find(r->head, HTTP_IF_NONE_MATCH, NULL);
	const char *url = config_of(r)->client_url != NULL ? config_of(r)->client_url :
							     "https://cdn.jsdelivr.net/npm/sockjs-client@1/dist/sockjs.min.js";
	struct http_field fields[3] = {
		{ "cache-control", "public, max-age=31536000", 24, 13, HTTP_CACHE_CONTROL },
		{ "expires", "Thu, 31 Dec 2037 23:55:55 GMT", 29, 7, HTTP_EXPIRES },
	};
	uint8_t digest[32];
	char tag[36] = "\"";
	struct str s;

	ask->is_cached = true;
	ask->cookie[0] = '\0';
	if (r->head->method_id != HTTP_METHOD_GET) {
		refuse_method(x, ask, "GET");
		return;
	}
	str_init_heap(&s, 65536);
	str_cstr(&s, "<!DOCTYPE html>\n<html>\n<head>\n  <meta http-equiv=\"X-UA-Compatible\" content=\"IE=edge\" />\n"
		     "  <meta http-equiv=\"Content-Type\" content=\"text/html; charset=UTF-8\" />\n  <script>\n"
		     "    document.domain = document.domain;\n    _sockjs_onload = function(){SockJS.bootstrap_iframe();};\n"
		     "  </script>\n  <script src=\"");
	for (const char *at = url; *at != '\0'; at++)
		if (*at != '"' && *at != '<' && *at != '>')
			str_char(&s, *at);
	str_cstr(&s, "\"></script>\n</head>\n<body>\n  <h2>Don't panic!</h2>\n"
		     "  <p>This is a SockJS hidden iframe. It's used for cross domain magic.</p>\n</body>\n</html>");
	digest_sha256(s.at, s.len, digest);
	hex_encode(digest, 16, tag + 1);
	tag[33] = '"';
	fields[2] = (struct http_field){ "etag", tag, 34, 4, HTTP_ETAG };
	if (known != NULL && known->value_len == 34 && memcmp(known->value, tag, 34) == 0)
		sockjs_answer(x, ask, 304, NULL, fields, 3, NULL, 0);
	else
		sockjs_answer(x, ask, 200, HTML_TYPE, fields, 3, s.at, s.len);
	str_done(&s);
}

/* ---- what is asked ---- */

static void cookie_make(const struct request *r, char *out, size_t cap)
{
	struct cookie c;

	out[0] = '\0';
	if (!config_of(r)->cookie)
		return;
	if (cookie_find(r->head, "JSESSIONID", 10, NULL, &c) && c.value_len < cap - 24)
		snprintf(out, cap, "JSESSIONID=%.*s; path=/", (int)c.value_len, c.value);
	else
		snprintf(out, cap, "JSESSIONID=dummy; path=/");
}

static uint64_t name_of(const struct exchange *x, const struct request *r, const struct sockjs_target *t)
{
	char subject[256];
	long len = r->token != NULL ? jwt_claim(r->token, "sub", subject, sizeof(subject)) : 0;
	uint64_t scope = session_name(x->route->name, (unsigned)strlen(x->route->name), 77);

	scope = session_name(x->listener->config->name, (unsigned)strlen(x->listener->config->name), scope);
	if (len > 0)
		scope = session_name(subject, (unsigned)len, scope);
	return session_name(t->session, (unsigned)t->session_len, scope);
}

/* Headers of the handshake for the endpoint, at the path that takes WebSockets. */
static char *head_make(const struct request *r, size_t *len)
{
	struct request to = *r;
	struct http_head head = *r->head;
	struct str target;
	char *out;

	str_init_heap(&target, 65536);
	if (config_of(r)->target != NULL)
		str_cstr(&target, config_of(r)->target);
	else
		str_bytes(&target, r->route->path.text, r->route->path.kind == PATTERN_REGEX ? 0 : r->route->path.text_len);
	if (target.len == 0)
		str_char(&target, '/');
	if (r->head->query != NULL) {
		str_char(&target, '?');
		str_bytes(&target, r->head->query, r->head->query_len);
	}
	head.target = target.at;
	head.target_len = (uint32_t)target.len;
	to.head = &head;
	out = target.is_cut ? NULL : fallback_head_copy(&to, len);
	str_done(&target);
	return out;
}

struct sockjs_request {
	struct exchange *x;
	struct fallback_call call;
	struct held body;
	char *head;
	size_t head_len;
	struct addr peer, local;
	bool is_tls, is_form;
};

static void request_free(struct sockjs_request *q)
{
	held_done(&q->body);
	free(q->head);
	free(q);
}

/* ---- receivers ---- */

static void receive_open(struct sockjs_request *q)
{
	struct exchange *x = q->x;
	const struct sockjs_config *config = x->route->fallback->sockjs;
	struct session_open o = {
		.worker = x->worker,
		.listener = x->listener,
		.view = x->view,
		.route = x->route,
		.peer = &q->peer,
		.local = &q->local,
		.is_tls = q->is_tls,
		.tls_version = q->is_tls ? "tls" : "",
		.nonce = q->call.name,
		.turn = 1,
		.keep_ms = (uint32_t)config->disconnect_delay_ms,
		.message_key = x->has_message_key ? &x->message_key : NULL,
	};
	struct carrier *c = carrier_sockjs_new(x, &q->call.sockjs);
	enum reason why = REASON_NO_MEMORY;
	struct session *s;
	struct str head;

	str_init_heap(&head, HEAD_MAX);
	fallback_head_end(&head, q->head, q->head_len, "");
	o.head = head.at;
	o.head_len = head.len;
	if (c != NULL && !head.is_cut)
		why = session_open(&o, c, &s);
	str_done(&head);
	if (why != REASON_NONE) {
		session_names_remove(q->call.name);
		if (c != NULL)
			carrier_sockjs_drop(c);
		exchange_refuse(x, why);
	}
	request_free(q);
}

static void receive_here(struct exchange *x, struct fallback_call *call, struct session *s)
{
	struct carrier *c;

	if (session_has_carrier(s)) {
		sockjs_answer_taken(x, &call->sockjs);
		return;
	}
	c = carrier_sockjs_new(x, &call->sockjs);
	if (c == NULL)
		exchange_refuse(x, REASON_NO_MEMORY);
	else
		session_attach(s, c, session_turn(s) + 1, session_acked(s));
}

/* ---- senders ---- */

static void answer_text(struct exchange *x, const struct fallback_call *call, unsigned status, const char *text)
{
	sockjs_answer(x, &call->sockjs, status, TEXT_TYPE, NULL, 0, text, strlen(text));
}

/* An array of strings; with a session they are taken. */
static enum core_result array_take(struct session *s, const char *json, size_t len)
{
	struct json j = json_of(json, len);
	enum core_result result = CORE_OK;
	bool first = true;

	if (json_peek(&j) != JSON_ARRAY)
		return CORE_FUTURE;
	json_enter(&j);
	while (result == CORE_OK && json_next(&j, &first)) {
		struct message *m;
		size_t text_len;

		if (json_peek(&j) != JSON_STRING)
			return CORE_FUTURE;
		m = message_new(MESSAGE_TEXT, (uint32_t)json_string_room(&j));
		if (m == NULL)
			return CORE_NO_MEMORY;
		if (!json_string(&j, (char *)m->bytes, &text_len)) {
			free(m);
			return CORE_FUTURE;
		}
		m->len = (uint32_t)text_len;
		if (s != NULL)
			result = session_take(s, session_got(s) + 1, m);
		else
			free(m);
	}
	return result == CORE_OK && !json_is_done(&j) ? CORE_FUTURE : result;
}

static void send_here(struct exchange *x, struct fallback_call *call, struct session *s)
{
	const char *body = call->body != NULL ? (const char *)call->body->data + call->rest_at : "";
	size_t len = call->body_len;

	if (len == 0) {
		answer_text(x, call, 500, "Payload expected.");
	} else if (array_take(NULL, body, len) != CORE_OK) {
		answer_text(x, call, 500, "Broken JSON encoding.");
	} else if (array_take(s, body, len) != CORE_OK) {
		exchange_refuse_with(x, REASON_SESSION_FULL, 503, NULL, 0);
	} else {
		session_deliver(s);
		if (call->sockjs.transport == SOCKJS_JSONP_SEND)
			answer_text(x, call, 200, "ok");
		else
			sockjs_answer(x, &call->sockjs, 204, TEXT_TYPE, NULL, 0, NULL, 0);
	}
}

void sockjs_serve(struct exchange *x, struct fallback_call *call)
{
	struct session *s = session_find_nonce(x->worker, call->name);
	bool is_sender = call->sockjs.transport == SOCKJS_XHR_SEND || call->sockjs.transport == SOCKJS_JSONP_SEND;

	if (s == NULL)
		answer_text(x, call, 404, "");
	else if (is_sender)
		send_here(x, call, s);
	else
		receive_here(x, call, s);
}

/* ---- the request is whole ---- */

/* jsonp_send: the value of d in a form, in place. */
static bool form_read(struct sockjs_request *q)
{
	struct slice body = held_slice(&q->body);
	char *out = malloc(body.len + 1);
	long len = out != NULL ? sockjs_parameter((const char *)body.at, body.len, "d", out, body.len) : -1;

	held_done(&q->body);
	if (len > 0 && !held_append(&q->body, (struct slice){ NULL, (uint8_t *)out, (uint32_t)len }))
		len = -1;
	free(out);
	return len > 0;
}

static void request_whole(struct sockjs_request *q)
{
	struct exchange *x = q->x;
	struct worker *w = x->worker;
	struct fallback_call call;
	bool is_sender = q->call.sockjs.transport == SOCKJS_XHR_SEND || q->call.sockjs.transport == SOCKJS_JSONP_SEND;
	unsigned owner = 0;
	bool is_known;

	x->handler = NULL;
	if (q->is_form)
		form_read(q);
	if (is_sender) {
		is_known = session_names_find(q->call.name, &owner);
	} else {
		enum session_claim claim = session_names_claim(q->call.name, w->index, &owner);

		if (claim == SESSION_CLAIMED) {
			receive_open(q);
			return;
		}
		is_known = claim == SESSION_TAKEN;
	}
	call = q->call;
	if (is_sender && q->body.len > 0) {
		call.body = buf_ref(q->body.buf);
		call.rest_at = q->body.at;
		call.body_len = q->body.len;
	}
	request_free(q);
	if (!is_known) {
		answer_text(x, &call, 404, "");
		buf_unref(call.body);
	} else if (owner == w->index) {
		fallback_serve(x, &call);
	} else {
		ferry_exchange(x, &w->all[owner], &call);
	}
}

static void on_body(struct exchange *x, struct slice s)
{
	struct sockjs_request *q = x->handler_user;

	if (q->body.len + (uint64_t)s.len > BODY_MAX || !held_append(&q->body, s)) {
		x->handler = NULL;
		request_free(q);
		exchange_refuse(x, REASON_BODY_TOO_LARGE);
	}
}

static void on_end(struct exchange *x, const struct http_field *trailers, uint32_t count)
{
	(void)trailers, (void)count;
	request_whole(x->handler_user);
}

static void on_gone(struct exchange *x, enum reason why)
{
	(void)why;
	x->handler = NULL;
	request_free(x->handler_user);
}

static const struct exchange_handler handler = { .body = on_body, .end = on_end, .room = exchange_ignore_room, .gone = on_gone };

static void transport_begin(struct exchange *x, const struct request *r, const struct sockjs_target *t,
			    const struct sockjs_ask *ask)
{
	const struct http_field *type = http_head_find(r->head, HTTP_CONTENT_TYPE, NULL);
	struct sockjs_request *q = calloc(1, sizeof(*q));

	if (q != NULL)
		q->head = head_make(r, &q->head_len);
	if (q == NULL || q->head == NULL) {
		free(q);
		exchange_refuse(x, REASON_NO_MEMORY);
		return;
	}
	q->x = x;
	q->call.sockjs = *ask;
	q->call.name = name_of(x, r, t);
	q->peer = *r->peer;
	q->local = *r->local;
	q->is_tls = r->is_tls;
	q->is_form = t->transport == SOCKJS_JSONP_SEND && type != NULL && type->value_len >= 33 &&
		     http_text_is(type->value, 33, "application/x-www-form-urlencoded", 33);
	x->handler = &handler;
	x->handler_user = q;
	if (x->request_over)
		request_whole(q);
	else
		x->client_ops->read(x, true);
}

/* ---- transports ---- */

static bool callback_read(struct exchange *x, const struct request *r, struct sockjs_ask *ask)
{
	char text[2 * SOCKJS_CALLBACK_MAX];
	long len = -1;

	if (r->head->query != NULL)
		len = sockjs_parameter(r->head->query, r->head->query_len, "c", text, sizeof(text));
	if (len < 0 && r->head->query != NULL)
		len = sockjs_parameter(r->head->query, r->head->query_len, "callback", text, sizeof(text));
	if (len <= 0) {
		sockjs_answer(x, ask, 500, TEXT_TYPE, NULL, 0, "\"callback\" parameter required", 29);
		return false;
	}
	if (!sockjs_callback_is_good(text, (size_t)len)) {
		sockjs_answer(x, ask, 500, TEXT_TYPE, NULL, 0, "invalid \"callback\" parameter", 28);
		return false;
	}
	memcpy(ask->callback, text, (size_t)len);
	ask->callback[len] = '\0';
	return true;
}

static const struct {
	uint8_t method;
	const char *allow;
	bool has_callback;
} transports[] = {
	[SOCKJS_XHR] = { HTTP_METHOD_POST, "OPTIONS, POST", false },
	[SOCKJS_XHR_STREAMING] = { HTTP_METHOD_POST, "OPTIONS, POST", false },
	[SOCKJS_EVENTSOURCE] = { HTTP_METHOD_GET, "GET", false },
	[SOCKJS_HTMLFILE] = { HTTP_METHOD_GET, "GET", true },
	[SOCKJS_JSONP] = { HTTP_METHOD_GET, "GET", true },
	[SOCKJS_XHR_SEND] = { HTTP_METHOD_POST, "OPTIONS, POST", false },
	[SOCKJS_JSONP_SEND] = { HTTP_METHOD_POST, "POST", false },
	[SOCKJS_WEBSOCKET] = { HTTP_METHOD_GET, "GET", false },
};

static void transport_start(struct exchange *x, const struct request *r, const struct sockjs_target *t,
			    struct sockjs_ask *ask)
{
	if (r->head->method_id == HTTP_METHOD_OPTIONS && transports[t->transport].allow[0] == 'O')
		answer_options(x, r, ask, "OPTIONS, POST");
	else if (r->head->method_id != transports[t->transport].method)
		refuse_method(x, ask, transports[t->transport].allow);
	else if (transports[t->transport].has_callback && !callback_read(x, r, ask))
		return;
	else if (t->transport == SOCKJS_WEBSOCKET && !config_of(r)->websocket)
		sockjs_answer(x, ask, 404, TEXT_TYPE, NULL, 0, NULL, 0);
	else if (t->transport == SOCKJS_WEBSOCKET && !x->is_upgrade)
		sockjs_answer(x, ask, 400, TEXT_TYPE, NULL, 0, "Can \"Upgrade\" only to \"WebSocket\".", 34);
	else if (t->transport == SOCKJS_WEBSOCKET)
		carrier_websocket_start_sockjs(x, r, head_make);
	else
		transport_begin(x, r, t, ask);
}

/* base/websocket: as it is, at the endpoint's own path. */
static void raw_start(struct exchange *x, const struct request *r, struct sockjs_ask *ask)
{
	struct worker *w = x->worker;
	struct request to = *r;
	struct http_head head;
	struct str text;
	size_t len = 0;
	char *kept;

	if (r->head->method_id != HTTP_METHOD_GET) {
		refuse_method(x, ask, "GET");
		return;
	}
	if (!x->is_upgrade || !config_of(r)->websocket) {
		sockjs_answer(x, ask, config_of(r)->websocket ? 400 : 404, TEXT_TYPE, NULL, 0, "Can \"Upgrade\" only to \"WebSocket\".", 34);
		return;
	}
	kept = head_make(r, &len);
	str_init_heap(&text, HEAD_MAX);
	str_bytes(&text, kept != NULL ? kept : "", len);
	for (uint32_t i = 0; i < r->head->field_count; i++) {
		const struct http_field *f = &r->head->fields[i];

		if (f->id < HTTP_SEC_WEBSOCKET_ACCEPT || f->id > HTTP_SEC_WEBSOCKET_VERSION)
			continue;
		str_bytes(&text, f->name, f->name_len);
		str_cstr(&text, ": ");
		str_bytes(&text, f->value, f->value_len);
		str_cstr(&text, "\r\n");
	}
	str_cstr(&text, "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
	http_head_init(&head, w->response_fields, w->fields_cap);
	to.head = &head;
	if (kept == NULL || text.is_cut ||
	    http1_parse_request((const uint8_t *)text.at, text.len, &(struct http1_limits){ 0 }, NULL, &head) <= 0)
		exchange_refuse(x, REASON_HEADERS_TOO_LARGE);
	else
		forward_start(x, &to);
	free(kept);
	str_done(&text);
}

void sockjs_start(struct exchange *x, const struct request *r)
{
	const struct sockjs_config *c = config_of(r);
	struct sockjs_ask ask = { .is_set = true, .has_origin = http_head_has(r->head, HTTP_ORIGIN) };
	struct sockjs_target t;

	target_of(r, &t);
	ask.transport = (uint8_t)t.transport;
	ask.limit = (uint32_t)c->response_limit_bytes;
	ask.heartbeat_ms = (uint32_t)c->heartbeat_ms;
	cookie_make(r, ask.cookie, sizeof(ask.cookie));
	switch (t.page) {
	case SOCKJS_GREETING:
		answer_greeting(x, r, &ask);
		break;
	case SOCKJS_INFO:
		answer_info(x, r, &ask);
		break;
	case SOCKJS_IFRAME:
		answer_iframe(x, r, &ask);
		break;
	case SOCKJS_RAW_WEBSOCKET:
		raw_start(x, r, &ask);
		break;
	case SOCKJS_TRANSPORT:
		transport_start(x, r, &t, &ask);
		break;
	default:
		ask.cookie[0] = '\0';
		sockjs_answer(x, &ask, 404, NULL, NULL, 0, NULL, 0);
	}
}
