#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Each fuzz target: its committed corpus, then FUZZ_SECONDS of searching from there. TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
n=0
bad=0
work=$(mktemp -d /tmp/mycelium-fuzz-XXXXXX)
trap 'rm -rf "$work"' EXIT
one() {
	local name=$1
	mkdir -p "$work/$name" "tests/fuzz/corpus/$name"
	build/fuzz/"$name" -max_total_time="${FUZZ_SECONDS:-5}" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$work/$name-" \
		"$work/$name" "tests/fuzz/corpus/$name" >"$work/$name.log" 2>&1
}
for source in tests/fuzz/fuzz_*.c; do
	name=$(basename "$source" .c)
	while [ "$(jobs -rp | wc -l)" -ge 2 ]; do wait -n; done
	(one "$name"; echo $? >"$work/$name.rc") &
done
wait
for source in tests/fuzz/fuzz_*.c; do
	name=$(basename "$source" .c)
	n=$((n + 1))
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$name.log")
	if [ "$(cat "$work/$name.rc")" = 0 ] && [ "${runs:-0}" -gt 0 ]; then
		echo "ok $n - $name: $runs inputs"
	else
		echo "not ok $n - $name"
		tail -n 25 "$work/$name.log" | sed 's/^/# /'
		bad=1
		cp "$work/$name"-* /tmp/ 2>/dev/null
	fi
done
echo "1..$n"
exit $bad
