#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The long forms. HOURS (default 1) is shared between fuzzing, simulation, messages in virtual time, and restarts, cuts and kills under traffic.
set -u
cd "$(dirname "$0")/.." || exit 1
seconds=$((${HOURS:-1} * 3600))
targets=$(find tests/fuzz -name 'fuzz_*.c' | wc -l)
bad=0
echo "== clang-tidy"
make -s lint-tidy TIDY_NODES=225000 || bad=1
echo "== fuzzing, $((seconds / 6)) s, two at a time"
FUZZ_SECONDS=$((seconds / 3 / targets + 1)) tests/fuzz/run.sh || bad=1
echo "== simulation, $((seconds / 3)) s"
build/release/tests/sim/sim --soak $((seconds / 3)) || bad=1
echo "== messages, sessions and nonces, seed after seed, $((seconds / 6)) s"
end=$((SECONDS + seconds / 6))
rounds=0
while [ $SECONDS -lt $end ]; do
	for t in message post store_kill session keyring replay_packets replay_kill nonce; do
		for p in build/release/tests/prop/prop_$t build/release/tests/unit/test_$t; do
			[ ! -x "$p" ] || SEED=$RANDOM$RANDOM REPLAY_KILLS=5000 NONCE_PACKETS=50000000 NONCE_RESTARTS=500 "$p" >/tmp/mycelium-soak.$$ 2>&1 || { bad=1; echo "$p failed"; grep -A5 -E 'SEED|FAILED' /tmp/mycelium-soak.$$; }
		done
	done
	rounds=$((rounds + 1))
done
echo "$rounds rounds"
echo "== network scenarios, $((seconds / 3)) s"
end=$((SECONDS + seconds / 3))
rounds=0
while [ $SECONDS -lt $end ]; do
	for t in restart diamond line pair kill streams messages api session session_peer session_pin session_restart session_rekey audit; do
		KILLS=50 CUTS=500 AUDIT=full RENEWALS=100 tests/net/$t.sh >/tmp/mycelium-soak.$$ 2>&1 || { bad=1; echo "round $rounds: $t failed"; grep -A5 '^not ok' /tmp/mycelium-soak.$$; }
	done
	rounds=$((rounds + 1))
done
rm -f /tmp/mycelium-soak.$$
echo "$rounds rounds of the network scenarios"
exit $bad
