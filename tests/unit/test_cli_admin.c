/* SPDX-License-Identifier: Apache-2.0 */
/* peers, routes, status, and what all commands share: tables on a terminal and in a pipe, JSON, the token, a node that
 * does not answer. */
#include "tests/unit/test_cli.h"

#include <sys/stat.h>

#define HOST "Host: 127.0.0.1:PORT\r\nConnection: close\r\n"
#define JSON_OK "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
#define TEXT_OK "HTTP/1.1 200 OK\r\n\r\n"
#define UNREADY "HTTP/1.1 503 Service Unavailable\r\n\r\n"

static const struct cli_config wide = {.terminal = true, .columns = 200}, narrow = {.terminal = true, .columns = 80},
			       tiny = {.terminal = true, .columns = 60}, unknown = {.terminal = true};

static const char peers[] = JSON_OK
	"[{\"endpoint\":{\"proto\":\"tcp\",\"socketAddr\":\"203.0.113.5:9651\"},\"type\":\"static\","
	"\"connectionState\":"
	"\"alive\",\"txBytes\":1536,\"rxBytes\":12345678901,\"rttMicroseconds\":1234,\"cost\":12,\"upSeconds\":192,"
	"\"nextTrySeconds\":null,\"lastError\":null},\n"
	"{\"endpoint\":{\"proto\":\"tcp\",\"socketAddr\":\"a-long-host-name.example.org:9651\"},\"type\":\"static\","
	"\"connectionState\":\"dead\",\"txBytes\":0,\"rxBytes\":0,\"rttMicroseconds\":null,\"cost\":\"infinite\","
	"\"upSeconds\":null,\"nextTrySeconds\":61,\"lastError\":{\"text\":\"Connection\\trefused\\n\\u001b[31m\","
	"\"ageSeconds\":90061}},{}]";

static void check_out(const struct cli_config *how, const char *answer, const char *const *words, const char *out)
{
	struct result *r = run_with(how, ANSWERS({answer, 0, false}), words);

	assert_string_equal(r->err, "");
	assert_string_equal(r->out, out);
	assert_int_equal(r->exit_code, 0);
	result_free(r);
}

static void test_peers(void **state)
{
	(void)state;
	check_out(&pipe_config, peers, WORDS("peers"),
		  "203.0.113.5:9651\tstatic\talive\t12\t1234\t192\t1536\t12345678901\t-\t-\t-\n"
		  "a-long-host-name.example.org:9651\tstatic\tdead\tinfinite\t-\t-\t0\t0\t61\tConnection refused "
		  "?[31m\t90061\n"
		  "-\t-\t-\t-\t-\t-\t-\t-\t-\t-\t-\n");
	check_out(&wide, peers, WORDS("peers"),
		  "ENDPOINT                           TYPE    STATE      COST     RTT     UP    SENT     RECV  NOTE\n"
		  "203.0.113.5:9651                   static  alive        12  1.23ms  3m12s  1.5KiB  11.5GiB  -\n"
		  "a-long-host-name.example.org:9651  static  dead   infinite       -      -      0B       0B  "
		  "Connection refused ?[31m (1d1h ago), next try in 1m1s\n"
		  "-                                  -       -             -       -      -       -        -  -\n");
	check_out(&pipe_config, JSON_OK "[]", WORDS("peers"), "");
	check_out(&wide, JSON_OK "[]", WORDS("peers"), "ENDPOINT  TYPE  STATE  COST  RTT  UP  SENT  RECV  NOTE\n");
}

static void test_peers_narrow(void **state)
{
	static const char answer[] = JSON_OK
		"[{\"endpoint\":{\"socketAddr\":\"a-long-host-name.example.org:9651\"},\"type\":\"static\","
		"\"connectionState\":"
		"\"dead\",\"nextTrySeconds\":5,\"lastError\":{\"text\":\"R\xc3\xa9seau inaccessible depuis ici\"}}]";

	(void)state;
	check_out(&narrow, answer, WORDS("peers"),
		  "ENDPOINT                        TYPE    STATE  COST  RTT  UP  SENT  RECV  NOTE\n"
		  "a-long-host-name.example.org:~  static  dead      -    -   -     -     -  R\xc3\xa9sea~\n");
	check_out(&tiny, answer, WORDS("peers"),
		  "ENDPOINT          TYPE    STATE  COST  RTT  UP  SENT  RECV  NOTE\n"
		  "a-long-host-nam~  static  dead      -    -   -     -     -  R\xc3\xa9sea~\n");
	check_out(&unknown, answer, WORDS("peers"),
		  "ENDPOINT                           TYPE    STATE  COST  RTT  UP  SENT  RECV  NOTE\n"
		  "a-long-host-name.example.org:9651  static  dead      -    -   -     -     -  "
		  "R\xc3\xa9seau inaccessible depuis ici (- ago), next try in 5s\n");
}

