/* SPDX-License-Identifier: Apache-2.0 */
/* The admin routes: every member of what they tell, every status, and lists of any length. */
#include "tests/unit/admin_world.h"
#include <malloc.h>

static const cJSON *member(const cJSON *j, const char *name)
{
	const cJSON *m = json_get(j, name);

	if (!m)
		fail_msg("no member %s", name);
	return m;
}

static void assert_text(const cJSON *j, const char *name, const char *text)
{
	assert_true(cJSON_IsString(member(j, name)));
	assert_string_equal(member(j, name)->valuestring, text);
}

static void assert_number(const cJSON *j, const char *name, double n)
{
	assert_true(cJSON_IsNumber(member(j, name)));
	assert_true(member(j, name)->valuedouble == n);
}

static void assert_null_member(const cJSON *j, const char *name)
{
	assert_true(cJSON_IsNull(member(j, name)));
}

/* The answer as JSON; the caller deletes it. */
static cJSON *ask_json(struct admin_world *w, http_handler *handler)
{
	enum json_verdict verdict;
	char error[JSON_ERROR_BYTES];
	cJSON *j;

	admin_ask(w, handler, 200);
	assert_string_equal(w->r.type, HTTP_JSON);
	j = json_parse(w->r.text, w->r.len, &verdict, error);
	if (!j)
		fail_msg("%s", error);
	return j;
}

static void test_get(void **state)
{
	struct admin_world *w = *state;
	const cJSON *part;
	cJSON *j;

	node_world_link_out(w->w, "192.0.2.2:9651");
	w->load.inbox_count = 5;
	j = ask_json(w, admin_get);
	assert_int_equal(strlen(member(j, "nodePubkey")->valuestring), 64);
	assert_non_null(strstr(member(j, "nodeSubnet")->valuestring, "::/64"));
	assert_true(cJSON_IsString(member(j, "address")));
	assert_text(j, "version", VERSION);
	assert_text(j, "build", BUILD);
	assert_number(j, "network", 200);
	assert_number(j, "startTime", 1699906216);
	assert_number(j, "uptimeSeconds", 93784);
	assert_text(j, "tunName", "tun0");
	assert_int_equal(cJSON_GetArraySize(member(j, "fastpaths")), 1);
	part = cJSON_GetArrayItem(member(j, "fastpaths"), 0);
	assert_number(part, "pid", 4242);
	assert_text(part, "mode", "tun");
	assert_text(part, "aead", "ipsec-mb");
	assert_number(part, "sinceSeconds", 2);
	part = member(j, "store");
	assert_true(cJSON_IsTrue(member(part, "ok")));
	assert_text(part, "trouble", "");
	/* No double on the way. */
	assert_non_null(strstr(w->r.text, "\"bytes\":1152921504606846976"));
	part = member(j, "counts");
	assert_number(part, "links", 1);
	assert_number(part, "routes", 0);
	assert_number(part, "messages", 5);
	cJSON_Delete(j);
}

static void test_get_bare(void **state)
{
	struct admin_world *w = *state;
	struct node_world *early = node_world_new();
	cJSON *j;

	w->api.node = early->n;
	w->fastpath.pid = 0;
	w->store_trouble = "a \"quoted\" trouble";
	w->tun_name = "";
	j = ask_json(w, admin_get);
	assert_int_equal(cJSON_GetArraySize(member(j, "fastpaths")), 0);
	assert_true(cJSON_IsFalse(member(member(j, "store"), "ok")));
	assert_text(member(j, "store"), "trouble", w->store_trouble);
	assert_text(j, "tunName", "");
	cJSON_Delete(j);
	node_world_free(early);
}

