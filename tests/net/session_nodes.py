#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Driver of session.sh: sessions between nodes of ours, and an older one between and beside them. TAP."""
import os
import socket
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import session_lab as lab  # noqa: E402
from session_lab import api, p, s  # noqa: E402

tap = lab.Tap("session")
b = lab.Node("b")
a = lab.Node("a", "--peers", "10.1.0.2:9651")
api.until(lambda: a.knows(b.address) and b.knows(a.address), 20, "a and b know each other")


def stream(source, target, port, size=1_000_000):
    """TCP from host to host; what went in comes out."""
    data, got = os.urandom(size), bytearray()
    with lab.inside(target.host):
        server = socket.create_server(("::", port), family=socket.AF_INET6)

    def take():
        c, _ = server.accept()
        while part := c.recv(65536):
            got.extend(part)
    t = threading.Thread(target=take, daemon=True)
    t.start()
    with lab.inside(source.host):
        c = socket.create_connection((target.text, port), 30)
    c.sendall(data)
    c.close()
    t.join(60)
    server.close()
    return got == data or f"{len(got)} of {size} bytes"


def letter(source, target, size=5000):
    payload = os.urandom(size)
    id_ = source.api.send(target.text, payload).json()["id"]
    m = target.api.receive().json()
    assert (m["id"], m["payload"], m["srcPk"]) == (id_, api.b64(payload), source.key.hex())
    return api.until(lambda: source.api.status(id_)["state"] == "read", 20, "it is read")


# Two nodes, one wire.
tap.check("the first packet is answered at once", lambda: lab.pings("a", b.address))
for x, y in ((a, b), (b, a)):
    tap.check(f"{x.host} has a session with the other, and has pinned it", lambda: x.wait_settled(y.address))
    tap.check(f"{x.host} says so in its list", lambda: x.session(y.address)["publicKey"] == y.key.hex()
              and x.session(y.address)["mode"] == "opportunistic" and x.session(y.address)["since"] > 1_600_000_000)
before = [x.static() for x in (a, b)], [x.counts()["session_opened"] for x in (a, b)]
for x, y in ((a, b), (b, a)):
    tap.check(f"{x.host} to {y.host} in it: ping", lambda: lab.pings(x.host, y.address))
    tap.check(f"{x.host} to {y.host} in it: packets as large as the MTU", lambda: lab.ping(x.host, y.address, "-s", "1352", "-M", "do")[1] == 0)
    tap.equal(f"{x.host} to {y.host} in it: TCP", stream(x, y, 7100), True)
    tap.check(f"{x.host} to {y.host} in it: a message, received and read", lambda: letter(x, y))
tap.equal("nothing of all that went by the static key", [x.static() for x in (a, b)], before[0])
tap.check("but in the session", lambda: all(x.counts()["session_opened"] > n + 200 for x, n in zip((a, b), before[1])))
tap.check("the list tells the packets", lambda: api.until(lambda: a.session(b.address)["sealedPackets"] > 100
                                                         and a.session(b.address)["openedPackets"] > 100, 10))
for x, y in ((a, b), (b, a)):
    tap.equal(f"the log of {x.host} tells of its session once", x.logged(f"session with {y.text} established"), 1)


def command():
    text, code = a.command("sessions")
    rows = [line.split("\t") for line in text.splitlines()]
    return code == 0 and len(rows) == 1 and rows[0][:2] == [b.text, "session"] or print("# " + text)


tap.check("`mycelium sessions` names it", command)
tap.check("`mycelium sessions --json` too", lambda: f'"address":"{b.text}"' in a.command("sessions", "--json")[0].replace(" ", ""))

# An older node is the only way to c.
old = p.Peer(p.Identity.generate(), forward=True)
c = lab.Node("c")
with lab.inside("p"):
    links = old.connect("10.2.0.1"), old.connect("10.3.0.2")
old.announce_now()
api.until(lambda: b.knows(c.address) and c.knows(b.address), 30, "b and c know each other")
api.until(lambda: b.knows(old.id.address) and c.knows(old.id.address) and a.knows(old.id.address), 30, "all know the older node")
old.wait_key(a.address)
tap.check("through an older node: the first packet is answered at once", lambda: lab.pings("b", c.address))
for x, y in ((b, c), (c, b)):
    tap.check(f"through an older node: {x.host} has a session", lambda: x.wait_settled(y.address))
static = c.static()
tap.check("and it carries", lambda: lab.pings("b", c.address) and lab.pings("c", b.address))
tap.equal("nothing of it went by the static key", c.static(), static)
tap.check("a larger transfer through the older node", lambda: stream(b, c, 7101, 200_000))
tap.check("two hops further", lambda: api.until(lambda: a.knows(c.address) and lab.pings("a", c.address), 30) and a.wait_settled(c.address))


def exceeded(hops, reporter):
    text, _ = lab.ping("b", c.address, "-t", str(hops))
    return f"From {p.show(p.mask(reporter, 64))} " in text and "Time exceeded" in text or print("# " + text)


delivered = b.counts()["icmp_delivered"]
tap.check("time exceeded at the older node, which quotes a session packet, reaches the host", lambda: exceeded(1, old.id.address))
tap.check("time exceeded at c, told in the session", lambda: exceeded(2, c.address))
tap.equal("both were taken for quotes of our own", b.counts()["icmp_delivered"] - delivered, 2)
tap.equal("nothing was refused as a quote", b.counts()["drop_icmp_quote"], 0)

# The older node at the end.
for x in (b, c):
    x.api.get("/api/v1/admin/sessions")
tap.check("the older node pings b", lambda: old.ping(b.address))
tap.check("b pings the older node", lambda: lab.pings("b", old.id.address))
tap.check("a pings the older node", lambda: lab.pings("a", old.id.address))


def letters():
    out = old.send_message(b.address, b"to b" * 1000)
    m = b.api.receive().json()
    assert m["id"] == out.id.hex()
    old.wait(lambda: out.state == "read", 20)
    had = len(old.inbox)
    b.api.send(p.show(old.id.address), b"to the old one" * 1000)
    return old.wait(lambda: len(old.inbox) > had, 20)


tap.check("messages with it, both ways", letters)
tap.check("it is talked to statically, and not pinned", lambda: b.wait_session(old.id.address, state="static", pinned=False))
tap.check("and that is counted", lambda: api.until(lambda: b.session(old.id.address)["staticSealed"] > 2
                                                   and b.session(old.id.address)["staticOpened"] > 2, 10))
tap.check("it saw a handshake begun", lambda: old.expect("user", lambda u: u[0] == s.INIT, 10))


def unusual():
    kinds = {(kind, len(body) if kind >= 0x40 else 0) for name, _, (kind, body, _) in (e for e in old.events if e[0] == "user")}
    strange = {e[0] for e in old.events if e[0] in ("undeliverable", "Skipped", "link-down", "icmp-bad", "message-bad")}
    return kinds <= {(0, 0), (1, 0), (2, 0), (s.INIT, s.INIT_BYTES)} and not strange or print(f"# {kinds} {strange}")


tap.check("and nothing else that is unusual: what came opened under its key, of known types, beside INIT", unusual)
tap.check("both its connections stayed", lambda: all(x.open for x in links))
for x in (a, b, c):
    tap.equal(f"{x.host} ends in order", x.stop(), 0)
tap.end()
