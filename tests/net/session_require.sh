#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Nodes that insist on sessions, and private networks: what the others hear of them, and the change of a network key.
#
#   r, k, w (peers over their loopback interfaces)          k ------ l
. "$(dirname "$0")/lib.sh"
host r k w l
wire k l
BIN=$BIN WORK=$WORK RUN=$RUN "$PYTHON" "$TOP/tests/net/session_require.py" >"$WORK/session_require.out" 2>"$WORK/session_require.err"
sed '/^1\.\./d' "$WORK/session_require.out"
TESTS=$(grep -c '^ok\|^not ok' "$WORK/session_require.out")
FAILED=$(grep -c '^not ok' "$WORK/session_require.out")
grep -q '^1\.\.' "$WORK/session_require.out" || { not_ok "session_require.py ran to its end"; tail -n 15 "$WORK/session_require.err" | sed 's/^/# | /'; }
finish
