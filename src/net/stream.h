/* A socket on the ring as a duplex: plain, or with TLS inside.
 *
 * Reads into buffers of the ring's pools, small ones or, for a stream that brings many bytes, large ones, by multishot
 * receives with a credit that bounds what a stream may bring in a turn (one shot each, where the kernel has none);
 * writes from a queue of slices that leaves before the ring waits, one operation at a time.  An idle stream owns no buffer.
 * States: connecting, handshake, open, finishing, each with its deadline.
 * Called by: proxy/, cluster/pool, demo/, by way of net/duplex. */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include "base/addr.h"
#include "net/duplex.h"
#include "net/ring.h"
#include "net/tls.h"

#define STREAM_LINGER_MS 10000u /* finish() waits so long for progress, and then for the peer's end */

/* Once, before the first ring runs. */
void stream_setup(void);

/* An accepted socket, open at once; takes fd (on failure too).  NULL: memory is out. */
struct duplex *stream_accept(struct ring *r, int fd);

struct stream_target {
	const struct addr *to;
	const struct addr *from;	/* NULL: the kernel's choice */
	const void *preface;		/* leaves before anything else, before TLS: a PROXY header; copied */
	uint32_t preface_len;
	struct tls_context *tls;	/* NULL: plain; a client's, a reference is taken */
	const char *sni;		/* see tls_new_client() */
	uint64_t timeout_ms;		/* to be open, handshake included; 0: none */
};
/* Connects.  on_open, or on_closed with REASON_CONNECT_FAILED, REASON_TIMEOUT_CONNECT, REASON_BACKEND_TLS; never within
 * this call.  Nothing may be written before on_open.  Borrows the target.  NULL, and errno: memory or descriptors
 * are out. */
struct duplex *stream_connect(struct ring *r, const struct stream_target *t);

/* An accepted plain stream becomes TLS; `first` (borrowed) are bytes that were read from it already.  on_open comes when
 * the handshake is done, on_closed (REASON_TIMEOUT_HANDSHAKE, REASON_TLS_ERROR, ...) when it fails.  The stream reads from
 * now on.  false: memory is out. */
bool stream_start_tls(struct duplex *d, struct tls_context *ctx, struct slice first, uint64_t timeout_ms);

/* What is counted for the peer as long as its socket lives, whoever the stream's user is: ring.guest_gone gets it back.
 * Not 0.  false: it has one already, or is no stream: the guest stays the caller's. */
bool stream_set_guest(struct duplex *d, uint64_t guest);

/* Ends the streams that were finished and wait for their peers: the ring is to end. */
void streams_end(struct ring *r);

/* Whether nothing is known to have come behind what on_bytes has brought: else it will be brought, and who thinks that the
 * peer has said all is wrong.  Looked at within on_bytes, or when a passage from it is done. */
bool stream_is_quiet(const struct duplex *d);

bool stream_is_tls(const struct duplex *d);
/* Whether it has lately brought many bytes at once. */
bool stream_is_bulk(const struct duplex *d);
/* See tls_info(); all "" for a plain stream. */
void stream_tls_info(const struct duplex *d, struct tls_info *out);
/* tls_peer_print(); -1 without TLS. */
long stream_tls_peer(const struct duplex *d, const char *word, char *out, size_t cap);
/* Why it failed, for the log: TLS's words, or errno's; "" when there is nothing to say. */
void stream_error_text(const struct duplex *d, char *out, size_t cap);
/* The local address of the socket. */
void stream_local(const struct duplex *d, struct addr *out);
struct ring *stream_ring(const struct duplex *d);

#endif
