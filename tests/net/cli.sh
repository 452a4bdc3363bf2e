#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The commands against running nodes: messages both ways, peers, routes, status, the token, wrong use.
#
#   a ------ b        a dials b
. "$(dirname "$0")/lib.sh"

host a b
wire a b
ctl() { # host, words: the command line of its node
	local h=$1
	shift
	on "$h" timeout 60 "$BIN/controld" "$@" </dev/null
}
exits() { # expected code, expected text in what is printed, host, words
	local code=$1 text=$2 got
	shift 2
	ctl "$@" >"$WORK/printed" 2>&1
	got=$?
	[ $got = "$code" ] && grep -q -- "$text" "$WORK/printed" || { echo "exit $got:"; cat "$WORK/printed"; return 1; }
}
id_of() { sed -nE 's/^\{"id":"([0-9a-f]{16})".*/\1/p' "$1"; }

check "no node: status is 3" exits 3 "no node answers at 127.0.0.1:8989: Connection refused" a status
check "no node: others are 1" exits 1 "is --api-addr the same" a peers
node b --disable-peer-discovery
node a --disable-peer-discovery --peers 10.1.0.2:9651
wait_for 10 "keys" test -s "$WORK/b/key" -a -s "$WORK/a/key"
A=$(addr a) B=$(addr b)
wait_for 20 "a is healthy" ctl a status
ok "a is healthy: exit 0"
wait_for 20 "a pings b" pings a "$B"

# Lists.
check "status names the address" exits 0 "^address	$A\$" a status
check "status as JSON" exits 0 '^{"schema":1,"state":"healthy","reasons":\[\],"peers":{"known":1,"up":1},"node":{.*},"sessions":\[.*\]}$' a status --json
peer_is() { # host, endpoint, state
	ctl "$1" peers | awk -F '\t' -v e="$2" -v s="$3" 'NF != 11 { exit 2 } $1 == e && $3 == s { found = 1 } END { exit !found }'
}
check "a lists b" peer_is a 10.1.0.2:9651 alive
check "peers as JSON" exits 0 '^{"schema":1,"peers":\[{"endpoint":{"proto":"tcp","socketAddr":"10.1.0.2:9651"}' a peers --json
check "b lists a as inbound" exits 0 '^\[::ffff:10\.1\.0\.1]:[0-9]*	inbound	alive	' b peers
has_route() { ctl a routes | awk -F '\t' -v o="$B" 'NF == 8 && $7 == o { found = 1 } END { exit !found }'; }
wait_for 10 "a has a route to b" has_route
ok "routes: a has one to b"
check "no fallback routes" equal "$(ctl a routes fallback; echo $?)" 0
check "routes as JSON" exits 0 '^{"schema":1,"routes":\[{"subnet":"' a routes --json

# Sessions: what the table says, and each change of it.
talks() { # host, address, state: and pings it meanwhile, for there is no session without data
	pings "$1" "$2"
	ctl "$1" sessions | awk -F '\t' -v p="$2" -v s="$3" 'NF != 11 { exit 2 } $1 == p && $2 == s { found = 1 } END { exit !found }'
}
wait_for 30 "a has a session with b" talks a "$B" session
ok "sessions: a has one with b"
check "sessions as JSON" exits 0 "^{\"schema\":1,\"sessions\":\[{\"address\":\"$B\",\"publicKey\":\"$(pubkey b)\",\"state\":\"session\"" a sessions --json
check "status counts it" exits 0 "^sessions	1, 0 static, 0 waiting, 0 idle; 1 pinned\$" a status
check "and names it, in a session" exits 0 "^session	$B	session	[0-9]" a status
check "as JSON too" exits 0 "},\"sessions\":\[{\"address\":\"$B\",.*}\]}\$" a status --json
check "mode: require" ctl a sessions mode "$B" require
check "which the list says" exits 0 "^$B	session	[0-9]*	[0-9]*	require	" a sessions list
check "mode: default again" ctl a sessions mode "$B" default
check "release of one" equal "$(ctl a sessions release "$B"; echo $?)" "told: 1 of 1
0"
wait_for 30 "a talks to b by the static key" talks a "$B" static
wait_for 30 "and b to a" talks b "$A" static
ok "both use the static key again"
check "nothing is pinned there: exit 1" exits 1 "(404): there is no pin" a sessions unpin "$B"
check "sessions with b again" ctl a sessions mode "$B" default
wait_for 60 "a has a session with b again" talks a "$B" session
ok "and there is one again"
check "unpin" ctl a sessions unpin "$B"
wait_for 60 "and has one again, for b has its pin" talks a "$B" session
check "release of all" equal "$(ctl a sessions release; echo $?)" "told: 1 of 1
0"
check "nobody is left: none of none" exits 0 "^told: 0 of 0\$" a sessions release
check "an address outside: exit 1" exits 1 "(400): this address lies outside" a sessions unpin 2001:db8::1
check "a mode that is none: exit 2" exits 2 "off, opportunistic, require or default" a sessions mode "$B" on

