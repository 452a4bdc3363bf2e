/* SPDX-License-Identifier: Apache-2.0 */
/* A record is its header, its body, and zeros up to a multiple of 8. Datagrams are received 4 bytes past an 8-byte
 * boundary, so every body is aligned. Buffers are wiped after use, because KEY and SESSION_KEY records pass through
 * them. */
#include "shared/base/ctlsock.h"

#include "shared/base/secret.h"
#include "shared/limits.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	HEADER_BYTES = sizeof(struct ctl_header),
	READ_DATAGRAMS = 16,
	READ_FDS = 4,
	BACKLOG = 4,
	SEND_BUFFER_BYTES = 4 * LIMIT_CTL_DATAGRAM_BYTES,
};
_Static_assert(HEADER_BYTES == CTL_ALIGN / 2, "a body after its header is aligned");
_Static_assert(LIMIT_CTL_DATAGRAM_BYTES % CTL_ALIGN == 0, "records fill a datagram");

struct datagram {
	struct datagram *next;
	size_t len, cap;
	int fd; /* owned; -1: none. With one, nothing may follow in the datagram. */
	uint8_t bytes[];
};

struct queue {
	struct datagram *head, *tail;
	size_t bytes;
};

/* In the order in which they are sent. */
enum { QUEUE_RECORDS, QUEUE_USER, QUEUES };

struct ctlsock {
	const struct ctlsock_ops *ops;
	void *ctx;
	int fd;
	uint64_t malformed;
	struct queue queue[QUEUES];
	struct datagram *spare; /* a large one, wiped: a quiet socket sends with it again and again */
	uint8_t in[HEADER_BYTES + LIMIT_CTL_DATAGRAM_BYTES] __attribute__((aligned(CTL_ALIGN)));
};

static const struct {
	size_t min_len; /* 0: unknown type */
	int fds;
} records[] = {
#define CTL(name, NAME, number, n) [number] = {sizeof(struct ctl_##name), n},
#include "shared/ctl.def"
#undef CTL
};
enum { RECORDS = sizeof(records) / sizeof(records[0]) };

struct ctlsock *ctlsock_new(int fd, const struct ctlsock_ops *ops, void *ctx)
{
	const int send_buffer = SEND_BUFFER_BYTES;
	struct ctlsock *s = calloc(1, sizeof(*s));

	assert(s);
	s->fd = fd;
	s->ops = ops;
	s->ctx = ctx;
	/* A host may be set to less than one datagram. A failure shows when something is sent. */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof(send_buffer));
	return s;
}

static void datagram_free(struct ctlsock *s, struct datagram *d)
{
	if (d->fd >= 0)
		close(d->fd);
	secret_wipe(d->bytes, d->len);
	if (d->cap == LIMIT_CTL_DATAGRAM_BYTES && !s->spare)
		s->spare = d;
	else
		free(d);
}

static void queue_pop(struct ctlsock *s, struct queue *q)
{
	struct datagram *d = q->head;

	q->bytes -= d->len;
	q->head = d->next;
	if (!q->head)
		q->tail = NULL;
	datagram_free(s, d);
}

void ctlsock_free(struct ctlsock *s)
{
	if (!s)
		return;
	for (int i = 0; i < QUEUES; i++) {
		while (s->queue[i].head)
			queue_pop(s, &s->queue[i]);
	}
	close(s->fd);
	free(s->spare);
	free(s);
}

int ctlsock_fd(const struct ctlsock *s)
{
	return s->fd;
}

bool ctlsock_wants_write(const struct ctlsock *s)
{
	return ctlsock_queued(s) > 0;
}

size_t ctlsock_queued(const struct ctlsock *s)
{
	return s->queue[QUEUE_RECORDS].bytes + s->queue[QUEUE_USER].bytes;
}

size_t ctlsock_user_room(const struct ctlsock *s)
{
	return LIMIT_CTL_USER_BYTES - s->queue[QUEUE_USER].bytes;
}

uint64_t ctlsock_malformed(const struct ctlsock *s)
{
	return s->malformed;
}

static void datagram_add(struct ctlsock *s, struct queue *q, size_t cap, int fd)
{
	struct datagram *d = s->spare;

	if (d && cap == d->cap)
		s->spare = NULL;
	else
		d = malloc(sizeof(*d) + cap);
	assert(d);
	*d = (struct datagram){.cap = cap, .fd = fd};
	if (q->tail)
		q->tail->next = d;
	else
		q->head = d;
	q->tail = d;
}

