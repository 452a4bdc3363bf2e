/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration file: what is taken, what is refused with which line, and that --check prints what parses to
 * itself. */
#include "tests/unit/test_options.h"

#include <unistd.h>

static char config_path[] = "/tmp/test_options.XXXXXX";

static void write_config(const char *text)
{
	FILE *f = fopen(config_path, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

/* run() with a configuration file of that text, and the words. */
static struct run *run_config(const char *config, const char *words)
{
	char text[TEXT_BYTES];

	write_config(config);
	snprintf(text, sizeof(text), "--config %s %s", config_path, words);
	return run(text);
}

static int make_config(void **state)
{
	const int fd = mkstemp(config_path);

	(void)state;
	return fd < 0 ? -1 : close(fd);
}

static int remove_config(void **state)
{
	(void)state;
	return unlink(config_path);
}

static void test_config(void **state)
{
	struct run *r = run_config("# a comment\n"
				   "\n"
				   "  port=1\r\n"
				   "\tkey-file =  a key with blanks  \n"
				   "run-dir = \" kept \"\n"
				   "no-tun = true\n"
				   "no-offload = no\n"
				   "peers = a:1 b:2\n"
				   "peers = tcp://c:3\n"
				   "api-server-addr = 127.0.0.1:80\n"
				   "listen = none",
				   "");
	const struct options *o = &r->o;

	(void)state;
	assert_string_equal(r->err, "");
	assert_int_equal(r->verdict, OPTIONS_RUN);
	assert_int_equal(o->port, 1);
	assert_string_equal(o->key_file, "a key with blanks");
	assert_string_equal(o->run_dir, " kept ");
	assert_true(o->no_tun);
	assert_false(o->no_offload);
	assert_int_equal(o->peers.count, 3);
	assert_string_equal(o->peers.items[2], "c:3");
	assert_string_equal(o->api_addr, "127.0.0.1:80");
	assert_true(o->listen_none);
	options_fini(&r->o);
}

static void test_command_line_wins(void **state)
{
	struct run *r = run_config("port = 1\npeers = a:1 b:2\nno-tun = true\nlisten = none\ntun-mtu = 1300\n",
				   "-p 2 --peers c:3 --no-tun=false --listen 10.0.0.1");

	(void)state;
	assert_int_equal(r->verdict, OPTIONS_RUN);
	assert_int_equal(r->o.port, 2);
	assert_int_equal(r->o.peers.count, 1);
	assert_string_equal(r->o.peers.items[0], "c:3");
	assert_false(r->o.no_tun || r->o.listen_none);
	assert_int_equal(r->o.tun_mtu, 1300);
	options_fini(&r->o);
	/* Its error counts all the same. */
	refused(run_config("port = 0\n", "-p 2"), ":1: port = 0");
}

/* A path may have blanks, so each key has a line of its own. */
static void test_config_of_sessions(void **state)
{
	struct run *r = run_config("session = require\nnetwork-key = /a b\nnetwork-key = \" c\"\n", "");

	(void)state;
	assert_string_equal(r->err, "");
	assert_int_equal(r->verdict, OPTIONS_RUN);
	assert_int_equal(r->o.network_keys.count, 2);
	assert_string_equal(r->o.network_keys.items[0], "/a b");
	assert_string_equal(r->o.network_keys.items[1], " c");
	options_fini(&r->o);
	r = run_config("network-key = /a\nnetwork-key = /b\n", "--network-key /c");
	assert_int_equal(r->verdict, OPTIONS_RUN);
	assert_int_equal(r->o.session, SESSION_REQUIRE);
	assert_int_equal(r->o.network_keys.count, 1);
	assert_string_equal(r->o.network_keys.items[0], "/c");
	options_fini(&r->o);
	/* Said is said, in whichever of the two. */
	refused(run_config("session = opportunistic\n", "--network-key /c"), "implies --session require");
	refused(run_config("network-key = /c\n", "--session off"), "implies --session require");
	refused(run_config("network-key = a\nnetwork-key = b\nnetwork-key = c\n", ""),
		":3: network-key = c: there can");
	r = run_config("session = off\n", "--network-key /c --session require");
	assert_int_equal(r->verdict, OPTIONS_RUN);
	options_fini(&r->o);
}

static void test_config_refused(void **state)
{
	static const struct {
		const char *text, *in_message;
	} table[] = {
		{"prot = 1", ":1: prot: no such option"},
		{"\n\nport = x\n", ":3: port = x: not a number"},
		{"port\n", ":1: port: is not of the form"},
		{"port =\n", ":1: port: needs a value"},
		{"port = 1\nport = 2\n", ":2: port = 2: given twice"},
		{"-p = 1\n", "no such option"},
		{"--port = 1\n", "no such option"},
		{"p = 1\n", "no such option"},
		{"= 1\n", "no such option"},
		{"peers =\n", "peers: needs a value"},
		{"peers = a:1\n#\npeers = b:2 c\n", ":3: peers = c: has no port"},
		{"config = x\n", "command line only"},
		{"check = true\n", "command line only"},
		{"help = true\n", "command line only"},
		{"run-dir = a\tb\n", "control character"},
		{"run-dir = \"\"\n", "run-dir: needs a value"},
		{"no-tun = 1\n", "no-tun = 1: neither true nor false"},
	};
	char long_key[600];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		refused(run_config(table[i].text, ""), table[i].in_message);
	memset(long_key, 'k', sizeof(long_key));
	snprintf(long_key + sizeof(long_key) - 8, 8, " = 1\n");
	refused(run_config(long_key, ""), "...: no such option");
}

static void test_config_zero_byte(void **state)
{
	static const char text[] = "port = 1\nkey\0file = x\n";
	struct run r = {.verdict = OPTIONS_EXIT_USAGE};
	FILE *err = fmemopen(r.err, sizeof(r.err), "w");

	(void)state;
	assert_non_null(err);
	options_init(&r.o);
	assert_false(options_parse_config(&r.o, "conf", text, sizeof(text) - 1, err));
	fclose(err);
	refused(&r, "conf:2: ");
}

/* Every cut of a good file is read or refused, and what is read prints as what parses. */
static void test_config_every_truncation(void **state)
{
	static const char text[] = "port = 12\npeers = a:1 [fe80::1%x]:22\nkey-file = \"q\"\nno-tun = true\n";

	(void)state;
	for (size_t len = 0; len < sizeof(text); len++) {
		struct run r = {.verdict = OPTIONS_EXIT_USAGE};
		FILE *err = fmemopen(r.err, sizeof(r.err), "w");
		bool ok;

		assert_non_null(err);
		options_init(&r.o);
		ok = options_parse_config(&r.o, "conf", text, len, err);
		fclose(err);
		if (ok) {
			assert_string_equal(r.err, "");
			options_fini(&r.o);
		} else {
			refused(&r, "conf:");
		}
	}
}

static void test_config_too_long(void **state)
{
	static char big[1024 * 1024 + 2];
	struct run *r;

	(void)state;
	memset(big, '\n', sizeof(big) - 1);
	refused(run_config(big, ""), "longer than 1 MiB");
	big[sizeof(big) - 2] = '\0';
	r = run_config(big, "");
	assert_int_equal(r->verdict, OPTIONS_RUN);
	options_fini(&r->o);
}

static void test_check_parses_to_itself(void **state)
{
	static const char *const table[] = {
		"",
		"--listen none",
		"-d",
		"--log-level error --peers tcp://a:1 [fe80::1%eth0]:2 --listen 10.0.0.1 --listen [::1]:5 -k /a",
		"--run-dir /r --state-dir /s --fastpath /f --tun-mtu 9000 --tun-name x --no-offload --no-tun",
		"--disable-peer-discovery --session off",
		"--session require",
		"--network-key /a --network-key b",
	};
	char words[1024], first[TEXT_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct run *r;

		snprintf(words, sizeof(words), "%s --check", table[i]);
		r = run(words);
		assert_int_equal(r->verdict, OPTIONS_EXIT_OK);
		assert_string_equal(r->err, "");
		snprintf(first, sizeof(first), "%s", r->out);
		options_fini(&r->o);
		r = run_config(first, "--check");
		assert_string_equal(r->err, "");
		assert_string_equal(r->out, first);
		options_fini(&r->o);
	}
}

/* Values that need quotes, or look as if they had some. */
static void test_check_keeps_odd_values(void **state)
{
	static const char *const names[] = {"state-dir", "network-key"};
	static const char *const odd[] = {" a", "a ", "\"a\"", "\"", " \" ", "a # b", "a = b", "#", "\xc3\xa9"};
	static struct run r;
	char name[] = "mycelium", check[] = "--check", option[64], *argv[] = {name, option, check};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(odd) / sizeof(odd[0]); i++) {
		const char *value = odd[i / 2];
		struct run *again;

		snprintf(option, sizeof(option), "--%s=%s", names[i % 2], value);
		run_words(&r, 3, argv);
		assert_int_equal(r.verdict, OPTIONS_EXIT_OK);
		again = run_config(r.out, "");
		assert_string_equal(again->err, "");
		assert_string_equal(i % 2 ? again->o.network_keys.items[0] : again->o.state_dir, value);
		options_fini(&r.o);
		options_fini(&again->o);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_command_line_wins),
		cmocka_unit_test(test_config_of_sessions),
		cmocka_unit_test(test_config_refused),
		cmocka_unit_test(test_config_zero_byte),
		cmocka_unit_test(test_config_every_truncation),
		cmocka_unit_test(test_config_too_long),
		cmocka_unit_test(test_check_parses_to_itself),
		cmocka_unit_test(test_check_keeps_odd_values),
	};

	return cmocka_run_group_tests(tests, make_config, remove_config);
}
