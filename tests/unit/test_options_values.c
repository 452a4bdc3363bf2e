/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of values of the API and of messages, and the commands: what is taken, what is refused, what is printed. */
#include "tests/unit/test_options.h"

#include <inttypes.h>

#define KIB 1024ULL
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

static void test_bytes(void **state)
{
	static const struct {
		const char *option, *value;
		uint64_t bytes;
		const char *printed;
	} rows[] = {
		{"api-max-body", "65536", 64 * KIB, "64K"},
		{"api-max-body", "64K", 64 * KIB, "64K"},
		{"api-max-body", "65537", 65537, "65537"},
		{"api-max-body", "128M", 128 * MIB, "128M"},
		{"max-message", "1K", KIB, "1K"},
		{"max-message", "001025", 1025, "1025"},
		{"max-message", "1G", GIB, "1G"},
		{"max-message", "1048576K", GIB, "1G"},
		{"inbox-bytes", "1M", MIB, "1M"},
		{"inbox-bytes", "1536M", 1536 * MIB, "1536M"},
		{"inbox-bytes", "1024G", 1024 * GIB, "1024G"},
	};
	char words[80], *text;
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct run *r;
		FILE *f = open_memstream(&text, &len);
		const struct options *o;

		snprintf(words, sizeof(words), "--%s %s", rows[i].option, rows[i].value);
		r = run(words);
		o = &r->o;
		assert_int_equal(r->verdict, OPTIONS_RUN);
		assert_true(o->api_max_body == rows[i].bytes || o->max_message == rows[i].bytes ||
			    o->inbox_bytes == rows[i].bytes);
		options_print(o, f);
		fclose(f);
		snprintf(words, sizeof(words), "\n%s = %s\n", rows[i].option, rows[i].printed);
		assert_non_null(strstr(text, words));
		free(text);
		options_fini(&r->o);
	}
}

static void test_wrong_bytes(void **state)
{
	static const char *const table[] = {
		"--api-max-body 65535",
		"--api-max-body 63K",
		"--api-max-body 129M",
		"--api-max-body 134217729",
		"--max-message 1023",
		"--max-message 1025M",
		"--max-message 2G",
		"--max-message 0",
		"--inbox-bytes 1048575",
		"--inbox-bytes 1025G",
		"--inbox-bytes 1T",
		"--inbox-bytes 1m",
		"--inbox-bytes 2MB",
		"--inbox-bytes 2KK",
		"--inbox-bytes M",
		"--inbox-bytes +5M",
		"--inbox-bytes=-5M",
		"--inbox-bytes 5.5M",
		"--inbox-bytes 0x500000",
		"--inbox-bytes 99999999999999999999999",
		"--inbox-bytes 999999999999G",
		"--inbox-bytes 1000000000000K",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		refused(run(table[i]), "not a number of bytes from ");
	refused(run("--max-message 1"), "from 1K to 1G");
	refused(run("--api-max-body 1"), "from 64K to 128M");
	refused(run("--inbox-bytes 1"), "from 1M to 1024G");
	refused(run("--inbox-bytes"), "needs a value");
	refused(run("--inbox-bytes 1M --inbox-bytes 2M"), "given twice");
}

static void test_count(void **state)
{
	static const char *const wrong[] = {"0", "1000001", "10k", "1.5", "99999999999"};
	char words[64];
	struct run *r = run("--inbox-messages 1");

	(void)state;
	assert_int_equal(r->o.inbox_count, 1);
	options_fini(&r->o);
	r = run("--inbox-messages=1000000");
	assert_int_equal(r->o.inbox_count, 1000000);
	options_fini(&r->o);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		snprintf(words, sizeof(words), "--inbox-messages %s", wrong[i]);
		refused(run(words), "from 1 to 1000000");
	}
}

static void test_names(void **state)
{
	struct run *r = run("--api-host node.example --api-host [2001:db8::1]:8989 --api-host node.example "
			    "--api-origin https://example.org:8443 --api-origin=null");
	static struct run bad;
	char name[] = "mycelium", option[] = "--api-host", blank[] = "a b", umlaut[] = "\xc3\xa4", comma[] = "a,b",
	     *argv[] = {name, option, blank};
	static char long_name[300];

	(void)state;
	assert_int_equal(r->verdict, OPTIONS_RUN);
	assert_int_equal(r->o.api_hosts.count, 2);
	assert_string_equal(r->o.api_hosts.items[1], "[2001:db8::1]:8989");
	assert_int_equal(r->o.api_origins.count, 2);
	assert_string_equal(r->o.api_origins.items[0], "https://example.org:8443");
	options_fini(&r->o);
	run_words(&bad, 3, argv);
	refused(&bad, "no blank, comma");
	argv[2] = umlaut;
	run_words(&bad, 3, argv);
	refused(&bad, "unprintable");
	argv[2] = comma;
	run_words(&bad, 3, argv);
	refused(&bad, "a,b: no blank, comma");
	refused(run("--api-origin \"a"), "quote");
	memset(long_name, 'a', sizeof(long_name) - 1);
	argv[2] = long_name;
	run_words(&bad, 3, argv);
	refused(&bad, "too long");
	refused(run("--api-host"), "needs a value");
}

