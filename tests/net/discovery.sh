#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Three nodes on a bridge find one another; an interface that comes later; beacons heard and made by peer200.py.
#
#   a, b, c, p on one bridge in host lan; nobody names a peer
. "$(dirname "$0")/lib.sh"

host lan a b c p
on lan ip link add br0 type bridge mcast_snooping 0
on lan ip link set br0 up
plug() {
	ip link add "lan-$1" netns "$(ns lan)" type veth peer name eth0 netns "$(ns "$1")"
	on lan ip link set "lan-$1" master br0 up
	on "$1" ip link set eth0 up
}
plug a
plug b
plug p
listening() { on p ss -6lunH | grep -q ":9651"; }
background p heard "$PYTHON" "$TOP/tests/support/peer200.py" discover --timeout 12 eth0
wait_for 10 "peer200.py listens" listening
node a
node b
wait_for 10 "keys" test -s "$WORK/a/key" -a -s "$WORK/b/key"
B=$(addr b)
wait_for 15 "a finds b" pings a "$B"
ok "a and b find one another"
link_local() { on "$1" ip -6 -o addr show dev eth0 scope link | sed -E 's|.*inet6 ([^/]*)/.*|\1|'; }
connections() { on "$1" ss -6tnH state established '( sport = :9651 or dport = :9651 )' | grep -cF "[$(link_local "$2")]"; }
check "one connection joins a and b" equal "$(connections a b)" 1
node c
wait_for 10 "key" test -s "$WORK/c/key"
C=$(addr c)
plug c
wait_for 15 "a finds c" pings a "$C"
ok "an interface that comes later is used"
check "peers are link-local" sh -c "echo \"\$0\" | grep -q 'fe80::'" "$(dump a)"
wait "$(cat "$WORK/heard.pid")"
# Now each has sent its three quick beacons, at the last of which one that waited would dial.
for pair in "a b" "a c" "b c"; do
	# shellcheck disable=SC2086
	check "one connection joins $pair still" equal "$(connections $pair)" 1
done
check "peer200.py heard a beacon of a" grep -q "\"tcp_port\": 9651.*$(pubkey a)" "$WORK/heard.out"
check "peer200.py heard a beacon of b" grep -q "\"tcp_port\": 9651.*$(pubkey b)" "$WORK/heard.out"
host d
plug d
node d --disable-peer-discovery
wait_for 10 "d runs" logged d "Router created"
wait_for 10 "d listens" sh -c "nsenter --net=/run/netns/$(ns d) ss -6ltn | grep -q :9651"
check "no discovery socket with --disable-peer-discovery" sh -c "! nsenter --net=/run/netns/$(ns d) ss -6lunH | grep -q 9651"
node_stop a
check "a leaves no discovery socket" sh -c "! nsenter --net=/run/netns/$(ns a) ss -6lunH | grep -q 9651"
finish
