/* What of one direction's frames is passed on. */
#include "wire/ws_sift.h"

#include <string.h>

/* A verdict of our own: a pong whose payload is not whole yet. */
#define STASHED 3u
static_assert(WS_PASS < STASHED && WS_DROP < STASHED, "the others do not stay in ws_sift.verdict");

/* One call's walk through a run. */
struct walk {
	struct ws_sift *s;
	struct ws_tracker *t;
	const struct ws_sift_calls *calls;
	void *user;
	const uint8_t *in;
	size_t at;	      /* what has been followed */
	size_t from;	      /* what has been given out, or was not to be */
	size_t frame_at;      /* where the frame under way begins; 0 if before this run */
	uint8_t held[13];     /* of its header, from earlier runs; not given out yet */
	size_t held_len;
	uint8_t key[4];
	bool has_begun; /* its header is in this run, and its first piece has yet to be given out */
};

static void piece(struct walk *w, const uint8_t *at, size_t len, bool ends, bool is_copy)
{
	unsigned marks = 0;

	if (len == 0)
		return;
	if (w->calls->each_frame)
		marks = (w->has_begun ? WS_PIECE_BEGINS : 0u) | (ends ? WS_PIECE_ENDS : 0u) |
			(w->s->is_loose ? WS_PIECE_LOOSE : 0u);
	w->has_begun = false;
	w->calls->piece(w->user, at, len, marks, is_copy);
}

/* Gives out what there is before `to`; a header that an earlier run has begun goes with what follows it, never alone: the
 * frame may yet turn out to be wrong. */
static void flush(struct walk *w, size_t to, bool ends)
{
	if (to > w->from && w->held_len > 0) {
		piece(w, w->held, w->held_len, false, true);
		w->held_len = 0;
	}
	if (to > w->from)
		piece(w, w->in + w->from, to - w->from, ends, false);
	w->from = to;
}

/* ---- pongs ---- */

static void stash_add(struct ws_stash *stash, const uint8_t *in, size_t len)
{
	if (len > 0)
		memcpy(stash->bytes + stash->len, in, len);
	stash->len = (uint8_t)(stash->len + len);
}

static bool pong_is_ours(struct walk *w, const uint8_t *frame, size_t header_len, size_t len)
{
	uint8_t plain[WS_CONTROL_PAYLOAD_MAX];

	memcpy(plain, frame + header_len, len - header_len);
	if (header_len > 2)
		ws_mask(plain, len - header_len, frame + header_len - 4, 0);
	return w->calls->is_ours(w->user, plain, len - header_len);
}

/* A pong begins, header_len bytes of which are in this run. */
static void pong_begin(struct walk *w, size_t header_len)
{
	struct ws_stash *stash = w->calls->stash(w->user);

	if (stash == NULL)
		return;
	flush(w, w->frame_at, false); /* with what is held of a frame before it: what is held then is the pong's */
	stash->len = 0;
	stash_add(stash, w->held, w->held_len);
	stash_add(stash, w->in + w->at - header_len, header_len);
	stash->header_len = stash->len;
	w->held_len = 0;
	w->s->verdict = STASHED;
	w->from = w->at;
}

static void pong_end(struct walk *w)
{
	struct ws_stash *stash = w->calls->stash(w->user);

	w->from = w->at;
	if (!pong_is_ours(w, stash->bytes, stash->header_len, stash->len)) {
		w->has_begun = true;
		piece(w, stash->bytes, stash->len, true, true);
	}
	stash->len = 0;
}

/* ---- events ---- */

static enum ws_verdict judge(struct walk *w, const struct ws_frame *f)
{
	bool is_control = ws_opcode_is_control(f->opcode);

	if (w->s->is_stopped)
		return WS_DROP;
	if (w->s->drops_message && f->opcode == WS_OP_CONTINUATION)
		return WS_DROP;
	if (w->calls->judge == NULL)
		return WS_PASS;
	switch (w->calls->judge(w->user, f)) {
	case WS_STOP:
		w->s->is_stopped = 1;
		return WS_DROP;
	case WS_DROP:
		if (f->opcode == WS_OP_CONTINUATION)
			return WS_PASS;
		w->s->drops_message = !is_control;
		return WS_DROP;
	case WS_WAIT:
		w->s->is_waiting = 1;
		return WS_WAIT;
	default:
		return WS_PASS;
	}
}

