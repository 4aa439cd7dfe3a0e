#include "proxy/exchange.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/random.h"
#include "base/str.h"
#include "guard/origin.h"
#include "proxy/client_script.h"
#include "proxy/counters.h"
#include "proxy/auth_refresh.h"
#include "proxy/deny_rules.h"
#include "proxy/error_page.h"
#include "proxy/fallback.h"
#include "proxy/forward.h"
#include "proxy/listener.h"
#include "proxy/live_token.h"
#include "proxy/route.h"
#include "proxy/request_key.h"
#include "proxy/template.h"
#include "proxy/token.h"
#include "wire/ws_handshake.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define RESPOND_FIELDS_MAX 32u
#define RESPOND_BODY_MAX   (1u << 20)

/* ---- life ---- */

struct exchange *exchange_new(struct worker *w, const struct exchange_client *ops, void *client)
{
	struct exchange *x = slab_alloc_zeroed(&w->exchange_slab);

	if (x == NULL)
		return NULL;
	x->worker = w;
	x->view = view_ref(w->view);
	x->client_ops = ops;
	x->client = client;
	x->began_ns = clock_now_ns();
	return x;
}

void exchange_ignore_body(struct exchange *x, struct slice s)
{
	(void)x, (void)s;
}

void exchange_ignore_end(struct exchange *x, const struct http_field *trailers, uint32_t count)
{
	(void)x, (void)trailers, (void)count;
}

void exchange_ignore_room(struct exchange *x)
{
	(void)x;
}

void exchange_log(struct exchange *x)
{
	if (x->log == NULL || x->is_logged)
		return;
	x->is_logged = true;
	access_write(x->log, &(struct access_end){
				     .event = "request",
				     .status = x->status,
				     .cluster = x->cluster,
				     .endpoint = x->endpoint,
				     .bytes_in = x->bytes_in,
				     .bytes_out = x->bytes_out,
				     .body_out = x->bytes_out - x->head_out,
				     .duration_us = (clock_now_ns() - x->began_ns) / 1000,
				     .why = x->why,
			     });
}

void exchange_free(struct exchange *x)
{
	struct worker *w = x->worker;

	counter_add(PROXY_BYTES_HTTP_IN, x->bytes_in);
	counter_add(PROXY_BYTES_HTTP_OUT, x->bytes_out);
	exchange_log(x);
	if (x->guest != 0)
		w->ring.guest_gone(&w->ring, x->guest);
	access_free(x->log);
	free(x->cors);
	free(x->edit_values);
	free(x->token);
	free(x->own_protocol);
	free(x->endpoint);
	view_unref(x->view);
	slab_free(&w->exchange_slab, x);
}

/* ---- refusals ---- */

static const struct http_field accept_json = { "accept", "application/json", 16, 6, HTTP_ACCEPT };

void exchange_refuse_with(struct exchange *x, enum reason why, uint16_t status, const struct http_field *own,
			  uint32_t own_count)
{
	struct http_field fields[8];
	struct http_head json = { .fields = (struct http_field *)(uintptr_t)&accept_json, .field_count = 1,
				  .seen = HTTP_BIT(HTTP_ACCEPT) };
	struct error_page page;
	struct response_head head;
	bool has_body = x->method != HTTP_METHOD_HEAD;

	counter_add(x->response_begun ? COUNTERS_REASONS + why : COUNTERS_REFUSED + why, 1);
	if (x->is_upgrade && !x->response_begun)
		counter_add(PROXY_HANDSHAKES_REFUSED, 1);
	x->handler = NULL;
	x->why = (uint8_t)why;
	if (x->response_begun) {
		x->client_ops->abort(x, why);
		return;
	}
	error_page_make(&page, why, status, x->prefers_json ? &json : NULL);
	fields[0] = (struct http_field){ "content-type", page.type, (uint32_t)strlen(page.type), 12, HTTP_CONTENT_TYPE };
	for (uint32_t i = 0; i < own_count && i + 1 < ARRAY_LEN(fields); i++)
		fields[i + 1] = own[i];
	head = (struct response_head){
		.status = page.status,
		.own = fields,
		.own_count = own_count + 1,
		.framing = RESPONSE_LENGTH,
		.length = page.len,
	};
	x->client_ops->head(x, &head);
	if (has_body)
		x->client_ops->body(x, ring_copy(&x->worker->ring, page.body, (uint32_t)page.len));
	x->client_ops->end(x, NULL, 0);
}

