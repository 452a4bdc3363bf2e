/* SPDX-License-Identifier: Apache-2.0 */
/* Two ends of a ctl socket in one program, for its tests. */
#ifndef TESTS_UNIT_TEST_CTLSOCK_H
#define TESTS_UNIT_TEST_CTLSOCK_H

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/base/ctlsock.h"

enum { SEEN_MAX = 8192, BODY_KEPT = 512, UNKNOWN_TYPE = 1000 };

/* What came out of one end. */
struct seen {
	size_t count;
	struct {
		enum ctl_type type;
		size_t len;
		int fd;
		uint8_t body[BODY_KEPT];
	} at[SEEN_MAX];
};

struct pair {
	struct ctlsock *a, *b;
	int raw; /* a duplicate of a's socket, for bytes that ctlsock would not send */
	struct seen seen; /* by b */
};

static void on_record(void *ctx, enum ctl_type type, const void *body, size_t len, int fd)
{
	struct seen *s = ctx;

	assert_true(s->count < SEEN_MAX);
	assert_int_equal((uintptr_t)body % CTL_ALIGN, 0);
	s->at[s->count].type = type;
	s->at[s->count].len = len;
	s->at[s->count].fd = fd;
	memcpy(s->at[s->count].body, body, len < BODY_KEPT ? len : BODY_KEPT);
	s->count++;
}

static const struct ctlsock_ops ops = {.record = on_record};

static int open_pair(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));
	int fd[2];

	if (!p || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) < 0)
		return -1;
	p->a = ctlsock_new(fd[0], &ops, &p->seen);
	p->b = ctlsock_new(fd[1], &ops, &p->seen);
	p->raw = fcntl(fd[0], F_DUPFD_CLOEXEC, 0);
	*state = p;
	return p->raw < 0 ? -1 : 0;
}

static int close_pair(void **state)
{
	struct pair *p = *state;

	ctlsock_free(p->a);
	ctlsock_free(p->b);
	if (p->raw >= 0)
		close(p->raw);
	free(p);
	return 0;
}

static size_t open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t count = 0;

	assert_non_null(d);
	while (readdir(d))
		count++;
	closedir(d);
	return count;
}

/* Sends bytes as one datagram with count descriptors, all of them copies of standard input. */
static void send_raw(int fd, const void *bytes, size_t len, size_t count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(16 * sizeof(int))];
	} control = {.bytes = {0}};
	struct iovec iov = {.iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	memcpy(&iov.iov_base, &(const void *){bytes}, sizeof(iov.iov_base));
	if (count) {
		assert_true(count <= 16);
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(count * sizeof(int));
	}
	assert_int_equal(sendmsg(fd, &msg, MSG_NOSIGNAL), len);
}

static size_t record(uint8_t *out, unsigned int type, size_t len)
{
	const struct ctl_header header = {.type = (uint16_t)type, .length = (uint16_t)len};

	memcpy(out, &header, sizeof(header));
	memset(out + sizeof(header), 0x5a, len);
	return sizeof(header) + len;
}

/* Moves everything from a to b. */
static void pump(struct pair *p)
{
	do {
		assert_int_equal(ctlsock_flush(p->a), 0);
		assert_int_equal(ctlsock_read(p->b), 0);
	} while (ctlsock_wants_write(p->a));
	assert_int_equal(ctlsock_read(p->b), 0);
}

#define pair_test(f) cmocka_unit_test_setup_teardown(f, open_pair, close_pair)

#endif
