/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines as they reach standard error, which is a memory file here. */
#define LOG_MODULE "unit"
#include "shared/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { CAPTURE_BYTES = 256 * 1024, THREADS = 4, LINES = 200, HOUR_MS = 3600000 };

static int real_stderr, capture_fd;

static void capture_begin(void)
{
	fflush(stderr);
	real_stderr = dup(STDERR_FILENO);
	capture_fd = memfd_create("log", MFD_CLOEXEC);
	assert_true(real_stderr >= 0 && capture_fd >= 0);
	/* A memory file's position is not locked; appending is. */
	assert_int_equal(fcntl(capture_fd, F_SETFL, O_APPEND), 0);
	dup2(capture_fd, STDERR_FILENO);
}

/* What was written since; valid until the next time. */
static const char *capture_end(void)
{
	static char text[CAPTURE_BYTES];
	const ssize_t len = pread(capture_fd, text, sizeof(text) - 1, 0);

	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	close(capture_fd);
	assert_true(len >= 0);
	text[len] = '\0';
	return text;
}

static bool matches(const char *text, const char *pattern)
{
	regex_t re;
	bool yes;

	assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
	yes = regexec(&re, text, 0, NULL, 0) == 0;
	regfree(&re);
	return yes;
}

#define STAMP "^ [0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\\.[0-9]{3}Z "

static void test_line_form(void **state)
{
	(void)state;
	log_init("prog");
	capture_begin();
	log_info("link up peer=%s count=%d", "abcd", 3);
	assert_true(matches(capture_end(), STAMP "INFO  prog::unit > link up peer=abcd count=3\n$"));
	capture_begin();
	log_err("x");
	assert_true(matches(capture_end(), STAMP "ERROR prog::unit > x\n$"));
}

static void test_levels(void **state)
{
	(void)state;
	for (enum log_level set = LOG_ERR; set <= LOG_DEBUG; set++) {
		const char *text;

		log_level = set;
		capture_begin();
		log_err("e");
		log_warn("w");
		log_info("i");
		log_debug("d");
		text = capture_end();
		assert_non_null(strstr(text, "> e\n"));
		assert_int_equal(strstr(text, "> w\n") != NULL, set >= LOG_WARN);
		assert_int_equal(strstr(text, "> i\n") != NULL, set >= LOG_INFO);
		assert_int_equal(strstr(text, "> d\n") != NULL, set >= LOG_DEBUG);
	}
	log_level = LOG_INFO;
}

static void test_level_names(void **state)
{
	static const char *const wrong[] = {"", "INFO", "warning", "inf", "infos", "3"};
	enum log_level level;

	(void)state;
	for (enum log_level l = LOG_ERR; l <= LOG_DEBUG; l++) {
		assert_true(log_level_parse(log_level_name(l), &level));
		assert_int_equal(level, l);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(log_level_parse(wrong[i], &level));
}

static void test_control_characters(void **state)
{
	const char *text;

	(void)state;
	capture_begin();
	log_info("name=%s", "a\nb\x1b[31m\x7f\xc2\x9b");
	text = capture_end();
	assert_true(matches(text, "name=a\\\\x0ab\\\\x1b\\[31m\\\\x7f\\\\xc2\\\\x9b\n$"));
	assert_int_equal(strchr(text, '\n') - text, strlen(text) - 1);
}

static void test_long_text_is_cut(void **state)
{
	char big[5000];
	const char *text;

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	capture_begin();
	log_info("%s", big);
	text = capture_end();
	assert_true(strlen(text) <= 1024);
	assert_true(matches(text, "> x+\\.\\.\\.\n$"));
	memset(big, '\n', sizeof(big) - 1);
	capture_begin();
	log_info("%s", big);
	text = capture_end();
	assert_true(strlen(text) <= 1024);
	assert_true(matches(text, "> (\\\\x0a)+\n$"));
}

static void test_errno_is_kept(void **state)
{
	(void)state;
	capture_begin();
	errno = ENOENT;
	log_info("%m");
	assert_int_equal(errno, ENOENT);
	close(STDERR_FILENO);
	errno = EINTR;
	log_info("nobody reads this");
	assert_int_equal(errno, EINTR);
	assert_true(matches(capture_end(), "> No such file or directory\n$"));
}

static void test_journal(void **state)
{
	char stream[64];
	struct stat st;
	const char *text;

	(void)state;
	capture_begin();
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_level = LOG_DEBUG;
	log_init("prog");
	log_err("e");
	log_warn("w");
	log_info("i");
	log_debug("d");
	log_level = LOG_INFO;
	text = capture_end();
	assert_string_equal(text, "<3>prog::unit > e\n<4>prog::unit > w\n<6>prog::unit > i\n<7>prog::unit > d\n");
	/* Inherited, but standard error leads elsewhere by now. */
	capture_begin();
	log_init("prog");
	log_info("i");
	assert_true(matches(capture_end(), STAMP "INFO  prog::unit > i\n$"));
	unsetenv("JOURNAL_STREAM");
}

static void test_limit(void **state)
{
	struct log_limit limit = LOG_LIMIT(HOUR_MS, 3);
	int passed = 0;
	const char *text;

	(void)state;
	capture_begin();
	for (int i = 0; i < 10; i++) {
		if (log_limit_pass(&limit, "unit"))
			passed++;
	}
	assert_string_equal(capture_end(), "");
	assert_int_equal(passed, 3);
	/* One period later, one more line, and the number of those left out before it. */
	limit.next = mono_now();
	capture_begin();
	log_limited(&limit, LOG_WARN, "again");
	log_limited(&limit, LOG_WARN, "too much");
	text = capture_end();
	assert_true(matches(text, "7 lines like the next were left out\n.*> again\n$"));
	/* After a long silence the whole burst. */
	limit.next = mono_add_ms(mono_now(), -10LL * HOUR_MS);
	passed = 0;
	capture_begin();
	for (int i = 0; i < 10; i++) {
		if (log_limit_pass(&limit, "unit"))
			passed++;
	}
	capture_end();
	assert_int_equal(passed, 3);
}

static void test_limit_below_level_costs_nothing(void **state)
{
	struct log_limit limit = LOG_LIMIT(HOUR_MS, 1);

	(void)state;
	log_limited(&limit, LOG_DEBUG, "not shown");
	assert_int_equal(limit.used, 0);
}

static void *write_lines(void *limit)
{
	for (int i = 0; i < LINES; i++) {
		log_info("line from a thread, whole");
		(void)log_limit_pass(limit, "unit");
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct log_limit limit = LOG_LIMIT(HOUR_MS, THREADS * LINES);
	pthread_t threads[THREADS];
	const char *text;
	int lines = 0;

	(void)state;
	capture_begin();
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_lines, &limit), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	text = capture_end();
	for (const char *end; (end = strchr(text, '\n')); text = end + 1) {
		static const char tail[] = " INFO  prog::unit > line from a thread, whole";

		assert_true(end - text > (ptrdiff_t)strlen(tail));
		assert_memory_equal(end - strlen(tail), tail, strlen(tail));
		assert_int_equal(end - text, strlen(" 2026-01-02T03:04:05.678Z") + strlen(tail));
		lines++;
	}
	assert_int_equal(lines, THREADS * LINES);
	assert_int_equal(limit.used, THREADS * LINES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line_form),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_level_names),
		cmocka_unit_test(test_control_characters),
		cmocka_unit_test(test_long_text_is_cut),
		cmocka_unit_test(test_errno_is_kept),
		cmocka_unit_test(test_journal),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_limit_below_level_costs_nothing),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
