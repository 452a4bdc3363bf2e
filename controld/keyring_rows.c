/* SPDX-License-Identifier: Apache-2.0 */
/* Session keys as the fastpath holds them, each with a row of the shared memory. A row is given to one key at a time,
 * zeroed before the key leaves, and is free only after the fastpath said that the key is gone. */
#define LOG_MODULE "keyring"
#include "controld/keyring_private.h"
#include "shared/base/rows.h"
#include <assert.h>
#include <errno.h>

_Static_assert((int)SESSION_SEND + 1 == CTL_SESSION_SEND && (int)SESSION_OLDEST + 1 == CTL_SESSION_OLDEST,
	       "the slots of ctl are ours from one on");

static struct keyring_key *find(const struct keyring *k, uint32_t index)
{
	struct keyring_key *key;

	HASH_FIND(hh, k->keys, &index, sizeof(index), key);
	return key;
}

static struct keyring_key *add(struct keyring *k, uint32_t index, uint32_t row, uint64_t net64)
{
	struct keyring_key *key = keyring_alloc(sizeof(*key));

	key->index = index;
	key->row = row;
	key->net64 = net64;
	if (row != KEYRING_NO_ROW)
		k->row_used[row] = true;
	HASH_ADD(hh, k->keys, index, sizeof(key->index), key);
	return key;
}

static void free_row(struct keyring *k, uint32_t row)
{
	if (row == KEYRING_NO_ROW)
		return;
	rows_end(k->lanes, row);
	k->row_used[row] = false;
	k->free_rows[k->free_count++] = row;
}

static void lose(struct keyring *k, uint32_t index)
{
	struct keyring_lost *lost = keyring_alloc(sizeof(*lost));

	lost->index = index;
	LL_PREPEND(k->lost, lost);
}

static void fill(const struct keyring *k, const struct session_key *key, uint32_t row, struct ctl_session_info *out)
{
	memcpy(out->memory, k->lanes->header.id, sizeof(out->memory));
	out->generation = k->generation;
	out->net64 = ip6_net64(&key->address);
	memcpy(out->public_key, key->pk.b, sizeof(out->public_key));
	out->made_us = key->made.us;
	out->row = row;
	out->index = key->index;
	out->far_index = key->far_index;
	out->capabilities = key->capabilities;
	out->far_lanes = key->far_lanes;
	out->our_lanes = LIMIT_SESSION_LANES;
	out->slot = (uint8_t)(key->slot + 1);
	out->initiator = key->initiator;
}

void keyring_rows_add(void *ctx, const struct session_key *key, const struct session_secrets *secrets)
{
	struct keyring *k = ctx;
	struct ctl_session_key out = {0};
	struct keyring_key *added;
	uint32_t row;

	if (!k->running || !k->free_count || find(k, key->index)) {
		lose(k, key->index);
		return;
	}
	row = k->free_rows[--k->free_count];
	rows_begin(k->lanes, row, key->index);
	added = add(k, key->index, row, ip6_net64(&key->address));
	fill(k, key, row, &out.info);
	memcpy(out.send, secrets->send.b, sizeof(out.send));
	memcpy(out.receive, secrets->receive.b, sizeof(out.receive));
	k->ops->session_key(k->ctx, &out);
	secret_wipe(&out, sizeof(out));
	if (key->slot == SESSION_SEND)
		keyring_log_began(k, added->net64, k->t.now, &added->counts);
}

void keyring_rows_move(void *ctx, uint32_t index, enum session_slot slot)
{
	struct keyring *k = ctx;
	const struct ctl_session_move m = {.index = index, .slot = (uint8_t)(slot + 1)};
	const struct keyring_key *key = find(k, index);

	if (!key || key->dying || !k->running)
		return; /* lost: it ends at the next tick */
	k->ops->session_move(k->ctx, &m);
	if (slot == SESSION_SEND)
		keyring_log_began(k, key->net64, k->t.now, &key->counts);
}

/* Tells it to the fastpath, if that listens yet. */
static void end(struct keyring *k, struct keyring_key *key)
{
	const struct ctl_session_del d = {.index = key->index};

	key->dying = true;
	if (!k->running || key->told)
		return;
	key->told = true;
	k->ops->session_del(k->ctx, &d);
}

void keyring_rows_del(void *ctx, uint32_t index)
{
	struct keyring *k = ctx;
	struct keyring_key *key = find(k, index);
	struct keyring_lost *lost;

	LL_SEARCH_SCALAR(k->lost, lost, index, index);
	if (lost) {
		LL_DELETE(k->lost, lost);
		free(lost);
	} else if (key && !key->dying) {
		end(k, key);
	}
}

bool keyring_rows_have_room(void *ctx, bool known)
{
	const struct keyring *k = ctx;
	const size_t room = mono_is_due(k->full_until, k->t.now) ? LIMIT_SESSION_ROWS : k->full_at;
	const size_t spare = room / KEYRING_SPARE_SHARE + (known ? 0 : room / KEYRING_KNOWN_SHARE);

	return k->running && k->lanes && HASH_COUNT(k->keys) + spare < room;
}

void keyring_rows_use(struct keyring *k, const struct ctl_session_use *u)
{
	const struct session_use use = {.index = u->index,
					.bytes = u->sealed_bytes + u->opened_bytes,
					.lane_top = u->lane_end ? u->lane_end - 1 : 0,
					.sealed = {u->sealed_us > 0 ? u->sealed_us : 0},
					.opened = {u->opened_us > 0 ? u->opened_us : 0}};
	const struct keyring_counts now = {.sealed_packets = u->sealed_packets,
					   .sealed_bytes = u->sealed_bytes,
					   .opened_packets = u->opened_packets,
					   .opened_bytes = u->opened_bytes};
	struct keyring_key *key = find(k, u->index);

	if (!key)
		return;
	keyring_log_used(k, key->net64, &key->counts, &now);
	key->counts = now;
	if (!key->dying)
		session_use(k->core, &use, k->t);
}

