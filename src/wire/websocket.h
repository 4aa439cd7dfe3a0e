/* WebSocket frames (RFC 6455): headers read and written, control frames, masking, and the tracker.
 *
 * The tracker is what a relay keeps for each direction.  It is shown every run of bytes in order, follows the
 * frame headers in it, counts, and says whether the run breaks a rule; payloads are skipped, never read (but
 * for the two bytes of a close code) and never changed.
 *
 * Called by: proxy/ws_relay for every buffer received, cluster/probe_websocket.  Allocates nothing. */
#ifndef WIRE_WEBSOCKET_H
#define WIRE_WEBSOCKET_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	WS_HEADER_MAX = 14, /* bytes of the longest frame header */
	WS_CONTROL_PAYLOAD_MAX = 125,
	WS_CLOSE_REASON_MAX = 123, /* bytes of text after the code */
	WS_CONTROL_MAX = 131	   /* bytes of the longest control frame, masked */
};

enum ws_role { WS_FROM_CLIENT, WS_FROM_SERVER }; /* who sends the frames */

enum ws_opcode {
	WS_OP_CONTINUATION = 0x0,
	WS_OP_TEXT = 0x1,
	WS_OP_BINARY = 0x2,
	WS_OP_CLOSE = 0x8,
	WS_OP_PING = 0x9,
	WS_OP_PONG = 0xa
};

/* Bits of the first octet, in their place there. */
enum { WS_FIN = 0x80, WS_RSV1 = 0x40, WS_RSV2 = 0x20, WS_RSV3 = 0x10, WS_RSV = 0x70 };

enum ws_error {
	WS_OK,
	WS_ERR_MASKING,	   /* unmasked from a client, or masked from a server (5.1) */
	WS_ERR_OPCODE,	   /* 3..7 or 11..15 (5.2) */
	WS_ERR_CONTROL,	   /* a control frame that is fragmented or longer than 125 (5.5) */
	WS_ERR_LENGTH,	   /* not the shortest form, or 2^63 and more (5.2) */
	WS_ERR_RSV,	   /* a reserved bit that no negotiated extension defines there (5.2, RFC 7692 6) */
	WS_ERR_FRAGMENT,   /* a continuation of nothing, or a new message inside a fragmented one (5.4) */
	WS_ERR_TOO_BIG,	   /* the frame or the message is over the limit: 1009 */
	WS_ERR_DATA,	   /* compressed data that is none (RFC 7692 7.2.2): 1007 */
	WS_ERR_RATIO,	   /* it inflates to too many times its size: 1009 */
	WS_ERR_MEMORY,	   /* to compress, or to inflate: 1011 */
	WS_ERR_CLOSE_BODY, /* a Close of one byte, or with a code that may not be sent (5.5.1, 7.4) */
	WS_ERR_COUNT
};

/* Close codes that this program sends or tells apart (7.4.1 and the IANA registry). */
enum {
	WS_CLOSE_NORMAL = 1000,
	WS_CLOSE_GOING_AWAY = 1001,
	WS_CLOSE_PROTOCOL = 1002,
	WS_CLOSE_NO_STATUS = 1005, /* never sent: a Close frame without a code */
	WS_CLOSE_ABNORMAL = 1006,  /* never sent: no Close frame at all */
	WS_CLOSE_DATA = 1007,
	WS_CLOSE_POLICY = 1008,
	WS_CLOSE_TOO_BIG = 1009,
	WS_CLOSE_INTERNAL = 1011,
	WS_CLOSE_RESTART = 1012,
	WS_CLOSE_TRY_LATER = 1013
};

struct ws_frame {
	uint64_t payload_len; /* bytes, below 2^63 */
	uint8_t key[4];	      /* the mask, when is_masked */
	uint8_t opcode;	      /* enum ws_opcode */
	uint8_t rsv;	      /* of WS_RSV; what is allowed is for the caller (or the tracker) to know */
	bool is_final;
	bool is_masked;
};

/* Parses one frame header (RFC 6455 section 5.2; 5.5 for control frames).
 *
 *   in, len   borrowed; may be short, may hold more than the header
 *   from      WS_FROM_CLIENT requires a mask, WS_FROM_SERVER forbids one
 *   out       set only when the result is > 0
 *
 * Returns the header's length in bytes (2..14), 0 if more bytes are needed, or -WS_ERR_*: then nothing more
 * may be parsed, and the peer is owed ws_close_code_of(error). */
