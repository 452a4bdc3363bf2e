#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A session between two nodes of ours comes up by itself, also through an older node, which notices nothing; to that one itself all
# stays as it was.
#
#   a ------ b ------ p (peer200.py, passes on) ------ c
. "$(dirname "$0")/lib.sh"
host a b p c
wire a b
wire b p
wire p c
BIN=$BIN WORK=$WORK RUN=$RUN "$PYTHON" "$TOP/tests/net/session_nodes.py" >"$WORK/session_nodes.out" 2>"$WORK/session_nodes.err"
sed '/^1\.\./d' "$WORK/session_nodes.out"
TESTS=$(grep -c '^ok\|^not ok' "$WORK/session_nodes.out")
FAILED=$(grep -c '^not ok' "$WORK/session_nodes.out")
grep -q '^1\.\.' "$WORK/session_nodes.out" || { not_ok "session_nodes.py ran to its end"; tail -n 15 "$WORK/session_nodes.err" | sed 's/^/# | /'; }
finish
