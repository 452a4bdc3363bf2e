#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every route stands in openapi.yaml and the other way round, with a body where it takes one; then the documents
# themselves are judged. Prints offenders; exit 1 if any.
set -u
cd "$(dirname "$0")/../.." || exit 1
bad=0
routes=$(sed -nE 's/^ROUTE\(([A-Z]+), "([^"]+)", [a-z_]+, ([01])\).*/\1 \2 \3/p' controld/api/routes.def | sort)
# Paths are indented by two, methods by four, requestBody by six.
spec=$(awk '
	function flush() { if (method) print toupper(method), path, body; method = "" }
	/^[a-z]/ { flush(); inside = /^paths:/ }
	inside && /^  \// { flush(); path = $1; sub(/:$/, "", path) }
	inside && /^    (get|post|put|patch|delete):/ { flush(); method = $1; sub(/:$/, "", method); body = 0 }
	inside && /^      requestBody:/ { body = 1 }
	END { flush() }' api-spec/openapi.yaml | sort)
[ -n "$routes" ] && [ -n "$spec" ] || { echo "routes.def or openapi.yaml could not be read"; exit 1; }
while read -r line; do
	[ -z "$line" ] || { echo "only in routes.def: $line"; bad=1; }
done < <(comm -23 <(echo "$routes") <(echo "$spec"))
while read -r line; do
	[ -z "$line" ] || { echo "only in openapi.yaml: $line"; bad=1; }
done < <(comm -13 <(echo "$routes") <(echo "$spec"))
# The channels are where ws.c has them, under the same subprotocols.
while read -r protocol; do
	grep -qF "$protocol" api-spec/asyncapi.yaml || { echo "subprotocol $protocol is not in asyncapi.yaml"; bad=1; }
done < <(sed -nE 's/^#define WS_[A-Z]+ "([^"]+)"$/\1/p' controld/api/private.h)
while read -r code; do
	grep -q "^    | $code |" api-spec/asyncapi.yaml || { echo "close code $code is not in asyncapi.yaml"; bad=1; }
done < <(sed -nE 's/^\tWS_CLOSE_[A-Z_]+ = ([0-9]+),.*/\1/p' controld/api/ws_private.h)
tests/spec/validate.sh || bad=1
exit $bad
