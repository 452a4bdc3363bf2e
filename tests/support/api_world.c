/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/api_world.h"

#include "tests/support/until.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <errno.h>

enum { TURNS = 8 };

/* Ops of a node without anything. */

static void no_peers(void *ctx, void (*fn)(void *fn_ctx, const struct api_peer *p), void *fn_ctx)
{
	(void)ctx;
	(void)fn;
	(void)fn_ctx;
}

static int no_peer_add(void *ctx, const char *endpoint, const char **why)
{
	(void)ctx;
	(void)endpoint;
	*why = "the test has no peers";
	return -EINVAL;
}

static int no_peer_del(void *ctx, const char *endpoint)
{
	(void)ctx;
	(void)endpoint;
	return -ENOENT;
}

static void no_fastpaths(void *ctx, void (*fn)(void *fn_ctx, const struct api_fastpath *f), void *fn_ctx)
{
	(void)ctx;
	(void)fn;
	(void)fn_ctx;
}

static uint64_t no_stat(void *ctx, enum stat_id which)
{
	(void)ctx;
	(void)which;
	return 0;
}

static const char *no_text(void *ctx)
{
	(void)ctx;
	return "";
}

static uint64_t no_bytes(void *ctx)
{
	(void)ctx;
	return 0;
}

static void count_settled(void *ctx)
{
	struct api_world *w = ctx;

	w->settled++;
}

static const struct api_ops default_ops = {
	.peers_each = no_peers,
	.peer_add = no_peer_add,
	.peer_del = no_peer_del,
	.fastpaths_each = no_fastpaths,
	.stat = no_stat,
	.store_trouble = no_text,
	.store_bytes = no_bytes,
	.tun_name = no_text,
	.not_ready = no_text,
	.settled = count_settled,
};

/* A port that nobody has. */
static uint16_t free_port(void)
{
	struct endpoint e = {.v6 = {.sin6_family = AF_INET6}};
	const int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(e);

	assert_int_equal(bind(fd, &e.sa, sizeof(e.v6)), 0);
	assert_int_equal(getsockname(fd, &e.sa, &len), 0);
	close(fd);
	return endpoint_port(&e);
}

static void complete(struct api_config *c)
{
	if (c->addr.sa.sa_family == 0) {
		c->addr = (struct endpoint){.v4 = {.sin_family = AF_INET}};
		c->addr.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	}
	if (endpoint_port(&c->addr) == 0)
		endpoint_set_port(&c->addr, free_port());
	if (c->network)
		return;
	c->network = &network200;
	for (unsigned i = 0; i < sizeof(c->pk.b); i++)
		c->pk.b[i] = (uint8_t)(i + 1);
	c->network->address(&c->pk, &c->address);
	c->own = network_own_prefix(c->network, &c->pk);
}

struct api_world *api_world_try(const struct api_setup *s)
{
	struct api_world *w = calloc(1, sizeof(*w));
	struct api_config c = s->config;
	struct api_host host;

	assert_non_null(w);
	complete(&c);
	w->loop = loop_new();
	w->at = c.addr;
	snprintf(w->host, sizeof(w->host), "localhost:%u", endpoint_port(&w->at));
	host = (struct api_host){.node = s->node,
				 .post = s->post,
				 .keyring = s->keyring,
				 .ops = s->ops ? s->ops : &default_ops,
				 .ctx = s->ops ? s->ctx : w};
	w->result = api_new(w->loop, &c, &host, &w->api, w->error);
	return w;
}

struct api_world *api_world_new(const struct api_setup *s)
{
	struct api_world *w = api_world_try(s);

	if (w->result)
		fail_msg("%s", w->error);
	return w;
}

static void on_stopped(void *ctx)
{
	struct api_world *w = ctx;

	w->stopped = true;
}

static bool is_stopped(void *ctx)
{
	const struct api_world *w = ctx;

	return w->stopped;
}

void api_world_stop(struct api_world *w)
{
	api_stop(w->api, on_stopped, w);
	api_world_until(w, is_stopped, w);
}

void api_world_free(struct api_world *w)
{
	if (w->api && !w->stopped)
		api_world_stop(w);
	api_free(w->api);
	loop_free(w->loop);
	free(w);
}

void api_world_until(struct api_world *w, bool (*ready)(void *ctx), void *ctx)
{
	assert_true(until(w->loop, ready, ctx));
}

static bool count_down(void *ctx)
{
	unsigned *left = ctx;

	return (*left)-- == 0;
}

void api_world_turn(struct api_world *w)
{
	unsigned left = TURNS;

	assert_true(until(w->loop, count_down, &left));
}
