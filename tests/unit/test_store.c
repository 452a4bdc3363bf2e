/* SPDX-License-Identifier: Apache-2.0 */
/* The store while all goes well: what is kept, in which order it is told, how long, and whose folder it is. */
#include "tests/unit/test_store.h"

#include "shared/limits.h"
#include <sqlite3.h>

static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 1024 * 1024 + 1};
enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

static void test_orders_survive(void **state)
{
	struct world *w = *state;

	world_open(w);
	for (int i = 0; i < SIZES; i++)
		world_add_order(w, 10 + (uint64_t)i, sizes[i]);
	for (int i = 0; i < SIZES; i++)
		assert_int_equal(w->told[i].error, 0);
	assert_true(w->settled > 0);
	world_reopen(w);
	assert_int_equal(w->found_orders, SIZES);
	for (int i = 0; i < SIZES; i++)
		assert_int_equal(w->found[10 + i].len, sizes[i]);
}

static void test_messages_survive(void **state)
{
	struct world *w = *state;

	world_open(w);
	for (int i = 0; i < SIZES; i++)
		world_add_message(w, 1 + (uint64_t)i, sizes[i]);
	world_reopen(w);
	assert_int_equal(w->found_messages, SIZES);
	assert_int_equal(w->found_past, SIZES);
	for (int i = 0; i < SIZES; i++) {
		assert_int_equal(w->found[1 + i].len, sizes[i]);
		store_load_message(w->store, 1 + (uint64_t)i);
	}
	world_await(w, SIZES);
	for (int i = 0; i < SIZES; i++) {
		assert_int_equal(w->told[i].kind, TOLD_LOADED);
		assert_int_equal(w->told[i].row, 1 + i);
		assert_int_equal(w->told[i].error, 0);
		assert_int_equal(w->told[i].len, sizes[i]);
		assert_payload(1 + (uint64_t)i, w->told[i].payload, sizes[i]);
	}
}

static void test_ended_keeps_status_only(void **state)
{
	struct world *w = *state;

	world_open(w);
	for (int i = 0; i < SIZES; i++) {
		world_add_order(w, 1 + (uint64_t)i, sizes[i]);
		store_end_order(w->store, 1 + (uint64_t)i, 2);
	}
	/* It may become another one later: a receipt, then read. */
	store_end_order(w->store, 1, 3);
	world_reopen(w);
	assert_int_equal(w->found_orders, SIZES);
	for (int i = 0; i < SIZES; i++) {
		assert_true(w->found[1 + i].ended);
		assert_int_equal(w->found[1 + i].state, i == 0 ? 3 : 2);
		assert_int_equal(w->found[1 + i].len, sizes[i]);
	}
}

static void test_deleted(void **state)
{
	struct world *w = *state;

	world_open(w);
	for (uint64_t row = 1; row <= 4; row++) {
		world_add_order(w, row, 70000);
		world_add_message(w, row, 70000);
	}
	store_del_order(w->store, 2);
	store_end_order(w->store, 3, 4);
	store_del_order(w->store, 3);
	store_del_message(w->store, 1);
	/* What is not there is no trouble. */
	store_del_order(w->store, 2);
	store_del_message(w->store, 99);
	store_end_order(w->store, 99, 4);
	store_load_message(w->store, 1);
	world_await(w, 9);
	assert_int_equal(world_last_error(w), -ENOENT);
	assert_string_equal(store_trouble(w->store), "");
	world_reopen(w);
	assert_int_equal(w->found_orders, 2);
	assert_true(w->found[1].order && w->found[4].order);
	assert_int_equal(w->found_messages, 3);
	assert_false(w->found[1].message);
	/* It is remembered as completed. */
	assert_true(w->found[1].past);
}

/* A message is told as past for so long, and while it is in the inbox it is told for ever. */
static void test_past_is_forgotten(void **state)
{
	struct world *w = *state;

	world_open(w);
	world_add_message(w, 1, 10);
	world_add_message(w, 2, 10);
	store_del_message(w->store, 1);
	w->now_s = WORLD_NOW_S - 1 + LIMIT_MESSAGE_DONE_MS / 1000 - 1;
	world_reopen(w);
	assert_int_equal(w->found_past, 2);
	assert_int_equal(w->found_messages, 1);
	w->now_s++;
	world_reopen(w);
	assert_int_equal(w->found_past, 0);
	assert_int_equal(w->found_messages, 1);
	assert_int_equal(store_last_message(w->store), 2);
}

