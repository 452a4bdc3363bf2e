/* SPDX-License-Identifier: Apache-2.0 */
/* One attempt to connect: the name is resolved in the background, one of its addresses is chosen, a socket is
 * connected. */
#ifndef CONTROLD_LINKS_DIAL_H
#define CONTROLD_LINKS_DIAL_H

#include "controld/links/target.h"
#include "controld/loop.h"

struct dial;

enum { DIAL_ERROR_BYTES = 160 };

struct dial_result {
	int fd; /* becomes the callee's; -1: failed */
	struct endpoint local, remote; /* remote: family 0 where no address was found */
	const char *error; /* a sentence where it failed; gone with the dial */
};

/* turn chooses among the addresses of a name: the n-th, and around again. done comes from the loop, once, never from
 * within this call; afterwards the dial is to be freed (also from inside done). overlay is borrowed until then. */
struct dial *dial_new(struct loop *l, const struct target *t, const struct prefix *overlay, unsigned turn,
		      void (*done)(void *ctx, const struct dial_result *r), void *ctx);
/* Before done: gives the attempt up. */
void dial_free(struct dial *d);

#endif