static void peers_make(struct admin_world *w)
{
	struct api_peer *p = w->peers;

	w->peer_count = 4;
	p[0] = (struct api_peer){.endpoint = "tcp://203.0.113.5:9651",
				 .flags = CTL_LINK_STATIC,
				 .up = true,
				 .cost = 22,
				 .last_error = "connection refused",
				 .last_error_at = mono_add_ms(w->w->now, -43000)};
	p[0].link = (struct node_link){
		.up_since = mono_add_ms(w->w->now, -3700900), .rtt_us = 12345, .rx_bytes = UINT64_MAX, .tx_bytes = 1};
	assert_int_equal(endpoint_parse("10.1.0.1:40123", &p[0].link.local), 0);
	p[1] = (struct api_peer){.endpoint = "[2001:db8::1]:9651",
				 .flags = CTL_LINK_INBOUND,
				 .up = true,
				 .cost = WIRE_INFINITE,
				 .last_error = ""};
	assert_int_equal(endpoint_parse("[2001:db8::2]:9651", &p[1].link.local), 0);
	p[2] = (struct api_peer){.endpoint = "gw.example:9651",
				 .flags = CTL_LINK_STATIC,
				 .next_try = mono_add_ms(w->w->now, 17900),
				 .last_error = "it said: \"\\no\"",
				 .last_error_at = w->w->now};
	p[3] = (struct api_peer){.endpoint = "[fe80::1%3]:9651",
				 .flags = CTL_LINK_DISCOVERED,
				 .next_try = mono_add_ms(w->w->now, -5),
				 .last_error = ""};
}

static void assert_up_peers(const cJSON *j)
{
	const cJSON *p = cJSON_GetArrayItem(j, 0);

	assert_text(member(p, "endpoint"), "proto", "tcp");
	assert_text(member(p, "endpoint"), "socketAddr", "203.0.113.5:9651");
	assert_text(p, "type", "static");
	assert_text(p, "connectionState", "alive");
	assert_number(p, "txBytes", 1);
	assert_number(p, "rttMicroseconds", 12345);
	assert_number(p, "cost", 22);
	assert_text(p, "local", "10.1.0.1:40123");
	assert_number(p, "upSeconds", 3700);
	assert_null_member(p, "nextTrySeconds");
	assert_text(member(p, "lastError"), "text", "connection refused");
	assert_number(member(p, "lastError"), "ageSeconds", 43);
	p = cJSON_GetArrayItem(j, 1);
	assert_text(p, "type", "inbound");
	assert_text(p, "connectionState", "alive");
	assert_text(p, "cost", "infinite");
	assert_null_member(p, "rttMicroseconds");
	assert_null_member(p, "lastError");
}

static void test_peers(void **state)
{
	struct admin_world *w = *state;
	const cJSON *p;
	cJSON *j;

	peers_make(w);
	j = ask_json(w, admin_peers);
	assert_non_null(strstr(w->r.text, "\"rxBytes\":18446744073709551615"));
	assert_int_equal(cJSON_GetArraySize(j), 4);
	assert_up_peers(j);
	p = cJSON_GetArrayItem(j, 2);
	assert_text(p, "connectionState", "dead");
	assert_text(member(p, "lastError"), "text", w->peers[2].last_error);
	assert_number(p, "nextTrySeconds", 17);
	assert_number(p, "rxBytes", 0);
	assert_null_member(p, "cost");
	assert_null_member(p, "local");
	assert_null_member(p, "upSeconds");
	p = cJSON_GetArrayItem(j, 3);
	assert_text(p, "type", "linkLocalDiscovery");
	assert_text(p, "connectionState", "connecting");
	assert_number(p, "nextTrySeconds", 0);
	cJSON_Delete(j);
}

/* The same text, whatever the pieces; and the texts may go while it is being read. */
static void test_peers_pieces(void **state)
{
	struct admin_world *w = *state;
	char gone[] = "203.0.113.9:1", *whole;

	peers_make(w);
	w->peers[0].endpoint = gone;
	whole = strdup(admin_ask(w, admin_peers, 200));
	for (size_t piece = 1; piece < 40; piece++) {
		admin_forget(w);
		strcpy(gone, "203.0.113.9:1");
		admin_peers(&w->api, &w->r);
		memset(gone, 'x', sizeof(gone) - 1);
		admin_read(&w->r, piece, SIZE_MAX);
		assert_string_equal(w->r.text, whole);
	}
	free(whole);
	w->peer_count = 0;
	admin_forget(w);
	assert_string_equal(admin_ask(w, admin_peers, 200), "[]");
}