static void test_status_is_forgotten(void **state)
{
	struct world *w = *state;

	world_open(w);
	world_add_order(w, 100, 10);
	world_add_order(w, 200, 10);
	store_end_order(w->store, 100, 2);
	w->now_s = WORLD_NOW_S + 300 + LIMIT_MESSAGE_STATUS_S - 1;
	world_reopen(w);
	assert_int_equal(w->found_orders, 2);
	w->now_s++;
	world_reopen(w);
	/* The other has not ended: it is told, however late. */
	assert_int_equal(w->found_orders, 1);
	assert_true(w->found[200].order);
	assert_int_equal(store_last_order(w->store), 200);
}

static void test_completions_in_order(void **state)
{
	struct world *w = *state;
	uint8_t *large = payload_of(7, 9 * 1024 * 1024);
	struct record_message m = message_of(7, large, 9 * 1024 * 1024);
	const struct record_order first = order_of(1, large, 5), last = order_of(2, large, 0);

	world_open(w);
	store_add_order(w->store, &first);
	store_load_message(w->store, 7);
	store_add_message(w->store, &m);
	store_load_message(w->store, 7);
	store_del_message(w->store, 7);
	store_load_message(w->store, 7);
	store_add_order(w->store, &last);
	world_await(w, 6);
	assert_int_equal(w->told[0].kind, TOLD_ORDER);
	assert_int_equal(w->told[0].row, 1);
	assert_int_equal(w->told[1].error, -ENOENT);
	assert_int_equal(w->told[2].kind, TOLD_MESSAGE);
	assert_int_equal(w->told[3].error, 0);
	assert_payload(7, w->told[3].payload, w->told[3].len);
	assert_int_equal(w->told[4].error, -ENOENT);
	assert_int_equal(w->told[5].row, 2);
	free(large);
}

/* One of a turn fails; the others do not. */
static void test_failure_is_its_own(void **state)
{
	struct world *w = *state;
	uint8_t *payload = payload_of(3, 3);
	const struct record_order again = order_of(1, payload, 0), good = order_of(3, payload, 3);
	const struct record_message fine = message_of(4, payload, 0);

	world_open(w);
	world_add_order(w, 1, 0);
	store_add_order(w->store, &good);
	store_add_order(w->store, &again); /* a row twice: the file refuses it */
	store_load_message(w->store, 4);
	store_add_message(w->store, &fine);
	store_load_message(w->store, 4);
	world_await(w, 6);
	assert_int_equal(w->told[1].error, 0);
	assert_int_equal(w->told[2].error, -EIO);
	assert_int_equal(w->told[3].error, -ENOENT);
	assert_int_equal(w->told[4].error, 0);
	assert_int_equal(w->told[5].error, 0);
	world_reopen(w);
	assert_int_equal(w->found_orders, 2);
	assert_int_equal(w->found_messages, 1);
	free(payload);
}

/* What waits is capped; what is refused keeps its place in the order. */
static void test_queue_is_capped(void **state)
{
	struct world *w = *state;
	static uint8_t byte;
	struct record_message small = message_of(1, &byte, 0), huge = message_of(2, &byte, 0);

	world_open(w);
	huge.len = (size_t)LIMIT_STORE_QUEUE_BYTES + 1;
	store_add_message(w->store, &small);
	store_add_message(w->store, &huge);
	small.row = 3;
	store_add_message(w->store, &small);
	world_await(w, 3);
	assert_int_equal(w->told[0].error, 0);
	assert_int_equal(w->told[1].error, -ENOSPC);
	assert_int_equal(w->told[1].row, 2);
	assert_int_equal(w->told[2].error, 0);
}

static void test_epoch_and_rows(void **state)
{
	uint8_t epoch[RECORD_EPOCH_BYTES], zeros[RECORD_EPOCH_BYTES] = {0};
	struct world *w = *state;

	world_open(w);
	memcpy(epoch, store_epoch(w->store), sizeof(epoch));
	assert_memory_not_equal(epoch, zeros, sizeof(zeros));
	assert_int_equal(store_last_order(w->store), 0);
	assert_int_equal(store_last_message(w->store), 0);
	world_add_order(w, 41, 1);
	world_add_message(w, 17, 1);
	store_del_order(w->store, 41);
	world_reopen(w);
	assert_memory_equal(store_epoch(w->store), epoch, sizeof(epoch));
	assert_int_equal(store_last_order(w->store), 41);
	assert_int_equal(store_last_message(w->store), 17);
	assert_true(store_bytes(w->store) > 4096);
}

