#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Three nodes in network namespaces, shown at work; the exit code tells whether all went well.
#
#   a ------ b ------ c        and a third wire between a and c
#    \_________________/
set -o pipefail
[ "$(id -u)" = 0 ] || { echo "demo: run it as root: it makes network namespaces" >&2; exit 1; }
[ -c /dev/net/tun ] || { echo "demo: there is no /dev/net/tun here, and each node needs a TUN interface" >&2; exit 1; }
. "$(dirname "$0")/net/lib.sh"

title() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || title() { printf '\n== %s\n' "$*"; }
show() { sed 's/^/   /'; }
fail() {
	local h hint=
	printf '\ndemo FAILED: %s\n' "$*" >&2
	for h in "${HOSTS[@]}"; do
		[ -s "$WORK/$h/log" ] || continue
		echo "   the last lines of the node on $h:" >&2
		tail -n 5 "$WORK/$h/log" | cut -c1-200 | sed 's/^ */      /' >&2
		hint="   KEEP=1 make demo keeps the logs"
	done
	[ -n "${KEEP:-}" ] || echo "$hint" >&2
	exit 1
}
give_up() { fail "$*"; }
started=$(date +%s)

title "Three hosts (network namespaces a, b, c) and three wires (a-b, b-c, a-c); a node on each"
tool load || fail "cannot build tests/bench/load.c"
host a b c
wire a b
wire b c
wire a c
echo "   on b:  mycelium"
node b
echo "   on a:  mycelium --peers 10.1.0.2:9651"
node a --peers 10.1.0.2:9651
echo "   on c:  mycelium --peers [fd00:2::1]:9651 tcp://10.3.0.1:9651"
node c --peers "[fd00:2::1]:9651" tcp://10.3.0.1:9651
wait_for 10 "the nodes make their keys" test -s "$WORK/a/key" -a -s "$WORK/b/key" -a -s "$WORK/c/key"
A=$(addr a) B=$(addr b) C=$(addr c)
wait_for 10 "a reaches b" pings a "$B"
wait_for 10 "a reaches c" pings a "$C"

title "Addresses, made of the keys (mycelium inspect)"
for h in a b c; do printf '   %s  %-39s  key %s\n' $h "$(addr $h)" "$(pubkey $h)"; done

# The first four groups of an address are those of its node's route.
prefix() { echo "$1" | cut -d: -f1-4; }
named() { sed -E "s/^( *)($(prefix "$A"):)/\1a  \2/; s/^( *)($(prefix "$B"):)/\1b  \2/; s/^( *)($(prefix "$C"):)/\1c  \2/"; }
routed() { dump a | sed -n '/selected/,/fallback/p' | grep "^$(prefix "$C")::/64" | grep -q 'next-hop .*10\.3\.0\.2'; }
wait_for 10 "a's direct route to c" routed
title "Routes of a (kill -USR1): to b and to c directly, each by way of the other if need be"
dump a | sed -n '/selected/,/source table/p' | sed -E '/^$/d; /source table/d; s/^-+ (.*) -+$/\1/' | named | show

title "Ping a -> c"
on a ping -6 -n -c 3 -i 0.2 "$C" | grep -E 'bytes from|transmitted|^rtt' | show || fail "no answer from c"

# Hops of a -> c: each node that passes the packet on, then the host itself.
trace() { on a traceroute -6 -n -q 1 -w 2 "$C" | awk 'NR > 1 { printf "%-40s %s ms\n", $2, $3 }' | named >"$WORK/trace"; }
direct() { trace && ! grep -q '^b' "$WORK/trace" && tail -n 1 "$WORK/trace" | grep -q "^c  $C "; }
over_b() { trace && head -n 1 "$WORK/trace" | grep -q '^b' && tail -n 1 "$WORK/trace" | grep -q "^c  $C "; }
title "Traceroute a -> c over the direct wire: node c, then its host"
wait_for 10 "a traceroute over the direct wire" direct
show <"$WORK/trace"

title "TCP a -> c, 500 MB, with checksum"
head -c 50000000 /dev/urandom >"$WORK/part"
for _ in 1 2 3 4 5 6 7 8 9 10; do cat "$WORK/part"; done >"$WORK/file" || fail "no room in /tmp for 500 MB"
on c socat -u TCP6-LISTEN:7000,reuseaddr - | cksum >"$WORK/sum" &
sink=$!
listens() { on c ss -6ltn | grep -q :7000; }
wait_for 10 "c listens" listens
before=$(date +%s%N)
on a socat -u -b 262144 "FILE:$WORK/file" "TCP6:[$C]:7000" || fail "the transfer broke off"
wait $sink || fail "the transfer broke off"
ms=$((($(date +%s%N) - before) / 1000000))
[ "$(cat "$WORK/sum")" = "$(cksum <"$WORK/file")" ] || fail "the data arrived damaged"
rm "$WORK/file" "$WORK/part"
rate=$((500000000 * 8 / ms / 1000))
echo "   500 MB in $ms ms: $rate Mbit/s, encrypted from end to end, checksum right"

