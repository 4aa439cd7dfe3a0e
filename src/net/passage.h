/* Bulk bytes from one plain stream to another without their coming up into the process: splice(2) through a pipe.
 *
 * While a passage lasts nobody reads the one stream and nobody writes to the other; all else of both goes on as usual.  A
 * passage moves a bounded number of bytes a turn.  When either stream ends, the passage goes with it and says nothing; the
 * stream's own user hears of it.  SIGPIPE has to be ignored: splice(2) has no flag against it.
 * Called by: proxy/ (long bodies, tcp relays). */
#ifndef NET_PASSAGE_H
#define NET_PASSAGE_H

#include "net/duplex.h"

#include <stdint.h>

#define PASSAGE_MIN 524288u /* bytes: below it is not worth the pipe */

struct passage_events {
	/* So many bytes have been taken by the other side's socket. */
	void (*moved)(void *user, uint64_t len);
	/* All have, or the source has ended before (its on_eof follows).  Reading is as it was before. */
	void (*done)(void *user);
};

/* Passes the next `len` bytes that `from` brings on to `to`, behind what is queued there.  Bytes that were under way
 * already still come by on_bytes, and count: `len` is what is expected after those that the user has been given when this is
 * called; it is told of them by on_bytes and must call passage_less().  false: not between these two, or no pipe is to be
 * had: the user goes on as before. */
bool passage_start(struct duplex *from, struct duplex *to, uint64_t len, const struct passage_events *events, void *user);

/* The user has taken `len` bytes of it from on_bytes. */
void passage_less(struct duplex *from, uint64_t len);

/* Whether one runs from this stream, and what it has brought waits for the other side. */
bool passage_is_blocked(const struct duplex *from);

/* Whether one runs from this stream. */
bool passage_is_from(const struct duplex *from);

#endif
