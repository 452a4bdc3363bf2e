/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon: options become adapters, adapters and node are tied together on one loop; taken down in reverse. */
#ifndef CONTROLD_DAEMON_H
#define CONTROLD_DAEMON_H

#include "controld/options.h"
#include "shared/base/network.h"

/* What the options alone do not show: false, with one line on err, where one does not fit the network. */
bool daemon_check(const struct options *o, const struct network *n, FILE *err);
/* Runs until a signal or a failure, which it says on standard error. The exit code. */
int daemon_run(const struct options *o, const struct network *n);

#endif
