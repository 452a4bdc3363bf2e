/* SPDX-License-Identifier: Apache-2.0 */
/* The control thread of fastpath, whole, in a child; the test is its controld: what is refused, and what reaches the
 * workers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include "shared/base/siphash.h"
#include "tests/support/ctlchild.h"
#include "tests/unit/control_worker.h"
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static int setup(void **state)
{
	static struct ctlchild w;

	ctlchild_begin(&w, 60000, 60000);
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	return ctlchild_end(*state);
}

static void a_fresh_one_greets_and_stops(void **state)
{
	struct ctlchild *w = *state;

	ctlpeer_connect(&w->a, w->path);
	ctlpeer_sync(&w->a);
	ctlchild_greet(&w->a);
	ctlpeer_sync(&w->a);
	ctlchild_stop(w, &w->a);
	assert_int_equal(access(w->path, F_OK), 0);
}

static void another_version_is_answered(void **state)
{
	struct ctlchild *w = *state;

	ctlpeer_connect(&w->a, w->path);
	ctlpeer_hello(&w->a, CTL_VERSION + 1);
	ctlpeer_next(&w->a, CTL_HELLO);
	ctlpeer_next(&w->a, CTL_READY);
	ctlchild_stop(w, &w->a);
}

static void wrong_memory_is_refused(struct ctlpeer *c)
{
	struct lanes *l;
	int fd = ctlchild_memory(sizeof(*l), false, &l);

	ctlchild_put_memory(c, fd, 1);
	munmap(l, sizeof(*l));
	close(fd);
	fd = ctlchild_memory(sizeof(*l) + 4096, true, &l);
	ctlchild_put_memory(c, fd, 1);
	munmap(l, sizeof(*l));
	close(fd);
	fd = ctlchild_memory(sizeof(*l), true, &l);
	ctlchild_put_memory(c, fd, 9);
	l->header.version++;
	ctlchild_put_memory(c, fd, 1);
	ctlpeer_sync(c);
	munmap(l, sizeof(*l));
	close(fd);
}

static void wrong_configs_are_refused(struct ctlpeer *c)
{
	struct ctl_config config[6];

	for (int i = 0; i < 6; i++)
		config[i] = ctlchild_config();
	config[0].network = 7;
	config[1].workers = 0;
	config[2].workers = LIMIT_WORKERS + 1;
	config[3].tun_mtu = LIMIT_TUN_MTU_MIN - 1;
	config[4].pool_chunks = LIMIT_POOL_CHUNKS + 1;
	config[5].log_level = LOG_DEBUG + 1;
	for (int i = 0; i < 6; i++)
		ctlpeer_put(c, CTL_CONFIG, &config[i], sizeof(config[i]));
}

/* A second HELLO on the connection is refused, so whether it runs is asked by a new one. */
static bool is_running(struct ctlchild *w)
{
	bool running;

	ctlpeer_sync(&w->a);
	ctlpeer_hang_up(&w->a);
	ctlpeer_connect(&w->a, w->path);
	ctlpeer_hello(&w->a, CTL_VERSION);
	running = ((const struct ctl_ready *)ctlpeer_await(&w->a, CTL_READY)->body)->running;
	return running;
}

static void what_does_not_fit_is_refused(void **state)
{
	struct ctlchild *w = *state;
	const struct ctl_config config = ctlchild_config();

	ctlpeer_connect(&w->a, w->path);
	ctlpeer_put(&w->a, CTL_CONFIG, &config, sizeof(config));
	ctlchild_put_memory(&w->a, w->memory_fd, 1);
	ctlchild_put_tuns(w, &w->a);
	ctlchild_put_start(&w->a);
	ctlchild_greet(&w->a);
	ctlchild_put_start(&w->a);
	wrong_configs_are_refused(&w->a);
	ctlchild_put_memory(&w->a, w->memory_fd, 1);
	ctlchild_put_start(&w->a);
	assert_false(is_running(w));
	ctlpeer_put(&w->a, CTL_CONFIG, &config, sizeof(config));
	ctlchild_put_start(&w->a);
	assert_false(is_running(w));
	ctlchild_put_tuns(w, &w->a);
	ctlchild_put_start(&w->a);
	assert_true(is_running(w));
	/* Now they run: too late for these. */
	ctlchild_put_tuns(w, &w->a);
	ctlchild_put_memory(&w->a, w->memory_fd, 1);
	ctlchild_put_start(&w->a);
	ctlpeer_sync(&w->a);
	ctlchild_stop(w, &w->a);
}