int ws_frame_parse(const uint8_t *in, size_t len, enum ws_role from, struct ws_frame *out);

/* Writes the header of `f` in the shortest form; WS_HEADER_MAX is always enough.  Returns its length, or -1
 * where it would not fit in `cap` or `f` is no frame (payload_len of 2^63 and more, a bad control frame). */
int ws_frame_write_header(uint8_t *out, size_t cap, const struct ws_frame *f);

/* Write a whole control frame; WS_CONTROL_MAX is always enough.  `key` (4 bytes, fresh from random_bytes)
 * masks it, as a client must; NULL leaves it bare, as a server must.  Return the length, or -1 where it would
 * not fit. */
int ws_ping_write(uint8_t *out, size_t cap, const void *payload, size_t len, const uint8_t *key);
int ws_pong_write(uint8_t *out, size_t cap, const void *payload, size_t len, const uint8_t *key);
/* Code 0, or one that may not be sent, writes an empty Close.  `reason` is UTF-8 and may be NULL; what is
 * over WS_CLOSE_REASON_MAX is cut off between two characters. */
int ws_close_write(uint8_t *out, size_t cap, uint16_t code, const char *reason, const uint8_t *key);

/* Masks or unmasks in place (5.3).  `offset` is the position of buf[0] in the frame's payload. */
void ws_mask(uint8_t *buf, size_t len, const uint8_t key[4], uint64_t offset);

/* May this code stand in a Close frame (7.4)?  1000-1003, 1007-1014, 3000-4999. */
bool ws_close_code_is_valid(uint16_t code);
/* What the peer is owed for an error (positive or as returned, negative). */
uint16_t ws_close_code_of(int error);
/* One clause for the log and the Close reason; never NULL, at most WS_CLOSE_REASON_MAX bytes. */
const char *ws_error_text(int error);

static inline bool ws_opcode_is_control(unsigned opcode)
{
	return (opcode & 0x8) != 0;
}

/* ---- the tracker: one direction of one connection ---- */

/* 0 is no limit.  A message that is compressed counts as it is on the wire. */
struct ws_limits {
	uint64_t max_frame_len;	  /* payload bytes of one data frame */
	uint64_t max_message_len; /* payload bytes over all frames of a message */
};

/* Flat, without pointers: it can be written down and taken up elsewhere.  Read by the functions below. */
struct ws_tracker {
	uint64_t payload_left; /* of the frame we are in */
	uint64_t message_len;  /* of the fragmented message so far */
	uint8_t held[13];      /* a header cut by the end of a run; in a Close, its code and half the mask */
	uint8_t held_len : 4;
	uint8_t error : 4;	 /* enum ws_error: sticky */
	uint8_t opcode : 4;	 /* of the frame we are in */
	uint8_t is_final : 1;	 /* it ends its message */
	uint8_t close_got : 2;	 /* bytes of its close code so far */
	uint8_t in_frame : 1;	 /* between a header and the end of its payload */
	uint8_t from : 1;	 /* enum ws_role */
	uint8_t rsv_allowed : 3; /* WS_RSV >> 4 */
	uint8_t in_message : 1;	 /* between the fragments of one */
	uint8_t is_closed : 1;	 /* a whole Close frame has gone by */
	uint8_t is_text : 1;	 /* the message under way */
};
static_assert(sizeof(struct ws_tracker) == 32, "two of these are in every relay");

#define WS_NO_BOUNDARY SIZE_MAX

/* Sizes of messages are counted in classes: up to 16 bytes, up to 64, and so on by fours up to 64 MiB; above. */
enum { WS_SIZE_CLASSES = 13 };
static inline unsigned ws_size_class(uint64_t len)
{
	unsigned bits = len <= 16 ? 4 : 64 - (unsigned)__builtin_clzll(len - 1);

	return bits >= 27 ? WS_SIZE_CLASSES - 1 : (bits - 3) / 2;
}