void exchange_refuse(struct exchange *x, enum reason why)
{
	static const char seconds[] = "12345";
	bool is_full = why == REASON_CLUSTER_FULL || why == REASON_QUEUE_FULL || why == REASON_QUEUE_TIMEOUT;
	/* many are told so at the same time: they should not come back at the same time */
	const char *wait = &seconds[is_full ? random_below(5) : 0];
	const struct http_field retry = { "retry-after", wait, 1, 11, HTTP_RETRY_AFTER };
	static const struct http_field version[] = {
		{ "sec-websocket-version", "13", 2, 21, HTTP_SEC_WEBSOCKET_VERSION },
	};

	if (why == REASON_UPGRADE_VERSION)
		exchange_refuse_with(x, why, 0, version, ARRAY_LEN(version));
	else if (reason_of(why)->status == 503)
		exchange_refuse_with(x, why, 0, &retry, 1);
	else
		exchange_refuse_with(x, why, 0, NULL, 0);
}

/* ---- fixed answers ---- */

/* OPTIONS *: asks about the proxy as a whole (RFC 9110 9.3.7). */
static void answer_options(struct exchange *x)
{
	static const char methods[] = "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH";
	const struct http_field allow = { "allow", methods, sizeof(methods) - 1, 5, HTTP_ALLOW };
	struct response_head head = { .status = 204, .own = &allow, .own_count = 1, .framing = RESPONSE_NO_BODY };

	x->client_ops->head(x, &head);
	x->client_ops->end(x, NULL, 0);
}

/* The client of the fallback, for pages whose listener has such a route. */
static bool serves_client_script(const struct exchange *x, const struct request *r)
{
	static const char path[] = CLIENT_SCRIPT_PATH;

	if (r->path_len != sizeof(path) - 1 || memcmp(r->path, path, r->path_len) != 0 || client_script_len() == 0)
		return false;
	for (size_t i = 0; i < r->listener->routes_count; i++)
		if (r->listener->routes[i].fallback != NULL)
			return x->method == HTTP_METHOD_GET || x->method == HTTP_METHOD_HEAD;
	return false;
}

static void answer_client_script(struct exchange *x, const struct request *r)
{
	const struct http_field *known = http_head_find(r->head, HTTP_IF_NONE_MATCH, NULL);
	char tag[24];
	int tag_len = snprintf(tag, sizeof(tag), "\"%016" PRIx64 "\"", hash64(client_script, client_script_len(), 0));
	const struct http_field fields[] = {
		{ "content-type", "text/javascript; charset=utf-8", 30, 12, HTTP_CONTENT_TYPE },
		{ "cache-control", "public, max-age=3600", 20, 13, HTTP_CACHE_CONTROL },
		{ "access-control-allow-origin", "*", 1, 27, HTTP_OTHER },
		{ "etag", tag, (uint32_t)tag_len, 4, HTTP_ETAG },
	};
	struct response_head head = { .status = 200, .own = fields, .own_count = ARRAY_LEN(fields),
				      .framing = RESPONSE_LENGTH, .length = client_script_len() };
	bool is_known = known != NULL && known->value_len == (uint32_t)tag_len && memcmp(known->value, tag, known->value_len) == 0;

	x->route = NULL; /* whose headers are not these */
	if (is_known) {
		head.status = 304;
		head.framing = RESPONSE_NO_BODY;
	}
	x->client_ops->head(x, &head);
	if (!is_known && x->method == HTTP_METHOD_GET)
		x->client_ops->body(x, slice_static(client_script, client_script_len()));
	x->client_ops->end(x, NULL, 0);
}

/* Values into one string, each with a NUL behind it; fields point into it once it is whole. */
static uint32_t respond_fields(struct str *text, const struct respond_config *c, const struct request *r,
			       struct http_field *fields)
{
	uint32_t count = c->headers_count < RESPOND_FIELDS_MAX ? (uint32_t)c->headers_count : RESPOND_FIELDS_MAX;
	size_t ends[RESPOND_FIELDS_MAX];

