/* SPDX-License-Identifier: Apache-2.0 */
/* How the API is opened, and for whom: addresses, the token file, and the guard over real sockets. */
#include "tests/unit/test_http.h"

#include "shared/limits.h"
#include <errno.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define GOOD "0123456789abcdef"

static struct endpoint address(const char *text)
{
	struct endpoint e;

	assert_int_equal(endpoint_parse(text, &e), 0);
	return e;
}

static void expect_failure(const struct api_setup *s, int result, const char *says)
{
	struct api_world *w = api_world_try(s);

	assert_int_equal(w->result, result);
	assert_null(w->api);
	if (!strstr(w->error, says))
		fail_msg("%s", w->error);
	api_world_free(w);
}

static void test_outside_address_wants_a_token(void **state)
{
	struct api_setup s = {.config = {.addr = address("0.0.0.0:0")}};
	struct api_world *w;

	(void)state;
	expect_failure(&s, -EPERM, "--api-token-file");
	s.config.addr = address("[::]:0");
	expect_failure(&s, -EPERM, "--api-insecure");
	s.config.addr = address("[2001:db8::1]:0");
	expect_failure(&s, -EPERM, "--api-insecure");
	s.config.addr = address("[::]:0");
	s.config.insecure = true;
	w = api_world_new(&s);
	api_world_free(w);
	/* All of 127.0.0.0/8 is this machine. */
	s = (struct api_setup){.config = {.addr = address("127.1.2.3:0")}};
	w = api_world_new(&s);
	api_world_free(w);
}

static void test_address_in_use(void **state)
{
	struct api_world *w = world_new();
	struct api_setup s = {.config = {.addr = w->at}};

	(void)state;
	expect_failure(&s, -EADDRINUSE, "--api-addr");
	/* Its twin is in use. */
	s.config.addr = address("[::1]:1");
	endpoint_set_port(&s.config.addr, endpoint_port(&w->at));
	expect_failure(&s, -EADDRINUSE, "--api-addr");
	api_world_free(w);
	/* And then it is not. */
	w = api_world_new(&s);
	api_world_free(w);
}

static void test_address_not_ours(void **state)
{
	struct api_setup s = {.config = {.addr = address("192.0.2.1:0"), .insecure = true}};

	(void)state;
	expect_failure(&s, -EADDRNOTAVAIL, "192.0.2.1");
}

static char token_path[64];

