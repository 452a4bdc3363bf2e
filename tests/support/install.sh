#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# make install into a folder of its own; the installed program finds its fastpath, the manual page renders, help and version say what
# they should. TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
dir=$(mktemp -d /tmp/mycelium-install-XXXXXX)
trap 'rm -rf "$dir"' EXIT
n=0
bad=0
check() {
	local what=$1
	shift
	n=$((n + 1))
	if "$@" >"$dir/out" 2>&1; then echo "ok $n - install: $what"; else
		echo "not ok $n - install: $what"
		sed 's/^/# /' "$dir/out"
		bad=1
	fi
}
check "make install" make -s install PREFIX="$dir/usr" LIBEXECDIR="$dir/usr/libexec/mycelium" VARIANT=release
for f in sbin/controld sbin/mycelium libexec/mycelium/fastpath share/man/man8/mycelium.8 lib/systemd/system/mycelium.service; do
	check "$f is there" test -e "$dir/usr/$f"
done
check "mycelium is controld" test "$(readlink "$dir/usr/sbin/mycelium")" = controld
check "--version says the version" sh -c "'$dir/usr/sbin/mycelium' --version | grep -q '$(cat VERSION)'"
check "--help is at most 60 lines of 100 columns" sh -c "'$dir/usr/sbin/mycelium' --help | awk 'length > 100 { bad = 1 } END { exit bad || NR > 60 }'"
check "the manual page renders without complaint" sh -c "! man --warnings -l '$dir/usr/share/man/man8/mycelium.8' 2>&1 >/dev/null | grep ."
check "inspect" sh -c "cd '$dir' && '$dir/usr/sbin/mycelium' inspect 8888888888888888888888888888888888888888888888888888888888888888 | grep -q '^Address: '"
check "which made no key file" sh -c "! test -e '$dir/priv_key.bin'"
check "both programs stripped are at most 1 MB" sh -c "strip -o '$dir/1' '$dir/usr/sbin/controld' && strip -o '$dir/2' '$dir/usr/libexec/mycelium/fastpath' &&
	cat '$dir/1' '$dir/2' | wc -c | awk '{ exit \$1 > 1000000 }'"
echo "1..$n"
exit $bad
