/* A 101: what the client is told beside it, and the relay that takes both streams over. */
#include "cluster/outlier.h"
#include "net/stream.h"
#include "proxy/forward_inside.h"
#include "proxy/listener.h"
#include "proxy/ws_relay.h"
#include "wire/ws_handshake.h"

#include <string.h>

static void field_add(struct response_head *out, struct http_field *own, const char *name, const char *value)
{
	size_t len = strlen(name);

	own[out->own_count++] = (struct http_field){ name, value, (uint32_t)strlen(value), (uint16_t)len,
						     (uint8_t)http_id_of(name, len) };
}

/* The answer to the client's offer, where the endpoint knows nothing of it. */
static void deflate_add(const struct exchange *x, struct response_head *out, struct http_field *own,
			char answer[WS_DEFLATE_TEXT_MAX])
{
	int len = x->has_deflate ? ws_deflate_write(answer, WS_DEFLATE_TEXT_MAX, &x->deflate) : 0;

	if (len > 0)
		field_add(out, own, "sec-websocket-extensions", answer);
}

/* What a client with a token is told: by which name it can be renewed, and a choice where its offer was the token alone. */
static void token_fields_add(const struct forward *f, const struct http_head *head, struct response_head *out,
			     struct http_field *own, char id[CONNECTION_ID_MAX])
{
	const struct exchange *x = f->x;

	if (x->token != NULL && x->route->auth.refresh && connections_print_id(&x->worker->open, x->connection, id))
		field_add(out, own, "holdfast-connection", id);
	if (x->own_protocol != NULL && !http_head_has(head, HTTP_SEC_WEBSOCKET_PROTOCOL))
		field_add(out, own, "sec-websocket-protocol", x->own_protocol);
}

void forward_upgrade(struct forward *f, const struct http_head *head, struct slice rest)
{
	struct exchange *x = f->x;
	struct worker *w = forward_worker(f);
	struct http_head sent;
	struct ws_agreement agreed;
	struct response_head out = forward_response(head);
	struct ws_relay_parts parts = { .worker = w, .listener = x->listener, .view = x->view, .route = x->route,
					.connection = x->connection };
	char cookie[AFFINITY_COOKIE_MAX], answer[WS_DEFLATE_TEXT_MAX], id[CONNECTION_ID_MAX];
	struct str text;
	struct http_field own[4];
	struct slice early;

	http_head_init(&sent, w->fields, w->fields_cap);
	if (!x->is_upgrade || http1_parse_request(f->head.at, f->head.len, &(struct http1_limits){ 0 }, NULL, &sent) <= 0 ||
	    ws_handshake_check_response(&sent, head, &agreed) != WS_HANDSHAKE_OK) {
		forward_fail(f, REASON_BACKEND_UPGRADE);
		return;
	}
	out.is_upgrade = true;
	str_init(&text, cookie, sizeof(cookie));
	forward_cookie_add(f, &out, own, &text);
	out.own = own;
	deflate_add(x, &out, own, answer);
	token_fields_add(f, head, &out, own, id);
	forward_learn_head(f, head);
	x->client_ops->head(x, &out);
	outlier_upgraded(f->backend.endpoint);
	parts.rsv_allowed = agreed.rsv_allowed;
	parts.backend = backend_give(&f->backend, &parts.endpoint);
	parts.client = x->client_ops->upgrade(x, &early);
	if (x->guest != 0 && stream_set_guest(parts.client, x->guest))
		x->guest = 0;
	parts.log = x->log;
	parts.token = x->token;
	x->token = NULL;
	parts.began_ns = x->began_ns;
	parts.deflate = x->has_deflate ? &x->deflate : NULL;
	parts.message_key = x->has_message_key ? &x->message_key : NULL;
	x->log = NULL;
	ws_relay_start(&parts, early, rest);
	slice_unref(early);
	exchange_free(x);
	forward_free(f);
}
