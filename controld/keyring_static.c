/* SPDX-License-Identifier: Apache-2.0 */
/* How much passed under each static key, as far as this life of controld knows: over restarts of the fastpath, which
 * counts from zero. That key is never renewed, and its nonces are random in part: from 2^32 packets on the user is
 * warned, once at each doubling. */
#define LOG_MODULE "keyring"
#include "controld/keyring_private.h"

#define WARN_FIRST (UINT64_C(1) << 32)

struct keyring_account *keyring_static_find(const struct keyring *k, uint64_t net64)
{
	struct keyring_account *a;

	HASH_FIND(hh, k->accounts, &net64, sizeof(net64), a);
	return a;
}

static void drop(struct keyring *k, struct keyring_account *a)
{
	DL_DELETE(k->accounts_used, a);
	HASH_DEL(k->accounts, a);
	free(a);
}

/* The account of this key; the one of another key of the /64 is closed. */
static struct keyring_account *account(struct keyring *k, uint64_t net64, const struct pubkey *pk)
{
	struct keyring_account *a = keyring_static_find(k, net64);

	if (a && !pubkey_eq(&a->pk, pk)) {
		drop(k, a);
		a = NULL;
	}
	if (a) {
		DL_DELETE(k->accounts_used, a);
	} else {
		if (HASH_COUNT(k->accounts) >= LIMIT_KEY_SLOTS)
			drop(k, k->accounts_used);
		a = keyring_alloc(sizeof(*a));
		a->net64 = net64;
		a->pk = *pk;
		a->warn_next = WARN_FIRST;
		HASH_ADD(hh, k->accounts, net64, sizeof(a->net64), a);
	}
	DL_APPEND(k->accounts_used, a);
	return a;
}

/* What came since it was told last: all of it, where it went down. */
static uint64_t since(uint64_t told, uint64_t now)
{
	return now >= told ? now - told : now;
}

static void warn(struct keyring *k, struct keyring_account *a)
{
	const uint64_t sum = a->sealed + a->opened;
	char hex[KEYRING_HEX_BYTES], peer[IP6_TEXT_BYTES];
	struct ip6 address;

	if (sum < a->warn_next)
		return;
	while (a->warn_next <= sum && a->warn_next <= UINT64_MAX / 2)
		a->warn_next *= 2;
	if (a->warn_next <= sum)
		a->warn_next = UINT64_MAX;
	k->network->address(&a->pk, &address);
	log_limited(
		&k->statics, LOG_WARN,
		"%llu packets under the static key with %s: a repeated nonce becomes likely enough to matter; run a "
		"version with sessions on both sides, or set --session require pk=%s",
		(unsigned long long)sum, ip6_print(&address, peer), keyring_log_hex(&a->pk, hex));
}

static struct keyring_account *count(struct keyring *k, const struct ctl_key_info *i)
{
	struct keyring_account *a;
	struct pubkey pk;

	memcpy(pk.b, i->public_key, sizeof(pk.b));
	if (!keyring_fits(k, i->net64, &pk))
		return NULL;
	a = account(k, i->net64, &pk);
	a->sealed += since(a->told_sealed, i->sealed);
	a->opened += since(a->told_opened, i->opened);
	a->told_sealed = i->sealed;
	a->told_opened = i->opened;
	warn(k, a);
	return a;
}

void keyring_static_told(struct keyring *k, const struct ctl_key_info *i)
{
	(void)count(k, i);
}

void keyring_found_key(struct keyring *k, const struct ctl_key_info *i, struct session_time t)
{
	struct keyring_account *a;

	k->t = t;
	a = count(k, i);
	if (!a)
		return;
	a->found = true;
	a->found_way = i->way;
	a->found_refuse = i->refuse_static;
}

void keyring_static_start(struct keyring *k)
{
	struct keyring_account *a, *next;

	HASH_ITER (hh, k->accounts, a, next) {
		const struct session_policy now = session_policy(k->core, &a->pk, k->t);

		if (a->found && (a->found_way != keyring_way(now.way) || a->found_refuse != now.refuse_static))
			keyring_send_policy(k, &a->pk, a->net64, now);
		a->found = false;
	}
}

void keyring_static_forget(struct keyring *k)
{
	struct keyring_account *a, *next;

	HASH_ITER (hh, k->accounts, a, next) {
		a->told_sealed = a->told_opened = 0;
		a->found = false;
	}
}

void keyring_static_fini(struct keyring *k)
{
	struct keyring_account *a, *next;

	HASH_CLEAR(hh, k->accounts);
	DL_FOREACH_SAFE (k->accounts_used, a, next)
		free(a);
}
