#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# All figures: the pure parts first, then whole nodes. Arguments go to bench.py.
cd "$(dirname "$0")/../.." || exit 1
[ $# -gt 0 ] || for b in build/release/tests/bench/*; do
	case $b in *.o | *.d) ;; *) "$b" || exit 1 ;; esac
done
exec /usr/bin/python3 tests/bench/bench.py "$@"
