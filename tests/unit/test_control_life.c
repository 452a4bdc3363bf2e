/* SPDX-License-Identifier: Apache-2.0 */
/* The control thread of fastpath through its life: a second controld, none at all, signals, and mail that does not fit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include "shared/base/siphash.h"
#include "tests/support/ctlchild.h"
#include "tests/unit/control_worker.h"
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static int setup_impatient(void **state)
{
	static struct ctlchild w;

	ctlchild_begin(&w, 200, 50);
	*state = &w;
	return 0;
}

static void check_descriptors(const struct ctlchild *w, struct ctlpeer *c)
{
	const struct ctlseen *s = ctlpeer_next(c, CTL_MEMORY);
	char text[4];

	assert_int_equal(((const struct ctl_memory *)s->body)->id[0], 1);
	assert_true(ctlpeer_same_file(s->fd, w->memory_fd));
	for (uint32_t i = 0; i < CTLCHILD_WORKERS; i++) {
		s = ctlpeer_next(c, CTL_TUN);
		assert_int_equal(((const struct ctl_tun *)s->body)->queue, i);
		assert_string_equal(((const struct ctl_tun *)s->body)->name, "tun9");
		assert_int_equal(write(s->fd, "ping", 4), 4);
		assert_int_equal(read(w->tun[i][1], text, 4), 4);
	}
}

static void check_dump(const struct ctlchild *w, struct ctlpeer *c)
{
	const struct ctl_route wanted = ctlchild_route("200:1::/64", 1);
	const struct ctl_config config = ctlchild_config();
	const struct ctl_link_info *info;
	const struct ctlseen *s = ctlpeer_next(c, CTL_HELLO);

	assert_int_equal(((const struct ctl_hello *)s->body)->pid, w->child);
	assert_memory_equal(ctlpeer_next(c, CTL_CONFIG)->body, &config, sizeof(config));
	check_descriptors(w, c);
	assert_int_equal(((const struct ctl_node *)ctlpeer_next(c, CTL_NODE)->body)->seqno, 17);
	info = (const struct ctl_link_info *)ctlpeer_next(c, CTL_LINK_INFO)->body;
	assert_int_equal(info->adopt.link, 1);
	assert_int_equal(info->adopt.peer, 99);
	assert_int_equal(info->adopt.remote[2], 3);
	assert_int_equal(info->rtt_us, 1001);
	assert_int_equal(info->smoothed_cost, 23);
	assert_int_equal(info->rx_bytes, 77);
	assert_true(info->up_since_us > 0 && info->up_since_us <= (uint64_t)mono_now().us);
	assert_memory_equal(ctlpeer_next(c, CTL_ROUTE)->body, &wanted, sizeof(wanted));
	s = ctlpeer_next(c, CTL_READY);
	assert_int_equal(((const struct ctl_ready *)s->body)->running, 1);
}

static void a_second_controld_finds_everything(void **state)
{
	struct ctlchild *w = *state;
	const struct ctl_node node = {.seqno = 17};
	int one, two;

	ctlpeer_connect(&w->a, w->path);
	ctlchild_start(w, &w->a);
	ctlpeer_put(&w->a, CTL_NODE, &node, sizeof(node));
	one = ctlchild_adopt(&w->a, 1);
	two = ctlchild_adopt(&w->a, 2);
	ctlpeer_await(&w->a, CTL_LINK_RTT);
	ctlpeer_await(&w->a, CTL_LINK_RTT);
	ctlpeer_put(&w->a, CTL_LINK_COST, &(const struct ctl_link_cost){1, 23}, sizeof(struct ctl_link_cost));
	ctlpeer_put(&w->a, CTL_LINK_CLOSE, &(const struct ctl_link_close){.link = 2}, sizeof(struct ctl_link_close));
	ctlchild_put_route(&w->a, "200:1::/64", 5);
	ctlchild_put_route(&w->a, "200:1::/64", 1);
	ctlpeer_await(&w->a, CTL_LINK_DOWN);
	ctlpeer_sync(&w->a);
	ctlpeer_hang_up(&w->a);
	ctlpeer_connect(&w->b, w->path);
	ctlpeer_hello(&w->b, CTL_VERSION);
	check_dump(w, &w->b);
	/* And it is in charge. */
	assert_int_equal(ctlchild_link_to(&w->b, 1, "200:1::1"), 1);
	close(one);
	close(two);
	ctlchild_stop(w, &w->b);
}

static void a_new_controld_takes_the_place(void **state)
{
	struct ctlchild *w = *state;

	ctlpeer_connect(&w->a, w->path);
	ctlchild_start(w, &w->a);
	ctlpeer_sync(&w->a);
	ctlpeer_connect(&w->b, w->path);
	ctlpeer_sync(&w->b);
	while (!w->a.gone)
		ctlpeer_pump(&w->a);
	ctlchild_stop(w, &w->b);
}

static uint64_t dropped(const struct ctlchild *w)
{
	return __atomic_load_n(&w->lanes->stats[0].value[STAT_drop_ctl_full], __ATOMIC_RELAXED);
}

