/* SPDX-License-Identifier: Apache-2.0 */
/* The routes of sessions: what they tell, to the byte, and each change with each of its errors. */
#include "tests/unit/admin_world.h"
#include <malloc.h>

enum { MANY = SESSION_LIMIT_PEERS + SESSION_LIMIT_PINS };

static struct pubkey key_of(uint8_t first)
{
	struct pubkey pk = {0};

	pk.b[0] = first;
	return pk;
}

/* One that all is known of. */
static struct keyring_view full_view(const struct admin_world *w)
{
	struct keyring_view v = admin_peer(1);

	v.session.pk = key_of(0xab);
	v.session.mode = SESSION_REQUIRE;
	v.session.policy.way = SESSION_BY_KEY;
	v.session.pinned = v.session.waiting = true;
	v.session.index[SESSION_SEND] = 7;
	v.session.made[SESSION_SEND] = mono_add_ms(w->w->now, -61999);
	v.has_mode = v.releasing = true;
	v.pin_end_s = 1702592000;
	v.since = mono_add_ms(w->w->now, -600999);
	v.renewals = 5;
	v.sealed_packets = 1;
	v.sealed_bytes = UINT64_MAX;
	v.opened_packets = 2;
	v.opened_bytes = 3;
	v.static_sealed = 4;
	v.static_opened = 6;
	v.refused_static = 8;
	v.second_keys = 9;
	return v;
}

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
#define NO_TRAFFIC \
	"\"sealedPackets\":0,\"sealedBytes\":0,\"openedPackets\":0,\"openedBytes\":0,\"staticSealed\":0," \
	"\"staticOpened\":0,\"refusedStatic\":0,\"refusedSecondKeys\":0,\"releasing\":false}"

static const char full_text[] =
	"{\"address\":\"200:0:0:1::\",\"publicKey\":"
	"\"ab00000000000000000000000000000000000000000000000000000000000000\","
	"\"state\":\"session\",\"mode\":\"require\",\"ownMode\":true,\"pinned\":true,\"pinnedUntil\":1702592000,"
	"\"handshake\":true,\"since\":1699999399,\"ageSeconds\":600,\"keyAgeSeconds\":61,\"renewals\":5,"
	"\"sealedPackets\":1,"
	"\"sealedBytes\":18446744073709551615,\"openedPackets\":2,\"openedBytes\":3,\"staticSealed\":4,"
	"\"staticOpened\":6,"
	"\"refusedStatic\":8,\"refusedSecondKeys\":9,\"releasing\":true}";

static void test_list(void **state)
{
	struct admin_world *w = *state;
	char want[4096];

	w->keyring.view_count = 3;
	w->keyring.views[0] = full_view(w);
	w->keyring.views[1] = admin_peer(2);
	/* Of one that is not known to the core nothing else says something. */
	w->keyring.views[2] = full_view(w);
	w->keyring.views[2].session.address = ip6_from_net64(UINT64_C(0x0200) << 48 | 3);
	w->keyring.views[2].session.policy.way = SESSION_BY_NONE;
	w->keyring.views[2].known = w->keyring.views[2].has_mode = w->keyring.views[2].releasing = false;
	w->keyring.views[2].session.mode = SESSION_OFF;
	snprintf(want, sizeof(want),
		 "[%s,{\"address\":\"200:0:0:2::\",\"publicKey\":\"" ZEROS "\",\"state\":\"static\","
		 "\"mode\":\"opportunistic\",\"ownMode\":false,\"pinned\":false,\"pinnedUntil\":null,\"handshake\":"
		 "false,"
		 "\"since\":null,\"ageSeconds\":null,\"keyAgeSeconds\":null,\"renewals\":0," NO_TRAFFIC ",",
		 full_text);
	admin_ask(w, admin_sessions, 200);
	assert_string_equal(w->r.type, HTTP_JSON);
	assert_memory_equal(w->r.text, want, strlen(want));
	assert_non_null(strstr(w->r.text + strlen(want),
			       "\"state\":\"waiting\",\"mode\":\"off\",\"ownMode\":false,\"pinned\":false,"
			       "\"pinnedUntil\":null,\"handshake\":false,\"since\":null,\"ageSeconds\":null,"
			       "\"keyAgeSeconds\":null,"));
}

