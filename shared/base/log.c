/* SPDX-License-Identifier: Apache-2.0 */
/* A line is made on the stack and leaves by one write. What is not printable ASCII is written as \xNN, because names
 * and texts from strangers end up here and a terminal obeys them. */
#include "shared/base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE_BYTES = 1024, TEXT_BYTES = 768 };

enum log_level log_level = LOG_INFO;

static const char *log_program = "";
static bool to_journal;
static pthread_mutex_t limit_lock = PTHREAD_MUTEX_INITIALIZER;

static const struct {
	const char *name, *label;
	int priority; /* of syslog */
} levels[] = {
	[LOG_ERR] = {"error", "ERROR", 3},
	[LOG_WARN] = {"warn", "WARN", 4},
	[LOG_INFO] = {"info", "INFO", 6},
	[LOG_DEBUG] = {"debug", "DEBUG", 7},
};
enum { LEVELS = sizeof(levels) / sizeof(levels[0]) };

/* JOURNAL_STREAM is inherited; it names the journal's socket, which standard error may no longer be. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
	       st.st_dev == device && st.st_ino == inode;
}

void log_init(const char *program)
{
	log_program = program;
	to_journal = stderr_is_journal();
	/* Reads the zone file now: gmtime_r() would do it at the first line, when a sandbox may forbid it. */
	tzset();
}

bool log_level_parse(const char *text, enum log_level *out)
{
	for (int i = 0; i < LEVELS; i++) {
		if (strcmp(text, levels[i].name) == 0) {
			*out = (enum log_level)i;
			return true;
		}
	}
	return false;
}

const char *log_level_name(enum log_level level)
{
	return levels[level].name;
}

static size_t print_head(char *out, size_t cap, enum log_level level, const char *module)
{
	const char *colons = *log_program ? "::" : "";
	struct timespec now;
	char time[32];
	struct tm tm;

	if (to_journal)
		return (size_t)snprintf(out, cap, "<%d>%.32s%s%.32s > ", levels[level].priority, log_program, colons,
					module);
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(time, sizeof(time), "%Y-%m-%dT%H:%M:%S", &tm);
	return (size_t)snprintf(out, cap, " %s.%03ldZ %-5s %.32s%s%.32s > ", time, now.tv_nsec / 1000000,
				levels[level].label, log_program, colons, module);
}

/* Copies text escaped, as much of it as fits whole; returns the bytes written. */
static size_t escape(char *out, size_t cap, const char *text)
{
	static const char digits[] = "0123456789abcdef";
	size_t len = 0;

	for (; *text; text++) {
		const uint8_t c = (uint8_t)*text;
		const bool plain = c >= 0x20 && c < 0x7f;

		if (cap - len < (plain ? 1 : 4))
			break;
		if (plain) {
			out[len++] = *text;
			continue;
		}
		out[len++] = '\\';
		out[len++] = 'x';
		out[len++] = digits[c >> 4];
		out[len++] = digits[c & 15];
	}
	return len;
}

void log_write(enum log_level level, const char *module, const char *format, ...)
{
	const int saved = errno;
	char text[TEXT_BYTES], line[LINE_BYTES];
	va_list args;
	size_t len;

	va_start(args, format);
	if (vsnprintf(text, sizeof(text), format, args) >= (int)sizeof(text))
		memcpy(text + sizeof(text) - 4, "...", 4);
	va_end(args);
	len = print_head(line, sizeof(line), level, module);
	len += escape(line + len, sizeof(line) - 1 - len, text);
	line[len++] = '\n';
	while (write(STDERR_FILENO, line, len) < 0 && errno == EINTR)
		;
	errno = saved;
}

bool log_limit_pass(struct log_limit *limit, const char *module)
{
	const struct mono now = mono_now();
	const uint32_t burst = limit->burst ? limit->burst : 1;
	uint32_t left_out = 0;
	bool pass;

	pthread_mutex_lock(&limit_lock);
	while (limit->used && mono_is_due(limit->next, now)) {
		limit->used--;
		limit->next = mono_add_ms(limit->next, limit->period_ms);
	}
	pass = limit->used < burst;
	if (pass) {
		if (!limit->used)
			limit->next = mono_add_ms(now, limit->period_ms);
		limit->used++;
		left_out = limit->suppressed;
		limit->suppressed = 0;
	} else {
		limit->suppressed++;
	}
	pthread_mutex_unlock(&limit_lock);
	if (left_out)
		log_write(LOG_WARN, module, "%u lines like the next were left out", left_out);
	return pass;
}
