#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Without TUN and without root: transit for others; several nodes on one machine; wrong use.
#
#   a ------ b (two nodes, not root, no TUN, b1 - b2 in one host) ------ c
. "$(dirname "$0")/lib.sh"

host a b c
wire a b
wire b c
chmod 755 "$WORK"
cp "$BIN/controld" "$BIN/fastpath" "$WORK/" # the folder of the project may be closed to others
unprivileged() { # name, options
	local n=$1
	shift
	mkdir -p "$WORK/$n"
	chown nobody "$WORK/$n"
	nsenter --net="/run/netns/$(ns b)" setpriv --reuid=nobody --regid=nogroup --clear-groups --inh-caps=-all --bounding-set=-all "$WORK/controld" -k "$WORK/$n/key" \
		--run-dir "$WORK/$n/run" --state-dir "$WORK/$n/state" --no-tun --disable-peer-discovery "$@" >>"$WORK/$n/out" 2>>"$WORK/$n/log" </dev/null &
	echo $! >"$WORK/$n/pid"
	PIDS+=($!)
}
unprivileged b1 --port 9651
unprivileged b2 --port 9652 --api-addr 127.0.0.1:8990 --peers 127.0.0.1:9651
node a --peers 10.1.0.2:9651
node c --peers 10.2.0.1:9652
wait_for 10 "keys" test -s "$WORK/a/key" -a -s "$WORK/c/key"
A=$(addr a) C=$(addr c)
wait_for 20 "a pings c through two nodes without root" pings a "$C"
ok "a pings c through two nodes without root"
check "c pings a" pings c "$A"
check "no TUN on b" sh -c "! nsenter --net=/run/netns/$(ns b) ip link show dev tun0"

fails() { # expected code, expected text, arguments...
	local code=$1 text=$2 got
	shift 2
	on b timeout 20 "$BIN/controld" "$@" >"$WORK/wrong" 2>&1 </dev/null
	got=$?
	[ $got = "$code" ] && grep -qi -- "$text" "$WORK/wrong" || { echo "exit $got:"; cat "$WORK/wrong"; return 1; }
}
check "unknown option: exit 2" fails 2 "frobnicate" --frobnicate
check "bad port: exit 2" fails 2 "port" --port 70000
check "bad peer: exit 2" fails 2 "peers" --peers 10.0.0.1 --no-tun
check "unknown subcommand: exit 2" fails 2 "nonsense" nonsense
printf short >"$WORK/short"
check "short key file: exit 1" fails 1 "too short" -k "$WORK/short" --no-tun
check "the short key file was not touched" equal "$(cat "$WORK/short")" short
mkdir "$WORK/dir"
check "key file is a directory: exit 1" fails 1 "director" -k "$WORK/dir" --no-tun
check "key file in no directory: exit 1" fails 1 "$WORK/none" -k "$WORK/none/key" --no-tun
check "bad key to inspect: exit 1" fails 1 "key" inspect 1234

# Another overlay already has 200::/7.
host e
on e ip link add other type veth peer name far
on e ip link set far up
on e ip link set other up
on e ip -6 route add 200::/7 dev other
occupied() { on e timeout 20 "$BIN/controld" -k "$WORK/e/key" --run-dir "$WORK/e/run" >"$WORK/wrong" 2>&1 </dev/null; [ $? = 1 ] && grep -q "other" "$WORK/wrong"; }
check "another overlay's route: exit 1, its interface named" occupied
check "and nothing is left" sh -c "! nsenter --net=/run/netns/$(ns e) ip link show dev tun0"
check "a peer inside the overlay: exit 2" fails 2 "inside the overlay" --no-tun --peers '[200::5]:9651'
check "a link-local peer without interface: exit 2" fails 2 "needs its interface" --no-tun --peers '[fe80::1]:9651'
check "and --check says so too" fails 2 "inside the overlay" --check --peers '[200::5]:9651'
finish
