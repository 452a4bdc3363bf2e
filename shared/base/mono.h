/* SPDX-License-Identifier: Apache-2.0 */
/* Monotonic time as a type: microseconds of CLOCK_BOOTTIME, which goes on while the machine sleeps. Cores get it as an
 * argument and never call mono_now(). */
#ifndef SHARED_BASE_MONO_H
#define SHARED_BASE_MONO_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct mono {
	int64_t us;
};

#define MONO_NEVER ((struct mono){.us = INT64_MAX})

static inline struct mono mono_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (struct mono){.us = (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000};
}

static inline struct mono mono_add_us(struct mono t, int64_t us)
{
	return t.us == INT64_MAX ? t : (struct mono){.us = t.us + us};
}

static inline struct mono mono_add_ms(struct mono t, int64_t ms)
{
	return mono_add_us(t, ms * 1000);
}

/* later - earlier, in microseconds. */
static inline int64_t mono_since_us(struct mono later, struct mono earlier)
{
	return later.us - earlier.us;
}

static inline int64_t mono_since_ms(struct mono later, struct mono earlier)
{
	return (later.us - earlier.us) / 1000;
}

/* The time t has come: t <= now. */
static inline bool mono_is_due(struct mono t, struct mono now)
{
	return t.us <= now.us;
}

static inline struct mono mono_min(struct mono a, struct mono b)
{
	return a.us < b.us ? a : b;
}

#endif
