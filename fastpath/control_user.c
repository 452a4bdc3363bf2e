/* SPDX-License-Identifier: Apache-2.0 */
/* Messages, and what makes sessions, between controld and the workers. What goes down is checked here, so that this
 * node sends as itself only; it goes to the worker that has the link of its route, in order as long as the route stays.
 */
#include "fastpath/control_state.h"

#include "fastpath/stats.h"

/* CONTROL names the session that it goes in; nothing else does. */
static const char *type_problem(const struct ctl_user_down *down)
{
	const bool is_control = down->type == WIRE_USER_CONTROL;
	const bool is_other =
		down->type == WIRE_USER_MESSAGE || (down->type >= WIRE_USER_INIT && down->type <= WIRE_USER_HINT);

	if (!is_control && !is_other)
		return "USER_DOWN: type";
	return is_control == (down->session != 0) ? NULL : "USER_DOWN: session";
}

static const char *problem(const struct control *c, const struct ctl_user_down *down)
{
	const uint64_t to = ip6_net64(&down->dst);

	if (!c->running)
		return "USER_DOWN before START";
	if (type_problem(down))
		return type_problem(down);
	if (ip6_net64(&down->src) != c->f.own_net64)
		return "USER_DOWN: source not ours";
	if (to == c->f.own_net64 || !prefix_has(&c->f.network->overlay, &down->dst))
		return "USER_DOWN: destination";
	return NULL;
}

void control_user_down(struct control *c, const struct ctl_user_down *down, size_t len)
{
	const char *why = problem(c, down);
	uint32_t link;

	if (why) {
		control_refuse(c, why);
		return;
	}
	/* Without a route any worker will do: it counts the loss. */
	link = table_link(table_find(c->f.table, ip6_net64(&down->dst)), &down->dst);
	control_mail_put_user(c, control_links_owner(c, link), down, len);
}

void control_user_up(struct control *c, const void *body, size_t len)
{
	const struct ctl_user_up *up = body;
	const bool has_room = worker_is_handshake(up->type, len - sizeof(*up)) ||
			      (c->ctl && ctlsock_user_room(c->ctl) >= LIMIT_CTL_HANDSHAKE_BYTES);
	const bool sent = has_room && control_send(c, CTL_USER_UP, body, len);

	stat_inc(&c->f.lanes->stats[0], sent ? STAT_user_received : STAT_drop_ctl_full);
}
