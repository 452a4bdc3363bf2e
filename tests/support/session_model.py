#!/usr/bin/env python3
"""Model of the session handshake and of link probes, for known answers.

    session_model.py            check against noise-vectors.json, then print the known answers as JSON

Noise_IKpsk2_25519_AESGCM_BLAKE2b after revision 34 of the Noise specification; needs python3-cryptography. A model, not a library:
no time, no state machine, keys and ephemerals are given.
"""
import hashlib, hmac, json, os, sys

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PROTOCOL = b"Noise_IKpsk2_25519_AESGCM_BLAKE2b"
PROLOGUE = b"mycelium session 1"


def blake2b(data):
    return hashlib.blake2b(data).digest()


def hkdf(ck, material, n):
    temp = hmac.new(ck, material, hashlib.blake2b).digest()
    out, last = [], b""
    for i in range(n):
        last = hmac.new(temp, last + bytes([i + 1]), hashlib.blake2b).digest()
        out.append(last)
    return out


def public(secret):
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw() if hasattr(X25519PublicKey, "public_bytes_raw") \
        else X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes(*raw())


def raw():
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    return Encoding.Raw, PublicFormat.Raw


def dh(secret, peer):
    return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(peer))


class Handshake:
    """Symmetric state and the four token sequences of IKpsk2."""

    def __init__(self, prologue, static, remote_static, responder_static, psk):
        self.ck = PROTOCOL.ljust(64, b"\0")
        self.h = blake2b(self.ck + prologue)
        self.key, self.n = None, 0
        self.s, self.rs, self.psk = static, remote_static, psk
        self.mix_hash(responder_static)

    def mix_hash(self, data):
        self.h = blake2b(self.h + data)

    def mix_key(self, material):
        self.ck, k = hkdf(self.ck, material, 2)
        self.key, self.n = k[:32], 0

    def mix_key_and_hash(self, material):
        self.ck, h, k = hkdf(self.ck, material, 3)
        self.mix_hash(h)
        self.key, self.n = k[:32], 0

    def nonce(self):
        self.n += 1
        return bytes(4) + (self.n - 1).to_bytes(8, "big")

    def seal(self, plain):
        c = AESGCM(self.key).encrypt(self.nonce(), plain, self.h)
        self.mix_hash(c)
        return c

    def open(self, c):
        p = AESGCM(self.key).decrypt(self.nonce(), c, self.h)
        self.mix_hash(c)
        return p

    def put_e(self, e):
        self.e = e
        pub = public(e)
        self.mix_hash(pub)
        self.mix_key(pub)
        return pub

    def get_e(self, pub):
        self.re = pub
        self.mix_hash(pub)
        self.mix_key(pub)

    def write_init(self, e, payload=b""):      # e, es, s, ss
        out = self.put_e(e)
        self.mix_key(dh(self.e, self.rs))
        out += self.seal(public(self.s))
        self.mix_key(dh(self.s, self.rs))
        return out + self.seal(payload)

    def read_init(self, m):
        self.get_e(m[:32])
        self.mix_key(dh(self.s, self.re))
        self.rs = self.open(m[32:80])
        self.mix_key(dh(self.s, self.rs))
        return self.open(m[80:])

    def write_resp(self, e, payload=b""):      # e, ee, se, psk
        out = self.put_e(e)
        self.mix_key(dh(self.e, self.re))
        self.mix_key(dh(self.e, self.rs))
        self.mix_key_and_hash(self.psk)
        return out + self.seal(payload)

    def read_resp(self, m):
        self.get_e(m[:32])
        self.mix_key(dh(self.e, self.re))
        self.mix_key(dh(self.s, self.re))
        self.mix_key_and_hash(self.psk)
        return self.open(m[32:])

    def split(self):
        """Key initiator to responder, key responder to initiator."""
        a, b = hkdf(self.ck, b"", 2)
        return a[:32], b[:32]


def address(pk):
    h = bytearray(hashlib.blake2b(pk, digest_size=16).digest())
    h[0] = 2 | h[0] & 1
    return bytes(h)


def init_body(index, versions, lanes, caps, stamp, cookie=bytes(16)):
    """The clear 40 bytes of INIT (session.md, Carrier)."""
    s, ns = stamp
    return (index.to_bytes(4, "big") + bytes(versions) + bytes([lanes, 0]) + caps.to_bytes(4, "big")
            + s.to_bytes(8, "big") + ns.to_bytes(4, "big") + cookie)


