/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of peers: a slot of the arena, named in the table. A slot taken out of the table is wiped only after every
 * worker has passed a batch; until then it waits in `going`. The secret is used where the record lies (ctlsock wipes
 * its buffer), never copied. */
#include "fastpath/control_state.h"

#include "shared/base/secret.h"
#include <assert.h>
#include <sched.h>

enum { QUIET_WAIT_MS = 5 };
_Static_assert(sizeof(struct aead_key) == sizeof(((struct ctl_key *)0)->secret), "a secret");

bool control_keys_reap(struct control *c)
{
	unsigned left = 0;

	for (unsigned i = 0; i < c->going_count; i++) {
		if (table_is_quiet(c->f.table, c->going[i].mark))
			keys_wipe(c->f.keys, c->going[i].slot);
		else
			c->going[left++] = c->going[i];
	}
	c->going_count = left;
	return left > 0;
}

/* A batch takes well under a millisecond, so all workers pass one soon; if not, the key is asked for again in a second.
 */
static void reap_soon(struct control *c)
{
	const struct mono end = mono_add_ms(mono_now(), QUIET_WAIT_MS);

	while (control_keys_reap(c) && !mono_is_due(end, mono_now()))
		sched_yield();
}

/* Points the /64 at another slot (0: none); the old one goes when nobody holds it. */
static void replace(struct control *c, uint64_t net64, uint32_t slot)
{
	const uint32_t old = table_set_key(c->f.table, net64, slot);

	if (!old)
		return;
	assert(c->going_count < CONTROL_KEYS_GOING);
	c->going[c->going_count].slot = old;
	c->going[c->going_count++].mark = table_mark(c->f.table);
}

/* A slot with the key in it, made free where all are in use; 0: not now. */
static uint32_t add_slot(struct control *c, const struct ctl_key *key)
{
	const struct pubkey *pk = (const struct pubkey *)key->public_key;
	const struct aead_key *secret = (const struct aead_key *)key->secret;
	const uint32_t slot = keys_add(c->f.keys, key->net64, pk, secret);
	uint32_t oldest;

	if (slot)
		return slot;
	oldest = c->going_count ? 0 : keys_oldest(c->f.keys);
	if (oldest)
		replace(c, keys_slot(c->f.keys, oldest)->net64, 0);
	reap_soon(c);
	return keys_add(c->f.keys, key->net64, pk, secret);
}

void control_keys_add(struct control *c, const struct ctl_key *key)
{
	const struct pubkey *pk = (const struct pubkey *)key->public_key;
	const struct ctl_no_key look_again = {.net64 = key->net64};
	const struct table_entry *e;
	uint32_t slot;

	if (!c->running || key->way > CTL_WAY_HOLD) {
		control_refuse(c, c->running ? "KEY: way" : "KEY before START");
		return;
	}
	e = table_find(c->f.table, key->net64);
	if (e && e->key && pubkey_eq(&keys_slot(c->f.keys, e->key)->pk, pk)) {
		control_sessions_link(c, e->key, key);
	} else {
		if (c->going_count == CONTROL_KEYS_GOING)
			reap_soon(c);
		slot = c->going_count < CONTROL_KEYS_GOING ? add_slot(c, key) : 0;
		if (!slot) {
			control_refuse(c, "KEY: no slot free");
			return;
		}
		control_sessions_link(c, slot, key);
		replace(c, key->net64, slot);
	}
	control_mail_put_all(c, CTL_NO_KEY, &look_again, sizeof(look_again));
}

void control_keys_none(struct control *c, const struct ctl_no_key *none)
{
	if (c->running)
		control_mail_put_all(c, CTL_NO_KEY, none, sizeof(*none));
}