static void test_lists_as_json(void **state)
{
	(void)state;
	check_out(&pipe_config, JSON_OK "[{\"a\":12345678901234567890,\n\t\"b\":\"\x7f\xc2\x9b\xff\\u001b\\\\\"}]",
		  WORDS("peers", "--json"),
		  "{\"schema\":1,\"peers\":[{\"a\":12345678901234567890,  "
		  "\"b\":\"\\u007f\\u009b\\ufffd\\u001b\\\\\"}]}\n");
	/* What the parser lets pass although it is no escape sequence. */
	check_out(&pipe_config, JSON_OK "[\"\\u\x1b[31m\"]", WORDS("peers", "--json"),
		  "{\"schema\":1,\"peers\":[\"\\ufffdu\\u001b[31m\"]}\n");
	check_out(&pipe_config, JSON_OK "[]", WORDS("routes", "--json"), "{\"schema\":1,\"routes\":[]}\n");
}

static const char routes[] = JSON_OK "[{\"subnet\":\"200:1::/64\",\"nextHop\":\"TCP 10.0.0.1:1 <-> "
				     "10.0.0.2:9651\",\"metric\":40,\"seqno\":7,\"cost\":20,"
				     "\"routerId\":\"aabb-0001-cc\",\"held\":true,\"originAddress\":\"200:1::1\"},"
				     "{\"subnet\":\"200:2::/64\",\"metric\":\"infinite\",\"held\":false},5,null]";

static void test_routes(void **state)
{
	struct result *r = run(routes, WORDS("routes", "fallback"));

	(void)state;
	assert_request(r, 0, "GET /api/v1/admin/routes/fallback HTTP/1.1\r\n" HOST "\r\n");
	assert_string_equal(r->out,
			    "200:1::/64\tTCP 10.0.0.1:1 <-> 10.0.0.2:9651\t40\t7\t20\tyes\t200:1::1\taabb-0001-cc\n"
			    "200:2::/64\t-\tinfinite\t-\t-\tno\t-\t-\n"
			    "-\t-\t-\t-\t-\t-\t-\t-\n-\t-\t-\t-\t-\t-\t-\t-\n");
	result_free(r);
	for (int i = 0; i < 2; i++) {
		r = run(JSON_OK "[]", i ? WORDS("routes") : WORDS("routes", "selected"));
		assert_request(r, 0, "GET /api/v1/admin/routes/selected HTTP/1.1\r\n" HOST "\r\n");
		result_free(r);
	}
	check_out(&narrow, routes, WORDS("routes"),
		  "SUBNET      NEXT HOP         METRIC  SEQNO  COST  HELD  ORIGIN    ROUTER ID\n"
		  "200:1::/64  10.0.0.2:9651        40      7    20  yes   200:1::1  aabb-0001-cc\n"
		  "200:2::/64  -              infinite      -     -  no    -         -\n"
		  "-           -                     -      -     -  -     -         -\n"
		  "-           -                     -      -     -  -     -         -\n");
	check_out(&tiny, routes, WORDS("routes"),
		  "SUBNET      NEXT HOP         METRIC  SEQNO  COST  HELD\n"
		  "200:1::/64  10.0.0.2:9651        40      7    20  yes\n"
		  "200:2::/64  -              infinite      -     -  no\n"
		  "-           -                     -      -     -  -\n"
		  "-           -                     -      -     -  -\n");
}