/* Without a session, and nothing leaves otherwise: it waits, or nobody wants anything. */
static void test_list_states(void **state)
{
	static const struct {
		enum session_way way;
		bool waiting, wanted;
		const char *name;
	} table[] = {
		{SESSION_BY_NONE, false, false, "idle"},     {SESSION_BY_NONE, true, false, "waiting"},
		{SESSION_BY_NONE, false, true, "waiting"},   {SESSION_BY_NONE, true, true, "waiting"},
		{SESSION_BY_STATIC, false, false, "static"}, {SESSION_BY_STATIC, true, true, "static"},
		{SESSION_BY_KEY, false, false, "session"},   {SESSION_BY_KEY, true, true, "session"},
	};
	struct admin_world *w = *state;

	w->keyring.view_count = 1;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct keyring_view *v = &w->keyring.views[0];
		char want[64];

		*v = admin_peer(1);
		v->session.policy.way = table[i].way;
		v->session.waiting = table[i].waiting;
		v->session.wanted = table[i].wanted;
		snprintf(want, sizeof(want), "\"state\":\"%s\"", table[i].name);
		assert_non_null(strstr(admin_ask(w, admin_sessions, 200), want));
		admin_forget(w);
	}
}

static void test_list_pieces(void **state)
{
	struct admin_world *w = *state;
	char *whole;

	w->keyring.view_count = 1;
	w->keyring.views[0] = full_view(w);
	w->keyring.many = 3;
	whole = strdup(admin_ask(w, admin_sessions, 200));
	for (size_t piece = 1; piece < 40; piece++) {
		admin_forget(w);
		admin_sessions(&w->api, &w->r);
		admin_read(&w->r, piece, SIZE_MAX);
		assert_string_equal(w->r.text, whole);
	}
	free(whole);
}

static int count_of(struct admin_world *w, int status)
{
	cJSON *j = cJSON_Parse(admin_ask(w, admin_sessions, status));
	const int count = cJSON_GetArraySize(j);

	cJSON_Delete(j);
	admin_forget(w);
	return count;
}

static void test_list_limits(void **state)
{
	static const struct {
		const char *limit;
		int count; /* -1: 400 */
	} table[] = {{"0", 0}, {"1", 1}, {"3", 3}, {"4", 3}, {"", -1}, {"-1", -1}, {"1x", -1}};
	struct admin_world *w = *state;

	w->keyring.many = 3;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		w->r.query_name = "limit";
		w->r.query = table[i].limit;
		if (table[i].count < 0)
			(void)count_of(w, 400);
		else
			assert_int_equal(count_of(w, 200), table[i].count);
	}
	w->api.lists = LIMIT_API_LISTS;
	(void)count_of(w, 503);
	w->api.lists = 0;
	w->api.keyring = NULL;
	assert_string_equal(admin_ask(w, admin_sessions, 200), "[]");
}

