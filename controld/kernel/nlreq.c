/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that wait for their answer; see nlreq.h. The kernel answers at once; the time-out is for a kernel that does
 * not. */
#include "controld/kernel/nlreq.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <stdalign.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>

enum { TIMEOUT_S = 5, TRIES = 5 };

static const struct nl_ops no_ops;

struct nlreq {
	struct mnl_socket *socket;
	uint32_t seq;
};

struct nlreq *nlreq_new(void)
{
	struct nlreq *n = calloc(1, sizeof(*n));
	struct timeval timeout = {.tv_sec = TIMEOUT_S};

	if (!n)
		abort();
	n->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!n->socket || mnl_socket_bind(n->socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    setsockopt(mnl_socket_get_fd(n->socket), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0) {
		nlreq_free(n);
		return NULL;
	}
	return n;
}

void nlreq_free(struct nlreq *n)
{
	const int error = errno;

	if (n && n->socket)
		mnl_socket_close(n->socket);
	free(n);
	errno = error;
}

int nl_receive(int fd, void *out, size_t cap)
{
	for (;;) {
		struct sockaddr_nl from = {0};
		struct iovec part = {.iov_base = out, .iov_len = cap};
		struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &part, .msg_iovlen = 1};
		const ssize_t len = recvmsg(fd, &m, 0);

		if (len < 0 && errno != EINTR)
			return -errno;
		if (len < 0 || m.msg_namelen != sizeof(from) || from.nl_pid != 0)
			continue;
		return m.msg_flags & MSG_TRUNC ? -ENOBUFS : (int)len;
	}
}

static int do_once(struct nlreq *n, struct nlmsghdr *request, const struct nl_ops *ops, void *ctx)
{
	alignas(struct nlmsghdr) uint8_t answer[NL_ANSWER_BYTES];
	struct nl_verdict v = {.end = false};
	bool lost = false;

	/* 0 means none. */
	n->seq = n->seq + 1 ? n->seq + 1 : 1;
	request->nlmsg_seq = n->seq;
	if (mnl_socket_sendto(n->socket, request, request->nlmsg_len) < 0)
		return -errno;
	while (!v.end) {
		const int len = nl_receive(mnl_socket_get_fd(n->socket), answer, sizeof(answer));

		if (len < 0)
			return len == -EAGAIN ? -ETIMEDOUT : len;
		v = nl_read(answer, (size_t)len, n->seq, ops, ctx);
		lost |= v.lost;
	}
	return v.error == 0 && lost ? -EINTR : v.error;
}

int nlreq_do(struct nlreq *n, struct nlmsghdr *request, const struct nl_ops *ops, void *ctx)
{
	const bool dump = (request->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
	int error = -EINTR;

	request->nlmsg_flags |= NLM_F_REQUEST | (dump ? 0 : NLM_F_ACK);
	for (int i = 0; i < TRIES && (error == -EINTR || (dump && (error == -EBUSY || error == -ENOBUFS))); i++)
		error = do_once(n, request, ops ? ops : &no_ops, ctx);
	/* Disturbed each time: what came is all there is to have. */
	return error == -EINTR ? 0 : error;
}