	for (uint32_t i = 0; i < count; i++) {
		template_print(text, &c->headers[i].value, r);
		ends[i] = text->len;
	}
	for (uint32_t i = 0; i < count; i++) {
		size_t from = i > 0 ? ends[i - 1] : 0, name_len = strlen(c->headers[i].name);

		fields[i] = (struct http_field){ c->headers[i].name, text->at != NULL ? text->at + from : "",
						 (uint32_t)(ends[i] - from), (uint16_t)name_len,
						 (uint8_t)http_id_of(c->headers[i].name, name_len) };
	}
	return count;
}

static bool status_has_body(unsigned status)
{
	return status >= 200 && status != 204 && status != 304;
}

static void answer_respond(struct exchange *x, const struct request *r)
{
	const struct respond_config *c = x->route->respond;
	struct http_field fields[RESPOND_FIELDS_MAX];
	struct str text, body;
	struct response_head head = { .status = (uint16_t)c->status, .own = fields };
	struct slice out;

	str_init_heap(&text, RESPOND_BODY_MAX);
	str_init_heap(&body, RESPOND_BODY_MAX);
	head.own_count = respond_fields(&text, c, r, fields);
	template_print(&body, &c->body, r);
	head.framing = status_has_body(c->status) ? RESPONSE_LENGTH : RESPONSE_NO_BODY;
	head.length = body.len;
	out = body.len > 0 ? ring_copy(&x->worker->ring, body.at, (uint32_t)body.len) : SLICE_EMPTY;
	if (text.is_cut || body.is_cut || (body.len > 0 && out.buf == NULL)) {
		slice_unref(out);
		exchange_refuse(x, REASON_NO_MEMORY);
	} else {
		x->client_ops->head(x, &head);
		if (head.framing == RESPONSE_LENGTH && x->method != HTTP_METHOD_HEAD)
			x->client_ops->body(x, out);
		else
			slice_unref(out);
		x->client_ops->end(x, NULL, 0);
	}
	str_done(&text);
	str_done(&body);
}

/* ---- the way of a request ---- */

/* The values of response_headers, filled in while the request is at hand: pointers and texts in one block. */
static bool edits_prepare(struct exchange *x, const struct request *r)
{
	const struct header_edits *e = &x->route->response_headers;
	size_t count = e->set_count + e->add_count, at = 0;
	struct str text;
	char *texts;

	if (count == 0)
		return true;
	str_init_heap(&text, RESPOND_BODY_MAX);
	for (size_t i = 0; i < count; i++) {
		template_print(&text, i < e->set_count ? &e->set[i].value : &e->add[i - e->set_count].value, r);
		str_char(&text, '\0');
	}
	if (!text.is_cut)
		x->edit_values = malloc(count * sizeof(char *) + text.len);
	if (x->edit_values != NULL) {
		texts = (char *)(x->edit_values + count);
		memcpy(texts, text.at, text.len);
		for (size_t i = 0; i < count; i++) {
			x->edit_values[i] = texts + at;
			at += strlen(texts + at) + 1;
		}
	}
	str_done(&text);
	return x->edit_values != NULL;
}

static bool accept_has_json(const struct http_head *head)
{
	const struct http_field *f = http_head_find(head, HTTP_ACCEPT, NULL);

	return f != NULL && accept_prefers_json(f->value, f->value_len);
}

/* What is wrong with a request before anybody looks for its route. */
static enum reason head_check(struct exchange *x, const struct http_head *head)
{
	enum ws_handshake_result handshake;

	if (head->method_id == HTTP_METHOD_CONNECT)
		return REASON_METHOD_UNKNOWN;
	if (head->expect_unknown)
		return REASON_EXPECTATION;
	handshake = head->has_upgrade ? ws_handshake_check_request(head) : WS_HANDSHAKE_NONE;
	x->is_upgrade = handshake == WS_HANDSHAKE_OK;
	if (handshake == WS_HANDSHAKE_VERSION)
		return REASON_UPGRADE_VERSION;
	return handshake == WS_HANDSHAKE_OK || handshake == WS_HANDSHAKE_NONE ? REASON_NONE : REASON_UPGRADE_BAD;
}

