/* SPDX-License-Identifier: Apache-2.0 */
/* The routes of sessions over the wire, around a keyring that is one: pins that were stored, modes, releases. */
#include "tests/support/api_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define LIST "/api/v1/admin/sessions"
#define HOUR_NS INT64_C(3600000000000)

struct world {
	struct api_world *w;
	struct keyring *keyring;
	struct privkey sk;
	struct pubkey peer, unpinned; /* announced, both */
	char address[IP6_TEXT_BYTES], other[IP6_TEXT_BYTES]; /* of them */
	int64_t pin_end_s;
	unsigned pins_gone, modes_set, modes_gone;
};

static uint64_t net_of(const struct pubkey *pk)
{
	struct ip6 ip;

	network200.address(pk, &ip);
	return ip6_net64(&ip);
}

static bool on_key_of(void *ctx, uint64_t net64, struct pubkey *out)
{
	const struct world *w = ctx;

	*out = net64 == net_of(&w->peer) ? w->peer : w->unpinned;
	return net64 == net_of(out);
}

static void on_random(void *ctx, void *out, size_t len)
{
	(void)ctx;
	randombytes_buf(out, len);
}

static void on_session_key(void *ctx, const struct ctl_session_key *k)
{
	(void)ctx;
	(void)k;
}

static void on_session_move(void *ctx, const struct ctl_session_move *m)
{
	(void)ctx;
	(void)m;
}

static void on_session_del(void *ctx, const struct ctl_session_del *d)
{
	(void)ctx;
	(void)d;
}

static void on_policy(void *ctx, const struct ctl_policy *p)
{
	(void)ctx;
	(void)p;
}

static void on_user(void *ctx, const struct ctl_user_down *u, const uint8_t *bytes, size_t len)
{
	(void)ctx;
	(void)u;
	(void)bytes;
	(void)len;
}

static void on_pin_set(void *ctx, const struct record_pin *p)
{
	(void)ctx;
	(void)p;
}

static void on_pin_del(void *ctx, uint64_t net64)
{
	struct world *w = ctx;

	w->pins_gone += net64 == net_of(&w->peer);
}

static void on_mode_set(void *ctx, const struct record_mode *m)
{
	struct world *w = ctx;

	(void)m;
	w->modes_set++;
}

static void on_mode_del(void *ctx, uint64_t net64)
{
	struct world *w = ctx;

	(void)net64;
	w->modes_gone++;
}

static void on_event(void *ctx, const struct session_event *e)
{
	(void)ctx;
	(void)e;
}

static const struct keyring_ops ops = {.session_key = on_session_key,
				       .session_move = on_session_move,
				       .session_del = on_session_del,
				       .policy = on_policy,
				       .user = on_user,
				       .key_of = on_key_of,
				       .random = on_random,
				       .pin_set = on_pin_set,
				       .pin_del = on_pin_del,
				       .mode_set = on_mode_set,
				       .mode_del = on_mode_del,
				       .event = on_event};

static struct session_time time_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (struct session_time){.now = mono_now(), .real_ns = t.tv_sec * INT64_C(1000000000) + t.tv_nsec};
}

static void make_keyring(struct world *w, bool with_network_key)
{
	const struct session_psk psk = {.b = {1}};
	struct keyring_config c = {.network = &network200, .sk = &w->sk, .mode = SESSION_OPPORTUNISTIC};

	memset(w->sk.b, 7, sizeof(w->sk.b));
	crypto_scalarmult_base(c.pk.b, w->sk.b);
	c.network_keys = &psk;
	c.network_key_count = with_network_key;
	w->keyring = keyring_new(&c, &ops, w, time_now());
}

/* Seen over ten days, an hour ago for the last time. */
static void pin_peer(struct world *w)
{
	const struct session_time t = time_now();
	struct record_pin p = {.net64 = net_of(&w->peer)};

	memcpy(p.public_key, w->peer.b, sizeof(p.public_key));
	p.last_ns = t.real_ns - HOUR_NS;
	p.first_ns = p.last_ns - 240 * HOUR_NS;
	w->pin_end_s = (p.last_ns + 240 * HOUR_NS) / 1000000000;
	keyring_found_pin(w->keyring, &p, t);
}

static struct world *world_new(bool with_network_key)
{
	struct world *w = calloc(1, sizeof(*w));
	struct api_setup s = {0};
	struct ip6 ip;

