/* SPDX-License-Identifier: Apache-2.0 */
/* What the user may write as a peer: 203.0.113.5:9651, [v6]:port, [fe80::1%eth0]:port, host:port, and each after
 * tcp://, where the port may be left out. Pure but for the look-up of an interface's name. */
#ifndef CONTROLD_LINKS_TARGET_H
#define CONTROLD_LINKS_TARGET_H

#include "shared/base/ip.h"
#include <stdbool.h>
#include <stdint.h>

enum { TARGET_HOST_BYTES = 254 };

struct target {
	char host[TARGET_HOST_BYTES]; /* name or address, without brackets and scope */
	char scope[16]; /* interface, name or number; "": none */
	uint16_t port; /* 0: the default one */
	bool literal; /* host is an address */
};

/* Reads text and refuses literal addresses inside the overlay (may be NULL). False with a sentence in *why. */
bool target_parse(const char *text, const struct prefix *overlay, struct target *out, const char **why);
/* The endpoint of a literal one. 0, or -ENODEV: there is no such interface now. */
MUST_CHECK int target_endpoint(const struct target *t, struct endpoint *out);
/* An underlay address inside the overlay would send the tunnel through itself. */
bool target_in_overlay(const struct endpoint *e, const struct prefix *overlay);

extern const char target_why_overlay[];

#endif
