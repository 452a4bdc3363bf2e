/* SPDX-License-Identifier: Apache-2.0 */
#include "fastpath/tunq.h"

#include "fastpath/stats.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

enum tunq_read tunq_read(struct tunq *q, struct tunq_packet *out)
{
	/* The header is read to just before the packet, where the user-data header goes later. */
	uint8_t *const packet = q->buffer + TUNQ_HEAD_BYTES, *const start = packet - sizeof(out->header);
	const ssize_t n = read(q->fd, start, TUNQ_BUFFER_BYTES - TUNQ_HEAD_BYTES + sizeof(out->header));

	if (n < 0) {
		/* A queue whose interface was removed never becomes readable again, but always polls as broken. */
		if (errno != EAGAIN && errno != EINTR && errno != EIO && errno != ENOBUFS && errno != ENOMEM)
			q->gone = true;
		return TUNQ_EMPTY;
	}
	if ((size_t)n < sizeof(out->header)) {
		q->gone = n == 0;
		return TUNQ_EMPTY;
	}
	memcpy(&out->header, start, sizeof(out->header));
	out->bytes = packet;
	out->len = (size_t)n - sizeof(out->header);
	return TUNQ_PACKET;
}

static size_t packet_bytes(const struct iovec *iov, int iov_count)
{
	size_t bytes = 0;

	for (int i = 1; i < iov_count; i++)
		bytes += iov[i].iov_len;
	return bytes;
}

bool tunq_write(struct tunq *q, const struct iovec *iov, int iov_count, uint32_t count)
{
	if (q->fd < 0) {
		stat_add(q->stats, STAT_drop_no_tun, count);
		return true;
	}
	/* EIO: the interface is down; EAGAIN, ENOBUFS: it has no room. The packets are lost, as in any router. */
	if (writev(q->fd, iov, iov_count) < 0) {
		const int error = errno;

		stat_add(q->stats, STAT_drop_tun_write, count);
		return error != EINVAL || count == 1;
	}
	stat_add(q->stats, STAT_tun_tx_packets, count);
	stat_add(q->stats, STAT_tun_tx_bytes, packet_bytes(iov, iov_count));
	return true;
}
