#include "proxy/head_request.h"

#include "base/str.h"
#include "guard/jwt.h"
#include "net/stream.h"
#include "proxy/head_edits.h"
#include "proxy/route.h"
#include "proxy/template.h"
#include "proxy/token.h"
#include "wire/uri.h"
#include "wire/ws_handshake.h"

#include <assert.h>

#define CLAIM_TEXT_MAX 1024

#define PUT(out, literal) str_bytes((out), "" literal, sizeof(literal) - 1)

/* Written by the proxy itself, whatever the client sent. */
#define OWN_SET                                                                                         \
	(HTTP_BIT(HTTP_HOST) | HTTP_BIT(HTTP_X_FORWARDED_FOR) | HTTP_BIT(HTTP_X_FORWARDED_PROTO) |      \
	 HTTP_BIT(HTTP_X_FORWARDED_HOST) | HTTP_BIT(HTTP_X_FORWARDED_PORT) | HTTP_BIT(HTTP_FORWARDED) | \
	 HTTP_BIT(HTTP_X_REQUEST_ID))

/* What the fields of this file are written from. */
struct from {
	const struct request *r;
	const char *peer; /* its address, without zone: the next hop has other zones */
	size_t peer_len;  /* 0: a UNIX socket's */
	char peer_text[ADDR_TEXT_MAX];
};

static void from_init(struct from *from, const struct request *r)
{
	const char *zone;

	from->r = r;
	from->peer = r->client;
	from->peer_len = r->client_len;
	if (r->is_trusted) { /* the client may be another one */
		from->peer = from->peer_text;
		from->peer_len = addr_print_host(r->peer, from->peer_text);
	}
	if (r->peer->len == 0 || r->peer->sa.sa_family == AF_UNIX)
		from->peer_len = 0;
	zone = memchr(from->peer, '%', from->peer_len);
	if (zone != NULL)
		from->peer_len = (size_t)(zone - from->peer);
}

/* ---- the request line and Host ---- */

/* False: the rewritten path is none. */
static bool line_write(struct str *out, const struct request *r)
{
	const struct http_head *head = r->head;
	long len;

	str_bytes(out, head->method, head->method_len);
	PUT(out, " ");
	if (out->is_cut)
		return true;
	len = route_rewrite(r, out->at + out->len, out->cap - out->len);
	if (len == -2)
		return false;
	if (len < 0)
		out->is_cut = true;
	else
		out->len += (size_t)len;
	if (head->query != NULL) {
		PUT(out, "?");
		str_bytes(out, head->query, head->query_len);
	}
	PUT(out, " HTTP/1.1\r\n");
	return true;
}

/* HTTP/1.0 may come without; HTTP/1.1 must have one (RFC 9112 3.2): then it is where the client came to. */
static void host_print(struct str *out, const struct request *r)
{
	char text[ADDR_TEXT_MAX];
	struct uri_authority a;
	size_t len;

	if (r->head->host != NULL) {
		str_bytes(out, r->head->host, r->head->host_len);
		return;
	}
	len = addr_print(r->local, text);
	if (uri_authority_parse(text, len, &a))
		str_bytes(out, text, len);
	else
		PUT(out, "localhost");
}

/* What the edits put in Host's place; false where that is nothing, or no authority. */
static bool host_print_edited(struct str *out, const struct request *r, const struct header_value *values,
			      size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t start = out->len;
		struct uri_authority a;

		if (http_id_of(values[i].name, strlen(values[i].name)) != HTTP_HOST)
			continue;
		template_print(out, &values[i].value, r);
		if (out->is_cut || uri_authority_parse(out->at + start, out->len - start, &a))
			return true;
		str_rewind(out, start);
	}
	return false;
}

/* There is exactly one, whatever the edits say: to add one is to set it, and it cannot be removed. */
static void host_write(struct str *out, const struct request *r, const struct header_edits *e)
{
	PUT(out, "Host: ");
	if (!host_print_edited(out, r, e->set, e->set_count) &&
	    !host_print_edited(out, r, e->add, e->add_count))
		host_print(out, r);
	PUT(out, "\r\n");
}

/* ---- who asks ---- */

