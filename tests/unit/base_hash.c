/* base/hash: the hash is XXH3's, the map does what a table without hashes does. */
#include "base/hash.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void hash_is_the_same_everywhere(void **state)
{
	(void)state;
	/* of an empty input, as XXH3 gives it: placement by hash has to agree between machines and versions */
	assert_int_equal(hash64(NULL, 0, 0), 0x2d06800538d394c2u);
	assert_int_equal(hash64("a", 1, 0), hash64("a", 1, 0));
	assert_int_not_equal(hash64("a", 1, 0), hash64("a", 1, 1));
	assert_int_not_equal(hash64("a", 1, 0), hash64("b", 1, 0));
}

static void mix_is_one_to_one(void **state)
{
	(void)state;
	assert_int_equal(hash_mix(0), 0);
	for (uint64_t i = 1; i < 2000; i++)
		for (uint64_t j = 0; j < i; j += 37)
			assert_int_not_equal(hash_mix(i), hash_mix(j));
}

struct item {
	char key[8];
	size_t key_len;
	bool is_in;
};

#define ITEMS 1500

static void map_is_a_table_from_keys_to_values(void **state)
{
	static struct item items[ITEMS];
	struct hash_map m;
	size_t count = 0;

	(void)state;
	hash_map_init(&m);
	assert_null(hash_map_find(&m, "x", 1));
	assert_null(hash_map_remove(&m, "x", 1));
	for (unsigned i = 0; i < ITEMS; i++)
		items[i].key_len = (size_t)snprintf(items[i].key, sizeof(items[i].key), "%u", i);
	items[0].key_len = 0; /* an empty key is one */
	for (unsigned step = 0; step < 100000; step++) {
		/* grows, then shrinks, then grows: keys leave from the midst of runs */
		struct item *it = &items[(step * 2654435761u >> 7) % ITEMS];
		void *found = hash_map_find(&m, it->key, it->key_len);

		assert_ptr_equal(found, it->is_in ? it : NULL);
		if (step / 10000 % 2 == 0 || step % 5 == 0) {
			assert_int_equal(hash_map_put(&m, it->key, it->key_len, it), it->is_in ? -EEXIST : 0);
			count += !it->is_in;
			it->is_in = true;
		} else {
			assert_ptr_equal(hash_map_remove(&m, it->key, it->key_len), it->is_in ? it : NULL);
			count -= it->is_in;
			it->is_in = false;
		}
		assert_int_equal(m.count, count);
	}
	for (unsigned i = 0; i < ITEMS; i++)
		assert_ptr_equal(hash_map_find(&m, items[i].key, items[i].key_len), items[i].is_in ? &items[i] : NULL);
	hash_map_done(&m);
	assert_null(hash_map_find(&m, "1", 1));
}

static void walk_meets_each_value_once(void **state)
{
	struct item items[100];
	unsigned met[100] = { 0 };
	struct hash_map m;
	size_t cursor = 0;
	struct item *it;

	(void)state;
	hash_map_init(&m);
	assert_null(hash_map_next(&m, &cursor));
	for (unsigned i = 0; i < 100; i++) {
		items[i].key_len = (size_t)snprintf(items[i].key, sizeof(items[i].key), "k%u", i);
		assert_int_equal(hash_map_put(&m, items[i].key, items[i].key_len, &items[i]), 0);
	}
	cursor = 0;
	while ((it = hash_map_next(&m, &cursor)) != NULL)
		met[it - items]++;
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(met[i], 1);
	hash_map_done(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hash_is_the_same_everywhere),
		cmocka_unit_test(mix_is_one_to_one),
		cmocka_unit_test(map_is_a_table_from_keys_to_values),
		cmocka_unit_test(walk_meets_each_value_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
