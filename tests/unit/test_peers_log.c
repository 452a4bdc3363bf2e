/* SPDX-License-Identifier: Apache-2.0 */
/* What peers write to the log: the first failure, and another one only when its reason is new. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* After the four above, as it wants. */
#include "controld/links/peers.h"
#include "shared/base/log.h"
#include "shared/ctl.h"
#include "tests/support/until.h"
#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

struct world {
	struct peers *peers;
	bool full;
	unsigned asked; /* for room: once a try */
};

static void on_connected(void *ctx, const struct links_socket *s)
{
	(void)ctx;
	close(s->fd);
}

static bool has_room(void *ctx, const char **why)
{
	struct world *w = ctx;

	*why = "the world is full";
	w->asked++;
	return !w->full;
}

static uint32_t fixed_random(void *ctx)
{
	(void)ctx;
	return 250;
}

static bool tried_four_times(void *ctx)
{
	return ((struct world *)ctx)->asked >= 4;
}

static unsigned count_lines(FILE *f, const char *level)
{
	char line[1024];
	unsigned count = 0;

	rewind(f);
	while (fgets(line, sizeof(line), f))
		count += strstr(line, level) && strstr(line, "cannot connect to peer [fe80::1%nosuchif0]:1");
	return count;
}

static void test_first_and_changed(void **state)
{
	static const struct peers_ops ops = {.connected = on_connected, .has_room = has_room, .random = fixed_random};
	const struct peers_config config = {.default_port = 9651};
	const int before = dup(STDERR_FILENO);
	FILE *log = tmpfile();
	struct world w = {.full = false};
	struct loop *l = loop_new();
	const char *why;
	bool tried[2];

	(void)state;
	assert_true(before >= 0 && log && dup2(fileno(log), STDERR_FILENO) >= 0);
	log_level = LOG_DEBUG;
	log_init("test");
	w.peers = peers_new(l, &config, &ops, &w);
	assert_int_not_equal(peers_add(w.peers, "[fe80::1%nosuchif0]:1", CTL_LINK_STATIC, &why), 0);
	tried[0] = until(l, tried_four_times, &w);
	w.asked = 0;
	w.full = true;
	peers_hurry(w.peers);
	tried[1] = until(l, tried_four_times, &w);
	peers_free(w.peers);
	loop_free(l);
	dup2(before, STDERR_FILENO);
	close(before);
	assert_true(tried[0] && tried[1]);
	assert_int_equal(count_lines(log, "INFO"), 2);
	assert_true(count_lines(log, "DEBUG") >= 5);
	fclose(log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_and_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
