#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Failover: the path in use loses its carrier; a process in the middle dies; a path that blackholes.
#
#        b
#      /   \
#    a       d
#      \   /
#        c
. "$(dirname "$0")/lib.sh"

host a b c d
wire a b
wire a c
wire b d
wire c d
node b --disable-peer-discovery
node c --disable-peer-discovery
node a --peers 10.1.0.2:9651 10.2.0.2:9651 --disable-peer-discovery
node d --peers 10.3.0.1:9651 10.4.0.1:9651 --disable-peer-discovery
wait_for 10 "keys" test -s "$WORK/a/key" -a -s "$WORK/b/key" -a -s "$WORK/c/key" -a -s "$WORK/d/key"
A=$(addr a) D=$(addr d)
wait_for 10 "a pings d" pings a "$D"
both() { [ "$(dump a | grep -c "^$(echo "$D" | cut -d: -f1-4)::/64 next-hop")" = 2 ]; }
wait_for 20 "two routes to d" both
ok "a has two routes to d"

via() { dump a | sed -n '/selected/,/fallback/p' | grep "^$(echo "$D" | cut -d: -f1-4)::/64" | grep -o 'next-hop 10.[12].0.2' | grep -o '10.[12]'; }
used=$(via)
case "$used" in
10.1) dev=a-b other=c ;;
10.2) dev=a-c other=b ;;
*) give_up "no selected route to d" ;;
esac
say "path in use: $dev"
on a ip link set "$dev" down
wait_for 3 "other path" pings a "$D"
ok "carrier of the path in use lost: traffic goes over $other"
check "the log says why" logged a "link down.*$dev"
on a ip link set "$dev" up
on a ip addr add "$used.0.1/24" dev "$dev" 2>/dev/null
wait_for 20 "two routes again" both
ok "the wire is back: two routes again"
middle=$(fastpath_of $other)
kill -KILL "$(pid_of $other)" "$middle"
wait_for 10 "path without $other" pings a "$D"
ok "$other killed: traffic goes the other way"
check "d pings a" pings d "$A"
finish
