#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Who had a session is not talked to without one: a peer that comes back without, by accident or design, and both ways to heal it.
#
#   n (peers over its loopback interface)          a ------ b
. "$(dirname "$0")/lib.sh"
host n a b
wire a b
BIN=$BIN WORK=$WORK RUN=$RUN "$PYTHON" "$TOP/tests/net/session_pin.py" >"$WORK/session_pin.out" 2>"$WORK/session_pin.err"
sed '/^1\.\./d' "$WORK/session_pin.out"
TESTS=$(grep -c '^ok\|^not ok' "$WORK/session_pin.out")
FAILED=$(grep -c '^not ok' "$WORK/session_pin.out")
grep -q '^1\.\.' "$WORK/session_pin.out" || { not_ok "session_pin.py ran to its end"; tail -n 15 "$WORK/session_pin.err" | sed 's/^/# | /'; }
finish
