#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Driver of session_require.sh: nodes that insist, alone and by a network key, and what others get of them. TAP."""
import os
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import session_lab as lab  # noqa: E402
from session_lab import api, p, s  # noqa: E402

tap = lab.Tap("session_require")
A, B = bytes(range(32)), bytes(range(100, 132))


def key_file(name, key):
    path = f"{lab.WORK}/{name}"
    with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="ascii") as f:
        f.write(key.hex() + "\n")
    return path


FILE = {"A": key_file("key-a", A), "B": key_file("key-b", B)}
r = lab.Node("r", "--session", "require")
k = lab.Node("k", "--network-key", FILE["A"])
w = lab.Node("w", "--network-key", FILE["A"], "--network-key", FILE["B"])
ll = lab.Node("l", "--network-key", FILE["A"], "--peers", "10.1.0.1:9651")
sink = {x.host: lab.Sink(x.host) for x in (r, k)}
pinged = {}


def begin_ping(node, peer):
    """In the background, for it is held for some seconds."""
    t = threading.Thread(target=lambda: pinged.update({(node, peer): lab.ping(node.host, peer.id.address, wait=20)[0]}), daemon=True)
    t.start()
    return t


def nothing(node, what, peer):
    """Nothing passes between them: the ping of the host is under way already."""
    since, before = peer.mark(), node.counts()
    peer.send_kind(node.address, p.USER_L3, lab.udp(peer.id.address, node.address, b"static"))
    peer.send_kind(node.address, p.USER_L3, p.echo(peer.id.address, node.address, 1, 1))
    out = peer.send_message(node.address, b"static")
    tap.check(f"{what}: what it sends is refused", lambda: api.until(
        lambda: node.counts()["drop_static_refused"] >= before["drop_static_refused"] + 3, 20))
    tap.check(f"{what}: the node shakes hands, and sends nothing else", lambda: peer.await_kind(s.INIT) and {t.kind for t in peer.taken(
        since=since)} <= {s.INIT, s.RESP})
    tap.equal(f"{what}: nothing is delivered", (sink[node.host].got[b"static"], node.api.receive(0).status, out.state), (0, 204, "pending"))
    tap.check(f"{what}: the list says so", lambda: node.wait_session(peer.id.address, state="waiting", mode="require", pinned=False))


def unreachable(node, what, peer, thread):
    thread.join(30)
    tap.check(f"{what}: the host of the node gets ICMPv6 1/0", lambda: "Destination unreachable: No route" in pinged[node, peer]
              or print("# " + pinged[node, peer]))
    tap.check(f"{what}: counted", lambda: node.counts()["drop_no_session"] > 0)


def works(node, what, peer, begin=None):
    """A session, begun by the peer or by a packet of the node's host, and data both ways in it."""
    if begin:
        tap.check(f"{what}: a handshake", lambda: begin(node.address))
    else:
        tap.check(f"{what}: the host's packet waits for the session that it causes", lambda: lab.pings(node.host, peer.id.address, 4))
    tap.check(f"{what}: a session", lambda: node.wait_session(peer.id.address, state="session", mode="require"))
    since = peer.mark()
    tap.check(f"{what}: data both ways", lambda: peer.ping(node.address) and lab.pings(node.host, peer.id.address))
    tap.equal(f"{what}: none of it static", peer.taken((p.USER_L3, p.USER_MESSAGE), since, keyed=False), [])


# Those who can not, or may not.
old = lab.join(r, answer_inits=False)
wrong = lab.join(k, psks=[B])
none = lab.join(k)
late = [(x, y, begin_ping(x, y)) for x, y in ((r, old), (k, wrong), (k, none))]
nothing(r, "an older node", old)
nothing(k, "a peer with another network key", wrong)
nothing(k, "a peer without a network key", none)
tap.check("another network key: as responder its RESP does not open", lambda: api.until(lambda: k.counts()["refused_resp_bad"] > 0, 20))
tap.check("another network key: the log says so", lambda: api.until(lambda: k.logged("no session with .*network key is another"), 20))


