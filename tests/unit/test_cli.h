/* SPDX-License-Identifier: Apache-2.0 */
/* A command run against a server of its own that answers by a script: what was asked, printed and returned. */
#ifndef TESTS_UNIT_TEST_CLI_H
#define TESTS_UNIT_TEST_CLI_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "controld/cli/cli.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

enum { TEST_CLI_WORDS = 16, TEST_CLI_ANSWERS = 6, TEST_CLI_PATIENCE_MS = 60000 };

/* One connection: what is sent once the request is there, before the connection is closed. */
struct answer {
	const char *bytes;
	size_t len; /* 0: up to the zero byte */
	bool early; /* sent when the head of the request is there */
};

struct server {
	int fd;
	pthread_t thread;
	struct endpoint at;
	const struct answer *answers; /* ends with one without bytes */
	char *requests[TEST_CLI_ANSWERS]; /* owned, zero-terminated */
	size_t request_lens[TEST_CLI_ANSWERS];
	int request_count;
};

struct result {
	int exit_code;
	char *out, *err; /* owned */
	size_t out_len, err_len;
	struct server server;
};

/* Reads until the request is whole, or its head is; false at the end of the connection. */
static bool server_read(struct server *s, int fd, bool early)
{
	char **request = &s->requests[s->request_count];
	size_t *len = &s->request_lens[s->request_count], want = SIZE_MAX;

	while (*len < want) {
		char buf[65536];
		const ssize_t n = recv(fd, buf, sizeof(buf), 0);
		const char *head, *length;

		if (n <= 0)
			return false;
		*request = realloc(*request, *len + (size_t)n + 1);
		memcpy(*request + *len, buf, (size_t)n);
		*len += (size_t)n;
		(*request)[*len] = '\0';
		head = strstr(*request, "\r\n\r\n");
		if (!head)
			continue;
		length = strstr(*request, "Content-Length: ");
		want = (size_t)(head - *request) + 4;
		if (length && length < head && !early)
			want += strtoul(length + 16, NULL, 10);
	}
	return true;
}

static void server_answer(int fd, const struct answer *a)
{
	const size_t len = a->len ? a->len : strlen(a->bytes);
	char rest[65536];

	for (size_t sent = 0; sent < len;) {
		const ssize_t n = send(fd, a->bytes + sent, len - sent, MSG_NOSIGNAL);

		if (n <= 0)
			break;
		sent += (size_t)n;
	}
	shutdown(fd, SHUT_WR);
	/* Unread bytes would turn the end into a reset. */
	while (recv(fd, rest, sizeof(rest), 0) > 0)
		;
}

static void *server_main(void *arg)
{
	struct server *s = arg;

	for (const struct answer *a = s->answers; a->bytes; a++) {
		struct pollfd p = {.fd = s->fd, .events = POLLIN};
		int fd;

		if (poll(&p, 1, TEST_CLI_PATIENCE_MS) != 1)
			break;
		fd = accept(s->fd, NULL, NULL);
		if (fd < 0)
			break;
		if (server_read(s, fd, a->early))
			s->request_count++;
		server_answer(fd, a);
		close(fd);
	}
	return NULL;
}

static void server_bind(struct server *s, const char *address)
{
	socklen_t len;

	assert_int_equal(endpoint_parse(address, &s->at), 0);
	s->fd = socket(s->at.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->fd, &s->at.sa, endpoint_len(&s->at)), 0);
	len = endpoint_len(&s->at);
	assert_int_equal(getsockname(s->fd, &s->at.sa, &len), 0);
}

static void server_start(struct server *s, const char *address, const struct answer *answers)
{
	*s = (struct server){.answers = answers};
	server_bind(s, address);
	assert_int_equal(listen(s->fd, 4), 0);
	assert_int_equal(pthread_create(&s->thread, NULL, server_main, s), 0);
}

static void server_stop(struct server *s)
{
	shutdown(s->fd, SHUT_RDWR); /* an accept that waits returns */
	assert_int_equal(pthread_join(s->thread, NULL), 0);
	close(s->fd);
}

static inline void result_free(struct result *r)
{
	for (int i = 0; i < TEST_CLI_ANSWERS; i++)
		free(r->server.requests[i]);
	free(r->out);
	free(r->err);
}

static inline void run_words(struct result *r, struct cli_config *c, const char *const *words)
{
	char *argv[TEST_CLI_WORDS];
	int count = 0;

	for (; words[count]; count++) {
		assert_true(count < TEST_CLI_WORDS);
		argv[count] = strdup(words[count]);
	}
	c->network = &network200;
	c->api = r->server.at;
	c->out = open_memstream(&r->out, &r->out_len);
	c->err = open_memstream(&r->err, &r->err_len);
	assert_true(c->out && c->err);
	r->exit_code = cli_run(c, count, argv);
	fclose(c->out);
	fclose(c->err);
	for (int i = 0; i < count; i++)
		free(argv[i]);
}

/* The words against the answers; result_free() it. */
static inline struct result *run_with(const struct cli_config *how, const struct answer *answers,
				      const char *const *words)
{
	static struct result r;
	struct cli_config c = *how;

	r = (struct result){0};
	server_start(&r.server, "127.0.0.1:0", answers);
	run_words(&r, &c, words);
	server_stop(&r.server);
	return &r;
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define ANSWERS(...) ((const struct answer[]){__VA_ARGS__, {0}})
#define NO_ANSWER ((const struct answer[]){{0}})

static const struct cli_config pipe_config __attribute__((unused)) = {0};

/* In a pipe, against one answer. */
static inline struct result *run(const char *answer, const char *const *words)
{
	return run_with(&pipe_config, answer ? ANSWERS({answer, 0, false}) : NO_ANSWER, words);
}

/* Exactly one line, which begins as it should and holds these words. */
static inline void assert_one_line(const struct result *r, const char *start, const char *word)
{
	assert_memory_equal(r->err, start, strlen(start));
	assert_ptr_equal(strchr(r->err, '\n'), r->err + strlen(r->err) - 1);
	if (!strstr(r->err, word))
		fail_msg("\"%s\" is not in: %s", word, r->err);
	for (const char *p = r->err; *p; p++)
		assert_true(*p == '\n' || (unsigned char)*p >= 0x20);
}

/* text is taken; the result is owned by the caller. */
static inline char *replace_number(char *text, const char *name, size_t number)
{
	char *at = strstr(text, name), *whole;

	if (!at)
		return text;
	*at = '\0';
	assert_true(asprintf(&whole, "%s%zu%s", text, number, at + strlen(name)) > 0);
	free(text);
	return whole;
}

/* The request as it must have been, with the server's port for PORT and the body's length for LENGTH. */
static inline void assert_request(const struct result *r, int i, const char *expected)
{
	const char *body = strstr(expected, "\r\n\r\n");
	char *want;

	assert_true(body && i < r->server.request_count);
	want = replace_number(strdup(expected), "PORT", endpoint_port(&r->server.at));
	want = replace_number(want, "LENGTH", strlen(body + 4));
	assert_string_equal(r->server.requests[i], want);
	free(want);
}

#endif
