/* SPDX-License-Identifier: Apache-2.0 */
/* What passes between the post, the store and the fastpath. Where no folder can be had for the store, it lives in
 * memory only, which is said loudly: the node must route. */
#define LOG_MODULE "daemon"
#include "controld/daemon_private.h"
#include "controld/statedir.h"
#include "shared/base/log.h"

#include <time.h>

enum { HOP_LIMIT = 64, STATE_PATH_BYTES = 4096 };

struct post_time daemon_time(void)
{
	return (struct post_time){.mono = mono_now(), .real_s = time(NULL)};
}

/* From the post. */

static void send_user(void *ctx, const struct ip6 *src, const struct ip6 *dst, const uint8_t *bytes, size_t len)
{
	const struct daemon *d = ctx;
	const struct ctl_user_down u = {.src = *src, .dst = *dst, .type = WIRE_USER_MESSAGE, .hop_limit = HOP_LIMIT};

	/* To one outside, which the API takes and which ends as aborted, there is no way. */
	if (prefix_has(&d->network->overlay, dst))
		fastpaths_put_user(d->fastpaths, 0, &u, bytes, len);
}

static bool key_of(void *ctx, const struct ip6 *src, uint8_t public_key[32])
{
	const struct daemon *d = ctx;
	struct pubkey pk;

	if (prefix_has(&d->identity.own, src))
		pk = d->identity.pk;
	else if (!node_key_of(d->node, ip6_net64(src), &pk))
		return false;
	memcpy(public_key, pk.b, sizeof(pk.b));
	return true;
}

static void random_bytes(void *ctx, void *out, size_t len)
{
	(void)ctx;
	randombytes_buf(out, len);
}

static void add_order(void *ctx, const struct record_order *o)
{
	const struct daemon *d = ctx;

	store_add_order(d->store, o);
}

static void add_message(void *ctx, const struct record_message *m)
{
	const struct daemon *d = ctx;

	store_add_message(d->store, m);
}

static void load_message(void *ctx, uint64_t row)
{
	const struct daemon *d = ctx;

	store_load_message(d->store, row);
}

static void end_order(void *ctx, uint64_t row, uint8_t state)
{
	const struct daemon *d = ctx;

	store_end_order(d->store, row, state);
}

static void del_order(void *ctx, uint64_t row)
{
	const struct daemon *d = ctx;

	store_del_order(d->store, row);
}

static void del_message(void *ctx, uint64_t row)
{
	const struct daemon *d = ctx;

	store_del_message(d->store, row);
}

static void on_status(void *ctx, const struct message_status *s)
{
	const struct daemon *d = ctx;

	if (d->api)
		api_on_status(d->api, s);
}

static const struct post_ops post_ops = {
	.send = send_user,
	.key = key_of,
	.random = random_bytes,
	.add_order = add_order,
	.add_message = add_message,
	.load_message = load_message,
	.end_order = end_order,
	.del_order = del_order,
	.del_message = del_message,
	.status = on_status,
};

/* From the store. */

static void found_pin(void *ctx, const struct record_pin *p)
{
	const struct daemon *d = ctx;

	if (d->keyring)
		keyring_found_pin(d->keyring, p, daemon_session_time());
}

static void found_mode(void *ctx, const struct record_mode *m)
{
	const struct daemon *d = ctx;

	if (d->keyring)
		keyring_found_mode(d->keyring, m, daemon_session_time());
}

static void found_order(void *ctx, const struct record_order *o)
{
	const struct daemon *d = ctx;

	post_found_order(d->post, o, daemon_time());
}

static void found_message(void *ctx, const struct record_message *m)
{
	const struct daemon *d = ctx;

	post_found_message(d->post, m);
}

static void found_past(void *ctx, const struct record_message *m)
{
	const struct daemon *d = ctx;

	post_found_past(d->post, m, daemon_time());
}

static void on_order_stored(void *ctx, uint64_t row, int error)
{
	const struct daemon *d = ctx;

	post_order_stored(d->post, row, error, daemon_time());
}

static void on_message_stored(void *ctx, uint64_t row, int error)
{
	const struct daemon *d = ctx;

	post_message_stored(d->post, row, error, daemon_time());
}

static void on_loaded(void *ctx, uint64_t row, int error, uint8_t *payload, size_t len)
{
	const struct daemon *d = ctx;

	post_loaded(d->post, row, error, payload, len);
}

static void on_settled(void *ctx)
{
	daemon_settle(ctx);
}

static const struct store_ops store_ops = {
	.found_pin = found_pin,
	.found_mode = found_mode,
	.found_order = found_order,
	.found_message = found_message,
	.found_past = found_past,
	.order_stored = on_order_stored,
	.message_stored = on_message_stored,
	.loaded = on_loaded,
	.settled = on_settled,
};

static int open_at(struct daemon *d, const char *dir, char error[STORE_ERROR_BYTES])
{
	const struct store_config c = {.dir = dir, .now_s = time(NULL)};
	struct post_config post = {
		.self = d->identity.address,
		.own = d->identity.own,
		.max_length = d->options->max_message,
		.inbox_count = d->options->inbox_count,
		.inbox_bytes = d->options->inbox_bytes,
	};

	/* What a store told before it failed is not to be believed. */
	post_free(d->post);
	memcpy(post.public_key, d->identity.pk.b, sizeof(post.public_key));
	d->post = post_new(&post, &post_ops, d);
	daemon_keyring_new(d);
	return store_open(d->loop, &c, &store_ops, d, &d->store, error);
}

static bool open_store(struct daemon *d)
{
	char dir[STATE_PATH_BYTES], error[STORE_ERROR_BYTES], id[IDENTITY_ID_BYTES];

	if (statedir_find(d->options->state_dir, identity_id(&d->identity.pk, id), dir, sizeof(dir), error,
			  sizeof(error)) == 0 &&
	    open_at(d, dir, error) == 0) {
		d->state_is_lasting = statedir_is_lasting(dir);
		if (!d->state_is_lasting)
			log_warn("pins and messages are lost at a reboot: the state folder %s is on a tmpfs; "
				 "name another with --state-dir",
				 dir);
		return true;
	}
	/* What was asked for by name is not silently done without. */
	if (d->options->state_dir) {
		daemon_say_error(error);
		return false;
	}
	log_err("pins and messages will not survive a restart: %s; name a folder with --state-dir", error);
	d->store_is_volatile = true;
	if (open_at(d, NULL, error) == 0)
		return true;
	daemon_say_error(error);
	return false;
}

bool daemon_post_open(struct daemon *d)
{
	if (!open_store(d))
		return false;
	post_begin(d->post, store_epoch(d->store), store_last_order(d->store), store_last_message(d->store));
	return true;
}

void daemon_post_close(struct daemon *d)
{
	store_free(d->store);
	post_free(d->post);
}

void daemon_post_packet(struct daemon *d, const struct ctl_user_up *u, const uint8_t *bytes, size_t len)
{
	if (u->type == WIRE_USER_MESSAGE)
		post_packet(d->post, &u->src, &u->dst, bytes, len, daemon_time());
}