static size_t record_bytes(size_t len)
{
	return (HEADER_BYTES + len + CTL_ALIGN - 1) / CTL_ALIGN * CTL_ALIGN;
}

/* To the queue's last datagram; the last tail_len bytes of the body come from tail. */
static void record_append(struct queue *q, const struct ctl_header *header, const void *body, const void *tail,
			  size_t tail_len)
{
	struct datagram *d = q->tail;
	const size_t bytes = record_bytes(header->length);
	struct wr w = wr_init(d->bytes + d->len, bytes);

	assert(d->cap - d->len >= bytes);
	memset(w.start, 0, bytes);
	wr_bytes(&w, header, sizeof(*header));
	wr_bytes(&w, body, header->length - tail_len);
	wr_bytes(&w, tail, tail_len);
	assert(!w.bad);
	d->len += bytes;
	q->bytes += bytes;
}

static bool is_user(enum ctl_type type)
{
	return type == CTL_USER_DOWN || type == CTL_USER_UP;
}

/* A record of the type is dropped where its queue would become longer. */
static size_t most_queued(enum ctl_type type)
{
	if (is_user(type))
		return LIMIT_CTL_USER_BYTES;
	switch (type) {
	/* Strangers cause these. */
	case CTL_TLV:
	case CTL_LINK_RTT:
	case CTL_WANT_KEY:
	case CTL_SESSION_WANT:
	case CTL_SESSION_STRAY:
	case CTL_SESSION_REFUSED:
	/* It is told again. */
	case CTL_SESSION_USE:
		return LIMIT_CTL_QUEUE_BYTES;
	default:
		return SIZE_MAX;
	}
}

bool ctlsock_is_full(const struct ctlsock *s)
{
	return s->queue[QUEUE_RECORDS].bytes >= LIMIT_CTL_QUEUE_BYTES;
}

bool ctlsock_put(struct ctlsock *s, enum ctl_type type, const void *body, size_t len, const void *tail, size_t tail_len)
{
	const struct ctl_header header = {.type = (uint16_t)type, .length = (uint16_t)(len + tail_len)};
	const size_t bytes = record_bytes(len + tail_len);
	struct queue *q = &s->queue[is_user(type) ? QUEUE_USER : QUEUE_RECORDS];

	if (bytes > LIMIT_CTL_DATAGRAM_BYTES || q->bytes + bytes > most_queued(type))
		return false;
	if (!q->tail || q->tail->fd >= 0 || q->tail->cap - q->tail->len < bytes)
		datagram_add(s, q, LIMIT_CTL_DATAGRAM_BYTES, -1);
	record_append(q, &header, body, tail, tail_len);
	return true;
}

bool ctlsock_put_fd(struct ctlsock *s, enum ctl_type type, const void *body, size_t len, int fd)
{
	const struct ctl_header header = {.type = (uint16_t)type, .length = (uint16_t)len};
	const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	struct queue *q = &s->queue[QUEUE_RECORDS];

	if (copy < 0)
		return false;
	datagram_add(s, q, record_bytes(len), copy);
	record_append(q, &header, body, NULL, 0);
	return true;
}

/* Room for control messages that the kernel's macros may walk. */
union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(READ_FDS * sizeof(int))];
};

static int datagram_send(int fd, struct datagram *d)
{
	struct iovec iov = {.iov_base = d->bytes, .iov_len = d->len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	union control control = {.bytes = {0}};

	if (d->fd >= 0) {
		struct cmsghdr *c = &control.align;

		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &d->fd, sizeof(int));
	}
	while (sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

/* 0 when all of it is sent. */
static int queue_send(struct ctlsock *s, struct queue *q)
{
	while (q->head) {
		const int r = datagram_send(s->fd, q->head);

		if (r < 0)
			return r;
		queue_pop(s, q);
	}
	return 0;
}

int ctlsock_flush(struct ctlsock *s)
{
	int r = 0;

	for (int i = 0; i < QUEUES && r == 0; i++)
		r = queue_send(s, &s->queue[i]);
	/* ETOOMANYREFS: too many descriptors under way; they leave it as the other side reads. */
	return r == -EAGAIN || r == -ENOBUFS || r == -ENOMEM || r == -ETOOMANYREFS ? 0 : r;
}

/* The first descriptor that came, or -1; closes the others. */
static int fd_take(struct msghdr *msg)
{
	/* Not all came: none can be told from another. */
	const bool cut = msg->msg_flags & MSG_CTRUNC;
	int first = -1;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = CMSG_LEN(0); at + sizeof(int) <= c->cmsg_len; at += sizeof(int)) {
			int fd;

			memcpy(&fd, (const char *)c + at, sizeof(fd));
			if (first < 0 && !cut)
				first = fd;
			else
				close(fd);
		}
	}
	return first;
}

