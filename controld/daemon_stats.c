/* SPDX-License-Identifier: Apache-2.0 */
/* The counters of SIGUSR2: `name value`, one a line. */
#include "controld/daemon_private.h"
#include "shared/lanes.h"

#include <inttypes.h>

static void print(FILE *out, const char *name, uint64_t value)
{
	fprintf(out, "%s %" PRIu64 "\n", name, value);
}

void daemon_print_stats(const struct daemon *d, FILE *out)
{
	static const char *const stats[STAT_COUNT] = {
#define STAT(name, help) [STAT_##name] = #name,
#include "shared/stats.def"
#undef STAT
	};
	static const char *const counts[BABEL_COUNTS] = {
		[BABEL_TLV_MALFORMED] = "babel_tlv_malformed",
		[BABEL_TLV_UNKNOWN] = "babel_tlv_unknown",
		[BABEL_UPDATE_IGNORED] = "babel_update_ignored",
		[BABEL_UPDATE_UNFEASIBLE] = "babel_update_unfeasible",
		[BABEL_UPDATE_FULL] = "babel_update_full",
		[BABEL_UPDATE_SECOND_KEY] = "babel_update_second_key",
		[BABEL_REQUEST_IGNORED] = "babel_request_ignored",
		[BABEL_UPDATES_SENT] = "babel_updates_sent",
		[BABEL_REQUESTS_SENT] = "babel_requests_sent",
	};
	const struct lanes *lanes = fastpaths_lanes(d->fastpaths);
	const struct babel *babel = node_babel(d->node);

	for (int i = 0; lanes && i < STAT_COUNT; i++) {
		uint64_t sum = 0;

		for (int w = 0; w <= LIMIT_WORKERS; w++)
			sum += __atomic_load_n(&lanes->stats[w].value[i], __ATOMIC_RELAXED);
		print(out, stats[i], sum);
	}
	for (int i = 0; babel && i < BABEL_COUNTS; i++)
		print(out, counts[i], babel_count(babel, (enum babel_count)i));
}
