/* A two-way stream of bytes: the face that the relays and the HTTP codecs stand on.
 *
 * Made by net/stream (a plain or TLS socket), and by whatever else carries bytes both ways.  One user at a time; the
 * user gives `events` and `user`, and may hand the duplex to another (an Upgrade does).  Inside any event the user may
 * call any function, duplex_close() and duplex_finish() included: nothing is freed before the turn ends. */
#ifndef NET_DUPLEX_H
#define NET_DUPLEX_H

#include "base/reasons.h"
#include "base/slice.h"

#include <stdbool.h>

struct duplex;

struct duplex_events {
	/* Bytes may pass: connected, and the TLS handshake is done. */
	void (*on_open)(struct duplex *);
	/* Bytes came.  Borrowed: take a reference to keep them.  Some may still come after read(false): what was under way,
	 * bounded. */
	void (*on_bytes)(struct duplex *, struct slice);
	/* The peer has ended its direction (FIN, or close_notify); the other one still works. */
	void (*on_eof)(struct duplex *);
	/* The queue has fallen below its low mark after it was full, or has become empty. */
	void (*on_room)(struct duplex *);
	/* Over, and not by the user: the last event.  The duplex must not be touched after it. */
	void (*on_closed)(struct duplex *, enum reason why);
};

struct duplex_ops {
	/* Queues bytes, takes the slice's reference (on failure too).  false: memory is out, or the duplex is over. */
	bool (*write)(struct duplex *, struct slice);
	/* Whether the peer is listened to; off at first. */
	void (*read)(struct duplex *, bool on);
	/* As read(false), and what was under way is called back: only what has come already still does. */
	void (*hold)(struct duplex *);
	/* Ends our direction once the queue has left; reading goes on. */
	void (*shutdown)(struct duplex *);
	/* Ends both at once, forgetting what is queued.  No event comes any more. */
	void (*close)(struct duplex *, enum reason why);
	/* Lets the queue leave, ends our direction, waits for the peer's end (bounded), then closes.  No event comes any
	 * more: the user is free to go. */
	void (*finish)(struct duplex *);
};

struct duplex {
	const struct duplex_ops *ops;
	const struct duplex_events *events;
	void *user;
	uint32_t queued; /* bytes written and not yet taken by the kernel */
	uint32_t high;	 /* the high mark */
};

/* Above the high mark the source of the bytes is not read; below the low one, a quarter of it, it is again. */
#define DUPLEX_HIGH 131072u /* at first */
#define DUPLEX_LOW  32768u

static inline void duplex_use(struct duplex *d, const struct duplex_events *events, void *user)
{
	d->events = events;
	d->user = user;
}
static inline bool duplex_write(struct duplex *d, struct slice s)
{
	return d->ops->write(d, s);
}
static inline void duplex_read(struct duplex *d, bool on)
{
	d->ops->read(d, on);
}
static inline void duplex_hold(struct duplex *d)
{
	d->ops->hold(d);
}
static inline void duplex_shutdown(struct duplex *d)
{
	d->ops->shutdown(d);
}
static inline void duplex_close(struct duplex *d, enum reason why)
{
	d->ops->close(d, why);
}
static inline void duplex_finish(struct duplex *d)
{
	d->ops->finish(d);
}
/* Another mark; counts from the next write on. */
static inline void duplex_mark(struct duplex *d, uint32_t high)
{
	d->high = high;
}
static inline bool duplex_is_full(const struct duplex *d)
{
	return d->queued >= d->high;
}

#endif