static void test_change_peers(void **state)
{
	static const char done[] = "HTTP/1.1 204 No Content\r\n\r\n";
	struct result *r = run(done, WORDS("peers", "add", "tcp://[2001:db8::1]:9651\""));

	(void)state;
	assert_int_equal(r->exit_code, 0);
	assert_string_equal(r->out, "");
	assert_request(r, 0,
		       "POST /api/v1/admin/peers HTTP/1.1\r\n" HOST
		       "Content-Type: application/json\r\nContent-Length: LENGTH\r\n\r\n"
		       "{\"endpoint\":\"tcp://[2001:db8::1]:9651\\\"\"}");
	result_free(r);
	r = run(done, WORDS("peers", "remove", "[fe80::1%eth0]:9651"));
	assert_int_equal(r->exit_code, 0);
	assert_request(r, 0, "DELETE /api/v1/admin/peers/%5Bfe80%3A%3A1%25eth0%5D%3A9651 HTTP/1.1\r\n" HOST "\r\n");
	result_free(r);
	r = run("HTTP/1.1 409 X\r\n\r\nthis peer is there already", WORDS("peers", "add", "a:1"));
	assert_int_equal(r->exit_code, 1);
	assert_one_line(r, "Error: ", "refuses (409): this peer is there already");
	result_free(r);
}

static void test_refused(void **state)
{
	static char long_name[2000];
	const struct {
		const char *const *words;
		const char *answer, *err;
		int exit_code;
	} rows[] = {
		{WORDS("peers"), "HTTP/1.1 200 X\r\n\r\n{\"a\":1}", "of no use", 1},
		{WORDS("peers"), "HTTP/1.1 200 X\r\n\r\n[", "of no use", 1},
		{WORDS("peers"), "HTTP/1.1 500 X\r\n\r\n[]", "(500)", 1},
		{WORDS("peers"), "HTTP/1.1 401 X\r\n\r\n", "give --api-token-file before the command", 1},
		{WORDS("routes"), "HTTP/1.1 403 X\r\n\r\n", "does not serve this client", 1},
		{WORDS("peers", "remove", "a:1"), "HTTP/1.1 404 X\r\n\r\nthere is no such peer", "no such peer", 1},
		{WORDS("peers", "remove", long_name), NULL, "too long", 1},
		{WORDS("peers", "add"), NULL, "needs an ENDPOINT", 2},
		{WORDS("peers", "list"), NULL, "neither add nor remove", 2},
		{WORDS("peers", "add", "a:1", "b:1"), NULL, "one word too many", 2},
		{WORDS("peers", "add", "--json", "a:1"), NULL, "for the list only", 2},
		{WORDS("routes", "queried"), NULL, "neither selected nor fallback", 2},
		{WORDS("status", "x"), NULL, "one word too many", 2},
		{WORDS("nonsense"), NULL, "no such command", 2},
	};

	(void)state;
	memset(long_name, 'a', sizeof(long_name) - 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct result *r = run(rows[i].answer, rows[i].words);

		assert_int_equal(r->exit_code, rows[i].exit_code);
		assert_string_equal(r->out, "");
		assert_one_line(r, "", rows[i].err);
		result_free(r);
	}
}

static void test_no_node(void **state)
{
	static const char *const commands[] = {"peers", "routes", "status"};
	struct cli_config c = pipe_config;
	char expected[200];

	(void)state;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		struct result r = {0};

		server_bind(&r.server, "127.0.0.1:0"); /* nobody listens there */
		run_words(&r, &c, WORDS(commands[i]));
		snprintf(expected, sizeof(expected),
			 "Error: no node answers at 127.0.0.1:%u: Connection refused; is it running, and is --api-addr "
			 "the "
			 "same?\n",
			 endpoint_port(&r.server.at));
		assert_string_equal(r.err, expected);
		assert_string_equal(r.out, "");
		assert_int_equal(r.exit_code, strcmp(commands[i], "status") == 0 ? 3 : 1);
		close(r.server.fd);
		result_free(&r);
	}
}

static char path[] = "/tmp/test_cli.XXXXXX";

static struct result *run_token(const char *text, size_t len, const char *answer)
{
	const struct cli_config c = {.token_file = path};
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	fclose(f);
	return run_with(&c, answer ? ANSWERS({answer, 0, false}) : NO_ANSWER, WORDS("peers"));
}

