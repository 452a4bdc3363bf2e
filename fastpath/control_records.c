/* SPDX-License-Identifier: Apache-2.0 */
/* The records of controld, each to the file that knows what to do with it; and those of the workers, which go up as
 * they are. ctlsock has checked that a body is at least as long as its struct, and that a descriptor came where one
 * belongs. */
#define LOG_MODULE "control"
#include "fastpath/control_state.h"

#include "fastpath/stats.h"
#include <stdio.h>
#include <unistd.h>

static void on_hello(struct control *c, const struct ctl_hello *hello)
{
	char build[CTL_BUILD_BYTES];

	if (c->greeted) {
		control_refuse(c, "HELLO: said before");
		return;
	}
	snprintf(build, sizeof(build), "%.*s", CTL_BUILD_BYTES - 1, hello->build);
	log_info("controld says hello pid=%u build=%s version=%u%s", hello->pid, build, hello->version,
		 hello->version == CTL_VERSION ? "" : ", not ours");
	control_dump(c);
	c->greeted = true;
}

static void on_ping(const struct control *c, const struct ctl_ping *ping)
{
	const struct ctl_pong pong = {.number = ping->number};

	ctlsock_put(c->ctl, CTL_PONG, &pong, sizeof(pong), NULL, 0);
}

static void on_node(struct control *c, const struct ctl_node *node)
{
	c->node = *node;
	c->has_node = true;
}

/* Records that need no HELLO before them; true: it was one. */
static bool take_any_time(struct control *c, enum ctl_type type, const void *body)
{
	switch (type) {
	case CTL_HELLO:
		on_hello(c, body);
		return true;
	case CTL_PING:
		on_ping(c, body);
		return true;
	case CTL_STOP:
		control_finish(c, 0, "controld said stop");
		return true;
	default:
		return false;
	}
}

static void take_with_fd(struct control *c, enum ctl_type type, const void *body, int fd)
{
	if (type == CTL_MEMORY)
		control_setup_memory(c, body, fd);
	else if (type == CTL_TUN)
		control_setup_tun(c, body, fd);
	else
		control_links_adopt(c, body, fd);
}

/* Records about keys; true: it was one. */
static bool take_key(struct control *c, enum ctl_type type, const void *body)
{
	switch (type) {
	case CTL_KEY:
		control_keys_add(c, body);
		return true;
	case CTL_NO_KEY:
		control_keys_none(c, body);
		return true;
	case CTL_POLICY:
		control_sessions_policy(c, body);
		return true;
	case CTL_SESSION_KEY:
		control_sessions_add(c, body);
		return true;
	case CTL_SESSION_MOVE:
		control_sessions_move(c, body);
		return true;
	case CTL_SESSION_DEL:
		control_sessions_del(c, body);
		return true;
	default:
		return false;
	}
}

static void take_plain(struct control *c, enum ctl_type type, const void *body, size_t len)
{
	switch (type) {
	case CTL_CONFIG:
		control_setup_config(c, body);
		break;
	case CTL_LINK_CLOSE:
		control_links_close(c, body);
		break;
	case CTL_LINK_COST:
		control_links_cost(c, body);
		break;
	case CTL_NODE:
		on_node(c, body);
		break;
	case CTL_ROUTE:
		control_routes_set(c, body);
		break;
	case CTL_ROUTE_DEL:
		control_routes_del(c, body);
		break;
	case CTL_START:
		control_setup_start(c);
		break;
	case CTL_TLV:
		control_links_tlv(c, body, len);
		break;
	case CTL_USER_DOWN:
		control_user_down(c, body, len);
		break;
	default:
		control_refuse(c, "a record that only fastpath sends");
		break;
	}
}

void control_records_take(void *ctx, enum ctl_type type, const void *body, size_t len, int fd)
{
	struct control *c = ctx;

	if (c->done || take_any_time(c, type, body)) {
		if (fd >= 0)
			close(fd);
		return;
	}
	if (!c->greeted) {
		control_refuse(c, "a record before HELLO");
		if (fd >= 0)
			close(fd);
		return;
	}
	if (fd >= 0)
		take_with_fd(c, type, body, fd);
	else if (!take_key(c, type, body))
		take_plain(c, type, body, len);
}

/* What cannot go up is dropped: links, round trips and confirmations are remembered here, the rest is asked or told
 * again. */
void control_records_event(struct control *c, enum ctl_type type, const void *body, size_t len)
{
	if (type == CTL_LINK_DOWN)
		control_links_down(c, body);
	else if (type == CTL_LINK_RTT)
		control_links_rtt(c, body);
	if (!control_send(c, type, body, len) && type == CTL_TLV)
		stat_inc(&c->f.lanes->stats[0], STAT_drop_ctl_full);
}
