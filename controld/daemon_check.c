/* SPDX-License-Identifier: Apache-2.0 */
/* The options against the network they are for. */
#include "controld/daemon.h"

#include "controld/links/peers.h"

bool daemon_check(const struct options *o, const struct network *n, FILE *err)
{
	const char *why;

	for (size_t i = 0; i < o->peers.count; i++) {
		if (peers_check(o->peers.items[i], &n->overlay, &why))
			continue;
		fprintf(err, "mycelium: --peers %s: %s\n", o->peers.items[i], why);
		return false;
	}
	return true;
}