static void test_token(void **state)
{
	static const char *const good[] = {"s3cret~", "s3cret~\n", "s3cret~ \r\nsecond line\n"};
	static const struct {
		const char *text;
		size_t len;
		const char *err;
	} bad[] = {{"", 0, "no token"},
		   {"\nx", 2, "no token"},
		   {"a b", 3, "cannot be sent"},
		   {"a\rb", 3, "cannot be sent"}};
	const int fd = mkstemp(path);
	char many[300];
	struct result *r;

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		r = run_token(good[i], strlen(good[i]), JSON_OK "[]");
		assert_int_equal(r->exit_code, 0);
		assert_request(r, 0,
			       "GET /api/v1/admin/peers HTTP/1.1\r\n" HOST "Authorization: Bearer s3cret~\r\n\r\n");
		result_free(r);
	}
	r = run_token("x", 1, "HTTP/1.1 401 X\r\n\r\n");
	assert_one_line(r, "Error: ", "is not the node's");
	result_free(r);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		r = run_token(bad[i].text, bad[i].len, NULL);
		assert_int_equal(r->exit_code, 1);
		assert_one_line(r, "Error: --api-token-file ", bad[i].err);
		result_free(r);
	}
	memset(many, 'a', sizeof(many));
	r = run_token(many, sizeof(many), NULL);
	assert_one_line(r, "Error: --api-token-file ", "too long");
	result_free(r);
	unlink(path);
	r = run_with(&(const struct cli_config){.token_file = path}, NO_ANSWER, WORDS("status"));
	assert_int_equal(r->exit_code, 3);
	assert_one_line(r, "Error: --api-token-file ", "No such file");
	result_free(r);
}

#define NODE(store) \
	JSON_OK "{\"nodeSubnet\":\"200:1::/64\",\"nodePubkey\":\"aa\",\"address\":\"200:1::1\",\"version\":\"1.0\"," \
		"\"network\":200,\"uptimeSeconds\":3700,\"tunName\":\"tun0\",\"fastpaths\":[{\"pid\":7,\"mode\":" \
		"\"tun\"," \
		"\"aead\":\"ipsec-mb\",\"sinceSeconds\":60}],\"store\":{" store ",\"bytes\":2048}," \
		"\"counts\":{\"links\":1,\"routes\":20,\"routesSelected\":9,\"messages\":3}," \
		"\"sessions\":{\"session\":12,\"pinned\":10,\"static\":3,\"waiting\":1,\"idle\":9,\"stateLasting\":" \
		"true}}"

/* Those that need attention stand first, then sessions, the static key, and the idle. */
#define SESSION(n, state, refused, keys) \
	"{\"address\":\"200:" #n "::1\",\"state\":\"" state "\",\"refusedStatic\":" #refused \
	",\"refusedSecondKeys\":" #keys "}"
static const char sessions[] =
	JSON_OK "[" SESSION(7, "idle", 0, 0) "," SESSION(6, "static", 0, 0) "," SESSION(5, "session", 0, 0) "," SESSION(
		4, "session", 0, 2) "," SESSION(3, "idle", 1, 0) "," SESSION(2, "waiting", 0, 0) "]";
#define SESSION_LINE(n, state, refused, keys) \
	"session\t200:" #n "::1\t" state "\t-\t-\t-\t-\t-\t-\t-\t" #refused "\t" #keys "\n"
#define SESSION_LINES \
	SESSION_LINE(2, "waiting", 0, 0) \
	SESSION_LINE(3, "idle", 1, 0) \
	SESSION_LINE(4, "session", 0, 2) \
	SESSION_LINE(5, "session", 0, 0) SESSION_LINE(6, "static", 0, 0) SESSION_LINE(7, "idle", 0, 0)

static void test_status(void **state)
{
	const struct answer healthy[] = {{TEXT_OK, 0, false},
					 {TEXT_OK "[+]node ok\n", 0, false},
					 {NODE("\"ok\":true,\"trouble\":\"\""), 0, false},
					 {peers, 0, false},
					 {sessions, 0, false},
					 {0}};
	struct result *r = run_with(&pipe_config, healthy, WORDS("status"));

	(void)state;
	assert_int_equal(r->exit_code, 0);
	assert_string_equal(r->err, "");
	assert_string_equal(r->out,
			    "state\thealthy\naddress\t200:1::1\nsubnet\t200:1::/64\npublic key\taa\nversion\t1.0\n"
			    "network\t200\nup\t3700\ntun\ttun0\nforwarder\ttun, ipsec-mb, for 60s\npeers\t3\n"
			    "peers up\t1\nroutes\t20\nroutes in use\t9\ninbox\t3\nstore\t2048\n"
			    "sessions\t12, 3 static, 1 waiting, 9 idle; 10 pinned\n" SESSION_LINES);
	assert_request(r, 4, "GET /api/v1/admin/sessions?limit=1000 HTTP/1.1\r\n" HOST "\r\n");
	assert_request(r, 1, "GET /readyz?verbose HTTP/1.1\r\n" HOST "\r\n");
	result_free(r);
	r = run_with(&wide, healthy, WORDS("status"));
	assert_int_equal(r->exit_code, 0);
	assert_non_null(strstr(r->out, "\nup              1h1m\n"));
	assert_non_null(strstr(r->out, "\nstore           2.0KiB\n"));
	assert_non_null(strstr(r->out, "\nforwarder       tun, ipsec-mb, for 1m0s\n"));
	assert_non_null(strstr(r->out, "idle; 10 pinned\n\nADDRESS   STATE"));
	assert_non_null(strstr(r->out, "\nand 19 more: mycelium sessions\n"));
	result_free(r);
	r = run_with(&pipe_config, healthy, WORDS("status", "--json"));
	assert_ptr_equal(strstr(r->out, "{\"schema\":1,\"state\":\"healthy\",\"reasons\":[],"
					"\"peers\":{\"known\":3,\"up\":1},\"node\":{\"nodeSubnet\":"),
			 r->out);
	assert_non_null(strstr(r->out, "\"stateLasting\":true}},\"sessions\":[{\"address\":\"200:7::1\","));
	assert_string_equal(r->out + r->out_len - 4, "}]}\n");
	result_free(r);
}

