#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Messages between a running node, by its HTTP API, and peer200.py, a peer known to get on with the reference program: both
directions. TAP on stdout.

    messages.py NODE-ADDRESS NODE-PUBLIC-KEY      (in the node's network namespace)
"""
import base64
import os
import random
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import api  # noqa: E402
import peer200 as p  # noqa: E402

NODE, NODE_KEY = sys.argv[1], sys.argv[2]
SIZES = [0, 1, 249, 250, 1300, 1301, 1549, 1550, 100_000, 1_400_000]
random.seed(4)
tap = api.Tap("messages")
node = api.Api()
peer = p.Peer(p.Identity.generate(), send_read=False)
peer.connect("127.0.0.1", 9651)
peer.wait_key(p.addr(NODE))
peer.announce_now()
PEER, PEER_KEY = p.show(peer.id.address), peer.id.public.hex()
api.until(lambda: node.get(f"/api/v1/pubkey/{PEER}").status == 200, 20, "the node knows the peer's key")


def wait_state(id_, *states):
    def is_there():
        s = node.status(id_)
        return s and s["state"] in states and s
    return api.until(is_there, 60, f"status of {id_} is {states}")


def to_node(size):
    payload, topic = random.randbytes(size), b"" if size % 2 else b"to the node"
    out = peer.send_message(NODE, payload, topic)
    m = node.receive().json()
    want = {"id": out.id.hex(), "srcIp": PEER, "srcPk": PEER_KEY, "dstIp": NODE, "dstPk": NODE_KEY}
    if topic:
        want["topic"] = api.b64(topic)
    want["payload"] = api.b64(payload)
    assert list(m.items()) == list(want.items()), {k: v[:60] for k, v in m.items()}
    peer.wait(lambda: out.state == "read", 30, f"state {out.state}")


def to_peer(size):
    payload, topic, had = random.randbytes(size), b"to the peer" if size % 2 else None, len(peer.inbox)
    a = node.send(PEER_KEY if size % 2 else PEER, payload, topic)
    assert a.status == 201, a.body
    id_ = a.json()["id"]
    peer.wait(lambda: len(peer.inbox) > had, 60, "the message")
    m = peer.inbox[had]
    assert (m.id.hex(), m.payload, m.topic, m.reply, p.show(m.src)) == (id_, payload, topic or b"", False, NODE)
    s = wait_state(id_, "received")
    assert s["msgLen"] == size and s["deadline"] - s["created"] == 300 and s["dst"] == PEER, s
    peer._say(m.src, p.F_READ, m.id, src=m.dst)
    wait_state(id_, "read")


for size in SIZES:
    tap.check(f"peer to node, {size} bytes: whole, with the fields of wire-200 7.6, read", lambda n=size: to_node(n))
    tap.check(f"node to peer, {size} bytes: whole, status received, then read", lambda n=size: to_peer(n))


def topics():
    ids = [peer.send_message(NODE, f"{t}".encode(), t.encode()).id.hex() for t in ("a", "b", "a")]
    peer.wait(lambda: all(peer.outbox[bytes.fromhex(i)].state == "received" for i in ids), 30, "all received")
    got = [node.receive(topic=api.b64(t)).json()["id"] for t in (b"b", b"a", b"a")]
    assert got[0] == ids[1] and sorted(got[1:]) == sorted([ids[0], ids[2]]), (got, ids)
    assert node.receive(0).status == 204


tap.check("a topic filter takes what matches, in any order of arrival", topics)


def peek():
    id_ = peer.send_message(NODE, b"peeked at", b"t+/").id.hex()
    for q in ({"peek": "true"}, {"peek": "true", "topic": api.b64(b"t+/")}, {}):
        assert node.receive(**q).json()["id"] == id_, q
    assert node.receive(0).status == 204


tap.check("a peek does not remove, with or without a topic", peek)


class Asking(threading.Thread):
    """A POST that waits for its reply, from another connection."""

    def __init__(self, payload, seconds):
        super().__init__(daemon=True)
        self.payload, self.seconds, self.answer = payload, seconds, None
        self.start()

    def run(self):
        self.answer = api.Api().send(PEER, self.payload, reply_timeout=self.seconds)


def asked(payload):
    """The node asks the peer: the thread, and the message as the peer has it."""
    had = len(peer.inbox)
    t = Asking(payload, 60)
    peer.wait(lambda: len(peer.inbox) > had, 30, "the question")
    return t, peer.inbox[had]


def reply_in_time():
    t, m = asked(b"question")
    peer.send_message(NODE, b"answer", reply_to=m.id)
    t.join(60)
    assert t.answer.status == 200 and t.answer.json()["id"] == m.id.hex(), t.answer.body
    assert base64.b64decode(t.answer.json()["payload"]) == b"answer"
    # A second reply, with the same id, goes to the inbox.
    peer.send_message(NODE, b"one thing more", reply_to=m.id)
    second = node.receive().json()
    assert second["id"] == m.id.hex() and base64.b64decode(second["payload"]) == b"one thing more"


tap.check("a reply in time is the answer of the POST, a second one goes to the inbox", reply_in_time)


def reply_late():
    a = node.send(PEER, b"question", reply_timeout=0)
    assert a.status == 408 and list(a.json()) == ["id"], (a.status, a.body)
    id_ = bytes.fromhex(a.json()["id"])
    peer.wait(lambda: any(m.id == id_ for m in peer.inbox), 30, "the question")
    peer.send_message(NODE, b"late", reply_to=id_)
    assert node.receive().json()["id"] == id_.hex()


tap.check("a reply after the time goes to the inbox; the POST was 408 with the id", reply_late)


def node_replies(path):
    out = peer.send_message(NODE, b"question")
    m = node.receive().json()
    had = len(peer.inbox)
    a = node.call("POST", f"/api/v1/{path}/reply/{m['id']}", {"dst": {"pk": m["srcPk"]}, "topic": api.b64(b"ignored"), "payload": ""})
    assert a.status == 204 and a.body == b"", (a.status, a.body)
    peer.wait(lambda: len(peer.inbox) > had, 30, "the reply")
    r = peer.inbox[had]
    assert (r.id, r.reply, r.topic, r.payload) == (out.id, True, b"", b""), r
    wait_state(m["id"], "received")
    return r


tap.check("the node replies: the id again, REPLY, no topic", lambda: node_replies("messages"))
tap.check("the node replies, by the other spelling", lambda: node_replies("messsages"))


def reply_to_reply():
    r = node_replies("messages")
    peer.send_message(NODE, b"and back again", reply_to=r.id)
    m = node.receive().json()
    assert m["id"] == r.id.hex() and base64.b64decode(m["payload"]) == b"and back again"


tap.check("a reply to the reply arrives", reply_to_reply)


def deadline():
    a = node.send("2ff:ffff::1", b"to nobody", extra={"deadline": 1})
    s = node.status(a.json()["id"])
    assert s["deadline"] - s["created"] == 1 and s["state"] == "pending", s
    wait_state(a.json()["id"], "aborted")


tap.check("a message to nobody is aborted at its own deadline", deadline)


def to_itself():
    id_ = node.send(NODE_KEY, b"to myself").json()["id"]
    m = node.receive().json()
    assert (m["id"], m["srcPk"], m["dstPk"]) == (id_, NODE_KEY, NODE_KEY)
    wait_state(id_, "read")


tap.check("a message to the node itself is delivered at once", to_itself)
tap.equal("nothing is left in the inbox", node.receive(0).status, 204)
tap.end()
