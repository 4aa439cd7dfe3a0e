/* websocket.compression: terminate.  The client speaks permessage-deflate, its endpoint does not: what the client sends is
 * inflated, what the endpoint sends is compressed (wire/ws_recode), behind all that looks at frames.
 *
 * Memory: 200 bytes for a connection that agreed on it, and a stream of zlib's (wire/zip) for each direction, as long as a
 * message is under way, or for good where context is taken over.  Scratch is the worker's.
 * What is inflated goes no further than the endpoint takes it: the rest of the run waits, and the client is not read. */
#include "base/random.h"
#include "proxy/counters.h"
#include "proxy/ws_inside.h"
#include "wire/ws_recode.h"

#include <stdlib.h>
#include <string.h>

struct ws_coding {
	struct ws_recode sides[2]; /* of what a side sends */
	struct ws_deflate agreed;
	struct slice rest; /* frames of the client's that have been judged, and wait for the endpoint to take more */
	uint8_t error;	   /* enum ws_error */
};

static struct ws_coding *coding_of(const struct ws_relay *r)
{
	return r->care != NULL ? r->care->coding : NULL;
}

bool compress_is_on(const struct ws_relay *r)
{
	return coding_of(r) != NULL;
}

bool compress_may_drop(const struct ws_relay *r, int from)
{
	const struct ws_coding *c = coding_of(r);

	if (c == NULL)
		return r->sides[from].tracker.rsv_allowed == 0;
	return from == CLIENT ? c->agreed.client_no_context_takeover : c->agreed.server_no_context_takeover;
}

/* ---- what was agreed ---- */

static uint8_t least(uint8_t bits, uint32_t most)
{
	return bits > 1 && bits < most ? bits : (uint8_t)most;
}

static bool answer(const struct ws_deflate *offer, const struct websocket_policy *p, struct ws_deflate *out)
{
	bool drops_in = p->over_rate == OVER_RATE_DROP;
	bool drops_out = p->slow_client == SLOW_CLIENT_DROP_OLDEST || p->slow_client == SLOW_CLIENT_LATEST;

	if (offer->server_max_window_bits == 8) /* zlib cannot compress with so small a window */
		return false;
	*out = (struct ws_deflate){ 0 };
	/* A message that may be dropped must not be what the next one refers to. */
	out->server_no_context_takeover = offer->server_no_context_takeover || !p->deflate.context_takeover || drops_out;
	out->client_no_context_takeover = offer->client_no_context_takeover || !p->deflate.context_takeover || drops_in;
	if (offer->server_max_window_bits != 0 || p->deflate.window_bits < 15)
		out->server_max_window_bits = least(offer->server_max_window_bits, p->deflate.window_bits);
	/* A client that has not offered it may use the largest one (RFC 7692 7.1.2.2). */
	if (offer->client_max_window_bits != 0 && least(offer->client_max_window_bits, p->deflate.window_bits) < 15)
		out->client_max_window_bits = least(offer->client_max_window_bits, p->deflate.window_bits);
	return true;
}

bool ws_relay_compresses(const struct http_head *request, const struct websocket_policy *p, struct ws_deflate *out)
{
	const struct http_field *f = http_head_find(request, HTTP_SEC_WEBSOCKET_EXTENSIONS, NULL);

	if (p->compression != WS_COMPRESSION_TERMINATE)
		return false;
	for (; f != NULL; f = http_head_find(request, HTTP_SEC_WEBSOCKET_EXTENSIONS, f + 1)) {
		const char *list = f->value;
		size_t len = f->value_len;
		struct ws_extension e;
		struct ws_deflate offer;

		while (ws_extension_next(&list, &len, &e) == 1)
			if (ws_deflate_read(&e, WS_OFFER, &offer) && answer(&offer, p, out))
				return true;
	}
	return false;
}

static struct ws_recode_rules rules_of(const struct ws_relay *r, const struct ws_coding *c, int from)
{
	const struct websocket_policy *p = policy_of(r);
	uint8_t bits = from == CLIENT ? c->agreed.client_max_window_bits : c->agreed.server_max_window_bits;

	return (struct ws_recode_rules){
		.max_message_len = p->max_message_size_bytes,
		.max_ratio = p->deflate.max_ratio,
		.min_len = (uint32_t)p->deflate.min_size_bytes,
		.shape = { .deflates = from == BACKEND,
			   .window_bits = bits == 0 ? 15 : bits,
			   .level = (uint8_t)p->deflate.level,
			   .memory_level = (uint8_t)p->deflate.memory_level },
		.keeps_context = from == CLIENT ? !c->agreed.client_no_context_takeover :
						  !c->agreed.server_no_context_takeover,
	};
}

/* ---- a run ---- */

