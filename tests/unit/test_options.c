/* SPDX-License-Identifier: Apache-2.0 */
/* Command line: what is taken, and what is refused with which line. Arguments are one text, split at blanks. */
#include "tests/unit/test_options.h"

#include <errno.h>

#include "shared/limits.h"

static void test_defaults(void **state)
{
	struct run *r = run("");
	const struct options *o = &r->o;

	(void)state;
	assert_int_equal(r->verdict, OPTIONS_RUN);
	assert_string_equal(r->out, "");
	assert_string_equal(r->err, "");
	assert_int_equal(o->peers.count + o->listen.count, 0);
	assert_int_equal(o->port, 9651);
	assert_int_equal(o->discovery_port, 9651);
	assert_string_equal(o->key_file, "priv_key.bin");
	assert_string_equal(o->api_addr, "127.0.0.1:8989");
	assert_string_equal(o->tun_name, "tun0");
	assert_int_equal(o->tun_mtu, LIMIT_TUN_MTU_DEFAULT);
	assert_int_equal(o->log_level, LOG_INFO);
	assert_false(o->listen_none || o->disable_discovery || o->no_tun || o->debug || o->no_offload);
	assert_null(o->run_dir);
	assert_null(o->state_dir);
	assert_null(o->fastpath);
	assert_int_equal(o->subcommand, SUBCOMMAND_NONE);
	assert_null(o->api_token_file);
	assert_false(o->api_insecure);
	assert_int_equal(o->api_hosts.count + o->api_origins.count, 0);
	assert_int_equal(o->api_max_body, LIMIT_API_BODY_BYTES_DEFAULT);
	assert_int_equal(o->max_message, LIMIT_MESSAGE_LENGTH_DEFAULT);
	assert_int_equal(o->session, SESSION_OPPORTUNISTIC);
	assert_int_equal(o->network_keys.count, 0);
	assert_int_equal(o->inbox_count, 10000);
	assert_int_equal(o->inbox_bytes, 256 * 1024 * 1024);
	options_fini(&r->o);
	options_fini(&r->o);
}

static void test_no_words_at_all(void **state)
{
	static struct run r;
	char *argv[] = {NULL};

	(void)state;
	run_words(&r, 0, argv);
	assert_int_equal(r.verdict, OPTIONS_RUN);
	options_fini(&r.o);
}

static void test_everything(void **state)
{
	struct run *r =
		run("-k /k --port=1 --peer-discovery-port 65535 --disable-peer-discovery --no-tun --tun-name=my-tun.0 "
		    "--tun-mtu 1280 --no-offload --run-dir /r --state-dir=/s --fastpath ./f --log-level warn "
		    "--api-server-addr [::1]:80 --listen 10.0.0.1 --listen=[::1]:5 --peers a:1 b:2 --peers c:3");
	const struct options *o = &r->o;

	(void)state;
	assert_int_equal(r->verdict, OPTIONS_RUN);
	assert_string_equal(o->key_file, "/k");
	assert_int_equal(o->port, 1);
	assert_int_equal(o->discovery_port, 65535);
	assert_true(o->disable_discovery && o->no_tun && o->no_offload);
	assert_string_equal(o->tun_name, "my-tun.0");
	assert_int_equal(o->tun_mtu, 1280);
	assert_string_equal(o->run_dir, "/r");
	assert_string_equal(o->state_dir, "/s");
	assert_string_equal(o->fastpath, "./f");
	assert_int_equal(o->log_level, LOG_WARN);
	assert_string_equal(o->api_addr, "[::1]:80");
	assert_int_equal(o->listen.count, 2);
	assert_int_equal(o->peers.count, 3);
	assert_string_equal(o->peers.items[0], "a:1");
	assert_string_equal(o->peers.items[2], "c:3");
	options_fini(&r->o);
}

static void test_short_forms(void **state)
{
	static const char *const same[] = {"-d -p 77 -k f", "-dp 77 -kf", "-dp77 -k=f", "-d -p=77 --key-file f"};

	(void)state;
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		struct run *r = run(same[i]);

		assert_int_equal(r->verdict, OPTIONS_RUN);
		assert_int_equal(r->o.port, 77);
		assert_string_equal(r->o.key_file, "f");
		assert_true(r->o.debug);
		assert_int_equal(r->o.log_level, LOG_DEBUG);
		options_fini(&r->o);
	}
}