static const struct log_config *log_of(const struct exchange *x)
{
	return &x->view->snapshot->config->log;
}

/* OPTIONS *, also written as OPTIONS http://host (RFC 9112 3.2.4). */
static bool is_asterisk(const struct request *r)
{
	return r->path_len == 1 && r->path[0] == '*';
}

/* Everything up to the answer: what is known of the request, its route, its entry in the log.  `why`: what is wrong
 * already. */
static enum reason request_take(struct exchange *x, struct request *r, const struct exchange_from *from, enum reason why)
{
	const struct http_head *head = r->head;
	struct worker *w = x->worker;
	enum reason prepared;

	counter_add(PROXY_REQUESTS, 1);
	x->listener = from->listener;
	x->method = head->method_id;
	x->version_minor = head->version_minor;
	x->prefers_json = http_head_has(head, HTTP_ACCEPT) && accept_has_json(head);
	prepared = request_prepare(r, w->scratch, w->scratch_cap);
	if (why == REASON_NONE)
		why = prepared;
	if (why == REASON_NONE)
		why = head_check(x, head);
	if (why == REASON_NONE && !is_asterisk(r))
		why = route_find(r);
	x->route = r->route;
	if (r->is_trusted)
		connections_set_client(&w->open, x->connection, r->client);
	x->log = access_request(log_of(x), r, from->tls_version);
	if (why == REASON_NONE && x->route != NULL && x->route->auth.jwt == NULL && !edits_prepare(x, r))
		why = REASON_NO_MEMORY;
	return why;
}

/* ---- may it ---- */

static uint32_t seconds_of(uint64_t ns)
{
	uint64_t s = (ns + 999999999u) / 1000000000u;

	return s == 0 ? 1 : s > UINT32_MAX ? UINT32_MAX : (uint32_t)s;
}

/* 429 with Retry-After and the fields of draft-ietf-httpapi-ratelimit-headers-10: the policy is named by its key. */
void exchange_refuse_rate(struct exchange *x, enum reason why, const struct guard_rate *told)
{
	const char *word = reason_of(why)->word;
	char retry[16], policy[96], limit[96];
	uint32_t wait_s = seconds_of(told->wait_ns);
	uint32_t retry_len = (uint32_t)snprintf(retry, sizeof(retry), "%" PRIu32, wait_s);
	uint32_t policy_len = (uint32_t)snprintf(policy, sizeof(policy), "\"%s\";q=%" PRIu32 ";w=%" PRIu32, word, told->burst,
						 seconds_of(told->window_ns));
	uint32_t limit_len = (uint32_t)snprintf(limit, sizeof(limit), "\"%s\";r=0;t=%" PRIu32, word, wait_s);
	const struct http_field fields[] = {
		{ "retry-after", retry, retry_len, 11, HTTP_RETRY_AFTER },
		{ "ratelimit-policy", policy, policy_len, 16, HTTP_OTHER },
		{ "ratelimit", limit, limit_len, 9, HTTP_OTHER },
	};

	exchange_refuse_with(x, why, 0, fields, ARRAY_LEN(fields));
}

/* A WebSocket, whatever carries it. */
static bool opens_websocket(const struct exchange *x)
{
	return x->is_upgrade || x->fallback != FALLBACK_NONE;
}

/* The route's own rate; and the key by which a WebSocket's messages will be counted. */
static enum reason route_rate(struct exchange *x, const struct request *r, const struct guard *g,
			      const struct guard_request *q, uint64_t now_ns, struct guard_rate *told)
{
	const struct guard_route *route = guard_route_of(g, q);
	const struct request_key *k = &x->route->limits.key;
	char room[REQUEST_KEY_SCRATCH];
	uint8_t bytes[17];
	const char *key;
	size_t len;

	x->has_message_key = opens_websocket(x) && guard_counts_messages(route);
	if (route->requests.interval_ns == 0 && !x->has_message_key)
		return REASON_NONE;
	/* Who shows no key is counted by address, or leaving it out would be the way around the limit. */
	if (k->kind == REQUEST_KEY_IP || !request_key_find(k, r, room, sizeof(room), &key, &len)) {
		key = (const char *)bytes;
		len = guard_address_key(g, q, bytes);
	}
	x->has_message_key = x->has_message_key && len > 0;
	if (x->has_message_key)
		x->message_key = guard_message_key(g, q, key, len);
	return guard_route_rate(g, q, key, len, now_ns, told);
}

