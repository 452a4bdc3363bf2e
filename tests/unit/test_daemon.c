/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon finds wrong with the options before it starts, and the names of what it counts. */
#include "controld/daemon_private.h"
#include "shared/base/log.h"
#include "tests/unit/test_options.h"

#include <sys/stat.h>
#include <unistd.h>

static bool check(const char *peers, char err[TEXT_BYTES])
{
	char words[200];
	struct run *r;
	FILE *f = fmemopen(err, TEXT_BYTES, "w");
	bool ok;

	assert_non_null(f);
	err[0] = '\0';
	snprintf(words, sizeof(words), "--peers %s", peers);
	r = run(words);
	assert_int_equal(r->verdict, OPTIONS_RUN);
	ok = daemon_check(&r->o, &network200, f);
	fclose(f);
	options_fini(&r->o);
	return ok;
}

static void test_good_peers(void **state)
{
	char err[TEXT_BYTES];

	(void)state;
	assert_true(check(
		"203.0.113.5:9651 [2001:db8::1]:9651 tcp://host.example:1 [fe80::1%nosuchif0]:9651 [400::1]:1", err));
	assert_string_equal(err, "");
}

static void test_bad_peers(void **state)
{
	static const struct {
		const char *peer, *why;
	} table[] = {
		{"[200::5]:9651", "inside the overlay"},
		{"tcp://[3ff:ffff::1]:9651", "inside the overlay"},
		{"[fe80::1]:9651", "needs its interface"},
	};
	char words[200], err[TEXT_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		snprintf(words, sizeof(words), "203.0.113.5:9651 %s host.example:1", table[i].peer);
		assert_false(check(words, err));
		assert_memory_equal(err, "mycelium: --peers [", 19);
		assert_non_null(strstr(err, table[i].why));
		assert_ptr_equal(strchr(err, '\n'), err + strlen(err) - 1);
	}
}

static void write_key(const char *path, const char *digits, mode_t mode)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	for (unsigned i = 0; i < 32; i++)
		fputs(digits, f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static bool load(const char *words)
{
	struct daemon d = {.options = NULL};
	struct run *r = run(words);
	bool ok;

	assert_int_equal(r->verdict, OPTIONS_RUN);
	d.options = &r->o;
	ok = daemon_keyring_load(&d);
	if (ok && r->o.network_keys.count)
		assert_int_equal(d.network_keys[r->o.network_keys.count - 1].b[31], 0x5a + r->o.network_keys.count);
	sodium_free(d.network_keys);
	options_fini(&r->o);
	return ok;
}

static void test_network_keys(void **state)
{
	char a[] = "/tmp/test_daemon-a-XXXXXX", b[] = "/tmp/test_daemon-b-XXXXXX", words[128];
	const int fd_a = mkstemp(a), fd_b = mkstemp(b);

	(void)state;
	assert_true(fd_a >= 0 && fd_b >= 0);
	close(fd_a);
	close(fd_b);
	write_key(a, "5b", 0600);
	write_key(b, "5c", 0600);
	assert_true(load(""));
	assert_true(load("--session off"));
	/* Sessions cannot be made on all processors. */
	snprintf(words, sizeof(words), "--network-key %s --network-key %s", a, b);
	assert_int_equal(load(words), session_is_possible());
	snprintf(words, sizeof(words), "--network-key %s", a);
	assert_int_equal(load(words), session_is_possible());
	assert_int_equal(load("--session require"), session_is_possible());
	write_key(a, "5b", 0640);
	assert_false(load(words));
	unlink(a);
	assert_false(load(words));
	unlink(b);
}

/* All goes on where no session can be made. */
static void test_without_keyring(void **state)
{
	static const struct ctl_key_info key;
	struct daemon d = {.keyring = NULL};

	(void)state;
	daemon_keyring_record(&d, CTL_KEY_INFO, &key);
	daemon_keyring_start(&d);
	assert_true(d.fastpath_is_ready);
	daemon_keyring_record(&d, CTL_KEY_INFO, &key);
	assert_int_equal(daemon_keyring_tick(&d).us, MONO_NEVER.us);
	daemon_keyring_lost(&d);
	assert_false(d.fastpath_is_ready);
	daemon_keyring_free(&d);
}

/* A pin and a mode that do not hold are told while the store is being opened, and leave it afterwards. */
static void test_refused_by_keyring(void **state)
{
	static const struct record_pin pin = {.net64 = 1, .first_ns = 1, .last_ns = 2};
	static const struct record_mode mode = {.net64 = 2, .mode = 77};
	static const struct store_ops ops = {.settled = NULL};
	const struct store_config memory = {.dir = NULL};
	struct daemon d = {.network = &network200};
	char error[STORE_ERROR_BYTES];
	struct run *r = run("");

	(void)state;
	if (!session_is_possible())
		skip();
	d.loop = loop_new();
	d.options = &r->o;
	assert_int_equal(identity_from_bytes(&d.identity, &network200, (const uint8_t[32]){1}), 0);
	daemon_keyring_new(&d);
	keyring_found_pin(d.keyring, &pin, daemon_session_time());
	assert_int_equal(d.refuse_count, 1);
	/* Of another store it is nothing. */
	daemon_keyring_new(&d);
	assert_int_equal(d.refuse_count, 0);
	keyring_found_pin(d.keyring, &pin, daemon_session_time());
	keyring_found_mode(d.keyring, &mode, daemon_session_time());
	assert_int_equal(d.refuse_count, 2);
	assert_false(d.refuse[0].is_mode);
	assert_int_equal(d.refuse[0].net64, 1);
	assert_true(d.refuse[1].is_mode);
	assert_int_equal(d.refuse[1].net64, 2);
	assert_int_equal(store_open(d.loop, &memory, &ops, &d, &d.store, error), 0);
	daemon_keyring_begin(&d);
	assert_int_equal(d.refuse_count, 0);
	daemon_keyring_free(&d);
	store_free(d.store);
	loop_free(d.loop);
	identity_fini(&d.identity);
	options_fini(&r->o);
}

static void test_time(void **state)
{
	const struct session_time a = daemon_session_time(), b = daemon_session_time();

	(void)state;
	assert_true(mono_since_ms(b.now, a.now) >= 0);
	/* Nanoseconds: after 2020, before 2200. */
	assert_true(a.real_ns > INT64_C(1577836800000000000));
	assert_true(a.real_ns < INT64_C(7258118400000000000));
}

/* Each has one, and none the name of something else that is printed beside it. */
static void test_counter_names(void **state)
{
	static const char *const others[] = {
#define STAT(name, help) #name,
#include "shared/stats.def"
#undef STAT
	};

	(void)state;
	for (int i = 0; i < SESSION_COUNTERS; i++) {
		const char *name = daemon_session_counter_name((enum session_counter)i);

		assert_non_null(name);
		assert_memory_equal(name, "session_", 8);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(name, daemon_session_counter_name((enum session_counter)j));
		for (size_t j = 0; j < sizeof(others) / sizeof(others[0]); j++)
			assert_string_not_equal(name, others[j]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_peers),	   cmocka_unit_test(test_bad_peers),
		cmocka_unit_test(test_network_keys),	   cmocka_unit_test(test_without_keyring),
		cmocka_unit_test(test_refused_by_keyring), cmocka_unit_test(test_time),
		cmocka_unit_test(test_counter_names),
	};

	log_level = LOG_ERR;
	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
