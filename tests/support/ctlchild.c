/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/ctlchild.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include "fastpath/arena.h"
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int ctlchild_gate = -1;
/* The first step of each arena, no more: slots run out soon. */
size_t ctlchild_locked_bytes = 2 * ARENA_STEP_BYTES;

void ctlchild_greet(struct ctlpeer *c)
{
	const struct ctlseen *s;

	ctlpeer_hello(c, CTL_VERSION);
	s = ctlpeer_next(c, CTL_HELLO);
	assert_int_equal(((const struct ctl_hello *)s->body)->version, CTL_VERSION);
	assert_string_equal(((const struct ctl_hello *)s->body)->build, BUILD);
	s = ctlpeer_next(c, CTL_READY);
	assert_int_equal(((const struct ctl_ready *)s->body)->running, 0);
}

struct ctl_config ctlchild_config(void)
{
	return (struct ctl_config){
		.network = 200,
		.workers = CTLCHILD_WORKERS,
		.tun_mtu = 1400,
		.log_level = LOG_ERR,
		.pool_chunks = 16,
		.public_key = {7},
		.address = {{2, 0, 1}},
	};
}

int ctlchild_memory(size_t bytes, bool sealed, struct lanes **out)
{
	const int fd = ctlpeer_memfd(bytes, sealed);
	struct lanes *l = mmap(NULL, sizeof(*l), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	assert_true(l != MAP_FAILED);
	l->header = (struct lanes_header){
		.magic = LANES_MAGIC,
		.version = LANES_VERSION,
		.bytes = sizeof(*l),
		.id = {1, 2, 3},
	};
	*out = l;
	return fd;
}

void ctlchild_put_memory(struct ctlpeer *c, int fd, uint8_t first_of_id)
{
	const struct ctl_memory memory = {.id = {first_of_id, 2, 3}};

	assert_true(ctlsock_put_fd(c->s, CTL_MEMORY, &memory, sizeof(memory), fd));
}

void ctlchild_put_tuns(const struct ctlchild *w, struct ctlpeer *c)
{
	for (uint32_t i = 0; i < CTLCHILD_WORKERS; i++) {
		const struct ctl_tun tun = {.queue = i, .ifindex = 5, .name = "tun9"};

		assert_true(ctlsock_put_fd(c->s, CTL_TUN, &tun, sizeof(tun), w->tun[i][0]));
	}
}

void ctlchild_put_start(struct ctlpeer *c)
{
	ctlpeer_put(c, CTL_START, &(const struct ctl_start){0}, sizeof(struct ctl_start));
}

void ctlchild_start(const struct ctlchild *w, struct ctlpeer *c)
{
	const struct ctl_config config = ctlchild_config();

	ctlchild_greet(c);
	ctlpeer_put(c, CTL_CONFIG, &config, sizeof(config));
	ctlchild_put_memory(c, w->memory_fd, 1);
	ctlchild_put_tuns(w, c);
	ctlchild_put_start(c);
}

int ctlchild_adopt(struct ctlpeer *c, uint32_t link)
{
	const struct ctl_adopt body = {.link = link, .flags = CTL_LINK_STATIC, .remote = {1, 2, 3}, .peer = 99};
	char text[5];
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	assert_true(ctlsock_put_fd(c->s, CTL_ADOPT, &body, sizeof(body), ends[0]));
	close(ends[0]);
	assert_int_equal(ctlsock_flush(c->s), 0);
	assert_int_equal(read(ends[1], text, sizeof(text)), sizeof(text));
	return ends[1];
}

void ctlchild_put_tlv(struct ctlpeer *c, uint32_t link, uint8_t type, const void *value, uint8_t len)
{
	const struct ctl_tlv tlv = {.link = link};
	uint8_t tail[2 + 255] = {type, len};

	memcpy(tail + 2, value, len);
	assert_true(ctlsock_put(c->s, CTL_TLV, &tlv, sizeof(tlv), tail, 2 + (size_t)len));
}

void ctlchild_open_gate(const struct ctlchild *w)
{
	const uint64_t one = 1;

	assert_int_equal(write(w->gate, &one, sizeof(one)), sizeof(one));
}

/* What the worker of the link finds for an address. */
static void look(struct ctlpeer *c, uint32_t link, const char *address, uint32_t out[2])
{
	struct ip6 dst;

	assert_int_equal(ip6_parse(address, &dst), 0);
	ctlchild_put_tlv(c, link, CTLCHILD_LOOK_UP, dst.b, sizeof(dst.b));
	memcpy(out, ctlpeer_await(c, CTL_TLV)->body + 6, 2 * sizeof(out[0]));
}

uint32_t ctlchild_link_to(struct ctlpeer *c, uint32_t via, const char *address)
{
	uint32_t found[2];

	look(c, via, address, found);
	return found[0];
}

struct ctlchild_key ctlchild_look_key(struct ctlpeer *c, uint32_t link, uint64_t net64)
{
	struct ctlchild_key found = {.net64 = net64};

	ctlchild_put_tlv(c, link, CTLCHILD_LOOK_KEY, &found, sizeof(found));
	memcpy(&found, ctlpeer_await(c, CTL_TLV)->body + 6, sizeof(found));
	return found;
}

void ctlchild_use_key(struct ctlpeer *c, uint32_t link, uint64_t net64, uint32_t index, uint32_t packets)
{
	const struct ctlchild_use use = {.net64 = net64, .index = index, .packets = packets};

	ctlchild_put_tlv(c, link, CTLCHILD_USE_KEY, &use, sizeof(use));
	assert_int_equal(ctlpeer_await(c, CTL_TLV)->body[4], CTLCHILD_USE_KEY);
}

struct ctl_route ctlchild_route(const char *text, uint32_t link)
{
	struct prefix p;

	assert_int_equal(prefix_parse(text, &p), 0);
	return (struct ctl_route){
		.prefix = p.ip,
		.prefix_len = p.len,
		.metric = 30,
		.link = link,
		.seqno = 4,
		.fd_seqno = 3,
		.fd_metric = 20,
		.router_id.tail = {9},
	};
}

void ctlchild_put_route(struct ctlpeer *c, const char *text, uint32_t link)
{
	const struct ctl_route r = ctlchild_route(text, link);

	ctlpeer_put(c, CTL_ROUTE, &r, sizeof(r));
}

static void run_child(const struct ctlchild *w, int listen_fd)
{
	int code;

	(void)setrlimit(RLIMIT_MEMLOCK, &(const struct rlimit){ctlchild_locked_bytes, ctlchild_locked_bytes});
	log_init("fastpath");
	log_level = LOG_ERR;
	code = control_serve(listen_fd, &w->times);
	exit(code);
}

void ctlchild_begin(struct ctlchild *w, int64_t fresh_ms, int64_t grace_ms)
{
	const char *tmp = getenv("TMPDIR");
	int listen_fd;

	*w = (struct ctlchild){.times = {.fresh_ms = fresh_ms, .grace_ms = grace_ms}};
	snprintf(w->dir, sizeof(w->dir), "%.40s/control.XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->path, sizeof(w->path), "%s/ctl", w->dir);
	listen_fd = ctlsock_listen(w->path);
	assert_true(listen_fd >= 0);
	w->gate = ctlchild_gate = eventfd(0, EFD_SEMAPHORE | EFD_CLOEXEC);
	w->memory_fd = ctlchild_memory(sizeof(struct lanes), true, &w->lanes);
	for (int i = 0; i < CTLCHILD_WORKERS; i++)
		assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, w->tun[i]), 0);
	fflush(NULL);
	w->child = fork();
	assert_true(w->child >= 0);
	if (w->child == 0)
		run_child(w, listen_fd);
	close(listen_fd);
}

void ctlchild_ends(struct ctlchild *w, int code)
{
	int status;

	assert_int_equal(waitpid(w->child, &status, 0), w->child);
	w->reaped = true;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), code);
}

int ctlchild_end(struct ctlchild *w)
{
	ctlpeer_hang_up(&w->a);
	ctlpeer_hang_up(&w->b);
	if (!w->reaped) {
		kill(w->child, SIGKILL);
		waitpid(w->child, NULL, 0);
	}
	munmap(w->lanes, sizeof(*w->lanes));
	close(w->memory_fd);
	close(w->gate);
	for (int i = 0; i < CTLCHILD_WORKERS; i++) {
		close(w->tun[i][0]);
		close(w->tun[i][1]);
	}
	unlink(w->path);
	return rmdir(w->dir);
}

void ctlchild_stop(struct ctlchild *w, struct ctlpeer *c)
{
	ctlpeer_put(c, CTL_STOP, &(const struct ctl_stop){0}, sizeof(struct ctl_stop));
	assert_int_equal(ctlsock_flush(c->s), 0);
	ctlchild_ends(w, 0);
}
