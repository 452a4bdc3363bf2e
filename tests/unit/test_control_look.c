/* SPDX-License-Identifier: Apache-2.0 */
/* When the control thread of fastpath looks at its keys: in the test's own thread and time, without workers. */
#include "tests/unit/control_session_world.h"

#include <sys/mman.h>

enum { LOOK_US = 1000000, QUIET_US = 5000000 };

struct world {
	struct control c;
	struct ctlpeer peer;
};

static const struct control_times times = {.fresh_ms = 60000, .grace_ms = 60000};

static void ignore(void *ctx, enum ctl_type type, const void *body, size_t len, int fd)
{
	(void)ctx;
	(void)type;
	(void)body;
	(void)len;
	(void)fd;
}

static int make(void **state)
{
	static const struct ctlsock_ops ops = {.record = ignore};
	struct world *w = aligned_alloc(_Alignof(struct world), sizeof(*w));
	const struct pubkey own = {{7}};
	const char *why = "";
	const struct aead *aead = aead_choose(&why);
	struct control *c = &w->c;
	int ends[2];

	if (!aead || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0)
		return -1;
	control_init(c, ends[1], &times);
	c->ctl = ctlsock_new(ends[0], &ops, NULL);
	c->greeted = c->running = true;
	c->f.number = 1;
	c->f.lanes = mmap(NULL, sizeof(*c->f.lanes), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(c->f.lanes != MAP_FAILED);
	c->f.lanes->header.id[0] = 1;
	c->f.lanes->header.id[1] = 2;
	c->f.lanes->header.id[2] = 3;
	c->f.table = table_new(&c->f.epoch, 0);
	assert_int_equal(control_sessions_init(c, aead, LIMIT_SESSION_ROWS), 0);
	c->f.keys = keys_new(aead, &own, 64);
	assert_true(c->f.table && c->f.keys);
	*state = w;
	return 0;
}

static int unmake(void **state)
{
	struct world *w = *state;

	control_fini(&w->c);
	free(w);
	return 0;
}

static void add_session(struct control *c, uint32_t index)
{
	const struct ctl_session_key key = session_key((uint8_t)index, index, CTL_SESSION_SEND);

	c->f.lanes->row_index[index] = index;
	control_sessions_add(c, &key);
}

static struct skey *session_of(const struct control *c, uint32_t index)
{
	struct skey *s = skeys_find(c->f.skeys, index);

	assert_non_null(s);
	return s;
}

/* How long after this turn it wants to be called. */
static int64_t turn_after(struct control *c, int64_t us)
{
	struct mono due;

	c->now.us += us;
	due = control_report_run(c);
	return due.us == MONO_NEVER.us ? -1 : due.us - c->now.us;
}

static void with_nothing_to_see_it_sleeps(void **state)
{
	struct control *c = &((struct world *)*state)->c;
	const struct ctl_key key = static_key(1);
	const struct table_entry *e;

	assert_int_equal(turn_after(c, 0), -1);
	assert_int_equal(turn_after(c, 10 * LOOK_US), -1);
	control_keys_add(c, &key);
	assert_int_equal(turn_after(c, 1000), LOOK_US - 1000);
	assert_int_equal(turn_after(c, LOOK_US), -1);
	/* Used: the next turn a second after the last look tells it; then it looks once more. */
	e = table_find(c->f.table, key.net64);
	assert_non_null(e);
	keys_slot(c->f.keys, e->key)->sealed++;
	assert_int_equal(turn_after(c, LOOK_US / 2), -1);
	assert_int_equal(ctlsock_queued(c->ctl), 0);
	assert_int_equal(turn_after(c, LOOK_US / 2), LOOK_US);
	assert_true(ctlsock_queued(c->ctl) > 0);
	assert_int_equal(turn_after(c, LOOK_US), -1);
}

static void while_sessions_live_it_looks_now_and_then(void **state)
{
	struct control *c = &((struct world *)*state)->c;
	int64_t left;

	add_session(c, 5);
	assert_int_equal(turn_after(c, 0), LOOK_US);
	assert_int_equal(turn_after(c, LOOK_US), QUIET_US);
	assert_int_equal(turn_after(c, QUIET_US), QUIET_US);
	session_of(c, 5)->sealed.packets++;
	assert_int_equal(turn_after(c, 1000), QUIET_US - 1000);
	assert_int_equal(turn_after(c, QUIET_US - 1000), LOOK_US);
	assert_int_equal(turn_after(c, LOOK_US), QUIET_US);
	/* With nobody to tell there is nothing to tell. */
	c->greeted = false;
	session_of(c, 5)->sealed.packets++;
	assert_int_equal(turn_after(c, QUIET_US), QUIET_US);
	/* Its end comes first. */
	left = session_of(c, 5)->made.us + LIMIT_SESSION_AGE_S * (int64_t)LOOK_US - c->now.us;
	assert_int_equal(turn_after(c, left - 2000), 2000);
	assert_int_equal(turn_after(c, 2000), -1);
	assert_null(skeys_find(c->f.skeys, 5));
	assert_int_equal(skeys_count(c->f.skeys), 0);
}

/* A second of silence between two looks at most, however many turns there are. */
static void a_busy_loop_looks_once_a_second(void **state)
{
	struct control *c = &((struct world *)*state)->c;
	size_t queued;

	add_session(c, 5);
	turn_after(c, LOOK_US);
	session_of(c, 5)->sealed.packets++;
	queued = ctlsock_queued(c->ctl);
	for (int i = 0; i < 9; i++)
		turn_after(c, LOOK_US / 10);
	assert_int_equal(ctlsock_queued(c->ctl), queued);
	turn_after(c, LOOK_US / 10);
	assert_true(ctlsock_queued(c->ctl) > queued);
	/* But another generation is seen at once. */
	c->f.lanes->header.generation++;
	turn_after(c, 1000);
	assert_int_equal(skeys_count(c->f.skeys), 0);
}

/* Told again when there is room, to the last one. */
static void a_deaf_controld_is_told_later(void **state)
{
	static const uint8_t tail[1000];
	struct control *c = &((struct world *)*state)->c;
	const struct ctl_key key = static_key(1);
	size_t queued;

	control_keys_add(c, &key);
	add_session(c, 5);
	session_of(c, 5)->sealed.packets++;
	keys_slot(c->f.keys, table_find(c->f.table, key.net64)->key)->sealed++;
	while (!ctlsock_is_full(c->ctl))
		ctlsock_put(c->ctl, CTL_PING, tail, sizeof(tail), NULL, 0);
	queued = ctlsock_queued(c->ctl);
	for (int i = 0; i < 3; i++)
		assert_int_equal(turn_after(c, LOOK_US), LOOK_US);
	assert_int_equal(ctlsock_queued(c->ctl), queued);
	while (ctlsock_is_full(c->ctl)) {
		uint8_t in[LIMIT_CTL_DATAGRAM_BYTES];

		assert_int_equal(ctlsock_flush(c->ctl), 0);
		while (recv(c->listen_fd, in, sizeof(in), 0) > 0)
			;
	}
	queued = ctlsock_queued(c->ctl);
	assert_int_equal(turn_after(c, LOOK_US), LOOK_US);
	assert_true(ctlsock_queued(c->ctl) > queued);
	assert_int_equal(turn_after(c, LOOK_US), QUIET_US);
}

static void a_look_at_all_costs_little(void **state)
{
	struct control *c = &((struct world *)*state)->c;
	struct mono begin, end;

	for (uint32_t i = 1; i < LIMIT_SESSION_ROWS; i++)
		add_session(c, i);
	turn_after(c, LOOK_US);
	begin = mono_now();
	turn_after(c, LOOK_US);
	end = mono_now();
	print_message("# a look at %u keys: %lld us\n", skeys_count(c->f.skeys), (long long)mono_since_us(end, begin));
}

#define LOOK_CASE(name) cmocka_unit_test_setup_teardown(name, make, unmake)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOOK_CASE(with_nothing_to_see_it_sleeps),   LOOK_CASE(while_sessions_live_it_looks_now_and_then),
		LOOK_CASE(a_busy_loop_looks_once_a_second), LOOK_CASE(a_deaf_controld_is_told_later),
		LOOK_CASE(a_look_at_all_costs_little),
	};

	if (sodium_init() < 0)
		return 1;
	siphash_init();
	log_level = LOG_ERR;
	return cmocka_run_group_tests_name("control, looks", tests, NULL, NULL);
}
