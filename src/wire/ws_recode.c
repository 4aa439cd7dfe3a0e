/* permessage-deflate on behalf of a peer that does not speak it. */
#include "wire/ws_recode.h"

#include <string.h>

static const uint8_t tail[4] = { 0x00, 0x00, 0xff, 0xff }; /* RFC 7692 7.2.1 */

/* One call's walk through a run. */
struct walk {
	struct ws_recode *r;
	struct ws_recode_room *room;
	const struct ws_recode_rules *rules;
	const struct ws_recode_calls *calls;
	void *user;
	const uint8_t *in;
	size_t len;
	size_t at;	/* what has been followed */
	size_t from;	/* what has been given out, of a frame that passes */
	size_t out_len; /* in room->out, behind the place for a header */
	bool is_stopped;
	bool begins;	/* nothing of the frame that passes has been given out */
};

void ws_recode_init(struct ws_recode *r, enum ws_role from)
{
	memset(r, 0, sizeof(*r));
	r->deflates = from == WS_FROM_SERVER;
	ws_tracker_init(&r->tracker, from, r->deflates ? 0 : WS_RSV1);
}

void ws_recode_done(struct ws_recode *r, struct ws_recode_room *room)
{
	if (r->zip != NULL)
		zip_give(&room->pool, r->zip);
	r->zip = NULL;
}

/* ---- fragments of our own ---- */

static uint8_t *out_begin(struct walk *w)
{
	return w->room->out + WS_HEADER_MAX;
}

/* The first `len` bytes of what has come out become a frame. */
static void fragment_give(struct walk *w, size_t len, bool is_final)
{
	struct ws_recode *r = w->r;
	struct ws_frame f = { .payload_len = len, .is_final = is_final,
			      .opcode = r->has_begun ? WS_OP_CONTINUATION : r->opcode,
			      .rsv = r->deflates && !r->has_begun ? WS_RSV1 : 0, .is_masked = !r->deflates };
	uint8_t header[WS_HEADER_MAX];
	unsigned marks = WS_PIECE_BEGINS | WS_PIECE_ENDS;
	int header_len;

	if (f.is_masked) {
		w->calls->key(w->user, f.key);
		ws_mask(out_begin(w), len, f.key, 0);
	}
	if (is_final && !r->has_begun)
		marks |= WS_PIECE_LOOSE;
	header_len = ws_frame_write_header(header, sizeof(header), &f);
	assert(header_len > 0);
	memcpy(out_begin(w) - header_len, header, (size_t)header_len);
	w->calls->piece(w->user, out_begin(w) - header_len, (size_t)header_len + len, marks, true);
	r->has_begun = 1;
	w->out_len -= len;
	if (w->out_len > 0)
		memmove(out_begin(w), out_begin(w) + len, w->out_len);
}

/* ---- messages ---- */

static int message_begin(struct walk *w, const struct ws_frame *f)
{
	struct ws_recode *r = w->r;

	r->opcode = f->opcode & 0xfu;
	r->has_begun = 0;
	r->message_in = r->message_out = 0;
	if (r->deflates) /* an empty one would become longer */
		r->is_coded = !f->is_final || (f->payload_len > 0 && f->payload_len >= w->rules->min_len);
	else
		r->is_coded = (f->rsv & WS_RSV1) != 0;
	if (r->is_coded && r->zip == NULL)
		r->zip = zip_take(&w->room->pool, &w->rules->shape);
	return r->is_coded && r->zip == NULL ? WS_ERR_MEMORY : WS_OK;
}

static void message_over(struct walk *w)
{
	struct ws_recode *r = w->r;

	r->is_coded = 0;
	r->has_begun = 0;
	if (r->zip == NULL || w->rules->keeps_context)
		return;
	zip_give(&w->room->pool, r->zip);
	r->zip = NULL;
}

/* ---- inflating ---- */

static int bounds_check(const struct walk *w)
{
	const struct ws_recode *r = w->r;
	const struct ws_recode_rules *rules = w->rules;

	if (rules->max_message_len > 0 && r->message_out > rules->max_message_len)
		return WS_ERR_TOO_BIG;
	if (rules->max_ratio > 0 && r->message_out > WS_RECODE_FREE &&
	    r->message_out / rules->max_ratio > r->message_in)
		return WS_ERR_RATIO;
	return WS_OK;
}

