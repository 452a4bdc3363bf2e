/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines on standard error, one per event: ` 2026-01-02T03:04:05.678Z INFO  controld::babel > text` (wire-200 8.1);
 * where standard error is the journal, `<6>controld::babel > text`. Never keys, payloads or message bodies. A line is
 * one write, so lines of two processes do not mix. Thread-safe. */
#ifndef SHARED_BASE_LOG_H
#define SHARED_BASE_LOG_H

#include "shared/base/mono.h"
#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_ERR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Allows burst lines and then one per period_ms; says how many were left out. Static storage, zero-initialised
 * counters. */
struct log_limit {
	uint32_t period_ms, burst;
	struct mono next;
	uint32_t used, suppressed;
};
#define LOG_LIMIT(period, lines) ((struct log_limit){.period_ms = (period), .burst = (lines)})

extern enum log_level log_level;

/* Sets the name before the `::` of the module, e.g. "controld"; borrowed. Finds out whether stderr is the journal. */
void log_init(const char *program);
/* "error", "warn", "info", "debug"; false if it is none. */
bool log_level_parse(const char *text, enum log_level *out);
const char *log_level_name(enum log_level level);

void log_write(enum log_level level, const char *module, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* True if a line may be written now; if it may, and lines were left out since, writes how many. */
bool log_limit_pass(struct log_limit *limit, const char *module);

/* LOG_MODULE is defined by each .c before the include of this header, or it is "main". */
#ifndef LOG_MODULE
#define LOG_MODULE "main"
#endif
#define log_at(level, ...) \
	do { \
		const enum log_level at_ = (level); \
\
		if (at_ <= log_level) \
			log_write(at_, LOG_MODULE, __VA_ARGS__); \
	} while (0)
#define log_err(...) log_at(LOG_ERR, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
/* For anything that a packet can cause. limit: struct log_limit *. */
#define log_limited(limit, level, ...) \
	do { \
		if ((level) <= log_level && log_limit_pass((limit), LOG_MODULE)) \
			log_write((level), LOG_MODULE, __VA_ARGS__); \
	} while (0)

#endif
