/* SPDX-License-Identifier: Apache-2.0 */
/* A token bucket: so many a second, and a burst. Looking and taking are two steps, so that of several buckets none is
 * emptied for what another forbids. */
#ifndef CONTROLD_SESSION_BUCKET_H
#define CONTROLD_SESSION_BUCKET_H

#include "shared/base/mono.h"

struct bucket {
	int64_t per_second, burst;
	int64_t credit; /* tokens times a million */
	struct mono at;
};

static inline struct bucket bucket_full(int64_t per_second, int64_t burst, struct mono now)
{
	return (struct bucket){.per_second = per_second, .burst = burst, .credit = burst * 1000000, .at = now};
}

/* Is there a token now? */
static inline bool bucket_has(struct bucket *b, struct mono now)
{
	const int64_t most_us = b->burst * 1000000 / b->per_second, passed_us = mono_since_us(now, b->at);
	const int64_t sum = b->credit + (passed_us < most_us ? passed_us : most_us) * b->per_second;

	b->credit = sum < b->burst * 1000000 ? sum : b->burst * 1000000;
	b->at = now;
	return b->credit >= 1000000;
}

/* After bucket_has() said yes. */
static inline void bucket_take(struct bucket *b)
{
	b->credit -= 1000000;
}

#endif
