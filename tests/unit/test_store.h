/* SPDX-License-Identifier: Apache-2.0 */
/* A store in a folder of its own, and what it has told. Bytes of a payload follow from its row. */
#ifndef TESTS_UNIT_TEST_STORE_H
#define TESTS_UNIT_TEST_STORE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* After the four above, as it wants. */
#include "controld/store/store.h"
#include "tests/support/until.h"
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WORLD_ROWS = 4096, WORLD_NOW_S = 1800000000 };

enum told_kind { TOLD_ORDER = 'o', TOLD_MESSAGE = 'm', TOLD_LOADED = 'l' };

struct told {
	enum told_kind kind;
	uint64_t row;
	int error;
	uint8_t *payload; /* owned */
	size_t len;
};

struct found {
	bool order, ended, message, past;
	uint8_t state;
	size_t len;
};

/* Of the peer with that number. */
struct found_peer {
	int64_t last_ns; /* of its pin; 0: none */
	int mode; /* 1 more; 0: none */
};

struct world {
	struct loop *loop;
	struct store *store;
	char dir[128], error[STORE_ERROR_BYTES];
	int64_t now_s;
	size_t found_orders, found_messages, found_past, found_pins, found_modes;
	uint64_t last_found; /* row, to see the order */
	struct found found[WORLD_ROWS]; /* by row */
	struct found_peer peers[WORLD_ROWS]; /* by number; further ones are only counted */
	struct told told[WORLD_ROWS];
	size_t told_count, told_want, settled;
};

static inline uint8_t byte_of(uint64_t row, size_t at)
{
	return (uint8_t)(row * 31 + at * 7 + at / 251 + at / 65536);
}

static inline uint8_t *payload_of(uint64_t row, size_t len)
{
	uint8_t *p = malloc(len ? len : 1);

	assert_non_null(p);
	for (size_t i = 0; i < len; i++)
		p[i] = byte_of(row, i);
	return p;
}

static inline void assert_payload(uint64_t row, const uint8_t *payload, size_t len)
{
	size_t same = 0;

	if (!len)
		assert_null(payload);
	while (same < len && payload[same] == byte_of(row, same))
		same++;
	assert_int_equal(same, len);
}

/* Every field follows from the row, so that it can be checked. */
static inline struct record_order order_of(uint64_t row, uint8_t *payload, size_t len)
{
	static uint8_t topic[255];
	struct record_order o = {.row = row,
				 .reply = row % 2,
				 .state = 0,
				 .topic_len = (uint8_t)(row * 51),
				 .topic = topic,
				 .payload = payload,
				 .len = len,
				 .created_s = WORLD_NOW_S - (int64_t)(row % 100),
				 .deadline_s = 300};

	memset(topic, 't', sizeof(topic));
	memset(o.id, (int)(row % 256), sizeof(o.id));
	memset(o.dst.b, (int)(row % 256) ^ 0x55, sizeof(o.dst.b));
	return o;
}

static inline struct record_message message_of(uint64_t row, const uint8_t *payload, size_t len)
{
	static uint8_t topic[255];
	struct record_message m = {.row = row,
				   .reply = row % 2,
				   .topic_len = (uint8_t)(row * 51),
				   .topic = topic,
				   .payload = payload,
				   .len = len,
				   .chunks = (uint32_t)row * 3,
				   .arrived_s = WORLD_NOW_S - 1};

	memset(topic, 'T', sizeof(topic));
	memset(m.id, (int)(row % 256), sizeof(m.id));
	memset(m.src.b, (int)(row % 256) ^ 0x11, sizeof(m.src.b));
	memset(m.dst.b, (int)(row % 256) ^ 0x22, sizeof(m.dst.b));
	memset(m.public_key, (int)(row % 256) ^ 0x33, sizeof(m.public_key));
	memset(m.checksum, (int)(row % 256) ^ 0x44, sizeof(m.checksum));
	return m;
}

/* Numbers of both signs. */
static inline uint64_t net_of(uint64_t number)
{
	return number % 2 ? number : ~number;
}

static inline uint64_t number_of(uint64_t net64)
{
	return net64 >> 63 ? ~net64 : net64;
}

/* Its fields follow from the number, and from last_ns. */
static inline struct record_pin pin_of(uint64_t number, int64_t last_ns)
{
	struct record_pin p = {.net64 = net_of(number), .first_ns = (int64_t)number * 1000, .last_ns = last_ns};

	memset(p.public_key, (int)(number % 256) ^ 0x66, sizeof(p.public_key));
	memcpy(p.public_key, &last_ns, sizeof(last_ns));
	return p;
}

