/* SPDX-License-Identifier: Apache-2.0 */
/* Two keyrings through a long life at random: data, loss, restarts of controld and of the fastpath, keys that are
 * refused or go by themselves, GONE that comes late, raised generations, release, unpinning, changing modes. Always: a
 * row belongs to one key at most and holds its name, whatever waits for GONE keeps its row, every key that the fastpath
 * holds is known. In the end, when the trouble is over, there is a session, and with its end every row is free. */
#include "tests/unit/test_keyring.h"

#include "shared/base/log.h"
#include <errno.h>
#include <time.h>

enum { LIVES = 16, EVENTS = 400 };

static uint64_t random_state;

static uint64_t rnd(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static int seed(void **state)
{
	const char *text = getenv("SEED");

	(void)state;
	random_state = (text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL)) | 1;
	printf("SEED=%llu\n", (unsigned long long)random_state);
	return 0;
}

static void assert_rows(struct side *s)
{
	size_t used = 0;

	for (int i = 0; i < HELD; i++) {
		const struct ctl_session_info *info = &s->held[i].key.info;

		if (s->held[i].live)
			assert_int_equal(s->lanes->row_index[info->row], info->index);
	}
	for (uint32_t row = 0; row < LIMIT_SESSION_ROWS; row++) {
		const uint32_t index = s->lanes->row_index[row];

		used += index != 0;
		if (index)
			assert_true(held_find(s, index) || side_lost(s, index));
	}
	assert_int_equal(used, held_count(s) + s->gone_count);
	assert_int_equal(keyring_totals(s->k, s->world->t).rows, used);
}

/* What waits to be told died with its fastpath. */
static void lose_fastpath(struct side *s)
{
	memset(s->held, 0, sizeof(s->held));
	s->gone_count = 0;
	keyring_fastpath_lost(s->k, s->world->t);
	if (rnd() % 2)
		step_ms(s->world, 1000);
	ready(s);
}

/* The new life of controld hears nothing of keys that the fastpath has wiped. */
static void restart(struct side *s)
{
	keyring_free(s->k);
	s->gone_count = 0;
	begin(s);
	ready(s);
}

static void lose_key(struct side *s)
{
	struct held *h = &s->held[rnd() % HELD];

	if (!h->live)
		return;
	h->live = false;
	s->gone[s->gone_count++] = h->key.info.index;
}

static void order(struct side *s)
{
	const enum session_mode mode = (enum session_mode)(rnd() % 3);
	const uint64_t net64 = other(s)->self.net64;

	switch (rnd() % 4) {
	case 0:
		assert_in_range(-keyring_release(s->k, net64, s->world->t), 0, ENOENT);
		break;
	case 1:
		assert_in_range(-keyring_unpin(s->k, net64, s->world->t), 0, ENOENT);
		break;
	default:
		assert_int_equal(keyring_set_mode(s->k, net64, rnd() % 2 ? &mode : NULL, s->world->t), 0);
	}
}

static void data(struct side *s)
{
	const struct held *h = held_at(s, CTL_SESSION_SEND);

	if (h && held_find(other(s), h->key.info.far_index))
		talk(s, 1 + rnd() % 5);
	else
		want(s, &other(s)->self);
}

static void happen(struct side *s)
{
	switch (rnd() % 32) {
	case 0:
		restart(s);
		break;
	case 1:
		lose_fastpath(s);
		break;
	case 2:
		lose_key(s);
		break;
	case 3:
		keyring_raise_generation(s->k, s->world->t);
		break;
	case 4:
		order(s);
		break;
	case 5:
		s->deaf = rnd() % 2;
		break;
	case 6:
		s->holds_back = rnd() % 2;
		break;
	case 7:
		s->refuses = rnd() % 3 ? 0 : -EINVAL;
		break;
	case 8:
		step_ms(s->world, (int64_t)(rnd() % 400000));
		break;
	default:
		data(s);
		step_ms(s->world, (int64_t)(rnd() % 3000));
	}
}

static void calm_down(struct world *w)
{
	for (int i = 0; i < SIDES; i++) {
		struct side *s = &w->side[i];

		s->deaf = s->holds_back = false;
		s->refuses = 0;
		s->announced = other(s)->self;
	}
	pass_ms(w, 100 * SECOND_MS); /* releases that were begun are over */
	for (int i = 0; i < SIDES; i++)
		assert_int_equal(keyring_set_mode(w->side[i].k, other(&w->side[i])->self.net64, NULL, w->t), 0);
	pass_ms(w, 800 * SECOND_MS);
	want(&w->side[0], &w->side[1].self);
}

static void test_life(void **state)
{
	(void)state;
	for (int life = 0; life < LIVES; life++) {
		struct world *w = world_new();

		w->dice = rnd();
		log_level = LOG_ERR;
		for (int i = 0; i < SIDES; i++)
			w->side[i].announced = w->side[1 - i].self;
		world_begin(w);
		for (int i = 0; i < EVENTS; i++) {
			happen(&w->side[rnd() % SIDES]);
			pump(w);
			assert_rows(&w->side[0]);
			assert_rows(&w->side[1]);
		}
		calm_down(w);
		for (int i = 0; i < SIDES; i++)
			assert_non_null(held_at(&w->side[i], CTL_SESSION_SEND));
		talk(&w->side[0], 1);
		pass_ms(w, 301 * SECOND_MS);
		pump(w);
		for (int i = 0; i < SIDES; i++)
			assert_true(is_zero(w->side[i].lanes->row_index, sizeof(w->side[i].lanes->row_index)));
		world_free(w);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {cmocka_unit_test_setup(test_life, seed)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
