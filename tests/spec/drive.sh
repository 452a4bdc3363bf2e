#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Drives a running daemon from openapi.yaml: requests that fit the document and requests that do not, and every answer
# must be one that it names. drive.sh URL [examples per operation]. SEED= replays.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/spec/tools.sh
spec_tools python || exit 1
url=${1:?the URL of an API}
seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
echo "# SEED=$seed"
scratch=$(mktemp -d /tmp/mycelium-drive-XXXXXX)
trap 'rm -rf "$scratch"' EXIT
spec=$PWD/api-spec/openapi.yaml
# Not every value that fits the document is wanted by the daemon: an address may lie outside the overlay, a name may be
# no endpoint. So it may refuse such a one, but as the document says.
cd "$scratch" &&
	PYTHONPATH="$OLDPWD/tests/spec" PYTHONDONTWRITEBYTECODE=1 SCHEMATHESIS_HOOKS=drive_hooks "$SPEC_BIN/schemathesis" \
		--no-color run "$spec" --url "$url" --seed "$seed" --max-examples "${2:-40}" --phases examples,coverage,fuzzing \
		--exclude-checks positive_data_acceptance,use_after_free,ensure_resource_availability \
		--request-timeout 20 --continue-on-failure --generation-database none --warnings off
