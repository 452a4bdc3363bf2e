/* SPDX-License-Identifier: Apache-2.0 */
/* The counters of SIGUSR2: `name value`, one a line. */
#include "controld/daemon_private.h"
#include "shared/lanes.h"

#include <inttypes.h>

static void print(FILE *out, const char *name, uint64_t value)
{
	fprintf(out, "%s %" PRIu64 "\n", name, value);
}

uint64_t daemon_stat(const struct daemon *d, enum stat_id which)
{
	const struct lanes *lanes = fastpaths_lanes(d->fastpaths);
	uint64_t sum = which == STAT_drop_ctl_full ? fastpaths_user_dropped(d->fastpaths) : 0;

	for (int w = 0; lanes && w <= LIMIT_WORKERS; w++)
		sum += __atomic_load_n(&lanes->stats[w].value[which], __ATOMIC_RELAXED);
	return sum;
}

const char *daemon_session_counter_name(enum session_counter which)
{
	static const char *const names[SESSION_COUNTERS] = {
		[SESSION_TYPE_UNKNOWN] = "session_type_unknown",
		[SESSION_KEY_KIND] = "session_key_kind",
		[SESSION_ADDRESS] = "session_address",
		[SESSION_LENGTH] = "session_length",
		[SESSION_SECOND_KEYS] = "session_second_keys",
		[SESSION_PEERS_FULL] = "session_peers_full",
		[SESSION_INIT_OFF] = "session_init_off",
		[SESSION_INIT_VERSION] = "session_init_version",
		[SESSION_INIT_LANES] = "session_init_lanes",
		[SESSION_INIT_INDEX] = "session_init_index",
		[SESSION_INIT_STALE] = "session_init_stale",
		[SESSION_INIT_PEER_RATE] = "session_init_peer_rate",
		[SESSION_INIT_RATE] = "session_init_rate",
		[SESSION_INIT_FULL] = "session_init_full",
		[SESSION_INIT_BAD] = "session_init_bad",
		[SESSION_INIT_FOREIGN] = "session_init_foreign",
		[SESSION_RESP_UNASKED] = "session_resp_unasked",
		[SESSION_RESP_LATE] = "session_resp_late",
		[SESSION_RESP_BAD] = "session_resp_bad",
		[SESSION_RESP_VERSION] = "session_resp_version",
		[SESSION_RESP_LANES] = "session_resp_lanes",
		[SESSION_RESP_INDEX] = "session_resp_index",
		[SESSION_COOKIE_IGNORED] = "session_cookie_ignored",
		[SESSION_HINT_IGNORED] = "session_hint_ignored",
		[SESSION_STATIC_REFUSED] = "session_static_refused",
		[SESSION_PENDING_FULL] = "session_pending_full",
		[SESSION_PINS_FULL] = "session_pins_full",
		[SESSION_INITS_SENT] = "session_inits_sent",
		[SESSION_RESPS_SENT] = "session_resps_sent",
		[SESSION_COOKIES_SENT] = "session_cookies_sent",
		[SESSION_HINTS_SENT] = "session_hints_sent",
		[SESSION_KEEPALIVES_SENT] = "session_keepalives_sent",
		[SESSION_KEYS_MADE] = "session_keys_made",
	};

	return names[which];
}

void daemon_print_stats(const struct daemon *d, FILE *out)
{
	static const char *const stats[STAT_COUNT] = {
#define STAT(name, help) [STAT_##name] = #name,
#include "shared/stats.def"
#undef STAT
	};
	const struct babel *babel = node_babel(d->node);

	for (int i = 0; fastpaths_lanes(d->fastpaths) && i < STAT_COUNT; i++)
		print(out, stats[i], daemon_stat(d, (enum stat_id)i));
	for (int i = 0; d->keyring && i < SESSION_COUNTERS; i++) {
		const enum session_counter which = (enum session_counter)i;

		print(out, daemon_session_counter_name(which), keyring_count(d->keyring, which));
	}
	for (int i = 0; babel && i < BABEL_COUNTS; i++)
		print(out, babel_count_name((enum babel_count)i), babel_count(babel, (enum babel_count)i));
}
