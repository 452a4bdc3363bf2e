/* SPDX-License-Identifier: Apache-2.0 */
/* Frames for this host: opened in place by the session key that their nonce names, else by the static key of the /64
 * they come from, and given to whom they are for. A session packet needs no static key. Nothing opened statically is
 * believed where the policy of the peer refuses it, but for reports, which their quote proves, and handshakes. */
#include "fastpath/worker_state.h"

enum { STRAY_MIN_BYTES = 36 /* its answer, a HINT, is not longer */ };

static uint64_t net64_at(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap64(v);
}

static void deliver_l3(struct worker *w, struct local_opened *o)
{
	const uint8_t hop_limit = o->frame[offsetof(struct wire_data, hop_limit)];
	const enum stat_id drop = encap_check_l3(o->frame, o->net64, w->own_net64, hop_limit, &o->user);

	if (drop)
		stat_inc(w->stats, drop);
	else
		gso_join_add(&w->join, o->user.body, o->user.len);
}

/* key: static, that opened it; NULL: a session key did. */
static void deliver(struct worker *w, struct local_opened *o, struct key_slot *key)
{
	enum stat_id drop = 0;

	switch (o->user.type) {
	case WIRE_USER_L3:
		deliver_l3(w, o);
		return;
	case WIRE_USER_ICMP:
		oob_receive(w, o);
		return;
	case WIRE_USER_MESSAGE:
		break;
	default:
		drop = carrier_judge(w, key, &o->user);
		break;
	}
	if (drop)
		stat_inc(w->stats, drop);
	else
		user_receive(w, o);
}

/* Why a frame that no key opened goes no further; of one that only the static key was tried on: SKEY_UNKNOWN. */
static const enum stat_id drops[] = {
	[SKEY_SHORT] = STAT_drop_open_short,	[SKEY_UNKNOWN] = STAT_drop_open_failed,
	[SKEY_FOREIGN] = STAT_drop_open_failed, [SKEY_EXPIRED] = STAT_drop_session_expired,
	[SKEY_LANE] = STAT_drop_session_lane,	[SKEY_LATE] = STAT_drop_replay_late,
	[SKEY_FAILED] = STAT_drop_open_failed,	[SKEY_REPLAYED] = STAT_drop_replay_seen,
	[SKEY_BUSY] = STAT_drop_replay_busy,	[SKEY_VERSION] = STAT_drop_user_version,
	[SKEY_TYPE] = STAT_drop_user_type,
};

static void count_opened(struct worker *w, const struct skey_opened *opened)
{
	const struct ctl_session_confirmed confirmed = {.index = opened->key->index};

	stat_inc(w->stats, STAT_opened);
	stat_inc(w->stats, STAT_session_opened);
	if (opened->confirms)
		worker_tell(w, CTL_SESSION_CONFIRMED, &confirmed, sizeof(confirmed));
}

/* By a session key. The frame is done with, unless the verdict is one of those that leave it as it was. */
static enum skey_verdict session_frame(struct worker *w, uint8_t *frame, size_t len, uint32_t link)
{
	struct skey_opened opened;
	const enum skey_verdict verdict = skey_open(&w->opener, frame, len, &opened);
	struct local_opened o;

	if (verdict == SKEY_OK || verdict >= SKEY_VERSION)
		count_opened(w, &opened);
	if (verdict >= SKEY_FAILED)
		stat_inc(w->stats, drops[verdict]);
	if (verdict == SKEY_OK) {
		o = (struct local_opened){.frame = frame,
					  .link = link,
					  .session = opened.key->index,
					  .net64 = opened.key->net64,
					  .pk = &opened.key->pk,
					  .user = opened.user};
		deliver(w, &o, NULL);
	}
	return verdict;
}

/* Perhaps the far side still has a session that is gone here. */
static void tell_stray(struct worker *w, struct key_slot *key, const uint8_t *frame, size_t len)
{
	struct ctl_session_stray stray = {.net64 = key->net64,
					  .sealed_bytes = (uint32_t)(len - WIRE_DATA_HEADER_BYTES)};
	uint32_t index;

	if (stray.sealed_bytes < STRAY_MIN_BYTES || !key_may_tell(&key->stray_s, worker_now_s(w), LIMIT_SESSION_TELL_S))
		return;
	memcpy(&index, frame + len - WIRE_NONCE_BYTES, sizeof(index));
	stray.index = __builtin_bswap32(index);
	memcpy(stray.public_key, key->pk.b, sizeof(stray.public_key));
	worker_tell(w, CTL_SESSION_STRAY, &stray, sizeof(stray));
}

static void refuse_static(struct worker *w, struct key_slot *key, size_t bytes)
{
	struct ctl_session_refused refused = {.net64 = key->net64, .bytes = (uint32_t)bytes};

	stat_inc(w->stats, STAT_drop_static_refused);
	if (!key_may_tell(&key->refused_s, worker_now_s(w), LIMIT_SESSION_TELL_S))
		return;
	memcpy(refused.public_key, key->pk.b, sizeof(refused.public_key));
	worker_tell(w, CTL_SESSION_REFUSED, &refused, sizeof(refused));
}

static bool is_refused(const struct key_slot *key, uint8_t type)
{
	return (type == WIRE_USER_L3 || type == WIRE_USER_MESSAGE) &&
	       __atomic_load_n(&key->refuse_static, __ATOMIC_RELAXED);
}

/* By the static key. verdict: why no session key opened it. */
static void static_frame(struct worker *w, struct key_slot *key, struct local_opened *o, size_t len,
			 enum skey_verdict verdict)
{
	const enum stat_id drop = encap_open(w->aead, key, o->frame, len, &o->user);

	if (drop == STAT_drop_open_short || drop == STAT_drop_open_failed) {
		stat_inc(w->stats, drop == STAT_drop_open_short ? drop : drops[verdict]);
		if (verdict == SKEY_UNKNOWN || verdict == SKEY_FOREIGN)
			tell_stray(w, key, o->frame, len);
		return;
	}
	stat_inc(w->stats, STAT_opened);
	if (drop)
		stat_inc(w->stats, drop);
	else if (is_refused(key, o->user.type))
		refuse_static(w, key, o->user.len);
	else
		deliver(w, o, key);
}

/* Without the key: it waits for it, if there can be one. */
static void wait_for_key(struct worker *w, uint64_t net64, const struct wait_packet *p)
{
	if (!worker_is_other(w, net64)) {
		stat_inc(w->stats, STAT_drop_no_key);
		return;
	}
	wait_add(&w->wait, net64, p, w->now);
	worker_want_key(w, net64, false);
}

void local_frame(struct worker *w, uint8_t *frame, size_t len, uint32_t link)
{
	const uint64_t net64 = net64_at(frame + offsetof(struct wire_data, src));
	const struct wait_packet waiting = {.kind = WAIT_OPEN, .bytes = frame, .len = len, .link = link};
	struct local_opened o = {.frame = frame, .link = link, .net64 = net64};
	enum skey_verdict verdict = SKEY_UNKNOWN;
	struct key_slot *key;

	if (skeys_count(w->f->skeys))
		verdict = session_frame(w, frame, len, link);
	if (verdict == SKEY_OK || verdict >= SKEY_FAILED)
		return;
	skey_open_release(&w->opener);
	key = worker_key(w, worker_find(w, &w->from, net64));
	if (!key) {
		wait_for_key(w, net64, &waiting);
		return;
	}
	o.pk = &key->pk;
	static_frame(w, key, &o, len, verdict);
}
