/* SPDX-License-Identifier: Apache-2.0 */
/* A first byte, how many descriptors travel along, and one datagram of the socket between the two processes. What comes
 * out is compared with a plain reading of ctl.h, and every record that was taken goes back and must arrive the same,
 * user data after all others. */
#include "shared/base/ctlsock.h"

#include "shared/limits.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RECORDS = LIMIT_CTL_DATAGRAM_BYTES / CTL_ALIGN + 1, FDS = 3 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	unsigned int type;
	size_t len;
	const uint8_t *body; /* in the datagram that was sent */
};

/* What the plain reading expects, and how far the comparison has come. */
static struct {
	struct seen records[RECORDS];
	size_t count, malformed, at;
} expected;

static struct {
	int out, dev_null;
	struct ctlsock *there, *here;
} rig;

static const struct {
	size_t min_len;
	int fds;
} table[] = {
#define CTL(name, NAME, number, n) [number] = {sizeof(struct ctl_##name), n},
#include "shared/ctl.def"
#undef CTL
};

static void must(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "broken: %s\n", what);
	abort();
}

static void compare(enum ctl_type type, const void *body, size_t len, int fd)
{
	const struct seen *e = &expected.records[expected.at++];

	must(expected.at <= expected.count, "no record that is not there");
	must(len >= table[type].min_len, "no record shorter than its struct");
	must((uintptr_t)body % CTL_ALIGN == 0, "aligned");
	must((fd >= 0) == (table[type].fds > 0), "a descriptor exactly where the type has one");
	must(type == e->type && len == e->len && memcmp(body, e->body, len) == 0, "the same record");
}

static void on_record_there(void *ctx, enum ctl_type type, const void *body, size_t len, int fd)
{
	(void)ctx;
	compare(type, body, len, fd);
	if (fd < 0) {
		must(ctlsock_put(rig.there, type, body, len, NULL, 0), "goes back");
		return;
	}
	must(ctlsock_put_fd(rig.there, type, body, len, fd), "goes back with its descriptor");
	close(fd);
}

static void on_record_here(void *ctx, enum ctl_type type, const void *body, size_t len, int fd)
{
	(void)ctx;
	compare(type, body, len, fd);
	if (fd >= 0)
		close(fd);
}

static void set_up(void)
{
	static const struct ctlsock_ops there = {.record = on_record_there}, here = {.record = on_record_here};
	int fd[2];

	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == 0, "socketpair");
	rig.here = ctlsock_new(fd[0], &here, NULL);
	rig.there = ctlsock_new(fd[1], &there, NULL);
	rig.out = fd[0];
	rig.dev_null = open("/dev/null", O_RDWR | O_CLOEXEC);
	must(rig.dev_null >= 0, "/dev/null");
}

static void send_datagram(const uint8_t *data, size_t size, size_t fds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(FDS * sizeof(int))];
	} control = {.bytes = {0}};
	struct iovec iov = {.iov_len = size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	memcpy(&iov.iov_base, &(const void *){data}, sizeof(iov.iov_base));
	if (fds) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(fds * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(fds * sizeof(int));
		for (size_t i = 0; i < fds; i++)
			memcpy(CMSG_DATA(&control.align) + i * sizeof(int), &rig.dev_null, sizeof(int));
	}
	must(sendmsg(rig.out, &msg, MSG_NOSIGNAL) == (ssize_t)size, "sendmsg");
}

/* Reads the datagram the plain way: offsets, no cursor. */
static void expect(const uint8_t *data, size_t size, bool fd)
{
	size_t at = 0;

	expected.count = expected.malformed = expected.at = 0;
	while (at < size) {
		struct ctl_header h;

		if (size - at < sizeof(h))
			break;
		memcpy(&h, data + at, sizeof(h));
		if (size - at - sizeof(h) < h.length)
			break;
		if (h.type < sizeof(table) / sizeof(table[0]) && table[h.type].min_len) {
			if (h.length < table[h.type].min_len || (table[h.type].fds && !fd)) {
				expected.malformed++;
			} else {
				expected.records[expected.count++] =
					(struct seen){h.type, h.length, data + at + sizeof(h)};
				fd = fd && !table[h.type].fds;
			}
		}
		at += (sizeof(h) + h.length + CTL_ALIGN - 1) / CTL_ALIGN * CTL_ALIGN;
	}
	if (at < size)
		expected.malformed++;
}

/* The order in which they come back. */
static void expect_user_data_last(void)
{
	static struct seen user[RECORDS];
	size_t others = 0, users = 0;

	for (size_t i = 0; i < expected.count; i++) {
		const struct seen s = expected.records[i];

		if (s.type == CTL_USER_DOWN || s.type == CTL_USER_UP)
			user[users++] = s;
		else
			expected.records[others++] = s;
	}
	memcpy(expected.records + others, user, users * sizeof(user[0]));
	expected.at = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t malformed;

	/* An empty datagram is the end of the stream. */
	if (size < 2 || size - 1 > LIMIT_CTL_DATAGRAM_BYTES)
		return 0;
	if (!rig.here)
		set_up();
	malformed = ctlsock_malformed(rig.there);
	expect(data + 1, size - 1, data[0] % (FDS + 1) > 0);
	send_datagram(data + 1, size - 1, data[0] % (FDS + 1));
	must(ctlsock_read(rig.there) == 0, "read");
	must(expected.at == expected.count, "every record came");
	must(ctlsock_malformed(rig.there) - malformed == expected.malformed, "what is malformed is counted");
	expect_user_data_last();
	must(ctlsock_flush(rig.there) == 0 && !ctlsock_wants_write(rig.there), "flush");
	must(ctlsock_read(rig.here) == 0 && expected.at == expected.count, "every record came back");
	must(ctlsock_malformed(rig.here) == 0, "what we send is well-formed");
	return 0;
}