/* Behind a trusted proxy each WebSocket is a connection of the client that the proxy names. */
static enum reason forwarded_admit(struct exchange *x, const struct request *r, uint64_t now_ns)
{
	struct guard_hold hold;
	enum reason why = guard_forwarded(x->view->snapshot->guard, x->listener->index, &r->client_addr, now_ns, &hold);

	x->guest = guest_of(hold);
	return why;
}

/* A client without an Origin is no page of a browser. */
bool exchange_origin_passes(const struct route_config *route, const struct http_head *head)
{
	const struct access_config *a = &route->access;
	const struct http_field *f = http_head_find(head, HTTP_ORIGIN, NULL);

	if (a->origins_count == 0 || f == NULL)
		return true;
	return http_head_find(head, HTTP_ORIGIN, f + 1) == NULL &&
	       origin_is_listed(a->origins, a->origins_count, f->value, f->value_len);
}

/* A page whose origin may open a WebSocket may read the answers of the fallback, refusals too. */
static void cors_allow(struct exchange *x, const struct http_head *head)
{
	const struct http_field *f = http_head_find(head, HTTP_ORIGIN, NULL);

	if (f != NULL && x->fallback != FALLBACK_NONE && !x->is_upgrade)
		x->cors = text_copy(f->value, f->value_len);
}

/* RFC 6750 3: what is wanted, and what was wrong with what came. */
void exchange_refuse_token(struct exchange *x, enum reason why)
{
	static const char wanted[] = "Bearer", bad[] = "Bearer error=\"invalid_token\"",
			  scope[] = "Bearer error=\"insufficient_scope\"";
	const char *text = why == REASON_TOKEN_MISSING ? wanted : why == REASON_TOKEN_CLAIMS ? scope : bad;
	const struct http_field field = { "www-authenticate", text, (uint32_t)strlen(text), 16, HTTP_OTHER };

	exchange_refuse_with(x, why, 0, &field, 1);
}

/* A client whose offer carried its token fails unless something of it is chosen (WHATWG: what it offered it insists on). */
static bool protocol_note(struct exchange *x, const struct http_head *head)
{
	struct token_offer offer;
	const struct ws_token *chosen;

	for (size_t i = 0; i < x->route->auth.jwt->from_count; i++) {
		if (x->route->auth.jwt->from[i].kind != TOKEN_FROM_SUBPROTOCOL || !token_offer_find(head, &offer))
			continue;
		chosen = offer.marker.len > 0 ? &offer.marker : &offer.element;
		x->own_protocol = text_copy(chosen->at, chosen->len);
		return x->own_protocol != NULL;
	}
	return true;
}

/* What the connection will keep of its token; false: memory is out. */
static bool token_note(struct exchange *x, const struct request *r, const struct jwt *token)
{
	if (!x->is_upgrade)
		return true;
	x->token = live_token_new(token);
	return x->token != NULL && protocol_note(x, r->head);
}

/* false: it was refused. */
static bool token_passes(struct exchange *x, struct request *r, const struct jwt_rules *rules, struct jwt *token)
{
	char room[JWT_MAX_LEN]; /* for one that has to be decoded */
	const char *text;
	size_t len;
	enum reason why = REASON_TOKEN_MISSING;

	if (rules == NULL)
		return true;
	if (token_find(x->route->auth.jwt, r, room, sizeof(room), &text, &len))
		why = jwt_check(rules, text, len, clock_wall_ns() / 1000000000, token);
	if (why == REASON_NONE) {
		r->token = token;
		if (edits_prepare(x, r) && token_note(x, r, token))
			return true;
		exchange_refuse(x, REASON_NO_MEMORY);
		return false;
	}
	exchange_refuse_token(x, why);
	return false;
}