void keyring_rows_gone(struct keyring *k, const struct ctl_session_gone *g)
{
	struct keyring_key *key = find(k, g->index);
	bool dying;

	if (!key)
		return;
	dying = key->dying;
	free_row(k, key->row);
	HASH_DEL(k->keys, key);
	free(key);
	if (dying)
		return;
	if (g->error == -ENOSPC) {
		/* As RLIMIT_MEMLOCK has it. A peer whose key is refused is held, so that is not tried often. */
		k->full_at = HASH_COUNT(k->keys);
		k->full_until = mono_add_ms(k->t.now, KEYRING_FULL_MS);
	}
	if (g->error)
		log_limited(&k->refusals, LOG_WARN, "fastpath cannot hold one more session key beside %u: %s",
			    HASH_COUNT(k->keys), strerror(abs(g->error)));
	session_key_lost(k->core, g->index, k->t);
}

void keyring_memory(struct keyring *k, struct lanes *lanes)
{
	if (k->lanes == lanes)
		return;
	assert(!k->keys);
	k->lanes = lanes;
	if (k->raises)
		__atomic_add_fetch(&lanes->header.generation, 1, __ATOMIC_RELEASE);
	k->raises = false;
	k->generation = __atomic_load_n(&lanes->header.generation, __ATOMIC_ACQUIRE);
}

/* Does its row belong to it, and to it alone? */
static bool row_is_its(const struct keyring *k, const struct ctl_session_info *i)
{
	return k->lanes && secret_eq(i->memory, k->lanes->header.id, sizeof(i->memory)) &&
	       i->row < LIMIT_SESSION_ROWS && !k->row_used[i->row] &&
	       __atomic_load_n(&k->lanes->row_index[i->row], __ATOMIC_ACQUIRE) == i->index;
}

static bool is_adopted(struct keyring *k, const struct ctl_session_info *i)
{
	struct session_key key = {.index = i->index,
				  .far_index = i->far_index,
				  .far_lanes = i->far_lanes,
				  .capabilities = i->capabilities,
				  .initiator = i->initiator,
				  .slot = (enum session_slot)(i->slot - 1),
				  .made = {i->made_us}};

	if (i->slot < CTL_SESSION_SEND || i->slot > CTL_SESSION_OLDEST || i->generation != k->generation)
		return false;
	memcpy(key.pk.b, i->public_key, sizeof(key.pk.b));
	k->network->address(&key.pk, &key.address);
	return ip6_net64(&key.address) == i->net64 && session_found_key(k->core, &key, k->t);
}

void keyring_found_session(struct keyring *k, const struct ctl_session_info *i, struct session_time t)
{
	struct keyring_key *key;
	bool has_row;

	assert(!k->running);
	k->t = t;
	if (find(k, i->index))
		return;
	has_row = row_is_its(k, i);
	key = add(k, i->index, has_row ? i->row : KEYRING_NO_ROW, i->net64);
	if (!has_row || !is_adopted(k, i)) {
		end(k, key);
		return;
	}
	key->confirmed = i->confirmed && i->slot == CTL_SESSION_NEXT;
	if (i->slot == CTL_SESSION_SEND)
		keyring_log_began(k, i->net64, (struct mono){i->made_us}, &key->counts);
}

void keyring_rows_start(struct keyring *k)
{
	struct keyring_key *key, *next;

	k->free_count = 0;
	k->full_until = k->t.now;
	for (uint32_t row = LIMIT_SESSION_ROWS; k->lanes && row-- > 0;) {
		if (k->row_used[row])
			continue;
		if (__atomic_load_n(&k->lanes->row_index[row], __ATOMIC_ACQUIRE))
			rows_end(k->lanes, row);
		k->free_rows[k->free_count++] = row;
	}
	HASH_ITER (hh, k->keys, key, next) {
		if (key->dying)
			end(k, key);
		else if (key->confirmed)
			session_confirmed(k->core, key->index, k->t);
		key->confirmed = false;
	}
}

/* The table is empty, those that were in it still follow one another. */
static struct keyring_key *empty(struct keyring *k)
{
	struct keyring_key *first = k->keys;

	HASH_CLEAR(hh, k->keys);
	return first;
}

void keyring_rows_forget(struct keyring *k)
{
	for (struct keyring_key *next, *key = empty(k); key; key = next) {
		next = key->hh.next;
		free_row(k, key->row);
		free(key);
	}
	k->free_count = 0; /* none is given out before the next start */
}

void keyring_rows_tick(struct keyring *k)
{
	const uint64_t generation =
		k->lanes ? __atomic_load_n(&k->lanes->header.generation, __ATOMIC_ACQUIRE) : k->generation;

	if (generation != k->generation) {
		log_info("another generation of the shared memory: all session keys end");
		k->generation = generation;
		session_keys_lost(k->core, k->t);
	}
	while (k->lost) {
		struct keyring_lost *lost = k->lost;
		const uint32_t index = lost->index;

		LL_DELETE(k->lost, lost);
		free(lost);
		log_limited(&k->refusals, LOG_WARN, "no room in the shared memory for one more session key");
		session_key_lost(k->core, index, k->t);
	}
}

void keyring_rows_fini(struct keyring *k)
{
	struct keyring_lost *lost, *after;

	for (struct keyring_key *next, *key = empty(k); key; key = next) {
		next = key->hh.next;
		free(key);
	}
	LL_FOREACH_SAFE (k->lost, lost, after)
		free(lost);
}