static void test_status_degraded(void **state)
{
	struct result *r =
		run_with(&pipe_config,
			 ANSWERS({TEXT_OK, 0, false},
				 {UNREADY "[+]api ok\n[-]node failed: it\x1bstarts\n[-]x failed: y\n", 0, false},
				 {NODE("\"ok\":false,\"trouble\":\"disk full\""), 0, false}, {JSON_OK "[{}]", 0, false},
				 {JSON_OK "[]", 0, false}),
			 WORDS("status"));

	(void)state;
	assert_int_equal(r->exit_code, 1);
	assert_ptr_equal(strstr(r->out, "state\tdegraded\nbecause\tnode failed: it?starts\nbecause\tx failed: y\n"
					"because\tno neighbour is up, of 1 that are known\naddress\t"),
			 r->out);
	result_free(r);
	r = run_with(&pipe_config,
		     ANSWERS({TEXT_OK, 0, false}, {UNREADY, 0, false}, {JSON_OK "{}", 0, false}, {peers, 0, false}),
		     WORDS("status"));
	assert_int_equal(r->exit_code, 1);
	assert_string_equal(
		r->out, "state\tdegraded\nbecause\tit is not ready\naddress\t-\nsubnet\t-\npublic key\t-\nversion\t-\n"
			"network\t-\nup\t-\ntun\t-\nforwarder\tnone\npeers\t3\npeers up\t1\nroutes\t-\n"
			"routes in use\t-\ninbox\t-\nstore\t-\nsessions\t-\n");
	result_free(r);
}

static void test_status_store(void **state)
{
	struct result *r = run_with(&pipe_config,
				    ANSWERS({TEXT_OK, 0, false}, {TEXT_OK, 0, false},
					    {NODE("\"ok\":false,\"trouble\":\"disk full\""), 0, false},
					    {peers, 0, false}, {JSON_OK "[]", 0, false}),
				    WORDS("status"));

	(void)state;
	assert_int_equal(r->exit_code, 1);
	assert_ptr_equal(strstr(r->out, "state\tdegraded\nbecause\tmessages cannot be kept: disk full\naddress\t"),
			 r->out);
	result_free(r);
}

static void test_status_sessions(void **state)
{
	static const struct {
		const char *node, *end;
	} rows[] = {
		{JSON_OK "{\"sessions\":{\"session\":0,\"pinned\":2,\"static\":1,\"stateLasting\":false}}",
		 "\nsessions\t0, 1 static, - waiting, - idle; 2 pinned\n"
		 "warning\tpins are lost at a reboot: the state folder is on a tmpfs\n"},
		{JSON_OK "{\"sessions\":null}", "\nsessions\tnone: this machine cannot make them\n"},
		{JSON_OK "{\"sessions\":[]}", "\nsessions\t-\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct result *r = run_with(&pipe_config,
					    ANSWERS({TEXT_OK, 0, false}, {TEXT_OK, 0, false}, {rows[i].node, 0, false},
						    {peers, 0, false}, {JSON_OK "[]", 0, false}),
					    WORDS("status"));

		assert_int_equal(r->exit_code, 0);
		assert_string_equal(r->out + r->out_len - strlen(rows[i].end), rows[i].end);
		result_free(r);
	}
}