# A message, to the byte.
check "the inbox of b is empty" equal "$(ctl b message receive --timeout 0; echo $?)" 0
ctl a message send --topic example.topic "$B" 'this is a "message"' >"$WORK/sent"
check "send prints the id and nothing else" sh -c "[ \$(wc -l <'$WORK/sent') = 1 ] && grep -qE '^\{\"id\":\"[0-9a-f]{16}\"\}\$' '$WORK/sent'"
ID=$(id_of "$WORK/sent")
ctl b message receive --timeout 30 >"$WORK/received"
check "b receives it, to the byte" equal "$(cat "$WORK/received")" "{\"id\":\"$ID\",\"srcIp\":\"$A\",\"srcPk\":\"$(pubkey a)\",\"dstIp\":\"$B\",\"dstPk\":\"$(
	)$(pubkey b)\",\"topic\":\"example.topic\",\"payload\":\"this is a \\\"message\\\"\"}"
status_is() { [ "$(ctl a message status "$1")" = "$2" ]; }
wait_for 20 "a learns that it was read" status_is "$ID" read
ok "message status: read"
check "an unknown id" exits 1 "(404)" a message status 0000000000000000
check "an id that is none" exits 1 "(400)" a message status xyz

# Topics: one whose base64 has a plus sign; another message is left alone.
ctl a message send "$B" other >/dev/null
ctl a message send -t '~?>' "$(pubkey b)" plus >/dev/null
check "by topic" equal "$(ctl b message receive --timeout 30 -t '~?>' --raw)" plus
check "the other one is still there" equal "$(ctl b message receive --timeout 30 --raw)" other

# Files, and bytes that are no text.
head -c 1000000 /dev/urandom >"$WORK/file"
ctl a message send --msg-path "$WORK/file" "$B" >/dev/null
ctl b message receive --timeout 60 --msg-path "$WORK/got" >"$WORK/received"
check "a file of 1 MB arrives" cmp "$WORK/file" "$WORK/got"
check "its payload is not printed" sh -c "! grep -q payload '$WORK/received'"
head -c 3000000 /dev/zero >"$WORK/big"
check "more than the node takes: exit 1" exits 1 "api-max-body" a message send --msg-path "$WORK/big" "$B"

# A question and its answer; one that nobody answers.
background a asks timeout 60 "$BIN/controld" message send --wait --timeout 50 "$B" question
ctl b message receive --timeout 30 >"$WORK/received"
ctl b message send --reply-to "$(id_of "$WORK/received")" "$A" answer >"$WORK/replied"
check "the reply prints nothing" equal "$(cat "$WORK/replied")" ""
wait_for 30 "the answer" grep -q '"payload":"answer"}$' "$WORK/asks.out"
ok "the answer comes to who waits"
ctl a message send -w --timeout 1 "$B" question >"$WORK/sent"
check "no answer: the id, exit 0" equal "$?$(sed -E 's/[0-9a-f]{16}/ID/' "$WORK/sent")" '0{"id":"ID"}'

# Peers come and go.
check "remove" ctl a peers remove 10.1.0.2:9651
check "it is gone" equal "$(ctl a peers)" ""
check "a is degraded: exit 1" exits 1 "^because	no neighbour is up" a status
check "remove again: exit 1" exits 1 "no such peer" a peers remove 10.1.0.2:9651
check "add" ctl a peers add tcp://10.1.0.2:9651
wait_for 20 "b is back" peer_is a 10.1.0.2:9651 alive
ok "b is back"
check "add again: exit 1" exits 1 "there already" a peers add 10.1.0.2:9651
check "add nonsense: exit 1" exits 1 "Error: .*(400)" a peers add nonsense

# Wrong use.
check "message alone: its help, exit 2" exits 2 "^Usage: mycelium" a message
check "a foreign destination: exit 1" exits 1 "DESTINATION" a message send 2001:db8::1 x
check "an unknown option: exit 2" exits 2 "no such option" a peers --jsonn
check "--api-addr none: exit 1" exits 1 "none" a --api-addr none peers
echo "api-addr = 0.0.0.0:8989" >"$WORK/conf"
check "where the API is may stand in a file" exits 0 "10.1.0.2" a --config "$WORK/conf" peers

# With a token.
check "a ends in order" node_stop a
check "no node again: 3" exits 3 "no node answers" a status
(umask 077; head -c 24 /dev/urandom | base64 >"$WORK/token"; echo 0123456789abcdef0123 >"$WORK/wrong-token")
node a --disable-peer-discovery --peers 10.1.0.2:9651 --api-addr 0.0.0.0:8989 --api-token-file "$WORK/token"
wait_for 20 "a is healthy with the token" ctl a --api-token-file "$WORK/token" status
ok "a is healthy with the token"
check "without it: exit 1" exits 1 "give --api-token-file before the command" a peers
check "status without it: exit 3" exits 3 "wants a token" a status
check "with another one: exit 1" exits 1 "is not the node's" a --api-token-file "$WORK/wrong-token" peers

# No folder can be had for the messages: the node routes, and says what is wrong.
check "a ends in order once more" node_stop a
STATE_DIRECTORY=/proc/none nsenter --net="/run/netns/$(ns a)" "$BIN/controld" -k "$WORK/a/key" --run-dir "$WORK/a/run" \
	--peers 10.1.0.2:9651 >>"$WORK/a/out" 2>>"$WORK/a/log" </dev/null &
echo $! >"$WORK/a/pid"
PIDS+=($!)
wait_for 20 "a reaches b with messages in memory" peer_is a 10.1.0.2:9651 alive
ok "a reaches b with messages in memory"
check "the log says so" logged a "messages will not survive a restart"
check "status says so: exit 1" exits 1 "in memory only" a status
finish
