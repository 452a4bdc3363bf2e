#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SIGKILL of controld at random moments under a load of messages. KILLS=50 for a long run.
#
#   a ------ b
. "$(dirname "$0")/lib.sh"
host a b
wire a b
"$PYTHON" "$TOP/tests/net/kill.py" "$BIN" "$WORK" "/run/netns/$(ns a)" "/run/netns/$(ns b)" "${KILLS:-10}" >"$WORK/kill.out" 2>"$WORK/kill.err"
sed '/^1\.\./d' "$WORK/kill.out"
TESTS=$(grep -c '^ok\|^not ok' "$WORK/kill.out")
FAILED=$(grep -c '^not ok' "$WORK/kill.out")
grep -q '^1\.\.' "$WORK/kill.out" || { not_ok "kill.py ran to its end"; tail -n 15 "$WORK/kill.err" | sed 's/^/# | /'; }
finish
