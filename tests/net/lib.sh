# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: Apache-2.0
# Hosts, wires and nodes for the network tests. Sourced by each scenario, which draws its topology at the top.
#
#   host a                     a network namespace
#   wire a b [mtu]             a veth pair: 10.N.0.1/24 and fd00:N::1/64 on a, .2 and ::2 on b; interfaces a-b and b-a
#   node a [options]           a node on host a (extra --peers and the like); key, log, state under $WORK/a
#   on a command...            run a command on host a
#   wait_for 10 'what' cmd...  until the command succeeds; "not ok" and the end of the script after that many seconds
#   check 'what' cmd...        one test line
#
# Every script can run alone and beside others: the names carry the pid. Nothing stays behind.
set -u
[ "$(id -u)" = 0 ] || { echo "1..0 # SKIP needs root"; exit 77; }
LC_ALL=C
export LC_ALL
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BIN=${BIN:-$TOP/build/release}
PYTHON=${PYTHON:-/usr/bin/python3}
TOOLS=$TOP/build/tools
SCENARIO=$(basename "$0" .sh)
RUN=m$$
WORK=$(mktemp -d "/tmp/mycelium-test-$SCENARIO-XXXXXX")
TESTS=0
FAILED=0
WIRES=0
HOSTS=()
PIDS=()

say() { echo "# $*"; }

ok() { TESTS=$((TESTS + 1)); echo "ok $TESTS - $SCENARIO: $*"; }

not_ok() { TESTS=$((TESTS + 1)); FAILED=$((FAILED + 1)); echo "not ok $TESTS - $SCENARIO: $*"; }

check() {
	local what=$1
	shift
	if "$@" >"$WORK/check.out" 2>&1; then
		ok "$what"
	else
		not_ok "$what"
		sed 's/^/# | /' "$WORK/check.out" | tail -n 15
	fi
}

# Compares, so that a failure shows both.
equal() { [ "$1" = "$2" ] || { echo "got '$1', expected '$2'"; return 1; }; }
at_most() { [ "$1" -le "$2" ] || { echo "got $1, expected at most $2"; return 1; }; }
at_least() { [ "$1" -ge "$2" ] || { echo "got $1, expected at least $2"; return 1; }; }

give_up() {
	not_ok "$*"
	for h in "${HOSTS[@]}"; do
		[ -f "$WORK/$h/log" ] || continue
		say "--- log of $h"
		tail -n 12 "$WORK/$h/log" | sed 's/^/# | /'
	done
	exit 1
}

# Polls a condition; the interval is short, so a state is seen when it is there.
wait_for() {
	local seconds=$1 what=$2 end
	shift 2
	end=$(($(date +%s%N) / 1000000 + seconds * 1000))
	until "$@" >"$WORK/wait.out" 2>&1; do
		if [ $(($(date +%s%N) / 1000000)) -ge $end ]; then
			sed 's/^/# | /' "$WORK/wait.out" | tail -n 5
			give_up "$what (not within $seconds s)"
		fi
		read -rt 0.03 <> <(:) || :
	done
}

ns() { echo "$RUN-$1"; }
on() {
	local h=$1
	shift
	nsenter --net="/run/netns/$(ns "$h")" "$@"
}

host() {
	for h in "$@"; do
		ip netns add "$(ns "$h")" || give_up "cannot make a network namespace for $h"
		HOSTS+=("$h")
		mkdir -p "$WORK/$h"
		on "$h" ip link set lo up
		on "$h" sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0 \
			net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0
		on "$h" sysctl -qw net.ipv4.tcp_congestion_control=cubic 2>/dev/null || :
	done
}

wire() {
	local a=$1 b=$2 mtu=${3:-1500} n
	WIRES=$((WIRES + 1))
	n=$WIRES
	ip link add "$a-$b" netns "$(ns "$a")" mtu "$mtu" type veth peer name "$b-$a" netns "$(ns "$b")" mtu "$mtu" ||
		give_up "cannot make a wire from $a to $b"
	on "$a" ip addr add "10.$n.0.1/24" dev "$a-$b"
	on "$b" ip addr add "10.$n.0.2/24" dev "$b-$a"
	on "$a" ip addr add "fd00:$n::1/64" dev "$a-$b" nodad
	on "$b" ip addr add "fd00:$n::2/64" dev "$b-$a" nodad
	on "$a" ip link set "$a-$b" up
	on "$b" ip link set "$b-$a" up
}