static void test_good_peers(void **state)
{
	static const struct {
		const char *in, *out;
	} table[] = {
		{"203.0.113.5:9651", "203.0.113.5:9651"},
		{"[2001:db8::1]:9651", "[2001:db8::1]:9651"},
		{"[fe80::1%3]:9651", "[fe80::1%3]:9651"},
		{"[fe80::1%eth0]:9651", "[fe80::1%eth0]:9651"},
		{"tcp://203.0.113.5:1", "203.0.113.5:1"},
		{"tcp://[2001:db8::1]:65535", "[2001:db8::1]:65535"},
		{"host:9651", "host:9651"},
		{"tcp://my-node_1.example.org.:9651", "my-node_1.example.org.:9651"},
		{"1password.example:1", "1password.example:1"},
	};
	char words[128];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct run *r;

		snprintf(words, sizeof(words), i % 2 ? "--peers %s" : "--peers=%s", table[i].in);
		r = run(words);
		assert_int_equal(r->verdict, OPTIONS_RUN);
		assert_int_equal(r->o.peers.count, 1);
		assert_string_equal(r->o.peers.items[0], table[i].out);
		options_fini(&r->o);
	}
}

static void test_bad_peers(void **state)
{
	static const char *const table[] = {
		"203.0.113.5",
		"203.0.113.5:",
		"203.0.113.5:0",
		"203.0.113.5:65536",
		"203.0.113.5:+1",
		"203.0.113.256:1",
		"1.2.3:1",
		"2001:db8::1:9651",
		"[2001:db8::1]",
		"[2001:db8::1]9651",
		"[2001:db8::g]:1",
		"[fe80::1%]:1",
		"[fe80::1%waytoolonginterface]:1",
		"[fe80::1%a/b]:1",
		"[fe80::1%a]b]:1",
		"[203.0.113.5]:1",
		"[",
		"[]:1",
		"[:1",
		":1",
		"a..b:1",
		".a:1",
		"ho*st:1",
		"tcp://",
		"tcp://host",
		"udp://host:1",
		"tcp://tcp://host:1",
		"host:1/",
		"inspect",
	};
	char words[128];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		snprintf(words, sizeof(words), "--peers good:1 %s", table[i]);
		refused(run(words), table[i]);
	}
}

/* --peers with a host name of count times text, then tail. */
static struct run *run_name(const char *text, int count, const char *tail)
{
	char words[400] = "--peers ";
	size_t len = strlen(words);

	for (int i = 0; i < count; i++)
		len += (size_t)snprintf(words + len, sizeof(words) - len, "%s", text);
	snprintf(words + len, sizeof(words) - len, "%s", tail);
	return run(words);
}

static void test_long_host_names(void **state)
{
	struct run *r = run_name("a", 63, ":1");

	(void)state;
	assert_int_equal(r->verdict, OPTIONS_RUN);
	options_fini(&r->o);
	refused(run_name("a", 64, ":1"), "host name");
	r = run_name("a.", 126, "a:1");
	assert_int_equal(r->verdict, OPTIONS_RUN);
	options_fini(&r->o);
	refused(run_name("a.", 126, "aa:1"), "host name");
}

static void test_peers_swallow_words(void **state)
{
	struct run *r = run("--peers a:1 b:2 -d inspect");

	(void)state;
	assert_int_equal(r->o.peers.count, 2);
	assert_int_equal(r->o.subcommand, SUBCOMMAND_INSPECT);
	options_fini(&r->o);
	refused(run("--peers a:1 inspect"), "inspect");
	r = run("--peers=a:1 inspect");
	assert_int_equal(r->verdict, OPTIONS_RUN);
	assert_int_equal(r->o.peers.count, 1);
	assert_int_equal(r->o.subcommand, SUBCOMMAND_INSPECT);
	options_fini(&r->o);
	r = run("--peers a:1 a:1 tcp://a:1");
	assert_int_equal(r->o.peers.count, 1);
	options_fini(&r->o);
}

