/* SPDX-License-Identifier: Apache-2.0 */
/* Message packets. Those of controld are sealed one behind the other, so that what goes to one link is one run; the
 * control thread has checked their addresses and type. Those that were opened here go up to controld, which trusts the
 * addresses it is told. */
#include "fastpath/worker_state.h"
#include <assert.h>

enum { STAGE_RECORDS = 1024 /* what is dropped or waits fills no buffer */ };

_Static_assert(sizeof(struct ctl_user_down) - offsetof(struct ctl_user_down, reserved) >= WIRE_USER_HEADER_BYTES,
	       "the end of a record is the headroom of its packet");
_Static_assert(UINT16_MAX - sizeof(struct ctl_user_down) <= WIRE_SEALED_MAX_BYTES - WIRE_SEALED_MIN_BYTES,
	       "what fits a record fits a frame");
_Static_assert(UINT16_MAX <= WIRE_FRAME_MAX_BYTES, "and the waiting room");

static void seal(struct worker *w, struct key_slot *key, struct ctl_user_down *down, size_t len, uint32_t link)
{
	const struct ip6 src = down->src, dst = down->dst;
	const struct encap_packet p = {.plain = (uint8_t *)(down + 1),
				       .len = len - sizeof(*down),
				       .type = down->type,
				       .hop_limit = down->hop_limit,
				       .src = &src,
				       .dst = &dst};
	uint8_t *frame;
	size_t size;

	if (w->seal_used + p.len + WIRE_OVERHEAD_BYTES > WORKER_SEAL_BUFFER_BYTES)
		links_flush(w);
	frame = w->seal_buffer + w->seal_used;
	size = encap_seal(w->aead, &w->lane, key, &p, frame);
	w->seal_used += size;
	stat_inc(w->stats, STAT_sealed);
	stat_inc(w->stats, STAT_user_sent);
	worker_flow_to(w, &w->user, link);
	links_send(w, link, frame, size, 1);
}

void user_packet(struct worker *w, struct ctl_user_down *down, size_t len)
{
	const uint64_t net64 = ip6_net64(&down->dst);
	const struct wait_packet waiting = {.kind = WAIT_USER, .bytes = (const uint8_t *)down, .len = len};
	const struct table_entry *e = worker_find(w, &w->to, net64);
	const uint32_t link = table_link(e, &down->dst);
	struct key_slot *key = worker_key(w, e);

	if (!link) {
		stat_inc(w->stats, STAT_drop_no_route);
	} else if (!key) {
		wait_add(&w->wait, net64, &waiting, w->now);
		worker_want_key(w, net64, true);
	} else {
		seal(w, key, down, len, link);
	}
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

void user_receive(struct worker *w, const uint8_t *frame, const struct key_slot *key, const struct encap_opened *opened,
		  uint32_t link)
{
	struct ctl_user_up up = {.link = link, .type = opened->type, .key = CTL_USER_KEY_STATIC};
	struct wire_data header;

	memcpy(&header, frame, sizeof(header));
	up.src = header.src;
	up.dst = header.dst;
	/* The key was found by the source, the frame is here by its destination. */
	assert(ip6_net64(&up.src) == key->net64 && ip6_net64(&up.dst) == w->own_net64);
	if (!mail_put(w->user_out, CTL_USER_UP, &up, sizeof(up), opened->body, opened->len))
		stat_inc(w->stats, STAT_drop_ctl_full);
}
