/* SPDX-License-Identifier: Apache-2.0 */
/* A test as the other side of ctl: a connection to a fastpath, and what came over it. Everything that goes wrong fails
 * the test. */
#ifndef TESTS_SUPPORT_CTLPEER_H
#define TESTS_SUPPORT_CTLPEER_H

#include "shared/base/ctlsock.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ctlseen {
	enum ctl_type type;
	size_t len;
	int fd;
	bool taken;
	uint8_t body[1600] __attribute__((aligned(8)));
};

struct ctlpeer {
	struct ctlsock *s;
	bool gone;
	struct ctlseen *seen;
	size_t count, taken;
};

void ctlpeer_connect(struct ctlpeer *c, const char *path);
/* Also closes the descriptors that came. */
void ctlpeer_hang_up(struct ctlpeer *c);
/* Sends, waits for something to come, and takes it in. */
void ctlpeer_pump(struct ctlpeer *c);
/* The first record of the type not yet taken, waiting for it. */
const struct ctlseen *ctlpeer_await(struct ctlpeer *c, enum ctl_type type);
/* The next record of any type, which has to be this one. */
const struct ctlseen *ctlpeer_next(struct ctlpeer *c, enum ctl_type type);
/* One has come and is not yet taken. */
bool ctlpeer_has_seen(const struct ctlpeer *c, enum ctl_type type);
void ctlpeer_put(struct ctlpeer *c, enum ctl_type type, const void *body, size_t len);
/* Everything sent before has been handled when this returns. */
void ctlpeer_sync(struct ctlpeer *c);
void ctlpeer_hello(struct ctlpeer *c, uint32_t version);

int ctlpeer_memfd(size_t bytes, bool sealed);
bool ctlpeer_same_file(int a, int b);

#endif
