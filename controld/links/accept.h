/* SPDX-License-Identifier: Apache-2.0 */
/* Listeners of TCP links. accept survives every error; a descriptor is kept in reserve for EMFILE. */
#ifndef CONTROLD_LINKS_ACCEPT_H
#define CONTROLD_LINKS_ACCEPT_H

#include "controld/links/peers.h"
#include "controld/loop.h"

struct acceptor;

struct acceptor_ops {
	/* May one from there be taken (caps)? false: it is closed, counted, and a limited line says *why (a sentence).
	 */
	bool (*may)(void *ctx, const struct endpoint *remote, const char **why);
	void (*accepted)(void *ctx, const struct links_socket *s);
};

struct acceptor *acceptor_new(struct loop *l, const struct acceptor_ops *ops, void *ctx);
void acceptor_free(struct acceptor *a);
/* Listens there; the unspecified address means IPv6 dual stack. 0, or -errno (-EADDRINUSE: somebody has it). */
MUST_CHECK int acceptor_listen(struct acceptor *a, const struct endpoint *e);

#endif
