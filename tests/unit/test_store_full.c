/* SPDX-License-Identifier: Apache-2.0 */
/* The store on disks that are full, broken or do not answer: verdicts are true, nothing is lost silently, and what is
 * to be ended or deleted is, at the latest when the disk is well again. */
#include "tests/unit/test_store.h"

#include "tests/support/store_disk.h"
#include <sys/resource.h>
#include <sys/wait.h>

static bool is_well(void *ctx)
{
	struct world *w = ctx;

	return !*store_trouble(w->store);
}

static bool is_ill(void *ctx)
{
	return !is_well(ctx);
}

static void test_full_then_room(void **state)
{
	struct world *w = *state;

	world_open(w);
	world_add_message(w, 1, 100);
	store_disk_set(STORE_DISK_FULL);
	world_add_message(w, 2, 1024 * 1024);
	assert_int_equal(world_last_error(w), -ENOSPC);
	assert_non_null(strstr(store_trouble(w->store), "full"));
	/* What is there can be read. */
	store_load_message(w->store, 1);
	world_await(w, 3);
	assert_int_equal(world_last_error(w), 0);
	store_disk_set(STORE_DISK_FINE);
	world_add_message(w, 3, 1024 * 1024);
	assert_int_equal(world_last_error(w), 0);
	assert_string_equal(store_trouble(w->store), "");
	world_reopen(w);
	assert_int_equal(w->found_messages, 2);
	assert_false(w->found[2].message);
}

/* Without completion: tried again until it is done, in order. */
static void test_silent_ones_are_tried_again(void **state)
{
	struct world *w = *state;

	world_open(w);
	for (uint64_t row = 1; row <= 3; row++) {
		world_add_order(w, row, 1000);
		world_add_message(w, row, 1000);
	}
	store_disk_set(STORE_DISK_BROKEN);
	store_end_order(w->store, 1, 2);
	store_end_order(w->store, 1, 3);
	store_del_order(w->store, 2);
	store_del_message(w->store, 3);
	world_set_pin(w, 1, 10);
	world_set_pin(w, 2, 20);
	world_set_mode(w, 1, 2);
	store_load_message(w->store, 3);
	world_await(w, 7);
	/* It has not left yet. */
	assert_int_equal(world_last_error(w), 0);
	world_add_order(w, 9, 0);
	assert_int_equal(world_last_error(w), -EIO);
	assert_true(until(w->loop, is_ill, w));
	/* Asked in later turns, while the earlier ones are still tried. */
	store_del_pin(w->store, net_of(1));
	world_set_pin(w, 2, 21);
	store_del_mode(w->store, net_of(1));
	world_set_mode(w, 3, 1);
	world_sync(w);
	store_disk_set(STORE_DISK_FINE);
	assert_true(until(w->loop, is_well, w));
	world_sync(w);
	world_reopen(w);
	assert_int_equal(w->found_pins, 1);
	assert_int_equal(w->peers[2].last_ns, 21);
	assert_int_equal(w->found_modes, 1);
	assert_int_equal(w->peers[3].mode, 2);
	assert_int_equal(w->found_orders, 2);
	assert_int_equal(w->found[1].state, 3);
	assert_false(w->found[2].order);
	assert_int_equal(w->found_messages, 2);
	assert_false(w->found[3].message);
}

/* Some of all that can be asked, in one turn. */
static void ask_all(struct world *w, uint64_t row)
{
	const struct record_order first = order_of(row, payload_of(row, 5), 5),
				  second = order_of(row + 1, payload_of(row + 1, 100000), 100000);
	const struct record_message third = message_of(row, first.payload, 5),
				    fourth = message_of(row + 1, second.payload, 100000);

	store_add_order(w->store, &first);
	store_add_order(w->store, &second);
	world_set_pin(w, row, (int64_t)row);
	world_set_pin(w, row + 1, (int64_t)row);
	world_set_mode(w, row, 2);
	store_add_message(w->store, &third);
	store_end_order(w->store, row, 2);
	store_add_message(w->store, &fourth);
	store_del_message(w->store, row + 1);
	store_del_order(w->store, row + 1);
	store_del_pin(w->store, net_of(row + 1));
	world_await(w, 4);
	free(first.payload);
	free(second.payload);
}

