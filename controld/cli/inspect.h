/* SPDX-License-Identifier: Apache-2.0 */
/* mycelium inspect: public key and address, ours or those of a key that is given (wire-200 8.2). */
#ifndef CONTROLD_CLI_INSPECT_H
#define CONTROLD_CLI_INSPECT_H

#include "shared/base/network.h"
#include <stdbool.h>
#include <stdio.h>

/* With key (hex), key_file is not touched; without, it is read, or made if missing. Returns the exit code: 0, or 1 and
 * one line on err. */
int inspect_run(const struct network *n, const char *key_file, const char *key, bool json, FILE *out, FILE *err);

#endif
