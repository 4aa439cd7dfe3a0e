#include "net/buffers.h"

#include "net/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#define RING_ENTRIES_MAX 32768u

static void *pages_new(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void buffers_provide(struct buffers *b, struct pool_buf *p)
{
	io_uring_buf_ring_add(b->entries, p->buf.data, b->size, p->id, io_uring_buf_ring_mask(b->entries_count), 0);
	io_uring_buf_ring_advance(b->entries, 1);
}

static void pool_buf_release(struct buf *buf)
{
	struct pool_buf *p = container_of(buf, struct pool_buf, buf);
	struct buffers *b = p->pool;

	b->taken--;
	buffers_provide(b, p);
	if (!list_is_empty(&b->starved))
		ring_wake_starved(b->ring);
}

int buffers_init(struct buffers *b, struct ring *ring, uint16_t group, uint32_t size, uint32_t first_count,
		 uint32_t max_count)
{
	struct io_uring_buf_reg reg = { 0 };
	uint32_t count = 1;
	int err;

	while (count < max_count && count < RING_ENTRIES_MAX)
		count <<= 1;
	*b = (struct buffers){ .ring = ring, .group = group, .size = size, .entries_count = count, .max_count = count };
	b->first_count = first_count < count ? first_count : count;
	list_init(&b->starved);
	b->entries = pages_new(count * sizeof(struct io_uring_buf));
	b->bufs = pages_new(count * sizeof(struct pool_buf));
	if (b->entries == NULL || b->bufs == NULL) {
		buffers_done(b);
		return -ENOMEM;
	}
	reg.ring_addr = (uint64_t)(uintptr_t)b->entries;
	reg.ring_entries = count;
	reg.bgid = group;
	err = io_uring_register_buf_ring(&ring->uring, &reg, 0);
	if (err < 0) {
		buffers_done(b);
		return err;
	}
	io_uring_buf_ring_init(b->entries);
	return 0;
}

/* The ring has been closed already, or never knew the pool: the kernel does not read these pages any more. */
void buffers_done(struct buffers *b)
{
	for (unsigned i = 0; i < b->chunks_count; i++)
		munmap(b->chunks[i].memory, b->chunks[i].len);
	if (b->entries != NULL)
		munmap(b->entries, b->entries_count * sizeof(struct io_uring_buf));
	if (b->bufs != NULL)
		munmap(b->bufs, b->entries_count * sizeof(struct pool_buf));
	b->entries = NULL;
	b->bufs = NULL;
	b->chunks_count = 0;
}

bool buffers_grow(struct buffers *b)
{
	uint32_t more = b->provided > 0 ? b->provided : b->first_count;
	uint8_t *memory;

	if (more > b->max_count - b->provided)
		more = b->max_count - b->provided;
	if (more == 0 || b->chunks_count == BUFFERS_CHUNKS_MAX)
		return false;
	memory = pages_new((size_t)more * b->size);
	if (memory == NULL)
		return false;
	b->chunks[b->chunks_count].memory = memory;
	b->chunks[b->chunks_count++].len = (size_t)more * b->size;
	for (uint32_t i = 0; i < more; i++) {
		struct pool_buf *p = &b->bufs[b->provided];

		p->buf = (struct buf){ memory + (size_t)i * b->size, b->size, 0, pool_buf_release };
		p->pool = b;
		p->id = (uint16_t)b->provided++;
		buffers_provide(b, p);
	}
	return true;
}

struct slice buffers_take(struct buffers *b, int res, uint32_t flags)
{
	struct pool_buf *p = &b->bufs[flags >> IORING_CQE_BUFFER_SHIFT];

	b->taken++;
	p->buf.refs = 1;
	return (struct slice){ &p->buf, p->buf.data, res > 0 ? (uint32_t)res : 0 };
}