/* What one run of bytes held. */
struct ws_summary {
	/* Bytes of the run that may be passed on: all of it, or less after an error (up to where the
	 * offending frame begins) and after a Close frame (up to its end: what follows is discarded, 1.4
	 * and 5.5.1). */
	size_t used_len;
	/* Offset in the run of its last frame boundary: where the last frame ended, or 0 where the run begins
	 * on one.  WS_NO_BOUNDARY if the whole run lies within one frame.  After an error: where the good
	 * frames end. */
	size_t boundary;
	uint32_t message_count;	   /* data messages that ended in this run */
	uint32_t text_count;	   /* how many of them were texts */
	uint16_t size_classes;	   /* bits of the classes that they are of, */
	uint32_t sizes[WS_SIZE_CLASSES]; /* with their counts */
	uint64_t message_bytes;	   /* of them, as on the wire */
	uint32_t data_frame_count; /* data frames (continuations too) whose header was completed in it */
	uint32_t ping_count;	   /* control frames likewise */
	uint32_t pong_count;
	uint16_t close_code;	   /* of a Close frame that ended here (WS_CLOSE_NO_STATUS: it had none) */
};

/* `rsv_allowed`: bits of WS_RSV that the first frame of a data message may carry: WS_RSV1 once
 * permessage-deflate was agreed (RFC 7692 6), else 0.  Control frames and continuations may carry none. */
void ws_tracker_init(struct ws_tracker *t, enum ws_role from, unsigned rsv_allowed);

/* A message more. */
static inline void ws_summary_add(struct ws_summary *s, uint64_t len, bool is_text)
{
	unsigned c = ws_size_class(len);

	s->message_count++;
	s->text_count += is_text;
	s->size_classes = (uint16_t)(s->size_classes | 1u << c);
	s->sizes[c]++;
	s->message_bytes += len;
}

/* Follows the frames of one run of bytes, however it is cut.
 *
 *   limits    borrowed; may be NULL, and may change from call to call (it holds for frames that begin later)
 *   in, len   borrowed
 *   out       always set in full
 *
 * Returns 0, or -WS_ERR_*, the same on every later call: then used_len bytes may still be passed on, and a
 * Close can be put behind them where out->boundary == used_len, or where only a header was under way and its
 * bytes were kept back (else the receiver stands within a frame, and only the connection can be closed). */
int ws_tracker_feed(struct ws_tracker *t, const struct ws_limits *limits, const uint8_t *in, size_t len,
		    struct ws_summary *out);

enum ws_event_kind {
	WS_EVENT_MORE,	    /* the run is used up (payload, or part of a header) */
	WS_EVENT_FRAME,	    /* a header was completed: `frame` is set */
	WS_EVENT_FRAME_END, /* its payload is complete; ends_message, and for a Close close_code */
	WS_EVENT_CLOSED,    /* bytes after a Close frame: to be discarded */
	WS_EVENT_ERROR	    /* `error` is set */
};

struct ws_event {
	enum ws_event_kind kind;
	struct ws_frame frame;
	uint16_t close_code;
	bool ends_message; /* a whole data message has gone by: */
	bool is_text;
	uint64_t message_len;
	int error;	   /* enum ws_error */
};

/* The same, one event at a time, for who must see each frame (dropping messages, the fallback).  Every frame
 * gives FRAME and FRAME_END, also an empty one.  Returns the bytes used up to and with the event: call again
 * with the rest until MORE, CLOSED or ERROR (these two use nothing).  May be mixed with ws_tracker_feed. */
size_t ws_tracker_next(struct ws_tracker *t, const struct ws_limits *limits, const uint8_t *in, size_t len,
		       struct ws_event *ev);

/* The bytes seen so far end where a frame may follow: here a control frame may be put in between, or the
 * stream be ended.  In the midst of a fragmented message too (5.4). */
static inline bool ws_tracker_at_boundary(const struct ws_tracker *t)
{
	return !t->in_frame && t->held_len == 0;
}

/* Bytes at the end of what was fed that are the start of a cut header.  A relay that would rather not leave
 * its peer within a header keeps them back: they are in t->held until the next call. */
static inline size_t ws_tracker_held_len(const struct ws_tracker *t)
{
	return t->held_len;
}

/* No data message is under way. */
static inline bool ws_tracker_at_message_boundary(const struct ws_tracker *t)
{
	return ws_tracker_at_boundary(t) && !t->in_message;
}

static inline bool ws_tracker_is_closed(const struct ws_tracker *t)
{
	return t->is_closed;
}

/* The code of the Close frame that has gone by, WS_CLOSE_NO_STATUS if it had none; 0 before it is whole. */
uint16_t ws_tracker_close_code(const struct ws_tracker *t);

#endif
