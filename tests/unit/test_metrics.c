/* SPDX-License-Identifier: Apache-2.0 */
/* What Prometheus gets, read as strictly as it may; and the answers of the health checks. */
#include "tests/unit/admin_world.h"
#include <ctype.h>

enum { FAMILIES = 400 };

struct family {
	char name[128], type[16];
	bool has_help, has_type, closed; /* closed: another one has begun */
	unsigned samples;
};

struct reader {
	struct family family[FAMILIES];
	unsigned count;
	char seen[FAMILIES][256]; /* samples with their labels */
	unsigned seen_count;
};

static bool is_name(const char *s, size_t len, bool label)
{
	for (size_t i = 0; i < len; i++)
		if (!isalpha(s[i]) && s[i] != '_' && !(s[i] == ':' && !label) && !(i && isdigit(s[i])))
			return false;
	return len;
}

static struct family *family_of(struct reader *r, const char *name, size_t len)
{
	struct family *f;

	assert_true(is_name(name, len, false));
	for (unsigned i = 0; i < r->count; i++)
		if (strlen(r->family[i].name) == len && memcmp(r->family[i].name, name, len) == 0)
			return &r->family[i];
	assert_true(r->count < FAMILIES);
	if (r->count)
		r->family[r->count - 1].closed = true;
	f = &r->family[r->count++];
	snprintf(f->name, sizeof(f->name), "%.*s", (int)len, name);
	return f;
}

/* In help and in the values of labels only known escapes. */
static void check_escapes(const char *s, size_t len, bool label)
{
	for (size_t i = 0; i < len; i++) {
		if (s[i] != '\\')
			continue;
		i++;
		assert_true(i < len && (s[i] == 'n' || s[i] == '\\' || (label && s[i] == '"')));
	}
}

static void read_comment(struct reader *r, const char *line)
{
	const bool help = strncmp(line, "# HELP ", 7) == 0;
	const char *name = line + 7, *rest = strchr(name, ' ');
	struct family *f;

	assert_true(help || strncmp(line, "# TYPE ", 7) == 0);
	assert_non_null(rest);
	f = family_of(r, name, (size_t)(rest - name));
	rest++;
	assert_false(f->samples);
	assert_false(f->closed);
	if (help) {
		assert_false(f->has_help);
		f->has_help = true;
		assert_true(strlen(rest) > 3);
		check_escapes(rest, strlen(rest), false);
		return;
	}
	assert_false(f->has_type);
	f->has_type = true;
	assert_true(strcmp(rest, "counter") == 0 || strcmp(rest, "gauge") == 0);
	snprintf(f->type, sizeof(f->type), "%s", rest);
}

/* From { to after }; nothing if there is none. */
static const char *read_labels(const char *s)
{
	if (*s != '{')
		return s;
	do {
		const char *name = ++s, *value;

		s = strchr(name, '=');
		assert_non_null(s);
		assert_true(is_name(name, (size_t)(s - name), true));
		assert_int_equal(*++s, '"');
		value = ++s;
		while (*s != '"')
			s += *s == '\\' ? 2 : 1;
		check_escapes(value, (size_t)(s - value), true);
	} while (*++s == ',');
	assert_int_equal(*s, '}');
	return s + 1;
}

static void read_sample(struct reader *r, const char *line)
{
	const size_t len = strcspn(line, "{ ");
	struct family *f = family_of(r, line, len);
	const char *value = read_labels(line + len);
	char *end;

	assert_true(f->has_help && f->has_type && !f->closed);
	f->samples++;
	for (unsigned i = 0; i < r->seen_count; i++)
		assert_false(strlen(r->seen[i]) == (size_t)(value - line) &&
			     memcmp(r->seen[i], line, (size_t)(value - line)) == 0);
	assert_true(r->seen_count < FAMILIES);
	snprintf(r->seen[r->seen_count++], sizeof(r->seen[0]), "%.*s", (int)(value - line), line);
	assert_int_equal(*value, ' ');
	strtod(value + 1, &end);
	assert_int_equal(*end, 0);
	assert_ptr_not_equal(end, value + 1);
}

static void check_names(const struct reader *r)
{
	for (unsigned i = 0; i < r->count; i++) {
		const struct family *f = &r->family[i];
		const size_t len = strlen(f->name);
		const bool total = len > 6 && strcmp(f->name + len - 6, "_total") == 0;

		assert_true(f->samples > 0);
		assert_int_equal(total, strcmp(f->type, "counter") == 0);
		assert_true(strncmp(f->name, "mycelium_", 9) == 0 || strncmp(f->name, "process_", 8) == 0);
	}
}

