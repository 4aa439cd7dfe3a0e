/* The responses on a client's HTTP/1 connection: the client's half of an exchange. */
#include "proxy/h1_inside.h"

#include "net/stream.h"
#include "wire/http1_write.h"

#include <assert.h>

/* Whether another request may follow on this connection. */
static bool may_keep(const struct h1_server *c)
{
	const struct exchange *x = c->x;

	if (!c->keep_alive || h1_worker(c)->is_draining || c->listener->has_left || (c->has_eof && c->held.len == 0))
		return false;
	/* The rest of a body that nobody will read has to be discarded; one that is announced may never come. */
	return x->request_over || (c->takes_body && x->handler != NULL) ||
	       (!x->is_chunked && !c->expects_continue && http1_body_left_bytes(&c->body) <= DISCARD_MAX);
}

/* A handshake is answered as a plain request, and the client has written on as if it were a WebSocket's: that is no request. */
static bool is_behind_upgrade(const struct h1_server *c)
{
	return c->x->is_upgrade && c->held.len > 0;
}

static void client_write(struct h1_server *c, struct slice out)
{
	c->x->bytes_out += out.len;
	if (c->client != NULL)
		duplex_write(c->client, out);
	else
		slice_unref(out);
}

/* Memory is out in the midst of a response: the client sees a reset; the rest follows by the timer, since who calls us
 * still uses the exchange. */
static void client_fail(struct h1_server *c)
{
	if (c->client == NULL)
		return;
	duplex_close(c->client, REASON_NO_MEMORY);
	c->client = NULL;
	c->x->why = REASON_NO_MEMORY;
	h1_arm(c, 1);
}

/* Writes by `print` into the bump block, or, where it does not fit, into blocks of their own. */
static struct slice head_print(struct h1_server *c, const struct response_head *h, const struct response_edits *e)
{
	struct ring *r = &h1_worker(c)->ring;
	size_t need = 1024 + (h->from != NULL && h->from->field_count > 0 ?
				      (size_t)(h->from->fields_end - h->from->fields[0].name) :
				      0);
	uint8_t *at = need <= RING_BUMP_SIZE ? ring_bump(r, (uint32_t)need) : NULL;
	long len = at != NULL ? head_response_write(at, ring_bump_room(r), h, e) : -1;

	if (len >= 0)
		return ring_bump_take(r, (uint32_t)len);
	for (uint32_t cap = 32768; cap <= (1u << 22); cap *= 4) {
		struct buf *b = buf_new(cap);

		if (b == NULL)
			break;
		len = head_response_write(b->data, cap, h, e);
		if (len >= 0)
			return (struct slice){ b, b->data, (uint32_t)len };
		buf_unref(b);
	}
	return SLICE_EMPTY;
}

#define CORS_FIELDS 3u
#define OWN_MAX	    32u

/* What lets a page of another origin read the answer, behind the handler's own fields. */
static void cors_add(const struct exchange *x, struct response_head *h, struct http_field fields[OWN_MAX])
{
	const struct http_field cors[CORS_FIELDS] = {
		{ "access-control-allow-origin", x->cors, (uint32_t)strlen(x->cors), 27, HTTP_OTHER },
		{ "access-control-allow-credentials", "true", 4, 32, HTTP_OTHER },
		{ "vary", "Origin", 6, 4, HTTP_VARY },
	};
	uint32_t count = h->own_count < OWN_MAX - CORS_FIELDS ? h->own_count : OWN_MAX - CORS_FIELDS;

	if (count > 0)
		memcpy(fields, h->own, count * sizeof(fields[0]));
	memcpy(fields + count, cors, sizeof(cors));
	h->own = fields;
	h->own_count = count + CORS_FIELDS;
}

