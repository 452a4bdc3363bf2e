/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/node_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static void on_tlv(void *ctx, uint32_t link, const uint8_t *tlv, size_t len)
{
	struct node_world *w = ctx;
	struct sent_tlv *t = &w->tlvs[w->tlv_count++ % NODE_WORLD_TLVS];

	assert_true(len <= sizeof(t->bytes));
	t->link = link;
	t->len = len;
	memcpy(t->bytes, tlv, len);
}

static void on_route(void *ctx, const struct ctl_route *r)
{
	struct node_world *w = ctx;

	w->routes[w->route_count++ % NODE_WORLD_NOTES] = *r;
}

static void on_route_del(void *ctx, const struct prefix *p)
{
	struct node_world *w = ctx;

	w->dels[w->del_count++ % NODE_WORLD_NOTES] = *p;
}

static void on_link_cost(void *ctx, uint32_t link, uint32_t smoothed)
{
	struct node_world *w = ctx;

	w->costs[w->cost_count++ % NODE_WORLD_NOTES] = (struct ctl_link_cost){.link = link, .smoothed_cost = smoothed};
}

static void on_link_close(void *ctx, uint32_t link, const char *reason)
{
	struct node_world *w = ctx;
	struct ctl_link_close *c = &w->closes[w->close_count++ % NODE_WORLD_NOTES];

	c->link = link;
	snprintf(c->reason, sizeof(c->reason), "%s", reason);
}

static void on_key(void *ctx, const struct ctl_key *k)
{
	struct node_world *w = ctx;

	assert_true(w->key_count < NODE_WORLD_KEYS);
	w->keys[w->key_count++] = *k;
}

static void on_no_key(void *ctx, uint64_t net64)
{
	struct node_world *w = ctx;

	w->no_keys[w->no_key_count++ % NODE_WORLD_NOTES] = net64;
}

static void on_self(void *ctx, const struct ctl_node *n)
{
	struct node_world *w = ctx;

	w->self = *n;
	w->self_count++;
}

static bool on_adopt(void *ctx, const struct ctl_adopt *a, int fd)
{
	struct node_world *w = ctx;

	close(fd);
	if (w->refuse_adopt)
		return false;
	w->adopts[w->adopt_count++] = *a;
	return true;
}

static void on_link_changed(void *ctx, const struct node_link *l, bool up)
{
	struct node_world *w = ctx;

	(void)l;
	w->links_up += up ? 1 : -1;
}

static void on_link_gone(void *ctx, uint64_t peer, int64_t lived_us, const char *reason)
{
	struct node_world *w = ctx;

	w->gone_peer = peer;
	w->gone_lived_us = lived_us;
	snprintf(w->gone_reason, sizeof(w->gone_reason), "%s", reason);
	w->gone_count++;
}

static bool on_may_learn(void *ctx, uint64_t net64, const struct pubkey *pk)
{
	struct node_world *w = ctx;

	(void)net64;
	(void)pk;
	w->learn_asked++;
	return !w->refuse_keys;
}

static void on_random(void *ctx, void *out, size_t len)
{
	(void)ctx;
	memset(out, 0x5a, len);
}

static const struct node_ops ops = {
	.tlv = on_tlv,
	.route = on_route,
	.route_del = on_route_del,
	.link_cost = on_link_cost,
	.link_close = on_link_close,
	.key = on_key,
	.no_key = on_no_key,
	.self = on_self,
	.adopt = on_adopt,
	.link_gone = on_link_gone,
	.link_changed = on_link_changed,
	.may_learn = on_may_learn,
	.random = on_random,
};

static void identity_make(struct identity *id, uint8_t first)
{
	uint8_t sk[32];

	for (unsigned i = 0; i < sizeof(sk); i++)
		sk[i] = (uint8_t)(first + i);
	assert_int_equal(identity_from_bytes(id, &network200, sk), 0);
}

void node_world_other(struct node_other *o, uint8_t first)
{
	identity_make(&o->id, first);
	memset(&o->rid, 0, sizeof(o->rid));
	memcpy(o->rid.public_key, o->id.pk.b, sizeof(o->rid.public_key));
	memset(o->rid.tail + 2, first, sizeof(o->rid.tail) - 2);
}

struct node_world *node_world_new(void)
{
	struct node_world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	identity_make(&w->id, 0x01);
	w->now.us = 1000 * 1000000LL;
	w->n = node_new(&(const struct node_config){.network = &network200, .identity = &w->id}, &ops, w, w->now);
	assert_non_null(w->n);
	return w;
}

void node_world_free(struct node_world *w)
{
	node_free(w->n);
	identity_fini(&w->id);
	free(w);
}

struct node_world *node_world_started(void)
{
	struct node_world *w = node_world_new();

	node_start(w->n, w->now);
	node_tick(w->n, w->now);
	return w;
}

int node_world_fd(void)
{
	const int fd = dup(STDERR_FILENO);

	assert_true(fd >= 0);
	return fd;
}

struct ctl_adopt node_world_adopt(const char *local, const char *remote, uint32_t flags, uint64_t peer)
{
	struct ctl_adopt a = {.flags = flags, .peer = peer};
	struct endpoint e;

	memset(&e, 0, sizeof(e));
	assert_int_equal(endpoint_parse(local, &e), 0);
	memcpy(a.local, &e, sizeof(a.local));
	memset(&e, 0, sizeof(e));
	assert_int_equal(endpoint_parse(remote, &e), 0);
	memcpy(a.remote, &e, sizeof(a.remote));
	return a;
}

uint32_t node_world_link(struct node_world *w, const char *local, const char *remote, uint32_t flags, uint64_t peer)
{
	const struct ctl_adopt a = node_world_adopt(local, remote, flags, peer);
	const unsigned before = w->adopt_count;

	node_on_socket(w->n, &a, node_world_fd(), w->now);
	assert_int_equal(w->adopt_count, before + 1);
	node_tick(w->n, w->now);
	return w->adopts[before].link;
}

uint32_t node_world_link_out(struct node_world *w, const char *remote)
{
	return node_world_link(w, "192.0.2.1:40000", remote, CTL_LINK_STATIC, 77);
}

void node_world_update(struct node_world *w, uint32_t link, const struct node_other *o, uint16_t seqno, uint16_t metric)
{
	uint8_t bytes[2 + NODE_WORLD_UPDATE_LEN];
	struct wr b = wr_init(bytes, sizeof(bytes));

	wr_u8(&b, NODE_WORLD_UPDATE);
	wr_u8(&b, NODE_WORLD_UPDATE_LEN);
	wr_u8(&b, WIRE_AE_IPV6);
	wr_u8(&b, 0);
	wr_u8(&b, 64);
	wr_u8(&b, 0);
	wr_be16(&b, 16);
	wr_be16(&b, seqno);
	wr_be16(&b, metric);
	wr_bytes(&b, o->id.own.ip.b, 16);
	wr_bytes(&b, &o->rid, sizeof(o->rid));
	assert_false(b.bad);
	node_on_tlvs(w->n, link, bytes, sizeof(bytes), w->now);
	node_tick(w->n, w->now);
}

void node_world_rtt(struct node_world *w, uint32_t link, uint32_t rtt_us)
{
	node_on_rtt(w->n, &(const struct ctl_link_rtt){.link = link, .rtt_us = rtt_us, .rx_bytes = 1, .tx_bytes = 2},
		    w->now);
}

const struct ctl_route *node_world_last_route(const struct node_world *w)
{
	assert_true(w->route_count > 0);
	return &w->routes[(w->route_count - 1) % NODE_WORLD_NOTES];
}
