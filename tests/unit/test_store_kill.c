/* SPDX-License-Identifier: Apache-2.0 */
/* SIGKILL at any instant. A child asks for one thing after the other, always the same things in the same order, and
 * tells what was completed. After its death the file must hold exactly what the first n requests make, where n is at
 * least what was told. The next child goes on from there, on the same file. SEED= replays another course. */
#include "tests/unit/test_store.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { LIVES = 30, AHEAD = 64 /* requests that a child is at most before what it was told */, CLOSES = 0 };

static uint64_t seed = 1;

/* Number n of a random sequence; the same in both processes. */
static uint64_t dice(uint64_t n, uint64_t what)
{
	uint64_t x = seed * 0x9e3779b97f4a7c15 + n * 0xbf58476d1ce4e5b9 + what * 0x94d049bb133111eb;

	x ^= x >> 31;
	x *= 0xd6e8feb86659fd93;
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93;
	return x ^ x >> 32;
}

enum what {
	ADD_AN_ORDER,
	ADD_A_MESSAGE,
	END_ONE,
	DEL_AN_ORDER,
	DEL_A_MESSAGE,
	SET_A_PIN,
	DEL_A_PIN,
	SET_A_MODE,
	DEL_A_MODE
};
enum { PEERS = 8 };

/* Request n: additions use row n, the others an earlier one; of peers: their number. */
struct step {
	enum what what;
	uint64_t row;
	size_t len;
	uint8_t state;
};

static struct step step_of(uint64_t n)
{
	static const enum what whats[] = {ADD_AN_ORDER,	 ADD_AN_ORDER, ADD_AN_ORDER, ADD_A_MESSAGE, ADD_A_MESSAGE,
					  ADD_A_MESSAGE, END_ONE,      DEL_AN_ORDER, DEL_A_MESSAGE, SET_A_PIN,
					  SET_A_PIN,	 DEL_A_PIN,    SET_A_MODE,   DEL_A_MODE};
	struct step s = {.what = whats[dice(n, 1) % 14], .row = n, .state = 2 + dice(n, 2) % 3};

	if (s.what >= SET_A_PIN)
		s.row = 1 + dice(n, 5) % PEERS;
	else if (s.what == ADD_AN_ORDER || s.what == ADD_A_MESSAGE)
		s.len = dice(n, 3) % 8 ? dice(n, 4) % 3000 : dice(n, 4) % 400000;
	else
		s.row = n - dice(n, 5) % (n < 40 ? n : 40);
	return s;
}

/* What the file holds. */
struct model {
	struct found found[WORLD_ROWS];
	struct found_peer peers[WORLD_ROWS];
};

/* After a request. */
static void apply(struct model *m, uint64_t n)
{
	const struct step s = step_of(n);
	struct found_peer *p = &m->peers[s.row];
	struct found *f = &m->found[s.row];

	switch (s.what) {
	case ADD_AN_ORDER:
		*f = (struct found){.order = true, .len = s.len};
		break;
	case ADD_A_MESSAGE:
		*f = (struct found){.message = true, .past = true, .len = s.len};
		break;
	case END_ONE:
		f->ended |= f->order;
		f->state = f->order ? s.state : 0;
		break;
	case DEL_AN_ORDER:
		if (f->order)
			*f = (struct found){.order = false};
		break;
	case DEL_A_MESSAGE:
		f->message = false;
		if (!f->past)
			break;
		f->len = 0;
		break;
	case SET_A_PIN:
		p->last_ns = (int64_t)n;
		break;
	case DEL_A_PIN:
		p->last_ns = 0;
		break;
	case SET_A_MODE:
		p->mode = s.state - 1;
		break;
	case DEL_A_MODE:
		p->mode = 0;
		break;
	}
}

/* The child. */

struct child {
	struct world world;
	uint64_t next;
	int pipe;
	uint64_t close_at; /* tells CLOSES and closes in order, when this is completed; 0: never */
	bool closing;
};

static void say(const struct child *c, uint64_t n)
{
	if (write(c->pipe, &n, sizeof(n)) != sizeof(n))
		_exit(1);
}

static void ask_of_peer(struct child *c, const struct step *s, uint64_t n)
{
	if (s->what == SET_A_PIN)
		world_set_pin(&c->world, s->row, (int64_t)n);
	else if (s->what == DEL_A_PIN)
		store_del_pin(c->world.store, net_of(s->row));
	else if (s->what == SET_A_MODE)
		world_set_mode(&c->world, s->row, s->state - 2);
	else
		store_del_mode(c->world.store, net_of(s->row));
}

/* Returns whether it is answered. */
static bool ask(struct child *c, uint64_t n)
{
	const struct step s = step_of(n);
	struct record_order o;
	struct record_message m;

	/* Payloads are left to the end of the process. */
	if (s.what == ADD_AN_ORDER) {
		o = order_of(s.row, payload_of(s.row, s.len), s.len);
		store_add_order(c->world.store, &o);
	} else if (s.what == ADD_A_MESSAGE) {
		m = message_of(s.row, payload_of(s.row, s.len), s.len);
		store_add_message(c->world.store, &m);
	} else if (s.what == END_ONE) {
		store_end_order(c->world.store, s.row, s.state);
	} else if (s.what == DEL_AN_ORDER) {
		store_del_order(c->world.store, s.row);
	} else if (s.what == DEL_A_MESSAGE) {
		store_del_message(c->world.store, s.row);
	} else {
		ask_of_peer(c, &s, n);
	}
	return s.what == ADD_AN_ORDER || s.what == ADD_A_MESSAGE;
}

