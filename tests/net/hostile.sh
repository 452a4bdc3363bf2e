#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Garbage and half-open connections on the port while traffic flows.
#
#   a ------ b ------ x        probes run from a to b; x does to b's port what strangers do
. "$(dirname "$0")/lib.sh"

tool load
host a b x
wire a b
wire b x
node b --disable-peer-discovery
node a --disable-peer-discovery --peers 10.1.0.2:9651
wait_for 10 "keys" test -s "$WORK/a/key" -a -s "$WORK/b/key"
B=$(addr b)
wait_for 10 "a pings b" pings a "$B"
background b echo "$TOOLS/load" echo 7000 60
wait_for 5 "echo" sh -c "nsenter --net=/run/netns/$(ns b) ss -6lun | grep -q :7000"
background a probe "$TOOLS/load" probe "$B" 7000 1000 12
sent() { on a ss -6uanp | grep -q load; }
wait_for 5 "probes" sent
before=$(on a ss -tnH state established '( dport = :9651 )')

cat >"$WORK/stranger.py" <<'END'
"""200 connections of random bytes, 100 that begin like a node and then lie, 100 that are silent; floods of datagrams."""
import os, random, socket, sys
random.seed(7)
target = (sys.argv[1], 9651)
held, refused = [], 0
def talk(data):
    s = socket.create_connection(target)
    s.settimeout(10)
    try:
        s.sendall(data)
    except OSError:
        pass
    return s
for i in range(200):
    talk(random.randbytes(random.randrange(1, 3000))).close()
for i in range(100):
    head = bytes([1, i % 2, 0, 0]) + random.randbytes(random.randrange(0, 200))
    held.append(talk(head))
for i in range(100):
    held.append(socket.create_connection(target))
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(2000):
    u.sendto(random.randbytes(random.randrange(0, 1400)), target)
# What of the silent ones is still open?  Those over the cap were closed at once.
open_ = 0
for s in held:
    s.setblocking(False)
    try:
        open_ += s.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        open_ += 1
    except OSError:
        pass
print(open_)
END
on x "$PYTHON" "$WORK/stranger.py" 10.2.0.1 >"$WORK/stranger.out" 2>"$WORK/stranger.err" || say "$(tail -n 1 "$WORK/stranger.err")"
check "at most 32 unproven connections of one address stay" at_most "$(cat "$WORK/stranger.out")" 32
wait "$(cat "$WORK/probe.pid")"
lost() { "$PYTHON" -c "import json; r = json.load(open('$WORK/probe.out')); print(r['sent'] - r['answered'])"; }
check "probes were answered, all" equal "$(lost)" 0
check "the link stayed" equal "$(on a ss -tnH state established '( dport = :9651 )' | awk '{ print $3, $4 }')" "$(echo "$before" | awk '{ print $3, $4 }')"
check "the log is short" at_most "$(grep -c . "$WORK/b/log")" 120
check "the fastpath is the same" equal "$(log_count b 'fastpath ready')" 1
gone() { [ "$(on b ss -tnH state established '( sport = :9651 )' | wc -l)" -le 1 ]; }
wait_for 40 "strangers' connections" gone
ok "strangers' connections are gone in the end"
node x --disable-peer-discovery --peers 10.2.0.1:9651
wait_for 10 "x pings b" pings x "$B"
ok "and a new node from there is welcome"
finish