/* The disk fails at each write in turn, for ever after; what was told is true, before and after the next start. */
static void check_all(struct world *w, uint64_t row)
{
	const int first = w->told[0].error, second = w->told[1].error, third = w->told[2].error,
		  fourth = w->told[3].error;

	(void)second;
	store_disk_set(STORE_DISK_FINE);
	world_reopen(w);
	assert_int_equal(w->found[row].order, first == 0);
	if (first == 0)
		assert_int_equal(w->found[row].state, 2);
	assert_false(w->found[row + 1].order);
	assert_int_equal(w->found[row].message, third == 0);
	assert_false(w->found[row + 1].message);
	assert_int_equal(w->found[row + 1].past, fourth == 0);
	assert_int_equal(w->peers[row].last_ns, row);
	assert_int_equal(w->peers[row].mode, 3);
	assert_int_equal(w->peers[row + 1].last_ns, 0);
}

static void fail_everywhere(struct world *w, enum store_disk how, int want)
{
	unsigned failures = 1;
	uint64_t row = 1;
	long before, n;

	world_open(w);
	for (n = 0; failures; n++, row += 2) {
		assert_true(row + 1 < WORLD_ROWS);
		store_disk_set_after(n, how);
		before = store_disk_writes();
		ask_all(w, row);
		failures = 0;
		for (int i = 0; i < 4; i++) {
			assert_true(w->told[i].error == 0 || w->told[i].error == want);
			failures += w->told[i].error != 0;
		}
		/* Until it is not reached any more. */
		failures |= store_disk_writes() - before > n;
		check_all(w, row);
	}
	assert_true(n > 10);
}

static void test_full_at_each_write(void **state)
{
	fail_everywhere(*state, STORE_DISK_FULL, -ENOSPC);
}

static void test_broken_at_each_write(void **state)
{
	fail_everywhere(*state, STORE_DISK_BROKEN, -EIO);
}

static bool is_aside(const struct world *w)
{
	return access(world_path(w, "store.db.corrupt-1"), F_OK) == 0;
}

/* The first start of all fails at each write in turn; the next one begins where it was. */
static void test_first_start_fails(void **state)
{
	static const enum store_disk hows[] = {STORE_DISK_FULL, STORE_DISK_BROKEN};
	struct world *w = *state;

	for (int i = 0; i < 2; i++) {
		long n = 0;

		while (world_empty(w->dir), store_disk_set_after(n++, hows[i]), world_try(w) != 0) {
			assert_true(w->error[0]);
			store_disk_set(STORE_DISK_FINE);
			world_open(w);
			assert_false(is_aside(w));
			world_close(w);
		}
		store_disk_set(STORE_DISK_FINE);
		world_close(w);
		assert_true(n > 3);
	}
}

static void start_and_die(struct world *w, long writes)
{
	store_disk_set_after(writes, STORE_DISK_DEATH);
	w->loop = loop_new();
	_exit(world_try(w) == 0 ? 0 : 1);
}

static void test_first_start_is_killed(void **state)
{
	struct world *w = *state;
	int status = 1;
	long n;

	for (n = 0; status; n++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0)
			start_and_die(w, n);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
		world_open(w);
		assert_false(is_aside(w));
		world_add_message(w, 1, 100);
		assert_int_equal(world_last_error(w), 0);
		world_close(w);
		world_empty(w->dir);
	}
	assert_true(n > 3);
}

static void test_quota(void **state)
{
	struct world *w = *state;
	struct rlimit before, less;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	world_open(w);
	less = (struct rlimit){.rlim_cur = 512 * 1024, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &less), 0);
	world_add_message(w, 1, 1024 * 1024);
	assert_int_equal(world_last_error(w), -ENOSPC);
	world_add_message(w, 2, 10);
	assert_int_equal(world_last_error(w), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	world_add_message(w, 3, 1024 * 1024);
	assert_int_equal(world_last_error(w), 0);
}

