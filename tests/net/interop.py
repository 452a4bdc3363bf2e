#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Drives a running node from outside with peer200.py, a peer known to get on with the reference program. TAP on stdout.

    interop.py NODE-ADDRESS NODE-PUBLIC-KEY HOST PORT LISTEN-PORT

HOST:PORT is where the node listens; it dials LISTEN-PORT of this host.  Every check waits for a state; a limit is not a claim
about speed.
"""
import concurrent.futures
import os
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import peer200 as p  # noqa: E402

NODE, NODE_KEY, HOST, PORT, LISTEN = p.addr(sys.argv[1]), bytes.fromhex(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
BASE = p.mask(NODE, 64)
count = failed = 0


def check(what, function):
    global count, failed
    count += 1
    try:
        result = function()
        good, why = bool(result), ""
    except Exception as e:  # a failed wait, or a bug here: both are failures
        good, why = False, f"{type(e).__name__}: {e}"
    failed += not good
    print(f"{'ok' if good else 'not ok'} {count} - interop: {what}", flush=True)
    if why:
        print(f"# {why}", flush=True)


def fresh(**switches):
    peer = p.Peer(p.Identity.generate(), **switches)
    peer.connect(HOST, PORT)
    return peer


def refused(peer, dst, kind, code, **how):
    """A ping that must come back as this ICMP from the node."""
    try:
        peer.ping(dst, 10, **how)
    except p.Timeout as e:
        return str(e) == f"ICMP type {kind} code {code} from {p.show(BASE)}" or print(f"# {e}")
    return False


# The peer at the end of a path: it dials, and it is dialled.
dialler = fresh()
check("our Update is the node's own prefix, metric 0", lambda: dialler.expect(
    "Update", lambda u: (u.prefix, u.plen, u.metric, u.router_id[:32]) == (BASE, 64, 0, NODE_KEY)))
dialler.wait_key(NODE)
dialler.announce_now()  # so that the node knows the way back
check("peer dials: ping", lambda: dialler.ping(NODE, 20))
for size in (0, 1, 100, 1200, 1352):
    check(f"ping of {size} bytes", lambda: dialler.ping(NODE, 10, size=size))
check("hop limit 2 reaches the node", lambda: dialler.ping(NODE, 10, hop_limit=2))
check("hop limit 1 does not: time exceeded", lambda: refused(dialler, NODE, 3, 0, hop_limit=1))
check("no route: unreachable", lambda: refused(dialler, unknown.address, 1, 0)) if (unknown := p.Identity.generate()) and dialler.learn(
    unknown.public) is None else None
check("Hello answered", lambda: dialler.wait(lambda: dialler.links[0].ihus > 0, 20))
check("the node says Hello", lambda: dialler.wait(lambda: dialler.links[0].hellos > 0, 20))
check("Hellos are sound", lambda: dialler.expect("Hello", lambda h: h.flags == 0x8000 and h.interval == 4))
check("IHUs are sound", lambda: dialler.expect("Ihu", lambda i: i.ae == 0 and i.interval == 12))

dialled = p.Peer(p.Identity.generate())
dialled.listen(LISTEN)
check("node dials", lambda: dialled.wait_link(60))
dialled.wait_key(NODE)
dialled.announce_now()
check("node dials: ping", lambda: dialled.ping(NODE, 20))

# The node in the middle.
check("a route of another peer is passed on", lambda: dialler.wait_key(dialled.id.address))
check("peer to peer through the node", lambda: dialler.ping(dialled.id.address, 20))
mark = dialled.mark()
dialler.ping(dialled.id.address, 10, hop_limit=40)
check("transit takes one from the hop limit", lambda: dialled.expect("Data", lambda d: d.src == dialler.id.address and d.hop_limit == 39, since=mark))
check("hop limit 2 through the node: the far end is out of reach by one", lambda: dialled.expect(
    "Data", lambda d: d.hop_limit == 1, since=mark) if dialler.send_user(dialled.id.address, 0, p.echo(
        dialler.id.address, dialled.id.address, 1, 1), hop_limit=2) else False)
check("metric passed on is link cost above the received", lambda: dialler.expect(
    "Update", lambda u: u.prefix == dialled.id.subnet and 10 <= u.metric < 65535))
check("host bits are zero", lambda: not dialler.seen("Update", lambda u: u.prefix[8:] != bytes(8)))
check("split horizon", lambda: not dialled.seen("Update", lambda u: u.prefix == dialled.id.subnet))

# Sequence numbers.
def bump():
    link, since = dialler.links[0], dialler.mark()
    old = [t.seqno for k, _, t in dialler.events if k == "Update" and t.prefix == BASE][-1]
    rid = [t.router_id for k, _, t in dialler.events if k == "Update" and t.prefix == BASE][-1]
    link.send(p.SeqNoRequest(BASE, 64, (old + 1) & 0xFFFF, 64, rid))
    return dialler.expect("Update", lambda u: u.prefix == BASE and u.seqno == (old + 1) & 0xFFFF and u.metric == 0, since=since)


check("a request for a newer seqno raises it by one", bump)
mark = dialler.mark()
check("a request that is for a router id of the past is not answered wrongly", lambda: dialler.links[0].send(
    p.SeqNoRequest(dialled.id.subnet, 64, 500, 64, os.urandom(40))) or True)

# A forwarded seqno request reaches its origin.
def forwarded():
    since = dialled.mark()
    dialler.links[0].send(p.SeqNoRequest(dialled.id.subnet, 64, 1, 64, dialled.id.router_id))
    return dialled.expect("SeqNoRequest", lambda q: q.router_id == dialled.id.router_id and q.hop_count == 63, since=since)


check("a seqno request is forwarded to the origin", forwarded)
check("the origin's newer seqno comes back", lambda: dialler.expect(
    "Update", lambda u: u.prefix == dialled.id.subnet and u.seqno == 1, 30))

# Loss of a peer: a retraction at once.
mark = dialler.mark()
gone = dialled.id
dialled.close()
check("a dead peer's route is retracted", lambda: dialler.expect(
    "Update", lambda u: u.prefix == gone.subnet and u.metric == p.INFINITE, since=mark))
check("and then there is no route", lambda: dialler.wait(lambda: refused(dialler, gone.address, 1, 0), 20))

# Two connections from one node.
second = dialler.connect(HOST, PORT)
check("a second connection of the same node works beside the first", lambda: dialler.wait(lambda: second.ihus > 0, 20))
second.close()
check("and ends without harm", lambda: dialler.ping(NODE, 10))

# Bad input. "answers": still in step; "closed": that one link is gone. Nothing else, and the node lives.
HARMLESS = ("good", "packet-reserved", "ihu-with-address", "data-length-0", "update-ipv4", "update-wildcard", "update-link-local",
            "update-foreign-key", "update-short-prefix", "unknown-tlv", "unknown-tlv-then-hello", "padn", "babel-magic", "babel-version",
            "babel-version-then-data", "ihu-ae", "ihu-ae-then-data", "update-ae", "seqno-ae", "seqno-hop-0", "seqno-ipv4", "seqno-wildcard",
            "seqno-link-local", "two-tlvs", "sub-tlv")


def bad(name):
    peer = p.Peer(p.Identity.generate(), say_hello=False, announce=False)
    link = peer.connect(HOST, PORT)
    try:
        for piece in p.BAD[name][1](peer):
            link.send(piece)
        return p.verdict(peer, link, 25)
    finally:
        peer.close()


with concurrent.futures.ThreadPoolExecutor(8) as pool:
    verdicts = dict(zip(p.BAD, pool.map(bad, p.BAD)))
for name, result in verdicts.items():
    allowed = ("answers",) if name in HARMLESS else ("closed",) if name.startswith("packet-") else ("answers", "closed")
    check(f"bad input {name}: {result}", lambda: result in allowed)
check("the node lives after all that", lambda: dialler.ping(NODE, 10))

for name in p.SEALED_BAD:
    p.sealed_bad(dialler, NODE, name)
    check(f"sealed {name}: the node goes on", lambda: dialler.ping(NODE, 10))
mark = dialler.mark()
spoofed = p.echo(unknown.address, NODE, 7, 7)
dialler.send_user(NODE, p.USER_L3, spoofed)
dialler.send_user(NODE, p.USER_L3, p.echo(dialler.id.address, p.addr("2ff::1"), 7, 7))
check("inner addresses that differ from the outer ones: no answer", lambda: dialler.ping(NODE, 10) and not dialler.seen(
    "l3", lambda x: x[44:48] == struct.pack(">HH", 7, 7), mark))

# Other eras and other protocols: closed.
for what, opening in (("the 17 bytes of v0.1.3", b"\0" + socket.inet_aton("10.0.0.1") + bytes(12)), ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
                      ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300)), ("zeros", bytes(100))):
    def closed():
        s = socket.create_connection((HOST, PORT))
        s.settimeout(20)
        s.sendall(opening)
        try:
            while s.recv(4096):
                pass
        except ConnectionResetError:
            pass
        return True
    check(f"{what}: closed", closed)

# Half-open and slow connections do no harm.
idle = [socket.create_connection((HOST, PORT)) for _ in range(20)]
for s in idle[:10]:
    s.sendall(b"\x01\x00\x00\x00\xff\xff")
check("20 silent or half-open connections: the node goes on", lambda: dialler.ping(NODE, 10))
for s in idle:
    s.close()

dialler.close()
print(f"1..{count}")
sys.exit(failed > 0)