static void test_peer_add(void **state)
{
	static const struct {
		const char *body;
		int error, status;
		const char *text;
	} table[] = {
		{"{\"endpoint\":\"tcp://1.2.3.4:5\"}", 0, 204, ""},
		{"{\"endpoint\":\"tcp://1.2.3.4:5\",\"more\":1}", 0, 204, ""},
		{"{\"endpoint\":\"tcp://1.2.3.4:5\"}", -EEXIST, 409, "this peer is there already"},
		{"{\"endpoint\":\"tcp://1.2.3.4:5\"}", -EINVAL, 400, "100% why"},
		{"{\"endpoint\":\"tcp://1.2.3.4:5\"}", -ENOSPC, 400, "100% why"},
		{"{\"Endpoint\":\"tcp://1.2.3.4:5\"}", 0, 422, NULL},
		{"{\"endpoint\":5}", 0, 422, NULL},
		{"{\"endpoint\":null}", 0, 422, NULL},
		{"{}", 0, 422, NULL},
		{"[]", 0, 422, NULL},
		{"\"tcp://1.2.3.4:5\"", 0, 422, NULL},
		{"{", 0, 400, NULL},
	};
	struct admin_world *w = *state;

	w->why = "100% why";
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const char *text;

		admin_forget(w);
		w->endpoint[0] = 0;
		w->r.body = table[i].body;
		w->add_error = table[i].error;
		text = admin_ask(w, admin_peer_add, table[i].status);
		if (table[i].text)
			assert_string_equal(text, table[i].text);
		assert_string_equal(w->endpoint, table[i].text ? "tcp://1.2.3.4:5" : "");
	}
	assert_int_equal(w->settled, 5);
}

static void test_peer_del(void **state)
{
	static const struct {
		int error, status;
	} table[] = {{0, 204}, {-ENOENT, 404}, {-EINVAL, 400}};
	struct admin_world *w = *state;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		admin_forget(w);
		w->r.param = "tcp://1.2.3.4:5";
		w->del_error = table[i].error;
		assert_int_equal(*admin_ask(w, admin_peer_del, table[i].status) != 0, table[i].error != 0);
		assert_string_equal(w->endpoint, "tcp://1.2.3.4:5");
	}
	assert_int_equal(w->settled, 3);
}

static void test_routes(void **state)
{
	struct admin_world *w = *state;
	const uint32_t near = node_world_link_out(w->w, "192.0.2.2:9651");
	const uint32_t far = node_world_link_out(w->w, "[2001:db8::1]:9651");
	char printed[IP6_TEXT_BYTES];
	struct node_other other;
	const cJSON *r;
	cJSON *j;

	node_world_other(&other, 0x40);
	node_world_update(w->w, near, &other, 7, 10);
	node_world_update(w->w, far, &other, 7, 400);
	j = ask_json(w, admin_routes_selected);
	assert_int_equal(cJSON_GetArraySize(j), 1);
	r = cJSON_GetArrayItem(j, 0);
	assert_non_null(strstr(member(r, "subnet")->valuestring, "::/64"));
	assert_text(r, "nextHop", "TCP 192.0.2.1:40000 <-> 192.0.2.2:9651");
	assert_number(r, "metric", 10);
	assert_number(r, "seqno", 7);
	assert_true(member(r, "cost")->valuedouble > 10);
	assert_true(cJSON_IsFalse(member(r, "held")));
	assert_text(r, "originAddress", ip6_print(&other.id.address, printed));
	assert_non_null(strstr(member(r, "routerId")->valuestring, "-0000-404040404040"));
	cJSON_Delete(j);
	/* One that was retracted is still known. */
	node_world_update(w->w, far, &other, 7, WIRE_INFINITE);
	admin_forget(w);
	j = ask_json(w, admin_routes_fallback);
	assert_int_equal(cJSON_GetArraySize(j), 1);
	r = cJSON_GetArrayItem(j, 0);
	assert_text(r, "nextHop", "TCP 192.0.2.1:40000 <-> [2001:db8::1]:9651");
	assert_text(r, "metric", "infinite");
	assert_text(r, "cost", "infinite");
	cJSON_Delete(j);
	admin_forget(w);
	assert_string_equal(admin_ask(w, admin_routes_queried, 200), "[]");
	identity_fini(&other.id);
}

