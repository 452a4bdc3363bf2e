/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/ctlpeer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TIMEOUT_MS = 20000, SEEN_MAX = 16384 };

static void on_record(void *ctx, enum ctl_type type, const void *body, size_t len, int fd)
{
	struct ctlpeer *c = ctx;
	struct ctlseen *s = &c->seen[c->count++];

	assert_true(c->count <= SEEN_MAX && len <= sizeof(s->body));
	*s = (struct ctlseen){.type = type, .len = len, .fd = fd};
	memcpy(s->body, body, len);
}

void ctlpeer_connect(struct ctlpeer *c, const char *path)
{
	static const struct ctlsock_ops ops = {.record = on_record};
	const int fd = ctlsock_connect(path);

	assert_true(fd >= 0);
	c->seen = calloc(SEEN_MAX, sizeof(*c->seen));
	assert_non_null(c->seen);
	c->s = ctlsock_new(fd, &ops, c);
}

void ctlpeer_hang_up(struct ctlpeer *c)
{
	ctlsock_free(c->s);
	for (size_t i = 0; i < c->count; i++)
		if (c->seen[i].fd >= 0)
			close(c->seen[i].fd);
	free(c->seen);
	*c = (struct ctlpeer){0};
}

void ctlpeer_pump(struct ctlpeer *c)
{
	struct pollfd p = {.fd = ctlsock_fd(c->s), .events = POLLIN};

	if (ctlsock_flush(c->s) < 0)
		c->gone = true;
	if (ctlsock_wants_write(c->s))
		p.events |= POLLOUT;
	assert_true(poll(&p, 1, TIMEOUT_MS) > 0);
	if (ctlsock_read(c->s) < 0)
		c->gone = true;
}

const struct ctlseen *ctlpeer_await(struct ctlpeer *c, enum ctl_type type)
{
	for (;;) {
		for (size_t i = c->taken; i < c->count; i++) {
			if (c->seen[i].type != type || c->seen[i].taken)
				continue;
			c->seen[i].taken = true;
			while (c->taken < c->count && c->seen[c->taken].taken)
				c->taken++;
			return &c->seen[i];
		}
		assert_false(c->gone);
		ctlpeer_pump(c);
	}
}

const struct ctlseen *ctlpeer_next(struct ctlpeer *c, enum ctl_type type)
{
	while (c->taken == c->count)
		ctlpeer_pump(c);
	assert_int_equal(c->seen[c->taken].type, type);
	return ctlpeer_await(c, type);
}

bool ctlpeer_has_seen(const struct ctlpeer *c, enum ctl_type type)
{
	for (size_t i = 0; i < c->count; i++)
		if (c->seen[i].type == type && !c->seen[i].taken)
			return true;
	return false;
}

void ctlpeer_put(struct ctlpeer *c, enum ctl_type type, const void *body, size_t len)
{
	assert_true(ctlsock_put(c->s, type, body, len, NULL, 0));
}

void ctlpeer_sync(struct ctlpeer *c)
{
	static uint64_t number;
	const struct ctl_ping ping = {.number = ++number};
	const struct ctlseen *s;

	ctlpeer_put(c, CTL_PING, &ping, sizeof(ping));
	s = ctlpeer_await(c, CTL_PONG);
	assert_int_equal(((const struct ctl_pong *)s->body)->number, number);
}

void ctlpeer_hello(struct ctlpeer *c, uint32_t version)
{
	const struct ctl_hello hello = {.version = version, .pid = (uint32_t)getpid(), .build = "test"};

	ctlpeer_put(c, CTL_HELLO, &hello, sizeof(hello));
}

int ctlpeer_memfd(size_t bytes, bool sealed)
{
	const int fd = memfd_create("lanes", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	if (sealed)
		assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
	return fd;
}

bool ctlpeer_same_file(int a, int b)
{
	struct stat sa, sb;

	return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 && sa.st_ino == sb.st_ino && sa.st_dev == sb.st_dev;
}
