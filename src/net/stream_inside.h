/* A stream, as the rooms that make it up see it: net/stream (life, receiving, sending), net/stream_tls, net/passage.
 *
 * Nobody else includes this. */
#ifndef NET_STREAM_INSIDE_H
#define NET_STREAM_INSIDE_H

#include "net/sendq.h"
#include "net/stream.h"

enum stream_state {
	STREAM_CONNECTING,
	STREAM_HANDSHAKE,
	STREAM_OPEN,
	STREAM_FINISHING, /* the user has left: what is queued goes out, then our end, then we wait for theirs */
	STREAM_CLOSED,	  /* waiting for the last completions */
};

enum send_state {
	SEND_NONE,
	SEND_SILENT,  /* tried at once, says nothing when all of it went */
	SEND_TRIED,   /* tried at once, completes in any case: somebody waits for it */
	SEND_WAITING, /* the socket is full: completes when some of it has gone; also a connect */
};

struct stream {
	struct duplex duplex;
	struct owner owner;
	struct op recv_op;
	struct op send_op;
	struct list sending; /* on the ring's lists flush or sent */
	struct list resume;  /* on the ring's list resume, or on a pool's starved */
	struct list finishing; /* on the ring's list of that name */
	struct timer timer;
	struct sendq queue;
	struct tls *tls;
	uint64_t guest;	   /* see stream_set_guest(); 0: none */
	uint32_t sent_len; /* bytes of the operation in flight */
	int fd;
	int error; /* errno of what ended it, for the log */
	uint8_t state;
	uint8_t send_state;
	uint8_t run; /* buffers in a row that speak for the other pool */
	bool wants_read : 1;
	bool is_receiving : 1; /* an operation is armed */
	bool is_one_shot : 1;  /* receives are: a multishot one can miss the end of AF_UNIX (liburing#1549), and
				* an error that a send has taken */
	bool is_large : 1;
	bool is_backend : 1;
	bool has_eof : 1;	/* the peer's end was seen */
	bool wants_shutdown : 1; /* our end is to follow the queue */
	bool is_shut : 1;	/* it has left */
	bool is_send_dead : 1;	/* the peer takes nothing any more; what it has sent is still read */
	bool was_full : 1;
	bool has_more : 1;     /* behind what was brought up last, more has come */
	bool is_unsure : 1;    /* whether it has, only the socket can tell */
	bool is_passed : 1;    /* a passage reads it */
	bool is_passed_to : 1; /* a passage writes to it */
	bool is_reset : 1; /* the close is to be a reset */
};

static inline struct ring *ring_of(const struct stream *s)
{
	return s->owner.ring;
}

/* The stream of a duplex that stream_accept() or stream_connect() gave. */
struct stream *stream_of(const struct duplex *d);
bool stream_is(const struct duplex *d);

/* The one way out.  Nothing is called back from here; the memory goes when the kernel holds nothing of it. */
void stream_end(struct stream *s);
/* Over, and not by the user, who is told. */
void stream_fail(struct stream *s, enum reason why);
/* What a peer is blamed for that ends without a word. */
enum reason stream_reset_reason(const struct stream *s);
/* Bytes may pass: the user is told. */
void stream_opened(struct stream *s);
/* The peer's end was seen. */
void stream_eof(struct stream *s);
/* Sending is over: the peer takes nothing any more. */
void stream_send_failed(struct stream *s, int error);

/* Arms a receive at the end of the turn, if there is none and somebody reads. */
void stream_receive_later(struct stream *s);
/* Sends at the end of the turn what is queued. */
void stream_flush_later(struct stream *s);
/* Appends to what is to be sent; takes the slice. */
void stream_queue(struct stream *s, struct slice out);

/* net/stream_tls: bytes came for a stream with TLS. */
void stream_tls_bytes(struct stream *s, struct slice in);
void stream_emit(void *user, const uint8_t *bytes, size_t len);

#endif
