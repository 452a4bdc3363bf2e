#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Judges both documents of api-spec by their specifications, and their examples by their schemas. Prints what is wrong;
# exit 1 if anything is.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/spec/tools.sh
spec_tools python node || exit 1
bad=0
"$SPEC_BIN/python" tests/spec/check.py api-spec/openapi.yaml api-spec/asyncapi.yaml || bad=1
node tests/spec/asyncapi.js "$SPEC_NODE" api-spec/asyncapi.yaml || bad=1
exit $bad
