#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Driver of session_pin.sh: peers that come back without sessions, by accident and by design. TAP."""
import os
import signal
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import session_lab as lab  # noqa: E402
from session_lab import api, p, s  # noqa: E402

tap = lab.Tap("session_pin")
n, b = lab.Node("n"), lab.Node("b")
a = lab.Node("a", "--peers", "10.1.0.2:9651")
N, sink = n.address, lab.Sink("n")
ALARM = "a pinned peer comes without session, what it sends is refused"


class Later(threading.Thread):
    """A call in the background; its value, or its exception, when asked for."""

    def __init__(self, function):
        super().__init__(daemon=True)
        self.function, self.value, self.error = function, None, None
        self.start()

    def run(self):
        try:
            self.value = self.function()
        except Exception as e:
            self.error = e

    def get(self):
        self.join(60)
        if self.error:
            raise self.error
        return self.value


# A session that lives, and static packets beside it: for a while they may have been under way.
beside = lab.join(n, answer_inits=False)
beside_key = beside.shake(N)
n.wait_session(beside.id.address, state="session", pinned=True)
beside.static = True
tap.check("static packets just after the first handshake are taken", lambda: beside.send_user(N, p.USER_L3, lab.udp(
    beside.id.address, N, b"under way")) and sink.has(b"under way"))

# A pin outlives every restart.
me = lab.join(n, answer_inits=False)
ME = me.id.address
me.shake(N)
entry = n.wait_session(ME, state="session", pinned=True)
n.stop(signal.SIGKILL)
n.start()
tap.check("controld killed: session and pin are still there", lambda: n.wait_session(ME, state="session", pinned=True) and n.is_same(ME, entry))
tap.check("and the ping is answered in the session", lambda: me.ping(N) and me.taken((p.USER_L3,), keyed=True))
api.until(lambda: a.knows(b.address) and b.knows(a.address), 20)
lab.pings("a", b.address)
a.wait_settled(b.address)
b.wait_settled(a.address)
n.kill_both()
tap.check("both killed: the pin is still there, without a session", lambda: n.wait_session(ME, since=None, pinned=True))

# The peer comes back as an older node.
with lab.inside("n"):
    me.connect("127.0.0.1")
    beside.connect("127.0.0.1")
for x in (me, beside):
    x.announce_now()
    x.sending.clear()
api.until(lambda: n.knows(ME), 20, "n knows the peer again")
since, before = me.mark(), n.counts()
held = Later(lambda: lab.ping("n", ME, wait=20))
me.send_user(N, p.USER_L3, lab.udp(ME, N, b"refused"))
me.send_message(N, b"refused", b"refused")
tap.check("its packets and messages are refused, and counted", lambda: api.until(
    lambda: n.counts()["drop_static_refused"] >= before["drop_static_refused"] + 3, 20))
tap.check("the log says it loudly", lambda: api.until(lambda: n.logged(ALARM), 20) and n.logged(f"unpin {p.show(ME)}"))
tap.check("the list counts it", lambda: api.until(lambda: n.session(ME)["refusedStatic"] > 0, 20))
tap.check("the node tries to shake hands", lambda: me.await_kind(s.INIT, since))
tap.check("its own host gets ICMPv6 1/0 after the hold", lambda: "Destination unreachable: No route" in held.get()[0] or print(f"# {held.get()}"))
tap.check("that is counted", lambda: n.counts()["drop_no_session"] > before["drop_no_session"])
payload = n.api.send(p.show(ME), b"not statically").json()["id"]
tap.equal("nothing was delivered", (sink.got[b"refused"], n.api.receive(0).status, n.api.status(payload)["state"]), (0, 204, "pending"))
tap.equal("nothing but handshakes came to the peer by the static key", {t.kind for t in me.taken(since=since)}, {s.INIT})
text, code = n.command("sessions", "unpin", p.show(ME))
tap.equal("`sessions unpin` heals it", (code, n.session(ME).get("pinned", False)), (0, False))
tap.check("it is heard", lambda: lab.heard(me, N))
tap.check("it is talked to", lambda: lab.pings("n", ME) and n.session(ME)["state"] == "static")
tap.check("and the messages come", lambda: api.b64(b"refused") == n.api.receive().json()["payload"] and me.wait(lambda: me.inbox, 30))

