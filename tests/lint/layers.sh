#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Who may include whom: every include is written from the root, so each line shows its layer. Prints offenders; exit 1 if any.
set -uf
cd "$(dirname "$0")/../.." || exit 1
bad=0
complain() { echo "$1"; bad=1; }

# folder: prefixes of our headers it may include (besides itself) | third-party headers it may include
rule() {
	case $1 in
	shared/base/*) echo 'shared/ | sodium.h uthash.h' ;;
	shared/*) echo 'shared/ | linux/types.h' ;;
	bpf/*) echo 'shared/ | bpf/ linux/' ;;
	fastpath/aead.*) echo 'shared/ fastpath/ | sodium.h intel-ipsec-mb.h' ;;
	fastpath/sandbox.c) echo 'shared/ fastpath/ | seccomp.h cap-ng.h' ;;
	fastpath/*) echo 'shared/ fastpath/ | sodium.h uthash.h utlist.h' ;;
	controld/babel/*) echo 'shared/ controld/babel/ | uthash.h utlist.h' ;;
	controld/message/*) echo 'shared/ controld/message/ | uthash.h utlist.h' ;;
	controld/session/*) echo 'shared/ controld/session/ | sodium.h uthash.h utlist.h' ;;
	controld/store/*) echo 'shared/ controld/store/ controld/loop.h | sqlite3.h uthash.h utlist.h sodium.h' ;;
	controld/keyring*) echo 'shared/ controld/keyring controld/session/ controld/store/record.h | uthash.h utlist.h sodium.h' ;;
	controld/api/*) echo 'shared/ controld/api/ controld/loop.h controld/node.h controld/post.h controld/keyring.h | libwebsockets.h cjson/ uthash.h utlist.h sodium.h' ;;
	controld/links/*) echo 'shared/ controld/links/ controld/loop.h | uthash.h utlist.h sodium.h' ;;
	controld/kernel/*) echo 'shared/ controld/kernel/ controld/loop.h | libmnl/ cap-ng.h uthash.h utlist.h' ;;
	controld/cli/*) echo 'shared/ controld/cli/ controld/loop.h | cJSON.h cjson/ sodium.h' ;;
	controld/node*) echo 'shared/ controld/node controld/babel/ | uthash.h utlist.h sodium.h' ;;
	controld/post*) echo 'shared/ controld/post controld/message/ controld/store/record.h | uthash.h utlist.h sodium.h' ;;
	controld/loop.c) echo 'shared/ controld/loop.h | uv.h uthash.h utlist.h' ;;
	controld/*) echo 'shared/ controld/ | sodium.h uthash.h utlist.h' ;;
	*) echo 'shared/ fastpath/ controld/ tests/ | *' ;;
	esac
}
third='sodium|intel-ipsec-mb|seccomp|cap-ng|uv\.h|libmnl|bpf/|xdp/|libwebsockets|cjson|cJSON|sqlite3|cmocka|uthash|utlist'
while read -r file; do
	IFS='|' read -r ours theirs <<<"$(rule "$file")"
	while read -r inc; do
		allowed=0
		for p in $ours; do [[ $inc == "$p"* ]] && allowed=1; done
		[ $allowed = 1 ] || complain "$file: may not include \"$inc\""
		[ -f "$inc" ] || complain "$file: \"$inc\" is not a path from the root"
	done < <(sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]+"([^"]+)".*/\1/p' "$file")
	while read -r inc; do
		[[ $inc =~ $third ]] || continue
		allowed=0
		for p in $theirs; do [[ $p == '*' || $inc == "$p"* ]] && allowed=1; done
		[ $allowed = 1 ] || complain "$file: may not include <$inc>"
	done < <(sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]+<([^>]+)>.*/\1/p' "$file")
	head -n 1 "$file" | grep -q 'SPDX-License-Identifier' || complain "$file: no SPDX line"
done < <(find . -path ./build -prune -o -name '*.[ch]' -print -o -name '*.def' -print | sed 's,^\./,,' | grep -v -e '^tests/bench/ref.c' -e '^tests/bench/load.c')
exit $bad