/* Of many, the first twenty: the last of the list is the one that waits. */
static void test_status_many(void **state)
{
	char list[8192] = JSON_OK "[";
	struct result *r;
	const char *line;
	int lines = 0;

	(void)state;
	for (int i = 0; i < 24; i++)
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s,", SESSION(5, "session", 0, 0));
	strcat(list, SESSION(2, "waiting", 0, 0) "]");
	r = run_with(&pipe_config,
		     ANSWERS({TEXT_OK, 0, false}, {TEXT_OK, 0, false}, {JSON_OK "{\"sessions\":{}}", 0, false},
			     {peers, 0, false}, {list, 0, false}),
		     WORDS("status"));
	assert_int_equal(r->exit_code, 0);
	line = strstr(r->out, "\nsession\t");
	assert_non_null(line);
	assert_memory_equal(line + 1, SESSION_LINE(2, "waiting", 0, 0), strlen(SESSION_LINE(2, "waiting", 0, 0)));
	for (; line; line = strstr(line + 1, "\nsession\t"))
		lines++;
	assert_int_equal(lines, 20);
	result_free(r);
	/* The list cannot be had: nothing is told of it, and the line on err says why. */
	r = run_with(&pipe_config,
		     ANSWERS({TEXT_OK, 0, false}, {TEXT_OK, 0, false}, {JSON_OK "{\"sessions\":{}}", 0, false},
			     {peers, 0, false}, {"HTTP/1.1 503 X\r\n\r\n", 0, false}),
		     WORDS("status"));
	assert_int_equal(r->exit_code, 3);
	assert_one_line(r, "Error: ", "(503)");
	result_free(r);
}

static void test_status_down_or_unknown(void **state)
{
	struct result *r =
		run_with(&pipe_config, ANSWERS({UNREADY, 0, false}, {UNREADY, 0, false}, {UNREADY "ends", 0, false}),
			 WORDS("status"));

	(void)state;
	assert_int_equal(r->exit_code, 2);
	assert_string_equal(r->out, "state\tdown\nbecause\tit is ending or stuck\nbecause\tit is not ready\n");
	assert_one_line(r, "Error: ", "(503): ends");
	result_free(r);
	r = run("HTTP/1.1 401 X\r\n\r\n", WORDS("status", "--json"));
	assert_int_equal(r->exit_code, 3);
	assert_string_equal(r->out,
			    "{\"schema\":1,\"state\":\"unknown\",\"reasons\":[],\"peers\":{\"known\":0,\"up\":0},"
			    "\"node\":null,\"sessions\":null}\n");
	assert_one_line(r, "Error: ", "wants a token");
	result_free(r);
	r = run("garbage\n", WORDS("status"));
	assert_int_equal(r->exit_code, 3);
	assert_one_line(r, "Error: ", "does not speak HTTP");
	result_free(r);
}

static void test_find_api(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{"127.0.0.1:8989", "127.0.0.1:8989"},
		{"0.0.0.0:80", "127.0.0.1:80"},
		{"[::]:81", "[::1]:81"},
		{"192.0.2.7:1", "192.0.2.7:1"},
		{"none", NULL},
		{"[fe80::1%nosuchif]:1", NULL},
	};
	char text[ENDPOINT_TEXT_BYTES];
	struct endpoint e;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct result r = {0};
		FILE *err = open_memstream(&r.err, &r.err_len);
		const int code = cli_find_api(rows[i].in, &e, err);

		fclose(err);
		assert_int_equal(code == 0, rows[i].out != NULL);
		if (rows[i].out)
			assert_string_equal(endpoint_print(&e, text), rows[i].out);
		else
			assert_one_line(&r, "Error: --api-addr ", rows[i].in);
		free(r.err);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_peers),	      cmocka_unit_test(test_peers_narrow),
		cmocka_unit_test(test_lists_as_json), cmocka_unit_test(test_routes),
		cmocka_unit_test(test_change_peers),  cmocka_unit_test(test_refused),
		cmocka_unit_test(test_no_node),	      cmocka_unit_test(test_token),
		cmocka_unit_test(test_status),	      cmocka_unit_test(test_status_degraded),
		cmocka_unit_test(test_status_store),  cmocka_unit_test(test_status_down_or_unknown),
		cmocka_unit_test(test_find_api),      cmocka_unit_test(test_status_sessions),
		cmocka_unit_test(test_status_many),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
