#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Each process killed and started again under traffic.
#
#   a ------ b ------ c        b is killed; probes run from a to c and back
. "$(dirname "$0")/lib.sh"

tool load
host a b c
wire a b
wire b c
node b --disable-peer-discovery
node a --disable-peer-discovery --peers 10.1.0.2:9651
node c --disable-peer-discovery --peers 10.2.0.1:9651
wait_for 10 "keys" test -s "$WORK/a/key" -a -s "$WORK/b/key" -a -s "$WORK/c/key"
C=$(addr c)
wait_for 10 "a pings c" pings a "$C"
background c echo "$TOOLS/load" echo 7000 60
wait_for 5 "echo" sh -c "nsenter --net=/run/netns/$(ns c) ss -6lun | grep -q :7000"
answered() { "$PYTHON" -c "import json,sys; r=json.load(open('$WORK/probe.out')); print(r['sent']-r['answered'])"; }
links() { on b ss -tnH state established '( sport = :9651 )' | awk '{ print $4, $5 }' | sort; }

# controld of a, b, c: nothing may be lost, every TCP connection stays.
for h in b a c; do
	before=$(links)
	background a probe "$TOOLS/load" probe "$C" 7000 1000 4
	wait_for 5 "probes run" sh -c "nsenter --net=/run/netns/$(ns a) ss -6uanp | grep -q load"
	fast=$(fastpath_of $h)
	kill -KILL "$(pid_of $h)"
	wait "$(pid_of $h)" 2>/dev/null
	case $h in
	b) node b --disable-peer-discovery ;;
	a) node a --disable-peer-discovery --peers 10.1.0.2:9651 ;;
	c) node c --disable-peer-discovery --peers 10.2.0.1:9651 ;;
	esac
	wait_for 5 "adoption by $h" logged $h "adopted"
	wait "$(cat "$WORK/probe.pid")"
	check "controld of $h killed and started: nothing lost" equal "$(answered)" 0
	check "controld of $h killed and started: the same TCP connections" equal "$(links)" "$before"
	check "controld of $h killed and started: the same fastpath" equal "$(fastpath_of $h)" "$fast"
done
check "routes stayed through the restarts" pings a "$C"

# Held routes are confirmed, or swept after 20 s: with the controld of c dead, a new one of b keeps the link to c and hears nothing
# of c's route, while that of a is confirmed. By the time it sweeps, the restart of a is longer ago than that.
kill -KILL "$(pid_of c)"
wait "$(pid_of c)" 2>/dev/null
kill -KILL "$(pid_of b)"
wait "$(pid_of b)" 2>/dev/null
node b --disable-peer-discovery
wait_for 25 "b sweeps the route of c" logged b "held routes swept"
check "what was not confirmed was swept, and only that" logged b "held routes swept count=1$"
check "nothing was swept in the restart of a" sh -c "! grep -q 'held routes swept' $WORK/a/log"
node c --disable-peer-discovery --peers 10.2.0.1:9651
wait_for 10 "a pings c again" pings a "$C"
ok "a controld that comes back within the grace of its fastpath takes it over"

# fastpath of b.
fast=$(fastpath_of b)
kill -KILL "$fast"
new_fast() { local f; f=$(fastpath_of b); [ -n "$f" ] && [ "$f" != "$fast" ]; }
wait_for 5 "new fastpath" new_fast
wait_for 10 "a pings c again" pings a "$C"
ok "fastpath of b killed: it comes back and forwards"
check "controld of b says so" logged b "fastpath.*\(died\|gone\|lost\)"

# SIGTERM to fastpath alone.
fast=$(fastpath_of b)
kill -TERM "$fast"
wait_for 5 "new fastpath" new_fast
wait_for 10 "a pings c again" pings a "$C"
ok "fastpath of b terminated: it comes back and forwards"

# A second instance with the same key.
second() {
	on b "$BIN/controld" -k "$WORK/b/key" --run-dir "$WORK/b/run" --no-tun >"$WORK/second" 2>&1 </dev/null
	[ $? = 1 ] && grep -q "$(pid_of b)" "$WORK/second"
}
check "a second daemon with the same key ends, naming the first" second

# Both at once.
kill -KILL "$(pid_of b)" "$(fastpath_of b)"
wait "$(pid_of b)" 2>/dev/null
node b --disable-peer-discovery
wait_for 10 "a pings c again" pings a "$C"
ok "both processes of b killed: a new start works"
finish
