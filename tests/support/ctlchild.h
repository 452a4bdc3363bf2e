/* SPDX-License-Identifier: Apache-2.0 */
/* A control thread of fastpath in a child process, with all it has to be given. The program brings the workers:
 * tests/unit/control_worker.h. Everything that goes wrong fails the test. */
#ifndef TESTS_SUPPORT_CTLCHILD_H
#define TESTS_SUPPORT_CTLCHILD_H

#include "fastpath/control_state.h"
#include "shared/lanes.h"
#include "tests/support/ctlpeer.h"
#include <sys/types.h>

enum {
	CTLCHILD_WORKERS = 2,
	/* TLVs that a stand-in worker obeys; others come back as they are. */
	CTLCHILD_ECHO = 100,
	CTLCHILD_LOOK_UP, /* address; comes back with the link and the key slot in its place */
	CTLCHILD_GATE, /* waits until the test opens the gate, then comes back */
	CTLCHILD_GATE_DOWN, /* the same, and the link goes down */
	CTLCHILD_GATE_EPOCH, /* comes back within a batch, which ends when the test opens the gate */
	CTLCHILD_LOOK_KEY, /* net64; comes back as struct ctlchild_key */
	CTLCHILD_USE_KEY, /* struct ctlchild_use: packets are counted; comes back when they are */
	CTLCHILD_SAY, /* comes back as one record of each kind about sessions */
};

/* What a worker finds of the static key of a /64. */
struct ctlchild_key {
	uint64_t net64;
	uint32_t slot; /* 0: none */
	uint8_t way, refuse_static, wanted, reserved;
	uint32_t session, session_before; /* indices; 0: none */
};

/* Traffic: under the session key with the index, or, with index 0, under the static key of the /64. */
struct ctlchild_use {
	uint64_t net64;
	uint32_t index;
	uint32_t packets;
};

struct ctlchild {
	char dir[64], path[96];
	pid_t child;
	int gate, memory_fd;
	int tun[CTLCHILD_WORKERS][2]; /* [0] is given away, [1] stays */
	struct lanes *lanes;
	struct ctlpeer a, b;
	struct control_times times;
	bool reaped;
};

extern int ctlchild_gate; /* eventfd, semaphore; known to the child */
extern size_t ctlchild_locked_bytes; /* that the next child may lock */

void ctlchild_begin(struct ctlchild *w, int64_t fresh_ms, int64_t grace_ms);
int ctlchild_end(struct ctlchild *w);
/* The child ends by itself with this code. */
void ctlchild_ends(struct ctlchild *w, int code);
/* STOP, and it ends well. */
void ctlchild_stop(struct ctlchild *w, struct ctlpeer *c);

/* HELLO to a child that runs nothing. */
void ctlchild_greet(struct ctlpeer *c);
struct ctl_config ctlchild_config(void);
int ctlchild_memory(size_t bytes, bool sealed, struct lanes **out);
void ctlchild_put_memory(struct ctlpeer *c, int fd, uint8_t first_of_id);
void ctlchild_put_tuns(const struct ctlchild *w, struct ctlpeer *c);
void ctlchild_put_start(struct ctlpeer *c);
/* From a fresh child to running workers. */
void ctlchild_start(const struct ctlchild *w, struct ctlpeer *c);

/* Gives one end of a new connection away, waits until the worker wrote to it, and returns the other. */
int ctlchild_adopt(struct ctlpeer *c, uint32_t link);
void ctlchild_put_tlv(struct ctlpeer *c, uint32_t link, uint8_t type, const void *value, uint8_t len);
void ctlchild_open_gate(const struct ctlchild *w);
/* Over any link that is up. */
struct ctlchild_key ctlchild_look_key(struct ctlpeer *c, uint32_t link, uint64_t net64);
void ctlchild_use_key(struct ctlpeer *c, uint32_t link, uint64_t net64, uint32_t index, uint32_t packets);
/* The link that the worker of link `via` finds for an address. */
uint32_t ctlchild_link_to(struct ctlpeer *c, uint32_t via, const char *address);
struct ctl_route ctlchild_route(const char *text, uint32_t link);
void ctlchild_put_route(struct ctlpeer *c, const char *text, uint32_t link);

#endif