static void memory_is_looked_at(void **state)
{
	struct ctlchild *w = *state;
	const struct ctl_config config = ctlchild_config();

	ctlpeer_connect(&w->a, w->path);
	ctlchild_greet(&w->a);
	ctlpeer_put(&w->a, CTL_CONFIG, &config, sizeof(config));
	ctlchild_put_tuns(w, &w->a);
	wrong_memory_is_refused(&w->a);
	ctlchild_put_start(&w->a);
	assert_false(is_running(w));
	ctlchild_put_memory(&w->a, w->memory_fd, 1);
	ctlchild_put_start(&w->a);
	assert_true(is_running(w));
}

static void before_start_nothing_else_works(void **state)
{
	struct ctlchild *w = *state;
	const struct ctl_adopt body = {.link = 3};
	const struct ctl_key key = {.net64 = 1};
	const struct ctl_route r = ctlchild_route("200:1::/64", 1);
	const struct ctl_route_del del = {.prefix_len = 64};

	ctlpeer_connect(&w->a, w->path);
	ctlchild_greet(&w->a);
	ctlpeer_put(&w->a, CTL_ROUTE, &r, sizeof(r));
	ctlpeer_put(&w->a, CTL_ROUTE_DEL, &del, sizeof(del));
	ctlpeer_put(&w->a, CTL_KEY, &key, sizeof(key));
	ctlpeer_put(&w->a, CTL_NO_KEY, &(const struct ctl_no_key){1}, sizeof(struct ctl_no_key));
	ctlchild_put_tlv(&w->a, 1, CTLCHILD_ECHO, "x", 1);
	ctlpeer_put(&w->a, CTL_LINK_CLOSE, &(const struct ctl_link_close){.link = 1}, sizeof(struct ctl_link_close));
	ctlpeer_put(&w->a, CTL_LINK_COST, &(const struct ctl_link_cost){.link = 1}, sizeof(struct ctl_link_cost));
	assert_true(ctlsock_put_fd(w->a.s, CTL_ADOPT, &body, sizeof(body), w->tun[0][0]));
	assert_int_equal(((const struct ctl_link_down *)ctlpeer_await(&w->a, CTL_LINK_DOWN)->body)->link, 3);
	ctlpeer_sync(&w->a);
	ctlchild_stop(w, &w->a);
}

static void links_come_and_go(void **state)
{
	struct ctlchild *w = *state;
	const struct ctl_adopt again = {.link = 5}, same_slot = {.link = 5 + LIMIT_LINK_SLOTS};
	const struct ctlseen *s;
	int fd;

	ctlpeer_connect(&w->a, w->path);
	ctlchild_start(w, &w->a);
	fd = ctlchild_adopt(&w->a, 5);
	s = ctlpeer_await(&w->a, CTL_LINK_RTT);
	assert_int_equal(((const struct ctl_link_rtt *)s->body)->rtt_us, 1000 + 5 % CTLCHILD_WORKERS);
	/* The same link again is no news; another one in its slot is turned away. */
	assert_true(ctlsock_put_fd(w->a.s, CTL_ADOPT, &again, sizeof(again), fd));
	assert_true(ctlsock_put_fd(w->a.s, CTL_ADOPT, &same_slot, sizeof(same_slot), fd));
	s = ctlpeer_await(&w->a, CTL_LINK_DOWN);
	assert_int_equal(((const struct ctl_link_down *)s->body)->link, same_slot.link);
	assert_int_equal(((const struct ctl_link_down *)s->body)->reason, CTL_DOWN_REFUSED);
	ctlchild_put_tlv(&w->a, 5, CTLCHILD_ECHO, "abc", 3);
	s = ctlpeer_await(&w->a, CTL_TLV);
	assert_int_equal(s->len, sizeof(struct ctl_tlv) + 5);
	assert_memory_equal(s->body + 6, "abc", 3);
	ctlpeer_put(&w->a, CTL_LINK_CLOSE, &(const struct ctl_link_close){.link = 5, .reason = "enough"},
		    sizeof(struct ctl_link_close));
	s = ctlpeer_await(&w->a, CTL_LINK_DOWN);
	assert_int_equal(((const struct ctl_link_down *)s->body)->link, 5);
	assert_string_equal(((const struct ctl_link_down *)s->body)->text, "enough");
	close(fd);
	/* Its slot is free again. */
	close(ctlchild_adopt(&w->a, same_slot.link));
	ctlchild_stop(w, &w->a);
}

