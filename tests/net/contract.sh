#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The API keeps what openapi.yaml promises: driven from it, with good requests and bad ones. SEED= replays, CASES= more.
#
#   a alone
. "$(dirname "$0")/lib.sh"

host a
node a --no-tun
api_is_open() { on a curl -s -o "$WORK/livez" http://127.0.0.1:8989/livez; }
wait_for 10 "the API" api_is_open
check "every answer is one that openapi.yaml names" on a "$TOP/tests/spec/drive.sh" http://127.0.0.1:8989 "${CASES:-30}"
grep -m1 SEED "$WORK/check.out"
check "the daemon goes on" api_is_open
check "no process died" equal "$(fastpath_of a | wc -l) $(log_count a 'fastpath.*died')" "1 0"
finish
