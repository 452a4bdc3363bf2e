#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# WebSocket streams of messages, by a published client. CUTS=500 for a long run.
#
#   a ------ b
. "$(dirname "$0")/lib.sh"
host a b
wire a b
node a
node b --peers 10.1.0.1:9651
wait_for 10 "keys" test -s "$WORK/a/key" -a -s "$WORK/b/key"
wait_for 10 "a reaches b" pings a "$(addr b)"
"$PYTHON" "$TOP/tests/net/streams.py" "/run/netns/$(ns a)" "/run/netns/$(ns b)" "$(addr b)" "${CUTS:-50}" >"$WORK/streams.out" 2>"$WORK/streams.err"
sed '/^1\.\./d' "$WORK/streams.out"
TESTS=$(grep -c '^ok\|^not ok' "$WORK/streams.out")
FAILED=$(grep -c '^not ok' "$WORK/streams.out")
grep -q '^1\.\.' "$WORK/streams.out" || { not_ok "streams.py ran to its end"; tail -n 5 "$WORK/streams.err" | sed 's/^/# | /'; }
check "both nodes live" kill -0 "$(pid_of a)" "$(pid_of b)"
finish
