/* SPDX-License-Identifier: Apache-2.0 */
/* A node whose world writes down what it is asked, with the real babel. Time is a number that the test moves. */
#ifndef TESTS_SUPPORT_NODE_WORLD_H
#define TESTS_SUPPORT_NODE_WORLD_H

#include "controld/node.h"

enum {
	NODE_WORLD_TLVS = 256,
	NODE_WORLD_KEYS = 4096,
	NODE_WORLD_NOTES = 64,
	NODE_WORLD_UPDATE = 8,
	NODE_WORLD_UPDATE_LEN = 66
};

struct sent_tlv {
	uint32_t link;
	size_t len;
	uint8_t bytes[80];
};

/* What the node asked of the world. */
struct node_world {
	struct node *n;
	struct identity id;
	struct mono now;
	struct sent_tlv tlvs[NODE_WORLD_TLVS];
	unsigned tlv_count;
	struct ctl_route routes[NODE_WORLD_NOTES];
	unsigned route_count;
	struct prefix dels[NODE_WORLD_NOTES];
	unsigned del_count;
	struct ctl_link_cost costs[NODE_WORLD_NOTES];
	unsigned cost_count;
	struct ctl_link_close closes[NODE_WORLD_NOTES];
	unsigned close_count;
	struct ctl_key keys[NODE_WORLD_KEYS];
	unsigned key_count;
	uint64_t no_keys[NODE_WORLD_NOTES];
	unsigned no_key_count;
	struct ctl_node self;
	unsigned self_count;
	struct ctl_adopt adopts[2048];
	unsigned adopt_count;
	bool refuse_adopt;
	uint64_t gone_peer;
	int64_t gone_lived_us;
	char gone_reason[160];
	unsigned gone_count;
	bool refuse_keys; /* new ones */
	unsigned learn_asked;
	int links_up; /* as link_changed says */
};

/* Another node: its key, address and router id. */
struct node_other {
	struct identity id;
	struct router_id rid;
};

/* Before node_start(). */
struct node_world *node_world_new(void);
void node_world_free(struct node_world *w);
struct node_world *node_world_started(void);

/* A node of wire-200 9.2: key bytes counted up from first. The caller ends its identity. */
void node_world_other(struct node_other *o, uint8_t first);

/* A descriptor to be given away. */
int node_world_fd(void);
struct ctl_adopt node_world_adopt(const char *local, const char *remote, uint32_t flags, uint64_t peer);
/* A new link; its id. */
uint32_t node_world_link(struct node_world *w, const char *local, const char *remote, uint32_t flags, uint64_t peer);
/* A dialled one of peer 77. */
uint32_t node_world_link_out(struct node_world *w, const char *remote);
/* A round trip of the link. */
void node_world_rtt(struct node_world *w, uint32_t link, uint32_t rtt_us);
/* An Update of that node's /64 arrives. */
void node_world_update(struct node_world *w, uint32_t link, const struct node_other *o, uint16_t seqno,
		       uint16_t metric);
const struct ctl_route *node_world_last_route(const struct node_world *w);

#endif
