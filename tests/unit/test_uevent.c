/* SPDX-License-Identifier: Apache-2.0 */
/* The message by which the kernel tells of a clone: the parser by a table and on every truncation, the rest with the
 * kernel's own messages in a network namespace of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* After the four above, as it wants. */
#include "controld/kernel/uevent.h"
#include "shared/base/log.h"
#include "tests/support/netns.h"
#include "tests/support/until.h"
#include <cmocka.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>

#define HEAD "change@/devices/platform/vmgenid\0ACTION=change\0DEVPATH=/devices/platform/vmgenid\0"

struct row {
	const char *bytes;
	size_t len;
	bool clone;
};
/* With the last zero, and without it. */
#define WHOLE(text, verdict) \
	{ \
		(text), sizeof(text), (verdict) \
	}
#define CUT(text, verdict) \
	{ \
		(text), sizeof(text) - 1, (verdict) \
	}

static const struct row rows[] = {
	WHOLE(HEAD "NEW_VMGENID=1\0SEQNUM=2019", true),
	WHOLE(HEAD "SUBSYSTEM=platform\0NEW_VMGENID=1", true),
	WHOLE("change@/x\0NEW_VMGENID=1", true),
	WHOLE("\0NEW_VMGENID=1", true),
	WHOLE("change@/x\0\0\0NEW_VMGENID=1\0", true),
	CUT("change@/x\0NEW_VMGENID=1", false),
	CUT("change@/x\0NEW_VMGENID=1\0A=1", true),
	{NULL, 0, false},
	{"", 0, false},
	WHOLE("", false),
	WHOLE("\0", false),
	CUT("NEW_VMGENID=1", false),
	WHOLE("NEW_VMGENID=1", false),
	WHOLE("change@/NEW_VMGENID=1", false),
	WHOLE("change@/x", false),
	WHOLE(HEAD "SUBSYSTEM=platform", false),
	WHOLE(HEAD "NAME=NEW_VMGENID=1", false),
	WHOLE(HEAD "NAME= NEW_VMGENID=1", false),
	WHOLE(HEAD "NAME=\nNEW_VMGENID=1", false),
	WHOLE(HEAD "SYNTH_ARG_NEW_VMGENID=1", false),
	WHOLE(HEAD "XNEW_VMGENID=1", false),
	WHOLE(HEAD "NEW_VMGENID=10", false),
	WHOLE(HEAD "NEW_VMGENID=0", false),
	WHOLE(HEAD "NEW_VMGENID=", false),
	WHOLE(HEAD "NEW_VMGENID", false),
	WHOLE(HEAD "new_vmgenid=1", false),
};

/* From memory of just that length, so that a sanitizer sees what is read beyond. */
static bool judge(const char *bytes, size_t len)
{
	char *copy = malloc(len ? len : 1);
	bool verdict;

	assert_non_null(copy);
	if (len)
		memcpy(copy, bytes, len);
	verdict = uevent_is_clone(len ? copy : bytes, len);
	free(copy);
	return verdict;
}

static void test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (judge(rows[i].bytes, rows[i].len) != rows[i].clone)
			fail_msg("row %zu", i);
	}
}

static void test_truncations(void **state)
{
	static const char message[] = HEAD "NEW_VMGENID=1\0SEQNUM=2019";
	const size_t whole = sizeof(HEAD "NEW_VMGENID=1");

	(void)state;
	for (size_t len = 0; len <= sizeof(message); len++)
		assert_int_equal(judge(message, len), len >= whole);
}

/* The real ones. */

struct world {
	struct loop *loop;
	struct uevent *uevent;
	int other; /* hears the same, after it */
	unsigned cloned, heard, wanted;
};

static void on_cloned(void *ctx)
{
	struct world *w = ctx;

	w->cloned++;
}

static void on_other(void *ctx, unsigned events)
{
	struct world *w = ctx;
	char bytes[8192];

	(void)events;
	while (recv(w->other, bytes, sizeof(bytes), 0) > 0)
		w->heard++;
}

/* A /sys that shows this namespace. */
static bool enter(void)
{
	return netns_enter() && unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("none", "/sys", "sysfs", 0, NULL) == 0;
}

