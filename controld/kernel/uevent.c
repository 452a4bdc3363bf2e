/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's uevents, read only for the one that says NEW_VMGENID. What comes from another sender, as from udev, is
 * not looked at. A message too many costs new sessions, one too few their secrecy. */
#define LOG_MODULE "uevent"
#include "controld/kernel/uevent.h"

#include "controld/kernel/nlreq.h"
#include "shared/base/log.h"
#include <errno.h>
#include <libmnl/libmnl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	GROUP_KERNEL = 1, /* udev's is 2 */
	MESSAGE_BYTES = 16 * 1024, /* the kernel's have a path and 2 KiB */
	BUFFER_BYTES = 1024 * 1024, /* of the socket: where containers come and go, so do their interfaces */
	BURST = 64,
};

struct uevent {
	struct uevent_ops ops;
	void *ctx;
	struct mnl_socket *socket;
	struct loop_fd *watch;
	struct log_limit lost_limit;
};

bool uevent_is_clone(const char *bytes, size_t len)
{
	static const char wanted[] = "NEW_VMGENID=1"; /* with its zero */
	const char *end = len ? memchr(bytes, '\0', len) : NULL;

	while (end) {
		const char *start = end + 1;
		const size_t left = len - (size_t)(start - bytes);

		if (left >= sizeof(wanted) && memcmp(start, wanted, sizeof(wanted)) == 0)
			return true;
		end = left ? memchr(start, '\0', left) : NULL;
	}
	return false;
}

static void on_readable(void *ctx, unsigned events)
{
	char bytes[MESSAGE_BYTES];
	struct uevent *u = ctx;
	bool cloned = false;

	(void)events;
	for (int n = 0; n < BURST; n++) {
		const int len = nl_receive(mnl_socket_get_fd(u->socket), bytes, sizeof(bytes));

		if (len >= 0) {
			cloned |= uevent_is_clone(bytes, (size_t)len);
		} else if (len == -ENOBUFS) {
			log_limited(
				&u->lost_limit, LOG_WARN,
				"messages of the kernel were lost: sessions are begun anew, as if the machine had been "
				"cloned");
			cloned = true;
		} else {
			break;
		}
	}
	if (cloned)
		u->ops.cloned(u->ctx);
}

static struct mnl_socket *open_socket(void)
{
	struct mnl_socket *s = mnl_socket_open2(NETLINK_KOBJECT_UEVENT, SOCK_CLOEXEC | SOCK_NONBLOCK);
	const int size = BUFFER_BYTES;
	int error;

	if (!s)
		return NULL;
	/* Best effort: the default size works too. */
	if (setsockopt(mnl_socket_get_fd(s), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(mnl_socket_get_fd(s), SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (mnl_socket_bind(s, GROUP_KERNEL, MNL_SOCKET_AUTOPID) == 0)
		return s;
	error = errno;
	mnl_socket_close(s);
	errno = error;
	return NULL;
}

struct uevent *uevent_new(struct loop *l, const struct uevent_ops *ops, void *ctx)
{
	struct mnl_socket *s = open_socket();
	struct uevent *u;

	if (!s)
		return NULL;
	u = calloc(1, sizeof(*u));
	if (!u)
		abort();
	*u = (struct uevent){.ops = *ops, .ctx = ctx, .socket = s, .lost_limit = LOG_LIMIT(60 * 1000, 1)};
	u->watch = loop_fd_new(l, mnl_socket_get_fd(s), LOOP_READ, on_readable, u);
	return u;
}

void uevent_free(struct uevent *u)
{
	if (!u)
		return;
	loop_fd_free(u->watch);
	mnl_socket_close(u->socket);
	free(u);
}
