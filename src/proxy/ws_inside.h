/* What the rooms of a WebSocket relay share: the relay itself, and who does what to it.
 *
 *   ws_relay      start, events of the two streams, configurations
 *   ws_frames     a run of bytes from one side: followed, counted, passed on
 *   ws_close      Close frames of the proxy's own, and the end
 *   ws_deadlines  the one timer
 *   ws_compress   permessage-deflate on the endpoint's behalf
 *   ws_heartbeat  pings, and whose pongs are whose
 *   ws_rates      how much a client may send
 *   ws_leaving    endpoints that leave, or shed what they have too much
 *   ws_slow       a client that takes its messages too slowly
 *
 * Included by these rooms alone.  A function that returns bool says with false that the relay is gone. */
#ifndef PROXY_WS_INSIDE_H
#define PROXY_WS_INSIDE_H

#include "net/duplex.h"
#include "guard/guard.h"
#include "proxy/live_token.h"
#include "proxy/ws_mirror.h"
#include "proxy/ws_queue.h"
#include "proxy/ws_relay.h"
#include "wire/ws_sift.h"

#include <assert.h>

/* How long a peer may take to answer a Close, or the rest of a frame to come before ours is cut in. */
#define CLOSE_WAIT_MS 5000u

enum { CLIENT, BACKEND };

struct ws_side {
	struct duplex *d;	   /* NULL: gone, or finished */
	struct ws_tracker tracker; /* of what it sends */
	uint64_t bytes;		   /* from it */
	uint64_t messages;
	uint32_t heard_ms;  /* low bits of the ring's clock: its last sign of life */
	uint32_t ping_us;   /* low bits of the clock: when our ping left that it has not answered yet; then (has_rtt) how long
			     * that took */
	uint32_t queued;    /* of d, when the ping was last looked after */
	struct ws_sift sift; /* of what it sends */
	bool is_muted : 1;  /* a Close has gone to the other side for it: what it still sends is dropped */
	bool is_closed : 1; /* it has sent a Close */
	bool is_within : 1; /* what has been passed on from it ends within a frame */
	bool is_pinged : 1; /* a ping of ours is under way to it */
	bool ping_is_due : 1; /* one goes to it as soon as a frame may stand there */
	bool is_held : 1;   /* not read: what it sends has nowhere to go just now */
	bool has_rtt : 1;
	bool is_delayed : 1; /* not read: it has sent more than its rate */
};

struct ws_relay {
	struct list link; /* of worker.relays */
	struct ws_side sides[2];
	struct worker *worker;
	struct listener *listener;
	struct endpoint *endpoint;
	const struct route_config *route; /* of `view` */
	struct view *view;		  /* the one in force, which the worker holds; else a reference of its own */
	struct access_entry *log;
	struct live_token *token; /* NULL: it was not asked for one */
	struct ws_care *care; /* what only some need; NULL: nothing so far */
	struct timer timer;
	uint64_t began_ns;
	uint64_t message_ms;  /* when the last data message went by */
	uint64_t close_at_ms; /* the moment to close it, for close_why; 0: none */
	uint16_t close_code;  /* that went by, or that we sent */
	uint8_t why;	      /* enum reason; NONE: nothing is over */
	uint8_t closed_by;
	uint8_t close_why;    /* enum reason */
	bool holds_view;
	uint32_t connection; /* its place in worker.open */
};
static_assert(sizeof(struct ws_relay) <= 304, "an idle WebSocket owns this and two streams");

/* What a Close says instead of its reason's code and words. */
struct ws_own_close {
	uint16_t code; /* 0: the reason's */
	char text[WS_CLOSE_REASON_MAX + 1]; /* "": the reason's */
};

