/* SPDX-License-Identifier: Apache-2.0 */
/* What passes between the keyring, the fastpath, the store and the API. Where the processor cannot make sessions there
 * is no keyring, and all goes by static keys, unless sessions are required.
 *
 * Order: network keys are read, keyring, store (its pins and modes go in), shared memory, keys that a running fastpath
 * holds, START, routes; then events. */
#define LOG_MODULE "daemon"
#include "controld/daemon_private.h"
#include "controld/network_key.h"
#include "shared/base/log.h"
#include "shared/lanes.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

struct session_time daemon_session_time(void)
{
	struct timespec real;
	int r = clock_gettime(CLOCK_REALTIME, &real);

	assert(r == 0);
	return (struct session_time){
		.now = mono_now(),
		.real_ns = (int64_t)real.tv_sec * 1000000000 + real.tv_nsec,
	};
}

/* From the keyring. */

static void put_session_key(void *ctx, const struct ctl_session_key *k)
{
	const struct daemon *d = ctx;

	fastpaths_put(d->fastpaths, 0, CTL_SESSION_KEY, k, sizeof(*k));
}

static void put_session_move(void *ctx, const struct ctl_session_move *m)
{
	const struct daemon *d = ctx;

	fastpaths_put(d->fastpaths, 0, CTL_SESSION_MOVE, m, sizeof(*m));
}

static void put_session_del(void *ctx, const struct ctl_session_del *del)
{
	const struct daemon *d = ctx;

	fastpaths_put(d->fastpaths, 0, CTL_SESSION_DEL, del, sizeof(*del));
}

static void put_policy(void *ctx, const struct ctl_policy *p)
{
	const struct daemon *d = ctx;

	fastpaths_put(d->fastpaths, 0, CTL_POLICY, p, sizeof(*p));
}

static void put_user(void *ctx, const struct ctl_user_down *u, const uint8_t *bytes, size_t len)
{
	const struct daemon *d = ctx;

	fastpaths_put_user(d->fastpaths, 0, u, bytes, len);
}

static bool key_of(void *ctx, uint64_t net64, struct pubkey *out)
{
	const struct daemon *d = ctx;

	return node_key_of(d->node, net64, out);
}

static void random_bytes(void *ctx, void *out, size_t len)
{
	(void)ctx;
	randombytes_buf(out, len);
}

static void set_pin(void *ctx, const struct record_pin *p)
{
	const struct daemon *d = ctx;

	store_set_pin(d->store, p);
}

static void set_mode(void *ctx, const struct record_mode *m)
{
	const struct daemon *d = ctx;

	store_set_mode(d->store, m);
}

/* Until it is open, the store is not ours to be asked: what the keyring does not take of it goes then. */
static bool is_early(struct daemon *d, uint64_t net64, bool is_mode)
{
	if (d->store)
		return false;
	d->refuse = reallocarray(d->refuse, d->refuse_count + 1, sizeof(*d->refuse));
	assert(d->refuse);
	d->refuse[d->refuse_count++] = (struct daemon_refuse){.net64 = net64, .is_mode = is_mode};
	return true;
}

static void del_pin(void *ctx, uint64_t net64)
{
	struct daemon *d = ctx;

	if (!is_early(d, net64, false))
		store_del_pin(d->store, net64);
}

static void del_mode(void *ctx, uint64_t net64)
{
	struct daemon *d = ctx;

	if (!is_early(d, net64, true))
		store_del_mode(d->store, net64);
}

static void forget_refuse(struct daemon *d)
{
	free(d->refuse);
	d->refuse = NULL;
	d->refuse_count = 0;
}

static void on_event(void *ctx, const struct session_event *e)
{
	daemon_api_session(ctx, e);
}

static const struct keyring_ops keyring_ops = {
	.session_key = put_session_key,
	.session_move = put_session_move,
	.session_del = put_session_del,
	.policy = put_policy,
	.user = put_user,
	.key_of = key_of,
	.random = random_bytes,
	.pin_set = set_pin,
	.pin_del = del_pin,
	.mode_set = set_mode,
	.mode_del = del_mode,
	.event = on_event,
};

/* Birth and death. */

