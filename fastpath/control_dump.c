/* SPDX-License-Identifier: Apache-2.0 */
/* What a new controld is told: who we are and, where workers run, everything we were given. Keys stay here. */
#define LOG_MODULE "control"
#include "fastpath/aead.h"
#include "fastpath/control_state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void put_fd(const struct control *c, enum ctl_type type, const void *body, size_t len, int fd)
{
	if (!ctlsock_put_fd(c->ctl, type, body, len, fd))
		log_err("a descriptor cannot be passed on: %s", strerror(errno));
}

static void put_links(const struct control *c)
{
	for (unsigned i = 0; i < LIMIT_LINK_SLOTS; i++) {
		struct ctl_link_info info = c->links[i];

		if (!info.adopt.link)
			continue;
		info.rx_bytes = __atomic_load_n(&c->f.links[i].rx_bytes, __ATOMIC_RELAXED);
		info.tx_bytes = __atomic_load_n(&c->f.links[i].tx_bytes, __ATOMIC_RELAXED);
		ctlsock_put(c->ctl, CTL_LINK_INFO, &info, sizeof(info), NULL, 0);
	}
}

static void put_route(void *ctx, const struct ctl_route *route)
{
	const struct control *c = ctx;

	ctlsock_put(c->ctl, CTL_ROUTE, route, sizeof(*route), NULL, 0);
}

static void put_session(void *ctx, const struct ctl_session_info *info)
{
	const struct control *c = ctx;

	ctlsock_put(c->ctl, CTL_SESSION_INFO, info, sizeof(*info), NULL, 0);
}

static void put_key(void *ctx, const struct ctl_key_info *info)
{
	const struct control *c = ctx;

	ctlsock_put(c->ctl, CTL_KEY_INFO, info, sizeof(*info), NULL, 0);
}

static void put_held(struct control *c)
{
	ctlsock_put(c->ctl, CTL_CONFIG, &c->config, sizeof(c->config), NULL, 0);
	put_fd(c, CTL_MEMORY, &c->memory, sizeof(c->memory), c->memory_fd);
	for (unsigned i = 0; i < LIMIT_WORKERS; i++)
		if (c->tun_fd[i] >= 0)
			put_fd(c, CTL_TUN, &c->tun[i], sizeof(c->tun[i]), c->tun_fd[i]);
	if (c->has_node)
		ctlsock_put(c->ctl, CTL_NODE, &c->node, sizeof(c->node), NULL, 0);
	put_links(c);
	control_routes_each(c, put_route, c);
	control_sessions_each(c, put_session, c);
	control_report_each_key(c, put_key, c);
}

void control_dump(struct control *c)
{
	struct ctl_hello hello = {.version = CTL_VERSION, .pid = (uint32_t)getpid()};
	struct ctl_ready ready = {.running = c->running};
	const char *why;
	const struct aead *aead = aead_choose(&why);

	snprintf(ready.aead, sizeof(ready.aead), "%s", aead ? aead->name : "");
	snprintf(hello.build, sizeof(hello.build), "%s", BUILD);
	ctlsock_put(c->ctl, CTL_HELLO, &hello, sizeof(hello), NULL, 0);
	if (c->running)
		put_held(c);
	ctlsock_put(c->ctl, CTL_READY, &ready, sizeof(ready), NULL, 0);
}
