/* SPDX-License-Identifier: Apache-2.0 */
/* A fastpath that only speaks ctl, as the test says by $FAKE_FASTPATH, and writes down in the file `seen` beside its
 * socket what came: one word a line. */
#ifndef TESTS_SUPPORT_FAKE_FASTPATH_H
#define TESTS_SUPPORT_FAKE_FASTPATH_H

#define FAKE_FASTPATH "FAKE_FASTPATH"

/* Modes:
 *   ok       greets, answers pings, ends at STOP
 *   mute     the same, but answers no ping
 *   hung     does nothing at all
 *   dead     ends before it greets
 *   leaving  says LEAVING and ends as soon as it is started, the first time; then ok
 *   old      is of another build, the first time; then ok
 *   found    has what a running one has: CONFIG, MEMORY, two TUN queues, NODE, a link, a route, a session
 *            key, a static key
 *   lingers  as found, and when told to end it hangs up and lives on
 *   breaks   as found, but ends before it is ready, the first time; then ok
 *   foreign  as found with another key, the first time; then ok */
int fake_fastpath(int listen_fd, const char *mode);

#endif
