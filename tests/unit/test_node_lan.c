/* SPDX-License-Identifier: Apache-2.0 */
/* The node and those heard on the LAN: who dials whom, so that two nodes have one link. And the end of the node. */
#include "shared/base/log.h"
#include "shared/limits.h"
#include "tests/support/node_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* A node whose key sorts below ours, or above. */
static struct node_other other_node(const struct node_world *w, bool lower)
{
	struct node_other o;

	for (uint8_t first = 0x21; first; first++) {
		node_world_other(&o, first);
		if ((memcmp(o.id.pk.b, w->id.pk.b, sizeof(o.id.pk.b)) < 0) == lower)
			return o;
		identity_fini(&o.id);
	}
	fail_msg("no such key");
	return (struct node_other){.id = {.sk = NULL}};
}

static struct endpoint endpoint(const char *text)
{
	struct endpoint e;

	assert_int_equal(endpoint_parse(text, &e), 0);
	return e;
}

static bool heard(const struct node_world *w, const struct node_other *o, const char *at)
{
	const struct endpoint e = endpoint(at);

	return node_may_dial(w->n, &o->id.pk, &e, w->now);
}

static void test_lower_key_dials_at_once(void **state)
{
	struct node_world *w = node_world_started();
	struct node_other above = other_node(w, false);

	(void)state;
	assert_true(heard(w, &above, "[fe80::2%3]:9651"));
	assert_true(heard(w, &above, "[fe80::2%3]:9651"));
	identity_fini(&above.id);
	node_world_free(w);
}

static void test_higher_key_waits(void **state)
{
	struct node_world *w = node_world_started();
	struct node_other below = other_node(w, true);

	(void)state;
	assert_false(heard(w, &below, "[fe80::2%3]:9651"));
	w->now = mono_add_ms(w->now, 4999);
	assert_false(heard(w, &below, "[fe80::2%3]:9651"));
	/* Each address is waited for by itself. */
	assert_false(heard(w, &below, "[fe80::2%3]:9652"));
	assert_false(heard(w, &below, "[fe80::2%4]:9651"));
	w->now = mono_add_ms(w->now, 1);
	assert_true(heard(w, &below, "[fe80::2%3]:9651"));
	assert_true(heard(w, &below, "[fe80::2%3]:9651"));
	assert_false(heard(w, &below, "[fe80::2%4]:9651"));
	identity_fini(&below.id);
	node_world_free(w);
}

/* Known by its key, whatever the side of the link; neither a route over others counts nor a link on another wire. */
static void test_neighbour_is_not_dialled(void **state)
{
	(void)state;
	for (int lower = 0; lower < 2; lower++) {
		struct node_world *w = node_world_started();
		struct node_other o = other_node(w, lower);
		const uint32_t link = node_world_link(w, "[fe80::1%3]:9651", "[fe80::9%3]:5", CTL_LINK_INBOUND, 0);
		struct ctl_link_down down = {.link = link, .reason = CTL_DOWN_CLOSED};

		(void)heard(w, &o, "[fe80::2%3]:9651");
		w->now = mono_add_ms(w->now, 6000);
		node_world_update(w, link, &o, 0, 60);
		assert_true(heard(w, &o, "[fe80::2%3]:9651"));
		node_world_update(w, link, &o, 0, 0);
		assert_false(heard(w, &o, "[fe80::2%3]:9651"));
		assert_int_equal(heard(w, &o, "[fe80::2%4]:9651"), !lower);
		/* Gone: as if heard for the first time. */
		node_on_link_down(w->n, &down, w->now);
		assert_int_equal(heard(w, &o, "[fe80::2%3]:9651"), !lower);
		w->now = mono_add_ms(w->now, 5000);
		assert_true(heard(w, &o, "[fe80::2%3]:9651"));
		identity_fini(&o.id);
		node_world_free(w);
	}
}

/* Full: the oldest goes, and only that. */
static void test_table_is_bounded(void **state)
{
	struct node_world *w = node_world_started();
	struct node_other below = other_node(w, true);
	char at[ENDPOINT_TEXT_BYTES];

	(void)state;
	for (int i = 1; i <= LIMIT_DISCOVERED_PEERS + 1; i++) {
		snprintf(at, sizeof(at), "[fe80::2%%3]:%d", i);
		assert_false(heard(w, &below, at));
		w->now = mono_add_ms(w->now, 1);
	}
	w->now = mono_add_ms(w->now, 5000);
	for (int i = LIMIT_DISCOVERED_PEERS + 1; i > 0; i--) {
		snprintf(at, sizeof(at), "[fe80::2%%3]:%d", i);
		assert_int_equal(heard(w, &below, at), i > 1);
	}
	identity_fini(&below.id);
	node_world_free(w);
}

/* However the forwarder words it: it is we who end, and nobody is dialled or let in any more. */
static void test_end(void **state)
{
	struct node_world *w = node_world_started();
	const uint32_t one = node_world_link_out(w, "192.0.2.2:9651");
	const struct ctl_link_down down = {.link = one, .reason = CTL_DOWN_ASKED, .text = "told to stop"};
	const struct endpoint stranger = endpoint("[::ffff:198.51.100.7]:5");
	const char *why = NULL;

	(void)state;
	node_world_link_out(w, "192.0.2.3:9651");
	assert_true(node_has_room(w->n, &why));
	node_end(w->n);
	assert_false(node_has_room(w->n, &why));
	assert_string_equal(why, "this node ends");
	why = NULL;
	assert_false(node_may_accept(w->n, &stranger, &why));
	assert_string_equal(why, "this node ends");
	node_on_link_down(w->n, &down, w->now);
	assert_int_equal(w->gone_count, 1);
	assert_string_equal(w->gone_reason, "this node ends");
	w->gone_reason[0] = '\0';
	node_fastpath_lost(w->n, w->now);
	assert_int_equal(w->gone_count, 2);
	assert_string_equal(w->gone_reason, "this node ends");
	node_world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lower_key_dials_at_once),
		cmocka_unit_test(test_higher_key_waits),
		cmocka_unit_test(test_neighbour_is_not_dialled),
		cmocka_unit_test(test_table_is_bounded),
		cmocka_unit_test(test_end),
	};

	if (sodium_init() < 0)
		return 1;
	log_level = LOG_ERR;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
