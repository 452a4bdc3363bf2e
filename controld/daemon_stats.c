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
	for (int i = 0; babel && i < BABEL_COUNTS; i++)
		print(out, babel_count_name((enum babel_count)i), babel_count(babel, (enum babel_count)i));
}
