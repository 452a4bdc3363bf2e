/* SPDX-License-Identifier: Apache-2.0 */
/* What became of each /64: its session and what passed in it, what was refused for it, and the log lines of both.
 * Packets cause some of them: those are limited for each peer and in all. */
#define LOG_MODULE "keyring"
#include "controld/keyring_private.h"

const char *keyring_log_hex(const struct pubkey *pk, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i + 1 < KEYRING_HEX_BYTES; i++)
		out[i] = digits[pk->b[i / 2] >> (i % 2 ? 0 : 4) & 15];
	out[KEYRING_HEX_BYTES - 1] = '\0';
	return out;
}

struct keyring_history *keyring_log_find(const struct keyring *k, uint64_t net64)
{
	struct keyring_history *h;

	HASH_FIND(hh, k->histories, &net64, sizeof(net64), h);
	return h;
}

/* There are twice as many places as peers with sessions: those that have one are passed over. */
static void make_room(struct keyring *k)
{
	struct keyring_history *h = k->histories_used;

	if (HASH_COUNT(k->histories) < KEYRING_HISTORIES)
		return;
	for (int i = 0; i < KEYRING_HISTORIES && h->since.us != MONO_NEVER.us; i++) {
		DL_DELETE(k->histories_used, h);
		DL_APPEND(k->histories_used, h);
		h = k->histories_used;
	}
	DL_DELETE(k->histories_used, h);
	HASH_DEL(k->histories, h);
	free(h);
}

/* Made if need be; touched just now. */
static struct keyring_history *history(struct keyring *k, uint64_t net64)
{
	struct keyring_history *h = keyring_log_find(k, net64);

	if (h) {
		DL_DELETE(k->histories_used, h);
	} else {
		make_room(k);
		h = keyring_alloc(sizeof(*h));
		h->net64 = net64;
		h->since = MONO_NEVER;
		h->downgrade_next = h->second_next = h->mismatch_next = k->t.now;
		HASH_ADD(hh, k->histories, net64, sizeof(h->net64), h);
	}
	DL_APPEND(k->histories_used, h);
	return h;
}

void keyring_log_began(struct keyring *k, uint64_t net64, struct mono since, const struct keyring_counts *counts)
{
	struct keyring_history *h = history(k, net64);

	if (h->since.us != MONO_NEVER.us) {
		h->renewals++;
		return;
	}
	h->since = since;
	h->renewals = 0;
	h->counts = *counts;
}

static uint64_t more(uint64_t sum, uint64_t before, uint64_t now)
{
	return now > before ? sum + (now - before) : sum;
}

void keyring_log_used(struct keyring *k, uint64_t net64, const struct keyring_counts *before,
		      const struct keyring_counts *now)
{
	struct keyring_history *h = keyring_log_find(k, net64);

	if (!h || h->since.us == MONO_NEVER.us)
		return;
	h->counts.sealed_packets = more(h->counts.sealed_packets, before->sealed_packets, now->sealed_packets);
	h->counts.sealed_bytes = more(h->counts.sealed_bytes, before->sealed_bytes, now->sealed_bytes);
	h->counts.opened_packets = more(h->counts.opened_packets, before->opened_packets, now->opened_packets);
	h->counts.opened_bytes = more(h->counts.opened_bytes, before->opened_bytes, now->opened_bytes);
}

static void end(struct keyring *k, uint64_t net64)
{
	struct keyring_history *h = keyring_log_find(k, net64);

	if (h)
		h->since = MONO_NEVER;
}

static bool may_warn(struct mono *next, struct mono now)
{
	if (!mono_is_due(*next, now))
		return false;
	*next = mono_add_ms(now, KEYRING_WARN_MS);
	return true;
}

static bool is_pinned(const struct keyring *k, const struct session_event *e)
{
	const struct session_pin *pin = session_find_pin(k->core, ip6_net64(&e->address));

	return pin && pubkey_eq(&pin->pk, &e->pk);
}

static void on_downgrade(struct keyring *k, const struct session_event *e, const char *peer, const char *hex)
{
	struct keyring_history *h = history(k, ip6_net64(&e->address));

	h->refused_static++;
	if (!may_warn(&h->downgrade_next, k->t.now))
		return;
	if (is_pinned(k, e))
		log_limited(&k->downgrades, LOG_WARN,
			    "a pinned peer comes without session, what it sends is refused: it went back to an older "
			    "version (then `mycelium sessions unpin %s`), or somebody wants the weaker key pk=%s",
			    peer, hex);
	else
		log_limited(&k->downgrades, LOG_WARN,
			    "%s comes without session, which is required here, and is refused pk=%s", peer, hex);
}

static void on_mismatch(struct keyring *k, uint64_t net64, const char *peer, const char *hex)
{
	if (may_warn(&history(k, net64)->mismatch_next, k->t.now))
		log_limited(&k->mismatches, LOG_WARN,
			    "no session with %s: its answer does not open, so its network key is another than ours, or "
			    "only one of us has one pk=%s",
			    peer, hex);
}

static bool on_second_key(struct keyring *k, uint64_t net64, const char *peer, const char *hex)
{
	struct keyring_history *h = history(k, net64);

	h->second_keys++;
	if (!may_warn(&h->second_next, k->t.now))
		return false;
	log_limited(&k->seconds, LOG_WARN,
		    "a second key for the /64 of %s is refused: another key has it by a pin or a session pk=%s", peer,
		    hex);
	return true;
}

bool keyring_log_event(struct keyring *k, const struct session_event *e)
{
	const uint64_t net64 = ip6_net64(&e->address);
	char hex[KEYRING_HEX_BYTES], peer[IP6_TEXT_BYTES], ours[IP6_TEXT_BYTES];

	(void)keyring_log_hex(&e->pk, hex);
	(void)ip6_print(&e->address, peer);
	switch (e->kind) {
	case SESSION_ESTABLISHED:
		log_limited(&k->sessions, LOG_INFO, "session with %s established pk=%s", peer, hex);
		break;
	case SESSION_RENEWED:
		log_debug("session with %s renewed pk=%s", peer, hex);
		break;
	case SESSION_ENDED:
		end(k, net64);
		log_limited(&k->sessions, LOG_INFO, "session with %s ended pk=%s", peer, hex);
		break;
	case SESSION_SECOND_KEY:
		return on_second_key(k, net64, peer, hex);
	case SESSION_DOWNGRADE:
		on_downgrade(k, e, peer, hex);
		break;
	case SESSION_RELEASED:
		end(k, net64);
		log_limited(&k->releases, LOG_INFO, "session with %s released: the static key again pk=%s", peer, hex);
		break;
	case SESSION_UNRELEASED:
		log_warn("%s did not answer and was not told of the release: it goes on refusing us; there, run "
			 "`mycelium sessions unpin %s` pk=%s",
			 peer, ip6_print(&k->address, ours), hex);
		break;
	case SESSION_MISMATCH:
		on_mismatch(k, net64, peer, hex);
		break;
	}
	return true;
}

void keyring_log_fini(struct keyring *k)
{
	struct keyring_history *h, *next;

	HASH_CLEAR(hh, k->histories);
	DL_FOREACH_SAFE (k->histories_used, h, next)
		free(h);
}