static void events_without_controld_are_remembered(void **state)
{
	struct ctlchild *w = *state;
	int fd;

	ctlpeer_connect(&w->a, w->path);
	ctlchild_start(w, &w->a);
	fd = ctlchild_adopt(&w->a, 4);
	ctlchild_put_tlv(&w->a, 4, CTLCHILD_GATE_DOWN, "", 0);
	ctlpeer_sync(&w->a);
	/* Here, but it did not say HELLO. */
	ctlpeer_connect(&w->b, w->path);
	ctlpeer_sync(&w->b);
	assert_int_equal(dropped(w), 0);
	ctlchild_open_gate(w);
	while (dropped(w) != 1)
		ctlpeer_sync(&w->b);
	/* The end of the link came with it: nobody is told of it any more. */
	ctlpeer_sync(&w->b);
	assert_int_equal(read(fd, &(char){0}, 1), 0);
	close(fd);
	ctlpeer_hello(&w->b, CTL_VERSION);
	ctlpeer_await(&w->b, CTL_READY);
	assert_false(ctlpeer_has_seen(&w->b, CTL_LINK_INFO));
	assert_false(ctlpeer_has_seen(&w->b, CTL_LINK_DOWN));
	ctlchild_stop(w, &w->b);
}

static void a_full_mailbox_keeps_the_order(void **state)
{
	struct ctlchild *w = *state;
	const uint32_t count = 3000;
	uint32_t got;
	int fd;

	ctlpeer_connect(&w->a, w->path);
	ctlchild_start(w, &w->a);
	fd = ctlchild_adopt(&w->a, 1);
	ctlchild_put_tlv(&w->a, 1, CTLCHILD_GATE, "", 0);
	for (uint32_t i = 0; i < count; i++)
		ctlchild_put_tlv(&w->a, 1, CTLCHILD_ECHO, &i, sizeof(i));
	assert_int_equal(ctlsock_flush(w->a.s), 0);
	ctlchild_open_gate(w);
	assert_int_equal(ctlpeer_await(&w->a, CTL_TLV)->body[4], CTLCHILD_GATE);
	for (uint32_t i = 0; i < count; i++) {
		memcpy(&got, ctlpeer_await(&w->a, CTL_TLV)->body + 6, sizeof(got));
		assert_int_equal(got, i);
	}
	close(fd);
	ctlpeer_sync(&w->a);
	ctlchild_stop(w, &w->a);
}

static void a_signal_is_told(void **state)
{
	struct ctlchild *w = *state;

	ctlpeer_connect(&w->a, w->path);
	ctlchild_start(w, &w->a);
	ctlpeer_sync(&w->a);
	assert_int_equal(kill(w->child, SIGTERM), 0);
	ctlpeer_await(&w->a, CTL_LEAVING);
	ctlchild_ends(w, 0);
}

static void without_controld_it_ends(void **state)
{
	struct ctlchild *w = *state;

	ctlchild_ends(w, 0);
	assert_int_equal(access(w->path, F_OK), -1);
}

static void after_the_grace_it_ends(void **state)
{
	struct ctlchild *w = *state;
	const struct mono end = mono_add_ms(mono_now(), w->times.fresh_ms * 3 / 2);
	int fd;

	/* Not while a controld is there. */
	ctlpeer_connect(&w->a, w->path);
	ctlchild_start(w, &w->a);
	fd = ctlchild_adopt(&w->a, 1);
	while (!mono_is_due(end, mono_now()))
		ctlpeer_sync(&w->a);
	ctlpeer_hang_up(&w->a);
	ctlchild_ends(w, 0);
	assert_int_equal(access(w->path, F_OK), -1);
	assert_int_equal(read(fd, &(char){0}, 1), 0);
	close(fd);
}

static long resident_pages(pid_t pid)
{
	char path[64];
	long pages = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%*d %ld", &pages), 1);
	fclose(f);
	return pages;
}

static void ten_thousand_routes(void **state)
{
	struct ctlchild *w = *state;
	const long page = sysconf(_SC_PAGESIZE);
	const struct mono begin = mono_now();
	struct mono end;
	long before;

	ctlpeer_connect(&w->a, w->path);
	ctlchild_start(w, &w->a);
	close(ctlchild_adopt(&w->a, 1));
	ctlpeer_sync(&w->a);
	before = resident_pages(w->child);
	for (uint32_t i = 0; i < 10000; i++) {
		struct ctl_route r = ctlchild_route("200:1::/64", 1);

		r.prefix = ip6_from_net64(UINT64_C(0x0200000000000000) + i * UINT64_C(0x1234567));
		ctlpeer_put(&w->a, CTL_ROUTE, &r, sizeof(r));
	}
	ctlpeer_sync(&w->a);
	end = mono_now();
	print_message("# 10000 routes: %ld KiB resident, %lld us with the start\n",
		      (resident_pages(w->child) - before) * page / 1024, (long long)mono_since_us(end, begin));
#ifndef __SANITIZE_ADDRESS__
#ifndef __SANITIZE_THREAD__
	assert_true((resident_pages(w->child) - before) * page <= 3 * 1024 * 1024);
#endif
#endif
	ctlpeer_hang_up(&w->a);
	ctlpeer_connect(&w->b, w->path);
	ctlpeer_hello(&w->b, CTL_VERSION);
	ctlpeer_await(&w->b, CTL_READY);
	assert_true(w->b.count > 10000);
	ctlchild_stop(w, &w->b);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First: later children inherit a heap that was in use. */
		CASE(ten_thousand_routes),
		CASE(a_second_controld_finds_everything),
		CASE(a_new_controld_takes_the_place),
		CASE(events_without_controld_are_remembered),
		CASE(a_full_mailbox_keeps_the_order),
		CASE(a_signal_is_told),
		cmocka_unit_test_setup_teardown(without_controld_it_ends, setup_impatient, teardown),
		cmocka_unit_test_setup_teardown(after_the_grace_it_ends, setup_impatient, teardown),
	};

	if (sodium_init() < 0)
		return 1;
	siphash_init();
	return cmocka_run_group_tests_name("control, life", tests, NULL, NULL);
}
