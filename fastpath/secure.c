/* SPDX-License-Identifier: Apache-2.0 */
/* Which key seals what leaves (session.md, interop and downgrade). Counters of a session key are taken for several
 * packets at a time; those that a batch does not use are lost. What the policy forbids to send statically never is. */
#include "fastpath/worker_state.h"
#include <assert.h>

/* A counter of the key is at hand, or is taken, for the first of so many packets. */
static bool take(struct worker *w, struct skey *s, uint32_t count)
{
	struct skey_run *r = &w->run;

	if (r->key == s && r->next < r->end)
		return true;
	if (r->key != s)
		w->run_singles = 0;
	if (count == 1) {
		w->run_singles = w->run_singles ? 2 * w->run_singles : 1;
		if (w->run_singles > LIMIT_SESSION_RUN)
			w->run_singles = LIMIT_SESSION_RUN;
		count = w->run_singles;
	}
	skey_seal_end(r);
	if (__atomic_load_n(&s->state, __ATOMIC_RELAXED) != SKEY_STATE_NEXT &&
	    skey_seal_begin(r, w->f->skeys, s, w->index % s->far_lanes, count, w->now) == SKEY_OK)
		return true;
	*r = (struct skey_run){0};
	return false;
}

static void want_session(struct worker *w, struct key_slot *key)
{
	struct ctl_session_want want = {.net64 = key->net64};

	if (!key_may_tell(&key->wanted_s, worker_now_s(w), LIMIT_SESSION_WANT_S))
		return;
	memcpy(want.public_key, key->pk.b, sizeof(want.public_key));
	worker_tell(w, CTL_SESSION_WANT, &want, sizeof(want));
}

enum secure_how secure_data(struct worker *w, struct key_slot *key, uint32_t count)
{
	struct skey *s;

	if (!key)
		return SECURE_NO_KEY;
	switch ((enum ctl_way)__atomic_load_n(&key->way, __ATOMIC_RELAXED)) {
	case CTL_WAY_STATIC:
		want_session(w, key);
		return SECURE_STATIC;
	case CTL_WAY_SESSION:
		s = secure_session(w, &key->session);
		return s && take(w, s, count) ? SECURE_SESSION : SECURE_HELD;
	case CTL_WAY_HOLD:
		break;
	}
	return SECURE_HELD;
}

enum secure_how secure_report(struct worker *w, struct key_slot *key)
{
	struct skey *s = secure_session(w, &key->session);

	return s && take(w, s, 1) ? SECURE_SESSION : SECURE_STATIC;
}

bool secure_control(struct worker *w, uint64_t net64, uint32_t index)
{
	struct skey *s = skeys_find(w->f->skeys, index);

	return s && s->net64 == net64 && take(w, s, 1);
}

size_t secure_seal(struct worker *w, enum secure_how how, struct key_slot *key, const struct encap_packet *p)
{
	uint8_t *const out = w->seal_buffer + w->seal_used;
	size_t size;

	assert(how == SECURE_STATIC || how == SECURE_SESSION);
	if (how == SECURE_SESSION) {
		size = skey_seal(&w->run, p, out);
		stat_inc(w->stats, STAT_session_sealed);
	} else {
		size = encap_seal(w->aead, &w->lane, key, p, out);
	}
	stat_inc(w->stats, STAT_sealed);
	w->seal_used += size;
	return size;
}

void secure_wait(struct worker *w, enum secure_how how, struct key_slot *key, uint64_t net64, struct wait_packet *p)
{
	p->reason = how == SECURE_HELD ? WAIT_SESSION : WAIT_KEY;
	wait_add(&w->wait, net64, p, w->now);
	if (how == SECURE_HELD) {
		worker_due(w, mono_add_ms(w->now, LIMIT_HOLD_MS));
		want_session(w, key);
	} else {
		worker_want_key(w, net64, true);
	}
}

void secure_end(struct worker *w)
{
	skey_seal_end(&w->run);
	w->run = (struct skey_run){0};
}
