# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Sourced in the root of the tree: puts the tools that judge the specifications under build/spec, once for each version
# of the lists, also when several ask at the same time. SPEC_BIN: where the programs of Python are; SPEC_NODE: the folder
# of node_modules.
SPEC_BIN=$PWD/build/spec/venv/bin
SPEC_NODE=$PWD/build/spec/node

spec_stamp() { # folder, list: is the folder made from this list?
	[ -f "$1/stamp" ] && cmp -s "$2" "$1/stamp"
}

spec_python() {
	spec_stamp build/spec/venv tests/spec/requirements.txt && return
	rm -rf build/spec/venv
	"${PYTHON:-/usr/bin/python3}" -m venv build/spec/venv &&
		"$SPEC_BIN/pip" --disable-pip-version-check -q install -r tests/spec/requirements.txt &&
		cp tests/spec/requirements.txt build/spec/venv/stamp
}

spec_node() {
	spec_stamp build/spec/node tests/spec/package.json && return
	rm -rf build/spec/node
	mkdir -p build/spec/node && cp tests/spec/package.json build/spec/node/ &&
		(cd build/spec/node && npm install --ignore-scripts --no-audit --no-fund --no-package-lock --loglevel=error >&2) &&
		cp tests/spec/package.json build/spec/node/stamp
}

spec_tools() { # python and node, or one of them
	local what
	mkdir -p build/spec
	for what in "$@"; do
		(flock 9 && "spec_$what") 9>"build/spec/$what.lock" || { echo "the tools of tests/spec could not be installed"; return 1; }
	done
}