static void test_too_many_peers(void **state)
{
	static struct run r;
	static char words[LIMIT_PEERS + 1][16], *argv[LIMIT_PEERS + 3];
	char name[] = "mycelium", option[] = "--peers";

	(void)state;
	argv[0] = name;
	argv[1] = option;
	for (int i = 0; i <= LIMIT_PEERS; i++) {
		snprintf(words[i], sizeof(words[i]), "h%d:1", i);
		argv[i + 2] = words[i];
	}
	run_words(&r, LIMIT_PEERS + 2, argv);
	assert_int_equal(r.verdict, OPTIONS_RUN);
	assert_int_equal(r.o.peers.count, LIMIT_PEERS);
	options_fini(&r.o);
	run_words(&r, LIMIT_PEERS + 3, argv);
	refused(&r, "more than");
}

static void test_listen(void **state)
{
	static const struct {
		const char *in, *out;
	} table[] = {
		{"10.0.0.1", "10.0.0.1:4000"},
		{"10.0.0.1:5", "10.0.0.1:5"},
		{"::", "[::]:4000"},
		{"2001:db8::1", "[2001:db8::1]:4000"},
		{"[2001:db8::1]", "[2001:db8::1]:4000"},
		{"[2001:db8::1]:5", "[2001:db8::1]:5"},
		{"fe80::1%lo", "[fe80::1%1]:4000"},
		{"[fe80::1%lo]:5", "[fe80::1%1]:5"},
	};
	static const char *const wrong[] = {"host", "host:1", "10.0.0.256", "10.0.0.1:", "10.0.0.1:0", "[::",
					    "[]",   "[::]:",  "1:2:3:4:",   "None",	 "tcp://::",   "*"};
	struct endpoint e;
	struct run *r;
	char words[128], text[ENDPOINT_TEXT_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		snprintf(words, sizeof(words), "--listen %s -p 4000", table[i].in);
		r = run(words);
		assert_int_equal(r->verdict, OPTIONS_RUN);
		assert_false(r->o.listen_none);
		assert_int_equal(options_listen(&r->o, 0, &e), 0);
		assert_string_equal(endpoint_print(&e, text), table[i].out);
		options_fini(&r->o);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		snprintf(words, sizeof(words), "--listen %s", wrong[i]);
		refused(run(words), wrong[i]);
	}
	r = run("--listen none");
	assert_true(r->o.listen_none);
	assert_int_equal(r->o.listen.count, 0);
	options_fini(&r->o);
	refused(run("--listen none --listen 10.0.0.1"), "beside");
	/* An interface that does not exist yet is asked for when it is needed. */
	r = run("--listen fe80::1%nosuchif");
	assert_int_equal(r->verdict, OPTIONS_RUN);
	assert_int_equal(options_listen(&r->o, 0, &e), -EINVAL);
	options_fini(&r->o);
}

