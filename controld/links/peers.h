/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints to be connected to, configured or discovered: names resolved anew for each try, dialled with back-off and
 * jitter, redialled when their link died. Knows sockets, not what travels on them. */
#ifndef CONTROLD_LINKS_PEERS_H
#define CONTROLD_LINKS_PEERS_H

#include "controld/loop.h"
#include "shared/base/ip.h"

struct peers;

/* A connected TCP socket. */
struct links_socket {
	int fd; /* becomes the callee's */
	struct endpoint local, remote;
	uint32_t flags; /* CTL_LINK_* */
	uint64_t peer; /* peers_add()'s handle; 0: inbound */
};

struct peers_ops {
	void (*connected)(void *ctx, const struct links_socket *s);
	/* false: no other link now, try later; a sentence in *why */
	bool (*has_room)(void *ctx, const char **why);
	uint32_t (*random)(void *ctx);
};

struct peers_config {
	struct prefix overlay; /* an underlay address in here is refused, each time a name resolves */
	uint16_t default_port;
};

struct peer_info {
	uint64_t peer;
	const char *text; /* as given, borrowed */
	struct endpoint remote; /* last tried; family 0: none yet */
	uint32_t flags;
	bool up;
	struct mono next_try;
	const char *last_error; /* "" or a sentence, borrowed */
	struct mono last_error_at;
};

struct peers *peers_new(struct loop *l, const struct peers_config *c, const struct peers_ops *ops, void *ctx);
void peers_free(struct peers *p);
/* text: 203.0.113.5:9651, [v6]:port, [fe80::1%eth0]:port, tcp://host:port, host:port. flags: CTL_LINK_STATIC or
 * _DISCOVERED. The handle (a keyed hash of the text, so a restarted controld finds the same one), or 0 with a sentence
 * in *why. Adding one that is there returns it. Dialling starts at once unless peers_link_up() is called for it before
 * the loop runs. */
uint64_t peers_add(struct peers *p, const char *text, uint32_t flags, const char **why);
void peers_del(struct peers *p, uint64_t peer);
/* A link of this peer lives (adopted from a running fastpath) / has died: dial again. lived: how long it was up. */
void peers_link_up(struct peers *p, uint64_t peer);
void peers_link_down(struct peers *p, uint64_t peer, int64_t lived_us, const char *reason);
/* Something changed on the network (interface or address came): what waits for its next try is tried now. */
void peers_hurry(struct peers *p);
void peers_each(const struct peers *p, void (*fn)(void *ctx, const struct peer_info *i), void *ctx);

/* True if text is an endpoint as peers_add() takes it; else a sentence in *why. */
bool peers_check(const char *text, const struct prefix *overlay, const char **why);

#endif