enum { MANY = 10000 };

/* A node of a key that nobody has: its number. */
static void other_make(struct node_other *o, unsigned i)
{
	memset(o, 0, sizeof(*o));
	memcpy(o->id.pk.b, &i, sizeof(i));
	o->id.pk.b[31] = 1;
	memcpy(o->rid.public_key, o->id.pk.b, sizeof(o->rid.public_key));
	network200.address(&o->id.pk, &o->id.address);
	o->id.own = network_own_prefix(&network200, &o->id.pk);
}

static void routes_make(struct admin_world *w, uint32_t link)
{
	struct node_other o;

	for (unsigned i = 0; i < MANY; i++) {
		other_make(&o, i);
		node_world_update(w->w, link, &o, 1, (uint16_t)(i % 1000));
	}
}

static size_t memory_in_use(void)
{
	const struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

static void test_many_routes(void **state)
{
	struct admin_world *w = *state;
	const uint32_t link = node_world_link_out(w->w, "192.0.2.2:9651");
	size_t before, during;
	cJSON *j;

	routes_make(w, link);
	before = memory_in_use();
	admin_routes_selected(&w->api, &w->r);
	during = memory_in_use();
	assert_true(during - before < 500 * 1000);
	admin_read(&w->r, 4096, SIZE_MAX);
	j = cJSON_Parse(w->r.text);
	assert_int_equal(cJSON_GetArraySize(j), MANY);
	cJSON_Delete(j);
	admin_forget(w);
	assert_true(memory_in_use() < before + 4096);
}

/* What goes while the list is being read is left out, and nothing is told twice. */
static void test_routes_vanish(void **state)
{
	struct admin_world *w = *state;
	const uint32_t link = node_world_link_out(w->w, "192.0.2.2:9651");
	cJSON *j;

	routes_make(w, link);
	admin_routes_selected(&w->api, &w->r);
	admin_read(&w->r, 4096, 100000);
	node_close_link(w->w->n, link, "test", w->w->now);
	admin_read(&w->r, 4096, SIZE_MAX);
	j = cJSON_Parse(w->r.text);
	assert_true(cJSON_GetArraySize(j) > 0 && cJSON_GetArraySize(j) < MANY);
	cJSON_Delete(j);
	/* A client that goes in the midst of it. */
	admin_forget(w);
	admin_peers(&w->api, &w->r);
	assert_int_equal(w->api.lists, 1);
	admin_forget(w);
	assert_int_equal(w->api.lists, 0);
}

static void test_limit(void **state)
{
	static const struct {
		const char *limit;
		int count; /* -1: 400 */
	} table[] = {{"0", 0}, {"1", 1},   {"2", 2},   {"3", 3},   {"4", 3},   {"18446744073709551615", 3},
		     {"", -1}, {"-1", -1}, {"+1", -1}, {" 1", -1}, {"1x", -1}, {"18446744073709551616", -1},
		     {"x", -1}};
	struct admin_world *w = *state;
	const uint32_t link = node_world_link_out(w->w, "192.0.2.2:9651");
	struct node_other o;

	for (unsigned i = 0; i < 3; i++) {
		other_make(&o, i);
		node_world_update(w->w, link, &o, 1, 1);
	}
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		cJSON *j;

		admin_forget(w);
		w->r.query_name = "limit";
		w->r.query = table[i].limit;
		j = cJSON_Parse(admin_ask(w, admin_routes_selected, table[i].count < 0 ? 400 : 200));
		if (table[i].count >= 0)
			assert_int_equal(cJSON_GetArraySize(j), table[i].count);
		cJSON_Delete(j);
	}
}