static void test_metrics(void **state)
{
	struct admin_world *w = *state;
	struct reader *r = calloc(1, sizeof(*r));
	char *text, *line, *rest;

	assert_non_null(r);
	w->load.inbox_count = 7;
	text = strdup(admin_ask(w, health_metrics, 200));
	assert_string_equal(w->r.type, "text/plain; version=0.0.4; charset=utf-8");
	assert_int_equal(text[strlen(text) - 1], '\n');
	rest = text;
	while ((line = strsep(&rest, "\n")) && rest) {
		if (*line == '#')
			read_comment(r, line);
		else
			read_sample(r, line);
	}
	assert_string_equal(line, "");
	check_names(r);
	free(text);
	free(r);
}

static void assert_has(const struct admin_world *w, const char *line)
{
	char whole[256];

	snprintf(whole, sizeof(whole), "\n%s\n", line);
	if (!strstr(w->r.text, whole))
		fail_msg("no line `%s`", line);
}

static void assert_sessions(const struct admin_world *w)
{
	static const struct {
		const char *name;
		enum session_counter what;
	} counts[] = {
		{"session_handshakes_sent_total", SESSION_INITS_SENT},
		{"session_handshakes_answered_total", SESSION_RESPS_SENT},
		{"session_keys_made_total", SESSION_KEYS_MADE},
		{"session_cookies_sent_total", SESSION_COOKIES_SENT},
		{"session_hints_sent_total", SESSION_HINTS_SENT},
		{"session_keepalives_sent_total", SESSION_KEEPALIVES_SENT},
		{"session_refused_total{reason=\"type_unknown\"}", SESSION_TYPE_UNKNOWN},
		{"session_refused_total{reason=\"init_stale\"}", SESSION_INIT_STALE},
		{"session_refused_total{reason=\"resp_bad\"}", SESSION_RESP_BAD},
		{"session_refused_total{reason=\"hint_ignored\"}", SESSION_HINT_IGNORED},
		{"session_table_full_total{table=\"peers\"}", SESSION_PEERS_FULL},
		{"session_table_full_total{table=\"handshakes\"}", SESSION_PENDING_FULL},
		{"session_table_full_total{table=\"pins\"}", SESSION_PINS_FULL},
	};

	assert_has(w, "mycelium_sessions{state=\"session\"} 20");
	assert_has(w, "mycelium_sessions{state=\"static\"} 21");
	assert_has(w, "mycelium_sessions{state=\"waiting\"} 22");
	assert_has(w, "mycelium_sessions{state=\"idle\"} 19");
	assert_has(w, "mycelium_session_pins 23");
	assert_has(w, "mycelium_session_handshakes_pending 24");
	assert_has(w, "mycelium_session_keys 25");
	assert_has(w, "mycelium_session_static_refused_total 26");
	assert_has(w, "mycelium_session_second_keys_total 27");
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		char line[128];

		snprintf(line, sizeof(line), "mycelium_%s %d", counts[i].name, 500 + (int)counts[i].what);
		assert_has(w, line);
	}
}

/* Every counter of the sessions is told once, but for the two that the totals have. */
static void test_session_counters(void **state)
{
	struct admin_world *w = *state;

	admin_ask(w, health_metrics, 200);
	for (int i = 0; i < SESSION_COUNTERS; i++) {
		const char *at = w->r.text;
		unsigned found = 0;
		char value[16];

		snprintf(value, sizeof(value), " %d\n", 500 + i);
		while ((at = strstr(at, value))) {
			at += strlen(value);
			found++;
		}
		assert_int_equal(found, i != SESSION_SECOND_KEYS && i != SESSION_STATIC_REFUSED);
	}
	admin_forget(w);
	w->api.keyring = NULL;
	admin_ask(w, health_metrics, 200);
	assert_has(w, "mycelium_sessions{state=\"session\"} 0");
	assert_has(w, "mycelium_session_handshakes_sent_total 0");
}