/* On the heap, made when first needed. */
struct ws_care {
	struct ws_stash stash[2]; /* a cut pong from a side */
	uint64_t messages_ns, bytes_ns; /* meters of what the client sends */
	const struct guard_route *shared; /* of the relay's view: its messages count in meters of a key; NULL: they do not */
	struct limit_key key;		  /* when has_key */
	uint64_t delayed_until_ms;	/* while it is_delayed */
	struct slice rest;		/* of what it has sent: waits for its turn */
	uint64_t slow_since_ms;		/* the client's stream has been full since then; 0: it is not */
	uint64_t dropped[2];		/* messages from a side that were not passed on */
	struct ws_queue queue;		/* towards the client; when has_queue */
	struct ws_mirror *mirror;	/* NULL: nobody looks */
	struct ws_coding *coding;	/* NULL: what is compressed passes as it is */
	bool has_key;
	bool has_queue;
	bool is_broken; /* something that waited was lost for lack of memory */
	bool has_eof;	/* the client has ended behind `rest`, or what waits to be inflated */
	struct ws_own_close *own_close; /* NULL: none */
	uint8_t stopped_by; /* enum reason: why a message of the client's ended it all */
};

static inline const struct websocket_policy *policy_of(const struct ws_relay *r)
{
	return &r->route->websocket;
}

static inline struct ring *ring_of(const struct ws_relay *r)
{
	return &r->worker->ring;
}

/* A relay that is neither closing nor closed. */
static inline bool is_live(const struct ws_relay *r)
{
	return r->why == REASON_NONE && !r->sides[CLIENT].is_closed && !r->sides[BACKEND].is_closed;
}

/* Nothing more is to be said to either side: an answer, or an end, is waited for. */
static inline bool is_told(const struct ws_relay *r)
{
	return r->sides[CLIENT].is_closed || r->sides[BACKEND].is_closed ||
	       (r->sides[CLIENT].is_muted && r->sides[BACKEND].is_muted);
}

/* May a frame be put behind what has gone to this side? */
static inline bool may_inject(const struct ws_relay *r, int to)
{
	return !r->sides[!to].is_within;
}

/* NULL: memory is out. */
struct ws_care *ws_care_of(struct ws_relay *r);

/* ---- ws_relay ---- */

/* A side has ended its direction, and what it sent before has been followed. */
bool side_eof(struct ws_relay *r, int side);

/* ---- ws_frames ---- */

/* A run of bytes from one side. */
bool relay_bytes(struct ws_relay *r, int from, struct slice in);
/* Takes the slice. */
void side_write(struct ws_relay *r, int to, struct slice s);
/* Writes a frame that `write` makes: at most WS_CONTROL_MAX bytes, masked with `key` where that is not NULL. */
void side_inject(struct ws_relay *r, int to, int (*write)(uint8_t *out, const uint8_t *key, const void *what),
		 const void *what);
/* Reads from a side, or stops, by what stands against it. */
void side_read(struct ws_relay *r, int side);

/* ---- ws_rates ---- */

/* The relay begins; `key` may be NULL. */
void rates_begin(struct ws_relay *r, const struct limit_key *key);
/* Each frame of the client's has to be judged. */
bool rates_judge_frames(const struct ws_relay *r);
enum ws_verdict rates_judge(struct ws_relay *r, const struct ws_frame *f);
/* A judge has said stop: closes. */
bool rates_stopped(struct ws_relay *r);
/* These bytes of the client's have to wait, behind those that do.  Borrows. */
void rates_keep(struct ws_relay *r, struct slice rest);
bool rates_keeps(const struct ws_relay *r);
/* When the client is read again; UINT64_MAX: it is read. */
uint64_t rates_at(const struct ws_relay *r);
bool rates_run(struct ws_relay *r);
void rates_rebind(struct ws_relay *r);

/* ---- ws_compress ---- */

/* What was agreed with the client; false: memory is out. */
bool compress_begin(struct ws_relay *r, const struct ws_deflate *agreed);
bool compress_is_on(const struct ws_relay *r);
/* A message from this side may be taken out: no other one refers to it. */
bool compress_may_drop(const struct ws_relay *r, int from);
/* Frames from a side, or a part of one; takes the slice. */
void compress_pass(struct ws_relay *r, int from, struct slice in);
/* What has gone out of them ends within a frame. */
bool compress_is_within(const struct ws_relay *r, int from);
/* 0 or -WS_ERR_*, for good. */
int compress_error(const struct ws_relay *r);
/* Something of the client's waits to be inflated, until the endpoint takes more. */
bool compress_keeps(const struct ws_relay *r);
void compress_pump(struct ws_relay *r);
void compress_done(struct ws_relay *r);
void compress_room_free(struct worker *w);