/* As much as there is, but no more than the caller takes.  *used of it have gone in. */
static int inflate_some(struct walk *w, const uint8_t *in, size_t len, size_t *used)
{
	struct ws_recode *r = w->r;
	const uint8_t *from = in;
	enum zip_result result;
	int error = WS_OK;

	do {
		uint8_t *out = out_begin(w) + w->out_len;
		size_t room = WS_RECODE_CHUNK - w->out_len, before = room;

		result = zip_inflate(r->zip, &in, &len, &out, &room);
		w->out_len += before - room;
		r->message_out += before - room;
		if (result == ZIP_BAD)
			error = WS_ERR_DATA;
		else
			error = bounds_check(w);
		if (error != WS_OK || result != ZIP_FULL)
			break;
		fragment_give(w, w->out_len, false);
		w->is_stopped = len > 0 && w->calls->is_full != NULL && w->calls->is_full(w->user);
	} while (!w->is_stopped);
	*used = (size_t)(in - from);
	return error;
}

static int inflate_payload(struct walk *w, size_t len, size_t *used)
{
	struct ws_recode *r = w->r;
	size_t some = len < sizeof(w->room->plain) ? len : sizeof(w->room->plain);
	int error;

	memcpy(w->room->plain, w->in + w->at, some);
	if (r->tracker.from == 0)
		ws_mask(w->room->plain, some, r->key, r->frame_at);
	r->message_in += some; /* also what is put in only later: it is there to be counted */
	error = inflate_some(w, w->room->plain, some, used);
	r->message_in -= some - *used;
	return error;
}

/* The tail that the sender has left out; behind it the message must be whole. */
static int inflate_end(struct walk *w)
{
	size_t used;
	int error = WS_OK;

	/* A sender may end with a final block (7.2.3.4); and who has nothing to say may say nothing. */
	if (w->r->message_in > 0 && !zip_has_ended(w->r->zip))
		error = inflate_some(w, tail, sizeof(tail), &used);
	if (error != WS_OK)
		return error;
	if (w->r->message_in > 0 && !zip_is_whole(w->r->zip))
		return WS_ERR_DATA;
	fragment_give(w, w->out_len, true);
	return WS_OK;
}

/* ---- compressing ---- */

static int deflate_some(struct walk *w, const uint8_t *in, size_t len, bool flush)
{
	struct ws_recode *r = w->r;
	enum zip_result result;

	do {
		uint8_t *out = out_begin(w) + w->out_len;
		size_t room = WS_RECODE_CHUNK + sizeof(tail) - w->out_len, before = room;

		result = zip_deflate(r->zip, &in, &len, &out, &room, flush);
		w->out_len += before - room;
		if (result == ZIP_BAD)
			return WS_ERR_MEMORY;
		if (result == ZIP_FULL)
			fragment_give(w, WS_RECODE_CHUNK, false);
	} while (result == ZIP_FULL);
	return WS_OK;
}

static int deflate_end(struct walk *w)
{
	int error = deflate_some(w, NULL, 0, true);

	if (error != WS_OK)
		return error;
	if (w->out_len == 0 && !w->r->has_begun) /* nothing at all: one empty block (7.2.3.6) */
		out_begin(w)[w->out_len++] = 0;
	else if (w->out_len >= sizeof(tail))
		w->out_len -= sizeof(tail);
	fragment_give(w, w->out_len, true);
	return WS_OK;
}

/* ---- frames ---- */

/* What has come out of a message that goes on; the last bytes of what is compressed may yet turn out to be its tail. */
static void pending_give(struct walk *w)
{
	size_t held = 0;

	if (w->r->deflates)
		held = w->out_len < sizeof(tail) ? w->out_len : sizeof(tail);
	if (w->out_len > held)
		fragment_give(w, w->out_len - held, false);
}

/* A frame that passes; a small message that is whole in the run goes as one piece, which may be dropped as such. */
static void pass_begin(struct walk *w, const struct ws_frame *f, size_t header_at, bool is_cut)
{
	uint8_t header[WS_HEADER_MAX];
	int len;

	w->r->is_passed = 1;
	w->from = header_at;
	w->begins = !is_cut;
	if (!is_cut)
		return;
	len = ws_frame_write_header(header, sizeof(header), f); /* the shortest form: the same bytes */
	assert(len > 0);
	w->calls->piece(w->user, header, (size_t)len, WS_PIECE_BEGINS, true);
	w->from = w->at;
}

static void pass_flush(struct walk *w, unsigned marks)
{
	if (w->at > w->from) /* not one that went out whole */
		w->calls->piece(w->user, w->in + w->from, w->at - w->from, marks | (w->begins ? WS_PIECE_BEGINS : 0u),
				false);
	w->from = w->at;
	w->begins = false;
}