struct coding_run {
	struct ws_relay *r;
	int from;
	struct slice in;
};

static void on_key(void *user, uint8_t out[4])
{
	(void)user;
	random_bytes(out, 4);
}

static bool on_full(void *user)
{
	const struct coding_run *run = user;
	const struct duplex *to = run->r->sides[!run->from].d;

	return to != NULL && duplex_is_full(to);
}

static void on_coded(void *user, const uint8_t *at, size_t len, unsigned marks, bool is_copy)
{
	struct coding_run *run = user;
	struct ws_relay *r = run->r;
	struct slice s;

	counter_add(run->from == CLIENT ? PROXY_INFLATED_OUT : PROXY_DEFLATED_OUT, len);
	if (run->from == BACKEND && slow_takes(r, marks) && slow_push(r, at, len, marks))
		return;
	s = is_copy ? ring_copy(ring_of(r), at, (uint32_t)len) :
		      slice_ref(slice_sub(run->in, (uint32_t)(at - run->in.at), (uint32_t)len));
	if (s.len == 0)
		r->care->is_broken = true;
	side_write(r, !run->from, s);
}

static void rest_add(struct ws_relay *r, struct ws_coding *c, struct slice more)
{
	if (more.len > 0 && !slice_append(&c->rest, more))
		r->care->is_broken = true;
}

static bool room_make(struct worker *w)
{
	if (w->recode_room == NULL)
		w->recode_room = calloc(1, sizeof(*w->recode_room));
	return w->recode_room != NULL;
}

static void feed(struct ws_relay *r, struct ws_coding *c, int from, struct slice in)
{
	struct ws_recode_rules rules = rules_of(r, c, from);
	const struct ws_recode_calls calls = { .piece = on_coded, .key = on_key, .is_full = from == CLIENT ? on_full : NULL };
	struct coding_run run = { r, from, in };
	size_t used = 0;
	int error;

	if (!room_make(r->worker)) {
		c->error = WS_ERR_MEMORY;
		return;
	}
	counter_add(from == CLIENT ? PROXY_INFLATED_IN : PROXY_DEFLATED_IN, in.len);
	error = ws_recode_feed(&c->sides[from], r->worker->recode_room, &rules, in.at, in.len, &calls, &run, &used);
	if (error != 0)
		c->error = (uint8_t)-error;
	else if (used < in.len)
		rest_add(r, c, slice_sub(in, (uint32_t)used, in.len - (uint32_t)used));
}

void compress_pass(struct ws_relay *r, int from, struct slice in)
{
	struct ws_coding *c = coding_of(r);

	if (c->error == WS_OK && from == CLIENT && c->rest.len > 0)
		rest_add(r, c, in);
	else if (c->error == WS_OK)
		feed(r, c, from, in);
	slice_unref(in);
}

bool compress_is_within(const struct ws_relay *r, int from)
{
	return ws_recode_is_within(&coding_of(r)->sides[from]);
}

int compress_error(const struct ws_relay *r)
{
	const struct ws_coding *c = coding_of(r);

	return c != NULL ? -(int)c->error : 0;
}

bool compress_keeps(const struct ws_relay *r)
{
	const struct ws_coding *c = coding_of(r);

	return c != NULL && c->rest.len > 0;
}

void compress_pump(struct ws_relay *r)
{
	struct ws_coding *c = coding_of(r);
	struct slice rest = c->rest;

	c->rest = SLICE_EMPTY;
	feed(r, c, CLIENT, rest);
	slice_unref(rest);
	r->sides[CLIENT].is_within = compress_is_within(r, CLIENT);
}

/* ---- life ---- */

bool compress_begin(struct ws_relay *r, const struct ws_deflate *agreed)
{
	struct ws_care *care = ws_care_of(r);

	if (care != NULL)
		care->coding = calloc(1, sizeof(*care->coding));
	if (care == NULL || care->coding == NULL)
		return false;
	care->coding->agreed = *agreed;
	ws_recode_init(&care->coding->sides[CLIENT], WS_FROM_CLIENT);
	ws_recode_init(&care->coding->sides[BACKEND], WS_FROM_SERVER);
	r->sides[CLIENT].tracker.rsv_allowed = WS_RSV1 >> 4;
	return true;
}

void compress_done(struct ws_relay *r)
{
	struct ws_coding *c = coding_of(r);

	if (c == NULL)
		return;
	for (int i = 0; i < 2; i++)
		ws_recode_done(&c->sides[i], r->worker->recode_room);
	slice_unref(c->rest);
	free(c);
}

void compress_room_free(struct worker *w)
{
	if (w->recode_room != NULL)
		zip_pool_done(&w->recode_room->pool);
	free(w->recode_room);
	w->recode_room = NULL;
}
