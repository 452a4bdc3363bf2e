/* SPDX-License-Identifier: Apache-2.0 */
/* Cursors: every length from nothing to enough, and nothing outside the bytes touched. */
#include "shared/base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17};

/* Reads one of each, in a copy of its own so that the address sanitizer sees a step too far. */
static void read_all(size_t len)
{
	uint8_t *copy = malloc(len ? len : 1), out[2];
	struct rd r;

	memcpy(copy, bytes, len);
	r = rd_init(copy, len);
	assert_int_equal(rd_u8(&r), len >= 1 ? 1 : 0);
	assert_int_equal(rd_be16(&r), len >= 3 ? 0x0203 : 0);
	if (len >= 7)
		assert_int_equal(rd_be32(&r), 0x04050607);
	else
		(void)rd_be32(&r);
	if (len >= 15)
		assert_true(rd_be64(&r) == 0x08090a0b0c0d0e0fULL);
	else
		(void)rd_be64(&r);
	rd_bytes(&r, out, sizeof(out));
	assert_int_equal(out[0], len >= 17 ? 16 : 0);
	assert_int_equal(r.bad, len < 17);
	assert_int_equal(rd_left(&r), 0);
	free(copy);
}

static void test_every_truncation(void **state)
{
	(void)state;
	for (size_t len = 0; len <= sizeof(bytes); len++)
		read_all(len);
}

static void test_error_is_sticky(void **state)
{
	struct rd r = rd_init(bytes, 3);

	(void)state;
	assert_null(rd_take(&r, 4));
	assert_true(r.bad);
	assert_int_equal(rd_left(&r), 0);
	assert_int_equal(rd_u8(&r), 0);
	assert_null(rd_take(&r, 0));
}

static void test_sub_stays_inside(void **state)
{
	struct rd r = rd_init(bytes, sizeof(bytes)), sub = rd_sub(&r, 3);

	(void)state;
	assert_int_equal(rd_left(&sub), 3);
	assert_int_equal(rd_be16(&sub), 0x0102);
	assert_int_equal(rd_be16(&sub), 0);
	assert_true(sub.bad);
	assert_false(r.bad);
	assert_int_equal(rd_u8(&r), 4);
	sub = rd_sub(&r, sizeof(bytes));
	assert_true(sub.bad && r.bad);
	assert_int_equal(rd_left(&sub), 0);
}

static void test_empty(void **state)
{
	struct rd r = rd_init(bytes, 0);

	(void)state;
	assert_non_null(rd_take(&r, 0));
	assert_false(r.bad);
}

static void test_write_every_room(void **state)
{
	(void)state;
	for (size_t cap = 0; cap <= sizeof(bytes) + 1; cap++) {
		uint8_t *out = malloc(cap ? cap : 1);
		struct wr w = wr_init(out, cap);

		wr_u8(&w, 1);
		wr_be16(&w, 0x0203);
		wr_be32(&w, 0x04050607);
		wr_be64(&w, 0x08090a0b0c0d0e0fULL);
		wr_bytes(&w, bytes + 15, 2);
		assert_int_equal(w.bad, cap < sizeof(bytes));
		assert_true(wr_len(&w) <= cap);
		assert_memory_equal(out, bytes, wr_len(&w));
		if (!w.bad)
			assert_int_equal(wr_len(&w), sizeof(bytes));
		free(out);
	}
}

static void test_write_error_is_sticky(void **state)
{
	uint8_t out[2];
	struct wr w = wr_init(out, sizeof(out));

	(void)state;
	wr_be32(&w, 1);
	assert_true(w.bad);
	assert_null(wr_room(&w, 0));
	wr_u8(&w, 1);
	assert_true(w.bad);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_truncation), cmocka_unit_test(test_error_is_sticky),
		cmocka_unit_test(test_sub_stays_inside), cmocka_unit_test(test_empty),
		cmocka_unit_test(test_write_every_room), cmocka_unit_test(test_write_error_is_sticky),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
