/* permessage-deflate (RFC 7692) on behalf of a peer that does not speak it: one direction of one connection.
 *
 * Whole frames go in, whole frames come out: compressed messages of a client are inflated for the backend, messages of a
 * backend are compressed for the client.  Control frames, and messages that are not to be changed, pass as they came.  A
 * message that is whole in one run stays one frame; a longer one may come out in other fragments than it went in (RFC 6455
 * 5.4 allows that), and nothing of it waits longer than its run.
 * What is inflated is bounded in size and by ratio, and the caller may stop it within a message.
 *
 * Called by: proxy/ws_compress.  Keeps a stream only within a message, or where context is taken over. */
#ifndef WIRE_WS_RECODE_H
#define WIRE_WS_RECODE_H

#include "wire/websocket.h"
#include "wire/ws_sift.h"
#include "wire/zip.h"

/* Payload of a fragment that leaves. */
#define WS_RECODE_CHUNK 16384u
#define WS_RECODE_PLAIN 4096u
/* What any message may inflate to before its ratio counts. */
#define WS_RECODE_FREE (1u << 20)

/* What the connections of one thread share; all zero but for the pool's streams between two calls. */
struct ws_recode_room {
	struct zip_pool pool;
	uint8_t plain[WS_RECODE_PLAIN];
	uint8_t out[WS_HEADER_MAX + WS_RECODE_CHUNK + 4];
};

/* May change from call to call, but for the window and what becomes of the context. */
struct ws_recode_rules {
	uint64_t max_message_len; /* inflated; 0: no limit */
	uint32_t max_ratio;	  /* inflated by deflated, behind the first WS_RECODE_FREE bytes; 0: no limit */
	uint32_t min_len;	  /* a shorter message is not compressed; at most WS_RECODE_CHUNK */
	struct zip_shape shape;
	bool keeps_context;
};

struct ws_recode {
	struct ws_tracker tracker; /* of what goes in */
	struct zip *zip;	   /* NULL: not just now */
	uint64_t message_in, message_out; /* payload of the message under way */
	uint64_t frame_at;		  /* payload of its frame that has gone in */
	uint8_t key[4];
	uint8_t carry[4]; /* compressed bytes that may be the tail of the message */
	uint8_t carry_len : 3;
	uint8_t opcode : 4;    /* of the message */
	uint8_t deflates : 1;
	uint8_t is_coded : 1;  /* the message under way is changed */
	uint8_t has_begun : 1; /* a fragment of it has gone out */
	uint8_t is_passed : 1; /* the frame under way goes out as it came */
};

/* `from`: who sends; a client's are inflated, a server's compressed. */
void ws_recode_init(struct ws_recode *r, enum ws_role from);
void ws_recode_done(struct ws_recode *r, struct ws_recode_room *room);

struct ws_recode_calls {
	/* Bytes of frames that go out, in order; as ws_sift_calls.piece (is_copy: not in the run). */
	void (*piece)(void *user, const uint8_t *at, size_t len, unsigned marks, bool is_copy);
	/* A fresh mask; NULL for frames that carry none. */
	void (*key)(void *user, uint8_t out[4]);
	/* Nothing more should come out just now; NULL: never. */
	bool (*is_full)(void *user);
};

/* One run; headers in it may have begun in an earlier one.  0, or -WS_ERR_*: then what went out ends between two frames.
 * *used is less than len where is_full said so: the rest is to be shown again. */
int ws_recode_feed(struct ws_recode *r, struct ws_recode_room *room, const struct ws_recode_rules *rules, const uint8_t *in,
		   size_t len, const struct ws_recode_calls *calls, void *user, size_t *used);

/* What has gone out ends within a frame. */
static inline bool ws_recode_is_within(const struct ws_recode *r)
{
	return r->is_passed && r->tracker.in_frame;
}

#endif