static int setup(void **state)
{
	static const struct uevent_ops ops = {.cloned = on_cloned};
	const struct sockaddr_nl group = {.nl_family = AF_NETLINK, .nl_groups = 1};
	static struct world w;

	*state = NULL;
	if (!enter())
		return 0;
	w = (struct world){.loop = loop_new()};
	w.uevent = uevent_new(w.loop, &ops, &w);
	assert_non_null(w.uevent);
	w.other = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
	assert_true(w.other >= 0);
	assert_int_equal(bind(w.other, (const void *)&group, sizeof(group)), 0);
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	if (!w)
		return 0;
	uevent_free(w->uevent);
	close(w->other);
	loop_free(w->loop);
	return 0;
}

static struct world *need(void **state)
{
	if (!*state)
		skip();
	return *state;
}

static void stir(void)
{
	const int fd = open("/sys/class/net/lo/uevent", O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "change", 6), 6);
	close(fd);
}

/* The kernel tells it as its own to all who listen: to the kernel, else from us to them. */
static void send_bytes(const void *bytes, size_t len, bool to_kernel)
{
	const struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_groups = to_kernel ? 0 : 1};
	const struct nlmsghdr h = {
		.nlmsg_len = (uint32_t)(sizeof(h) + len), .nlmsg_type = NLMSG_MIN_TYPE, .nlmsg_flags = NLM_F_REQUEST};
	const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
	char message[512];
	const size_t head = to_kernel ? sizeof(h) : 0;

	assert_true(fd >= 0);
	memcpy(message, &h, head);
	memcpy(message + head, bytes, len);
	assert_int_equal(sendto(fd, message, head + len, 0, (const void *)&to, sizeof(to)), head + len);
	close(fd);
}

static bool all_heard(void *ctx)
{
	const struct world *w = ctx;

	return w->heard >= w->wanted;
}

/* Until the loop has read so many messages: the other socket, which gets them later, has them, and one turn more. */
static void hear(struct world *w, unsigned count)
{
	struct loop_fd *watch = loop_fd_new(w->loop, w->other, LOOP_READ, on_other, w);

	w->heard = 0;
	w->wanted = count;
	assert_true(until(w->loop, all_heard, w));
	assert_true(until(w->loop, all_heard, w));
	loop_fd_free(watch);
}

static void test_of_the_kernel(void **state)
{
	struct world *w = need(state);

	stir();
	stir();
	hear(w, 2);
	assert_int_equal(w->cloned, 0);
}

static void test_clone(void **state)
{
	static const char message[] = HEAD "NEW_VMGENID=1";
	struct world *w = need(state);

	send_bytes(message, sizeof(message), true);
	hear(w, 1);
	assert_int_equal(w->cloned, 1);
	stir();
	hear(w, 1);
	assert_int_equal(w->cloned, 1);
	/* Several at once are one. */
	send_bytes(message, sizeof(message), true);
	stir();
	send_bytes(message, sizeof(message), true);
	hear(w, 3);
	assert_int_equal(w->cloned, 2);
}

static void test_of_others(void **state)
{
	static const char message[] = HEAD "NEW_VMGENID=1";
	struct world *w = need(state);

	send_bytes(message, sizeof(message), false);
	hear(w, 1);
	assert_int_equal(w->cloned, 0);
}

static bool is_cloned(void *ctx)
{
	const struct world *w = ctx;

	return w->cloned > 0;
}

/* More messages than the socket holds, while nobody reads: one may have been that. */
static void test_overrun(void **state)
{
	struct world *w = need(state);

	for (int i = 0; i < 5000; i++)
		stir();
	assert_true(until(w->loop, is_cloned, w));
	assert_int_equal(w->cloned, 1);
}

static void test_open_and_close(void **state)
{
	static const struct uevent_ops ops = {.cloned = on_cloned};
	struct loop *l = loop_new();
	struct uevent *u = uevent_new(l, &ops, NULL);

	(void)state;
	assert_non_null(u);
	uevent_free(u);
	uevent_free(NULL);
	loop_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_truncations),
		cmocka_unit_test(test_open_and_close),
		cmocka_unit_test_setup_teardown(test_of_the_kernel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_clone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_of_others, setup, teardown),
		cmocka_unit_test_setup_teardown(test_overrun, setup, teardown),
	};

	log_level = LOG_ERR;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
