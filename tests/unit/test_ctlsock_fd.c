/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors that travel between the two processes, and the socket's place in the file system. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "tests/unit/test_ctlsock.h"

static bool same_file(int a, int b)
{
	struct stat sa, sb;

	return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

static void test_descriptor(void **state)
{
	struct pair *p = *state;
	const struct ctl_adopt adopt = {.link = 5};
	const struct ctl_ping ping = {.number = 1};
	const size_t before = open_fds();
	int pipe_fd[2];

	assert_int_equal(pipe2(pipe_fd, O_CLOEXEC), 0);
	assert_true(ctlsock_put(p->a, CTL_PING, &ping, sizeof(ping), NULL, 0));
	assert_true(ctlsock_put_fd(p->a, CTL_ADOPT, &adopt, sizeof(adopt), pipe_fd[0]));
	assert_true(ctlsock_put(p->a, CTL_PING, &ping, sizeof(ping), NULL, 0));
	pump(p);
	assert_int_equal(p->seen.count, 3);
	assert_int_equal(p->seen.at[0].fd, -1);
	assert_int_equal(p->seen.at[1].type, CTL_ADOPT);
	assert_true(same_file(p->seen.at[1].fd, pipe_fd[0]));
	assert_int_equal(fcntl(p->seen.at[1].fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(p->seen.at[2].fd, -1);
	close(p->seen.at[1].fd);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	assert_int_equal(open_fds(), before);
	assert_false(ctlsock_put_fd(p->a, CTL_ADOPT, &adopt, sizeof(adopt), -1));
	assert_false(ctlsock_wants_write(p->a));
}

static void test_descriptor_unsent_is_closed(void **state)
{
	struct pair *p = *state;
	const size_t before = open_fds();
	const struct ctl_adopt adopt = {.link = 5};

	assert_true(ctlsock_put_fd(p->a, CTL_ADOPT, &adopt, sizeof(adopt), STDIN_FILENO));
	assert_int_equal(open_fds(), before + 1);
	ctlsock_free(p->a);
	p->a = NULL;
	assert_int_equal(open_fds(), before - 1);
}

static void test_descriptors_wrong(void **state)
{
	static const struct {
		unsigned int type;
		size_t len, fds, records, malformed;
	} table[] = {
		{CTL_ADOPT, sizeof(struct ctl_adopt), 0, 0, 1}, /* missing */
		{CTL_ADOPT, sizeof(struct ctl_adopt), 3, 1, 0}, /* two too many */
		{CTL_PING, sizeof(struct ctl_ping), 2, 1, 0}, /* takes none */
		{CTL_ADOPT, sizeof(struct ctl_adopt), 12, 0, 1}, /* more than there is room for */
		{UNKNOWN_TYPE, 8, 1, 0, 0},
	};
	struct pair *p = *state;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const uint64_t malformed = ctlsock_malformed(p->b);
		const size_t fds = open_fds();
		uint8_t bytes[512] = {0};

		p->seen.count = 0;
		send_raw(p->raw, bytes, record(bytes, table[i].type, table[i].len), table[i].fds);
		assert_int_equal(ctlsock_read(p->b), 0);
		assert_int_equal(p->seen.count, table[i].records);
		assert_int_equal(ctlsock_malformed(p->b) - malformed, table[i].malformed);
		if (p->seen.count && p->seen.at[0].fd >= 0)
			close(p->seen.at[0].fd);
		assert_int_equal(open_fds(), fds);
	}
}

/* One descriptor, two records that want one: the second goes without. */
static void test_descriptor_for_one_only(void **state)
{
	struct pair *p = *state;
	uint8_t bytes[512] = {0};
	const size_t first = (record(bytes, CTL_MEMORY, sizeof(struct ctl_memory)) + 7) / 8 * 8;
	const size_t len = first + record(bytes + first, CTL_MEMORY, sizeof(struct ctl_memory));

	send_raw(p->raw, bytes, len, 1);
	assert_int_equal(ctlsock_read(p->b), 0);
	assert_int_equal(p->seen.count, 1);
	assert_int_equal(ctlsock_malformed(p->b), 1);
	close(p->seen.at[0].fd);
}

static void test_path(void **state)
{
	char folder[] = "/tmp/test_ctlsock.XXXXXX", path[64], longest[200];
	int listener, fd, accepted;
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/ctl", folder);
	assert_int_equal(ctlsock_connect(path), -ENOENT);
	listener = ctlsock_listen(path);
	assert_true(listener >= 0);
	assert_int_equal(fcntl(listener, F_GETFD), FD_CLOEXEC);
	assert_true(fcntl(listener, F_GETFL) & O_NONBLOCK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(ctlsock_listen(path), -EADDRINUSE);
	fd = ctlsock_connect(path);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	/* The first in line is the one that ctlsock_listen() made to see whether somebody lives there. */
	accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(accepted >= 0);
	assert_int_equal(ctlsock_peer_pid(accepted), getpid());
	assert_int_equal(ctlsock_peer_pid(fd), getpid());
	close(accepted);
	close(fd);
	close(listener);
	/* A dead one's socket is replaced. */
	assert_int_equal(ctlsock_connect(path), -ECONNREFUSED);
	listener = ctlsock_listen(path);
	assert_true(listener >= 0);
	close(listener);
	memset(longest, 'x', sizeof(longest));
	memcpy(longest, folder, strlen(folder));
	longest[strlen(folder)] = '/';
	longest[108] = '\0';
	assert_int_equal(ctlsock_listen(longest), -ENAMETOOLONG);
	assert_int_equal(ctlsock_connect(longest), -ENAMETOOLONG);
	longest[107] = '\0';
	listener = ctlsock_listen(longest);
	assert_true(listener >= 0);
	close(listener);
	assert_int_equal(unlink(longest) | unlink(path) | rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pair_test(test_descriptor),	   pair_test(test_descriptor_unsent_is_closed),
		pair_test(test_descriptors_wrong), pair_test(test_descriptor_for_one_only),
		cmocka_unit_test(test_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
