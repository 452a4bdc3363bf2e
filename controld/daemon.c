/* SPDX-License-Identifier: Apache-2.0 */
/* Birth and death of the daemon: identity, run directory and rights first, then the adapters, then the fastpath; the
 * rest follows from its being ready (daemon_fastpath.c). */
#define LOG_MODULE "daemon"
#include "controld/daemon_private.h"
#include "controld/kernel/caps.h"
#include "shared/base/log.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <unistd.h>

enum { WORKERS = 1, PROGRAM_BYTES = 1100 };

/* What comes of it may be an event of its own (a delivery to the API): then once more, not deeper. */
void daemon_settle(struct daemon *d)
{
	struct mono due = MONO_NEVER;

	d->unsettled = true;
	if (d->settling)
		return;
	d->settling = true;
	while (d->unsettled) {
		d->unsettled = false;
		due = mono_min(node_tick(d->node, mono_now()), post_tick(d->post, daemon_time()));
		due = mono_min(due, daemon_keyring_tick(d));
	}
	d->settling = false;
	loop_timer_at(d->timer, due);
	fastpaths_flush(d->fastpaths);
	store_flush(d->store);
}

static void on_timer(void *ctx, struct mono now)
{
	(void)now;
	daemon_settle(ctx);
}

static void on_stopped(void *ctx)
{
	struct daemon *d = ctx;

	if (--d->ends == 0)
		loop_stop(d->loop);
}

void daemon_stop(struct daemon *d, int exit_code)
{
	if (d->stopping)
		return;
	d->stopping = true;
	d->exit_code = exit_code;
	node_end(d->node);
	d->ends = d->api ? 2 : 1;
	if (d->api)
		api_stop(d->api, on_stopped, d);
	fastpaths_stop(d->fastpaths, on_stopped, d);
}

/* The way the documented errors look; the log's form is for events. */
void daemon_say_error(const char *sentence)
{
	fprintf(stderr, "Error: %s\n", sentence);
}

void daemon_fail(struct daemon *d, const char *sentence)
{
	if (!d->stopping)
		daemon_say_error(sentence);
	daemon_stop(d, 1);
}

static void on_signal(void *ctx, int number)
{
	struct daemon *d = ctx;

	if (number == SIGUSR1) {
		node_dump(d->node, stdout);
		fflush(stdout);
	} else if (number == SIGUSR2) {
		daemon_print_stats(d, stdout);
		fflush(stdout);
	} else {
		log_info("ending: %s", strsignal(number));
		daemon_stop(d, 0);
	}
}

static bool load_identity(struct daemon *d)
{
	char error[IDENTITY_ERROR_BYTES], warning[IDENTITY_ERROR_BYTES], address[IP6_TEXT_BYTES],
		key[PUBKEY_TEXT_BYTES];

	if (identity_load(&d->identity, d->network, d->options->key_file, error, warning) < 0) {
		daemon_say_error(error);
		return false;
	}
	if (warning[0])
		log_warn("%s", warning);
	log_info("Node address: %s", ip6_print(&d->identity.address, address));
	log_info("Router created. Pubkey: %s", pubkey_print(&d->identity.pk, key));
	return true;
}

/* What needs the rights of a user who may do more, and then the end of those rights. */
static bool settle_down(struct daemon *d)
{
	char error[RUNDIR_ERROR_BYTES], id[IDENTITY_ID_BYTES];
	int r;

	if (!d->options->no_tun && !caps_have_net_admin()) {
		daemon_say_error("the TUN interface needs root or CAP_NET_ADMIN: start it as root, or with --no-tun");
		return false;
	}
	if (rundir_open(&d->rundir, d->options->run_dir, identity_id(&d->identity.pk, id), error) < 0) {
		daemon_say_error(error);
		return false;
	}
	r = caps_drop();
	if (r == 0)
		return true;
	daemon_say_error("the rights that are not needed cannot be given up");
	rundir_remove(&d->rundir);
	return false;
}

static struct ctl_config fastpath_config(const struct daemon *d)
{
	const struct options *o = d->options;
	struct ctl_config c = {
		.network = d->network->number,
		.flags = (o->no_tun ? CTL_CONFIG_NO_TUN : 0U) | (o->no_offload ? CTL_CONFIG_NO_OFFLOAD : 0U),
		.workers = WORKERS,
		.tun_mtu = o->tun_mtu,
		.log_level = log_level,
		.pool_chunks = LIMIT_POOL_CHUNKS,
		.port = o->port,
		.address = d->identity.address,
	};

	memcpy(c.public_key, d->identity.pk.b, sizeof(c.public_key));
	return c;
}

static void make_signals(struct daemon *d)
{
	static const int signals[DAEMON_SIGNALS] = {SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGHUP};
	struct sigaction hangup;

	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < DAEMON_SIGNALS; i++) {
		/* Who was started by nohup outlives its terminal. */
		if (signals[i] == SIGHUP && sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler == SIG_IGN)
			continue;
		d->signals[i] = loop_signal_new(d->loop, signals[i], on_signal, d);
	}
}

static bool make_adapters(struct daemon *d)
{
	const struct node_config node = {.network = d->network, .identity = &d->identity};
	const struct peers_config peers = {.overlay = d->network->overlay, .default_port = d->network->default_port};
	char program[PROGRAM_BYTES], error[256];

	d->rtnl = rtnl_new(d->loop, &daemon_rtnl_ops, d);
	if (!d->rtnl) {
		snprintf(error, sizeof(error), "netlink is not available: %s", strerror(errno));
		daemon_say_error(error);
		return false;
	}
	daemon_find_program(d->options->fastpath, program, sizeof(program));
	d->wanted = fastpath_config(d);
	d->fastpaths = fastpaths_new(
		d->loop,
		&(const struct fastpaths_config){.program = program, .run_dir = d->rundir.path, .config = d->wanted},
		&daemon_fastpaths_ops, d);
	d->node = node_new(&node, &daemon_node_ops, d, mono_now());
	d->peers = peers_new(d->loop, &peers, &daemon_peers_ops, d);
	d->timer = loop_timer_new(d->loop, on_timer, d);
	if (!daemon_post_open(d))
		return false;
	daemon_keyring_begin(d);
	if (!daemon_api_open(d))
		return false;
	if (fastpaths_start(d->fastpaths, error) < 0) {
		daemon_say_error(error);
		return false;
	}
	return true;
}

static void free_all(struct daemon *d)
{
	for (int i = 0; i < DAEMON_SIGNALS; i++)
		loop_signal_free(d->signals[i]);
	loop_timer_free(d->timer);
	api_free(d->api);
	daemon_keyring_free(d);
	daemon_post_close(d);
	discover_free(d->discover);
	acceptor_free(d->acceptor);
	peers_free(d->peers);
	rtnl_free(d->rtnl);
	node_free(d->node);
	fastpaths_free(d->fastpaths);
	if (d->has_tun)
		tun_close(&d->tun);
	loop_free(d->loop);
}

int daemon_run(const struct options *o, const struct network *n)
{
	struct daemon d = {.options = o, .network = n, .exit_code = 1};

	caps_limits();
	if (!load_identity(&d))
		return 1;
	if (daemon_keyring_load(&d) && settle_down(&d)) {
		d.loop = loop_new();
		assert(d.loop);
		make_signals(&d);
		if (make_adapters(&d))
			loop_run(d.loop);
		free_all(&d);
		rundir_remove(&d.rundir);
	}
	/* What a keyring was not made of. */
	sodium_free(d.network_keys);
	identity_fini(&d.identity);
	return d.exit_code;
}