/* A turn of the loop: some requests, the last with an answer. */
static void turn(struct child *c)
{
	const uint64_t enough = c->next + dice(c->next, 6) % 8;

	while (c->next < WORLD_ROWS - 1 && (!ask(c, c->next++) || c->next < enough))
		continue;
	store_flush(c->world.store);
}

static void on_stored(void *ctx, uint64_t row, int error)
{
	struct child *c = ctx;

	if (error)
		_exit(1);
	say(c, row);
	c->closing |= c->close_at && row >= c->close_at;
}

static void on_turn(void *ctx)
{
	struct child *c = ctx;

	if (c->closing)
		loop_stop(c->world.loop);
	else
		turn(c);
}

static void nothing_order(void *ctx, const struct record_order *o)
{
	(void)ctx;
	free(o->payload);
}

static void nothing_message(void *ctx, const struct record_message *m)
{
	(void)ctx;
	(void)m;
}

static void nothing_pin(void *ctx, const struct record_pin *p)
{
	(void)ctx;
	(void)p;
}

static void nothing_mode(void *ctx, const struct record_mode *m)
{
	(void)ctx;
	(void)m;
}

static void live(const char *dir, uint64_t first, uint64_t close_at, int to)
{
	static const struct store_ops ops = {.found_pin = nothing_pin,
					     .found_mode = nothing_mode,
					     .found_order = nothing_order,
					     .found_message = nothing_message,
					     .found_past = nothing_message,
					     .order_stored = on_stored,
					     .message_stored = on_stored,
					     .settled = on_turn};
	static struct child c;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	c = (struct child){.next = first, .pipe = to, .close_at = close_at};
	c.world.loop = loop_new();
	if (store_open(c.world.loop, &(const struct store_config){.dir = dir, .now_s = WORLD_NOW_S}, &ops, &c,
		       &c.world.store, c.world.error) != 0)
		_exit(1);
	for (int i = 0; i < 3; i++)
		turn(&c);
	loop_run(c.world.loop);
	say(&c, CLOSES);
	store_free(c.world.store);
	_exit(0);
}

/* The parent. */

/* Lets a child live until it has told of so many; returns the last it told of. */
static uint64_t kill_one(const char *dir, uint64_t first, uint64_t count, bool in_order)
{
	uint64_t told = first - 1, n, seen = 0;
	bool closed = false;
	int pair[2];
	pid_t pid;

	assert_int_equal(pipe(pair), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(pair[0]);
		live(dir, first, in_order ? first + count : 0, pair[1]);
	}
	assert_int_equal(close(pair[1]), 0);
	while (read(pair[0], &n, sizeof(n)) == sizeof(n)) {
		if (n == CLOSES) {
			closed = true;
		} else {
			assert_true(n > told);
			told = n;
		}
		/* The pipe is read to its end: what was told before the death counts. */
		if ((++seen == count && !in_order) || closed)
			kill(pid, SIGKILL);
	}
	/* It did not end by itself. */
	assert_true(in_order ? closed : seen >= count);
	assert_int_equal(close(pair[0]), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return told;
}

static bool same(const struct found *a, const struct found *b)
{
	/* The length is told only of what is there. */
	return a->order == b->order && a->ended == b->ended && a->message == b->message && a->past == b->past &&
	       a->state == b->state && (!(a->order || a->message) || a->len == b->len);
}

static bool same_all(const struct world *w, const struct model *model)
{
	for (int row = 0; row < WORLD_ROWS; row++) {
		if (!same(&w->found[row], &model->found[row]))
			return false;
	}
	for (int n = 0; n <= PEERS; n++) {
		if (w->peers[n].last_ns != model->peers[n].last_ns || w->peers[n].mode != model->peers[n].mode)
			return false;
	}
	return true;
}

static void check_payloads(struct world *w)
{
	size_t count = 0;

	for (uint64_t row = 1; row < WORLD_ROWS; row++) {
		if (!w->found[row].message)
			continue;
		store_load_message(w->store, row);
		count++;
	}
	world_await(w, count);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(w->told[i].error, 0);
		assert_int_equal(w->told[i].len, w->found[w->told[i].row].len);
		assert_payload(w->told[i].row, w->told[i].payload, w->told[i].len);
	}
}

static void test_killed(void **state)
{
	static struct model model;
	uint8_t epoch[RECORD_EPOCH_BYTES] = {0};
	struct world *w = *state;
	uint64_t done = 0, told;

	memset(&model, 0, sizeof(model));
	for (uint64_t life = 1; life <= LIVES; life++) {
		told = kill_one(w->dir, done + 1, 1 + dice(life, 7) % 60, life % 5 == 0);
		world_open(w);
		while (done < told)
			apply(&model, ++done);
		while (done < told + AHEAD && !same_all(w, &model))
			apply(&model, ++done);
		if (!same_all(w, &model))
			fail_msg("life %llu: not what the requests make (SEED=%llu)", (unsigned long long)life,
				 (unsigned long long)seed);
		check_payloads(w);
		assert_true(store_last_order(w->store) <= done && store_last_message(w->store) <= done);
		assert_true(store_last_order(w->store) >= told || store_last_message(w->store) >= told);
		if (life > 1)
			assert_memory_equal(epoch, store_epoch(w->store), sizeof(epoch));
		memcpy(epoch, store_epoch(w->store), sizeof(epoch));
		world_close(w);
	}
	assert_int_not_equal(access(world_path(w, "store.db.corrupt-1"), F_OK), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(test_killed),
	};

	if (getenv("SEED"))
		seed = strtoull(getenv("SEED"), NULL, 10);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