def seal_data(key, src, dst, index, lane, counter, plain):
    """Session data: ciphertext, tag, nonce."""
    nonce = index.to_bytes(4, "big") + bytes([lane]) + counter.to_bytes(7, "big")
    return AESGCM(key).encrypt(nonce, plain, src + dst) + nonce


def probe(kind, index, cookie, number, length, key):
    m = bytearray(bytes([kind, 0]) + index.to_bytes(2, "big") + cookie.to_bytes(4, "big") + number.to_bytes(8, "big")
                  + bytes(16) + length.to_bytes(2, "big") + bytes(6))
    if kind == 0x82:
        m += bytes(length - 40)
    m[16:32] = hashlib.blake2b(bytes(m), digest_size=16, key=key).digest()
    return bytes(m)


def vectors():
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "vectors", "noise-vectors.json")) as f:
        return next(v for v in json.load(f)["vectors"] if v["protocol_name"] == PROTOCOL.decode())


def check():
    v = vectors()
    x = {k: bytes.fromhex(y) for k, y in v.items() if isinstance(y, str) and k != "protocol_name"}
    psk = bytes.fromhex(v["init_psks"][0])
    rpk = x["init_remote_static"]
    a = Handshake(x["init_prologue"], x["init_static"], rpk, rpk, psk)
    b = Handshake(x["resp_prologue"], x["resp_static"], None, rpk, psk)
    msgs = [(bytes.fromhex(m["payload"]), bytes.fromhex(m["ciphertext"])) for m in v["messages"]]
    assert a.write_init(x["init_ephemeral"], msgs[0][0]) == msgs[0][1]
    assert b.read_init(msgs[0][1]) == msgs[0][0]
    assert b.write_resp(x["resp_ephemeral"], msgs[1][0]) == msgs[1][1]
    assert a.read_resp(msgs[1][1]) == msgs[1][0]
    assert a.h == b.h == x["handshake_hash"] and a.split() == b.split()
    keys, count = a.split(), [0, 0]
    for i, (plain, cipher) in enumerate(msgs[2:]):
        way = i % 2
        assert AESGCM(keys[way]).encrypt(bytes(4) + count[way].to_bytes(8, "big"), plain, b"") == cipher
        count[way] += 1
    return x


def known_answers(x):
    ipk, rpk = public(x["init_static"]), x["init_remote_static"]
    ia, ra = address(ipk), address(rpk)
    head = init_body(0x11223344, (1, 1), 16, 1, (1700000000, 123456789))
    prologue = PROLOGUE + ia + ra + head
    a = Handshake(prologue, x["init_static"], rpk, rpk, bytes(32))
    b = Handshake(prologue, x["resp_static"], None, rpk, bytes(32))
    init = head + a.write_init(x["init_ephemeral"])
    b.read_init(init[40:])
    choice = bytes.fromhex("55667788") + bytes([1, 16, 0, 0]) + (1).to_bytes(4, "big")
    resp = head[:4] + b.write_resp(x["resp_ephemeral"], choice)
    assert a.read_resp(resp[4:]) == choice and a.split() == b.split()
    ir, ri = a.split()
    return {
        "initiator_secret": x["init_static"], "initiator_ephemeral": x["init_ephemeral"], "initiator_address": ia,
        "responder_secret": x["resp_static"], "responder_ephemeral": x["resp_ephemeral"], "responder_address": ra,
        "init_body": init, "resp_body": resp, "handshake_hash": a.h, "key_initiator_to_responder": ir, "key_responder_to_initiator": ri,
        "keepalive_initiator_to_responder_lane0_counter0": seal_data(ir, ia, ra, 0x55667788, 0, 0, bytes.fromhex("01440000") + bytes(4)),
        "probe_key": bytes(range(32)), "probe": probe(0x82, 7, 0xdeadbeef, 1000, 40, bytes(range(32))),
        "answer": probe(0x83, 7, 0xdeadbeef, 1000, 40, bytes(range(32))),
    }


if __name__ == "__main__":
    json.dump({k: v.hex() for k, v in known_answers(check()).items()}, sys.stdout, indent=1)
    print()