static void tlvs_are_exactly_one(void **state)
{
	struct ctlchild *w = *state;
	const struct ctl_tlv tlv = {.link = 2};
	const uint8_t tails[][6] = {{1}, {1, 2, 0}, {1, 1, 0, 1}, {CTLCHILD_ECHO, 4, 1, 2, 3, 4}};
	const size_t lens[] = {1, 3, 4, 6};
	int fd;

	ctlpeer_connect(&w->a, w->path);
	ctlchild_start(w, &w->a);
	fd = ctlchild_adopt(&w->a, 2);
	assert_true(ctlsock_put(w->a.s, CTL_TLV, &tlv, sizeof(tlv), NULL, 0));
	for (int i = 0; i < 4; i++)
		assert_true(ctlsock_put(w->a.s, CTL_TLV, &tlv, sizeof(tlv), tails[i], lens[i]));
	assert_int_equal(ctlpeer_await(&w->a, CTL_TLV)->len, sizeof(tlv) + 6);
	ctlpeer_sync(&w->a);
	assert_false(ctlpeer_has_seen(&w->a, CTL_TLV));
	close(fd);
	ctlchild_stop(w, &w->a);
}

static void routes_reach_the_workers(void **state)
{
	struct ctlchild *w = *state;
	const struct ctl_route bad_len = {.prefix = {{2, 0}}, .prefix_len = 63, .link = 1};
	const struct ctl_route bad_bits = {.prefix = {{[15] = 1}}, .prefix_len = 64, .link = 1};
	struct ctl_route_del del = {.prefix_len = 64};
	int fd;

	ctlpeer_connect(&w->a, w->path);
	ctlchild_start(w, &w->a);
	fd = ctlchild_adopt(&w->a, 1);
	ctlchild_put_route(&w->a, "200:1::/64", 1);
	ctlchild_put_route(&w->a, "200:2::/64", 77);
	ctlchild_put_route(&w->a, "200:3::8/125", 1);
	ctlpeer_put(&w->a, CTL_ROUTE, &bad_len, sizeof(bad_len));
	ctlpeer_put(&w->a, CTL_ROUTE, &bad_bits, sizeof(bad_bits));
	assert_int_equal(ctlchild_link_to(&w->a, 1, "200:1::5"), 1);
	assert_int_equal(ctlchild_link_to(&w->a, 1, "200:2::5"), 0);
	assert_int_equal(ctlchild_link_to(&w->a, 1, "200:3::5"), 0);
	assert_int_equal(ctlchild_link_to(&w->a, 1, "200:3::9"), 1);
	assert_int_equal(ctlchild_link_to(&w->a, 1, "::5"), 0);
	del.prefix = ctlchild_route("200:1::/64", 0).prefix;
	ctlpeer_put(&w->a, CTL_ROUTE_DEL, &del, sizeof(del));
	ctlpeer_put(&w->a, CTL_ROUTE_DEL, &del, sizeof(del));
	assert_int_equal(ctlchild_link_to(&w->a, 1, "200:1::5"), 0);
	close(fd);
	ctlchild_stop(w, &w->a);
}