static void client_head(struct exchange *x, struct response_head *h)
{
	struct http_field fields[OWN_MAX];
	struct h1_server *c = x->client;
	struct response_edits edits = { x->route != NULL ? &x->route->response_headers : NULL,
					(const char *const *)x->edit_values };
	bool is_interim = h->status < 200 && h->status != 101;
	struct slice out;

	if (is_interim && x->version_minor == 0)
		return;
	h->version_minor = x->version_minor;
	if (!is_interim) {
		x->status = h->status;
		x->response_begun = true;
		if (h->framing == RESPONSE_UNTIL_CLOSE || h->framing == RESPONSE_CHUNKED)
			h->framing = x->version_minor == 0 ? RESPONSE_UNTIL_CLOSE : RESPONSE_CHUNKED;
		c->keep_alive = may_keep(c) && !is_behind_upgrade(c) && h->framing != RESPONSE_UNTIL_CLOSE;
		c->is_chunked = h->framing == RESPONSE_CHUNKED && x->method != HTTP_METHOD_HEAD;
		h->keep_alive = c->keep_alive;
	}
	if (x->cors != NULL)
		cors_add(x, h, fields);
	out = head_print(c, h, &edits);
	x->head_out += out.len;
	if (out.len > 0)
		client_write(c, out);
	else
		client_fail(c);
}

static bool client_body(struct exchange *x, struct slice s)
{
	struct h1_server *c = x->client;
	struct ring *r = &h1_worker(c)->ring;
	uint8_t *line;
	long len;

	if (s.len == 0 || c->state == H1_GONE) {
		slice_unref(s);
		return true;
	}
	if (!c->is_chunked) {
		client_write(c, s);
		return c->client == NULL || !duplex_is_full(c->client);
	}
	line = ring_bump(r, HTTP1_CHUNK_LINE_MAX);
	len = line != NULL ? http1_write_chunk_line(line, HTTP1_CHUNK_LINE_MAX, s.len) : -1;
	if (len < 0) {
		slice_unref(s);
		client_fail(c);
		return true;
	}
	client_write(c, ring_bump_take(r, (uint32_t)len));
	client_write(c, s);
	client_write(c, slice_static("\r\n", 2));
	return c->client == NULL || !duplex_is_full(c->client);
}

static bool client_pass(struct exchange *x, struct duplex *from, uint64_t len, const struct passage_events *e, void *user)
{
	struct h1_server *c = x->client;

	return !c->is_chunked && c->client != NULL && passage_start(from, c->client, len, e, user);
}

static void last_chunk_write(struct h1_server *c, const struct http_field *trailers, uint32_t count)
{
	struct buf *b;
	long len;

	if (count == 0) {
		client_write(c, slice_static("0\r\n\r\n", 5));
		return;
	}
	b = buf_new(HTTP1_TRAILER_MAX + 64);
	len = b != NULL ? http1_write_last_chunk(b->data, b->cap, trailers, count) : -1;
	if (len < 0) {
		buf_unref(b);
		client_fail(c);
		return;
	}
	client_write(c, (struct slice){ b, b->data, (uint32_t)len });
}

static void client_end(struct exchange *x, const struct http_field *trailers, uint32_t count)
{
	struct h1_server *c = x->client;

	if (c->state == H1_GONE)
		return;
	if (c->is_chunked)
		last_chunk_write(c, trailers, count);
	x->response_over = true;
	x->handler = NULL;
	h1_run(c, SLICE_EMPTY);
}

static void client_abort(struct exchange *x, enum reason why)
{
	struct h1_server *c = x->client;

	x->why = (uint8_t)why;
	x->handler = NULL;
	h1_close(c, why);
}

static void client_read(struct exchange *x, bool on)
{
	struct h1_server *c = x->client;
	bool was_on = c->takes_body;

	/* During a passage all that still comes up goes on at once, or it would come behind what the passage brings. */
	if (c->state == H1_GONE || (c->client != NULL && passage_is_from(c->client)))
		return;
	c->takes_body = on;
	c->active_ms = h1_worker(c)->ring.now_ms;
	if (on && !was_on && !c->is_running && (c->held.len > 0 || c->has_eof))
		h1_run(c, SLICE_EMPTY);
	else if (!c->is_running)
		h1_reading_update(c);
}

static struct duplex *client_upgrade(struct exchange *x, struct slice *early)
{
	struct h1_server *c = x->client;
	struct duplex *d = c->client;

	assert(!c->is_running);
	*early = slice_ref(held_slice(&c->held));
	c->connection = CONNECTION_NONE; /* the exchange's now */
	h1_detach(c);
	slab_free(&h1_worker(c)->h1_slab, c); /* the listener's client goes with the stream */
	return d;
}

const struct exchange_client h1_reply = {
	.head = client_head,
	.body = client_body,
	.pass = client_pass,
	.end = client_end,
	.abort = client_abort,
	.read = client_read,
	.upgrade = client_upgrade,
};