static int frame_begin(struct walk *w, const struct ws_frame *f, size_t header_len, bool is_cut)
{
	struct ws_recode *r = w->r;
	bool is_control = ws_opcode_is_control(f->opcode), is_whole;
	size_t header_at = w->at;
	int error = WS_OK;

	w->at += header_len;
	r->frame_at = 0;
	memcpy(r->key, f->key, sizeof(r->key));
	if (!is_control && f->opcode != WS_OP_CONTINUATION)
		error = message_begin(w, f);
	if (error != WS_OK)
		return error;
	r->is_passed = 0;
	if (!is_control && r->is_coded)
		return WS_OK;
	pending_give(w);
	is_whole = !is_cut && f->payload_len <= w->len - w->at;
	pass_begin(w, f, header_at, is_cut);
	if (is_whole && w->at + f->payload_len > w->from) {
		bool is_loose = !is_control && f->is_final && f->opcode != WS_OP_CONTINUATION;

		w->calls->piece(w->user, w->in + w->from, w->at + (size_t)f->payload_len - w->from,
				WS_PIECE_BEGINS | WS_PIECE_ENDS | (is_loose ? WS_PIECE_LOOSE : 0u), false);
		w->from = w->at + (size_t)f->payload_len;
		w->begins = false;
	}
	return WS_OK;
}

static int frame_end(struct walk *w, bool ends_message)
{
	struct ws_recode *r = w->r;
	int error = WS_OK;

	if (r->is_passed) {
		pass_flush(w, WS_PIECE_ENDS);
		r->is_passed = 0;
		return WS_OK;
	}
	if (ends_message)
		error = r->deflates ? deflate_end(w) : inflate_end(w);
	else if (r->deflates) /* whoever waits for this fragment gets it */
		error = deflate_some(w, NULL, 0, true);
	if (error == WS_OK && ends_message)
		message_over(w);
	return error;
}

/* Payload of the frame under way, up to where it ends, the run does, or nothing more may come out. */
static int payload(struct walk *w, size_t *used)
{
	struct ws_recode *r = w->r;
	size_t len = w->len - w->at;

	if (r->tracker.payload_left < len)
		len = (size_t)r->tracker.payload_left;
	*used = len;
	if (len == 0 || r->is_passed)
		return WS_OK;
	if (!r->deflates)
		return inflate_payload(w, len, used);
	r->message_in += len;
	return deflate_some(w, w->in + w->at, len, false);
}

/* ---- a run ---- */

static void run_end(struct walk *w)
{
	struct ws_recode *r = w->r;

	if (r->is_passed)
		pass_flush(w, 0); /* and nothing else is pending */
	else
		pending_give(w);
	if (w->out_len > 0)
		memcpy(r->carry, out_begin(w), w->out_len);
	r->carry_len = w->out_len & 7;
}

static int step(struct walk *w, struct ws_event *ev)
{
	struct ws_recode *r = w->r;
	bool is_cut = r->tracker.held_len > 0 && !r->tracker.in_frame;
	size_t used = w->len - w->at;
	int error = WS_OK;

	if (r->tracker.in_frame)
		error = payload(w, &used);
	if (error != WS_OK)
		return error;
	used = ws_tracker_next(&r->tracker, NULL, w->in + w->at, used, ev);
	switch (ev->kind) {
	case WS_EVENT_FRAME:
		return frame_begin(w, &ev->frame, used, is_cut);
	case WS_EVENT_ERROR:
		return ev->error;
	default:
		w->at += used;
		r->frame_at += used;
		return ev->kind == WS_EVENT_FRAME_END ? frame_end(w, ev->ends_message) : WS_OK;
	}
}

int ws_recode_feed(struct ws_recode *r, struct ws_recode_room *room, const struct ws_recode_rules *rules, const uint8_t *in,
		   size_t len, const struct ws_recode_calls *calls, void *user, size_t *used)
{
	struct walk w = { .r = r, .room = room, .rules = rules, .calls = calls, .user = user, .in = in, .len = len };
	struct ws_event ev = { 0 };
	int error;

	if (r->carry_len > 0)
		memcpy(out_begin(&w), r->carry, r->carry_len);
	w.out_len = r->carry_len;
	r->carry_len = 0;
	do {
		size_t before = w.at;

		error = step(&w, &ev);
		if (error == WS_OK && ev.kind == WS_EVENT_MORE && (w.at == len || w.at == before))
			break;
	} while (error == WS_OK && ev.kind != WS_EVENT_CLOSED && !w.is_stopped);
	if (error == WS_OK)
		run_end(&w);
	*used = ev.kind == WS_EVENT_CLOSED ? len : w.at;
	return -error;
}
