#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Driver of session_restart.sh: 500 datagrams a second each way in a session while processes die and the generation rises. TAP."""
import os
import signal
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import session_lab as lab  # noqa: E402
from session_lab import api, p, s  # noqa: E402

tap = lab.Tap("session_restart")
GENERATION, PREFIXES = 32, 40  # in the header of the shared memory
b = lab.Node("b")
a = lab.Node("a", "--peers", "10.1.0.2:9651")
sinks = {x: lab.Sink(x.host) for x in (a, b)}
api.until(lambda: a.knows(b.address) and b.knows(a.address), 20)
lab.pings("a", b.address)
for x, y in ((a, b), (b, a)):
    x.wait_settled(y.address)


def flows():
    both = [lab.Flow(a, b, sinks[b]), lab.Flow(b, a, sinks[a])]
    for f in both:
        f.goes_on()
    return both


def memory(node):
    """The shared memory of a node, by a descriptor of its controld."""
    folder = f"/proc/{node.process.pid}/fd"
    for fd in os.listdir(folder):
        if os.readlink(f"{folder}/{fd}").startswith("/memfd:lanes"):
            return f"{folder}/{fd}"
    raise AssertionError("no memfd named lanes")


def raise_generation(node):
    """As controld does when the machine was cloned. How many static prefixes were drawn before."""
    with open(memory(node), "r+b", buffering=0) as f:
        magic, version = struct.unpack("<II", f.read(8))
        assert (magic, version) == (0x6C616E65, 2), hex(magic)
        f.seek(GENERATION)
        generation, prefixes = struct.unpack("<QQ", f.read(16))
        f.seek(GENERATION)
        f.write(struct.pack("<Q", generation + 1))
    return prefixes


def prefixes_drawn(node):
    with open(memory(node), "rb", buffering=0) as f:
        f.seek(PREFIXES)
        return struct.unpack("<Q", f.read(8))[0]


# controld of either.
for x, y in ((a, b), (b, a)):
    was, there = x.session(y.address), y.session(x.address)
    made, static, fast = y.counts()["session_keys_made"], y.static(), x.fastpath()
    both = flows()
    x.stop(signal.SIGKILL)
    for f in both:
        f.go_on(200)
    x.start()
    what = f"controld of {x.host} killed"
    tap.check(f"{what}: adopted", lambda: api.until(lambda: x.logged("adopted"), 10))
    for f in both:
        f.go_on(200)
    tap.equal(f"{what}: nothing lost, nothing twice", [f.end() for f in both] + [z.repeated() for z in sinks.values()], [0] * 4)
    tap.check(f"{what}: the same session, the same key", lambda: x.is_same(y.address, was, False))
    tap.check(f"{what}: on the far side too", lambda: y.is_same(x.address, there, False) and y.session(x.address)["renewals"] == there["renewals"])
    tap.equal(f"{what}: no key was made", (x.counts()["session_keys_made"], y.counts()["session_keys_made"]), (0, made))
    tap.equal(f"{what}: nothing static", y.static(), static)
    tap.equal(f"{what}: the same fastpath", x.fastpath(), fast)

# A peer that keeps what it sent.
me = lab.join(b)
key = me.shake(b.address)
b.wait_session(me.id.address, state="session", pinned=True)
sent = [me.send_in(key, p.USER_L3, lab.udp(me.id.address, b.address, b"kept %d" % i), dst=b.address) for i in range(200)]
api.until(lambda: all(sinks[b].got[b"kept %d" % i] for i in range(200)), 20, "200 datagrams")
b.stop(signal.SIGKILL)
b.start()
for packet in sent:
    me.links[0].send(packet)
me.ping(b.address)
tap.equal("replayed to another controld: none", max(sinks[b].got[b"kept %d" % i] for i in range(200)), 1)


def anew(what, node, far):
    """Traffic comes back in new sessions, and nothing static went or came twice."""
    node.wait_session(far.address, 40, state="session", pinned=True)
    far.wait_session(node.address, 40, state="session", pinned=True)
    both = flows()
    tap.check(f"{what}: data flows again both ways, in sessions", lambda: all(f.goes_on(40) for f in both))
    [f.end() for f in both]
    tap.equal(f"{what}: no datagram came twice", sum(x.repeated() for x in sinks.values()), 0)


# fastpath.
HANDSHAKES = 20  # at most so many packets of handshakes, which go by the static key
static, made, running = b.static(), a.counts()["session_keys_made"], flows()
a.kill_fastpath()
tap.check("fastpath of a killed: it makes a new session", lambda: api.until(lambda: a.counts()["session_keys_made"] > made, 40))
anew("fastpath of a killed", a, b)
lost = [f.end() for f in running]
print(f"# fastpath of a killed: {lost} of {[f.sent for f in running]} lost")
tap.check("fastpath of a killed: no datagram came by the static key", lambda: b.static()[1] - static[1] <= HANDSHAKES
          and b.static()[0] - static[0] <= HANDSHAKES)

# The machine of b was cloned.
static, made, mark, running = b.static(), b.counts()["session_keys_made"], me.mark(), flows()
me.answer_inits = False
drawn = raise_generation(b)
tap.check("generation raised: the keys are wiped", lambda: b.wait_session(me.id.address, since=None, pinned=True))
for packet in sent:
    me.links[0].send(packet)
me.send_in(key, p.USER_L3, lab.udp(me.id.address, b.address, b"under the wiped key"), dst=b.address)
tap.check("generation raised: HINT for what comes under a wiped key", lambda: me.await_kind(s.HINT, mark))
tap.equal("generation raised: nothing of that is delivered", (max(sinks[b].got[b"kept %d" % i] for i in range(200)),
                                                              sinks[b].got[b"under the wiped key"]), (1, 0))
tap.check("generation raised: new keys are made", lambda: api.until(lambda: b.counts()["session_keys_made"] > made, 60))
anew("generation raised", b, a)
lost = [f.end() for f in running]
print(f"# generation raised: {lost} of {[f.sent for f in running]} lost")
tap.check("generation raised: no datagram came or went by the static key", lambda: all(x - y <= HANDSHAKES for x, y in zip(b.static(), static)))
tap.check("generation raised: the static nonces have a new prefix", lambda: prefixes_drawn(b) > drawn)
tap.check("the peer shakes hands anew", lambda: me.shake(b.address) and b.wait_session(me.id.address, state="session"))
since = me.mark()
tap.check("and talks in the session", lambda: me.ping(b.address) and me.taken((p.USER_L3,), since)[-1].key is me.key_to(b.address))
tap.check("it never got a nonce twice", lambda: not me.seen("wrong-nonce"))
tap.equal("no process died but those that were killed", [x.logged("assert|Sanitizer") for x in (a, b)], [0, 0])
for x in (a, b):
    tap.equal(f"{x.host} ends in order", x.stop(), 0)
tap.end()
