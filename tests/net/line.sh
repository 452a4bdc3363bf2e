#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Transit: traceroute, unreachable, both dialling directions, a transit node without TUN.
#
#   a ------ b ------ c        a dials b, c dials b; b forwards
. "$(dirname "$0")/lib.sh"

host a b c
wire a b
wire b c
node b
node a --peers 10.1.0.2:9651
node c --peers "[fd00:2::1]:9651"
wait_for 10 "keys" test -s "$WORK/a/key" -a -s "$WORK/b/key" -a -s "$WORK/c/key"
A=$(addr a) B=$(addr b) C=$(addr c)
wait_for 10 "a pings c" pings a "$C"
ok "a pings c through b"
check "c pings a" pings c "$A"
check "b pings both" sh -c "nsenter --net=/run/netns/$(ns b) ping -6 -n -c1 -W2 $A && nsenter --net=/run/netns/$(ns b) ping -6 -n -c1 -W2 $C"

trace() { on a traceroute -6 -n -q 1 -w 2 -m 6 "$C" | awk 'NR > 1 { print $2 }'; }
base() { "$PYTHON" -c "import ipaddress,sys; print(ipaddress.ip_network(sys.argv[1] + '/64', strict=False).network_address)" "$1"; }
hops=$(trace)
say "traceroute: $(echo "$hops" | tr '\n' ' ')"
check "traceroute: first b" equal "$(echo "$hops" | sed -n 1p)" "$(base "$B")"
check "traceroute: c answers last" equal "$(echo "$hops" | tail -n 1)" "$C"
check "traceroute: no hole" sh -c "! echo '$hops' | grep -q '\*'"
check "hop limit 2 does not reach c" sh -c "nsenter --net=/run/netns/$(ns a) ping -6 -n -c 1 -W 2 -t 2 $C | grep -q 'Time exceeded'"

unreachable() { on a ping -6 -n -c 1 -W 2 "$1" | grep -qi "$2"; }
check "no route: unreachable at once" unreachable 2ff:1234:5678:9abc::1 "no route"
host_part=$(base "$C")42
check "an address of c that nobody holds is c's business" sh -c "! nsenter --net=/run/netns/$(ns a) ping -6 -n -c 1 -W 1 $host_part"
check "an address of our own /64 that nobody holds: unreachable" unreachable "$(base "$A")42" "unreachable"

transfer() {
	head -c "${BYTES:-50000000}" /dev/urandom >"$WORK/file"
	on c socat -u "TCP6-LISTEN:7000,reuseaddr" "CREATE:$WORK/got" &
	local s=$!
	wait_for 10 "listener" sh -c "nsenter --net=/run/netns/$(ns c) ss -6ltn | grep -q :7000"
	on a socat -u "FILE:$WORK/file" "TCP6:[$C]:7000" && wait $s && cmp "$WORK/file" "$WORK/got"
}
check "TCP through transit intact" transfer
check "b forwarded frames" at_least "$(counter b transit_frames)" 1000
check "b opened none of them but its own" at_most "$(counter b drop_open_failed)" 0

node_stop c
c_gone() { on a ping -6 -n -c 1 -W 1 "$C" | grep -qi "no route"; }
wait_for 5 "retraction" c_gone
ok "c stopped: a says no route"
finish