/* Gives one record to its user; true if the descriptor went with it. */
static bool record_give(struct ctlsock *s, unsigned int type, const void *body, size_t len, int fd)
{
	if (type >= RECORDS || !records[type].min_len)
		return false;
	if (len < records[type].min_len || (records[type].fds && fd < 0)) {
		s->malformed++;
		return false;
	}
	s->ops->record(s->ctx, (enum ctl_type)type, body, len, records[type].fds ? fd : -1);
	return records[type].fds;
}

static void datagram_parse(struct ctlsock *s, size_t len, int fd)
{
	struct rd r = rd_init(s->in + HEADER_BYTES, len);

	while (rd_left(&r)) {
		struct ctl_header header;
		const uint8_t *body;
		size_t padding;

		rd_bytes(&r, &header, sizeof(header));
		body = rd_take(&r, header.length);
		if (r.bad) {
			s->malformed++;
			break;
		}
		if (record_give(s, header.type, body, header.length, fd))
			fd = -1;
		padding = record_bytes(header.length) - HEADER_BYTES - header.length;
		/* The last record may come without. */
		(void)rd_take(&r, padding < rd_left(&r) ? padding : rd_left(&r));
	}
	if (fd >= 0)
		close(fd);
}

/* One datagram: 0, -EAGAIN if there is none, -EPIPE at the end. */
static int datagram_read(struct ctlsock *s)
{
	struct iovec iov = {.iov_base = s->in + HEADER_BYTES, .iov_len = LIMIT_CTL_DATAGRAM_BYTES};
	union control control;
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t len;
	int fd;

	do {
		len = recvmsg(s->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (len < 0 && errno == EINTR);
	if (len < 0)
		return -errno;
	fd = fd_take(&msg);
	if (msg.msg_flags & MSG_TRUNC) {
		s->malformed++;
		datagram_parse(s, 0, fd);
	} else {
		datagram_parse(s, (size_t)len, fd);
	}
	if (len == 0)
		return -EPIPE;
	secret_wipe(s->in, HEADER_BYTES + (size_t)len);
	return 0;
}

int ctlsock_read(struct ctlsock *s)
{
	for (int i = 0; i < READ_DATAGRAMS; i++) {
		const int r = datagram_read(s);

		if (r < 0)
			return r == -EAGAIN ? 0 : r;
	}
	return 0;
}

static int address_make(const char *path, struct sockaddr_un *out)
{
	const size_t len = strlen(path);

	if (len >= sizeof(out->sun_path))
		return -ENAMETOOLONG;
	*out = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(out->sun_path, path, len + 1);
	return 0;
}

int ctlsock_connect(const char *path)
{
	struct sockaddr_un address;
	int fd, r = address_make(path, &address);

	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}

static int bind_at(int fd, const char *path, const struct sockaddr_un *address)
{
	int other;

	if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
		return 0;
	if (errno != EADDRINUSE)
		return -errno;
	other = ctlsock_connect(path);
	if (other >= 0)
		close(other);
	if (other != -ECONNREFUSED)
		return -EADDRINUSE;
	/* Left by one that is dead. */
	if (unlink(path) < 0 || bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		return -errno;
	return 0;
}

int ctlsock_listen(const char *path)
{
	struct sockaddr_un address;
	int fd, r = address_make(path, &address);

	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	r = bind_at(fd, path, &address);
	if (r == 0 && (chmod(path, 0600) < 0 || listen(fd, BACKLOG) < 0))
		r = -errno;
	if (r == 0)
		return fd;
	close(fd);
	return r;
}

int ctlsock_peer_pid(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return -errno;
	return peer.uid == geteuid() || peer.uid == 0 ? peer.pid : -EPERM;
}