/* Everything that may refuse a request whose route is known, the cheap and the strict first.  false: it was refused. */
static bool guard_passes(struct exchange *x, struct request *r, struct jwt *token)
{
	const struct guard *g = x->view->snapshot->guard;
	const struct guard_request q = { .listener = x->listener->index,
					 .route = (size_t)(x->route - r->listener->routes),
					 .client = &r->client_addr,
					 .is_forwarded = r->is_forwarded };
	uint64_t now_ns = x->worker->ring.now_ms * 1000000;
	struct guard_rate told = { 1, 0, 1000000000 };
	enum reason why = guard_address(g, &q);

	if (why == REASON_NONE)
		why = deny_rules_check(r);
	if (why != REASON_NONE) {
		exchange_refuse(x, why);
		return false;
	}
	if (opens_websocket(x) && !exchange_origin_passes(x->route, r->head)) {
		exchange_refuse(x, REASON_ORIGIN);
		return false;
	}
	cors_allow(x, r->head);
	why = guard_request_rate(g, &q, now_ns, &told);
	if (why != REASON_NONE) {
		exchange_refuse_rate(x, why, &told);
		return false;
	}
	if (!token_passes(x, r, guard_route_of(g, &q)->jwt, token))
		return false;
	if (why == REASON_NONE)
		why = route_rate(x, r, g, &q, now_ns, &told);
	if (why == REASON_NONE && r->is_forwarded && x->is_upgrade)
		why = forwarded_admit(x, r, now_ns);
	if (why == REASON_NONE)
		return true;
	exchange_refuse_rate(x, why, &told);
	return false;
}

/* A listener that was left goes by the last configuration that knew it, and so do its requests: its routes lead to that
 * configuration's clusters. */
static void view_follow(struct exchange *x, const struct listener *l)
{
	struct view *old = x->view;

	if (old == l->view)
		return;
	x->view = view_ref(l->view);
	view_unref(old);
}

static struct request request_of(const struct exchange *x, const struct exchange_from *from, const struct http_head *head)
{
	return (struct request){
		.head = head,
		.config = x->view->snapshot->config,
		.listener = from->listener->config,
		.peer = from->peer,
		.local = from->local,
		.is_tls = from->is_tls,
		.connection = from->connection,
	};
}

static void request_admit(struct exchange *x, struct request *r)
{
	struct jwt token = { 0 };

	x->fallback = fallback_kind_of(r, x->is_upgrade);
	/* Whether it was refused is known by the answer alone: the exchange may be gone. */
	if (guard_passes(x, r, &token)) {
		if (x->fallback != FALLBACK_NONE)
			fallback_start(x, r, x->fallback);
		else if (x->route->respond != NULL)
			answer_respond(x, r);
		else
			forward_start(x, r);
	}
	jwt_done(&token);
}

void exchange_start(struct exchange *x, const struct exchange_from *from, const struct http_head *head)
{
	struct request r;
	enum reason why;

	view_follow(x, from->listener);
	r = request_of(x, from, head);
	why = request_take(x, &r, from, REASON_NONE);
	if ((why == REASON_NONE || why == REASON_NO_ROUTE) && serves_client_script(x, &r))
		answer_client_script(x, &r);
	else if ((why == REASON_NONE || why == REASON_NO_ROUTE) && auth_refresh_is_meant(&r))
		auth_refresh_start(x, &r);
	else if (why != REASON_NONE)
		exchange_refuse(x, why);
	else if (is_asterisk(&r))
		answer_options(x);
	else
		request_admit(x, &r);
}

void exchange_start_refused(struct exchange *x, const struct exchange_from *from, const struct http_head *head,
			    enum reason why)
{
	struct request r;

	view_follow(x, from->listener);
	r = request_of(x, from, head);
	exchange_refuse(x, request_take(x, &r, from, why));
}

void exchange_malformed(struct exchange *x, const struct exchange_from *from, const char *text, size_t len, enum reason why)
{
	x->listener = from->listener;
	x->version_minor = 1;
	x->log = access_malformed(log_of(x), from->listener->config, from->peer, text, len);
	exchange_refuse(x, why);
}
