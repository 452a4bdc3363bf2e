#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs with apt what is missing. deps.sh build | test | demo. Nothing to do: no root needed, no network used.
set -eu
build="gcc libc6-dev make libsodium-dev libipsec-mb-dev libmnl-dev libuv1-dev libcap-ng-dev libseccomp-dev uthash-dev
libwebsockets-dev libwebsockets-evlib-uv libcjson-dev libsqlite3-dev"
demo="python3 python3-websockets iproute2 iputils-ping traceroute procps socat util-linux"
test="$demo clang-14 clang-format-14 clang-tidy-14 libclang-rt-14-dev llvm-14 shellcheck libcmocka-dev
python3-cryptography man-db iperf3 ethtool
chromium chromium-driver python3-selenium python3-venv sqlite3 curl b3sum"
# Debian's npm cannot stand beside a nodejs from elsewhere, which brings its own.
command -v npm >/dev/null || test="$test npm"
case ${1:-build} in
build) want="$build" ;;
demo) want="$build $demo" ;;
test) want="$build $test" ;;
*) echo "usage: deps.sh build|demo|test" >&2; exit 2 ;;
esac
missing=
for p in $want; do
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
[ "$(id -u)" = 0 ] || { echo "these packages are missing; install them as root:$missing" >&2; exit 1; }
echo "installing with apt, which takes a minute or two:$missing"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
apt-get -o DPkg::Lock::Timeout=300 install -y -q --no-install-recommends $missing >/dev/null 2>&1 || {
	apt-get -o DPkg::Lock::Timeout=300 update -q >/dev/null
	apt-get -o DPkg::Lock::Timeout=300 install -y -q --no-install-recommends $missing >/dev/null
}
