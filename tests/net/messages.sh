#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Messages with a peer that is known to get on with the reference program (tests/support/peer200.py), both directions.
#
#   n (our node; the peer dials it over the loopback interface)
. "$(dirname "$0")/lib.sh"
host n
node n
wait_for 10 "key" test -s "$WORK/n/key"
wait_for 10 "n listens" sh -c "nsenter --net=/run/netns/$(ns n) ss -6ltn | grep -q :9651"
wait_for 10 "the API answers" sh -c "nsenter --net=/run/netns/$(ns n) ss -4ltn | grep -q :8989"
on n "$PYTHON" "$TOP/tests/net/messages.py" "$(addr n)" "$(pubkey n)" >"$WORK/messages.out" 2>"$WORK/messages.err"
sed '/^1\.\./d' "$WORK/messages.out"
TESTS=$(grep -c '^ok\|^not ok' "$WORK/messages.out")
FAILED=$(grep -c '^not ok' "$WORK/messages.out")
grep -q '^1\.\.' "$WORK/messages.out" || { not_ok "messages.py ran to its end"; tail -n 5 "$WORK/messages.err" | sed 's/^/# | /'; }
check "no process died" equal "$(fastpath_of n | wc -l) $(log_count n 'fastpath.*died')" "1 0"
finish
