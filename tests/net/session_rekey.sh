#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Keys are renewed again and again while datagrams flow both ways: none is lost.
#
#   a ------ b
. "$(dirname "$0")/lib.sh"
host a b
wire a b
BIN=$BIN WORK=$WORK RUN=$RUN "$PYTHON" "$TOP/tests/net/session_rekey.py" >"$WORK/session_rekey.out" 2>"$WORK/session_rekey.err"
sed '/^1\.\./d' "$WORK/session_rekey.out"
TESTS=$(grep -c '^ok\|^not ok' "$WORK/session_rekey.out")
FAILED=$(grep -c '^not ok' "$WORK/session_rekey.out")
grep -q '^1\.\.' "$WORK/session_rekey.out" || { not_ok "session_rekey.py ran to its end"; tail -n 15 "$WORK/session_rekey.err" | sed 's/^/# | /'; }
finish
