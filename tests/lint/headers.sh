#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Each shared header compiles alone: freestanding, and for BPF; each other header alone in user space.
set -u
cd "$(dirname "$0")/../.." || exit 1
bad=0
for h in shared/*.h; do
	gcc -std=gnu17 -ffreestanding -iquote . -Wall -Wextra -Werror -fsyntax-only -x c "$h" || bad=1
	clang-14 -target bpf -iquote . -idirafter "/usr/include/$(gcc -print-multiarch)" -Wall -Wextra -Werror -fsyntax-only -x c "$h" || bad=1
done
while read -r h; do
	gcc -std=gnu17 -D_GNU_SOURCE -iquote . -Wall -Wextra -Werror -fsyntax-only -x c "$h" || bad=1
done < <(find shared/base controld fastpath tests -name '*.h')
exit $bad
