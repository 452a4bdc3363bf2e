#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The page at / in a browser, against the daemon: what it shows, sending and receiving, the token, what it is not allowed.
#
#   a ------ b        c alone, with a token; the browser runs on a, then on c
. "$(dirname "$0")/lib.sh"

browse() { # host, argument...: tests/net/page.py there
	local h=$1 out=$WORK/page-$1.out
	shift
	mkdir -p "$WORK/home"
	on "$h" env HOME="$WORK/home" TMPDIR="$WORK" "$PYTHON" "$TOP/tests/net/page.py" "$@" >"$out" 2>"$out.err"
	while read -r verdict text; do
		case $verdict in
		ok) ok "$text" ;;
		not_ok) not_ok "$text" ;;
		'#') say "$text" ;;
		esac
	done <"$out"
	grep -q '^end' "$out" || { not_ok "page.py $1 ran to its end"; tail -n 8 "$out.err" | sed 's/^/# | /'; }
}

host a b c
wire a b
node b
node a --peers 10.1.0.2:9651
(umask 077 && echo 'open-sesame-0123456789' >"$WORK/token")
node c --api-token-file "$WORK/token"
wait_for 10 "keys" test -s "$WORK/a/key" -a -s "$WORK/b/key" -a -s "$WORK/c/key"
wait_for 10 "a pings b" pings a "$(addr b)"
api_is_open() { on "$1" curl -s -o "$WORK/livez" http://127.0.0.1:8989/livez; }
for h in a b c; do wait_for 10 "the API of $h" api_is_open "$h"; done

browse a node "$(addr a)" "$(pubkey a)" "$(addr b)" "$(pubkey b)" "/run/netns/$(ns b)" "$(pid_of a)"
browse c token open-sesame-0123456789 "$(addr c)"
for h in a b c; do check "$h neither dies nor complains" sh -c "! grep -E 'WARN|ERROR' '$WORK/$h/log'"; done
finish
