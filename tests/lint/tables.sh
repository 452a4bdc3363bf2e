#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The tables and what must agree with them: every option stands in the manual page and the README, every counter is used.
set -u
cd "$(dirname "$0")/../.." || exit 1
bad=0
while read -r option; do
	sed 's/\\//g' packaging/mycelium.8 | grep -q -- "$option" || { echo "$option is not in packaging/mycelium.8"; bad=1; }
	grep -q -- "$option" README.md || { echo "$option is not in README.md"; bad=1; }
done < <(grep -oE '^OPTION\([a-z_]+, *"[^"]*"' controld/options.def | grep -oE -- '--[a-z-]+')
while read -r name; do
	grep -rqw "STAT_$name" fastpath/ || { echo "STAT_$name is never counted"; bad=1; }
done < <(sed -nE 's/^STAT\(([a-z_0-9]+),.*/\1/p' shared/stats.def)
exit $bad