static void test_memory_only(void **state)
{
	struct world *w = *state;
	char dir[sizeof(w->dir)];

	memcpy(dir, w->dir, sizeof(dir));
	w->dir[0] = '\0';
	world_open(w);
	world_add_message(w, 5, 100000);
	world_add_order(w, 5, 100000);
	store_load_message(w->store, 5);
	world_await(w, 3);
	assert_payload(5, w->told[2].payload, w->told[2].len);
	assert_int_equal(store_bytes(w->store), 0);
	world_reopen(w);
	assert_int_equal(w->found_orders + w->found_messages, 0);
	memcpy(w->dir, dir, sizeof(dir));
}

/* The folder. */

static void test_folder_is_made(void **state)
{
	struct world *w = *state;
	char base[sizeof(w->dir)], middle[sizeof(w->dir)];
	struct stat st;

	memcpy(base, w->dir, sizeof(base));
	strcat(w->dir, "/a");
	memcpy(middle, w->dir, sizeof(middle));
	strcat(w->dir, "/b");
	world_open(w);
	assert_int_equal(stat(w->dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	for (int i = 0; i < 3; i++) {
		static const char *const names[] = {"store.db", "store.lock", "store.reserve"};

		assert_int_equal(stat(world_path(w, names[i]), &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
	}
	world_close(w);
	world_empty(w->dir);
	assert_int_equal(rmdir(w->dir), 0);
	assert_int_equal(rmdir(middle), 0);
	memcpy(w->dir, base, sizeof(base));
}

static void test_folder_is_judged(void **state)
{
	struct world *w = *state;
	char dir[sizeof(w->dir)];

	assert_int_equal(chmod(w->dir, 0770), 0);
	assert_int_equal(world_try(w), -EPERM);
	assert_non_null(strstr(w->error, "chmod 700"));
	assert_int_equal(chmod(w->dir, 0755), 0);
	assert_int_equal(world_try(w), 0);
	world_close(w);
	if (geteuid() == 0) {
		assert_int_equal(chown(w->dir, 12345, 0), 0);
		assert_int_equal(world_try(w), -EPERM);
		assert_non_null(strstr(w->error, "12345"));
		assert_int_equal(chown(w->dir, 0, 0), 0);
	}
	memcpy(dir, w->dir, sizeof(dir));
	strcat(w->dir, "/store.db");
	assert_int_equal(world_try(w), -ENOTDIR);
	memcpy(w->dir, dir, sizeof(dir));
}

/* A second process. The lock is the folder's, so another store of this process stands for it. */
static void test_folder_is_one_nodes(void **state)
{
	struct world *w = *state;
	struct store *other = NULL;
	char error[STORE_ERROR_BYTES];

	world_open(w);
	assert_int_equal(store_open(w->loop, &(const struct store_config){.dir = w->dir, .now_s = w->now_s}, &world_ops,
				    w, &other, error),
			 -EBUSY);
	assert_non_null(strstr(error, w->dir));
	assert_non_null(strstr(error, "--state-dir"));
	world_add_message(w, 1, 1);
	assert_int_equal(world_last_error(w), 0);
	store_free(NULL);
}

/* Somebody looks into the file with another program, and does not let go. */
static void test_file_is_ours_alone(void **state)
{
	struct world *w = *state;
	sqlite3 *other;

	world_open(w);
	assert_int_equal(sqlite3_open(world_path(w, "store.db"), &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "SELECT * FROM meta", NULL, NULL, NULL), SQLITE_BUSY);
	world_close(w);
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(world_try(w), -EBUSY);
	assert_non_null(strstr(w->error, "store.db: another program"));
	sqlite3_close(other);
	world_open(w);
	assert_int_not_equal(access(world_path(w, "store.db.corrupt-1"), F_OK), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(test_orders_survive),
		world_test(test_messages_survive),
		world_test(test_ended_keeps_status_only),
		world_test(test_deleted),
		world_test(test_past_is_forgotten),
		world_test(test_status_is_forgotten),
		world_test(test_completions_in_order),
		world_test(test_failure_is_its_own),
		world_test(test_queue_is_capped),
		world_test(test_epoch_and_rows),
		world_test(test_memory_only),
		world_test(test_folder_is_made),
		world_test(test_folder_is_judged),
		world_test(test_folder_is_one_nodes),
		world_test(test_file_is_ours_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
