/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fake_fastpath.h"

#include "shared/base/ctlsock.h"
#include "shared/lanes.h"
#include "tests/support/ctlpeer.h"
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { FDS = 64, PATH_BYTES = 128 };

struct fake {
	struct ctlsock *ctl;
	const char *mode;
	char dir[PATH_BYTES];
	bool done;
};

static void see(const struct fake *f, const char *word, unsigned long long number)
{
	char path[PATH_BYTES + 8];
	FILE *out;

	snprintf(path, sizeof(path), "%s/seen", f->dir);
	out = fopen(path, "a");
	if (!out)
		abort();
	fprintf(out, "%s=%llu\n", word, number);
	fclose(out);
}

/* True in one process of a test only. */
static bool is_first(const struct fake *f)
{
	char path[PATH_BYTES + 8];
	FILE *mark;

	snprintf(path, sizeof(path), "%s/mark", f->dir);
	mark = fopen(path, "wx");
	if (mark)
		fclose(mark);
	return mark != NULL;
}

static void put(struct fake *f, enum ctl_type type, const void *body, size_t len)
{
	ctlsock_put(f->ctl, type, body, len, NULL, 0);
}

static void put_memory(struct fake *f)
{
	const int fd = ctlpeer_memfd(sizeof(struct lanes), true);
	struct ctl_memory m = {.id = {42}};
	struct lanes *l = mmap(NULL, sizeof(*l), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (l == MAP_FAILED)
		abort();
	l->header.magic = LANES_MAGIC;
	l->header.version = LANES_VERSION;
	l->header.bytes = sizeof(*l);
	memcpy(l->header.id, m.id, sizeof(m.id));
	l->stats[0].value[0] = 4711;
	if (!ctlsock_put_fd(f->ctl, CTL_MEMORY, &m, sizeof(m), fd))
		abort();
}

static void put_tun(struct fake *f, uint32_t queue)
{
	const struct ctl_tun t = {.queue = queue, .ifindex = 77, .name = "tun9"};

	if (!ctlsock_put_fd(f->ctl, CTL_TUN, &t, sizeof(t), STDERR_FILENO))
		abort();
}

static void put_held(struct fake *f, uint8_t first_of_key)
{
	const struct ctl_config config = {.network = 200, .workers = 2, .tun_mtu = 1300, .public_key = {first_of_key}};
	const struct ctl_node node = {.seqno = 5};
	const struct ctl_link_info link = {.adopt.link = 11};
	const struct ctl_route route = {.prefix_len = 64, .link = 11};
	const struct ctl_session_info session = {.memory = {42}, .net64 = 5, .index = 6, .slot = CTL_SESSION_SEND};
	const struct ctl_key_info key = {.net64 = 5, .way = CTL_WAY_SESSION};

	put(f, CTL_CONFIG, &config, sizeof(config));
	put_memory(f);
	put_tun(f, 0);
	put_tun(f, 1);
	put(f, CTL_NODE, &node, sizeof(node));
	put(f, CTL_LINK_INFO, &link, sizeof(link));
	put(f, CTL_ROUTE, &route, sizeof(route));
	put(f, CTL_SESSION_INFO, &session, sizeof(session));
	put(f, CTL_KEY_INFO, &key, sizeof(key));
}

static void greet(struct fake *f)
{
	const bool foreign = strcmp(f->mode, "foreign") == 0 && is_first(f);
	const bool old = strcmp(f->mode, "old") == 0 && is_first(f);
	const bool breaks = strcmp(f->mode, "breaks") == 0 && is_first(f);
	const bool found = strcmp(f->mode, "found") == 0 || strcmp(f->mode, "lingers") == 0 || breaks;
	struct ctl_hello hello = {.version = CTL_VERSION, .pid = (uint32_t)getpid()};
	const struct ctl_ready ready = {.running = found || foreign};

	snprintf(hello.build, sizeof(hello.build), "%s", old ? "of yesterday" : BUILD);
	put(f, CTL_HELLO, &hello, sizeof(hello));
	if (found || foreign)
		put_held(f, foreign ? 2 : 1);
	f->done = breaks;
	if (breaks)
		return;
	put(f, CTL_READY, &ready, sizeof(ready));
}

static void on_start(struct fake *f)
{
	const struct ctl_leaving leaving = {0};

	if (strcmp(f->mode, "leaving") != 0 || !is_first(f))
		return;
	put(f, CTL_LEAVING, &leaving, sizeof(leaving));
	f->done = true;
}

static void on_record(void *ctx, enum ctl_type type, const void *body, size_t len, int fd)
{
	static const char *const names[] = {
#define CTL(name, NAME, number, fds) [number] = #name,
#include "shared/ctl.def"
#undef CTL
	};
	struct fake *f = ctx;
	const struct ctl_ping *ping = body;

	(void)len;
	if (type == CTL_PING && strcmp(f->mode, "mute") != 0)
		put(f, CTL_PONG, &(struct ctl_pong){.number = ping->number}, sizeof(struct ctl_pong));
	else if (type == CTL_HELLO)
		greet(f);
	else if (type == CTL_START)
		on_start(f);
	else if (type == CTL_MEMORY)
		see(f, "memory-id", ((const struct ctl_memory *)body)->id[0]);
	else if (type == CTL_STOP)
		f->done = true;
	if (type == CTL_ADOPT && write(fd, "adopted", 7) != 7)
		abort();
	if (type != CTL_PING)
		see(f, names[type], 1);
	if (fd >= 0)
		close(fd);
}

static unsigned long long open_fds(void)
{
	unsigned long long mask = 0;

	for (int i = 0; i < FDS; i++) {
		if (dup2(i, i) == i)
			mask |= 1ULL << i;
	}
	return mask;
}

static void serve(struct fake *f, int listen_fd)
{
	static const struct ctlsock_ops ops = {.record = on_record};
	struct pollfd p = {.fd = listen_fd, .events = POLLIN};

	if (poll(&p, 1, 20000) != 1)
		abort();
	p.fd = accept(listen_fd, NULL, NULL);
	f->ctl = ctlsock_new(p.fd, &ops, f);
	while (!f->done) {
		if (poll(&p, 1, 20000) != 1 || ctlsock_read(f->ctl) < 0 || ctlsock_flush(f->ctl) < 0)
			break;
	}
	(void)!ctlsock_flush(f->ctl);
	ctlsock_free(f->ctl);
	while (strcmp(f->mode, "lingers") == 0)
		pause();
}

int fake_fastpath(int listen_fd, const char *mode)
{
	struct fake f = {.mode = mode};
	struct sockaddr_un address = {.sun_path = ""};
	socklen_t len = sizeof(address);

	if (getsockname(listen_fd, (struct sockaddr *)&address, &len) < 0)
		abort();
	snprintf(f.dir, sizeof(f.dir), "%s", address.sun_path);
	*strrchr(f.dir, '/') = '\0';
	see(&f, "fds", open_fds());
	see(&f, "pid", (unsigned long long)getpid());
	if (strcmp(mode, "dead") == 0)
		return 3;
	while (strcmp(mode, "hung") == 0)
		pause();
	serve(&f, listen_fd);
	return 0;
}
