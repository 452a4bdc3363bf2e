#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Two nodes, one wire: ping, TCP both ways with checksum, orderly end.
#
#   a ------ b        b dials nobody, a dials b
. "$(dirname "$0")/lib.sh"

host a b
wire a b
node b
node a --peers 10.1.0.2:9651
wait_for 10 "keys" test -s "$WORK/b/key" -a -s "$WORK/a/key"
A=$(addr a) B=$(addr b)
wait_for 10 "a pings b" pings a "$B"
ok "a pings b"
check "b pings a" pings b "$A"
check "the address stands on tun0 as /7" sh -c "nsenter --net=/run/netns/$(ns a) ip -6 addr show dev tun0 | grep -q '$A/7'"
check "MTU 1400" sh -c "nsenter --net=/run/netns/$(ns a) ip link show dev tun0 | grep -q 'mtu 1400'"
check "1400-byte packets pass" on a ping -6 -n -c 1 -W 2 -s 1352 -M "do" "$B"
check "a 56-byte ping under hop limit 2" on a ping -6 -n -c 1 -W 2 -t 2 "$B"

send_file() { # from host, to host, its address
	head -c "${BYTES:-20000000}" /dev/urandom >"$WORK/file"
	on "$2" socat -u "TCP6-LISTEN:7000,reuseaddr" "CREATE:$WORK/got" &
	local s=$!
	wait_for 10 "listener" sh -c "nsenter --net=/run/netns/$(ns "$2") ss -6ltn | grep -q :7000"
	on "$1" socat -u "FILE:$WORK/file" "TCP6:[$3]:7000" && wait $s && cmp "$WORK/file" "$WORK/got"
}
BYTES=${BYTES:-200000000}
check "TCP a to b, $BYTES bytes intact" send_file a b "$B"
check "TCP b to a, $BYTES bytes intact" send_file b a "$A"

udp() { # a datagram of 30000 bytes (fragments inside) and many small ones arrive whole
	background b socat socat -u -b 65536 "UDP6-RECV:7001" "CREATE:$WORK/udp"
	wait_for 10 "UDP listener" sh -c "nsenter --net=/run/netns/$(ns b) ss -6lun | grep -q :7001"
	head -c 30000 /dev/urandom >"$WORK/datagram"
	on a socat -u -b 65536 "FILE:$WORK/datagram" "UDP6-SENDTO:[$B]:7001"
	wait_for 10 "datagram" cmp "$WORK/datagram" "$WORK/udp"
	kill "$(cat "$WORK/socat.pid")"
}
udp && ok "a fragmented datagram arrives whole"
check "the dump names the route" sh -c "echo \"\$0\" | grep -q '/64 next-hop '" "$(dump a)"

# a is told by a signal, b by the end of its terminal.
for h in a b; do
	case $h in
	a) check "a ends in order" node_stop a TERM ;;
	b) check "b ends in order at a hang-up" node_stop b HUP ;;
	esac
	check "$h leaves no TUN" sh -c "! nsenter --net=/run/netns/$(ns $h) ip link show dev tun0"
	check "$h leaves no process" sh -c "! ip netns pids $(ns $h) | grep -q ."
	check "$h leaves no socket or file" sh -c "! find $WORK/$h/run -mindepth 1 | grep -q ."
done
check "a says of its link why it ended" logged a 'link down .*reason="this node ends"'
finish