static uint32_t put_key(struct ctlpeer *c, uint64_t net64, uint8_t owner)
{
	const struct ctl_key key = {.net64 = net64, .public_key = {owner, 1}, .secret = {owner, 2}};
	const struct ctl_want_key *first, *second;

	ctlpeer_put(c, CTL_KEY, &key, sizeof(key));
	first = (const struct ctl_want_key *)ctlpeer_await(c, CTL_WANT_KEY)->body;
	second = (const struct ctl_want_key *)ctlpeer_await(c, CTL_WANT_KEY)->body;
	assert_int_equal(first->net64, net64);
	assert_int_equal(second->net64, net64);
	assert_int_equal(first->reserved + second->reserved, 1);
	assert_int_equal(first->own, second->own);
	return first->own;
}

static void keys_reach_all_workers(void **state)
{
	struct ctlchild *w = *state;
	const uint64_t net64 = UINT64_C(0x0200000100000000);
	const struct ctl_no_key none = {.net64 = 4711};
	uint32_t one, two;

	ctlpeer_connect(&w->a, w->path);
	ctlchild_start(w, &w->a);
	one = put_key(&w->a, net64, 1);
	assert_int_not_equal(one, 0);
	assert_int_equal(put_key(&w->a, net64, 1), one);
	two = put_key(&w->a, net64, 2);
	assert_int_not_equal(two, 0);
	assert_int_not_equal(two, one);
	ctlpeer_put(&w->a, CTL_NO_KEY, &none, sizeof(none));
	for (int i = 0; i < CTLCHILD_WORKERS; i++)
		assert_int_equal(((const struct ctl_want_key *)ctlpeer_await(&w->a, CTL_WANT_KEY)->body)->net64,
				 none.net64);
	ctlchild_stop(w, &w->a);
}

/* The child may lock 64 KiB: far fewer slots than this. */
static void old_keys_make_room(void **state)
{
	struct ctlchild *w = *state;
	uint32_t slot, highest = 0;

	ctlpeer_connect(&w->a, w->path);
	ctlchild_start(w, &w->a);
	for (uint64_t i = 1; i <= 500; i++) {
		slot = put_key(&w->a, i, 1);
		assert_int_not_equal(slot, 0);
		if (slot > highest)
			highest = slot;
	}
	print_message("# 500 keys in %u slots\n", highest);
	ctlchild_stop(w, &w->a);
}

static void config_changes_while_running(void **state)
{
	struct ctlchild *w = *state;
	struct ctl_config config = ctlchild_config();

	ctlpeer_connect(&w->a, w->path);
	ctlchild_start(w, &w->a);
	config.tun_mtu = 1300;
	config.workers = 5;
	config.port = 4321;
	ctlpeer_put(&w->a, CTL_CONFIG, &config, sizeof(config));
	for (int i = 0; i < CTLCHILD_WORKERS; i++)
		assert_int_equal(((const struct ctl_link_rtt *)ctlpeer_await(&w->a, CTL_LINK_RTT)->body)->rtt_us, 1300);
	ctlpeer_hang_up(&w->a);
	ctlpeer_connect(&w->a, w->path);
	ctlpeer_hello(&w->a, CTL_VERSION);
	config = *(const struct ctl_config *)ctlpeer_await(&w->a, CTL_CONFIG)->body;
	assert_int_equal(config.tun_mtu, 1300);
	assert_int_equal(config.workers, CTLCHILD_WORKERS);
	assert_int_equal(config.port, 4321);
	ctlchild_stop(w, &w->a);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_fresh_one_greets_and_stops),
		CASE(another_version_is_answered),
		CASE(what_does_not_fit_is_refused),
		CASE(memory_is_looked_at),
		CASE(before_start_nothing_else_works),
		CASE(links_come_and_go),
		CASE(tlvs_are_exactly_one),
		CASE(routes_reach_the_workers),
		CASE(keys_reach_all_workers),
		CASE(old_keys_make_room),
		CASE(config_changes_while_running),
	};

	if (sodium_init() < 0)
		return 1;
	siphash_init();
	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
