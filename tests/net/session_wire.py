#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Driver of session_peer.sh: a node of ours and session peers written from the document alone. TAP. Each part that may leave
traces has a peer of its own."""
import os
import random
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import session_lab as lab  # noqa: E402
from session_lab import api, p, s  # noqa: E402

seed = int(os.environ.get("SEED", "0")) or random.randrange(1 << 30)
print(f"# SEED={seed}")
rng = random.Random(seed)
tap = lab.Tap("session_peer")
n = lab.Node("n")
N = n.address
sink, unheard = lab.Sink("n"), lab.Sink("n", lab.UNHEARD)


def data(peer, key, payload, **how):
    """A datagram to the sink, in the session."""
    return peer.send_in(key, p.USER_L3, lab.udp(peer.id.address, N, payload), dst=N, **how)


def arrives(peer, key, payload, **how):
    data(peer, key, payload, **how)
    return sink.has(payload)


def established(peer, key=None):
    """The node seals to this peer in the session, and with that key."""
    n.wait_session(peer.id.address, state="session", pinned=True)
    for i in range(100):
        since = peer.mark()
        peer.ping(N)
        t = peer.await_kind(p.USER_L3, since)
        if t.key and (key is None or t.key is key):
            return True
    raise AssertionError(f"it seals {'with another key' if t.key else 'statically'}")


# Peers for what takes its time; looked at in the end.
quiet = lab.join(n, answer_inits=False)
quiet_key = quiet.shake(N)
quiet_since = quiet.mark()
quiet.send_in(quiet_key, p.USER_L3, lab.udp(quiet.id.address, N, b"no answer", lab.UNHEARD), dst=N)
mute = lab.join(n, answer_inits=False, answer_ping=False)
mute.shake(N)
n.wait_session(mute.id.address, state="session")
mute_since = mute.mark()
lab.ping("n", mute.id.address, wait=1)
old = lab.join(n, answer_inits=False)
old_key = old.shake(N)

# As initiator.
me = lab.join(n, answer_inits=False)
ME = me.id.address
since = me.mark()
tap.check("without a session: static", lambda: me.ping(N) and not me.taken(keyed=True))
tap.check("and the node begins a handshake of its own", lambda: len(me.await_kind(s.INIT, since).body) == s.INIT_BYTES)
first = me.shake(N)
tap.check("INIT is answered, KEEPALIVE confirms, it seals in the session", lambda: established(me, first))
since = me.mark()
tap.check("ping in the session, 0 to 1352 bytes", lambda: all(me.ping(N, size=x) for x in (0, 1, 100, 1352)))
tap.check("ping by the host of the node", lambda: lab.pings("n", ME))


def letters():
    out = me.send_message(N, b"m" * 20000, b"t")
    assert n.api.receive().json()["payload"] == api.b64(b"m" * 20000)
    me.wait(lambda: out.state == "read", 20)
    had = len(me.inbox)
    n.api.send(p.show(ME), b"r" * 20000)
    return me.wait(lambda: len(me.inbox) > had, 20) and me.inbox[had].payload == b"r" * 20000


def exceeded():
    try:
        me.ping(N, hop_limit=1)
    except p.Timeout as e:
        return str(e) == f"ICMP type 3 code 0 from {p.show(p.mask(N, 64))}" or print(f"# {e}")
    return False


tap.check("messages both ways", letters)
tap.check("time exceeded comes in the session, and quotes what was sealed in it", exceeded)
tap.equal("nothing came by the static key since", [t.kind for t in me.taken(since=since, keyed=False)], [])
entry = n.session(ME)
tap.equal("the list", [entry[k] for k in ("publicKey", "state", "mode", "pinned", "renewals")], [me.id.public.hex(), "session",
                                                                                            "opportunistic", True, 0])

# Keys that change.
second = me.shake(N)
tap.check("a handshake beside the session renews it", lambda: established(me, second))
tap.check("the list counts it", lambda: n.wait_session(ME, renewals=1) and n.is_same(ME, entry))
tap.check("the former key still opens", lambda: arrives(me, first, b"under the former key"))
tap.check("and the one that seals stays the newer one", lambda: established(me, second))
third = me.shake(N, extra=os.urandom(864), lanes=1, versions=(1, 255), caps=0xFFFFFFFE)
tap.check("INIT of 1000 bytes, later versions, unknown capabilities, one lane", lambda: established(me, third))
tap.check("its 64 lanes are not more than we may use", lambda: not me.seen("wrong-nonce"))
fourth = me.shake(N, lanes=64)
tap.check("64 lanes", lambda: established(me, fourth) and not me.seen("wrong-nonce"))
since = me.mark()
me.send_sealed(N, os.urandom(20) + (0x01020304).to_bytes(4, "big") + bytes(8))  # 32 bytes: a HINT would be longer
me.send_in(first, p.USER_MESSAGE, b"")  # and so would it here
data(me, first, b"under a key that fell out")
tap.check("a fourth key pushes the first one out: HINT, of its index", lambda: me.await_kind(s.HINT, since).body == first.far_index.to_bytes(4, "big"))
tap.equal("a HINT a second, and none for what is shorter", len(me.taken((s.HINT,), since)), 1)
for _ in range(50):
    data(me, first, b"under a key that fell out")
tap.check("many more", lambda: arrives(me, fourth, b"after the strays"))
tap.equal("none of that was delivered", sink.got[b"under a key that fell out"], 0)

# Replays.
sent = [data(me, fourth, b"replayed %d" % i, lane=i % 3) for i in range(300)]
sent += [me.control(N, key=fourth) for _ in range(3)]
tap.check("300 datagrams in three lanes", lambda: arrives(me, fourth, b"before the replays") and all(
    sink.got[b"replayed %d" % i] == 1 for i in range(300)))


def replayed(what, packets, *names):
    """They are counted under these names, and none is delivered."""
    before, had = n.counts(), sink.total
    for x in packets:
        me.links[0].send(x)
    marker = b"marker %d" % rng.getrandbits(60)
    tap.check(f"{what}: the session goes on", lambda: arrives(me, me.key_to(N), marker))
    after = n.counts()
    tap.equal(f"{what}: each is counted", sum(after[x] - before[x] for x in names), len(packets))
    tap.equal(f"{what}: none is delivered", sink.total - had, 1)


def changed(packet, at, value):
    """A sealed byte of it changed; at from the end if negative."""
    sealed = bytearray(packet.sealed)
    sealed[at] ^= value
    return p.Data(packet.src, packet.dst, packet.hop_limit, bytes(sealed))


replayed("replayed in order", sent, "drop_replay_seen")
replayed("replayed in another order", rng.sample(sent, len(sent)), "drop_replay_seen")
replayed("replayed, many times each", rng.choices(sent, k=1000), "drop_replay_seen")
replayed("replayed in another lane", [changed(x, -8, 4) for x in sent], "drop_open_failed")
replayed("replayed in a lane beyond ours", [changed(x, -8, 64) for x in sent], "drop_session_lane", "drop_open_failed")
tap.check("a counter far ahead", lambda: arrives(me, fourth, b"far ahead", lane=5, counter=100_000))
tap.check("a hole within the window is filled", lambda: arrives(me, fourth, b"late but in time", lane=5, counter=100_000 - s.WINDOW + 1))


def numbered(lane, counters):
    """Datagrams under these counters, not sent yet."""
    return [p.Data(ME, N, 64, fourth.seal(ME, N, p.user_data(0, lab.udp(ME, N, b"numbered")), lane, x)) for x in counters]


replayed("counters below the window, never used before", numbered(5, range(100_000 - s.WINDOW - 74, 100_000 - s.WINDOW - 64)), "drop_replay_late")
replayed("counters at the end of their range", numbered(6, range((1 << 56) - 3, 1 << 56)), "drop_session_expired", "drop_open_failed")
fifth = me.shake(N)
established(me, fifth)
replayed("replayed after the key was renewed", sent, "drop_replay_seen")
for _ in range(3):
    established(me, me.shake(N))
replayed("replayed when its key is gone", sent, "drop_open_failed")

# Packets that were tampered with.
key = me.key_to(N)
genuine = lambda: p.Data(ME, N, 64, key.seal(ME, N, p.user_data(0, lab.udp(ME, N, b"tampered")), 0))  # noqa: E731
for what, at in (("user-data header", 1), ("ciphertext", 50), ("tag", -20), ("counter", -1), ("counter, high", -7), ("lane", -8), ("index", -12)):
    replayed(f"tampered: {what}", [changed(genuine(), at, 1)], "drop_open_failed")
other = p.mask(ME, 64)[:15] + b"\x77"
x = genuine()
replayed("tampered: outer source", [p.Data(other, x.dst, 64, x.sealed)], "drop_open_failed")
replayed("tampered: outer destination", [p.Data(x.src, p.mask(N, 64)[:15] + b"\x77", 64, x.sealed)], "drop_open_failed")


def wrong_inside(what, inner, name, src=None, dst=None):
    """Well sealed, in the session."""
    sealed = key.seal(src or ME, dst or N, p.user_data(0, inner), 0)
    replayed(what, [p.Data(src or ME, dst or N, 64, sealed)], name)


wrong_inside("inner source is not the outer one", lab.udp(other, N, b"wrong"), "drop_inner_source")
wrong_inside("inner destination is not the outer one", lab.udp(ME, p.mask(N, 64)[:15] + b"\x77", b"wrong"), "drop_inner_destination")
wrong_inside("inner packet cut", lab.udp(ME, N, b"wrong")[:-1], "drop_inner_malformed")
far = lab.join(n, answer_inits=False)
far_key = far.shake(N)
established(far, far_key)
stolen = [p.Data(ME, N, 64, far_key.seal(ME, N, p.user_data(0, lab.udp(ME, N, b"in another's session")), 0, i + 500)) for i in range(3)]
replayed("another peer's index under our address", stolen, "drop_open_failed")

# What is in the wrong place.
entry = n.session(ME)
before = n.unwanted()
me.send_kind(N, s.CONTROL, bytes([s.RELEASE, 0, 0, 0]))
api.until(lambda: n.unwanted() > before, 10, "it is counted")
tap.check("RELEASE under the static key does nothing", lambda: established(me) and n.is_same(ME, entry))
pending = me.init(N)
me.awaited[pending.index] = pending
before, since = n.unwanted(), me.mark()
for kind, body in ((s.INIT, pending.body), (s.RESP, bytes(64)), (s.COOKIE, bytes(20)), (s.HINT, key.index.to_bytes(4, "big"))):
    me.send_in(key, kind, body, dst=N)
api.until(lambda: n.unwanted() >= before + 4, 10, "they are counted")
tap.check("INIT, RESP, COOKIE, HINT in a session: counted, and nothing comes of them", lambda: established(me) and not pending.key and not me.taken(
    s.HANDSHAKE, since))
before = n.session(ME)
me.control(N, 77, b"unknown kind")
me.control(N, s.KEEPALIVE, b"surplus")
tap.check("unknown kinds of CONTROL and surplus bytes are ignored", lambda: established(me) and n.is_same(ME, before))

# Stamps and cookies.
k = lab.join(n, answer_inits=False, echo_cookies=False)
kept = k.send_init(N)
k.wait_key_of(kept)
established(k)
since, start = k.mark(), time.monotonic()
k.send_kind(N, s.INIT, kept.body)
challenge = k.await_kind(s.COOKIE, since)
tap.equal("a replayed INIT is answered by COOKIE, for its index", (challenge.body[:4], len(challenge.body)), (kept.body[:4], 20))
for _ in range(20):
    k.send_kind(N, s.INIT, kept.body)
proven = []
tap.check("an old stamp with that cookie is answered by RESP", lambda: proven.append(k.shake(N, stamp=1, cookie=challenge.body[4:])) or
          established(k, proven[0]))
tap.check("COOKIE at most once a second", lambda: len(k.taken((s.COOKIE,), since)) <= 1 + int(time.monotonic() - start))


def used_up():
    """The same cookie again, until there is an answer: it is a new challenge. The peer repeats as an initiator does."""
    mark = k.mark()
    again = []
    end = time.monotonic() + 20
    while not k.taken((s.COOKIE,), mark):
        assert time.monotonic() < end
        again.append(k.send_init(N, stamp=2, cookie=challenge.body[4:]))
        try:
            k.await_kind(s.COOKIE, mark, timeout=0.5)
        except p.Timeout:
            pass
    got = k.taken((s.COOKIE,), mark)[0].body
    return got[4:] != challenge.body[4:] and not any(x.key for x in again)


tap.check("that cookie is used up: the next challenge is another one", used_up)
tap.check("the session was untouched by all that", lambda: established(k, proven[0]))
started = lab.join(n, answer_inits=False)
since = started.mark()
started.ping(N)
asked = started.await_kind(s.INIT, since)
mark = started.mark()
for _ in range(2):
    started.cookie(N, int.from_bytes(asked.body[:4], "big"), b"c" * 16)
echo = started.await_kind(s.INIT, mark, test=lambda t: t.body[24:40] == b"c" * 16)
tap.check("the node echoes a COOKIE in a new INIT", lambda: echo.body[:4] != asked.body[:4] and echo.body[12:24] > asked.body[12:24]
          and echo.body[40:72] != asked.body[40:72])
started.cookie(N, int.from_bytes(echo.body[:4], "big"), b"d" * 16)
started.cookie(N, 12345, b"d" * 16)
before = started.mark()
started.answer_inits = True
started._on_init(echo)
tap.check("RESP to that one: a session, and KEEPALIVE at once", lambda: started.await_kind(s.CONTROL, before, test=lambda t: t.body == bytes(4)
                                                                                           and t.key and not t.key.initiator))
tap.check("and it carries", lambda: established(started))
tap.equal("and echoes once an attempt only", [t for t in started.taken((s.INIT,)) if t.body[24:40] == b"d" * 16], [])

# Both begin at once.
both = lab.join(n, answer_inits=False, confirm=False)
since = both.mark()
both.ping(N)
theirs = both.await_kind(s.INIT, since)
mine = both.send_init(N)
both.wait_key_of(mine)
hs = s.model.Handshake(s.prologue(N, both.id.address, theirs.body), both.id.secret, None, both.id.public, bytes(32))
hs.read_init(theirs.body[s.HEAD:s.INIT_BYTES])
given = both.send_resp(N, theirs.body, hs)
tap.check("crossing: theirs is confirmed by the node", lambda: both.wait(lambda: given.confirmed, 20))
both.control(N, key=mine.key)
tap.check("crossing: ours by us; both open, the node seals with what it confirmed last", lambda: established(both, mine.key))
tap.check("crossing: data under either key arrives", lambda: arrives(both, mine.key, b"crossing 1") and arrives(both, given, b"crossing 2"))
tap.check("crossing: one session in the list", lambda: n.wait_session(both.id.address, state="session", handshake=False, renewals=1))


# What is wrong in an INIT.
def flip(at, value=1):
    def spoil(body):
        out = bytearray(body)
        out[at] ^= value
        return bytes(out)
    return spoil


stranger = p.Identity.generate()
BAD_INITS = {
    "lanes 0": {"lanes": 0}, "lanes 65": {"lanes": 65}, "versions 2..3": {"versions": (2, 3)}, "versions 0..0": {"versions": (0, 0)},
    "versions 2..1": {"versions": (2, 1)}, "index 0": {"index": 0}, "static key of another": {"claim": stranger.secret},
    "ephemeral of low order": {"spoil": lambda b: b[:40] + bytes(32) + b[72:]},
    "ephemeral of order 8": {"spoil": lambda b: b[:40] + bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800") + b[72:]},
    "ephemeral changed": {"spoil": flip(41)}, "encrypted static key changed": {"spoil": flip(80)}, "its tag changed": {"spoil": flip(119)},
    "last tag changed": {"spoil": flip(135)}, "index changed on the way": {"spoil": flip(0)}, "lanes changed on the way": {"spoil": flip(6)},
    "zero byte changed on the way": {"spoil": flip(7)}, "capabilities changed on the way": {"spoil": flip(11)},
    "stamp changed on the way": {"spoil": flip(23)}, "cookie changed on the way": {"spoil": flip(30)},
    "extension changed on the way": {"extra": b"extension", "spoil": flip(-1)}, "extension cut off on the way": {
        "extra": b"extension", "spoil": lambda b: b[:136]}, "extension added on the way": {"spoil": lambda b: b + b"x"},
    "extension too long": {"extra": bytes(865)}, "135 bytes": {"spoil": lambda b: b[:135]}, "40 bytes": {"spoil": lambda b: b[:40]},
    "no bytes": {"spoil": lambda b: b""}, "for another responder": {"psk": bytes(32), "src": stranger.address},
    "from another address of the /64": {"outer": {"src": "host"}},
}


def bad_init(how):
    peer = lab.join(n, answer_inits=False, announce=False)
    try:
        how = dict(how)
        if how.get("outer"):
            how["outer"] = {"src": p.mask(peer.id.address, 64)[:15] + b"\x78"}
        before = n.unwanted()
        bad = peer.send_init(N, **how)
        api.until(lambda: n.unwanted() > before, 10, "it is counted")
        assert n.session(peer.id.address).get("state", "static") == "static"
        good = peer.shake(N)
        assert not peer.taken((s.RESP,), test_index(peer, bad)) and not bad.key
        return established(peer, good)
    finally:
        peer.close()


def test_index(peer, bad):
    """The event number behind which a RESP to the bad one would stand; there is none with its index."""
    assert not [t for t in peer.taken((s.RESP,)) if t.body[:4] == bad.body[:4] and bad.body[:4]]
    return peer.mark()


for what, how in BAD_INITS.items():
    tap.check(f"INIT: {what}: no answer, and the next good one is answered", lambda: bad_init(how))

# What is wrong in a RESP.
BAD_RESPS = {
    "version 0": {"version": 0}, "version 2": {"version": 2}, "lanes 0": {"lanes": 0}, "lanes 65": {"lanes": 65}, "index 0": {"index": 0},
    "another receiver": {"receiver": 0x01020304}, "another network key": {"psk": b"k" * 32}, "tag changed": {"spoil": flip(63)},
    "payload changed": {"spoil": flip(40)}, "ephemeral changed": {"spoil": flip(10)},
    "ephemeral of low order": {"spoil": lambda b: b[:4] + bytes(32) + b[36:]}, "63 bytes": {"spoil": lambda b: b[:63]},
    "3 bytes": {"spoil": lambda b: b[:3]}, "no bytes": {"spoil": lambda b: b""}, "from another address of the /64": {"outer": {"src": "host"}},
}


def bad_resp(how):
    peer = lab.join(n, answer_inits=False)
    try:
        how = dict(how)
        if how.get("outer"):
            how["outer"] = {"src": p.mask(peer.id.address, 64)[:15] + b"\x78"}
        since = peer.mark()
        peer.ping(N)
        peer.await_kind(s.INIT, since)
        before = n.unwanted()
        peer.resp = how
        answer(peer)
        api.until(lambda: n.unwanted() > before, 10, "it is counted")
        assert n.session(peer.id.address).get("state", "static") == "static" and not peer.seen("established")
        peer.resp = {}
        answer(peer)
        peer.answer_inits = True  # should the node have begun anew in between
        peer.expect("established")
        return established(peer)
    finally:
        peer.close()


def answer(peer):
    """The last INIT that came, once more if need be."""
    peer.greatest.clear()
    peer.answer_inits = True
    with peer.lock:
        peer._on_init(peer.taken((s.INIT,))[-1])
        peer.answer_inits = False


for what, how in BAD_RESPS.items():
    tap.check(f"RESP: {what}: no session, and the next good one makes one", lambda: bad_resp(how))

# HINT.
key = old.key_to(N)
api.until(lambda: n.session(old.id.address)["keyAgeSeconds"] > 6, 20, "a key that is old enough for a HINT")
mark, before = old.mark(), n.counts()
for wrong in (key.index ^ 1, key.far_index, 0):
    old.hint(N, wrong)
old.send_kind(N, s.HINT, b"123")
tap.check("HINT of other indices, or cut: counted", lambda: api.until(lambda: n.unwanted() - sum(
    x for name, x in before.items() if name.startswith(("drop_", "refused_"))) >= 4, 20))
tap.check("and nothing is begun", lambda: lab.heard(old, N) and not old.taken(s.HANDSHAKE, mark))
old.answer_inits = True


def hinted():
    """Of several, for the node takes a few packets of handshakes a second."""
    old.hint(N, key.index)
    try:
        return old.await_kind(s.INIT, mark, timeout=0.4)
    except p.Timeout:
        return None


tap.check("the node begins anew after a HINT of the key it seals with", lambda: api.until(hinted, 20))
tap.check("and so its session is renewed", lambda: old.expect("established", lambda k: k is not key, since=mark)
          and n.wait_session(old.id.address, state="session", renewals=1, handshake=False))
tap.check("data goes on", lambda: old.ping(N))

# RELEASE.
me.control(N, s.RELEASE)
tap.check("RELEASE: pin and session are gone", lambda: n.wait_session(ME, state="static", pinned=False))
tap.equal("the log tells it", n.logged(f"session with {p.show(ME)} released"), 1)
since = me.mark()
me.sending.clear()
tap.check("and both talk statically", lambda: lab.heard(me, N) and not me.taken(since=since, keyed=True))

# What took its time.
tap.check("KEEPALIVE from who got data and had none to send", lambda: quiet.await_kind(s.CONTROL, quiet_since, 30, lambda t: t.key is quiet_key
                                                                                      and t.body == bytes(4)))
tap.check("INIT from who sent data and hears nothing", lambda: mute.await_kind(s.INIT, mute_since, 40))
tap.check("no peer ever got a nonce twice, or in a lane that it had not offered", lambda: not any(
    x.seen("wrong-nonce") for x in (quiet, mute, old, me, far, k, started, both)))
tap.check("the first peer is still well", lambda: me.ping(N))
lab.tap_end(tap, n)