/* The values of a trusted peer's fields of the id as one list, each with ", " behind it. */
static void trusted_print(struct str *out, const struct request *r, enum http_id id)
{
	const struct http_field *f = r->is_trusted ? http_head_find(r->head, id, NULL) : NULL;

	for (; f != NULL; f = http_head_find(r->head, id, f + 1)) {
		if (f->value_len == 0)
			continue;
		str_bytes(out, f->value, f->value_len);
		PUT(out, ", ");
	}
}

/* The line that a trusted peer sent, if it sent one. */
static bool trusted_write(struct str *out, const struct request *r, enum http_id id, const char *name,
			  size_t name_len)
{
	const struct http_field *f = r->is_trusted ? http_head_find(r->head, id, NULL) : NULL;

	if (f == NULL)
		return false;
	head_field_write(out, name, name_len, f->value, f->value_len);
	return true;
}
#define TRUSTED(out, r, id, name) trusted_write((out), (r), (id), "" name, sizeof(name) - 1)

static void write_x_forwarded_for(struct str *out, const struct from *from)
{
	size_t line = out->len, list;

	PUT(out, "X-Forwarded-For: ");
	list = out->len;
	trusted_print(out, from->r, HTTP_X_FORWARDED_FOR);
	if (out->is_cut)
		return;
	if (from->peer_len > 0) {
		str_bytes(out, from->peer, from->peer_len);
	} else if (out->len > list) {
		str_rewind(out, out->len - 2);
	} else {
		str_rewind(out, line);
		return;
	}
	PUT(out, "\r\n");
}

static void write_x_forwarded_proto(struct str *out, const struct from *from)
{
	if (TRUSTED(out, from->r, HTTP_X_FORWARDED_PROTO, "X-Forwarded-Proto"))
		return;
	if (from->r->is_tls)
		PUT(out, "X-Forwarded-Proto: https\r\n");
	else
		PUT(out, "X-Forwarded-Proto: http\r\n");
}

static void write_x_forwarded_host(struct str *out, const struct from *from)
{
	const struct http_head *head = from->r->head;

	if (TRUSTED(out, from->r, HTTP_X_FORWARDED_HOST, "X-Forwarded-Host") || head->host == NULL)
		return;
	PUT(out, "X-Forwarded-Host: ");
	str_bytes(out, head->host, head->host_len);
	PUT(out, "\r\n");
}

static void write_x_forwarded_port(struct str *out, const struct from *from)
{
	uint16_t port = addr_port(from->r->local);

	if (TRUSTED(out, from->r, HTTP_X_FORWARDED_PORT, "X-Forwarded-Port") || port == 0)
		return;
	PUT(out, "X-Forwarded-Port: ");
	str_dec(out, port);
	PUT(out, "\r\n");
}

/* RFC 7239 4, 6: an IPv6 address in brackets, and what is no token in quotes. */
static void write_forwarded(struct str *out, const struct from *from)
{
	const struct http_head *head = from->r->head;

	PUT(out, "Forwarded: ");
	trusted_print(out, from->r, HTTP_FORWARDED);
	PUT(out, "for=");
	if (from->peer_len == 0) {
		PUT(out, "unknown");
	} else if (memchr(from->peer, ':', from->peer_len) != NULL) {
		PUT(out, "\"[");
		str_bytes(out, from->peer, from->peer_len);
		PUT(out, "]\"");
	} else {
		str_bytes(out, from->peer, from->peer_len);
	}
	if (from->r->is_tls)
		PUT(out, ";proto=https");
	else
		PUT(out, ";proto=http");
	if (head->host != NULL) {
		bool is_token = memchr(head->host, ':', head->host_len) == NULL && head->host[0] != '[';

		str_bytes(out, ";host=\"", is_token ? 6 : 7);
		str_bytes(out, head->host, head->host_len);
		str_bytes(out, "\"", is_token ? 0 : 1);
	}
	PUT(out, "\r\n");
}

static void write_x_request_id(struct str *out, const struct from *from)
{
	PUT(out, "X-Request-Id: ");
	str_bytes(out, from->r->id, REQUEST_ID_LEN);
	PUT(out, "\r\n");
}

/* One that came is passed on as it is, among the other fields. */
static void write_traceparent(struct str *out, const struct from *from)
{
	char value[TRACE_FIELD_LEN];

	if (!from->r->is_trace_begun)
		return;
	trace_context_write(&from->r->trace, value);
	PUT(out, "Traceparent: ");
	str_bytes(out, value, sizeof(value));
	PUT(out, "\r\n");
}