/* ---- ws_slow ---- */

/* Messages to the client may be dropped: they are passed one by one. */
bool slow_drops(const struct ws_relay *r);
/* A piece with these marks waits above the client's stream: one of a message that has begun to leave goes with it. */
bool slow_takes(const struct ws_relay *r, unsigned marks);
/* Something waits above the client's stream: what is written next waits behind it. */
bool slow_waits(const struct ws_relay *r);
/* And how much of it. */
uint32_t slow_waiting(const struct ws_relay *r);
/* Adds a copy to what waits, and drops what is too much.  false: nothing can wait, for lack of memory. */
bool slow_push(struct ws_relay *r, const uint8_t *at, size_t len, unsigned marks);
void slow_pump(struct ws_relay *r, bool all);
/* The endpoint has to be held back. */
bool slow_is_full(const struct ws_relay *r);
void slow_began(struct ws_relay *r);
void slow_ended(struct ws_relay *r);
/* When a slow client is closed; UINT64_MAX: not. */
uint64_t slow_due(const struct ws_relay *r);
/* Puts the policy's mark on the client's stream: at the start too. */
void slow_rebind(struct ws_relay *r);
void slow_done(struct ws_relay *r);

/* ---- ws_leaving ---- */

void close_plan(struct ws_relay *r, enum reason why, uint64_t at_ms);
/* Its endpoint closes its connections, or has ceased to.  true: the deadline is another. */
bool leaving_heed(struct ws_relay *r);
/* The code of such a Close: the cluster's, where its endpoint wants to be rid of it; else the reason's. */
uint16_t leaving_code(const struct ws_relay *r, enum reason why);

/* ---- ws_close ---- */

void relay_log(struct ws_relay *r, const char *event);
/* The first cause is the true one. */
void relay_blame(struct ws_relay *r, enum reason why, int by);
/* Lets both streams send what they have, and end. */
void relay_finish(struct ws_relay *r);
/* Cuts both. */
void relay_cut(struct ws_relay *r, enum reason why);
/* The proxy closes at once: both are told and ended.  code 0, text NULL: the reason's. */
void relay_close(struct ws_relay *r, enum reason why, uint16_t code, const char *text, int by);
/* The proxy closes with nothing wrong: each side is told where a frame ends. */
bool relay_close_gently(struct ws_relay *r, enum reason why);
bool is_closing_gently(const struct ws_relay *r);
/* The Close that is to come says this.  Where memory is out, it says what its reason says. */
void close_with(struct ws_relay *r, uint16_t code, const char *text);
/* Both sides have answered the proxy's Close: then it is over. */
bool close_is_answered(struct ws_relay *r);
/* `from` stands at the end of a frame: is the other side owed the proxy's Close? */
void close_at_boundary(struct ws_relay *r, int from);
/* A rule was broken by `from`: what was good has been passed on, both ends get a Close. */
void relay_violation(struct ws_relay *r, int from, int error);
/* A Close has gone by whole. */
bool close_passed(struct ws_relay *r, int from, uint16_t code);
/* A side has ended, or is gone.  Without a Close before it the other one is told. */
bool side_ended(struct ws_relay *r, int side, enum reason why);

/* ---- ws_deadlines ---- */

void relay_timer_fired(struct timer *t);
void relay_timer_set(struct ws_relay *r);

/* ---- ws_heartbeat ---- */

/* When the timer has to look again; UINT64_MAX: never. */
uint64_t heartbeat_at(const struct ws_relay *r);
/* Sends pings that are due; closes where a peer is dead. */
bool heartbeat_run(struct ws_relay *r);
/* Does this pong of `from` answer our ping? */
bool heartbeat_pong(struct ws_relay *r, int from, const uint8_t *payload, size_t len);
/* A frame may stand here: sends the ping that waited for it. */
void heartbeat_at_boundary(struct ws_relay *r, int to);
/* Another configuration: nobody is late under it for what the old one asked. */
void heartbeat_rebind(struct ws_relay *r);

#endif