static void write_token(const char *text, size_t len, mode_t mode)
{
	int fd;

	strcpy(token_path, "/tmp/test_server-XXXXXX");
	fd = mkstemp(token_path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void test_token_file(void **state)
{
	static char longest[LIMIT_API_TOKEN_BYTES + 2];
	static const struct {
		const char *text;
		mode_t mode;
		int result;
	} rows[] = {
		{GOOD, 0600, 0},
		{GOOD "\n", 0600, 0},
		{GOOD "\r\n", 0400, 0},
		{GOOD "\nmore lines\nof whatever\n", 0600, 0},
		{longest + 1, 0600, 0},
		{longest, 0600, -EINVAL},
		{GOOD, 0640, -EPERM},
		{GOOD, 0604, -EPERM},
		{GOOD, 0620, -EPERM},
		{"", 0600, -EINVAL},
		{"\n" GOOD, 0600, -EINVAL},
		{"0123456789abcde\n", 0600, -EINVAL}, /* 15 */
		{" " GOOD, 0600, -EINVAL},
		{GOOD " \n", 0600, -EINVAL},
		{GOOD "\t", 0600, -EINVAL},
		{GOOD "\xc3\xa4", 0600, -EINVAL},
		{GOOD "\rx", 0600, -EINVAL},
	};

	(void)state;
	memset(longest, 't', sizeof(longest) - 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct api_setup s = {.config = {.token_file = token_path}};
		struct api_world *w;

		write_token(rows[i].text, strlen(rows[i].text), rows[i].mode);
		w = api_world_try(&s);
		if (w->result != rows[i].result)
			fail_msg("row %zu: %d: %s", i, w->result, w->error);
		if (w->result)
			assert_null(rows[i].text[0] ? strstr(w->error, rows[i].text) : NULL);
		else
			assert_int_equal(strncmp(w->api->guard.token, rows[i].text, strlen(w->api->guard.token)), 0);
		api_world_free(w);
		unlink(token_path);
	}
}

static void test_token_file_is_no_file(void **state)
{
	(void)state;
	expect_failure(&(const struct api_setup){.config = {.token_file = "/nonexistent/token"}}, -ENOENT,
		       "/nonexistent/token");
	expect_failure(&(const struct api_setup){.config = {.token_file = "/tmp"}}, -EINVAL, "/tmp");
	expect_failure(&(const struct api_setup){.config = {.token_file = "/dev/zero"}}, -EINVAL, "/dev/zero");
}

static int status_of(struct api_world *w, const char *path, const char *head)
{
	struct api_answer a = api_world_ask(w, &(const struct api_ask){.method = "GET", .path = path, .head = head});
	const int status = a.status;

	if (status == 401)
		assert_string_equal(api_answer_header(&a, "WWW-Authenticate"), "Bearer");
	assert_true(status == 200 || a.len > 20); /* a sentence */
	api_answer_fini(&a);
	return status;
}

static void test_token(void **state)
{
	struct api_setup s = {.config = {.token_file = token_path}};
	struct api_world *w;

	(void)state;
	write_token(GOOD, sizeof(GOOD) - 1, 0600);
	w = api_world_new(&s);
	assert_int_equal(status_of(w, "/livez", "Authorization: Bearer " GOOD "\r\n"), 200);
	assert_int_equal(status_of(w, "/livez", NULL), 401);
	assert_int_equal(status_of(w, "/livez", "Authorization: Bearer " GOOD "x\r\n"), 401);
	assert_int_equal(status_of(w, "/nothing", NULL), 401); /* nor what there is */
	assert_int_equal(status_of(w, "/livez", "Authorization: Bearer " GOOD "\r\nAuthorization: Bearer " GOOD "\r\n"),
			 400);
	assert_int_equal(status_of(w, "/", NULL), 200);
	assert_int_equal(status_of(w, "/page.js", NULL), 200);
	assert_int_equal(status_of(w, "/page.css?x", NULL), 200);
	assert_int_equal(status_of(w, "/page%2Ejs", NULL), 401);
	assert_int_equal(status_of(w, "/", "Origin: http://evil.example\r\n"), 403);
	assert_int_equal(w->api->refused, 6);
	api_world_free(w);
	unlink(token_path);
}

static void expect_host(struct api_world *w, const char *line, int status)
{
	struct api_client *c = api_client_open(w);

	api_client_sayf(c, "GET /livez HTTP/1.1\r\n%s\r\n", line);
	expect_answer(c, status, NULL);
	api_client_free(c);
}

static void test_guard(void **state)
{
	static const char *const hosts[] = {"node.example"}, *const origins[] = {"https://panel.example"};
	struct api_setup s = {.config = {.hosts = hosts, .host_count = 1, .origins = origins, .origin_count = 1}};
	struct api_world *w = api_world_new(&s);
	char line[200];

	(void)state;
	expect_host(w, "", 403);
	expect_host(w, "Host: evil.example\r\n", 403);
	expect_host(w, "Host: localhost\r\n", 403);
	snprintf(line, sizeof(line), "Host: node.example:%u\r\n", endpoint_port(&w->at));
	expect_host(w, line, 200);
	snprintf(line, sizeof(line), "Host: %s\r\nHost: %s\r\n", w->host, w->host);
	expect_host(w, line, 400);
	snprintf(line, sizeof(line), "Host: %s\r\nOrigin: http://%s\r\n", w->host, w->host);
	expect_host(w, line, 200);
	assert_int_equal(status_of(w, "/livez", "Origin: https://panel.example\r\nSec-Fetch-Site: cross-site\r\n"),
			 200);
	assert_int_equal(status_of(w, "/livez", "Origin: http://evil.example\r\n"), 403);
	assert_int_equal(status_of(w, "/livez", "Sec-Fetch-Site: cross-site\r\n"), 403);
	assert_int_equal(status_of(w, "/livez", "Sec-Fetch-Site: same-origin\r\n"), 200);
	/* Refused before a handler sees it. */
	assert_int_equal(status_of(w, "/api/v1/messages?topic=x", "Origin: null\r\n"), 403);
	assert_int_equal(seen.called, 0);
	api_world_free(w);
}

/* Where descriptors have run out, clients wait until there are some again. */
static void test_no_descriptor(void **state)
{
	struct api_world *w = world_new();
	struct api_client *c = api_client_open(w);
	struct rlimit before, now;

	(void)state;
	say_get(c, "/livez");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	now = before;
	now.rlim_cur = (rlim_t)c->fd + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
	api_world_turn(w);
	assert_null(w->api->conns);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	expect_answer(c, 200, "ok");
	api_client_free(c);
	api_world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_outside_address_wants_a_token),
		cmocka_unit_test(test_address_in_use),
		cmocka_unit_test(test_address_not_ours),
		cmocka_unit_test(test_token_file),
		cmocka_unit_test(test_token_file_is_no_file),
		cmocka_unit_test(test_token),
		cmocka_unit_test(test_guard),
		cmocka_unit_test(test_no_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
