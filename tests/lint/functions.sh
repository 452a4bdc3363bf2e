#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# No function over sixty lines, no file over five hundred. Prints offenders; exit 1 if any.
set -u
cd "$(dirname "$0")/../.." || exit 1
files=$(find . -path ./build -prune -o -name '*.[ch]' -print)
long=$(echo "$files" | xargs awk '
	FNR == 1 { open = 0 }
	/^\{/ { open = FNR }
	/^\}/ { if (open && FNR - open - 1 > 60) printf "%s:%d: function of %d lines\n", FILENAME, open, FNR - open - 1; open = 0 }')
big=$(echo "$files" | xargs wc -l | awk '$2 != "total" && $1 > 500 { print $2 ": " $1 " lines" }')
[ -z "$long$big" ] && exit 0
printf '%s\n%s\n' "$long" "$big"
exit 1
