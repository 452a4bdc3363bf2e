#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A node of ours against session_peer.py, a session peer written from the document alone: handshakes, data, replays, keys that change,
# and everything that can be wrong. The peers dial the node over its loopback interface.
#
#   n
. "$(dirname "$0")/lib.sh"
host n
check "session_peer.py: known answers, and two of them with each other" "$PYTHON" "$TOP/tests/support/session_peer.py"
BIN=$BIN WORK=$WORK RUN=$RUN "$PYTHON" "$TOP/tests/net/session_wire.py" >"$WORK/session_wire.out" 2>"$WORK/session_wire.err"
sed '/^1\.\./d' "$WORK/session_wire.out"
TESTS=$((TESTS + $(grep -c '^ok\|^not ok' "$WORK/session_wire.out")))
FAILED=$((FAILED + $(grep -c '^not ok' "$WORK/session_wire.out")))
grep -q '^1\.\.' "$WORK/session_wire.out" || { not_ok "session_wire.py ran to its end"; tail -n 15 "$WORK/session_wire.err" | sed 's/^/# | /'; }
finish
