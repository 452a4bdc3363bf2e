/* SPDX-License-Identifier: Apache-2.0 */
/* The files of --network-key. What is read is a secret: no message shows any of it. */
#ifndef CONTROLD_NETWORK_KEY_H
#define CONTROLD_NETWORK_KEY_H

#include "controld/session/session.h"

enum { NETWORK_KEY_ERROR_BYTES = 512 };

/* A regular file that nobody but its owner can use, with 64 hex digits (either case) and at most the end of that line.
 * 0, or -errno with one sentence in error, and out wiped. The caller wipes out. */
MUST_CHECK int network_key_load(const char *path, struct session_psk *out, char error[NETWORK_KEY_ERROR_BYTES]);
/* The same for up to SESSION_NETWORK_KEYS files, no two of them with the same key; after an error all of out is
 * wiped. */
MUST_CHECK int network_key_load_all(char *const *paths, size_t count, struct session_psk *out,
				    char error[NETWORK_KEY_ERROR_BYTES]);

#endif
