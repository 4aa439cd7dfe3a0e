/* Objects of one size, for one thread.
 *
 * Objects lie side by side in aligned pages of 64 KiB (more for large objects); an object's page is found from its
 * address, so that one in use costs its own bytes and nothing else.  A page is touched only as far as it has been used.
 * A page that becomes empty goes back to the kernel, but for one that is spare.  Under AddressSanitizer free objects
 * are poisoned. */
#ifndef BASE_SLAB_H
#define BASE_SLAB_H

#include "base/list.h"

#include <stddef.h>
#include <stdint.h>

struct slab_page;

struct slab {
	struct list open;	 /* pages with room; those in use longest first, so that the others can empty */
	struct list full;	 /* pages without */
	struct slab_page *spare; /* the last on `open`; NULL when no page is empty */
	size_t object_len;	 /* bytes, rounded up to the alignment */
	size_t first_at;	 /* bytes from a page's start to its first object */
	size_t page_len;	 /* bytes, a power of two */
	size_t used_count;	 /* objects in use */
	size_t page_count;
};

/* Objects of `size` bytes (1 .. SLAB_SIZE_MAX) aligned to `align` (a power of two up to 64).  Allocates nothing. */
#define SLAB_SIZE_MAX 65536u
void slab_init(struct slab *s, size_t size, size_t align);
#define slab_init_of(s, type) slab_init(s, sizeof(type), _Alignof(type))

/* Gives all pages back; no object may be in use. */
void slab_done(struct slab *s);

/* An object with undefined contents, gives (slab_free); NULL when memory is out. */
void *slab_alloc(struct slab *s);
/* The same, all zero. */
void *slab_alloc_zeroed(struct slab *s);
/* Takes; NULL does nothing.  The object must be of this slab. */
void slab_free(struct slab *s, void *object);

/* Bytes of all pages. */
static inline size_t slab_bytes(const struct slab *s)
{
	return s->page_count * s->page_len;
}

#endif
