#include "base/slab.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif
#ifndef HAS_ASAN
#define HAS_ASAN 0
#endif

#if HAS_ASAN
#include <sanitizer/asan_interface.h>
#define poison(at, len)	  ASAN_POISON_MEMORY_REGION(at, len)
#define unpoison(at, len) ASAN_UNPOISON_MEMORY_REGION(at, len)
#else
#define poison(at, len)	  ((void)(at), (void)(len))
#define unpoison(at, len) ((void)(at), (void)(len))
#endif

#define PAGE_LEN_MIN	65536u
#define PAGE_OBJECTS_MIN 8u /* room for this many, or the page is made larger */

/* A freed object, while it is free. */
struct slab_free {
	struct slab_free *next;
};

struct slab_page {
	struct list link;
	struct slab *slab; /* to catch an object given to the wrong one */
	struct slab_free *free;
	uint32_t used_count;
	uint32_t fresh_at; /* bytes from the page's start to what was never used; page_len and more: nothing */
};

static_assert(sizeof(struct slab_page) <= 64, "the page's own part is one cache line");

void slab_init(struct slab *s, size_t size, size_t align)
{
	assert(size >= 1 && size <= SLAB_SIZE_MAX);
	assert(align >= 1 && align <= 64 && (align & (align - 1)) == 0);
	*s = (struct slab){ 0 };
	list_init(&s->open);
	list_init(&s->full);
	if (align < _Alignof(struct slab_free))
		align = _Alignof(struct slab_free);
	s->object_len = (size + align - 1) & ~(align - 1);
	s->first_at = (sizeof(struct slab_page) + align - 1) & ~(align - 1);
	s->page_len = PAGE_LEN_MIN;
	while ((s->page_len - s->first_at) / s->object_len < PAGE_OBJECTS_MIN)
		s->page_len *= 2;
}

/* Memory aligned to its own length; NULL when there is none. */
static void *page_map(size_t len)
{
	char *at, *aligned;

	if (HAS_ASAN) /* the leak checker looks for pointers in what malloc gave, not in mappings */
		return aligned_alloc(len, len);
	at = mmap(NULL, len * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		return NULL;
	aligned = (char *)(((uintptr_t)at + len - 1) & ~(uintptr_t)(len - 1));
	if (aligned != at)
		munmap(at, (size_t)(aligned - at));
	munmap(aligned + len, len - (size_t)(aligned - at));
	return aligned;
}

static void page_unmap(struct slab_page *p, size_t len)
{
	if (HAS_ASAN) {
		unpoison(p, len);
		free(p);
	} else {
		munmap(p, len);
	}
}

static struct slab_page *page_new(struct slab *s)
{
	struct slab_page *p = page_map(s->page_len);

	if (p == NULL)
		return NULL;
	*p = (struct slab_page){ .slab = s, .fresh_at = (uint32_t)s->first_at };
	list_append(&s->open, &p->link);
	poison((char *)p + s->first_at, s->page_len - s->first_at);
	s->page_count++;
	return p;
}

static void page_free(struct slab *s, struct slab_page *p)
{
	list_remove(&p->link);
	page_unmap(p, s->page_len);
	s->page_count--;
}

static bool page_has_fresh(const struct slab *s, const struct slab_page *p)
{
	return s->page_len - p->fresh_at >= s->object_len;
}

void slab_done(struct slab *s)
{
	assert(s->used_count == 0);
	list_for_each_safe(at, tmp, &s->open)
		page_free(s, container_of(at, struct slab_page, link));
	s->spare = NULL;
}

void *slab_alloc(struct slab *s)
{
	struct slab_page *p;
	void *object;

	if (list_is_empty(&s->open))
		p = page_new(s);
	else
		p = container_of(s->open.next, struct slab_page, link);
	if (p == NULL)
		return NULL;
	if (p->free != NULL) {
		object = p->free;
		unpoison(object, s->object_len);
		p->free = ((struct slab_free *)object)->next;
	} else {
		object = (char *)p + p->fresh_at;
		unpoison(object, s->object_len);
		p->fresh_at += (uint32_t)s->object_len;
	}
	if (p == s->spare)
		s->spare = NULL;
	p->used_count++;
	s->used_count++;
	if (p->free == NULL && !page_has_fresh(s, p)) {
		list_remove(&p->link);
		list_append(&s->full, &p->link);
	}
	return object;
}

void *slab_alloc_zeroed(struct slab *s)
{
	void *object = slab_alloc(s);

	if (object != NULL)
		memset(object, 0, s->object_len);
	return object;
}

void slab_free(struct slab *s, void *object)
{
	struct slab_page *p;
	bool was_full;

	if (object == NULL)
		return;
	p = (struct slab_page *)((uintptr_t)object & ~(uintptr_t)(s->page_len - 1));
	assert(p->slab == s);
	assert(((size_t)((char *)object - (char *)p) - s->first_at) % s->object_len == 0);
	was_full = p->free == NULL && !page_has_fresh(s, p);
	((struct slab_free *)object)->next = p->free;
	p->free = object;
	poison(object, s->object_len);
	assert(p->used_count > 0);
	p->used_count--;
	s->used_count--;
	if (was_full) {
		list_remove(&p->link);
		list_insert_before(s->spare != NULL ? &s->spare->link : &s->open, &p->link);
	}
	if (p->used_count > 0)
		return;
	if (s->spare != NULL) {
		page_free(s, p);
		return;
	}
	/* the last to be taken from; what is in it need not stay in order, so begin anew */
	s->spare = p;
	p->free = NULL;
	p->fresh_at = (uint32_t)s->first_at;
	list_remove(&p->link);
	list_append(&s->open, &p->link);
}
