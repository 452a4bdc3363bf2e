/* SPDX-License-Identifier: Apache-2.0 */
/* The arena of keys: what a slot holds, eviction, wiping, locking within the limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include "fastpath/key.h"
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* mlock() does nothing under AddressSanitizer. */
#if defined(__SANITIZE_ADDRESS__)
enum { LOCKING_WORKS = 0 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { LOCKING_WORKS = 0 };
#else
enum { LOCKING_WORKS = 1 };
#endif
#else
enum { LOCKING_WORKS = 1 };
#endif

enum { CAP = 200, STEP_BYTES = 64 * 1024, NOBODY = 65534 };

static const struct aead *aead;
static const struct pubkey own = {{0x50}}, lower = {{0x4f, 0xff}}, higher = {{0x50, 0, 1}};

static int find(void **state)
{
	const char *why;

	(void)state;
	aead = aead_choose(&why);
	return aead ? 0 : -1;
}

static uint32_t add(struct keys *k, uint8_t n)
{
	const struct aead_key secret = {{n}};

	return keys_add(k, n, &higher, &secret);
}

static void a_slot_holds_its_key(void **state)
{
	struct keys *k = keys_new(aead, &own, CAP), *other = keys_new(aead, &own, CAP);
	const struct aead_key secret = {{1, 2, 3}};
	const uint32_t a = keys_add(k, 11, &lower, &secret), b = keys_add(k, 22, &higher, &secret);
	uint8_t text[100] = {5}, tag[16], nonce[12] = {0};
	const struct aead_job job = {.out = text, .in = text, .len = sizeof(text), .nonce = nonce, .tag = tag};
	struct key_slot *s;

	(void)state;
	assert_int_equal(a, 1);
	assert_int_equal(b, 2);
	assert_int_equal(keys_count(k), 2);
	assert_ptr_equal(keys_aead(k), aead);
	s = keys_slot(k, a);
	assert_true(s->net64 == 11 && pubkey_eq(&s->pk, &lower) && s->state == KEY_STATIC);
	assert_int_equal(s->nonce_bit, 0);
	assert_int_equal((uintptr_t)key_slot_aead(s) % AEAD_ALIGN, 0);
	s = keys_slot(k, b);
	assert_true(s->net64 == 22 && pubkey_eq(&s->pk, &higher));
	assert_int_equal(s->nonce_bit, 1);
	assert_int_equal(s->sealed | s->opened, 0);
	aead->seal(key_slot_aead(s), &job);
	assert_int_equal(keys_add(other, 33, &lower, &secret), 1);
	assert_true(aead->open(key_slot_aead(keys_slot(other, 1)), &job));
	assert_int_equal(text[0], 5);
	keys_free(k);
	keys_free(other);
	keys_free(NULL);
}

/* A slot that was another's begins anew. */
static void a_slot_begins_without_a_session(void **state)
{
	struct keys *k = keys_new(aead, &own, CAP);
	const uint32_t slot = add(k, 1);
	struct key_slot *s = keys_slot(k, slot), fresh;

	(void)state;
	memset(&s->way, 0xff, sizeof(*s) - offsetof(struct key_slot, way));
	keys_wipe(k, slot);
	assert_int_equal(add(k, 1), slot);
	fresh = (struct key_slot){
		.net64 = s->net64, .pk = s->pk, .state = KEY_STATIC, .nonce_bit = s->nonce_bit, .used_s = s->used_s};
	assert_memory_equal(s, &fresh, sizeof(fresh));
	keys_free(k);
}

static void told_once_in_a_while(void **state)
{
	uint32_t told = 0;

	(void)state;
	assert_true(key_may_tell(&told, 0, 5)); /* at once, whatever the time */
	assert_int_equal(told, 1);
	assert_false(key_may_tell(&told, 5, 5));
	assert_true(key_may_tell(&told, 6, 5));
	assert_false(key_may_tell(&told, 6, 1));
	assert_false(key_may_tell(&told, 5, 1)); /* another worker's second */
	assert_true(key_may_tell(&told, 7, 1));
	told = 0;
	assert_true(key_may_tell(&told, 7, 1));
	told = UINT32_MAX;
	assert_false(key_may_tell(&told, 1, 5));
	assert_true(key_may_tell(&told, 4, 5));
}

static void a_full_arena_refuses(void **state)
{
	struct keys *k = keys_new(aead, &own, CAP);

	(void)state;
	for (unsigned i = 1; i <= CAP; i++)
		assert_int_equal(add(k, (uint8_t)i), i);
	assert_int_equal(add(k, 1), 0);
	assert_int_equal(keys_count(k), CAP);
	keys_wipe(k, 7);
	keys_wipe(k, 9);
	assert_int_equal(keys_count(k), CAP - 2);
	assert_int_equal(add(k, 1), 9);
	assert_int_equal(add(k, 1), 7);
	assert_int_equal(add(k, 1), 0);
	keys_free(k);
}

static void a_wiped_slot_is_empty(void **state)
{
	struct keys *k = keys_new(aead, &own, CAP);
	const uint32_t slot = add(k, 1);
	struct key_slot *s = keys_slot(k, slot);
	const uint8_t *expanded = key_slot_aead(s);
	unsigned before = 0;

	(void)state;
	for (size_t i = 0; i < aead->key_bytes; i++)
		before += expanded[i] != 0;
	assert_true(before > 100);
	s->sealed = s->opened = 9;
	keys_wipe(k, slot);
	for (size_t i = 0; i < aead->key_bytes; i++)
		assert_int_equal(expanded[i], 0);
	assert_int_equal(s->state, KEY_NONE);
	assert_int_equal(add(k, 2), slot);
	assert_true(s->net64 == 2 && s->sealed == 0 && s->opened == 0 && s->state == KEY_STATIC);
	keys_free(k);
}

static void the_oldest_goes_first(void **state)
{
	struct keys *k = keys_new(aead, &own, CAP);

	(void)state;
	assert_int_equal(keys_oldest(k), 0);
	for (uint8_t i = 1; i <= 5; i++)
		add(k, i);
	assert_int_equal(keys_oldest(k), 1); /* of equals the one after the latest added, round */
	for (uint32_t i = 1; i <= 5; i++)
		key_touch(k, keys_slot(k, i), 100 + i);
	assert_int_equal(keys_oldest(k), 1);
	key_touch(k, keys_slot(k, 1), 110);
	key_touch(k, keys_slot(k, 1), 110);
	assert_int_equal(keys_slot(k, 1)->used_s, 110);
	assert_int_equal(keys_oldest(k), 2);
	key_touch(k, keys_slot(k, 2), 111);
	assert_int_equal(keys_oldest(k), 3);
	keys_wipe(k, 3);
	assert_int_equal(keys_oldest(k), 4);
	assert_int_equal(add(k, 6), 3); /* counts as used at the latest touch */
	assert_int_equal(keys_oldest(k), 4);
	key_touch(k, keys_slot(k, 4), 112);
	key_touch(k, keys_slot(k, 5), 112);
	assert_int_equal(keys_oldest(k), 1);
	for (uint32_t i = 1; i <= 5; i++)
		keys_wipe(k, i);
	assert_int_equal(keys_oldest(k), 0);
	assert_int_equal(keys_count(k), 0);
	keys_free(k);
}

/* All used in one second: the evicted are not always the newest. */
static void equals_take_turns(void **state)
{
	struct keys *k = keys_new(aead, &own, CAP);

	(void)state;
	for (uint8_t i = 1; i <= 4; i++)
		key_touch(k, keys_slot(k, add(k, i)), 50);
	for (uint32_t turn = 0; turn < 8; turn++) {
		const uint32_t oldest = keys_oldest(k);

		assert_int_equal(oldest, turn % 4 + 1);
		keys_wipe(k, oldest);
		assert_int_equal(add(k, 1), oldest);
	}
	keys_free(k);
}

/* True if a mapping that holds p has the flag (proc(5), VmFlags). */
static bool mapping_has(const void *p, const char *flag)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	char line[400], wanted[8];
	bool here = false, has = false;

