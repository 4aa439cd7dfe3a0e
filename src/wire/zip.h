/* Raw deflate (RFC 1951) as permessage-deflate uses it: the door to zlib.
 *
 * A stream is dear (zconf.h: 2^(window_bits + 2) + 2^(memory_level + 9) bytes to compress, 2^window_bits to inflate, and some
 * thousand for itself), so a pool keeps a few that nobody uses at the moment: who needs one for a
 * message takes it and gives it back; who keeps its context takes it for good.
 * Called by: wire/ws_recode.  One thread. */
#ifndef WIRE_ZIP_H
#define WIRE_ZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct zip;

struct zip_shape {
	bool deflates;
	uint8_t window_bits;  /* 9..15; for an inflating one 8 is taken for 9 */
	uint8_t level;	      /* 1..9, when it deflates */
	uint8_t memory_level; /* 1..9, likewise */
};

#define ZIP_POOL_IDLE 4u /* streams that wait to be taken */

struct zip_pool {
	struct zip *idle[ZIP_POOL_IDLE];
	unsigned idle_count;
};

/* A stream without a past.  NULL: memory is out. */
struct zip *zip_take(struct zip_pool *p, const struct zip_shape *shape);
/* Takes it back, and keeps it or frees it; accepts NULL. */
void zip_give(struct zip_pool *p, struct zip *z);
void zip_pool_done(struct zip_pool *p);

enum zip_result {
	ZIP_ROOM, /* all input is used, and all output that there is has been given */
	ZIP_FULL, /* there may be more output */
	ZIP_BAD	  /* this is no deflate data, or memory is out */
};

/* Moves *in, *in_len and *out, *out_len on.  Blocks may be final: the next one begins behind it (RFC 7692 7.2.3.4). */
enum zip_result zip_inflate(struct zip *z, const uint8_t **in, size_t *in_len, uint8_t **out, size_t *out_len);
/* What was inflated last ends between two blocks; behind a final one. */
bool zip_is_whole(const struct zip *z);
bool zip_has_ended(const struct zip *z);
/* The same for compressing; `flush`: what has been put in comes out to its end, and an empty block behind it, which ends in
 * 00 00 ff ff (7.2.1).  Called again until it is not ZIP_FULL. */
enum zip_result zip_deflate(struct zip *z, const uint8_t **in, size_t *in_len, uint8_t **out, size_t *out_len, bool flush);

#endif