my() { # host, words of the command line
	local h=$1
	shift
	on "$h" "$BIN/controld" "$@"
}
# Of a's session with c: the list's line in words; how many packets went in it.
session_line() {
	my a sessions | awk -F '\t' -v c="$C" '$1 == c {
		printf "c  %s  %s, %s s old; %d packets sent in it, %d under the static key\n", $1, $2, $3, $6, $8 }'
}
session_packets() { my a sessions | awk -F '\t' -v c="$C" '$1 == c && $2 == "session" { n = $6 } END { print n + 0 }'; }
in_session() { [ "$(session_packets)" -gt "$1" ]; }
title "What a talks to c with (mycelium sessions)"
wait_for 10 "a session of a with c" in_session 1000
session_line | show

title "A message a -> c and its reply (mycelium message send --wait; receive; send --reply-to)"
background c receive "$BIN/controld" message receive --timeout 20
background a ask "$BIN/controld" message send --wait --timeout 20 --topic greeting "$C" "Is anybody there?"
wait_for 20 "the message" test -s "$WORK/receive.out"
echo "   c got   $(cat "$WORK/receive.out")" | cut -c1-150
id=$(sed -E 's/.*"id":"([0-9a-f]{16})".*/\1/' "$WORK/receive.out")
my c message send --reply-to "$id" "$A" "Yes, on c." || fail "the reply was not taken"
wait_for 20 "the reply" test -s "$WORK/ask.out"
echo "   a got   $(cat "$WORK/ask.out")" | cut -c1-150
grep -q '"payload":"Yes, on c."' "$WORK/ask.out" || fail "the reply is not what c sent"

title "Messages b -> c by WebSocket (tests/net/ws_receive.py), acknowledged one by one"
background c stream "$PYTHON" "$TOP/tests/net/ws_receive.py" 3
wait_for 10 "the stream" grep -q ack "$WORK/stream.out"
for n in one two three; do ids="${ids:-} $(my b message send "$C" "number $n" | sed -E 's/.*"([0-9a-f]{16})".*/\1/')"; done
streamed() { [ "$(grep -c number "$WORK/stream.out")" = 3 ]; }
wait_for 10 "three messages" streamed
grep number "$WORK/stream.out" | show
read_by_c() { for id in $ids; do [ "$(my b message status "$id")" = read ] || return 1; done; }
wait_for 10 "they are read" read_by_c
echo "   mycelium message status on b: read, all three"

title "What the node on a says of itself (mycelium status), and its page"
my a status | grep -v '^session	' | show
echo "   the page: http://127.0.0.1:8989/ on each host while its node runs"

title "The cable a-c is pulled while 1,000 datagrams a second go from a to c and come back"
background c echo "$TOOLS/load" echo 7001 60
background a probe "$TOOLS/load" probe "$C" 7001 1000 4
received() { on a ip -s link show tun0 | awk 'NR == 4 { print $2 }'; }
flowing() { [ "$(received)" -gt "$((packets + 1000))" ]; }
packets=$(received)
wait_for 5 "a thousand echoes" flowing
on a ip link set a-c down
wait "$(cat "$WORK/probe.pid")"
# The kernel of c may take a second to say that the carrier is gone, when interfaces come and go elsewhere on the machine.
lost=$("$PYTHON" - "$WORK/probe.out" <<'END'
import json, sys
r = json.load(open(sys.argv[1]))
lost, gaps = r['sent'] - r['answered'], [l[1] - l[0] for l in r['losses'] if l[1] > 0]
print(f"{r['sent']:,} sent, {lost:,} lost, longest gap {max(gaps, default=0) * 1000:.0f} ms")
sys.exit(r['answered'] < r['sent'] * 0.6)
END
) || fail "the traffic did not go on: ${lost:-no figures}"
echo "   $lost"
title "Traceroute a -> c now: over b"
wait_for 10 "a traceroute over b" over_b
show <"$WORK/trace"
before=$(session_packets)
on a ping -6 -n -c 3 -i 0.2 "$C" >"$WORK/ping.out" || fail "no answer from c"
wait_for 10 "more packets in the session" in_session "$before"
echo "   b passes on what it cannot read, a and c are in the same session still:"
session_line | show

title "What the node on a said when the cable was pulled"
grep 'link down.*set down' "$WORK/a/log" | sed -E 's,^ *[^T]*T([^ ]*)Z +,\1 ,' | show || fail "a did not see it"

for h in a b c; do node_stop $h || fail "the node on $h did not end in order"; done
kill "$(cat "$WORK/echo.pid")"
gone() { for h in a b c; do [ -z "$(ip netns pids "$(ns $h)")$(on $h ip -o link show type tun)" ] || return 1; done; }
wait_for 5 "no process and no interface of the nodes is left" gone
cleanup
ip netns list | grep -q "^$RUN-" && fail "network namespaces were left behind"
title "Report"
cat <<END
   a -> c          direct; over b once the cable was pulled
   messages        one with its reply by command line, three by WebSocket
   TCP             $rate Mbit/s, in a session
   cable pulled    $lost
   nodes           all three ended in order; no process, interface or namespace is left
   time            $(($(date +%s) - started)) s

The demo went well.
END