static inline struct record_mode mode_of(uint64_t number, uint8_t mode)
{
	struct record_mode m = {.net64 = net_of(number), .mode = mode};

	memset(m.public_key, (int)(number % 256) ^ 0x77 ^ mode, sizeof(m.public_key));
	return m;
}

static inline struct found *found_row(struct world *w, uint64_t row)
{
	assert_true(row > 0 && row < WORLD_ROWS);
	return &w->found[row];
}

static inline void on_found_order(void *ctx, const struct record_order *o)
{
	struct record_order want = order_of(o->row, NULL, o->len);
	struct world *w = ctx;
	struct found *f = found_row(w, o->row);

	assert_true(o->row > w->last_found);
	w->last_found = o->row;
	assert_memory_equal(o->id, want.id, sizeof(want.id));
	assert_memory_equal(&o->dst, &want.dst, sizeof(want.dst));
	assert_int_equal(o->reply, want.reply);
	assert_int_equal(o->topic_len, want.topic_len);
	assert_true(!want.topic_len || memcmp(o->topic, want.topic, want.topic_len) == 0);
	assert_int_equal(o->created_s, want.created_s);
	assert_int_equal(o->deadline_s, want.deadline_s);
	*f = (struct found){.order = true, .ended = o->state != 0, .state = o->state, .len = o->len};
	if (f->ended)
		assert_null(o->payload);
	else
		assert_payload(o->row, o->payload, o->len);
	free(o->payload);
	w->found_orders++;
}

static inline void check_message(const struct record_message *m)
{
	struct record_message want = message_of(m->row, NULL, m->len);

	assert_memory_equal(m->id, want.id, sizeof(want.id));
	assert_memory_equal(&m->src, &want.src, sizeof(want.src));
	assert_memory_equal(&m->dst, &want.dst, sizeof(want.dst));
	assert_memory_equal(m->public_key, want.public_key, sizeof(want.public_key));
	assert_memory_equal(m->checksum, want.checksum, sizeof(want.checksum));
	assert_int_equal(m->reply, want.reply);
	assert_int_equal(m->topic_len, want.topic_len);
	assert_true(!want.topic_len || memcmp(m->topic, want.topic, want.topic_len) == 0);
	assert_int_equal(m->arrived_s, want.arrived_s);
	assert_int_equal(m->chunks, want.chunks);
	assert_null(m->payload);
}

static inline void on_found_message(void *ctx, const struct record_message *m)
{
	struct world *w = ctx;

	check_message(m);
	found_row(w, m->row)->message = true;
	found_row(w, m->row)->len = m->len;
	w->found_messages++;
}

static inline void on_found_past(void *ctx, const struct record_message *m)
{
	struct world *w = ctx;

	check_message(m);
	found_row(w, m->row)->past = true;
	w->found_past++;
}

static inline void on_found_pin(void *ctx, const struct record_pin *p)
{
	const uint64_t number = number_of(p->net64);
	const struct record_pin want = pin_of(number, p->last_ns);
	struct world *w = ctx;

	assert_int_equal(w->found_orders + w->found_messages + w->found_past, 0);
	assert_memory_equal(p->public_key, want.public_key, sizeof(want.public_key));
	assert_int_equal(p->first_ns, want.first_ns);
	if (number < WORLD_ROWS)
		w->peers[number].last_ns = p->last_ns;
	w->found_pins++;
}

static inline void on_found_mode(void *ctx, const struct record_mode *m)
{
	const uint64_t number = number_of(m->net64);
	const struct record_mode want = mode_of(number, m->mode);
	struct world *w = ctx;

	assert_int_equal(w->found_orders + w->found_messages + w->found_past, 0);
	assert_memory_equal(m->public_key, want.public_key, sizeof(want.public_key));
	if (number < WORLD_ROWS)
		w->peers[number].mode = m->mode + 1;
	w->found_modes++;
}

static inline void tell(struct world *w, struct told t)
{
	assert_true(w->told_count < WORLD_ROWS);
	w->told[w->told_count++] = t;
}

static inline void on_order_stored(void *ctx, uint64_t row, int error)
{
	tell(ctx, (struct told){.kind = TOLD_ORDER, .row = row, .error = error});
}

static inline void on_message_stored(void *ctx, uint64_t row, int error)
{
	tell(ctx, (struct told){.kind = TOLD_MESSAGE, .row = row, .error = error});
}

static inline void on_loaded(void *ctx, uint64_t row, int error, uint8_t *payload, size_t len)
{
	tell(ctx, (struct told){.kind = TOLD_LOADED, .row = row, .error = error, .payload = payload, .len = len});
}