def refused_there():
    pending = wrong.send_init(k.address)
    wrong.await_kind(s.RESP, test=lambda t: t.body[:4] == pending.body[:4])
    return wrong.wait(lambda: pending.why == "does not open", 10) and not pending.key


tap.check("another network key: as initiator it cannot open the RESP", refused_there)
tap.check("neither has a session", lambda: k.session(wrong.id.address)["state"] == "waiting" and not wrong.sending)

# Those who can.
plain = lab.join(r, answer_inits=False)
works(r, "require, it begins", plain, plain.shake)
works(r, "require, the node begins", lab.join(r))
first = lab.join(k, psks=[A], answer_inits=False)
works(k, "the same network key, it begins", first, first.shake)
works(k, "the same network key, the node begins", lab.join(k, psks=[A]))

# The key is changed: w has the old one and the new one, k still the old one alone.
for name, psks in (("the old one", [A]), ("both, the old one first", [A, B]), ("both, the new one first", [B, A]), ("the new one", [B])):
    works(w, f"changing keys, {name}, the node begins", lab.join(w, psks=psks))
    if A in psks:
        x = lab.join(w, psks=psks, answer_inits=False)
        works(w, f"changing keys, {name}, it begins", x, x.shake)
rolled = lab.join(k, psks=[B, A], answer_inits=False)
works(k, "changing keys, both against the old one alone", rolled, rolled.shake)

# Two nodes of ours with the same key.
api.until(lambda: k.knows(ll.address) and ll.knows(k.address), 20)
tap.check("two nodes with the same network key: ping", lambda: lab.pings("l", k.address, 4) and lab.pings("k", ll.address, 4))
tap.check("two nodes with the same network key: sessions", lambda: k.wait_settled(ll.address) and ll.wait_settled(k.address))
tap.check("and none of their packets was static", lambda: ll.session(k.address)["staticOpened"] <= 4)


def refusals(what, path, status, body=None):
    answer = k.api.call("POST", f"/api/v1/admin/sessions/{path}", body)
    tap.equal(f"a private network: {what} is refused", answer.status, status)


refusals("release", "release", 409)
refusals("release of one", f"{ll.text}/release", 409)
refusals("another mode", f"{ll.text}/mode", 409, {"mode": "off"})
tap.check("the key is nowhere in the log", lambda: not any(x.hex()[:16] in y.log() for x in (A, B) for y in (k, w, ll)))
with open(FILE["B"], "a", encoding="ascii") as f:
    f.write("more")
text, code = lab.run("k", "timeout", "20", f"{lab.BIN}/controld", "-k", f"{lab.WORK}/key-c", "--run-dir", f"{lab.WORK}/run-c", "--no-tun",
                     "--network-key", FILE["B"])
tap.equal("a key file with more in it is an error that names the file and shows no key", (code, FILE["B"] in text, B.hex()[:16] in text),
          (1, True, False))
for x, y, t in late:
    unreachable(x, {old: "an older node", wrong: "another network key", none: "no network key"}[y], y, t)

# A mode of its own for one peer.
tap.equal("mode opportunistic for the older node", r.command("sessions", "mode", p.show(old.id.address), "opportunistic")[1], 0)
tap.check("it is talked to statically", lambda: lab.heard(old, r.address) and lab.pings("r", old.id.address))
tap.check("and the list says so", lambda: r.wait_session(old.id.address, state="static", mode="opportunistic", ownMode=True))
r.kill_both()
with lab.inside("r"):
    old.connect("127.0.0.1")
old.announce_now()
api.until(lambda: r.knows(old.id.address), 20, "r knows the peer again")
tap.check("that outlives both processes", lambda: lab.heard(old, r.address) and r.session(old.id.address)["mode"] == "opportunistic")
tap.equal("mode default", r.command("sessions", "mode", p.show(old.id.address), "default")[1], 0)
before = r.counts()["drop_static_refused"]


def refused():
    old.send_kind(r.address, p.USER_L3, p.echo(old.id.address, r.address, 1, 1))
    return r.counts()["drop_static_refused"] > before


tap.check("and nothing passes any more", lambda: api.until(refused, 20))
lab.tap_end(tap, r, k, w, ll)
