#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Driver of session_rekey.sh: keys are renewed every two seconds (a build of its own) while data flows both ways. TAP."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import session_lab as lab  # noqa: E402
from session_lab import api  # noqa: E402

RENEWALS, RATE = int(os.environ.get("RENEWALS", 4)), int(os.environ.get("RATE", 1000))

tap = lab.Tap("session_rekey")
b = lab.Node("b", program="controld-rekey")
a = lab.Node("a", "--peers", "10.1.0.2:9651", program="controld-rekey")
sinks = {x: lab.Sink(x.host) for x in (a, b)}
api.until(lambda: a.knows(b.address) and b.knows(a.address), 20)
lab.pings("a", b.address)
for x, y in ((a, b), (b, a)):
    x.wait_settled(y.address)
static = [x.static() for x in (a, b)]
before = [x.session(y.address) for x, y in ((a, b), (b, a))]
made = [x.counts()["session_keys_made"] for x in (a, b)]
flows = [lab.Flow(a, b, sinks[b], RATE), lab.Flow(b, a, sinks[a], RATE)]


def renewed():
    return all(x.session(y.address)["renewals"] >= was["renewals"] + RENEWALS for (x, y), was in zip(((a, b), (b, a)), before))


tap.check(f"{RENEWALS} renewals on both sides", lambda: api.until(renewed, 60 + 4 * RENEWALS, "renewals"))
for f in flows:
    f.go_on(RATE)
lost = [f.end() for f in flows]
sent = [f.sent for f in flows]
now = [x.counts()["session_keys_made"] - m for x, m in zip((a, b), made)]
print(f"# {sent} datagrams, {now} keys made", flush=True)
tap.equal("nothing lost", lost, [0, 0])
tap.equal("nothing twice", [x.repeated() for x in sinks.values()], [0, 0])
tap.check("the same session all the time", lambda: a.is_same(b.address, before[0]) and b.is_same(a.address, before[1]))
# INIT and RESP go by the static key: a handshake makes a key on each side.
tap.check("nothing but handshakes by the static key", lambda: all(
    x.static()[0] - was[0] <= 4 * n and x.static()[1] - was[1] <= 4 * n for x, was, n in zip((a, b), static, now)))
tap.check("old keys go: their rows are free again", lambda: api.until(
    lambda: all(x.counts()["session_keys"] <= 4 for x in (a, b)), 60, "rows"))
lab.tap_end(tap, a, b)
