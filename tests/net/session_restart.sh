#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Each process killed, and the machine cloned, while datagrams flow in a session both ways.
#
#   a ------ b
. "$(dirname "$0")/lib.sh"
host a b
wire a b
BIN=$BIN WORK=$WORK RUN=$RUN "$PYTHON" "$TOP/tests/net/session_restart.py" >"$WORK/session_restart.out" 2>"$WORK/session_restart.err"
sed '/^1\.\./d' "$WORK/session_restart.out"
TESTS=$(grep -c '^ok\|^not ok' "$WORK/session_restart.out")
FAILED=$(grep -c '^not ok' "$WORK/session_restart.out")
grep -q '^1\.\.' "$WORK/session_restart.out" || { not_ok "session_restart.py ran to its end"; tail -n 15 "$WORK/session_restart.err" | sed 's/^/# | /'; }
finish
