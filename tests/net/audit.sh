#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# No nonce twice: sessions under traffic both ways, while controld, fastpath or both of either node are killed, and the
# generation of a node's shared memory is raised. Every range of counters and every static prefix is written down by the
# fastpaths (built so), and every nonce on the wire by a relay between them. AUDIT=full: 50 restarts, ten million packets.
#
#   a ------ r ------ b        r passes on what a and b say to each other
. "$(dirname "$0")/lib.sh"
for p in fastpath-audit nonces; do
	[ -x "$BIN/$p" ] || make -s -C "$TOP" VARIANT="${BIN##*/}" "build/${BIN##*/}/$p" >&2 || give_up "$BIN/$p is not there"
done
host a r b
wire a r
wire r b
# BIN WORK NAMESPACE-A NAMESPACE-R NAMESPACE-B RESTARTS PACKETS SEEN RATE
case ${AUDIT:-short} in
full) set -- 50 10000000 1000000 60000 ;;
*) set -- 16 800000 100000 40000 ;;
esac
"$PYTHON" "$TOP/tests/net/audit.py" "$BIN" "$WORK" "/run/netns/$(ns a)" "/run/netns/$(ns r)" "/run/netns/$(ns b)" "$@" \
	>"$WORK/audit.out" 2>"$WORK/audit.err"
sed '/^1\.\./d' "$WORK/audit.out"
TESTS=$(grep -c '^ok\|^not ok' "$WORK/audit.out")
FAILED=$(grep -c '^not ok' "$WORK/audit.out")
grep -q '^1\.\.' "$WORK/audit.out" || { not_ok "audit.py ran to its end"; tail -n 15 "$WORK/audit.err" | sed 's/^/# | /'; }
[ "$FAILED" = 0 ] || for h in a b; do tail -n 12 "$WORK/$h/log" | sed "s/^/# $h | /"; done
finish
