/* SPDX-License-Identifier: Apache-2.0 */
/* Where an instance keeps what outlives it. Only the path: the store makes the folder and judges it. ID: the first 16
 * hex digits of the public key. */
#ifndef CONTROLD_STATEDIR_H
#define CONTROLD_STATEDIR_H

#include "shared/base/buf.h"
#include <stdbool.h>

/* given: of --state-dir, or NULL or "": $STATE_DIRECTORY, as root /var/lib/mycelium/ID, $XDG_STATE_HOME/mycelium/ID,
 * $HOME/.local/state/mycelium/ID. The first two are taken as they are, without ID. 0; -ENOENT: there is none;
 * -ENAMETOOLONG; with a sentence in error. */
MUST_CHECK int statedir_find(const char *given, const char *id, char *out, size_t size, char *error, size_t error_size);
/* What is kept in that folder is still there after the machine was started anew: false on a disk in memory (tmpfs,
 * ramfs). True where it cannot be found out, as where there is no such folder. */
bool statedir_is_lasting(const char *dir);

#endif