/* A disk that is really full, by ourselves. */

static uint64_t fill(struct world *w, uint64_t row, size_t len)
{
	do
		world_add_message(w, row++, len);
	while (world_last_error(w) == 0);
	assert_int_equal(world_last_error(w), -ENOSPC);
	return row - 2;
}

/* One that does not fit does not take the others with it. */
static void check_unrelated(struct world *w, uint64_t row)
{
	uint8_t *payload = payload_of(row, 4 << 20);
	struct record_message first = message_of(row, payload, 10), large = message_of(row + 1, payload, 4 << 20),
			      last = message_of(row + 2, payload, 10);

	world_forget(w);
	store_add_message(w->store, &first);
	store_add_message(w->store, &large);
	store_add_message(w->store, &last);
	world_await(w, 3);
	assert_int_equal(w->told[0].error, 0);
	assert_int_equal(w->told[1].error, -ENOSPC);
	assert_int_equal(w->told[2].error, 0);
	store_del_message(w->store, row);
	store_del_message(w->store, row + 2);
	free(payload);
}

static void fill_and_empty(struct world *w, size_t large, size_t small)
{
	uint64_t last, kept;

	world_open(w);
	check_unrelated(w, 3000);
	world_forget(w);
	kept = fill(w, 3100, large) - 3099;
	assert_true(kept >= 5);
	last = fill(w, 3200, small);
	world_reopen(w);
	assert_int_equal(w->found_messages, kept + last - 3199);
	/* What it does at its start is over: nothing tidies up between the deletions and the addition. */
	world_sync(w);
	/* On the full disk all can be deleted, and then there is room again. */
	for (uint64_t row = 3100; row <= last; row++)
		store_del_message(w->store, row);
	world_sync(w);
	world_add_message(w, 3900, 100000);
	assert_int_equal(world_last_error(w), 0);
	world_reopen(w);
	assert_int_equal(w->found_messages, 1);
	assert_true(fill(w, 4000, 100000) - 3999 >= kept / 2);
	world_close(w);
	world_open(w);
	world_close(w);
	world_empty(w->dir);
}

static void test_small_disk(void **state)
{
	/* Each leaves other room beside the file. */
	static const size_t sizes[][2] = {{100000, 1000}, {80000, 2500}, {100000, 500}, {150000, 8000}};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		if (!mount_small(w->dir))
			skip();
		fill_and_empty(w, sizes[i][0], sizes[i][1]);
		assert_int_equal(umount(w->dir), 0);
	}
}

/* The end of the program does not wait for a disk that does not answer, and nothing is committed after it. */
static void test_stuck(void **state)
{
	struct world *w = *state;
	uint8_t *payload = payload_of(2, 200000);
	const struct record_order o = order_of(2, payload, 200000);
	long before;

	world_open(w);
	world_add_order(w, 1, 10);
	before = store_disk_writes();
	store_disk_set(STORE_DISK_STUCK);
	store_add_order(w->store, &o);
	store_flush(w->store);
	world_close(w);
	free(payload);
	assert_true(store_disk_writes() > before);
	store_disk_set(STORE_DISK_FINE);
	/* Its lock says when the thread has gone. */
	while (world_try(w) == -EBUSY)
		sched_yield();
	assert_int_equal(w->found_orders, 1);
	assert_true(w->found[1].order);
}

static int disk_teardown(void **state)
{
	store_disk_set(STORE_DISK_FINE);
	return world_teardown(state);
}

#define disk_test(fn) cmocka_unit_test_setup_teardown(fn, world_setup, disk_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		disk_test(test_full_then_room),
		disk_test(test_silent_ones_are_tried_again),
		disk_test(test_full_at_each_write),
		disk_test(test_broken_at_each_write),
		disk_test(test_first_start_fails),
		disk_test(test_first_start_is_killed),
		disk_test(test_quota),
		disk_test(test_small_disk),
		disk_test(test_stuck),
	};

	store_disk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
