#include "wire/zip.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define ZLIB_CONST
#include <zlib.h>

struct zip {
	z_stream s;
	struct zip_shape shape;
	bool is_whole;	/* inflating: between two blocks */
	bool has_ended; /* a final block has come: the next one begins anew, with the same window */
};

static int bits_of(const struct zip_shape *shape)
{
	return -(shape->window_bits < 9 ? 9 : shape->window_bits); /* negative: raw */
}

static bool shape_is_equal(const struct zip_shape *a, const struct zip_shape *b)
{
	return a->deflates == b->deflates && a->window_bits == b->window_bits && a->level == b->level &&
	       a->memory_level == b->memory_level;
}

static void zip_free(struct zip *z)
{
	if (z->shape.deflates)
		deflateEnd(&z->s);
	else
		inflateEnd(&z->s);
	free(z);
}

static struct zip *zip_new(const struct zip_shape *shape)
{
	struct zip *z = calloc(1, sizeof(*z));
	int result;

	if (z == NULL)
		return NULL;
	z->shape = *shape;
	if (shape->deflates)
		result = deflateInit2(&z->s, shape->level, Z_DEFLATED, bits_of(shape), shape->memory_level,
				      Z_DEFAULT_STRATEGY);
	else
		result = inflateInit2(&z->s, bits_of(shape));
	if (result == Z_OK)
		return z;
	free(z);
	return NULL;
}

struct zip *zip_take(struct zip_pool *p, const struct zip_shape *shape)
{
	for (unsigned i = 0; i < p->idle_count; i++) {
		struct zip *z = p->idle[i];

		if (!shape_is_equal(&z->shape, shape))
			continue;
		p->idle[i] = p->idle[--p->idle_count];
		return z;
	}
	return zip_new(shape);
}

void zip_give(struct zip_pool *p, struct zip *z)
{
	if (z == NULL)
		return;
	if ((z->shape.deflates ? deflateReset(&z->s) : inflateReset(&z->s)) != Z_OK) {
		zip_free(z);
		return;
	}
	z->is_whole = z->has_ended = false;
	if (p->idle_count == ZIP_POOL_IDLE) { /* the one that has waited longest may be of a shape that nobody wants now */
		zip_free(p->idle[0]);
		memmove(p->idle, p->idle + 1, (ZIP_POOL_IDLE - 1) * sizeof(p->idle[0]));
		p->idle_count--;
	}
	p->idle[p->idle_count++] = z;
}

void zip_pool_done(struct zip_pool *p)
{
	while (p->idle_count > 0)
		zip_free(p->idle[--p->idle_count]);
}

/* ---- running ---- */

static unsigned int clamp(size_t len)
{
	return len > UINT_MAX ? UINT_MAX : (unsigned int)len;
}

/* zlib counts in its own fields: these give and take them. */
static void fields_set(struct zip *z, const uint8_t *in, size_t in_len, uint8_t *out, size_t out_len)
{
	z->s.next_in = in;
	z->s.avail_in = clamp(in_len);
	z->s.next_out = out;
	z->s.avail_out = clamp(out_len);
}

static void fields_get(const struct zip *z, const uint8_t **in, size_t *in_len, uint8_t **out, size_t *out_len)
{
	size_t used = (size_t)(z->s.next_in - *in), made = (size_t)(z->s.next_out - *out);

	if (used > 0)
		*in += used;
	*in_len -= used;
	if (made > 0)
		*out += made;
	*out_len -= made;
}

enum zip_result zip_inflate(struct zip *z, const uint8_t **in, size_t *in_len, uint8_t **out, size_t *out_len)
{
	int result;

	do {
		if (z->has_ended && *in_len > 0) {
			if (inflateResetKeep(&z->s) != Z_OK) /* and the window stays */
				return ZIP_BAD;
			z->has_ended = false;
		}
		fields_set(z, *in, *in_len, *out, *out_len);
		result = z->has_ended ? Z_BUF_ERROR : inflate(&z->s, Z_SYNC_FLUSH);
		fields_get(z, in, in_len, out, out_len);
		if (result != Z_OK && result != Z_BUF_ERROR && result != Z_STREAM_END)
			return ZIP_BAD;
		z->has_ended = z->has_ended || result == Z_STREAM_END;
	} while (*in_len > 0 && *out_len > 0);
	z->is_whole = z->has_ended || (z->s.data_type & 128) != 0;
	return *out_len > 0 ? ZIP_ROOM : ZIP_FULL;
}

bool zip_is_whole(const struct zip *z)
{
	return z->is_whole;
}

bool zip_has_ended(const struct zip *z)
{
	return z->has_ended;
}

enum zip_result zip_deflate(struct zip *z, const uint8_t **in, size_t *in_len, uint8_t **out, size_t *out_len, bool flush)
{
	int result;

	do {
		fields_set(z, *in, *in_len, *out, *out_len);
		result = deflate(&z->s, flush ? Z_SYNC_FLUSH : Z_NO_FLUSH);
		fields_get(z, in, in_len, out, out_len);
		if (result != Z_OK && result != Z_BUF_ERROR)
			return ZIP_BAD;
	} while (*in_len > 0 && *out_len > 0);
	return *out_len > 0 ? ZIP_ROOM : ZIP_FULL;
}