static void test_lists_full(void **state)
{
	struct admin_world *w = *state;

	w->api.lists = LIMIT_API_LISTS;
	admin_ask(w, admin_peers, 503);
	admin_forget(w);
	admin_ask(w, admin_routes_selected, 503);
	w->api.lists = 0;
}

static void test_pubkey(void **state)
{
	struct admin_world *w = *state;
	char text[IP6_TEXT_BYTES], want[128], key[PUBKEY_TEXT_BYTES];
	struct node_other other;
	struct ip6 ip;

	node_world_other(&other, 0x40);
	node_world_update(w->w, node_world_link_out(w->w, "192.0.2.2:9651"), &other, 1, 10);
	ip = other.id.address;
	ip.b[15] ^= 1; /* any address of the /64 */
	w->r.param = ip6_print(&ip, text);
	snprintf(want, sizeof(want), "{\"publicKey\":\"%s\"}", pubkey_print(&other.id.pk, key));
	assert_string_equal(admin_ask(w, admin_pubkey, 200), want);
	admin_forget(w);
	w->r.param = ip6_print(&w->api.address, text);
	snprintf(want, sizeof(want), "{\"publicKey\":\"%s\"}", pubkey_print(&w->api.pk, key));
	assert_string_equal(admin_ask(w, admin_pubkey, 200), want);
	identity_fini(&other.id);
}

static void test_pubkey_refused(void **state)
{
	static const struct {
		const char *ip;
		int status;
	} table[] = {{"2ff::1", 404},	 {"2001:db8::1", 400}, {"10.0.0.1", 400}, {"", 400},
		     {"200::1%lo", 400}, {"200::/7", 400},     {"x", 400}};
	struct admin_world *w = *state;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		admin_forget(w);
		w->r.param = table[i].ip;
		assert_true(strlen(admin_ask(w, admin_pubkey, table[i].status)) > 10);
	}
}

static void test_page(void **state)
{
	static const struct {
		http_handler *handler;
		const char *type, *begins;
	} table[] = {{page_html, "text/html; charset=utf-8", "<!DOCTYPE html>"},
		     {page_js, "text/javascript; charset=utf-8", "// SPDX"},
		     {page_css, "text/css; charset=utf-8", "/* SPDX"}};
	struct admin_world *w = *state;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const char *text;

		admin_forget(w);
		text = admin_ask(w, table[i].handler, 200);
		assert_string_equal(w->r.type, table[i].type);
		assert_memory_equal(text, table[i].begins, strlen(table[i].begins));
		assert_int_equal(text[w->r.len - 1], '\n');
		assert_int_equal(strlen(text), w->r.len);
		assert_non_null(strstr(w->r.headers, "Content-Security-Policy: default-src 'none'; "));
		/* Nothing from elsewhere, and no text becomes markup. */
		assert_null(strstr(text, "http://"));
		assert_null(strstr(text, "https://"));
		assert_null(strstr(text, "innerHTML"));
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, admin_begin, admin_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_get),
		TEST(test_get_bare),
		TEST(test_peers),
		TEST(test_peers_pieces),
		TEST(test_peer_add),
		TEST(test_peer_del),
		TEST(test_routes),
		TEST(test_many_routes),
		TEST(test_routes_vanish),
		TEST(test_limit),
		TEST(test_lists_full),
		TEST(test_pubkey),
		TEST(test_pubkey_refused),
		TEST(test_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
