/* SPDX-License-Identifier: Apache-2.0 */
/* Framing of ctl.h over a SOCK_SEQPACKET socket: records gathered into datagrams, bounded queues while the other side
 * does not read, descriptors passed by SCM_RIGHTS. Never blocks. Not thread-safe. User data has a queue of its own, of
 * which something is sent only when there is nothing else: it never holds up other records, and they may overtake it.
 */
#ifndef SHARED_BASE_CTLSOCK_H
#define SHARED_BASE_CTLSOCK_H

#include "shared/base/buf.h"
#include "shared/ctl.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ctlsock;

struct ctlsock_ops {
	/* One record. body is borrowed and 8-byte aligned, len is at least the size of its struct. fd is -1, or a
	 * descriptor that becomes the callee's. */
	void (*record)(void *ctx, enum ctl_type type, const void *body, size_t len, int fd);
};

/* Takes over the connected, non-blocking socket. */
struct ctlsock *ctlsock_new(int fd, const struct ctlsock_ops *ops, void *ctx);
/* Closes and frees; free(NULL) is fine. What is queued is lost. */
void ctlsock_free(struct ctlsock *s);
int ctlsock_fd(const struct ctlsock *s);

/* Appends a record: body of len bytes, then tail of tail_len bytes (may be NULL, 0). It leaves with ctlsock_flush().
 * False if it is dropped: larger than a datagram; TLV, LINK_RTT, WANT_KEY, SESSION_WANT, SESSION_STRAY, SESSION_REFUSED
 * and SESSION_USE where LIMIT_CTL_QUEUE_BYTES are queued; user data where LIMIT_CTL_USER_BYTES of it are. Other types
 * are always queued (their number is bounded by the tables they describe; who repeats them asks ctlsock_is_full()
 * first). */
bool ctlsock_put(struct ctlsock *s, enum ctl_type type, const void *body, size_t len, const void *tail,
		 size_t tail_len);
/* The same with one descriptor, which is duplicated: the caller keeps its own. False on EMFILE and the like. */
MUST_CHECK bool ctlsock_put_fd(struct ctlsock *s, enum ctl_type type, const void *body, size_t len, int fd);
/* Sends what the socket takes. 0, or -errno when the connection is gone (-EPIPE, -ECONNRESET). */
MUST_CHECK int ctlsock_flush(struct ctlsock *s);
/* True while something is queued: ask for POLLOUT. */
bool ctlsock_wants_write(const struct ctlsock *s);
/* LIMIT_CTL_QUEUE_BYTES that are not user data are queued: what may be said again later is better kept. */
bool ctlsock_is_full(const struct ctlsock *s);
/* Bytes queued and not yet sent, user data among them. */
size_t ctlsock_queued(const struct ctlsock *s);
/* Bytes of user data that are not dropped, their headers counted. */
size_t ctlsock_user_room(const struct ctlsock *s);
/* Reads up to 16 datagrams and gives each record to ops. 0; -EPIPE at end of stream; other -errno. Malformed records
 * are counted and skipped; a record of a type whose struct is larger than its body counts as malformed. The callbacks
 * may put records but must not free s. */
MUST_CHECK int ctlsock_read(struct ctlsock *s);
uint64_t ctlsock_malformed(const struct ctlsock *s);

/* Listening socket at path (at most 107 bytes, else -ENAMETOOLONG), close-on-exec, non-blocking; fd or -errno. */
MUST_CHECK int ctlsock_listen(const char *path);
/* Connects; fd or -errno (-ECONNREFUSED or -ENOENT: nobody lives there). */
MUST_CHECK int ctlsock_connect(const char *path);
/* pid of the other side if its uid is ours or 0; else -EPERM. */
MUST_CHECK int ctlsock_peer_pid(int fd);

#endif
