#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Our node against peer200.py, a peer known to get on with the reference program: at the end and in the middle of a path, dialling
# and dialled, well-behaved and not.
#
#   p (peer200.py) ------ n          and   n ------ p (forwarding) ------ m
. "$(dirname "$0")/lib.sh"

host n p m
wire n p
wire p m
node n --peers 10.1.0.2:9700
wait_for 10 "key" test -s "$WORK/n/key"
N=$(addr n)
wait_for 10 "n listens" sh -c "nsenter --net=/run/netns/$(ns n) ss -6ltn | grep -q :9651"
on p "$PYTHON" "$TOP/tests/net/interop.py" "$N" "$(pubkey n)" 10.1.0.1 9651 9700 >"$WORK/interop.out" 2>"$WORK/interop.err"
sed '/^1\.\./d' "$WORK/interop.out"
TESTS=$(grep -c '^ok\|^not ok' "$WORK/interop.out")
FAILED=$(grep -c '^not ok' "$WORK/interop.out")
grep -q '^1\.\.' "$WORK/interop.out" || { not_ok "interop.py ran to its end"; tail -n 5 "$WORK/interop.err" | sed 's/^/# | /'; }
check "the log names the older era" logged n "0\.1\.3"
check "the log names what else it was" sh -c "grep -qi http $WORK/n/log && grep -qi tls $WORK/n/log"

# The peer in the middle of our two nodes.
background p middle "$PYTHON" "$TOP/tests/support/peer200.py" listen --forward --listen 9701 --connect 10.1.0.1:9651 --timeout 60
node m --peers 10.2.0.1:9701
wait_for 10 "key" test -s "$WORK/m/key"
M=$(addr m)
wait_for 40 "n pings m through the peer" pings n "$M"
ok "n pings m through the peer"
check "m pings n through the peer" pings m "$N"
check "no process died" equal "$(fastpath_of n | wc -l) $(log_count n 'fastpath.*died')" "1 0"
finish
