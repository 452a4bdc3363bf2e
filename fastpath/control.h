/* SPDX-License-Identifier: Apache-2.0 */
/* The control thread of fastpath: ctl socket, tables, keys, grace without controld. Runs in main's thread. */
#ifndef FASTPATH_CONTROL_H
#define FASTPATH_CONTROL_H

/* Serves the listening socket until STOP, a signal, or the end of the grace. Returns the exit code. */
int control_run(int listen_fd);

#endif