static void on_frame(struct walk *w, const struct ws_frame *f, size_t header_len)
{
	struct ws_sift *s = w->s;
	enum ws_verdict verdict;

	w->frame_at = w->at;
	w->at += header_len;
	w->has_begun = true;
	s->is_loose = 0;
	if (f->opcode == WS_OP_PONG && w->calls->is_ours != NULL && !s->is_stopped) {
		s->verdict = WS_PASS;
		pong_begin(w, header_len);
		if (s->verdict == STASHED)
			return;
	} else {
		verdict = judge(w, f);
		if (verdict == WS_WAIT)
			return;
		s->verdict = verdict == WS_PASS ? WS_PASS : WS_DROP;
	}
	if (s->verdict == WS_DROP) {
		w->has_begun = false;
		flush(w, w->frame_at, false);
		w->from = w->at;
		w->held_len = 0;
		w->has_begun = true;
		return;
	}
	s->is_loose = f->is_final && !ws_opcode_is_control(f->opcode) && f->opcode != WS_OP_CONTINUATION;
}

/* So many payload bytes of the frame under way. */
static void on_payload(struct walk *w, size_t len)
{
	if (w->s->verdict == STASHED)
		stash_add(w->calls->stash(w->user), w->in + w->at, len);
	w->at += len;
	if (w->s->verdict != WS_PASS)
		w->from = w->at;
}

static void on_frame_end(struct walk *w, const struct ws_event *ev)
{
	struct ws_sift *s = w->s;

	if (s->verdict == STASHED)
		pong_end(w);
	else if (w->calls->each_frame || w->calls->boundary != NULL)
		flush(w, w->at, true);
	s->verdict = WS_PASS;
	s->is_loose = 0;
	if (ev->ends_message)
		s->drops_message = 0;
	w->frame_at = w->at;
	w->has_begun = false;
	if (w->calls->boundary != NULL && !s->is_stopped && !ws_tracker_is_closed(w->t)) /* nothing follows a Close */
		w->calls->boundary(w->user);
}

static void sum_add(struct ws_summary *out, const struct ws_event *ev)
{
	if (ev->kind == WS_EVENT_FRAME) {
		out->data_frame_count += !ws_opcode_is_control(ev->frame.opcode);
		out->ping_count += ev->frame.opcode == WS_OP_PING;
		out->pong_count += ev->frame.opcode == WS_OP_PONG;
	} else if (ev->kind == WS_EVENT_FRAME_END) {
		if (ev->ends_message)
			ws_summary_add(out, ev->message_len, ev->is_text);
		out->close_code = ev->close_code;
	}
}

int ws_sift_feed(struct ws_sift *s, struct ws_tracker *t, const struct ws_limits *limits, const uint8_t *in, size_t len,
		 const struct ws_sift_calls *calls, void *user, struct ws_summary *out)
{
	struct walk w = { .s = s, .t = t, .calls = calls, .user = user, .in = in };

	*out = (struct ws_summary){ .boundary = ws_tracker_at_boundary(t) ? 0 : WS_NO_BOUNDARY };
	if (!t->in_frame && t->held_len > 0) {
		w.held_len = t->held_len;
		memcpy(w.held, t->held, w.held_len);
	}
	s->is_waiting = 0;
	for (;;) {
		struct ws_tracker before = *t;
		struct ws_event ev;
		size_t used = ws_tracker_next(t, limits, in + w.at, len - w.at, &ev);

		if (ev.kind == WS_EVENT_FRAME) {
			on_frame(&w, &ev.frame, used);
			if (s->is_waiting) { /* as if it had not been seen */
				*t = before;
				flush(&w, w.frame_at, false);
				out->used_len = w.frame_at;
				return 0;
			}
		}
		sum_add(out, &ev);
		switch (ev.kind) {
		case WS_EVENT_FRAME:
			continue;
		case WS_EVENT_FRAME_END:
			on_payload(&w, used);
			on_frame_end(&w, &ev);
			out->boundary = w.at;
			continue;
		case WS_EVENT_ERROR:
			if (s->verdict == WS_PASS)
				flush(&w, w.frame_at, false);
			out->used_len = w.frame_at;
			return -ev.error;
		default:
			break;
		}
		if (t->in_frame)
			on_payload(&w, used);
		/* else a header was cut: its bytes wait in the tracker, so that the other side is not left within it */
		if (s->verdict == WS_PASS)
			flush(&w, w.at, false);
		out->used_len = t->in_frame || t->is_closed ? w.at : w.at + used;
		return 0;
	}
}
