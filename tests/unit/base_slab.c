/* base/slab: objects do not overlap, pages go back. */
#include "base/slab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif
#ifdef HAS_ASAN
#include <sanitizer/asan_interface.h>
#endif

#define OBJECTS 3000

static void expect_filled(const uint8_t *object, size_t size, uint8_t with)
{
	for (size_t i = 0; i < size; i++)
		assert_int_equal(object[i], with);
}

static void objects_keep_their_bytes(void **state)
{
	static const size_t sizes[] = { 1, 8, 17, 120, 1000, 5000, SLAB_SIZE_MAX };
	static uint8_t *objects[OBJECTS];
	unsigned dice = 1;

	(void)state;
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		size_t size = sizes[s], count = size > 2000 ? 100 : OBJECTS, used = 0;
		struct slab slab;

		slab_init(&slab, size, 8);
		memset(objects, 0, sizeof(objects));
		for (size_t step = 0; step < count * 4; step++) {
			size_t i = (dice = dice * 1664525 + 1013904223) % count;

			if (objects[i] == NULL) {
				objects[i] = slab_alloc(&slab);
				assert_non_null(objects[i]);
				memset(objects[i], (int)(i & 0xff), size);
				used++;
			} else {
				expect_filled(objects[i], size, (uint8_t)i);
				slab_free(&slab, objects[i]);
				objects[i] = NULL;
				used--;
			}
			assert_int_equal(slab.used_count, used);
		}
		for (size_t i = 0; i < count; i++) {
			if (objects[i] != NULL)
				expect_filled(objects[i], size, (uint8_t)i);
			slab_free(&slab, objects[i]);
		}
		assert_int_equal(slab.page_count, 1); /* the spare one */
		slab_done(&slab);
		assert_int_equal(slab.page_count, 0);
	}
}

static void objects_are_aligned_and_side_by_side(void **state)
{
	(void)state;
	for (size_t align = 1; align <= 64; align *= 2) {
		struct slab slab;
		char *a, *b;

		slab_init(&slab, 200, align);
		a = slab_alloc(&slab);
		b = slab_alloc(&slab);
		assert_int_equal((uintptr_t)a % align, 0);
		assert_int_equal((uintptr_t)b % align, 0);
		assert_int_equal(b - a, align <= 8 ? 200 : (200 + align - 1) / align * align);
		slab_free(&slab, a);
		slab_free(&slab, b);
		slab_done(&slab);
	}
}

static void overhead_is_a_page_head(void **state)
{
	struct slab slab;
	void *objects[2000];

	(void)state;
	slab_init(&slab, 512, 8);
	for (unsigned i = 0; i < 2000; i++)
		objects[i] = slab_alloc(&slab);
	assert_true(slab_bytes(&slab) <= 2000 * 512 + 65536 + slab.page_count * 512);
	for (unsigned i = 0; i < 2000; i++)
		slab_free(&slab, objects[i]);
	slab_done(&slab);
}

static void at_most_one_empty_page_is_kept(void **state)
{
	enum { COUNT = 1000 };
	void *objects[COUNT];
	struct slab slab;
	size_t pages;

	(void)state;
	slab_init(&slab, 1024, 8);
	for (unsigned i = 0; i < COUNT; i++)
		objects[i] = slab_alloc(&slab);
	pages = slab.page_count;
	assert_true(pages > 10);
	/* the last page is taken from and given back again and again, and stays */
	for (unsigned i = 0; i < 100; i++) {
		void *one = slab_alloc(&slab);

		slab_free(&slab, one);
		assert_true(slab.page_count <= pages + 1);
	}
	for (unsigned i = 0; i < COUNT; i++)
		slab_free(&slab, objects[i]);
	assert_int_equal(slab.page_count, 1);
	slab_done(&slab);
}

static void young_objects_fill_the_oldest_gaps(void **state)
{
	enum { COUNT = 63 * 4 }; /* four pages, full */
	void *objects[COUNT];
	struct slab slab;

	(void)state;
	slab_init(&slab, 1024, 8);
	for (unsigned i = 0; i < COUNT; i++)
		objects[i] = slab_alloc(&slab);
	assert_int_equal(slab.page_count, 4);
	/* all of the second page, then one of the first: the empty page is the last to be taken from */
	for (unsigned i = 63; i < 126; i++)
		slab_free(&slab, objects[i]);
	slab_free(&slab, objects[0]);
	assert_ptr_equal(slab_alloc(&slab), objects[0]);
	assert_non_null(slab.spare);
	for (unsigned i = 63; i < 126; i++)
		assert_non_null(objects[i] = slab_alloc(&slab));
	assert_null(slab.spare);
	assert_int_equal(slab.page_count, 4);
	for (unsigned i = 0; i < COUNT; i++)
		slab_free(&slab, objects[i]);
	slab_done(&slab);
}

static void zeroed_is_zero_though_used_before(void **state)
{
	struct slab slab;
	void *object;

	(void)state;
	slab_init(&slab, 100, 4);
	object = slab_alloc(&slab);
	memset(object, 0xff, 100);
	slab_free(&slab, object);
	object = slab_alloc_zeroed(&slab);
	expect_filled(object, 100, 0);
	slab_free(&slab, object);
	slab_free(&slab, NULL);
	slab_done(&slab);
}

static void free_objects_are_poisoned(void **state)
{
	(void)state;
#ifdef HAS_ASAN
	struct slab slab;
	char *a, *b;

	slab_init(&slab, 64, 8);
	a = slab_alloc(&slab);
	b = slab_alloc(&slab);
	assert_null(__asan_region_is_poisoned(a, 64));
	slab_free(&slab, a);
	for (unsigned i = 0; i < 64; i++)
		assert_true(__asan_address_is_poisoned(a + i));
	assert_null(__asan_region_is_poisoned(b, 64));
	assert_true(__asan_address_is_poisoned(b + 64));
	slab_free(&slab, b);
	slab_done(&slab);
#else
	skip();
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_keep_their_bytes),
		cmocka_unit_test(objects_are_aligned_and_side_by_side),
		cmocka_unit_test(overhead_is_a_page_head),
		cmocka_unit_test(at_most_one_empty_page_is_kept),
		cmocka_unit_test(young_objects_fill_the_oldest_gaps),
		cmocka_unit_test(zeroed_is_zero_though_used_before),
		cmocka_unit_test(free_objects_are_poisoned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