static inline void on_settled(void *ctx)
{
	struct world *w = ctx;

	w->settled++;
}

static const struct store_ops world_ops = {
	.found_pin = on_found_pin,
	.found_mode = on_found_mode,
	.found_order = on_found_order,
	.found_message = on_found_message,
	.found_past = on_found_past,
	.order_stored = on_order_stored,
	.message_stored = on_message_stored,
	.loaded = on_loaded,
	.settled = on_settled,
};

static inline int world_try(struct world *w)
{
	w->found_orders = w->found_messages = w->found_past = w->found_pins = w->found_modes = 0;
	w->last_found = 0;
	memset(w->peers, 0, sizeof(w->peers));
	memset(w->found, 0, sizeof(w->found));
	return store_open(w->loop, &(const struct store_config){.dir = w->dir[0] ? w->dir : NULL, .now_s = w->now_s},
			  &world_ops, w, &w->store, w->error);
}

static inline void world_open(struct world *w)
{
	const int e = world_try(w);

	if (e)
		print_error("%s\n", w->error);
	assert_int_equal(e, 0);
}

static inline void world_forget(struct world *w)
{
	for (size_t i = 0; i < w->told_count; i++)
		free(w->told[i].payload);
	w->told_count = 0;
}

static inline void world_close(struct world *w)
{
	store_free(w->store);
	w->store = NULL;
	world_forget(w);
}

static inline void world_reopen(struct world *w)
{
	world_close(w);
	world_open(w);
}

static inline bool world_told(void *ctx)
{
	struct world *w = ctx;

	return w->told_count >= w->told_want;
}

/* Flushes and waits for so many completions since they were last forgotten. */
static inline void world_await(struct world *w, size_t count)
{
	store_flush(w->store);
	w->told_want = count;
	assert_true(until(w->loop, world_told, w));
	assert_int_equal(w->told_count, count);
}

/* Without completions there is nothing to wait for; but what is loaded after them is loaded after they were done. */
static inline void world_sync(struct world *w)
{
	store_load_message(w->store, WORLD_ROWS);
	world_await(w, w->told_count + 1);
	assert_int_equal(w->told[w->told_count - 1].error, -ENOENT);
}

static inline void world_add_order(struct world *w, uint64_t row, size_t len)
{
	uint8_t *payload = payload_of(row, len);
	struct record_order o = order_of(row, payload, len);

	store_add_order(w->store, &o);
	world_await(w, w->told_count + 1);
	free(payload);
}

static inline void world_add_message(struct world *w, uint64_t row, size_t len)
{
	uint8_t *payload = payload_of(row, len);
	struct record_message m = message_of(row, payload, len);

	store_add_message(w->store, &m);
	world_await(w, w->told_count + 1);
	free(payload);
}

static inline void world_set_pin(struct world *w, uint64_t number, int64_t last_ns)
{
	const struct record_pin p = pin_of(number, last_ns);

	store_set_pin(w->store, &p);
}

static inline void world_set_mode(struct world *w, uint64_t number, uint8_t mode)
{
	const struct record_mode m = mode_of(number, mode);

	store_set_mode(w->store, &m);
}

static inline int world_last_error(const struct world *w)
{
	return w->told[w->told_count - 1].error;
}

static inline const char *world_path(const struct world *w, const char *name)
{
	static char path[320];

	snprintf(path, sizeof(path), "%s/%s", w->dir, name);
	return path;
}

static inline struct world *world_new(void)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->loop = loop_new();
	w->now_s = WORLD_NOW_S;
	/* In memory where there is such a place: nothing here is about power failures, and syncing takes its time. */
	snprintf(w->dir, sizeof(w->dir), "%s/test_store-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(w->dir));
	return w;
}

/* Removes the files of a folder and the folders in it, one deep. */
static inline void world_empty(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char path[512];

	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && unlink(path) < 0)
			assert_int_equal(rmdir(path), 0);
	}
	if (d)
		closedir(d);
}

static inline void world_free(struct world *w)
{
	world_close(w);
	loop_free(w->loop);
	world_empty(w->dir);
	rmdir(w->dir);
	free(w);
}

/* A disk of 3 MiB in the place of the folder; false without the right to. */
static inline bool mount_small(const char *dir)
{
	return geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
	       mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("none", dir, "tmpfs", 0, "size=3m,mode=0700") == 0;
}

static inline int world_setup(void **state)
{
	*state = world_new();
	return 0;
}

static inline int world_teardown(void **state)
{
	world_free(*state);
	return 0;
}

#define world_test(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

#endif
