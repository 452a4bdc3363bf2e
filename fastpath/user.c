/* SPDX-License-Identifier: Apache-2.0 */
/* Messages, and what makes sessions. Those of controld are sealed one behind the other, so that what goes to one link
 * is one run; the control thread has checked their addresses and type. Those that were opened here go up to controld,
 * which trusts the addresses it is told. */
#include "fastpath/worker_state.h"
#include <assert.h>

enum { STAGE_RECORDS = 1024 /* what is dropped or waits fills no buffer */ };

_Static_assert(sizeof(struct ctl_user_down) - offsetof(struct ctl_user_down, reserved) >= WIRE_USER_HEADER_BYTES,
	       "the end of a record is the headroom of its packet");
_Static_assert(UINT16_MAX - sizeof(struct ctl_user_down) <= WIRE_SEALED_MAX_BYTES - WIRE_SEALED_MIN_BYTES,
	       "what fits a record fits a frame");
_Static_assert(UINT16_MAX <= WIRE_FRAME_MAX_BYTES, "and the waiting room");

static void seal(struct worker *w, enum secure_how how, struct key_slot *key, struct ctl_user_down *down, size_t len,
		 uint32_t link)
{
	const struct ip6 src = down->src, dst = down->dst;
	const struct encap_packet p = {.plain = (uint8_t *)(down + 1),
				       .len = len - sizeof(*down),
				       .type = down->type,
				       .hop_limit = down->hop_limit,
				       .src = &src,
				       .dst = &dst};
	uint8_t *frame;

	if (w->seal_used + p.len + WIRE_OVERHEAD_BYTES > WORKER_SEAL_BUFFER_BYTES)
		links_flush(w);
	frame = w->seal_buffer + w->seal_used;
	stat_inc(w->stats, STAT_user_sent);
	worker_flow_to(w, &w->user, link);
	links_send(w, link, frame, secure_seal(w, how, key, &p), 1);
}

/* What makes a session cannot wait for one. */
static enum secure_how how_to_seal(struct worker *w, struct key_slot *key, uint8_t type)
{
	if (type == WIRE_USER_MESSAGE)
		return secure_data(w, key, 1);
	assert(type >= WIRE_USER_INIT && type <= WIRE_USER_HINT);
	return key ? SECURE_STATIC : SECURE_NO_KEY;
}

/* In the session that it names, which may have ended since. */
static void control_packet(struct worker *w, struct ctl_user_down *down, size_t len, uint32_t link)
{
	if (secure_control(w, ip6_net64(&down->dst), down->session))
		seal(w, SECURE_SESSION, NULL, down, len, link);
	else
		stat_inc(w->stats, STAT_drop_session_gone);
}

void user_packet(struct worker *w, struct ctl_user_down *down, size_t len)
{
	const uint64_t net64 = ip6_net64(&down->dst);
	struct wait_packet waiting = {.kind = WAIT_USER, .bytes = (const uint8_t *)down, .len = len};
	const struct table_entry *e = worker_find(w, &w->to, net64);
	const uint32_t link = table_link(e, &down->dst);
	struct key_slot *key = worker_key(w, e);
	enum secure_how how;

	if (!link) {
		stat_inc(w->stats, STAT_drop_no_route);
		return;
	}
	if (down->type == WIRE_USER_CONTROL) {
		control_packet(w, down, len, link);
		return;
	}
	how = how_to_seal(w, key, down->type);
	if (how == SECURE_STATIC || how == SECURE_SESSION)
		seal(w, how, key, down, len, link);
	else
		secure_wait(w, how, key, net64, &waiting);
}

void user_stage(struct worker *w)
{
	uint16_t type;
	uint8_t *body;
	size_t len;

	for (int i = 0; i < STAGE_RECORDS && w->seal_used < WORKER_SEAL_BYTES; i++) {
		w->user_unread = mail_next(w->user_in, &type, &body, &len);
		if (!w->user_unread)
			break;
		assert(type == CTL_USER_DOWN && len >= sizeof(struct ctl_user_down));
		user_packet(w, (struct ctl_user_down *)(void *)body, len);
	}
	worker_used(w, w->seal_used);
	links_flush(w);
	(void)worker_flow_pause(w, &w->user);
}

void user_receive(struct worker *w, const struct local_opened *o)
{
	struct ctl_user_up up = {.session = o->session, .link = o->link, .type = o->user.type};
	struct wire_data header;

	memcpy(&header, o->frame, sizeof(header));
	up.src = header.src;
	up.dst = header.dst;
	memcpy(up.public_key, o->pk->b, sizeof(up.public_key));
	/* The key was found by the source or holds it, the frame is here by its destination. */
	assert(ip6_net64(&up.src) == o->net64 && ip6_net64(&up.dst) == w->own_net64);
	if ((mail_room(w->user_out) < LIMIT_CTL_HANDSHAKE_BYTES && !worker_is_handshake(up.type, o->user.len)) ||
	    !mail_put(w->user_out, CTL_USER_UP, &up, sizeof(up), o->user.body, o->user.len))
		stat_inc(w->stats, STAT_drop_ctl_full);
}
