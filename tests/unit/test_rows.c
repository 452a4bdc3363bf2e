/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of the shared memory: zeroed before they are named, given back, and flags of the dead cleared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include "shared/base/rows.h"
#include <cmocka.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROW = 5, LAST = LIMIT_SESSION_ROWS - 1, INDEX = 0x1234567, DEAD = 2, ALIVE = 3 };

static struct lanes *lanes;
static int fd;

static int fresh(void **state)
{
	(void)state;
	fd = memfd_create("lanes", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, sizeof(*lanes)), 0);
	lanes = mmap(NULL, sizeof(*lanes), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(lanes != MAP_FAILED);
	return 0;
}

static int forget(void **state)
{
	(void)state;
	munmap(lanes, sizeof(*lanes));
	close(fd);
	return 0;
}

static size_t touched_bytes(void)
{
	struct stat s;

	assert_int_equal(fstat(fd, &s), 0);
	return (size_t)s.st_blocks * 512;
}

static bool is_zero(uint32_t row)
{
	const uint8_t *const bytes = (const uint8_t *)&lanes->row[row];

	for (size_t i = 0; i < sizeof(lanes->row[0]); i++)
		if (bytes[i])
			return false;
	return true;
}

static void a_row_begins_empty(void **state)
{
	(void)state;
	memset(&lanes->row[ROW - 1], 0xaa, 3 * sizeof(lanes->row[0]));
	rows_begin(lanes, ROW, INDEX);
	assert_int_equal(lanes->row_index[ROW], INDEX);
	assert_true(is_zero(ROW));
	assert_int_equal(lanes->row[ROW - 1].receive[LIMIT_SESSION_LANES - 1].block[0], UINT64_C(0xaaaaaaaaaaaaaaaa));
	assert_int_equal(lanes->row[ROW + 1].send[0].next, UINT64_C(0xaaaaaaaaaaaaaaaa));
	rows_begin(lanes, LAST, INDEX + 1);
	assert_int_equal(lanes->row_index[LAST], INDEX + 1);
}

static void only_what_is_used_takes_memory(void **state)
{
	(void)state;
	lanes->header.version = LANES_VERSION;
	for (uint32_t row = 0; row < 1024; row++)
		rows_begin(lanes, row, row + 1);
	assert_in_range(touched_bytes(), 1, 4 * LANES_PAGE_BYTES);
	lanes->row[ROW].send[0].next = 1;
	lanes->row[ROW].send[63].next = 1;
	lanes->row[ROW].receive[0].greatest = 1;
	assert_in_range(touched_bytes(), 1, 6 * LANES_PAGE_BYTES);
	memset(&lanes->row[ROW], 1, sizeof(lanes->row[ROW]));
	rows_end(lanes, ROW);
	assert_in_range(touched_bytes(), 1, 4 * LANES_PAGE_BYTES);
	assert_int_equal(lanes->row_index[ROW], 0);
	rows_begin(lanes, ROW, INDEX);
	assert_true(is_zero(ROW));
}

/* As controld seals it: no one can change its size, and rows are given back all the same. */
static void the_size_may_be_sealed(void **state)
{
	(void)state;
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL), 0);
	memset(&lanes->row[ROW], 1, sizeof(lanes->row[ROW]));
	rows_begin(lanes, ROW, INDEX);
	assert_true(is_zero(ROW));
	rows_end(lanes, ROW);
	assert_in_range(touched_bytes(), 1, 2 * LANES_PAGE_BYTES + sizeof(struct lanes_row));
}

/* Memory without holes is zeroed by hand. */
static void private_memory_will_do(void **state)
{
	struct lanes *const file = lanes;

	(void)state;
	lanes = mmap(NULL, sizeof(*lanes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(lanes != MAP_FAILED);
	memset(&lanes->row[ROW], 1, sizeof(lanes->row[ROW]));
	rows_begin(lanes, ROW, INDEX);
	assert_true(is_zero(ROW));
	lanes->row[ROW].send[3].next = 7;
	rows_end(lanes, ROW);
	assert_true(is_zero(ROW));
	munmap(lanes, sizeof(*lanes));
	lanes = file;
}

static void flags_of_the_dead_are_cleared(void **state)
{
	(void)state;
	rows_begin(lanes, ROW, INDEX);
	rows_begin(lanes, LAST, INDEX + 1);
	lanes->row[ROW].receive[0].flag = DEAD;
	lanes->row[ROW].receive[1].flag = ALIVE;
	lanes->row[LAST].receive[LIMIT_SESSION_LANES - 1].flag = DEAD;
	lanes->row[LAST].receive[LIMIT_SESSION_LANES - 1].greatest = 9;
	rows_clear_owner(lanes, DEAD);
	assert_int_equal(lanes->row[ROW].receive[0].flag, 0);
	assert_int_equal(lanes->row[ROW].receive[1].flag, ALIVE);
	assert_int_equal(lanes->row[LAST].receive[LIMIT_SESSION_LANES - 1].flag, 0);
	assert_int_equal(lanes->row[LAST].receive[LIMIT_SESSION_LANES - 1].greatest, 9);
	rows_clear_owner(lanes, ALIVE);
	assert_int_equal(lanes->row[ROW].receive[1].flag, 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, fresh, forget)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_row_begins_empty),     CASE(only_what_is_used_takes_memory), CASE(the_size_may_be_sealed),
		CASE(private_memory_will_do), CASE(flags_of_the_dead_are_cleared),
	};

	return cmocka_run_group_tests_name("rows of the shared memory", tests, NULL, NULL);
}