static size_t memory_in_use(void)
{
	const struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

/* As many as there may be; some of them go while the list is being read. */
static void test_list_many(void **state)
{
	struct admin_world *w = *state;
	size_t before, during;
	cJSON *j;

	w->keyring.many = MANY;
	before = memory_in_use();
	admin_sessions(&w->api, &w->r);
	during = memory_in_use();
	assert_true(during - before < 1100 * 1000);
	admin_read(&w->r, 4096, 100000);
	w->keyring.many = 1000;
	admin_read(&w->r, 4096, SIZE_MAX);
	j = cJSON_Parse(w->r.text);
	assert_int_equal(cJSON_GetArraySize(j), 1000);
	cJSON_Delete(j);
}

static void test_totals(void **state)
{
	struct admin_world *w = *state;

	w->keyring.mode = SESSION_OPPORTUNISTIC;
	w->keyring.totals = (struct keyring_totals){.live = 12,
						    .static_only = 3,
						    .held = 6,
						    .idle = 5,
						    .pins = 10,
						    .waiting = 2,
						    .refused_static = 7,
						    .second_keys = 8};
	admin_ask(w, admin_get, 200);
	assert_non_null(strstr(
		w->r.text, ",\"sessions\":{\"mode\":\"opportunistic\",\"networkKey\":false,"
			   "\"stateLasting\":true,\"session\":12,\"static\":3,\"waiting\":1,\"idle\":5,\"pinned\":10,"
			   "\"handshakes\":2,\"refusedStatic\":7,\"refusedSecondKeys\":8}}"));
	admin_forget(w);
	w->keyring.mode = SESSION_REQUIRE;
	w->keyring.network_key = true;
	w->state_is_lasting = false;
	admin_ask(w, admin_get, 200);
	assert_non_null(strstr(w->r.text, "{\"mode\":\"require\",\"networkKey\":true,\"stateLasting\":false,"));
	admin_forget(w);
	w->api.keyring = NULL;
	admin_ask(w, admin_get, 200);
	assert_non_null(strstr(w->r.text, ",\"sessions\":null}"));
}

static const struct change {
	const char *name;
	http_handler *handler;
	int status; /* if it goes well */
} changes[] = {{"release", admin_session_release, 202},
	       {"unpin", admin_session_unpin, 204},
	       {"mode", admin_session_mode, 204}};

static void ask_change(struct admin_world *w, const struct change *c, const char *address)
{
	admin_forget(w);
	w->keyring.did[0] = '\0';
	w->r.param = address;
	w->r.body = "{\"mode\":\"off\"}";
	c->handler(&w->api, &w->r);
}

/* Any address of the /64, however it is written. */
static void test_addresses(void **state)
{
	static const struct {
		const char *address;
		int status; /* 0: as it should be */
	} table[] = {{"200:1:2:3::", 0},
		     {"200:1:2:3:ffff:ffff:ffff:ffff", 0},
		     {"0200:0001:0002:0003:0000:0000:0000:0001", 0},
		     {"200:1:2:3:0:0:1.2.3.4", 0},
		     {"200:1:2:3::ABCD", 0},
		     {"400::1", 400},
		     {"2001:db8::1", 400},
		     {"::1", 400},
		     {"10.0.0.1", 400},
		     {"200::/64", 400},
		     {"200:1:2:3::1%lo", 400},
		     {"200:1:2:3::1 ", 400},
		     {"", 400},
		     {"all", 400}};
	struct admin_world *w = *state;

	for (size_t k = 0; k < sizeof(changes) / sizeof(changes[0]); k++) {
		for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
			char want[64];

			ask_change(w, &changes[k], table[i].address);
			assert_int_equal(w->r.status, table[i].status ? table[i].status : changes[k].status);
			snprintf(want, sizeof(want), "%s 200:1:2:3::%s", changes[k].name, k == 2 ? " off" : "");
			assert_string_equal(w->keyring.did, table[i].status ? "" : want);
			assert_true(!table[i].status == !w->r.text);
		}
	}
	/* Every change was followed by what is due, and nothing else. */
	assert_int_equal(w->settled, 3 * 5);
}