# The other one shakes hands anew: a pin is no obstacle to that.
tap.check("a pinned peer that shakes hands again has its session", lambda: beside.shake(N) and n.wait_session(
    beside.id.address, state="session", pinned=True))
key, before, mark = beside.key_to(N), n.counts()["drop_static_refused"], beside.mark()


def refused():
    beside.send_user(N, p.USER_L3, lab.udp(beside.id.address, N, b"beside the session"))
    return n.counts()["drop_static_refused"] > before


tap.check("static packets beside a session that lives are refused", lambda: api.until(refused, 20))
tap.check("and answered by KEEPALIVE in the session", lambda: beside.await_kind(s.CONTROL, mark, test=lambda t: t.key is key))
tap.equal("none was delivered", sink.got[b"beside the session"], 0)

# One of many is released, while the others go on.
beside.static = False
mark = beside.mark()
one = Later(lambda: n.command("sessions", "release", p.show(beside.id.address)))

# One of our own nodes without sessions, by design and with a word before.
a.wait_session(b.address, state="session")
text, code = a.command("sessions", "release")
tap.equal("`sessions release` tells all, and waits", code, 0)
for x, y in ((a, b), (b, a)):
    tap.check(f"release: {x.host} is back at the static key", lambda: x.wait_session(y.address, state="static", pinned=False))
static = a.static(), b.static()
tap.check("release: both talk statically", lambda: api.until(lambda: lab.pings("a", b.address) and lab.pings("b", a.address), 20))
tap.check("release: indeed", lambda: all(x.static()[i] >= was[i] + 2 for x, was in ((a, static[0]), (b, static[1])) for i in (0, 1)))
tap.check("release: nothing begins anew", lambda: (a.session(b.address)["state"], b.session(a.address)["state"]) == ("static", "static"))

told = lambda t: t.body[0] == s.RELEASE and t.key is key  # noqa: E731
tap.equal("release of one: told thrice, in the session", (one.get()[1], len([t for t in beside.taken((s.CONTROL,), mark) if told(t)])), (0, 3))
tap.check("release of one: the static key, and mode off for it alone", lambda: n.wait_session(beside.id.address, state="static", mode="off",
                                                                                               pinned=False) and n.session(ME)["mode"] != "off")
beside.sending.clear()
mark, before = beside.mark(), n.counts()["refused_init_off"]
pending = beside.send_init(N)
tap.check("release of one: its INIT is not answered, its ping is", lambda: api.until(lambda: n.counts()["refused_init_off"] > before, 20)
          and lab.heard(beside, N) and not pending.key and not beside.taken(s.HANDSHAKE, mark))

# And back, and then without a word.
a.stop()
a.start()
tap.check("after a restart of the node that was released, sessions come back", lambda: api.until(
    lambda: lab.pings("a", b.address) and a.session(b.address).get("state") == "session", 20) and b.wait_session(a.address, state="session", pinned=True))
a.stop()
a.start("--peers", "10.1.0.2:9651", "--session", "off")
b.kill_both()
api.until(lambda: a.knows(b.address) and b.knows(a.address), 20)
b.wait_session(a.address, since=None, pinned=True)
since = len(b.log())
before, opened = b.counts()["drop_static_refused"], a.counts()["opened"]
held = Later(lambda: lab.ping("b", a.address, wait=20))
tap.check("--session off without release: the far side refuses", lambda: not lab.pings("a", b.address, 1) and
          api.until(lambda: b.counts()["drop_static_refused"] > before, 10))
tap.check("--session off without release: its host is told", lambda: "Destination unreachable: No route" in held.get()[0])
tap.check("--session off without release: the log says it", lambda: api.until(lambda: b.logged(ALARM, since), 10))
tap.equal("unpin there", b.command("sessions", "unpin", a.text)[1], 0)
tap.check("and they talk again", lambda: api.until(lambda: lab.pings("a", b.address) and lab.pings("b", a.address), 20))
lab.tap_end(tap, n, a, b)
