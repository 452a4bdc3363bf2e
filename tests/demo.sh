#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Three nodes in network namespaces, shown at work; the exit code tells whether all went well.
#
#   a ------ b ------ c        and a third wire between a and c
#    \_________________/
. "$(dirname "$0")/net/lib.sh" >/dev/null || exit 1

title() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || title() { printf '\n== %s\n' "$*"; }
show() { sed 's/^/   /'; }
fail() { echo "demo: $*" >&2; tail -n 5 "$WORK"/*/log | sed 's/^/   /' >&2; exit 1; }
give_up() { fail "$*"; }
started=$(date +%s)

title "Three hosts (network namespaces), three wires: a-b, b-c, a-c"
tool load || fail "cannot build the probe"
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
wait_for 10 "key files" test -s "$WORK/a/key" -a -s "$WORK/b/key" -a -s "$WORK/c/key"
A=$(addr a) B=$(addr b) C=$(addr c)
wait_for 10 "a reaches b" pings a "$B"
wait_for 10 "a reaches c" pings a "$C"

title "Addresses, made of the keys"
for h in a b c; do printf '   %s  %-40s key %s\n' $h "$(addr $h)" "$(pubkey $h)"; done

routed() { dump a | sed -n '/selected/,/fallback/p' | grep "^$(echo "$C" | cut -d: -f1-4)::/64" | grep -q 'next-hop .*:10.3.0.2\|next-hop 10.3.0.2'; }
wait_for 10 "the direct route" routed
title "Routes of a (kill -USR1)"
dump a | sed '/^$/d' | grep -v '^Source' | show

title "Ping a -> c"
on a ping -6 -n -c 3 -i 0.2 "$C" | tail -n 4 | show || fail "ping"

title "Traceroute a -> c over the direct wire"
on a traceroute -6 -n -q 1 -w 2 "$C" | show

title "TCP a -> c, 500 MB, with checksum"
on c sh -c "socat -u TCP6-LISTEN:7000,reuseaddr - | sha256sum | cut -c1-32 > $WORK/sum" &
sink=$!
listens() { on c ss -6ltn | grep -q :7000; }
wait_for 10 "listener" listens
head -c 500000000 /dev/zero >"$WORK/file"
before=$(date +%s%N)
on a socat -u -b 262144 "FILE:$WORK/file" "TCP6:[$C]:7000" || fail "transfer"
wait $sink
ms=$((($(date +%s%N) - before) / 1000000))
[ "$(cat "$WORK/sum")" = "$(sha256sum <"$WORK/file" | cut -c1-32)" ] || fail "the file arrived damaged"
rate=$((500000000 * 8 / ms / 1000))
echo "   500 MB in $ms ms: $rate Mbit/s, encrypted from end to end, checksum right"

title "The cable a-c is pulled while 1,000 datagrams a second go from a to c and back"
background c echo "$TOOLS/load" echo 7001 60
background a probe "$TOOLS/load" probe "$C" 7001 1000 4
flowing() { [ "$(on a ip -s link show tun0 | awk 'NR == 4 { print $2 }')" -gt "$((packets + 1000))" ]; }
packets=$(on a ip -s link show tun0 | awk 'NR == 4 { print $2 }')
wait_for 5 "a thousand echoes" flowing
on a ip link set a-c down
wait "$(cat "$WORK/probe.pid")"
lost=$("$PYTHON" -c "
import json
r = json.load(open('$WORK/probe.out'))
lost, worst = r['sent'] - r['answered'], max([l[1] - l[0] for l in r['losses'] if l[1] > 0] or [0])
print(f\"{r['sent']} sent, {lost} lost, longest gap {worst * 1000:.0f} ms\")
assert r['answered'] > r['sent'] * 0.8") || fail "traffic did not go on"
echo "   $lost"
title "Traceroute a -> c now"
on a traceroute -6 -n -q 1 -w 2 "$C" | show
on a ping -6 -n -c 1 -W 2 "$C" >/dev/null || fail "no way to c"

title "What the nodes said (a)"
grep -v DEBUG "$WORK/a/log" | cut -c1-150 | tail -n 8 | sed 's/^ */   /'

for h in a b c; do node_stop $h || fail "$h did not end in order"; done
title "Report"
cat <<END
   a -> c              direct, then over b when the cable was pulled
   TCP                 $rate Mbit/s
   cable pulled        $lost
   nodes               all three ended in order and left nothing behind
   time                $(($(date +%s) - started)) s
END
exit 0