static void test_errors(void **state)
{
	static const struct {
		int error, status;
		const char *text;
	} table[] = {{-ENOENT, 404, NULL},
		     {-EEXIST, 409, "another public key has the /64 of this address"},
		     {-EPERM, 409, "this is a private network (--network-key): its peers must keep sessions"},
		     {-ENOSPC, 503, "there is no room for one more peer"}};
	static const char *const unknown[] = {"there is neither a session nor a pin for this address",
					      "there is no pin for this address", "no node has announced this address"};
	struct admin_world *w = *state;

	for (size_t k = 0; k < sizeof(changes) / sizeof(changes[0]); k++) {
		for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
			w->keyring.error = table[i].error;
			ask_change(w, &changes[k], "200::1");
			assert_int_equal(w->r.status, table[i].status);
			assert_string_equal(w->r.text, table[i].text ? table[i].text : unknown[k]);
			assert_string_not_equal(w->keyring.did, "");
		}
		w->api.keyring = NULL;
		ask_change(w, &changes[k], "200::1");
		assert_int_equal(w->r.status, 503);
		assert_string_equal(w->r.text, "this machine cannot make sessions: its processor lacks AES");
		w->api.keyring = &w->keyring;
	}
}

static void test_release_all(void **state)
{
	struct admin_world *w = *state;

	w->keyring.released = 12;
	assert_string_equal(admin_ask(w, admin_sessions_release, 202), "{\"count\":12}");
	assert_string_equal(w->r.type, HTTP_JSON);
	assert_string_equal(w->keyring.did, "release all");
	assert_int_equal(w->settled, 1);
	admin_forget(w);
	w->api.keyring = NULL;
	assert_string_equal(admin_ask(w, admin_sessions_release, 503),
			    "this machine cannot make sessions: its processor lacks AES");
}

/* A private network has no other way to talk: nothing is released there. */
static void test_release_private(void **state)
{
	struct admin_world *w = *state;

	w->keyring.network_key = true;
	assert_string_equal(admin_ask(w, admin_sessions_release, 409),
			    "this is a private network (--network-key): its peers must keep sessions");
	assert_string_equal(w->keyring.did, "");
	ask_change(w, &changes[0], "200::1");
	assert_int_equal(w->r.status, 409);
	assert_string_equal(w->keyring.did, "");
	ask_change(w, &changes[1], "200::1");
	assert_int_equal(w->r.status, 204);
}

static void test_modes(void **state)
{
	static const struct {
		const char *body;
		int status;
		const char *did;
	} table[] = {{"{\"mode\":\"off\"}", 204, "mode 200:: off"},
		     {"{\"mode\":\"opportunistic\"}", 204, "mode 200:: opportunistic"},
		     {"{\"mode\":\"require\",\"more\":1}", 204, "mode 200:: require"},
		     {"{\"mode\":\"default\"}", 204, "mode 200:: default"},
		     {"{\"mode\":\"Off\"}", 422, ""},
		     {"{\"mode\":\"\"}", 422, ""},
		     {"{\"mode\":\"offx\"}", 422, ""},
		     {"{\"mode\":null}", 422, ""},
		     {"{\"mode\":1}", 422, ""},
		     {"{\"mode\":[\"off\"]}", 422, ""},
		     {"{\"Mode\":\"off\"}", 422, ""},
		     {"{}", 422, ""},
		     {"\"off\"", 422, ""},
		     {"{\"mode\":\"off\"", 400, ""}};
	struct admin_world *w = *state;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		admin_forget(w);
		w->keyring.did[0] = '\0';
		w->r.param = "200::1";
		w->r.body = table[i].body;
		admin_session_mode(&w->api, &w->r);
		assert_int_equal(w->r.status, table[i].status);
		assert_string_equal(w->keyring.did, table[i].did);
		if (table[i].status == 422)
			assert_non_null(strstr(w->r.text, "off, opportunistic, require or default"));
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, admin_begin, admin_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_list),	TEST(test_list_pieces),	    TEST(test_list_limits), TEST(test_list_states),
		TEST(test_list_many),	TEST(test_totals),	    TEST(test_addresses),   TEST(test_errors),
		TEST(test_release_all), TEST(test_release_private), TEST(test_modes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
