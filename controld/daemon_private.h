/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the daemon share. */
#ifndef CONTROLD_DAEMON_PRIVATE_H
#define CONTROLD_DAEMON_PRIVATE_H

#include "controld/api/api.h"
#include "controld/daemon.h"
#include "controld/kernel/fastpaths.h"
#include "controld/kernel/rtnl.h"
#include "controld/kernel/tun.h"
#include "controld/kernel/uevent.h"
#include "controld/keyring.h"
#include "controld/links/accept.h"
#include "controld/links/discover.h"
#include "controld/links/peers.h"
#include "controld/loop.h"
#include "controld/node.h"
#include "controld/post.h"
#include "controld/rundir.h"
#include "controld/store/store.h"

enum { DAEMON_SIGNALS = 5, DAEMON_ERROR_BYTES = 512 };

/* A pin or a mode that the keyring does not take from the store. */
struct daemon_refuse {
	uint64_t net64;
	bool is_mode;
};

struct daemon {
	const struct options *options;
	const struct network *network;
	struct identity identity;
	struct rundir rundir;
	struct loop *loop;
	struct rtnl *rtnl;
	struct tun tun;
	bool has_tun;
	struct fastpaths *fastpaths;
	struct ctl_config wanted, found; /* of the fastpath; found: network 0 where none was */
	struct node *node;
	struct peers *peers;
	struct acceptor *acceptor;
	struct discover *discover;
	struct store *store;
	bool store_is_volatile; /* no folder could be had */
	bool state_is_lasting; /* it outlives a reboot */
	struct post *post;
	struct session_psk *network_keys; /* owned, in locked memory; NULL: none, or the keyring has them */
	struct keyring *keyring; /* NULL: this processor cannot make sessions */
	struct daemon_refuse *refuse; /* owned */
	size_t refuse_count;
	bool keyring_has_memory; /* the one that is shared with the fastpath */
	bool fastpath_is_ready; /* what it says from here on are events, not what it held when found */
	struct uevent *uevent; /* NULL: cannot be had */
	struct api *api; /* NULL: --api-addr none */
	struct loop_timer *timer; /* of node, post and keyring */
	struct loop_signal *signals[DAEMON_SIGNALS];
	bool started; /* the node is, and all that reaches out */
	bool settling, unsettled;
	bool stopping;
	unsigned ends; /* of those that must end before we do */
	int exit_code;
};

/* daemon.c */
/* Does what an event left to do. */
void daemon_settle(struct daemon *d);
/* Ends everything in order; loop_run() returns then. */
void daemon_stop(struct daemon *d, int exit_code);
/* As the documented errors look; the log's form is for events. */
void daemon_say_error(const char *sentence);
/* Says the sentence and stops. */
void daemon_fail(struct daemon *d, const char *sentence);

struct post_time daemon_time(void);

/* daemon_ops.c */
extern const struct node_ops daemon_node_ops;
extern const struct peers_ops daemon_peers_ops;
extern const struct acceptor_ops daemon_acceptor_ops;
extern const struct discover_ops daemon_discover_ops;
extern const struct rtnl_ops daemon_rtnl_ops;

/* daemon_fastpath.c */
extern const struct fastpaths_ops daemon_fastpaths_ops;
/* The program: of the option, beside ours, or where it is installed. */
void daemon_find_program(const char *given, char *out, size_t size);

/* daemon_start.c */
/* The first fastpath is ready: the node, and all that reaches out. */
void daemon_start(struct daemon *d);

/* daemon_post.c: the store, and what passes between it, the post and the fastpath */
/* False: said why. */
MUST_CHECK bool daemon_post_open(struct daemon *d);
void daemon_post_close(struct daemon *d);
void daemon_post_packet(struct daemon *d, const struct ctl_user_up *u, const uint8_t *bytes, size_t len);

/* daemon_keyring.c: sessions, and what passes between the keyring, the fastpath, the store and the API */
struct session_time daemon_session_time(void);
/* Reads the network keys, while we may read what root may. False: said why. */
MUST_CHECK bool daemon_keyring_load(struct daemon *d);
/* A fresh one, also in the place of another. */
void daemon_keyring_new(struct daemon *d);
/* What the store held is known: the keys are wiped, and the machine is watched for being cloned. */
void daemon_keyring_begin(struct daemon *d);
void daemon_keyring_free(struct daemon *d);
/* The fastpath takes records, and the node has told it its routes. */
void daemon_keyring_start(struct daemon *d);
void daemon_keyring_lost(struct daemon *d);
void daemon_keyring_record(struct daemon *d, enum ctl_type type, const void *body);
struct mono daemon_keyring_tick(struct daemon *d);

/* daemon_api.c: what the API asks */
/* False: said why. */
MUST_CHECK bool daemon_api_open(struct daemon *d);
void daemon_api_route(const struct daemon *d, const struct ctl_route *r);
void daemon_api_route_del(const struct daemon *d, const struct prefix *p);
void daemon_api_link(const struct daemon *d, const struct node_link *l, enum api_event_change change);
void daemon_api_link_cost(const struct daemon *d, uint32_t link, uint32_t cost);
void daemon_api_session(const struct daemon *d, const struct session_event *e);
/* The handle of a peer by its text; 0: none. */
uint64_t daemon_api_peer_find(const struct daemon *d, const char *text);
void daemon_api_peer(const struct daemon *d, enum api_event_change change, const char *endpoint);

/* daemon_stats.c */
uint64_t daemon_stat(const struct daemon *d, enum stat_id which);
const char *daemon_session_counter_name(enum session_counter which);
void daemon_print_stats(const struct daemon *d, FILE *out);

#endif
