/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* After the four above, as it wants. */
#include "controld/loop.h"
#include "tests/support/until.h"
#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

static bool is_set(void *ctx)
{
	return *(bool *)ctx;
}

static int setup(void **state)
{
	*state = loop_new();
	return 0;
}

static int teardown(void **state)
{
	loop_free(*state);
	return 0;
}

/* Timers. */

struct note {
	char order[16];
	unsigned count;
	bool full;
	unsigned want;
};

struct named_timer {
	struct note *note;
	char name;
	struct mono when, fired;
	struct loop_timer *timer;
	unsigned again;
	bool free_itself;
};

static void on_named(void *ctx, struct mono now)
{
	struct named_timer *n = ctx;

	n->fired = now;
	n->note->order[n->note->count++] = n->name;
	n->note->full = n->note->count >= n->note->want;
	if (n->free_itself) {
		loop_timer_free(n->timer);
		n->timer = NULL;
	} else if (n->again) {
		n->again--;
		loop_timer_at(n->timer, now);
	}
}

static void named_at(struct loop *l, struct named_timer *n, int64_t ms)
{
	n->timer = loop_timer_new(l, on_named, n);
	n->when = mono_add_ms(mono_now(), ms);
	loop_timer_at(n->timer, n->when);
}

static void test_timers_in_order_and_not_early(void **state)
{
	struct note note = {.want = 3};
	struct named_timer a = {.note = &note, .name = 'a'}, b = {.note = &note, .name = 'b'},
			   c = {.note = &note, .name = 'c'}, never = {.note = &note, .name = 'n'},
			   past = {.note = &note, .name = 'p'};
	struct loop *l = *state;

	named_at(l, &c, 20);
	named_at(l, &a, 5);
	named_at(l, &b, 12);
	named_at(l, &never, 8);
	loop_timer_at(never.timer, MONO_NEVER);
	assert_true(until(l, is_set, &note.full));
	assert_string_equal(note.order, "abc");
	assert_true(mono_is_due(a.when, a.fired) && mono_is_due(b.when, b.fired) && mono_is_due(c.when, c.fired));

	note = (struct note){.want = 1};
	named_at(l, &past, -1000000000);
	assert_true(until(l, is_set, &note.full));
	loop_timer_free(a.timer);
	loop_timer_free(b.timer);
	loop_timer_free(c.timer);
	loop_timer_free(never.timer);
	loop_timer_free(past.timer);
	loop_timer_free(NULL);
}

static void test_timer_replaced(void **state)
{
	struct note note = {.want = 1};
	struct named_timer a = {.note = &note, .name = 'a'};
	struct loop *l = *state;

	named_at(l, &a, 3600000);
	loop_timer_at(a.timer, mono_now());
	assert_true(until(l, is_set, &note.full));
	loop_timer_free(a.timer);
}

/* A timer that always arms itself for now does not starve another. */
static void test_timer_greedy(void **state)
{
	struct note note = {.want = 4};
	struct named_timer greedy = {.note = &note, .name = 'g', .again = 2},
			   other = {.note = &note, .name = 'o', .free_itself = true};
	struct loop *l = *state;

	named_at(l, &greedy, -10);
	named_at(l, &other, -5);
	assert_true(until(l, is_set, &note.full));
	assert_string_equal(note.order, "gogg");
	assert_null(other.timer);
	loop_timer_free(greedy.timer);
}

/* Descriptors. */

struct seen {
	struct loop_fd *watch;
	int fd;
	unsigned events, calls;
	bool done;
};

static void on_once(void *ctx, unsigned events)
{
	struct seen *s = ctx;

	s->events = events;
	s->calls++;
	s->done = true;
	loop_fd_free(s->watch);
	s->watch = NULL;
	close(s->fd);
}

static void test_fd_read_write(void **state)
{
	struct seen reader = {.calls = 0}, writer = {.calls = 0};
	struct loop *l = *state;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	reader.fd = pair[0];
	writer.fd = pair[1];
	reader.watch = loop_fd_new(l, pair[0], LOOP_READ, on_once, &reader);
	writer.watch = loop_fd_new(l, pair[1], 0, on_once, &writer);
	loop_fd_want(writer.watch, LOOP_WRITE);
	assert_true(until(l, is_set, &writer.done));
	assert_int_equal(writer.events, LOOP_WRITE);
	/* The other end is closed now: an end of stream is an event asked for. */
	assert_true(until(l, is_set, &reader.done));
	assert_int_equal(reader.events, LOOP_READ);
	assert_int_equal(reader.calls + writer.calls, 2);
	loop_fd_free(NULL);
}

static void on_error(void *ctx, unsigned events)
{
	struct seen *s = ctx;

	s->events = events;
	s->calls++;
	s->done = s->calls == 2;
	loop_fd_want(s->watch, s->done ? 0 : LOOP_WRITE);
}