static void test_refused(void **state)
{
	static const struct {
		const char *words, *in_message;
	} table[] = {
		{"--port 0", "--port 0"},
		{"--port 65536", "--port 65536"},
		{"--port 99999999999999999999", "from 1 to 65535"},
		{"--port 1x", "--port 1x"},
		{"--port=", "--port: needs a value"},
		{"--port", "--port: needs a value"},
		{"--port -d", "--port: needs a value"},
		{"-p", "--port: needs a value"},
		{"-p 1 --port 2", "--port 2: given twice"},
		{"-d -d", "given twice"},
		{"--por 1", "--por: no such option"},
		{"--key f", "--key: no such option"},
		{"-x", "-x: no such option"},
		{"-dx", "-dx: no such option"},
		{"-", "-: no such option"},
		{"--", "--: no such option"},
		{"--=x", "no such option"},
		{"--no-tun=maybe", "--no-tun maybe: neither"},
		{"--tun-mtu 1279", "from 1280"},
		{"--tun-mtu 65464", "to 65463"},
		{"--tun-name a-name-too-long0", "interface"},
		{"--tun-name a/b", "interface"},
		{"--tun-name tun%d", "interface"},
		{"--tun-name .", "interface"},
		{"--tun-name ..", "interface"},
		{"--log-level trace", "--log-level trace"},
		{"--api-addr localhost:1", "--api-addr localhost:1"},
		{"--api-addr 127.0.0.1", "has no port"},
		{"--api-server-addr ::1:80", "brackets"},
		{"--api-addr 127.0.0.1:1 --api-server-addr 127.0.0.1:2", "given twice"},
		{"--peers", "--peers: needs a value"},
		{"--peers -d", "--peers: needs a value"},
		{"messages send", "messages: no such command"},
		{"peer", "peer: no such command"},
		{"insp", "insp: no such command"},
		{"inspect -k f", "-k: inspect has no such option"},
		{"inspect --jso", "--jso: inspect has no such option"},
		{"inspect aa bb", "bb: inspect takes one KEY"},
		{"--config /nonexistent/file", "/nonexistent/file: No such file"},
		{"--config /", "Is a directory"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		refused(run(table[i].words), table[i].in_message);
}

static void test_control_characters(void **state)
{
	static struct run r;
	char name[] = "mycelium", a[] = "--key-file=a\nb", b[] = "-\x1b[31m", *argv[] = {name, a};

	(void)state;
	run_words(&r, 2, argv);
	refused(&r, "a?b: control character");
	argv[1] = b;
	run_words(&r, 2, argv);
	refused(&r, "-?[31m");
}

static void test_flag_values(void **state)
{
	struct run *r = run("--no-tun=false --no-offload=true");

	(void)state;
	assert_false(r->o.no_tun);
	assert_true(r->o.no_offload);
	options_fini(&r->o);
}

static void test_inspect(void **state)
{
	struct run *r = run("-k f inspect --json 00ff");

	(void)state;
	assert_int_equal(r->verdict, OPTIONS_RUN);
	assert_string_equal(r->o.key_file, "f");
	assert_int_equal(r->o.subcommand, SUBCOMMAND_INSPECT);
	assert_true(r->o.inspect_json);
	assert_string_equal(r->o.inspect_key, "00ff");
	options_fini(&r->o);
	r = run("inspect");
	assert_int_equal(r->o.subcommand, SUBCOMMAND_INSPECT);
	assert_false(r->o.inspect_json);
	assert_null(r->o.inspect_key);
	options_fini(&r->o);
}

/* The words stand there, however the lines are broken. */
static bool says(const char *text, const char *words)
{
	char copy[TEXT_BYTES];
	size_t len = 0;

	for (; *text && len + 1 < sizeof(copy); text++) {
		const bool blank = *text == ' ' || *text == '\n';

		if (!blank || (len && copy[len - 1] != ' '))
			copy[len++] = blank ? ' ' : *text;
	}
	copy[len] = '\0';
	return strstr(copy, words);
}

static void test_help_and_version(void **state)
{
	static const char *const help[] = {"-h", "--help", "-dh", "--help --nonsense", "inspect --help", "inspect -h"};
	size_t lines = 0;
	struct run *r;

	(void)state;
	for (size_t i = 0; i < sizeof(help) / sizeof(help[0]); i++) {
		r = run(help[i]);
		assert_int_equal(r->verdict, OPTIONS_EXIT_OK);
		assert_non_null(strstr(r->out, "Usage:"));
		assert_string_equal(r->err, "");
		options_fini(&r->o);
	}
	for (const char *line = r->out, *end; (end = strchr(line, '\n')); line = end + 1) {
		assert_true(end - line <= 100);
		assert_true(end == line || end[-1] != ' ');
		lines++;
	}
	assert_true(lines <= 60);
#define OPTION(field, names, kind, value, help) assert_non_null(strstr(r->out, names));
#include "controld/options.def"
#undef OPTION
#define COMMAND(name, run, usage, help) assert_true(says(r->out, " " #name " " usage " " help));
#include "controld/cli/commands.def"
#undef COMMAND
	refused(run("--nonsense --help"), "--nonsense");
	r = run("--version");
	assert_int_equal(r->verdict, OPTIONS_EXIT_OK);
	assert_string_equal(r->out, "mycelium " VERSION "\n");
	options_fini(&r->o);
}

static void test_fini_on_zeroed(void **state)
{
	struct options o = {0};

	(void)state;
	options_fini(&o);
	options_fini(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),	 cmocka_unit_test(test_no_words_at_all),
		cmocka_unit_test(test_everything),	 cmocka_unit_test(test_short_forms),
		cmocka_unit_test(test_good_peers),	 cmocka_unit_test(test_bad_peers),
		cmocka_unit_test(test_long_host_names),	 cmocka_unit_test(test_peers_swallow_words),
		cmocka_unit_test(test_too_many_peers),	 cmocka_unit_test(test_listen),
		cmocka_unit_test(test_refused),		 cmocka_unit_test(test_control_characters),
		cmocka_unit_test(test_flag_values),	 cmocka_unit_test(test_inspect),
		cmocka_unit_test(test_help_and_version), cmocka_unit_test(test_fini_on_zeroed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
