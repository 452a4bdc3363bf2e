/* SPDX-License-Identifier: Apache-2.0 */
/* The fastpath's side of the glue: its records to the node, and what it is given when it is ready. What cannot change
 * while it runs (a TUN, its offload, the number of workers) makes a running one be replaced. */
#define LOG_MODULE "daemon"
#include "controld/daemon_private.h"
#include "shared/base/log.h"

#include <stdio.h>
#include <unistd.h>

void daemon_find_program(const char *given, char *out, size_t size)
{
	static const char name[] = "fastpath";
	char self[1024];
	ssize_t len;

	if (given) {
		snprintf(out, size, "%s", given);
		return;
	}
	len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[len > 0 ? len : 0] = '\0';
	if (len > 0 && strrchr(self, '/')) {
		*strrchr(self, '/') = '\0';
		snprintf(out, size, "%s/%s", self, name);
		if (access(out, X_OK) == 0)
			return;
	}
	snprintf(out, size, "%s/%s", LIBEXECDIR, name);
}

static void take_tlv(struct node *n, const void *body, size_t len, struct mono now)
{
	const struct ctl_tlv *t = body;

	node_on_tlvs(n, t->link, (const uint8_t *)body + sizeof(*t), len - sizeof(*t), now);
}

static void take_user(struct daemon *d, const void *body, size_t len)
{
	const struct ctl_user_up *u = body;
	const uint8_t *bytes = (const uint8_t *)body + sizeof(*u);

	len -= sizeof(*u);
	if (u->type == WIRE_USER_MESSAGE) {
		if (!d->keyring || keyring_may_take(d->keyring, u, len, daemon_session_time()))
			daemon_post_packet(d, u, bytes, len);
	} else if (u->type >= WIRE_USER_INIT && u->type <= WIRE_USER_CONTROL && d->keyring) {
		keyring_on_packet(d->keyring, u, bytes, len, daemon_session_time());
	}
}

static void on_record(void *ctx, unsigned which, enum ctl_type type, const void *body, size_t len)
{
	struct daemon *d = ctx;
	struct node *n = d->node;
	const struct ctl_want_key *want = body;
	const struct mono now = mono_now();

	(void)which;
	switch (type) {
	case CTL_CONFIG:
		d->found = *(const struct ctl_config *)body;
		break;
	case CTL_NODE:
		node_found_self(n, body);
		break;
	case CTL_LINK_INFO:
		node_found_link(n, body, now);
		break;
	case CTL_ROUTE:
		node_found_route(n, body, now);
		break;
	case CTL_TLV:
		take_tlv(n, body, len, now);
		break;
	case CTL_USER_UP:
		take_user(d, body, len);
		break;
	case CTL_LINK_RTT:
		node_on_rtt(n, body, now);
		break;
	case CTL_LINK_DOWN:
		node_on_link_down(n, body, now);
		break;
	case CTL_WANT_KEY:
		node_on_want_key(n, want->net64, want->own != 0, now);
		break;
	default:
		daemon_keyring_record(d, type, body);
		break;
	}
}

/* Why a running fastpath cannot be used with our configuration; NULL: it can. */
static const char *misfit(const struct daemon *d, unsigned queues)
{
	const uint32_t changed = d->found.flags ^ d->wanted.flags;

	if (changed & CTL_CONFIG_NO_TUN)
		return d->wanted.flags & CTL_CONFIG_NO_TUN ? "it has a TUN and --no-tun is given" : "it has no TUN";
	if (changed & CTL_CONFIG_NO_OFFLOAD)
		return "the offload of the TUN is to be another";
	if (d->found.workers != d->wanted.workers)
		return "the number of workers is to be another";
	if (!(d->wanted.flags & CTL_CONFIG_NO_TUN) && queues == 0)
		return "it gave no TUN back";
	return NULL;
}

static struct tun_config tun_config(const struct daemon *d)
{
	return (struct tun_config){
		.name = d->options->tun_name,
		.queues = d->wanted.workers,
		.mtu = d->wanted.tun_mtu,
		.offload = !(d->wanted.flags & CTL_CONFIG_NO_OFFLOAD),
		.address = d->identity.address,
		.overlay = d->network->overlay,
	};
}

/* The queues of a running fastpath become ours. False: it does not fit, and is being replaced. */
static bool take_over(struct daemon *d, char error[256], int *r)
{
	const struct tun_config c = tun_config(d);
	struct tun t = {.queues = 0};
	const char *why;

	*r = 0;
	t.queues = fastpaths_take_tun(d->fastpaths, t.fd, t.name, &t.ifindex);
	why = misfit(d, t.queues);
	if (why) {
		for (unsigned i = 0; i < t.queues; i++)
			close(t.fd[i]);
		fastpaths_replace(d->fastpaths, 0, why);
		return false;
	}
	if (d->options->no_tun)
		return true;
	d->tun = t;
	d->has_tun = true;
	*r = tun_adopt(&d->tun, d->rtnl, &c, error);
	return true;
}

static void on_ready(void *ctx, unsigned which, bool running)
{
	struct daemon *d = ctx;
	char error[256] = "";
	int r = 0;

	if (d->stopping)
		return;
	if (running && !take_over(d, error, &r))
		return;
	if (!running && !d->options->no_tun && !d->has_tun) {
		const struct tun_config c = tun_config(d);

		r = tun_open(&d->tun, d->rtnl, &c, error);
		d->has_tun = r == 0;
	}
	if (r < 0) {
		daemon_fail(d, error);
		return;
	}
	/* One that died in the middle of telling what it holds took its keys along. */
	if (!running)
		daemon_keyring_lost(d);
	fastpaths_begin(d->fastpaths, which, d->has_tun ? &d->tun : NULL);
	if (d->started)
		node_restart(d->node, mono_now());
	else
		daemon_start(d);
	daemon_keyring_start(d);
	peers_hurry(d->peers);
	daemon_settle(d);
}

static void on_lost(void *ctx, unsigned which)
{
	struct daemon *d = ctx;

	(void)which;
	d->found = (struct ctl_config){0};
	node_fastpath_lost(d->node, mono_now());
	daemon_keyring_lost(d);
	daemon_settle(d);
}

static void on_gave_up(void *ctx, int exit_code, const char *why)
{
	struct daemon *d = ctx;

	daemon_fail(d, why);
	d->exit_code = exit_code;
}

static void on_settled(void *ctx)
{
	daemon_settle(ctx);
}

const struct fastpaths_ops daemon_fastpaths_ops = {
	.ready = on_ready,
	.lost = on_lost,
	.gave_up = on_gave_up,
	.record = on_record,
	.settled = on_settled,
};
