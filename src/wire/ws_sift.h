/* What of one direction's frames is passed on, frame by frame.
 *
 * Follows a run of bytes with its tracker, and gives out the pieces of it that may go to the other side: all but frames
 * that were judged away and pongs that answer a ping of the proxy's own.  Says where a frame of one's own may be put
 * between.  A relay takes this way only while it has something to look for; else it passes runs as they are.
 *
 * Called by: proxy/ws_frames.  Allocates nothing. */
#ifndef WIRE_WS_SIFT_H
#define WIRE_WS_SIFT_H

#include "wire/websocket.h"

enum ws_verdict {
	WS_PASS,
	WS_DROP, /* this frame, and the rest of its message */
	WS_STOP, /* this frame and all that follows */
	WS_WAIT	 /* this frame is to be shown again later, with the rest of the run */
};

/* Of a piece.  One with neither mark lies within a frame, or spans several. */
enum {
	WS_PIECE_BEGINS = 1, /* it begins a frame */
	WS_PIECE_ENDS = 2,   /* it ends one */
	WS_PIECE_LOOSE = 4   /* of a whole data message in one frame: may be dropped with its other pieces */
};

/* Between runs; all zero at first, and again when there is nothing to remember. */
struct ws_sift {
	uint8_t verdict : 2;	   /* of the frame we are in: what is done with its payload */
	uint8_t drops_message : 1; /* its continuations go too */
	uint8_t is_loose : 1;
	uint8_t is_stopped : 1;
	uint8_t is_waiting : 1; /* the last run ended with WS_WAIT */
};

/* A pong that the end of a run has cut, until it is known whose it is. */
struct ws_stash {
	uint8_t len;
	uint8_t header_len;
	uint8_t bytes[WS_CONTROL_MAX];
};

struct ws_sift_calls {
	/* A header is whole.  A continuation cannot be dropped by itself: it goes the way of its message.  NULL: all
	 * pass. */
	enum ws_verdict (*judge)(void *user, const struct ws_frame *f);
	/* Does this pong (unmasked) answer a ping of our own?  Then it is taken out.  NULL: none is under way. */
	bool (*is_ours)(void *user, const uint8_t *payload, size_t len);
	/* Where a cut pong waits, the same place each time; may give NULL: then it passes.  Not NULL where is_ours is not. */
	struct ws_stash *(*stash)(void *user);
	/* Bytes that go to the other side, in order; borrowed: `at` lies in the run, or (`is_copy`) on the stack. */
	void (*piece)(void *user, const uint8_t *at, size_t len, unsigned marks, bool is_copy);
	/* A frame other than a Close has ended, and what was passed of it has been given out: something may be put in here.
	 * NULL: nothing. */
	void (*boundary)(void *user);
	bool each_frame; /* pieces do not span frames, and carry their marks */
};

/* Follows one run.  0, or -WS_ERR_* as ws_tracker_feed: then nothing of the offending frame's bytes in this run was given
 * out.  `out` is set as by ws_tracker_feed, with used_len the bytes followed: less than len after WS_WAIT.  s->is_stopped tells that a judge has said so
 * now or before. */
int ws_sift_feed(struct ws_sift *s, struct ws_tracker *t, const struct ws_limits *limits, const uint8_t *in, size_t len,
		 const struct ws_sift_calls *calls, void *user, struct ws_summary *out);

/* What has been given out ends within a frame. */
static inline bool ws_sift_is_within(const struct ws_sift *s, const struct ws_tracker *t)
{
	return t->in_frame && s->verdict == WS_PASS;
}

/* There is something to remember: the next run has to be sifted too. */
static inline bool ws_sift_is_engaged(const struct ws_sift *s)
{
	return s->verdict != WS_PASS || s->drops_message || s->is_loose || s->is_stopped;
}

/* The message whose frame is under way goes: what of it is still to come is dropped. */
static inline void ws_sift_drop_rest(struct ws_sift *s)
{
	s->verdict = WS_DROP;
	s->is_loose = 0;
}

#endif