static const struct {
	enum http_id id;
	void (*write)(struct str *, const struct from *);
} own_fields[] = {
	{ HTTP_X_FORWARDED_FOR, write_x_forwarded_for },
	{ HTTP_X_FORWARDED_PROTO, write_x_forwarded_proto },
	{ HTTP_X_FORWARDED_HOST, write_x_forwarded_host },
	{ HTTP_X_FORWARDED_PORT, write_x_forwarded_port },
	{ HTTP_FORWARDED, write_forwarded },
	{ HTTP_X_REQUEST_ID, write_x_request_id },
	{ HTTP_TRACEPARENT, write_traceparent },
};

/* ---- edits, handshake ---- */

static void values_write(struct str *out, const struct header_value *values, size_t count,
			 const struct request *r)
{
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(values[i].name);

		if (http_id_of(values[i].name, len) == HTTP_HOST)
			continue; /* stands already */
		str_bytes(out, values[i].name, len);
		PUT(out, ": ");
		template_print(out, &values[i].value, r);
		PUT(out, "\r\n");
	}
}

/* A message that may be dropped must not be part of a compressed stream: what follows it could not be read. */
static bool passes_deflate(const struct websocket_policy *p)
{
	bool drops = p->over_rate == OVER_RATE_DROP && (p->message_rate_per_s > 0 || p->byte_rate_per_s > 0);

	return p->compression == WS_COMPRESSION_PASS && !drops && p->slow_client != SLOW_CLIENT_DROP_OLDEST &&
	       p->slow_client != SLOW_CLIENT_LATEST;
}

static bool is_allowed(const struct websocket_policy *p, const struct ws_token *name)
{
	for (size_t i = 0; i < p->subprotocols_count; i++)
		if (strlen(p->subprotocols[i]) == name->len && memcmp(p->subprotocols[i], name->at, name->len) == 0)
			return true;
	return false;
}

/* The token that it carries, where the route looks for one there. */
static bool offer_of(const struct request *r, struct token_offer *out)
{
	const struct jwt_config *c = r->route->auth.jwt;

	for (size_t i = 0; c != NULL && i < c->from_count; i++)
		if (c->from[i].kind == TOKEN_FROM_SUBPROTOCOL)
			return token_offer_find(r->head, out);
	return false;
}

/* The client's offer without the subprotocols that the route does not allow, and without its token. */
static void subprotocols_write(struct str *out, const struct request *r)
{
	const struct websocket_policy *policy = &r->route->websocket;
	struct token_offer offer = { { NULL, 0 }, { NULL, 0 }, NULL, 0 };
	const struct http_field *f = http_head_find(r->head, HTTP_SEC_WEBSOCKET_PROTOCOL, NULL);
	bool has_one = false;

	offer_of(r, &offer);
	for (; f != NULL; f = http_head_find(r->head, HTTP_SEC_WEBSOCKET_PROTOCOL, f + 1)) {
		const char *list = f->value;
		size_t len = f->value_len;
		struct ws_token name;

		while (ws_token_next(&list, &len, &name) > 0) {
			if (name.at == offer.element.at || name.at == offer.marker.at)
				continue;
			if (policy->subprotocols_count > 0 && !is_allowed(policy, &name))
				continue;
			if (has_one)
				PUT(out, ", ");
			else
				PUT(out, "Sec-WebSocket-Protocol: ");
			has_one = true;
			str_bytes(out, name.at, name.len);
		}
	}
	if (has_one)
		PUT(out, "\r\n");
}

static bool edits_subprotocols(const struct request *r)
{
	struct token_offer offer;

	return r->route->websocket.subprotocols_count > 0 || offer_of(r, &offer);
}

/* Offers in several fields become one list, of what the frame tracker knows (RFC 6455 9.1 allows both). */
static void extensions_write(struct str *out, const struct request *r)
{
	bool keep_deflate = passes_deflate(&r->route->websocket);
	const struct http_field *f = http_head_find(r->head, HTTP_SEC_WEBSOCKET_EXTENSIONS, NULL);
	size_t line = out->len, list;

	if (f == NULL)
		return;
	PUT(out, "Sec-WebSocket-Extensions: ");
	list = out->len;
	for (; f != NULL; f = http_head_find(r->head, HTTP_SEC_WEBSOCKET_EXTENSIONS, f + 1)) {
		size_t before = out->len;
		long len;

		if (out->len > list)
			PUT(out, ", ");
		if (!str_reserve(out, f->value_len))
			return;
		len = ws_extensions_filter(f->value, f->value_len, keep_deflate, out->at + out->len,
					   f->value_len);
		if (len > 0)
			out->len += (size_t)len;
		else
			str_rewind(out, before);
	}
	if (out->len > list)
		PUT(out, "\r\n");
	else
		str_rewind(out, line);
}

