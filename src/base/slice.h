/* Slices: counted views of blocks of bytes.
 *
 * A block (`struct buf`) comes from the heap or from a worker's pool of receive buffers, and goes back when the last
 * slice of it is dropped.  Counts are plain integers: a block and all slices of it belong to one thread.
 *
 * Called by everything that moves bytes.  Who receives a slice "borrowed" and wants to keep it calls slice_ref(). */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct buf {
	uint8_t *data;
	uint32_t cap; /* bytes */
	uint32_t refs;
	void (*release)(struct buf *); /* called once, when the last reference is dropped */
};

struct slice {
	struct buf *buf; /* NULL: static or borrowed bytes that outlive every use */
	uint8_t *at;
	uint32_t len; /* bytes */
};

#define SLICE_EMPTY ((struct slice){ NULL, NULL, 0 })

/* A block of `cap` bytes on the heap with one reference, gives (buf_unref); NULL when memory is out. */
struct buf *buf_new(uint32_t cap);

/* A heap block that holds a copy of the bytes, as a slice with one reference; .buf == NULL && .len == 0 on failure
 * (an empty input gives an empty slice as well). */
struct slice slice_copy(const void *bytes, size_t len);

/* Puts a copy of `more` (borrowed) behind what *s holds, in a block of its own: for what waits, and seldom grows.  false:
 * memory is out, *s stays. */
bool slice_append(struct slice *s, struct slice more);

static inline struct buf *buf_ref(struct buf *b)
{
	if (b != NULL)
		b->refs++;
	return b;
}

static inline void buf_unref(struct buf *b)
{
	if (b != NULL && --b->refs == 0)
		b->release(b);
}

/* Bytes that outlive every use of the slice (string literals, tables). */
static inline struct slice slice_static(const void *bytes, size_t len)
{
	return (struct slice){ NULL, (uint8_t *)(uintptr_t)bytes, (uint32_t)len };
}

static inline struct slice slice_ref(struct slice s)
{
	buf_ref(s.buf);
	return s;
}

static inline void slice_unref(struct slice s)
{
	buf_unref(s.buf);
}

/* A part of `s`, sharing (not taking) its reference: take one with slice_ref() to keep it. */
static inline struct slice slice_sub(struct slice s, uint32_t from, uint32_t len)
{
	return (struct slice){ s.buf, s.at + from, len };
}

#endif