# Starts a node; its pid in $WORK/$h/pid.
node() {
	local h=$1
	shift
	nsenter --net="/run/netns/$(ns "$h")" "$BIN/controld" -k "$WORK/$h/key" --run-dir "$WORK/$h/run" --state-dir "$WORK/$h/state" "$@" \
		>>"$WORK/$h/out" 2>>"$WORK/$h/log" </dev/null &
	echo $! >"$WORK/$h/pid"
	PIDS+=($!)
}

pid_of() { cat "$WORK/$1/pid"; }
# The fastpath of a node: the process in its namespace that is not controld.
fastpath_of() { ip netns pids "$(ns "$1")" | while read -r p; do
	[ "$(cat "/proc/$p/comm" 2>/dev/null)" = fastpath ] && echo "$p"
done; }
node_stop() { # host, signal if not TERM
	kill "-${2:-TERM}" "$(pid_of "$1")"
	wait "$(pid_of "$1")"
}
addr() { "$BIN/controld" -k "$WORK/$1/key" inspect | sed -n 's/^Address: //p'; }
pubkey() { "$BIN/controld" -k "$WORK/$1/key" inspect | sed -n 's/^Public key: //p'; }
pings() { on "$1" ping -6 -n -c 1 -W 1 "$2"; }
logged() { grep -q -- "$2" "$WORK/$1/log"; }
log_count() { grep -c -- "$2" "$WORK/$1/log"; }
# The SIGUSR1 dump of a node.
dump() {
	: >"$WORK/$1/out"
	kill -USR1 "$(pid_of "$1")"
	wait_for 5 "dump of $1" grep -q 'Current peers' "$WORK/$1/out"
	cat "$WORK/$1/out"
}
# One counter of a node (SIGUSR2).
counter() {
	: >"$WORK/$1/out"
	kill -USR2 "$(pid_of "$1")"
	wait_for 5 "counters of $1" grep -q 'babel_requests_sent' "$WORK/$1/out"
	awk -v name="$2" '$1 == name { n = $2 } END { print n + 0 }' "$WORK/$1/out"
}

background() { # host, name, command...: its output in $WORK/name.out
	local h=$1 name=$2
	shift 2
	nsenter --net="/run/netns/$(ns "$h")" "$@" >"$WORK/$name.out" 2>"$WORK/$name.err" </dev/null &
	PIDS+=($!)
	echo $! >"$WORK/$name.pid"
}

tool() { # builds one of the C helpers of tests/bench
	mkdir -p "$TOOLS"
	[ "$TOOLS/$1" -nt "$TOP/tests/bench/$1.c" ] || cc -O2 -o "$TOOLS/$1.$$" "$TOP/tests/bench/$1.c" && mv "$TOOLS/$1.$$" "$TOOLS/$1" 2>/dev/null || [ -x "$TOOLS/$1" ]
}

cleanup() { # without what bash says of killed jobs
	local h p left=0
	trap - EXIT INT TERM
	for p in "${PIDS[@]}"; do kill -TERM "$p"; done
	for h in "${HOSTS[@]}"; do
		for p in $(ip netns pids "$(ns "$h")"); do kill -KILL "$p"; done
	done
	wait
	for h in "${HOSTS[@]}"; do
		ip netns del "$(ns "$h")" || left=1
	done
	[ "$left" = 0 ] || echo "# some namespaces could not be removed"
	if [ -n "${KEEP:-}" ]; then say "kept: $WORK"; else rm -rf "$WORK"; fi
} 2>/dev/null
finish() {
	echo "1..$TESTS"
	[ "$FAILED" = 0 ]
	exit
}
trap cleanup EXIT
trap 'exit 1' INT TERM