	assert_non_null(w);
	memset(w->peer.b, 0x11, sizeof(w->peer.b));
	memset(w->unpinned.b, 0x22, sizeof(w->unpinned.b));
	network200.address(&w->peer, &ip);
	ip6_print(&ip, w->address);
	network200.address(&w->unpinned, &ip);
	ip6_print(&ip, w->other);
	make_keyring(w, with_network_key);
	pin_peer(w);
	s.keyring = w->keyring;
	w->w = api_world_new(&s);
	return w;
}

static void world_free(struct world *w)
{
	api_world_free(w->w);
	keyring_free(w->keyring);
	free(w);
}

/* What the list says of that address, or "". The caller frees it. */
static char *entry_of(struct world *w, const char *address)
{
	struct api_answer a = api_world_get(w->w, LIST);
	char want[IP6_TEXT_BYTES + 16], *found, *end;

	assert_int_equal(a.status, 200);
	snprintf(want, sizeof(want), "{\"address\":\"%s\"", address);
	found = strstr(a.body, want);
	found = strdup(found ? found : "");
	assert_non_null(found);
	end = strchr(found, '}');
	if (end)
		*end = '\0';
	api_answer_fini(&a);
	return found;
}

static void assert_says(struct world *w, const char *address, const char *text)
{
	char *entry = entry_of(w, address);

	if (!strstr(entry, text))
		fail_msg("\"%s\" is not in: %s", text, entry);
	free(entry);
}

static void assert_change(struct world *w, const char *address, const char *change, const char *body, int status)
{
	char path[256];
	const struct api_ask ask = {
		.method = "POST", .path = path, .type = body ? "application/json" : NULL, .body = body};
	const unsigned settled = w->w->settled;
	struct api_answer a;

	snprintf(path, sizeof(path), LIST "/%s/%s", address, change);
	a = api_world_ask(w->w, &ask);
	if (a.status != status)
		fail_msg("%s: %d %s", path, a.status, a.body);
	assert_true(w->w->settled > settled || status == 400);
	api_answer_fini(&a);
}

static void test_pin(void **state)
{
	struct world *w = world_new(false);
	char text[128];

	(void)state;
	snprintf(text, sizeof(text),
		 "\"state\":\"idle\",\"mode\":\"opportunistic\",\"ownMode\":false,\"pinned\":true,"
		 "\"pinnedUntil\":%lld,\"handshake\":false,\"since\":null,",
		 (long long)w->pin_end_s);
	assert_says(w, w->address, text);
	assert_change(w, w->other, "unpin", NULL, 404);
	assert_change(w, w->address, "unpin", NULL, 204);
	assert_int_equal(w->pins_gone, 1);
	assert_change(w, w->address, "unpin", NULL, 404);
	world_free(w);
}

static void test_mode(void **state)
{
	struct world *w = world_new(false);

	(void)state;
	assert_change(w, w->other, "mode", "{\"mode\":\"require\"}", 204);
	assert_int_equal(w->modes_set, 1);
	assert_says(w, w->other, "\"state\":\"idle\",\"mode\":\"require\",\"ownMode\":true,\"pinned\":false,");
	assert_change(w, w->other, "mode", "{\"mode\":\"default\"}", 204);
	assert_int_equal(w->modes_gone, 1);
	assert_change(w, "249::1", "mode", "{\"mode\":\"off\"}", 404);
	assert_change(w, "2001%3Adb8%3A%3A1", "mode", "{\"mode\":\"off\"}", 400);
	world_free(w);
}

static void test_release(void **state)
{
	struct world *w = world_new(false);
	struct api_answer a;

	(void)state;
	assert_change(w, w->other, "release", NULL, 404);
	assert_change(w, w->address, "release", NULL, 202);
	assert_says(w, w->address, "\"releasing\":true");
	world_free(w);
	w = world_new(false);
	a = api_world_ask(w->w, &(const struct api_ask){.method = "POST", .path = LIST "/release"});
	assert_int_equal(a.status, 202);
	assert_string_equal(a.body, "{\"count\":1}");
	api_answer_fini(&a);
	assert_says(w, w->address, "\"releasing\":true");
	world_free(w);
}

static void test_private(void **state)
{
	struct world *w = world_new(true);

	(void)state;
	assert_says(w, w->address, "\"mode\":\"require\"");
	assert_change(w, w->other, "mode", "{\"mode\":\"off\"}", 409);
	assert_change(w, w->other, "mode", "{\"mode\":\"opportunistic\"}", 409);
	assert_change(w, w->other, "mode", "{\"mode\":\"require\"}", 204);
	assert_change(w, w->address, "release", NULL, 409);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pin),
		cmocka_unit_test(test_mode),
		cmocka_unit_test(test_release),
		cmocka_unit_test(test_private),
	};

	if (sodium_init() < 0)
		return 1;
	if (!session_is_possible())
		return 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
