/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon finds wrong with the options before it starts. */
#include "controld/daemon.h"
#include "tests/unit/test_options.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_peers),
		cmocka_unit_test(test_bad_peers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