/* An error is told as the events asked for, and again while it lasts. */
static void test_fd_error(void **state)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct seen s = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)};
	const int closed = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(to);
	struct loop *l = *state;

	assert_int_equal(bind(closed, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(getsockname(closed, (struct sockaddr *)&to, &len), 0);
	assert_int_equal(connect(s.fd, (struct sockaddr *)&to, sizeof(to)), -1);
	assert_int_equal(errno, EINPROGRESS);
	s.watch = loop_fd_new(l, s.fd, LOOP_WRITE, on_error, &s);
	assert_true(until(l, is_set, &s.done));
	assert_int_equal(s.events, LOOP_WRITE);
	loop_fd_free(s.watch);
	close(s.fd);
	close(closed);
}

/* Signals. */

struct caught {
	struct loop_signal *signal;
	int number;
	bool done;
};

static void on_signal(void *ctx, int number)
{
	struct caught *c = ctx;

	c->number = number;
	c->done = true;
	loop_signal_free(c->signal);
}

static void test_signal(void **state)
{
	struct caught c = {.done = false};
	struct loop *l = *state;

	c.signal = loop_signal_new(l, SIGUSR1, on_signal, &c);
	raise(SIGUSR1);
	assert_true(until(l, is_set, &c.done));
	assert_int_equal(c.number, SIGUSR1);
}

/* Work. */

struct job {
	sem_t go, begun;
	pthread_t worked_in, done_in;
	unsigned worked;
	bool done, cancelled;
};

static void job_init(struct job *j, unsigned go)
{
	*j = (struct job){.worked = 0};
	sem_init(&j->go, 0, go);
	sem_init(&j->begun, 0, 0);
}

static void job_work(void *ctx)
{
	struct job *j = ctx;

	j->worked_in = pthread_self();
	j->worked++;
	sem_post(&j->begun);
	while (sem_wait(&j->go) < 0)
		continue;
}

static void job_done(void *ctx, bool cancelled)
{
	struct job *j = ctx;

	j->done_in = pthread_self();
	j->cancelled = cancelled;
	j->done = true;
}

static void test_work(void **state)
{
	struct job j;

	job_init(&j, 1);
	loop_work_new(*state, job_work, job_done, &j);
	assert_true(until(*state, is_set, &j.done));
	assert_int_equal(j.worked, 1);
	assert_false(j.cancelled);
	assert_true(pthread_equal(j.done_in, pthread_self()));
	assert_false(pthread_equal(j.worked_in, pthread_self()));
}

static void test_work_cancelled(void **state)
{
	enum { JOBS = 8 };
	struct loop_work *work[JOBS];
	struct job j[JOBS];
	unsigned worked = 0;

	for (int i = 0; i < JOBS; i++) {
		job_init(&j[i], 0);
		work[i] = loop_work_new(*state, job_work, job_done, &j[i]);
	}
	while (sem_wait(&j[0].begun) < 0)
		continue;
	/* The first runs, the last has to wait for it. */
	loop_work_cancel(work[0]);
	loop_work_cancel(work[JOBS - 1]);
	assert_true(until(*state, is_set, &j[JOBS - 1].done));
	assert_true(j[JOBS - 1].cancelled);
	assert_false(j[0].done);
	for (int i = 0; i < JOBS; i++)
		sem_post(&j[i].go);
	for (int i = 0; i < JOBS; i++) {
		assert_true(until(*state, is_set, &j[i].done));
		assert_int_equal(j[i].cancelled, i == 0 || i == JOBS - 1);
		worked += j[i].worked;
	}
	assert_int_equal(worked, JOBS - 1);
}

static void abandoned_done(void *ctx, bool cancelled)
{
	struct job *j = ctx;

	j->cancelled = cancelled;
	sem_post(&j->begun);
}

static void test_work_outlives_the_loop(void **state)
{
	struct loop *l = loop_new();
	struct job hangs, waits[4];

	(void)state;
	job_init(&hangs, 0);
	loop_work_new(l, job_work, abandoned_done, &hangs);
	while (sem_wait(&hangs.begun) < 0)
		continue;
	for (int i = 0; i < 4; i++) {
		job_init(&waits[i], 1);
		loop_work_new(l, job_work, job_done, &waits[i]);
	}
	for (int i = 0; i < 4; i++)
		assert_true(until(l, is_set, &waits[i].done));
	loop_free(l);
	sem_post(&hangs.go);
	while (sem_wait(&hangs.begun) < 0)
		continue;
	assert_true(hangs.cancelled);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_timers_in_order_and_not_early, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timer_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timer_greedy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fd_read_write, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fd_error, setup, teardown),
		cmocka_unit_test_setup_teardown(test_signal, setup, teardown),
		cmocka_unit_test_setup_teardown(test_work, setup, teardown),
		cmocka_unit_test_setup_teardown(test_work_cancelled, setup, teardown),
		cmocka_unit_test(test_work_outlives_the_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
