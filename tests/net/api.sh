#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The API against those who should not, those who cannot, and those who will not: api.py starts its own nodes.
#
#   a (loopback only)
. "$(dirname "$0")/lib.sh"
host a
on a unshare -m env BIN="$BIN" WORK="$WORK/a" "$PYTHON" "$TOP/tests/net/api.py" >"$WORK/api.out" 2>"$WORK/api.err"
sed '/^1\.\./d' "$WORK/api.out"
TESTS=$(grep -c '^ok\|^not ok' "$WORK/api.out")
FAILED=$(grep -c '^not ok' "$WORK/api.out")
grep -q '^1\.\.' "$WORK/api.out" || { not_ok "api.py ran to its end"; tail -n 5 "$WORK/api.err" | sed 's/^/# | /'; }
check "no process died that should not" equal "$(cat "$WORK"/a/*.log | grep -cE 'died|Assertion|Sanitizer')" 0
finish