	assert_non_null(f);
	snprintf(wanted, sizeof(wanted), " %s ", flag);
	while (fgets(line, sizeof(line), f)) {
		unsigned long from, to;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = from <= (uintptr_t)p && (uintptr_t)p < to;
		else if (here && strncmp(line, "VmFlags:", 8) == 0)
			has = strstr(line, wanted) != NULL;
	}
	fclose(f);
	return has;
}

static void the_arena_is_kept_from_disks(void **state)
{
	struct keys *k = keys_new(aead, &own, CAP);
	const struct key_slot *s = keys_slot(k, add(k, 1));

	(void)state;
	assert_true(mapping_has(s, "dd"));
	assert_true(mapping_has(s, "wf"));
	assert_int_equal(mapping_has(s, "lo"), LOCKING_WORKS);
	keys_free(k);
}

/* In a child that may lock so much and no more: keys that found room, or -errno of keys_new(). */
static int keys_within(rlim_t limit)
{
	const struct rlimit r = {limit, limit};
	int result = 0, pipe_fd[2];
	pid_t child;

	assert_int_equal(pipe(pipe_fd), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct keys *k;

		if (setrlimit(RLIMIT_MEMLOCK, &r) || (geteuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY)))
			_exit(1);
		k = keys_new(aead, &own, 1000);
		if (!k)
			result = -errno;
		while (k && add(k, 1))
			result++;
		/* One that goes makes room for one. */
		if (k) {
			keys_wipe(k, keys_oldest(k));
			if (!add(k, 1) || add(k, 1))
				result = 0;
		}
		if (write(pipe_fd[1], &result, sizeof(result)) != sizeof(result))
			_exit(1);
		keys_free(k);
		_exit(0);
	}
	close(pipe_fd[1]);
	assert_int_equal(read(pipe_fd[0], &result, sizeof(result)), sizeof(result));
	close(pipe_fd[0]);
	assert_int_equal(waitpid(child, NULL, 0), child);
	return result;
}

static void the_arena_grows_as_far_as_it_may_lock(void **state)
{
	const int slot_bytes = (int)(sizeof(struct key_slot) + aead->key_bytes);

	(void)state;
	if (!LOCKING_WORKS)
		skip();
	assert_int_equal(keys_within(STEP_BYTES), STEP_BYTES / slot_bytes);
	assert_int_equal(keys_within(3 * STEP_BYTES + STEP_BYTES / 2), 3 * STEP_BYTES / slot_bytes);
	assert_int_equal(keys_within(STEP_BYTES / 2), -ENOMEM);
	assert_int_equal(keys_within(0), -EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_slot_holds_its_key),
		cmocka_unit_test(a_slot_begins_without_a_session),
		cmocka_unit_test(told_once_in_a_while),
		cmocka_unit_test(a_full_arena_refuses),
		cmocka_unit_test(a_wiped_slot_is_empty),
		cmocka_unit_test(the_oldest_goes_first),
		cmocka_unit_test(equals_take_turns),
		cmocka_unit_test(the_arena_is_kept_from_disks),
		cmocka_unit_test(the_arena_grows_as_far_as_it_may_lock),
	};

	return cmocka_run_group_tests_name("key slots", tests, find, NULL);
}
