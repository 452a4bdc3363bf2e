#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A saturated 2 Mbit/s link stays up: control goes before data.
#
#   a --2 Mbit/s-- b        UDP at far more than 2 Mbit/s in both directions
. "$(dirname "$0")/lib.sh"

tool load
host a b
wire a b
on a tc qdisc add dev a-b root tbf rate 2mbit burst 16k latency 200ms || give_up "tbf"
on b tc qdisc add dev b-a root tbf rate 2mbit burst 16k latency 200ms || give_up "tbf"
node b --disable-peer-discovery
node a --disable-peer-discovery --peers 10.1.0.2:9651
wait_for 10 "keys" test -s "$WORK/a/key" -a -s "$WORK/b/key"
A=$(addr a) B=$(addr b)
wait_for 10 "a pings b" pings a "$B"
background b sink "$TOOLS/load" sink 7000 40
background a sink2 "$TOOLS/load" sink 7000 40
background a flood "$TOOLS/load" send "$B" 7000 1200 25 0 2000
background b flood2 "$TOOLS/load" send "$A" 7000 1200 25 0 2000
wait "$(cat "$WORK/flood.pid")" "$(cat "$WORK/flood2.pid")"
check "no link went down in 25 s of overload" equal "$(log_count a 'link down') $(log_count b 'link down')" "0 0"
check "the queue dropped, counted" at_least "$(counter a drop_queue_full)" 1000
check "data went through" at_least "$(counter b tun_tx_packets)" 3000
wait_for 10 "ping afterwards" pings a "$B"
ok "ping afterwards"
finish