bool daemon_keyring_load(struct daemon *d)
{
	const struct option_list *files = &d->options->network_keys;
	char error[NETWORK_KEY_ERROR_BYTES];

	if (!session_is_possible()) {
		/* A network key implies it. */
		if (d->options->session == SESSION_REQUIRE) {
			daemon_say_error("this processor lacks AES instructions, so that there are no sessions, which "
					 "--session require and --network-key need");
			return false;
		}
		if (d->options->session != SESSION_OFF)
			log_warn("this processor lacks AES instructions: no sessions");
	}
	if (files->count == 0)
		return true;
	d->network_keys = sodium_malloc(SESSION_NETWORK_KEYS * sizeof(*d->network_keys));
	if (!d->network_keys) {
		daemon_say_error("no memory for the network keys can be locked");
		return false;
	}
	if (network_key_load_all(files->items, files->count, d->network_keys, error) == 0)
		return true;
	daemon_say_error(error);
	return false;
}

void daemon_keyring_new(struct daemon *d)
{
	const struct keyring_config c = {
		.network = d->network,
		.pk = d->identity.pk,
		.sk = d->identity.sk,
		.mode = d->options->session,
		.network_keys = d->network_keys,
		.network_key_count = (uint8_t)d->options->network_keys.count,
	};

	keyring_free(d->keyring);
	forget_refuse(d);
	d->keyring = session_is_possible() ? keyring_new(&c, &keyring_ops, d, daemon_session_time()) : NULL;
}

/* It is made by the first fastpath that begins, or comes from one that runs; in both cases it stays. */
static void give_memory(struct daemon *d)
{
	struct lanes *lanes = fastpaths_lanes(d->fastpaths);

	if (!lanes || d->keyring_has_memory)
		return;
	keyring_memory(d->keyring, lanes);
	d->keyring_has_memory = true;
}

/* Keys and nonces of the time before must not be used any more, static ones included. */
static void on_cloned(void *ctx)
{
	struct daemon *d = ctx;
	struct lanes *lanes = fastpaths_lanes(d->fastpaths);

	log_warn(
		"this machine was cloned or rolled back, or may have been: all session keys end, new nonces are drawn");
	if (d->keyring) {
		give_memory(d);
		keyring_raise_generation(d->keyring, daemon_session_time());
	} else if (lanes) {
		__atomic_fetch_add(&lanes->header.generation, 1, __ATOMIC_RELEASE);
	}
	daemon_settle(d);
}

void daemon_keyring_begin(struct daemon *d)
{
	static const struct uevent_ops ops = {.cloned = on_cloned};

	/* sodium_free() wipes. */
	sodium_free(d->network_keys);
	d->network_keys = NULL;
	for (size_t i = 0; i < d->refuse_count; i++)
		(d->refuse[i].is_mode ? del_mode : del_pin)(d, d->refuse[i].net64);
	forget_refuse(d);
	d->uevent = uevent_new(d->loop, &ops, d);
	if (!d->uevent)
		log_info("whether this machine is cloned or rolled back cannot be seen: %s", strerror(errno));
}

void daemon_keyring_free(struct daemon *d)
{
	uevent_free(d->uevent);
	keyring_free(d->keyring);
	forget_refuse(d);
}

/* To the keyring. */

void daemon_keyring_start(struct daemon *d)
{
	d->fastpath_is_ready = true;
	if (!d->keyring)
		return;
	give_memory(d);
	keyring_start(d->keyring, daemon_session_time());
}

void daemon_keyring_lost(struct daemon *d)
{
	d->fastpath_is_ready = false;
	/* Of a node that ends, the end of each session is no news. */
	if (d->keyring && !d->stopping)
		keyring_fastpath_lost(d->keyring, daemon_session_time());
}

void daemon_keyring_record(struct daemon *d, enum ctl_type type, const void *body)
{
	const struct session_time t = daemon_session_time();

	if (!d->keyring)
		return;
	if (d->fastpath_is_ready) {
		keyring_on_record(d->keyring, type, body, t);
		return;
	}
	give_memory(d);
	if (type == CTL_SESSION_INFO && d->keyring_has_memory)
		keyring_found_session(d->keyring, body, t);
	else if (type == CTL_KEY_INFO)
		keyring_found_key(d->keyring, body, t);
}

struct mono daemon_keyring_tick(struct daemon *d)
{
	return d->keyring ? keyring_tick(d->keyring, daemon_session_time()) : MONO_NEVER;
}
