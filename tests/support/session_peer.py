#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A peer that shakes hands: peer200.py, and above it the sessions of the newer nodes, by session_model.py. For tests: it has no
timers of its own, every field can be made wrong, and it remembers all that it got.

    me = SessionPeer(p.Identity.generate())
    me.connect("10.1.0.1")
    key = me.shake(address)             # INIT, RESP, KEEPALIVE; answers those of the far side by itself
    me.ping(address)                    # in the session from now on; me.static = True: statically in spite of it

    session_peer.py [vectors-session.json]      check: the known answers, and two such peers against each other
"""
import copy
import json
import os
import struct
import sys
import time
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peer200 as p  # noqa: E402
import session_model as model  # noqa: E402

INIT, RESP, COOKIE, HINT, CONTROL = 0x40, 0x41, 0x42, 0x43, 0x44
HANDSHAKE = (INIT, RESP, COOKIE, HINT)
KEEPALIVE, OFFER, RELEASE = 0, 1, 2
HEAD, INIT_BYTES, RESP_BYTES = 40, 136, 64
WINDOW = 8192
DATA_KINDS = (p.USER_L3, p.USER_MESSAGE, p.USER_ICMP, CONTROL)


def stamp_of(ns: int) -> tuple[int, int]:
    return divmod(ns, 1_000_000_000)


def prologue(initiator: bytes, responder: bytes, body: bytes) -> bytes:
    return model.PROLOGUE + initiator + responder + body[:HEAD] + body[INIT_BYTES:]


def choice(index, version=1, lanes=16, caps=1) -> bytes:
    """The payload of RESP."""
    return struct.pack(">IBBHI", index, version, lanes, 0, caps)


@dataclass
class Key:
    """A session key. Lanes and indices: ours are those in what we receive."""
    dst: bytes
    index: int
    far_index: int
    lanes: int
    far_lanes: int
    send: bytes
    receive: bytes
    initiator: bool
    next: dict = field(default_factory=dict)                         # lane -> the next counter that we seal with
    got: dict = field(default_factory=dict)                          # (lane, counter) -> how often it came
    confirmed: bool = False                                          # something opened under it

    def seal(self, src, dst, plain, lane=0, counter=None, index=None) -> bytes:
        if counter is None:
            counter = self.next.get(lane, 0)
            self.next[lane] = counter + 1
        return model.seal_data(self.send, src, dst, self.far_index if index is None else index, lane, counter, plain)

    def open(self, packet) -> bytes | None:
        return opened(self.receive, packet.src, packet.dst, packet.sealed)


def opened(key, src, dst, sealed) -> bytes | None:
    try:
        return AESGCM(key).decrypt(sealed[-12:], sealed[:-12], src + dst)
    except InvalidTag:
        return None


@dataclass
class Pending:
    """An INIT of ours."""
    index: int
    dst: bytes
    lanes: int
    body: bytes
    how: dict
    handshake: model.Handshake
    key: Key | None = None                                           # when RESP came
    why: str = ""                                                    # why a RESP was not taken
    successor: "Pending | None" = None                               # the INIT that echoed the cookie


@dataclass
class Taken:
    """User data that came: under a session key, or statically (key None)."""
    kind: int
    body: bytes
    packet: p.Data
    key: Key | None


class SessionPeer(p.Peer):
    """Switches beside those of peer200.Peer (attributes):

    answer_inits    be a responder; resp: keywords for resp() that make its answers wrong
    echo_cookies    answer COOKIE by one new INIT
    confirm         KEEPALIVE at once as initiator
    psks            network keys: the first is mixed, all are tried
    static          L3 packets and messages leave under the static key though there is a session
    static_open     L3 packets and messages are taken under the static key though there is one
    """

    def __init__(self, identity, **switches):
        self.answer_inits = self.echo_cookies = self.confirm = self.static_open = True
        self.static, self.resp, self.psks, self.lanes = False, {}, [bytes(32)], 16
        self.indices: dict[int, Key] = {}                            # of all keys ever made
        self.awaited: dict[int, Pending] = {}
        self.sending: dict[bytes, Key] = {}                          # /64 -> key that seals
        self.offered: dict[bytes, Key] = {}                          # /64 -> key that waits for its first packet
        self.greatest: dict[bytes, bytes] = {}                       # /64 -> stamp
        self.stamp = 0
        super().__init__(identity, **switches)

    # -- initiator ----------------------------------------------------------------------------------------------------

    def now(self) -> int:
        self.stamp = max(time.time_ns(), self.stamp + 1)
        return self.stamp

    def init(self, dst, *, index=None, versions=(1, 1), lanes=None, zero=0, caps=1, stamp=None, cookie=bytes(16), extra=b"",
             claim=None, psk=None, ephemeral=None, spoil=None, src=None) -> Pending:
        """An INIT for dst. claim: another secret key as the static one inside; src: in the prologue; spoil: body -> body, at last."""
        dst = p.addr(dst)
        public = self.key_for(dst)[0]
        index = int.from_bytes(os.urandom(4), "big") | 1 if index is None else index
        lanes = self.lanes if lanes is None else lanes
        head = bytearray(model.init_body(index, versions, lanes, caps, stamp_of(self.now() if stamp is None else stamp), cookie))
        head[7] = zero
        clear = bytes(head) + bytes(INIT_BYTES - HEAD) + extra       # as the prologue wants it
        hs = model.Handshake(prologue(src or self.id.address, dst, clear), claim or self.id.secret, public, public, psk or self.psks[0])
        body = bytes(head) + hs.write_init(ephemeral or os.urandom(32)) + extra
        hs.s = self.id.secret
        how = {"lanes": lanes, "caps": caps, "versions": versions, "psk": psk}
        return Pending(index, dst, lanes, spoil(body) if spoil else body, how, hs)

    def send_init(self, dst, hop_limit=64, outer=None, **how) -> Pending:
        """outer: keywords for send_kind."""
        pending = self.init(dst, **how)
        with self.lock:
            self.awaited[pending.index] = pending
        self.send_kind(dst, INIT, pending.body, hop_limit=hop_limit, **(outer or {}))
        return pending

    def shake(self, dst, timeout=20.0, **how) -> Key:
        """A whole handshake as initiator; the key that seals from now on. As the document has it a new INIT goes out when there is
        no answer: the responder takes one a second, and five at once."""
        end = time.monotonic() + timeout
        while True:
            pending = self.send_init(dst, **how)
            try:
                return self.wait_key_of(pending, 1.0)
            except p.Timeout:
                if time.monotonic() > end:
                    raise

    def wait_key_of(self, pending, timeout=20.0) -> Key:
        def last():
            x = pending
            while x.successor:
                x = x.successor
            return x.key
        return self.wait(last, timeout, f"no RESP: {pending.why}")

    def _on_resp(self, t: Taken):
        pending = self.awaited.get(int.from_bytes(t.body[:4], "big"))
        if not pending or len(t.body) < RESP_BYTES or pending.key or not self._exact(t, pending.dst):
            return
        for psk in [pending.how["psk"]] if pending.how["psk"] else self.psks:
            hs = copy.copy(pending.handshake)
            hs.psk = psk
            try:
                payload = hs.read_resp(t.body[4:RESP_BYTES])
                break
            except (InvalidTag, ValueError):
                pending.why = "does not open"
        else:
            return
        far, version, lanes, _, _ = struct.unpack(">IBBHI", payload)
        low, high = pending.how["versions"]
        if not (low <= version <= high and 1 <= lanes <= 64 and far):
            pending.why = f"index {far:08x}, version {version}, lanes {lanes}"
            return
        send, receive = hs.split()
        key = Key(pending.dst, pending.index, far, pending.lanes, lanes, send, receive, True)
        self.indices[key.index] = key
        self.sending[p.mask(pending.dst, 64)] = key
        pending.key = key
        self.note("established", None, key)
        if self.confirm:
            self.control(pending.dst, KEEPALIVE)

    def _on_cookie(self, t: Taken):
        pending = self.awaited.get(int.from_bytes(t.body[:4], "big"))
        if self.echo_cookies and pending and len(t.body) >= 20 and not pending.successor:
            pending.successor = self.send_init(pending.dst, cookie=t.body[4:20], **pending.how)

    # -- responder ----------------------------------------------------------------------------------------------------

    def _exact(self, t: Taken, far: bytes) -> bool:
        return t.packet.src == far and t.packet.dst == self.id.address

    def _on_init(self, t: Taken):
        """The checks in their order; the first failure drops, and is noted."""
        public = self.key_for(t.packet.src)[0]
        low, high, lanes = t.body[4:7] if len(t.body) >= INIT_BYTES else (0, 0, 0)
        index, stamp = int.from_bytes(t.body[:4], "big"), t.body[12:24]
        if not self._exact(t, p.address_of(public)) or not INIT_BYTES <= len(t.body) <= 1000:
            return self.note("bad-init", None, "addresses or length")
        if not low <= 1 <= high or not 1 <= lanes <= 64 or not index:
            return self.note("bad-init", None, "fields")
        if not self.answer_inits:
            return
        if stamp <= self.greatest.get(t.packet.src[:8], b""):
            return self.note("bad-init", None, "stamp")
        hs = model.Handshake(prologue(t.packet.src, t.packet.dst, t.body), self.id.secret, None, self.id.public, self.psks[0])
        try:
            hs.read_init(t.body[HEAD:INIT_BYTES])
        except (InvalidTag, ValueError):
            return self.note("bad-init", None, "does not open")
        if hs.rs != public:
            return self.note("bad-init", None, "another static key")
        self.greatest[t.packet.src[:8]] = stamp
        self.send_resp(t.packet.src, t.body, hs, **self.resp)

    def send_resp(self, dst, init: bytes, hs, *, index=None, version=1, lanes=None, caps=1, receiver=None, psk=None, ephemeral=None,
                  spoil=None, hop_limit=64, outer=None) -> Key:
        """RESP to that INIT; its key waits for the first packet."""
        index = int.from_bytes(os.urandom(4), "big") | 1 if index is None else index
        lanes = self.lanes if lanes is None else lanes
        hs.psk = psk or self.psks[0]
        body = (init[:4] if receiver is None else receiver.to_bytes(4, "big")) + hs.write_resp(
            ephemeral or os.urandom(32), choice(index, version, lanes, caps))
        receive, send = hs.split()
        key = Key(dst, index, int.from_bytes(init[:4], "big"), lanes, init[6], send, receive, False)
        with self.lock:
            self.indices[index] = key
            self.offered[p.mask(dst, 64)] = key
        self.send_kind(dst, RESP, spoil(body) if spoil else body, hop_limit=hop_limit, **(outer or {}))
        self.note("offered", None, key)
        return key

    # -- packets ------------------------------------------------------------------------------------------------------

    def key_to(self, dst) -> Key | None:
        return self.sending.get(p.mask(p.addr(dst), 64))

    def send_sealed(self, dst, sealed, src=None, hop_limit=64) -> p.Data:
        dst = p.addr(dst)
        packet = p.Data(src or self.id.address, dst, hop_limit, sealed)
        link = self.next_hop(dst) or (self.links[0] if self.links else None)
        if link is None:
            raise p.Timeout("no connection")
        link.send(packet)
        return packet

    def send_kind(self, dst, kind, body, src=None, hop_limit=64) -> p.Data:
        """Under the static key, whatever it is."""
        return super().send_user(dst, kind, body, src=src, hop_limit=hop_limit)

    def send_in(self, key: Key, kind, body, src=None, hop_limit=64, dst=None, aad=None, **nonce) -> p.Data:
        """In the session, whatever it is. aad: other addresses to authenticate; nonce: lane, counter, index."""
        src, dst = src or self.id.address, p.addr(dst or key.dst)
        with self.lock:
            sealed = key.seal(*(aad or (src, dst)), p.user_data(kind, body), **nonce)
            return self.send_sealed(dst, sealed, src, hop_limit)

    def send_user(self, dst, kind, body, src=None, hop_limit=64, via=None):
        key = None if self.static and kind in (p.USER_L3, p.USER_MESSAGE) else self.key_to(dst)
        if key is None:
            return super().send_user(dst, kind, body, src, hop_limit, via)
        return self.send_in(key, kind, body, src, hop_limit, dst)

    def control(self, dst, kind=KEEPALIVE, body=b"", key=None, **how) -> p.Data:
        return self.send_in(key or self.key_to(dst), CONTROL, bytes([kind, 0, 0, 0]) + body, **how)

    def hint(self, dst, index: int) -> p.Data:
        return self.send_kind(dst, HINT, index.to_bytes(4, "big"))

    def cookie(self, dst, index: int, challenge: bytes) -> p.Data:
        return self.send_kind(dst, COOKIE, index.to_bytes(4, "big") + challenge)

    def _deliver(self, link, packet):
        known = self.key_for(packet.src)
        key = len(packet.sealed) >= 32 and self.indices.get(int.from_bytes(packet.sealed[-12:-8], "big"))
        plain = key and p.mask(key.dst, 64) == p.mask(packet.src, 64) and key.open(packet)
        if plain:
            self._took(key, packet)
        else:
            key, plain = None, known and p.unseal(known[1], packet.sealed)
        if not plain or plain[0] != 1:
            return self.note("undeliverable", link, packet)
        t = Taken(plain[1], plain[4:], packet, key)
        self.note("taken", link, t)
        self._dispatch(link, t)

    def _took(self, key: Key, packet):
        nonce = (packet.sealed[-8], int.from_bytes(packet.sealed[-7:], "big"))
        key.got[nonce] = key.got.get(nonce, 0) + 1
        if key.got[nonce] > 1 or nonce[0] >= key.lanes:
            self.note("wrong-nonce", None, (key, nonce))
        if not key.confirmed:
            key.confirmed = True
            net = p.mask(key.dst, 64)
            if self.offered.get(net) is key:
                self.sending[net] = self.offered.pop(net)
                self.note("established", None, key)

    def _dispatch(self, link, t: Taken):
        work = {INIT: self._on_init, RESP: self._on_resp, COOKIE: self._on_cookie}.get(t.kind)
        if t.kind in HANDSHAKE:
            return work(t) if work and not t.key else None
        if t.kind in (p.USER_L3, p.USER_MESSAGE) and not t.key and not self.static_open:
            return
        self.note("user", link, (t.kind, t.body, t.packet))
        if t.kind == p.USER_L3 and len(t.body) >= 40:
            self._l3(t.packet, t.body[:7] + bytes([t.packet.hop_limit]) + t.body[8:])
        elif t.kind == p.USER_MESSAGE:
            self._message(t.packet, t.body)
        elif t.kind == p.USER_ICMP:
            self._oob(t.packet, t.body)

    def _oob(self, packet, body):
        """A quote of a session packet is opened by the key it was sealed with, under the addresses it was sent with."""
        key = next((k for k in self.indices.values() if len(body) >= 96 and body[-12:-8] == k.far_index.to_bytes(4, "big")), None)
        original = key and opened(key.send, body[40:56], body[:16], body[64:])
        if not original:
            return super()._oob(packet, body)
        self.note("icmp", None, {"type": body[56], "code": body[57], "from": body[24:40], "outer": packet, "about": body[:16],
                                 "packet": original, "rest": body[64:]})

    # -- what came ----------------------------------------------------------------------------------------------------

    def taken(self, kinds=None, since=0, keyed=None) -> list[Taken]:
        """All that came since that event, of these kinds; keyed: in a session or not."""
        with self.lock:
            return [t for name, _, t in self.events[since:] if name == "taken" and (kinds is None or t.kind in kinds)
                    and (keyed is None or (t.key is not None) == keyed)]

    def await_kind(self, kind, since=0, timeout=20.0, test=lambda t: True) -> Taken:
        return self.expect("taken", lambda t: t.kind == kind and test(t), timeout, since)


# ---------------------------------------------------------------------------------------------------------------------
# Check of this file


def check_vectors(path):
    v = {k: bytes.fromhex(x) for k, x in json.load(open(path, encoding="ascii")).items()}
    me, far = p.Identity(v["initiator_secret"]), p.Identity(v["responder_secret"])
    a, b = SessionPeer(me, announce=False, say_hello=False), SessionPeer(far, announce=False, say_hello=False)
    a.learn(far.public)
    b.learn(me.public)
    assert (me.address, far.address) == (v["initiator_address"], v["responder_address"])
    sent = {me.address: [], far.address: []}
    for peer in (a, b):                                              # no connection: what would be sent is kept
        peer.send_kind = lambda dst, kind, body, src=None, hop_limit=64, me=peer: sent[me.id.address].append((kind, body))
        peer.send_sealed = lambda dst, sealed, src=None, hop_limit=64, me=peer: sent[me.id.address].append((CONTROL, sealed))
    pending = a.send_init(far.address, index=0x11223344, stamp=1700000000_123456789, ephemeral=v["initiator_ephemeral"])
    assert pending.body == v["init_body"]
    b.resp = {"index": 0x55667788, "ephemeral": v["responder_ephemeral"]}
    b._on_init(Taken(INIT, pending.body, p.Data(me.address, far.address, 64, b""), None))
    assert sent[far.address] == [(RESP, v["resp_body"])]
    a._on_resp(Taken(RESP, v["resp_body"], p.Data(far.address, me.address, 64, b""), None))
    assert (pending.key.send, pending.key.receive) == (v["key_initiator_to_responder"], v["key_responder_to_initiator"])
    assert sent[me.address][-1] == (CONTROL, v["keepalive_initiator_to_responder_lane0_counter0"])
    for peer in (a, b):
        peer.close()


def check_pair():
    """Two of them over a connection: handshakes both ways at once, data, cookie, wrong INITs."""
    a, b = (SessionPeer(p.Identity.generate()) for _ in range(2))
    A, B = a.id.address, b.id.address
    a.connect("127.0.0.1", b.listen(0))
    b.wait_link()
    for x, far in ((a, B), (b, A)):
        x.announce_now()
    a.wait_key(B)
    b.wait_key(A)
    a.ping(B)
    assert not a.taken(keyed=True)
    first = a.shake(B)
    b.wait(lambda: b.key_to(A), 10)
    since = b.mark()
    a.ping(B)
    b.ping(A)
    assert [t.kind for t in b.taken(since=since, keyed=True)] == [0, 0] and not b.taken((0,), since, keyed=False)
    out = a.send_message(B, b"x" * 5000, b"t")
    a.wait(lambda: out.state == "read", 20)
    assert not b.taken((p.USER_MESSAGE,), keyed=False)
    one, two = a.send_init(B), b.send_init(A)                        # crossing
    a.wait_key_of(one)
    b.wait_key_of(two)
    a.ping(B)
    b.ping(A)
    assert a.key_to(B) is not first
    for n, bad in enumerate(({"lanes": 0}, {"lanes": 65}, {"versions": (2, 3)}, {"index": 0}, {"claim": os.urandom(32)}, {"extra": bytes(865)},
                             {"spoil": lambda x: x[:40] + bytes(32) + x[72:]}, {"spoil": lambda x: x[:-1] + bytes([x[-1] ^ 1])},
                             {"extra": b"more", "spoil": lambda x: x[:-1] + b"X"}, {"spoil": lambda x: x[:-1]}, {"stamp": 1})):
        since = b.mark()
        x = a.send_init(B, **bad)
        b.expect("bad-init", since=since)
        assert not x.key, n
    since = a.mark()
    packet = a.send_in(a.key_to(B), p.USER_L3, p.echo(A, B, 1, 1))
    a.expect("l3", since=since)
    a.links[0].send(packet)
    b.expect("wrong-nonce")
    assert a.shake(B, extra=b"an extension")
    assert not a.seen("wrong-nonce") and a.indices.keys() >= {one.index}
    for x in (a, b):
        x.close()


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    check_vectors(sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "..", "vectors", "vectors-session.json"))
    check_pair()
    print("ok")
