/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks: cap, reuse, no chunk lent twice, and memory that goes back to the kernel when it lies idle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants the four above first. */
#include "fastpath/pool.h"
#include <cmocka.h>
#include <sys/mman.h>

enum { CHUNKS = 10, PAGE = 4096 };

static void test_cap(void **state)
{
	struct pool *p = pool_new(CHUNKS, 3);
	struct chunk *c[CHUNKS];

	(void)state;
	assert_non_null(p);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < CHUNKS; i++) {
			c[i] = pool_take(p);
			assert_non_null(c[i]);
			assert_int_equal(c[i]->worker, 3);
			assert_true(!c[i]->next && !c[i]->start && !c[i]->end && !c[i]->mark);
			assert_int_equal((uintptr_t)c[i]->data % 8, 0);
			memset(c[i]->data, i, CHUNK_DATA_BYTES);
			c[i]->start = c[i]->end = 5;
			assert_int_equal(pool_used(p), i + 1);
		}
		assert_null(pool_take(p));
		for (int i = 0; i < CHUNKS; i++) {
			assert_int_equal(c[i]->data[0], i);
			assert_int_equal(c[i]->data[CHUNK_DATA_BYTES - 1], i);
			pool_give(p, c[i]);
		}
		assert_int_equal(pool_used(p), 0);
	}
	pool_free(p);
	pool_free(NULL);
}

/* An eighth is kept for control. */
static void test_data(void **state)
{
	struct pool *p = pool_new(16, 0);

	(void)state;
	assert_non_null(p);
	for (int i = 0; i < 14; i++)
		assert_non_null(pool_take_data(p));
	assert_null(pool_take_data(p));
	assert_non_null(pool_take(p));
	assert_non_null(pool_take(p));
	assert_null(pool_take(p));
	pool_free(p);
}

/* Pages of the chunk's data that are in memory. */
static unsigned resident(struct chunk *c)
{
	unsigned char map[LIMIT_CHUNK_BYTES / PAGE];
	unsigned count = 0;

	assert_int_equal(mincore(c, LIMIT_CHUNK_BYTES, map), 0);
	for (size_t i = 0; i < sizeof(map); i++)
		count += map[i] & 1;
	return count;
}

static void test_trim(void **state)
{
	struct pool *p = pool_new(CHUNKS, 0);
	struct chunk *c[4];

	(void)state;
	assert_non_null(p);
	for (int i = 0; i < 4; i++) {
		c[i] = pool_take(p);
		memset(c[i]->data, 1, CHUNK_DATA_BYTES);
	}
	for (int i = 0; i < 3; i++)
		pool_give(p, c[i]);
	/* Used since the last time: stays. */
	pool_trim(p);
	assert_int_equal(resident(c[0]), LIMIT_CHUNK_BYTES / PAGE);
	/* One is used now and then, the others lie idle. */
	assert_ptr_equal(pool_take(p), c[2]);
	pool_give(p, c[2]);
	pool_trim(p);
	assert_int_equal(resident(c[0]), 0);
	assert_int_equal(resident(c[1]), 0);
	assert_int_equal(resident(c[2]), LIMIT_CHUNK_BYTES / PAGE);
	assert_int_equal(resident(c[3]), LIMIT_CHUNK_BYTES / PAGE);
	pool_trim(p);
	assert_int_equal(resident(c[2]), 0);
	/* What went back can be used again, and goes back again. */
	for (int i = 2; i >= 0; i--) {
		assert_ptr_equal(pool_take(p), c[i]);
		c[i]->data[0] = 1;
	}
	assert_int_equal(resident(c[0]), 1);
	pool_give(p, c[0]);
	pool_trim(p);
	pool_trim(p);
	assert_int_equal(resident(c[0]), 0);
	pool_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_cap), cmocka_unit_test(test_data),
					   cmocka_unit_test(test_trim)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