static void test_api_options(void **state)
{
	struct run *r = run("--api-token-file /t --api-insecure --api-addr none --state-dir /s");

	(void)state;
	assert_string_equal(r->o.api_token_file, "/t");
	assert_true(r->o.api_insecure);
	assert_string_equal(r->o.api_addr, "none");
	options_fini(&r->o);
	refused(run("--api-token-file"), "needs a value");
}

static void test_session(void **state)
{
	static const struct {
		const char *words;
		enum session_mode mode;
	} rows[] = {
		{"--session off", SESSION_OFF},
		{"--session=opportunistic", SESSION_OPPORTUNISTIC},
		{"--session require", SESSION_REQUIRE},
	};
	static const char *const wrong[] = {"on", "Off", "true", "required", "requir"};
	char words[64];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct run *r = run(rows[i].words);

		assert_int_equal(r->verdict, OPTIONS_RUN);
		assert_int_equal(r->o.session, rows[i].mode);
		options_fini(&r->o);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		snprintf(words, sizeof(words), "--session %s", wrong[i]);
		refused(run(words), "none of off, opportunistic, require");
	}
	refused(run("--session"), "needs a value");
	refused(run("--session off --session require"), "given twice");
}

static void test_network_keys(void **state)
{
	struct run *r = run("--network-key /a");

	(void)state;
	assert_int_equal(r->verdict, OPTIONS_RUN);
	assert_int_equal(r->o.session, SESSION_REQUIRE);
	assert_int_equal(r->o.network_keys.count, 1);
	options_fini(&r->o);
	r = run("--network-key /a --session require --network-key=/b --network-key /a");
	assert_int_equal(r->verdict, OPTIONS_RUN);
	assert_int_equal(r->o.session, SESSION_REQUIRE);
	assert_int_equal(r->o.network_keys.count, 2);
	assert_string_equal(r->o.network_keys.items[0], "/a");
	assert_string_equal(r->o.network_keys.items[1], "/b");
	options_fini(&r->o);
	refused(run("--network-key a --network-key b --network-key c"), "--network-key c: there can be two");
	refused(run("--network-key"), "needs a value");
	refused(run("--network-key a --session off"), "--session off: a network key implies --session require");
	refused(run("--session opportunistic --network-key a"), "a network key implies --session require");
}

static void test_commands(void **state)
{
	static const struct {
		const char *words, *command;
		int count;
	} rows[] = {
		{"message", "message", 1},
		{"message send -w 200::1 x", "message", 5},
		{"message --help", "message", 2},
		{"-d --api-addr 127.0.0.1:1 peers add a:1", "peers", 3},
		{"--peers=a:1 peers", "peers", 1},
		{"routes selected --json", "routes", 3},
		{"-k f status --nonsense --version", "status", 3},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char name[] = "mycelium", copy[128], *argv[16] = {name}, *rest;
		static struct run r;
		int argc = 1;

		snprintf(copy, sizeof(copy), "%s", rows[i].words);
		for (char *w = strtok_r(copy, " ", &rest); w; w = strtok_r(NULL, " ", &rest))
			argv[argc++] = w;
		run_words(&r, argc, argv);
		assert_int_equal(r.verdict, OPTIONS_RUN);
		assert_string_equal(r.out, "");
		assert_int_equal(r.o.subcommand, SUBCOMMAND_API);
		assert_int_equal(r.o.word_count, rows[i].count);
		assert_ptr_equal(r.o.words, argv + argc - rows[i].count);
		assert_string_equal(r.o.words[0], rows[i].command);
		options_fini(&r.o);
	}
}

static void test_unknown_commands(void **state)
{
	static const char *const table[] = {"send", "messag", "messages", "MESSAGE", "peers2", "statu", "-d nothing"};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		refused(run(table[i]), ": no such command (see --help)");
	refused(run("--peers a:1 status"), "status");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_wrong_bytes),
		cmocka_unit_test(test_count),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_api_options),
		cmocka_unit_test(test_session),
		cmocka_unit_test(test_network_keys),
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_unknown_commands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