static void test_values(void **state)
{
	struct admin_world *w = *state;
	struct node_other other;
	char line[128];

	node_world_other(&other, 0x40);
	node_world_update(w->w, node_world_link_out(w->w, "192.0.2.2:9651"), &other, 1, 10);
	w->load = (struct post_load){.inbox_count = 7, .inbox_bytes = 70, .takers = 2, .streams = 3, .refused_full = 9};
	w->load.message = (struct message_load){.out_count = 4, .out_bytes = 44};
	w->peers[0] = (struct api_peer){.flags = CTL_LINK_STATIC, .up = true};
	w->peers[1] = (struct api_peer){.flags = CTL_LINK_STATIC};
	w->peers[2] = (struct api_peer){.flags = CTL_LINK_INBOUND, .up = true};
	w->peer_count = 3;
	w->keyring.totals = (struct keyring_totals){
		.live = 20, .static_only = 21, .held = 41, .idle = 19, .pins = 23, .waiting = 24, .rows = 25};
	w->keyring.totals.refused_static = 26;
	w->keyring.totals.second_keys = 27;
	w->api.requests = 12;
	w->api.refused = 13;
	admin_ask(w, health_metrics, 200);
	assert_has(w, "mycelium_links_up 1");
	assert_has(w, "mycelium_routes 1");
	assert_has(w, "mycelium_routes_selected 1");
	assert_has(w, "mycelium_peers 2");
	assert_has(w, "mycelium_peers_up 1");
	assert_has(w, "mycelium_inbox_messages 7");
	assert_has(w, "mycelium_inbox_bytes 70");
	assert_has(w, "mycelium_inbox_takers 2");
	assert_has(w, "mycelium_inbox_streams 3");
	assert_has(w, "mycelium_inbox_refused_full_total 9");
	assert_has(w, "mycelium_outbox_messages 4");
	assert_has(w, "mycelium_outbox_bytes 44");
	assert_has(w, "mycelium_store_ok 1");
	assert_has(w, "mycelium_store_bytes 1152921504606846976");
	assert_has(w, "mycelium_api_requests_total 12");
	assert_has(w, "mycelium_api_refused_total 13");
	assert_has(w, "mycelium_fastpaths_up 1");
	assert_has(w, "process_start_time_seconds 1699906216");
	snprintf(line, sizeof(line), "mycelium_tun_rx_packets_total %d", 1000 + STAT_tun_rx_packets);
	assert_has(w, line);
	snprintf(line, sizeof(line), "mycelium_dropped_packets_total{reason=\"no_route\"} %d",
		 1000 + STAT_drop_no_route);
	assert_has(w, line);
	snprintf(line, sizeof(line), "mycelium_messages_delivered_total %d", 100 + MESSAGE_DELIVERED);
	assert_has(w, line);
	assert_null(strstr(w->r.text, "mycelium_drop_"));
	assert_sessions(w);
	identity_fini(&other.id);
	admin_forget(w);
	w->store_trouble = "the disk is full";
	admin_ask(w, health_metrics, 200);
	assert_has(w, "mycelium_store_ok 0");
}

/* Before the router id is known there is no routing core. */
static void test_early(void **state)
{
	struct admin_world *w = *state;
	struct node_world *early = node_world_new();

	w->api.node = early->n;
	admin_ask(w, health_metrics, 200);
	assert_has(w, "mycelium_routes 0");
	node_world_free(early);
}

static void ask_health(struct admin_world *w, http_handler *handler, bool verbose, int status, const char *text)
{
	admin_forget(w);
	if (verbose) {
		w->r.query_name = "verbose";
		w->r.query = "";
	}
	assert_string_equal(admin_ask(w, handler, status), text);
	assert_string_equal(w->r.type, HTTP_TEXT);
}

static void test_live(void **state)
{
	struct admin_world *w = *state;

	/* Nothing that may pass makes it dead. */
	w->not_ready = "the forwarder is not ready";
	w->store_trouble = "the disk is full";
	w->fastpath.pid = 0;
	ask_health(w, health_live, false, 200, "ok");
	ask_health(w, health_live, true, 200, "[+]end ok\n");
	w->api.stopping = true;
	ask_health(w, health_live, false, 503, "[-]end failed: the node ends\n");
}

static void test_ready(void **state)
{
	struct admin_world *w = *state;

	ask_health(w, health_ready, false, 200, "ok");
	ask_health(w, health_ready, true, 200, "[+]end ok\n[+]node ok\n[+]fastpath ok\n[+]store ok\n[+]tun ok\n");
	w->tun_name = "";
	ask_health(w, health_ready, false, 503,
		   "[+]end ok\n[+]node ok\n[+]fastpath ok\n[+]store ok\n[-]tun failed: there is no TUN interface\n");
	w->fastpath.mode = "relay";
	ask_health(w, health_ready, true, 200, "[+]end ok\n[+]node ok\n[+]fastpath ok\n[+]store ok\n");
	w->not_ready = "the forwarder is not ready";
	w->store_trouble = "the disk is full";
	w->fastpath.pid = 0;
	ask_health(w, health_ready, false, 503,
		   "[+]end ok\n[-]node failed: the forwarder is not ready\n[-]fastpath failed: no forwarder runs\n"
		   "[-]store failed: the disk is full\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_metrics, admin_begin, admin_end),
		cmocka_unit_test_setup_teardown(test_values, admin_begin, admin_end),
		cmocka_unit_test_setup_teardown(test_session_counters, admin_begin, admin_end),
		cmocka_unit_test_setup_teardown(test_early, admin_begin, admin_end),
		cmocka_unit_test_setup_teardown(test_live, admin_begin, admin_end),
		cmocka_unit_test_setup_teardown(test_ready, admin_begin, admin_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