/* Claims as fields; one that the token has not, or that no field can hold, leaves none: neither the client's. */
static void claims_write(struct str *out, const struct request *r)
{
	const struct jwt_config *c = r->route->auth.jwt;
	char text[CLAIM_TEXT_MAX];

	for (size_t i = 0; c != NULL && r->token != NULL && i < c->forward_count; i++) {
		long len = jwt_claim(r->token, c->forward[i].value, text, sizeof(text));

		if (len > 0)
			head_field_write(out, c->forward[i].name, strlen(c->forward[i].name), text, (size_t)len);
	}
}

/* Of the client's certificate, in the same manner. */
static void peer_write(struct str *out, const struct request *r, const struct client_auth_config *c)
{
	char text[CLAIM_TEXT_MAX];

	for (size_t i = 0; i < c->forward_count && r->connection != NULL; i++) {
		long len = stream_tls_peer(r->connection, c->forward[i].value, text, sizeof(text));

		if (len > 0)
			head_field_write(out, c->forward[i].name, strlen(c->forward[i].name), text, (size_t)len);
	}
}

static const struct client_auth_config *client_auth_of(const struct request *r)
{
	return r->listener != NULL && r->listener->tls != NULL ? r->listener->tls->client_auth : NULL;
}

/* ---- the whole ---- */

static uint64_t left_out(const struct request *r, bool is_upgrade)
{
	uint64_t ids = OWN_SET;

	if (!r->is_trusted)
		ids |= HTTP_BIT(HTTP_X_REAL_IP);
	if (r->is_trace_begun) /* what the client sent in their place was of no trace */
		ids |= HTTP_BIT(HTTP_TRACEPARENT) | HTTP_BIT(HTTP_TRACESTATE);
	if (is_upgrade)
		ids |= HTTP_BIT(HTTP_SEC_WEBSOCKET_EXTENSIONS);
	if (is_upgrade && edits_subprotocols(r))
		ids |= HTTP_BIT(HTTP_SEC_WEBSOCKET_PROTOCOL);
	if (r->head->version_minor == 0)
		ids |= HTTP_BIT(HTTP_EXPECT); /* means nothing there (RFC 9110 10.1.1), and would here */
	return ids;
}

long head_request_write(uint8_t *out, size_t cap, const struct request *r, bool is_upgrade)
{
	const struct client_auth_config *client_auth = client_auth_of(r);
	const struct header_edits *edits;
	struct head_edits e;
	struct from from;
	struct str s;

	assert(r->route != NULL);
	edits = &r->route->request_headers;
	head_edits_init(&e, edits);
	if (r->route->auth.jwt != NULL)
		head_edits_drop(&e, r->route->auth.jwt->forward, r->route->auth.jwt->forward_count);
	if (client_auth != NULL)
		head_edits_drop(&e, client_auth->forward, client_auth->forward_count);
	from_init(&from, r);
	str_init(&s, (char *)out, cap);
	if (!line_write(&s, r))
		return -2;
	host_write(&s, r, edits);
	head_edits_forward(&s, r->head, left_out(r, is_upgrade), &e);
	for (size_t i = 0; i < sizeof(own_fields) / sizeof(own_fields[0]); i++)
		if ((e.ids & HTTP_BIT(own_fields[i].id)) == 0)
			own_fields[i].write(&s, &from);
	claims_write(&s, r);
	if (client_auth != NULL)
		peer_write(&s, r, client_auth);
	values_write(&s, edits->set, edits->set_count, r);
	values_write(&s, edits->add, edits->add_count, r);
	if (is_upgrade) {
		extensions_write(&s, r);
		if (edits_subprotocols(r))
			subprotocols_write(&s, r);
		PUT(&s, "Connection: Upgrade\r\nUpgrade: websocket\r\n");
	}
	if (r->head->is_chunked)
		PUT(&s, "Transfer-Encoding: chunked\r\n");
	PUT(&s, "\r\n");
	return s.is_cut ? -1 : (long)s.len;
}
